"""The paper's networks for images (VecQ, section 6.1.1), in plain torch.

All are conv - batch norm - ReLU, so that integers meet the convolutions; where the paper lets the
image size be, it may be any that survives the pools.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import nn

from vecq_hw.errors import VecqError


def lenet5(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """32C5-BN-MP2-64C5-BN-MP2-512FC-BN-10, each BN followed by a ReLU; 1,663,370 weights on MNIST.

    Parameters
    ----------
    shape : (C, H, W), at least 4 × 4
    classes : int
    """
    channels, height, width = image_shape("lenet5", shape, 4)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 32, 5, padding=2),
            bn1=nn.BatchNorm2d(32),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(32, 64, 5, padding=2),
            bn2=nn.BatchNorm2d(64),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc1=nn.Linear(64 * (height // 4) * (width // 4), 512),
            bn3=nn.BatchNorm1d(512),
            relu3=nn.ReLU(),
            fc2=nn.Linear(512, classes),
        )
    )


def vgg_like(shape: tuple[int, ...], classes: int, divisor: int = 1) -> nn.Sequential:
    """64C3-64C3-MP2-128C3-128C3-MP2-256C3-256C3-MP2-1024FC-10, a BN and a ReLU behind each layer.

    5,350,986 weights on CIFAR-10; with a ``divisor`` each layer but the last has as many times
    fewer outputs.

    Parameters
    ----------
    shape : (C, H, W), at least 8 × 8
    classes : int
    """
    channels, height, width = image_shape("vgg_like", shape, 8)
    layers: list[nn.Module] = []
    for outputs in (64 // divisor, 128 // divisor, 256 // divisor):
        layers += _conv_norm_relu(channels, outputs, bias=True)
        layers += _conv_norm_relu(outputs, outputs, bias=True)
        layers.append(nn.MaxPool2d(2))
        channels = outputs
    hidden = 1024 // divisor
    layers += [nn.Flatten(), nn.Linear(channels * (height // 8) * (width // 8), hidden)]
    layers += [nn.BatchNorm1d(hidden), nn.ReLU(), nn.Linear(hidden, classes)]
    return nn.Sequential(*layers)


def alexnet_bn(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """AlexNet in one column, with batch norms for the local response normalization.

    Its parameter count, 50.88 M with those of the batch norms, and Table 5 tell the paddings: none
    in the first convolution, which leaves 5 × 5 pixels of 224 × 224.

    Parameters
    ----------
    shape : (C, H, W), at least 67 × 67
    classes : int
    """
    channels, height, width = image_shape("alexnet_bn", shape, 67)
    sides = [((((side - 11) // 4 + 1) - 3) // 2 + 1 - 3) // 2 + 1 for side in (height, width)]
    pixels = ((sides[0] - 3) // 2 + 1) * ((sides[1] - 3) // 2 + 1)
    return nn.Sequential(
        *_conv_norm_relu(channels, 96, 11, stride=4, padding=0, bias=True),
        nn.MaxPool2d(3, 2),
        *_conv_norm_relu(96, 256, 5, bias=True),
        nn.MaxPool2d(3, 2),
        *_conv_norm_relu(256, 384, bias=True),
        *_conv_norm_relu(384, 384, bias=True),
        *_conv_norm_relu(384, 256, bias=True),
        nn.MaxPool2d(3, 2),
        nn.Flatten(),
        nn.Linear(256 * pixels, 4096),
        nn.BatchNorm1d(4096),
        nn.ReLU(),
        nn.Linear(4096, 4096),
        nn.BatchNorm1d(4096),
        nn.ReLU(),
        nn.Linear(4096, classes),
    )


class PreActivationBlock(nn.Module):
    """BN-ReLU-conv twice, and the input added; where shapes change, a 1 × 1 conv of its ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, project: bool) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.relu = nn.ReLU()
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride, bias=False) if project else None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        active = self.relu(self.bn1(x))
        identity = x if self.shortcut is None else self.shortcut(active)
        out: torch.Tensor = self.conv2(self.relu(self.bn2(self.conv1(active))))
        return out + identity


