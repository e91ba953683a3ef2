"""Mixers of tokens and channels."""

from __future__ import annotations

import torch
from torch import nn

from tests.zoo.networks.blocks import (
    Image,
    named,
)


class MlpBlock(nn.Module):
    """The block of a mixer."""

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


CASES = named(
    "Mixers",
    ("MLP-Mixer", lambda: Mixer(8, 4, 8), (3, 8, 8)),
    ("ConvMixer", lambda: conv_mixer(6), (3, 8, 8)),
)
