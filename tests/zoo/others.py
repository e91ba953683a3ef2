"""Networks that are no image classifiers of the usual form: decoders, mixers, sounds, gates."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from tests.zoo import Case
from tests.zoo.networks import Conv2dNormActivation, InvertedResidual

Image = torch.Tensor


class DoubleConv(nn.Module):
    """(convolution, BN, ReLU) twice."""

    def __init__(self, inputs: int, outputs: int, hidden: int | None = None) -> None:
        super().__init__()
        if not hidden:
            hidden = outputs
        self.double_conv = nn.Sequential(
            nn.Conv2d(inputs, hidden, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, kernel_size=3, padding=1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Image) -> Image:
        """As large as before."""
        return self.double_conv(x)


class Up(nn.Module):
    """Twice as large, beside what came down."""

    def __init__(self, inputs: int, outputs: int, bilinear: bool) -> None:
        super().__init__()
        self.up: nn.Module = nn.ConvTranspose2d(inputs, inputs // 2, kernel_size=2, stride=2)
        self.conv = DoubleConv(inputs, outputs)
        if bilinear:
            self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
            self.conv = DoubleConv(inputs + inputs // 2, outputs)

    def forward(self, x1: Image, x2: Image) -> Image:
        """What came up, and what came down."""
        x1 = self.up(x1)
        diff_y, diff_x = x2.size()[2] - x1.size()[2], x2.size()[3] - x1.size()[3]
        x1 = F.pad(x1, [diff_x // 2, diff_x - diff_x // 2, diff_y // 2, diff_y - diff_y // 2])
        return self.conv(torch.cat([x2, x1], dim=1))


class UNet(nn.Module):
    """Two steps down and up."""

    def __init__(self, width: int = 64, bilinear: bool = False, classes: int = 2) -> None:
        super().__init__()
        self.inc = DoubleConv(3, width)
        self.down1 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(width, 2 * width))
        self.down2 = nn.Sequential(nn.MaxPool2d(2), DoubleConv(2 * width, 4 * width))
        self.up1 = Up(4 * width, 2 * width, bilinear)
        self.up2 = Up(2 * width, width, bilinear)
        self.outc = nn.Conv2d(width, classes, kernel_size=1)

    def forward(self, x: Image) -> Image:
        """Scores for each pixel."""
        x1 = self.inc(x)
        x2 = self.down1(x1)
        x3 = self.down2(x2)
        return self.outc(self.up2(self.up1(x3, x2), x1))


class SegNet(nn.Module):
    """Up to the size of the input by interpolate()."""

    def __init__(self, width: int = 16, classes: int = 2) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            Conv2dNormActivation(3, width, stride=2), Conv2dNormActivation(width, width, stride=2)
        )
        self.classifier = nn.Conv2d(width, classes, 1)

    def forward(self, x: Image) -> Image:
        """Scores for each pixel."""
        input_shape = x.shape[-2:]
        x = F.relu(self.classifier(self.backbone(x)))
        return F.interpolate(x, size=input_shape, mode="nearest")


class ConvAutoencoder(nn.Module):
    """Down by strides, up by transposed convolutions."""

    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, width, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.ReLU(),
        )
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(2 * width, width, 3, stride=2, padding=1, output_padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(width, 1, 3, stride=2, padding=1, output_padding=1),
        )

    def forward(self, x: Image) -> Image:
        """The image again."""
        return self.decoder(self.encoder(x))


class Autoencoder(nn.Module):
    """Of sounds: Linear, BN, ReLU, eight units in the middle; as large at the end as before."""

    def __init__(self, width: int = 128, inputs: int = 640) -> None:
        super().__init__()
        sizes = [inputs, width, width, 8, width, width]
        blocks = []
        for before, after in pairwise(sizes):
            blocks.append(nn.Sequential(nn.Linear(before, after), nn.BatchNorm1d(after), nn.ReLU()))
        self.blocks = nn.ModuleList(blocks)
        self.out = nn.Linear(width, inputs)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The spectrum again."""
        shape = x.shape
        x = x.flatten(1)
        for block in self.blocks:
            x = block(x)
        return self.out(x).view(shape[0], -1)


