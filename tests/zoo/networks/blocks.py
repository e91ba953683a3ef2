"""Blocks that networks of several families are built of, as torchvision writes them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tests.zoo import Case

Image = torch.Tensor


def make_divisible(value: float, divisor: int = 4, min_value: int | None = None) -> int:
    """The next number of channels that the divisor divides, at most a tenth smaller."""
    if min_value is None:
        min_value = divisor
    rounded = max(min_value, int(value + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * value else rounded


class Conv2dNormActivation(nn.Sequential):
    """A convolution, its batch norm and an activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        activation: Callable[..., nn.Module] | None = nn.ReLU,
        dilation: int = 1,
    ) -> None:
        padding = (kernel_size - 1) // 2 * dilation
        layers: list[nn.Module] = [
            nn.Conv2d(
                inputs, outputs, kernel_size, stride, padding, dilation, groups=groups, bias=False
            ),
            nn.BatchNorm2d(outputs, eps=0.001, momentum=0.01),
        ]
        if activation is not None:
            layers.append(activation(inplace=True))
        super().__init__(*layers)
        self.out_channels = outputs


class SqueezeExcitation(nn.Module):
    """A gate for each channel, from the mean of all."""

    def __init__(
        self,
        inputs: int,
        squeezed: int,
        activation: Callable[..., nn.Module] = nn.ReLU,
        scale_activation: Callable[..., nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(inputs, squeezed, 1)
        self.fc2 = nn.Conv2d(squeezed, inputs, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def _scale(self, x: Image) -> Image:
        scale = self.activation(self.fc1(self.avgpool(x)))
        return self.scale_activation(self.fc2(scale))

    def forward(self, x: Image) -> Image:
        """The gated image."""
        scale = self._scale(x)
        return scale * x


class InvertedResidual(nn.Module):
    """The block of MobileNetV2, MobileNetV3 and EfficientNet."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        expand: float,
        kernel: int = 3,
        stride: int = 1,
        activation: Callable[..., nn.Module] = nn.ReLU6,
        excitation: Callable[[int], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        assert stride in (1, 2), f"stride should be 1 or 2, not {stride}"
        hidden = make_divisible(inputs * expand)
        self.use_res_connect = stride == 1 and inputs == outputs
        layers: list[nn.Module] = []
        if expand != 1:
            layers.append(Conv2dNormActivation(inputs, hidden, 1, activation=activation))
        layers.append(
            Conv2dNormActivation(
                hidden, hidden, kernel, stride, groups=hidden, activation=activation
            )
        )
        if excitation is not None:
            layers.append(excitation(hidden))
        layers.append(Conv2dNormActivation(hidden, outputs, 1, activation=None))
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Image) -> Image:
        """Expanded, filtered, projected."""
        if self.use_res_connect:
            return x + self.conv(x)
        return self.conv(x)


def named(kind: str, *made: tuple[str, Callable[[], nn.Module], tuple[int, ...]]) -> list[Case]:
    """Cases of one kind, each by its name, what makes it, and the shape of a sample."""
    return [Case(name=name, kind=kind, make=make, shapes=(shape,)) for name, make, shape in made]
