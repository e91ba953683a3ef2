"""One small model for each layer and each way of writing it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo import Case

Forward = Callable[[torch.Tensor], torch.Tensor]


class Between(nn.Module):
    """A convolution, an operation of interest, a second convolution of ``channels`` to 4."""

    def __init__(self, forward: Forward, channels: int = 8, first: nn.Module | None = None) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1) if first is None else first
        self.second = nn.Conv2d(channels, 4, 3)
        self.of_interest = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of 3 channels."""
        return self.second(self.of_interest(self.first(x)))


def between(*modules: nn.Module, channels: int = 8) -> Callable[[], nn.Module]:
    """A model in which the modules stand between two convolutions."""
    last = nn.Conv2d(channels, 4, 3)
    return lambda: nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), *modules, last)


def written(forward: Forward, channels: int = 8) -> Callable[[], nn.Module]:
    """A model in which a function stands between two convolutions."""
    return lambda: Between(forward, channels)


def convolution(**arguments: object) -> Callable[[], nn.Module]:
    """A model of one convolution after a ReLU."""
    first = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
    return lambda: nn.Sequential(first, nn.Conv2d(8, 8, **arguments))


ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "ReLU": between(nn.ReLU()),
    "ReLU6": between(nn.ReLU6()),
    "Hardtanh": between(nn.Hardtanh()),
    "LeakyReLU": between(nn.LeakyReLU(0.1)),
    "PReLU, one slope": between(nn.PReLU()),
    "PReLU, a slope for each channel": between(nn.PReLU(8)),
    "Sigmoid": between(nn.Sigmoid()),
    "Tanh": between(nn.Tanh()),
    "Hardswish": between(nn.Hardswish()),
    "Hardsigmoid": between(nn.Hardsigmoid()),
    "SiLU": between(nn.SiLU()),
    "GELU": between(nn.GELU()),
    "GELU, tanh": between(nn.GELU("tanh")),
    "ELU": between(nn.ELU()),
    "SELU": between(nn.SELU()),
    "CELU": between(nn.CELU()),
    "Softplus": between(nn.Softplus()),
    "Softsign": between(nn.Softsign()),
    "Mish": between(nn.Mish()),
    "LogSigmoid": between(nn.LogSigmoid()),
    "Hardshrink": between(nn.Hardshrink()),
    "Softshrink": between(nn.Softshrink()),
    "Tanhshrink": between(nn.Tanhshrink()),
    "Threshold": between(nn.Threshold(0.1, 0.0)),
    "F.leaky_relu": written(lambda x: F.leaky_relu(x, 0.2)),
    "F.silu": written(F.silu),
    "F.gelu": written(F.gelu),
    "F.hardswish": written(F.hardswish),
    "F.softplus": written(F.softplus),
    "x.sigmoid()": written(lambda x: x.sigmoid()),
    "torch.tanh": written(torch.tanh),
    "x * sigmoid(x)": written(lambda x: x * torch.sigmoid(x)),
    "x * relu6(x + 3) / 6": written(lambda x: x * F.relu6(x + 3) / 6),
    "clamp(0, 4)": written(lambda x: x.clamp(0, 4)),
    "clip(min=0)": written(lambda x: torch.clip(x, min=0)),
    "Softmax inside": between(nn.Softmax(1)),
}
CONVOLUTIONS: dict[str, Callable[[], nn.Module]] = {
    "Conv2d, 3 × 3": convolution(kernel_size=3),
    "Conv2d, stride 2, padding": convolution(kernel_size=3, stride=2, padding=1),
    "Conv2d, 1 × 1": convolution(kernel_size=1),
    "Conv2d, 2 × 5": convolution(kernel_size=(2, 5), padding=(0, 2)),
    "Conv2d, dilation": convolution(kernel_size=3, dilation=2),
    "Conv2d, groups": convolution(kernel_size=3, groups=4),
    "Conv2d, depthwise": convolution(kernel_size=3, groups=8, padding=1),
    "Conv2d, same": convolution(kernel_size=3, padding="same"),
    "Conv2d, same, even kernel": convolution(kernel_size=4, padding="same"),
    "Conv2d, padding_mode reflect": convolution(kernel_size=3, padding=1, padding_mode="reflect"),
    "Conv2d, padding_mode replicate": convolution(
        kernel_size=3, padding=1, padding_mode="replicate"
    ),
    "Conv2d, padding_mode circular": convolution(kernel_size=3, padding=1, padding_mode="circular"),
    "ConvTranspose2d, 2 × 2, stride 2": between(nn.ReLU(), nn.ConvTranspose2d(8, 8, 2, 2)),
    "ConvTranspose2d, 4 × 4, stride 2": between(nn.ReLU(), nn.ConvTranspose2d(8, 8, 4, 2, 1)),
    "ConvTranspose2d, output_padding": between(
        nn.ReLU(), nn.ConvTranspose2d(8, 8, 3, 2, 1, output_padding=1)
    ),
    "ConvTranspose2d, groups": between(nn.ReLU(), nn.ConvTranspose2d(8, 8, 3, 2, 1, groups=2)),
}
POOLS: dict[str, Callable[[], nn.Module]] = {
    "MaxPool2d": between(nn.ReLU(), nn.MaxPool2d(2)),
    "MaxPool2d, overlapping, padding": between(nn.ReLU(), nn.MaxPool2d(3, 2, 1)),
    "MaxPool2d, ceil_mode": between(nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
    "MaxPool2d, dilation": between(nn.ReLU(), nn.MaxPool2d(2, 1, dilation=2)),
    "AvgPool2d": between(nn.ReLU(), nn.AvgPool2d(2)),
    "AvgPool2d, padding": between(nn.ReLU(), nn.AvgPool2d(3, 2, 1)),
    "AvgPool2d, count_include_pad=False": between(
        nn.ReLU(), nn.AvgPool2d(3, 2, 1, count_include_pad=False)
    ),
    "AvgPool2d, ceil_mode": between(nn.ReLU(), nn.AvgPool2d(3, 2, ceil_mode=True)),
    "AvgPool2d, divisor_override": between(nn.ReLU(), nn.AvgPool2d(2, divisor_override=3)),
    "AdaptiveAvgPool2d(4)": between(nn.ReLU(), nn.AdaptiveAvgPool2d(4)),
    "AdaptiveAvgPool2d((4, 8))": between(nn.ReLU(), nn.AdaptiveAvgPool2d((4, 8))),
    "AdaptiveMaxPool2d(4)": between(nn.ReLU(), nn.AdaptiveMaxPool2d(4)),
    "ZeroPad2d": between(nn.ReLU(), nn.ZeroPad2d((1, 2, 0, 1))),
    "ReflectionPad2d": between(nn.ReLU(), nn.ReflectionPad2d(1)),
    "ReplicationPad2d": between(nn.ReLU(), nn.ReplicationPad2d(2)),
    "F.pad, one-sided": written(lambda x: F.pad(F.relu(x), (0, 1, 0, 1))),
}
SHAPES: dict[str, Callable[[], nn.Module]] = {
    "Upsample, nearest": between(nn.ReLU(), nn.Upsample(scale_factor=2)),
    "Upsample, bilinear": between(
        nn.ReLU(), nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
    ),
    "F.interpolate to a size": written(
        lambda x: F.interpolate(x, size=(x.shape[2] * 2, x.shape[3] * 2))
    ),
    "PixelShuffle": between(nn.ReLU(), nn.PixelShuffle(2), channels=2),
    "PixelUnshuffle": between(nn.ReLU(), nn.PixelUnshuffle(2), channels=32),
    "ChannelShuffle": between(nn.ReLU(), nn.ChannelShuffle(2)),
    "channel shuffle by view and transpose": written(
        lambda x: x.view(len(x), 2, 4, *x.shape[2:]).transpose(1, 2).flatten(1, 2)
    ),
    "chunk": written(lambda x: x.chunk(2, 1)[1], channels=4),
    "split": written(lambda x: x.split([2, 6], dim=1)[1], channels=6),
    "slices of channels": written(lambda x: x[:, ::2], channels=4),
    "crop": written(lambda x: x[:, :, 1:-1, 2:]),
    "flip": written(lambda x: x.flip(3)),
    "torch.cat": written(lambda x: torch.cat([x, F.relu(x)], 1), channels=16),
    "torch.cat along rows": written(lambda x: torch.cat([x, F.relu(x)], 2)),
}
ARITHMETIC: dict[str, Callable[[], nn.Module]] = {
    "x + y": written(lambda x: x + F.relu(x)),
    "x - y": written(lambda x: x - F.relu(x)),
    "x * y": written(lambda x: x * F.relu(x)),
    "x * 0.5": written(lambda x: x * 0.5),
    "1 - x": written(lambda x: 1 - x),
    "-x": written(lambda x: -x),
    "x / 6 + 3": written(lambda x: x / 6 + 3),
    "squeeze and excite": written(lambda x: x * x.mean((2, 3), keepdim=True).sigmoid()),
}


def _cases(kind: str, makers: dict[str, Callable[[], nn.Module]]) -> list[Case]:
    return [Case(name=name, kind=kind, make=make) for name, make in makers.items()]


CASES = [
    *_cases("Activations", ACTIVATIONS),
    *_cases("Convolutions", CONVOLUTIONS),
    *_cases("Pools and padding", POOLS),
    *_cases("Shapes and orders", SHAPES),
    *_cases("Arithmetic", ARITHMETIC),
]
