"""LeNet, VGG and residual networks."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.networks.blocks import (
    Conv2dNormActivation,
    Image,
    named,
)


class LeNet(nn.Module):
    """As the first tutorials have it."""

    def __init__(self, width: int = 6, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 5)
        self.conv2 = nn.Conv2d(width, 2 * width, 5)
        self.fc1 = nn.Linear(2 * width * 4 * 4, 8 * width)
        self.fc2 = nn.Linear(8 * width, classes)

    def num_flat_features(self, x: Image) -> int:
        """The features of a sample."""
        size = x.size()[1:]
        features = 1
        for s in size:
            features *= s
        return features

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = F.max_pool2d(F.relu(self.conv1(x)), (2, 2))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        x = x.view(-1, self.num_flat_features(x))
        return self.fc2(F.relu(self.fc1(x)))


class VGG(nn.Module):
    """Layers by a list of numbers and 'M'."""

    def __init__(self, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for value in (width, "M", 2 * width, "M", 4 * width, 4 * width, "M"):
            if value == "M":
                layers += [nn.MaxPool2d(kernel_size=2, stride=2)]
            else:
                conv2d = nn.Conv2d(inputs, int(value), kernel_size=3, padding=1)
                layers += [conv2d, nn.BatchNorm2d(int(value)), nn.ReLU(inplace=True)]
                inputs = int(value)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Linear(inputs * 4, 8 * width),
            nn.ReLU(True),
            nn.Dropout(),
            nn.Linear(8 * width, classes),
        )

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = self.features(x)
        x = x.view(x.size(0), -1)
        return self.classifier(x)


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


def _rep_vgg() -> nn.Module:
    blocks = [Conv2dNormActivation(3, 6, stride=2), RepVGGBlock(6), RepVGGBlock(6)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))


class BasicBlock(nn.Module):
    """The block of ResNet-18."""

    expansion: int = 1

    def __init__(
        self, inplanes: int, planes: int, stride: int = 1, downsample: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inplanes, planes, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Image) -> Image:
        """Two convolutions and a shortcut."""
        identity = x
        out = self.conv1(x)
        out = self.bn1(out)
        out = self.relu(out)
        out = self.conv2(out)
        out = self.bn2(out)
        if self.downsample is not None:
            identity = self.downsample(x)
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """ResNet-18 with its stem, for ``width`` channels of the first layer."""

    def __init__(self, layers: Sequence[int] = (2, 2, 2, 2), width: int = 64, classes: int = 10):
        super().__init__()
        self.inplanes = width
        self.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(width, layers[0])
        self.layer2 = self._make_layer(2 * width, layers[1], stride=2)
        self.layer3 = self._make_layer(4 * width, layers[2], stride=2)
        self.layer4 = self._make_layer(8 * width, layers[3], stride=2)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(8 * width * BasicBlock.expansion, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def _make_layer(self, planes: int, blocks: int, stride: int = 1) -> nn.Sequential:
        downsample = None
        if stride != 1 or self.inplanes != planes:
            downsample = nn.Sequential(
                nn.Conv2d(self.inplanes, planes, 1, stride, bias=False), nn.BatchNorm2d(planes)
            )
        layers = [BasicBlock(self.inplanes, planes, stride, downsample)]
        self.inplanes = planes
        layers += [BasicBlock(planes, planes) for _ in range(1, blocks)]
        return nn.Sequential(*layers)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.fc(x)


class ResNet8(nn.Module):
    """A residual network whose average is as large as its image."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width)
        self.stack = nn.ModuleList(
            BasicBlock(
                inputs,
                outputs,
                2 if inputs != outputs else 1,
                nn.Conv2d(inputs, outputs, 1, 2) if inputs != outputs else None,
            )
            for inputs, outputs in ((width, width), (width, 2 * width), (2 * width, 4 * width))
        )
        self.fc = nn.Linear(4 * width, classes)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = F.relu(self.bn(self.conv(x)))
        for block in self.stack:
            x = block(x)
        x = F.avg_pool2d(x, x.size()[3])
        return self.fc(x.view(x.size(0), -1))


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


CASES = named(
    "LeNet, VGG and ResNet",
    ("LeNet", lambda: LeNet(4), (1, 28, 28)),
    ("VGG", lambda: VGG(4), (3, 16, 16)),
    ("RepVGG", _rep_vgg, (3, 8, 8)),
    ("ResNet-18", lambda: ResNet(width=4), (3, 32, 32)),
    ("ResNet-8", lambda: ResNet8(4), (3, 8, 8)),
    ("SE-ResNet", lambda: SEResNet(6), (3, 8, 8)),
)
