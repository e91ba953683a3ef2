"""Networks of sounds: spectra, raw waves, series."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import weight_norm

from tests.zoo.networks.blocks import (
    Image,
    named,
)


class Autoencoder(nn.Module):
    """For sounds: Linear, BN, ReLU, eight units in the middle; as large at the end as before."""

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


class Chomp1d(nn.Module):
    """Cuts what padding has added at the end."""

    def __init__(self, chomp_size: int) -> None:
        super().__init__()
        self.chomp_size = chomp_size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The past alone."""
        return x[:, :, : -self.chomp_size].contiguous()


class TemporalBlock(nn.Module):
    """The block of a temporal convolutional network, with weight norms."""

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


CASES = named(
    "Sounds",
    ("autoencoder of sounds", lambda: Autoencoder(16, 40), (5, 8)),
    ("DS-CNN", lambda: DSCNN(8), (1, 25, 10)),
    ("TCN", lambda: TCN(6), (2, 16)),
    ("M5", lambda: M5(6), (1, 80)),
)
