"""Networks for salient object detection (VecQ, Table 11): one score for each pixel.

All stand on a ResNet with pre-activation.  Their sizes tell which variants of U-Net, FPN, LinkNet
and UNet++ the paper has; docs/design/salient.md says how they were found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.train.models_image import image_shape

FACTOR = 32
"""How much smaller the encoder's last image is; heights and widths are multiples of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Channels of a network and its encoder.

    Attributes
    ----------
    stem : int
        Of the first convolution, at half the size of the image.
    stages : ((channels, units), ...)
        Of the four stages, at a quarter down to a 32nd.
    narrowing : int
        How many times fewer channels the 3 × 3 convolution of a unit has, between two 1 × 1 ones;
        with 1 a unit is two 3 × 3 convolutions.
    decoder : (channels, ...)
        U-Net's five steps, the smallest image first; LinkNet has the last alone.
    rows : (channels, ...)
        UNet++'s five rows, the largest image first.
    pyramid, segmentation : int
        FPN's laterals, and the convolutions that follow each.
    """

    stem: int
    stages: tuple[tuple[int, int], ...]
    narrowing: int
    decoder: tuple[int, ...]
    rows: tuple[int, ...]
    pyramid: int
    segmentation: int


RESNET50 = Sizes(
    stem=64,
    stages=((256, 3), (512, 4), (1024, 6), (2048, 3)),
    narrowing=4,
    decoder=(256, 128, 64, 32, 16),
    rows=(32, 64, 128, 256, 16),
    pyramid=256,
    segmentation=128,
)
REDUCED = Sizes(
    stem=16,
    stages=((16, 2), (32, 2), (64, 2), (128, 2)),
    narrowing=1,
    decoder=(64, 32, 16, 8, 8),
    rows=(8, 16, 32, 64, 16),
    pyramid=64,
    segmentation=32,
)
"""A quarter of ResNet-18's channels."""


class PreActivationUnit(nn.Module):
    """BN-ReLU-conv two or three times, and the input added; it also gives its first ReLU."""

    def __init__(
        self, inputs: int, outputs: int, stride: int, narrowing: int, project: bool
    ) -> None:
        super().__init__()
        inner = outputs // narrowing
        shapes = [(inputs, inner, 3, stride), (inner, outputs, 3, 1)]
        if narrowing > 1:
            shapes = [(inputs, inner, 1, 1), (inner, inner, 3, stride), (inner, outputs, 1, 1)]
        self.norms = nn.ModuleList(nn.BatchNorm2d(shape[0]) for shape in shapes)
        self.convs = nn.ModuleList(
            nn.Conv2d(given, made, kernel, step, kernel // 2, bias=False)
            for given, made, kernel, step in shapes
        )
        self.relu = nn.ReLU()
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if project else None

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """(N, inputs, H, W) as activated, and (N, outputs, H / stride, W / stride)."""
        active = out = self.relu(self.norms[0](x))
        identity = x if self.shortcut is None else self.shortcut(active)
        for place, conv in enumerate(self.convs):
            out = conv(self.relu(self.norms[place](out)) if place else out)
        return active, out + identity


class Encoder(nn.Module):
    """A ResNet with pre-activation: images of a half, 4th, 8th, 16th and 32nd of the size."""

    def __init__(self, channels: int, sizes: Sizes) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.BatchNorm2d(channels),
            nn.Conv2d(channels, sizes.stem, 7, 2, 3, bias=False),
            nn.BatchNorm2d(sizes.stem),
            nn.ReLU(),
        )
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.stages = nn.ModuleList()
        inputs = sizes.stem
        for number, (outputs, units) in enumerate(sizes.stages):
            stage = nn.ModuleList()
            for unit in range(units):
                stride = 2 if number and not unit else 1
                stage.append(PreActivationUnit(inputs, outputs, stride, sizes.narrowing, not unit))
                inputs = outputs
            self.stages.append(stage)
        self.last = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        self.channels = (sizes.stem, *(outputs for outputs, _ in sizes.stages))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        """(N, C, H, W) to five images, the largest first, of ``channels`` channels."""
        x = self.stem(x)
        images = [x]
        x = self.pool(x)
        for number, stage in enumerate(self.stages):
            for place, unit in enumerate(stage.children()):
                active, x = unit(x)
                if number and not place:  # what the stage before came to
                    images.append(active)
        return [*images, self.last(x)]


