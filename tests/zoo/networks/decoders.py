"""Networks that give an image: segmentation, autoencoders."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.networks.blocks import (
    Conv2dNormActivation,
    Image,
    named,
)


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


CASES = named(
    "Decoders",
    ("U-Net", lambda: UNet(4), (3, 8, 8)),
    ("U-Net, bilinear", lambda: UNet(4, bilinear=True), (3, 8, 8)),
    ("segmentation by interpolate", lambda: SegNet(6), (3, 8, 8)),
    ("convolutional autoencoder", lambda: ConvAutoencoder(4), (1, 8, 8)),
)