class DSCNN(nn.Module):
    """Keyword spotting by depthwise separable convolutions; sounds come as (N, time, bands)."""

    def __init__(self, width: int = 64, classes: int = 12) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, (10, 4), stride=(2, 2), padding=(4, 1))
        self.bn1 = nn.BatchNorm2d(width)
        self.blocks = nn.Sequential(
            *(
                nn.Sequential(
                    nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                    nn.Conv2d(width, width, 1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                )
                for _ in range(2)
            )
        )
        self.dropout, self.fc = nn.Dropout(0.4), nn.Linear(width, classes)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = self.dropout(F.relu(self.bn1(self.conv1(x))))
        x = self.blocks(x)
        x = F.avg_pool2d(x, (x.size(2), x.size(3)))
        return self.fc(x.squeeze(-1).squeeze(-1))


class Fomo(nn.Module):
    """Objects by their centres: a grid of scores, of an eighth of the image."""

    def __init__(self, width: int = 16, classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            Conv2dNormActivation(3, width, stride=2, activation=nn.ReLU6),
            InvertedResidual(width, width, 6, stride=2),
            InvertedResidual(width, 2 * width, 6, stride=2),
            InvertedResidual(2 * width, 2 * width, 6),
        )
        self.head = nn.Sequential(nn.Conv2d(2 * width, 32, 1), nn.ReLU(), nn.Conv2d(32, classes, 1))

    def forward(self, x: Image) -> Image:
        """Scores of each cell."""
        return self.head(self.backbone(x))


class MlpBlock(nn.Module):
    """Of a mixer."""

    def __init__(self, size: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.act, self.fc2 = nn.Linear(size, hidden), nn.GELU(), nn.Linear(hidden, size)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Along the last axis."""
        return self.fc2(self.act(self.fc1(x)))


class MixerBlock(nn.Module):
    """Mixes tokens, then channels."""

    def __init__(self, tokens: int, channels: int) -> None:
        super().__init__()
        self.token_mixing = MlpBlock(tokens, 2 * tokens)
        self.channel_mixing = MlpBlock(channels, 2 * channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, tokens, channels)."""
        x = x + self.token_mixing(x.transpose(1, 2)).transpose(1, 2)
        return x + self.channel_mixing(x)


class Mixer(nn.Module):
    """MLP-Mixer without its norms."""

    def __init__(self, width: int = 32, patch: int = 4, size: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, kernel_size=patch, stride=patch)
        self.blocks = nn.ModuleList([MixerBlock((size // patch) ** 2, width) for _ in range(2)])
        self.head = nn.Linear(width, classes)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = self.stem(x).flatten(2).transpose(1, 2)  # (N, tokens, channels)
        for block in self.blocks:
            x = block(x)
        return self.head(x.mean(dim=1))


class Residual(nn.Module):
    """A function and its input."""

    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Image) -> Image:
        """Their sum."""
        return self.fn(x) + x


def conv_mixer(dim: int = 32, depth: int = 2, classes: int = 10) -> nn.Module:
    """ConvMixer, as its paper prints it."""
    return nn.Sequential(
        nn.Conv2d(3, dim, kernel_size=2, stride=2),
        nn.GELU(),
        nn.BatchNorm2d(dim),
        *[
            nn.Sequential(
                Residual(
                    nn.Sequential(
                        nn.Conv2d(dim, dim, 5, groups=dim, padding="same"),
                        nn.GELU(),
                        nn.BatchNorm2d(dim),
                    )
                ),
                nn.Conv2d(dim, dim, kernel_size=1),
                nn.GELU(),
                nn.BatchNorm2d(dim),
            )
            for _ in range(depth)
        ],
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(dim, classes),
    )


class SELayer(nn.Module):
    """Squeeze-and-excite by Linear layers, a view and expand_as."""

    def __init__(self, channel: int, reduction: int = 2) -> None:
        super().__init__()
        self.avg_pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Sequential(
            nn.Linear(channel, channel // reduction, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(channel // reduction, channel, bias=False),
            nn.Sigmoid(),
        )

    def forward(self, x: Image) -> Image:
        """The gated image."""
        b, c, _, _ = x.size()
        y = self.avg_pool(x).view(b, c)
        y = self.fc(y).view(b, c, 1, 1)
        return x * y.expand_as(x)


class SEResNet(nn.Module):
    """One residual block with a gate."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2, self.se = nn.BatchNorm2d(width), SELayer(width)
        self.fc = nn.Linear(width, classes)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = F.relu(self.conv1(x))
        x = F.relu(x + self.se(self.bn2(self.conv2(x))))
        return self.fc(x.mean((-2, -1)))


class RepVGGBlock(nn.Module):
    """Three branches that are added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rbr_identity = nn.BatchNorm2d(width)
        self.rbr_dense = Conv2dNormActivation(width, width, 3, activation=None)
        self.rbr_1x1 = Conv2dNormActivation(width, width, 1, activation=None)

    def forward(self, inputs: Image) -> Image:
        """Their ReLU."""
        return F.relu(self.rbr_dense(inputs) + self.rbr_1x1(inputs) + self.rbr_identity(inputs))


class GhostModule(nn.Module):
    """Cheap channels beside dear ones, of which as many are kept as are wanted."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.outputs, initial = outputs, -(-outputs // 2)
        self.primary_conv = Conv2dNormActivation(inputs, initial, 1)
        self.cheap_operation = Conv2dNormActivation(initial, initial, 3, groups=initial)

    def forward(self, x: Image) -> Image:
        """The channels that are wanted."""
        x1 = self.primary_conv(x)
        x2 = self.cheap_operation(x1)
        return torch.cat([x1, x2], dim=1)[:, : self.outputs, :, :]


class Chomp1d(nn.Module):
    """Cuts what padding has added at the end."""

    def __init__(self, chomp_size: int) -> None:
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The past alone."""
        return x[:, :, : -self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    """Of a temporal convolutional network, with weight norms."""

    def __init__(self, inputs: int, outputs: int, dilation: int) -> None:
        super().__init__()
        padding = 2 * dilation
        self.net = nn.Sequential(
            weight_norm(nn.Conv1d(inputs, outputs, 3, padding=padding, dilation=dilation)),
            Chomp1d(padding),
            nn.ReLU(),
            nn.Dropout(0.2),
        )
        self.downsample = nn.Conv1d(inputs, outputs, 1) if inputs != outputs else None
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """As long as before."""
        res = x if self.downsample is None else self.downsample(x)
        return self.relu(self.net(x) + res)


class TCN(nn.Module):
    """The class by the last step."""

    def __init__(self, width: int = 16, classes: int = 5) -> None:
        super().__init__()
        self.tcn = nn.Sequential(TemporalBlock(2, width, 1), TemporalBlock(width, width, 2))
        self.linear = nn.Linear(width, classes)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """(N, C, L) to scores."""
        y = self.tcn(inputs)
        return self.linear(y[:, :, -1])


class M5(nn.Module):
    """Raw sound, by Conv1d."""

    def __init__(self, width: int = 32, classes: int = 5) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(1, width, 16, stride=4), nn.BatchNorm1d(width)
        self.pool1 = nn.MaxPool1d(2)
        self.conv2, self.bn2 = nn.Conv1d(width, width, 3), nn.BatchNorm1d(width)
        self.fc1 = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, 1, L) to scores."""
        x = self.pool1(F.relu(self.bn1(self.conv1(x))))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.avg_pool1d(x, x.shape[-1])
        x = x.permute(0, 2, 1)
        return self.fc1(x).squeeze(1)


def _rep_vgg() -> nn.Module:
    blocks = [Conv2dNormActivation(3, 6, stride=2), RepVGGBlock(6), RepVGGBlock(6)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))


def _ghost_net() -> nn.Module:
    return nn.Sequential(GhostModule(3, 7), GhostModule(7, 6), nn.Conv2d(6, 4, 8))


_MADE: tuple[tuple[str, Callable[[], nn.Module], tuple[int, ...]], ...] = (
    ("U-Net", lambda: UNet(4), (3, 8, 8)),
    ("U-Net, bilinear", lambda: UNet(4, bilinear=True), (3, 8, 8)),
    ("segmentation by interpolate", lambda: SegNet(6), (3, 8, 8)),
    ("convolutional autoencoder", lambda: ConvAutoencoder(4), (1, 8, 8)),
    ("autoencoder of sounds", lambda: Autoencoder(16, 40), (5, 8)),
    ("DS-CNN", lambda: DSCNN(8), (1, 25, 10)),
    ("FOMO", lambda: Fomo(4), (3, 16, 16)),
    ("MLP-Mixer", lambda: Mixer(8, 4, 8), (3, 8, 8)),
    ("ConvMixer", lambda: conv_mixer(6), (3, 8, 8)),
    ("SE-ResNet", lambda: SEResNet(6), (3, 8, 8)),
    ("RepVGG", _rep_vgg, (3, 8, 8)),
    ("GhostNet", _ghost_net, (3, 8, 8)),
    ("TCN", lambda: TCN(6), (2, 16)),
    ("M5", lambda: M5(6), (1, 80)),
)
CASES = [
    Case(name=name, kind="Other networks", make=make, shapes=(shape,))
    for name, make, shape in _MADE
]