class UpBlock(nn.Module):
    """Twice as large by a transposed convolution, beside what is given, and a convolution."""

    def __init__(self, inputs: int, beside: int, outputs: int) -> None:
        super().__init__()
        self.up = nn.Sequential(
            nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(),
        )
        self.conv = conv_norm_relu(outputs + beside, outputs, 3)

    def forward(self, x: torch.Tensor, *beside: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) and images of 2H × 2W to (N, outputs, 2H, 2W)."""
        x = self.up(x)
        result: torch.Tensor = self.conv(torch.cat([x, *beside], 1) if beside else x)
        return result


class UNet(nn.Module):
    """Five steps up, each beside the encoder's image of its size but for the last."""

    def __init__(self, channels: int, scores: int, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(channels, sizes)
        *skips, inputs = self.encoder.channels
        self.blocks = nn.ModuleList()
        for beside, outputs in zip((*skips[::-1], 0), sizes.decoder, strict=True):
            self.blocks.append(UpBlock(inputs, beside, outputs))
            inputs = outputs
        self.scores = nn.Conv2d(inputs, scores, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, scores, H, W)."""
        *skips, x = self.encoder(x)
        for block in self.blocks:
            x = block(x, *([skips.pop()] if skips else []))
        result: torch.Tensor = self.scores(x)
        return result


class FPN(nn.Module):
    """A pyramid of four sizes, each convolved, all beside each other; nearest pixels at the end."""

    def __init__(self, channels: int, scores: int, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(channels, sizes)
        levels = self.encoder.channels[:0:-1]
        self.laterals = nn.ModuleList(conv_norm_relu(one, sizes.pyramid, 1) for one in levels)
        self.heads = nn.ModuleList(
            nn.Sequential(
                conv_norm_relu(sizes.pyramid, sizes.segmentation, 3),
                conv_norm_relu(sizes.segmentation, sizes.segmentation, 3),
            )
            for _ in levels
        )
        self.up = nn.Upsample(scale_factor=2)
        self.to_quarter = nn.ModuleList(nn.Upsample(scale_factor=one) for one in (8, 4, 2))
        whole = len(levels) * sizes.segmentation
        self.joined = conv_norm_relu(whole, whole, 3)
        self.scores = nn.Conv2d(whole, scores, 3, padding=1)
        self.enlarge = nn.Upsample(scale_factor=4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, scores, H, W)."""
        _, *images = self.encoder(x)
        level, heads = self.laterals[0](images[-1]), []
        for place, head in enumerate(self.heads):
            if place:
                level = self.laterals[place](images[-1 - place]) + self.up(level)
            image = head(level)
            heads.append(self.to_quarter[place](image) if place < 3 else image)
        result: torch.Tensor = self.enlarge(self.scores(self.joined(torch.cat(heads, 1))))
        return result


class LinkBlock(nn.Module):
    """1 × 1 to a quarter of the channels, nearest pixels twice as large, 3 × 3, 1 × 1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        inner = inputs // 4
        self.narrow = conv_norm_relu(inputs, inner, 1)
        self.up = nn.Upsample(scale_factor=2)
        self.conv = conv_norm_relu(inner, inner, 3)
        self.widen = conv_norm_relu(inner, outputs, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, 2H, 2W)."""
        result: torch.Tensor = self.widen(self.conv(self.up(self.narrow(x))))
        return result


class LinkNet(nn.Module):
    """Five steps up, the encoder's image of the same size added but for the last."""

    def __init__(self, channels: int, scores: int, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(channels, sizes)
        *skips, inputs = self.encoder.channels
        self.blocks = nn.ModuleList()
        for outputs in (*skips[::-1], sizes.decoder[-1]):
            self.blocks.append(LinkBlock(inputs, outputs))
            inputs = outputs
        self.scores = nn.Conv2d(inputs, scores, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, scores, H, W)."""
        *skips, x = self.encoder(x)
        for block in self.blocks:
            x = block(x) + skips.pop() if skips else block(x)
        result: torch.Tensor = self.scores(x)
        return result


class UNetPlusPlus(nn.Module):
    """A triangle of blocks: each beside all of its row before, fed by the row below.

    Row 0, of the size of the image, has the last block alone.
    """

    def __init__(self, channels: int, scores: int, sizes: Sizes) -> None:
        super().__init__()
        self.encoder = Encoder(channels, sizes)
        images, rows = self.encoder.channels, sizes.rows[1:]
        self.columns = nn.ModuleList()
        for column in range(len(rows)):
            below = images[1:] if column == 0 else rows[1:]
            self.columns.append(
                nn.ModuleList(
                    UpBlock(below[row], images[row] + column * rows[row], rows[row])
                    for row in range(len(rows) - column)
                )
            )
        self.whole = UpBlock(rows[0], 0, sizes.rows[0])
        self.scores = nn.Conv2d(sizes.rows[0], scores, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) to (N, scores, H, W)."""
        rows = [[image] for image in self.encoder(x)]
        for column in self.columns:
            below = [row[-1] for row in rows[1:]]
            for place, block in enumerate(column.children()):
                rows[place].append(block(below[place], *rows[place]))
            rows.pop()
        result: torch.Tensor = self.scores(self.whole(rows[0][-1]))
        return result


def conv_norm_relu(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    """A convolution that keeps the size, its batch norm and ReLU."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


_KINDS: Mapping[str, Callable[[int, int, Sizes], nn.Module]] = {
    "unet": UNet,
    "fpn": FPN,
    "linknet": LinkNet,
    "unetplusplus": UNetPlusPlus,
}


def salient_model(name: str, sizes: Sizes, shape: Sequence[int], classes: int) -> nn.Module:
    """The network ``name`` for images of ``shape``, (C, H, W) with H and W multiples of 32.

    One score of each pixel tells an object from the rest, which are two classes.

    Raises
    ------
    VecqError
        The shape is no image, or its height or width is no multiple of 32.
    """
    channels, height, width = image_shape(name, tuple(shape), FACTOR)
    if height % FACTOR or width % FACTOR:
        raise VecqError(
            f"the {name} takes images whose height and width are multiples of {FACTOR}, not"
            f" {height} × {width}"
        )
    return _KINDS[name](channels, 1 if classes == 2 else classes, sizes)


def salient_models() -> dict[str, Callable[[tuple[int, ...], int], nn.Module]]:
    """A factory for each network by its name, on ResNet-50 and reduced."""
    return {
        f"{name}_{suffix}": partial(salient_model, name, sizes)
        for suffix, sizes in (("resnet50", RESNET50), ("reduced", REDUCED))
        for name in _KINDS
    }