def resnet18(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """ResNet-18 with pre-activation and a projection in each of its four stages.

    So has it 21 convolutions and 19 batch norms, as Table 4 counts them (the usual one has 20 of
    each), and the sizes of Table 5.

    Parameters
    ----------
    shape : (C, H, W)
    classes : int
    """
    channels, _, _ = image_shape("resnet18", shape, 1)
    blocks: list[nn.Module] = []
    inputs = 64
    for stage, outputs in enumerate((64, 128, 256, 512)):
        stride = 1 if stage == 0 else 2
        blocks.append(PreActivationBlock(inputs, outputs, stride, project=True))
        blocks.append(PreActivationBlock(outputs, outputs, 1, project=False))
        inputs = outputs
    return nn.Sequential(
        nn.BatchNorm2d(channels),
        nn.Conv2d(channels, 64, 7, 2, 3, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(3, 2, 1),
        *blocks,
        nn.BatchNorm2d(512),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(512, classes),
    )


class BasicBlock(nn.Module):
    """Conv-BN-ReLU-conv-BN, the input added, ReLU; where shapes change, a 1 × 1 conv and BN."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if inputs != outputs or stride != 1:
            self.shortcut = nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        result: torch.Tensor = self.relu(out + self.shortcut(x))
        return result


def resnet8(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """A small ResNet for small images: one basic block each of 16, 32 and 64 channels.

    The network of the MLPerf Tiny image classification task, without biases before batch norms.

    Parameters
    ----------
    shape : (C, H, W)
    classes : int
    """
    channels, _, _ = image_shape("resnet8", shape, 1)
    return nn.Sequential(
        *_conv_norm_relu(channels, 16),
        BasicBlock(16, 16, 1),
        BasicBlock(16, 32, 2),
        BasicBlock(32, 64, 2),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(64, classes),
    )


class InvertedResidual(nn.Module):
    """1 × 1 conv to more channels, depthwise 3 × 3, linear 1 × 1 to few; the input added."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.residual = stride == 1 and inputs == outputs
        layers: list[nn.Module] = []
        if expansion != 1:
            layers += _conv_norm_relu(inputs, hidden, 1, activation=nn.ReLU6)
        layers += _conv_norm_relu(hidden, hidden, 3, stride, groups=hidden, activation=nn.ReLU6)
        layers += [nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        out: torch.Tensor = self.conv(x)
        return x + out if self.residual else out


_STAGES = (
    (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2),
    (6, 320, 1, 1),
)  # fmt: skip
"""The stages of MobileNetV2: expansion, channels, blocks, stride of the first."""


def mobilenet_v2(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """MobileNetV2 (Sandler et al., CVPR 2018, table 2), width 1.

    Parameters
    ----------
    shape : (C, H, W)
    classes : int
    """
    channels, _, _ = image_shape("mobilenet_v2", shape, 1)
    layers = _conv_norm_relu(channels, 32, 3, 2, activation=nn.ReLU6)
    inputs = 32
    for expansion, outputs, blocks, stride in _STAGES:
        for block in range(blocks):
            layers.append(InvertedResidual(inputs, outputs, stride if block == 0 else 1, expansion))
            inputs = outputs
    layers += _conv_norm_relu(inputs, 1280, 1, activation=nn.ReLU6)
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, classes)]
    return nn.Sequential(*layers)


def _conv_norm_relu(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    *,
    padding: int | None = None,
    groups: int = 1,
    bias: bool = False,
    activation: type[nn.Module] = nn.ReLU,
) -> list[nn.Module]:
    padding = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=bias)
    return [conv, nn.BatchNorm2d(outputs), activation()]


def image_shape(name: str, shape: tuple[int, ...], least: int) -> tuple[int, int, int]:
    """Channels, height and width of a sample; refuses what is no image of ``least`` pixels.

    Raises
    ------
    VecqError
        The shape has not three axes, or its height or width is less than ``least``.
    """
    if len(shape) != 3 or min(shape[1:]) < least:
        hint = "; gray images have a channel axis, too: (1, H, W)" if len(shape) == 2 else ""
        raise VecqError(
            f"the {name} takes images (C, H, W) of at least {least} × {least}, not samples of"
            f" {shape}{hint}"
        )
    channels, height, width = shape
    return channels, height, width
