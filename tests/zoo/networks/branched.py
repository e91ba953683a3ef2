"""Networks whose branches are concatenated: Fire, shuffled halves, dense blocks, Inception."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo.networks.blocks import (
    Image,
    named,
)


class Fire(nn.Module):
    """The block of SqueezeNet."""

    def __init__(self, inputs: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeeze, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze, expand, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze, expand, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Image) -> Image:
        """Squeezed, expanded twice."""
        x = self.squeeze_activation(self.squeeze(x))
        return torch.cat(
            [
                self.expand1x1_activation(self.expand1x1(x)),
                self.expand3x3_activation(self.expand3x3(x)),
            ],
            1,
        )


class SqueezeNet(nn.Module):
    """SqueezeNet 1.1: pools with ceil_mode, a convolution as the classifier."""

    def __init__(self, width: int = 64, classes: int = 10) -> None:
        super().__init__()
        small = max(2, width // 4)
        self.features = nn.Sequential(
            nn.Conv2d(3, width, kernel_size=3, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
            Fire(width, small, width),
            Fire(2 * width, small, width),
            nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True),
            Fire(2 * width, 2 * small, 2 * width),
        )
        self.classifier = nn.Sequential(
            nn.Dropout(p=0.5),
            nn.Conv2d(4 * width, classes, kernel_size=1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
        )
        # Without batch norms, PyTorch's own draw of weights lets the signal die on its way.
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.constant_(module.bias, 0)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        return torch.flatten(self.classifier(self.features(x)), 1)


def channel_shuffle(x: Image, groups: int) -> Image:
    """As torchvision has it."""
    batchsize, num_channels, height, width = x.size()
    channels_per_group = num_channels // groups
    x = x.view(batchsize, groups, channels_per_group, height, width)
    x = torch.transpose(x, 1, 2).contiguous()
    return x.view(batchsize, num_channels, height, width)


class ShuffleUnit(nn.Module):
    """The block of ShuffleNetV2."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        self.stride = stride
        half = outputs // 2
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                self.depthwise_conv(inputs, inputs, 3, stride, padding=1),
                nn.BatchNorm2d(inputs),
                nn.Conv2d(inputs, half, 1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(inplace=True),
            )
        first = inputs if stride > 1 else half
        self.branch2 = nn.Sequential(
            nn.Conv2d(first, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            self.depthwise_conv(half, half, 3, stride, padding=1),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def depthwise_conv(i: int, o: int, kernel: int, stride: int = 1, padding: int = 0) -> nn.Conv2d:
        """One filter a channel."""
        return nn.Conv2d(i, o, kernel, stride, padding, bias=False, groups=i)

    def forward(self, x: Image) -> Image:
        """Split, or not, and shuffled."""
        if self.stride == 1:
            x1, x2 = x.chunk(2, dim=1)
            out = torch.cat((x1, self.branch2(x2)), dim=1)
        else:
            out = torch.cat((self.branch1(x), self.branch2(x)), dim=1)
        return channel_shuffle(out, 2)


class ShuffleNetV2(nn.Module):
    """Two stages of units, named by attributes."""

    stage2: nn.Sequential
    stage3: nn.Sequential

    def __init__(self, width: int = 24, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv2d(3, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
        )
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        inputs = width
        for name, repeats, outputs in (("stage2", 2, 2 * width), ("stage3", 1, 4 * width)):
            units = [ShuffleUnit(inputs, outputs, 2)]
            units += [ShuffleUnit(outputs, outputs, 1) for _ in range(repeats)]
            setattr(self, name, nn.Sequential(*units))
            inputs = outputs
        self.conv5 = nn.Sequential(
            nn.Conv2d(inputs, 8 * width, 1, bias=False), nn.BatchNorm2d(8 * width), nn.ReLU(True)
        )
        self.fc = nn.Linear(8 * width, classes)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = self.maxpool(self.conv1(x))
        x = self.conv5(self.stage3(self.stage2(x)))
        x = x.mean([2, 3])  # globalpool
        return self.fc(x)


class DenseLayer(nn.Module):
    """The layer of DenseNet: what was made so far comes as a list."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.relu1 = nn.BatchNorm2d(inputs), nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inputs, 2 * growth, kernel_size=1, bias=False)
        self.norm2, self.relu2 = nn.BatchNorm2d(2 * growth), nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(2 * growth, growth, kernel_size=3, padding=1, bias=False)

    def bn_function(self, inputs: list[Image]) -> Image:
        """The bottleneck."""
        return self.conv1(self.relu1(self.norm1(torch.cat(inputs, 1))))

    def forward(self, features: Image | list[Image]) -> Image:
        """New channels."""
        prev = [features] if isinstance(features, torch.Tensor) else features
        return self.conv2(self.relu2(self.norm2(self.bn_function(prev))))


class DenseBlock(nn.ModuleDict):
    """Layers, each of which reads all before."""

    def __init__(self, layers: int, inputs: int, growth: int) -> None:
        super().__init__()
        for index in range(layers):
            self.add_module(f"denselayer{index + 1}", DenseLayer(inputs + index * growth, growth))

    def forward(self, init_features: Image) -> Image:
        """All channels."""
        features = [init_features]
        for _, layer in self.items():
            features.append(layer(features))
        return torch.cat(features, 1)


class DenseNet(nn.Module):
    """Two blocks and a transition."""

    def __init__(self, width: int = 32, classes: int = 10) -> None:
        super().__init__()
        growth = width // 2
        self.features = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1, bias=False),
            DenseBlock(2, width, growth),
            nn.BatchNorm2d(width + 2 * growth),
            nn.ReLU(inplace=True),
            nn.Conv2d(width + 2 * growth, width, 1, bias=False),
            nn.AvgPool2d(2),
            DenseBlock(2, width, growth),
            nn.BatchNorm2d(width + 2 * growth),
        )
        self.classifier = nn.Linear(width + 2 * growth, classes)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        out = F.relu(self.features(x), inplace=True)
        out = F.adaptive_avg_pool2d(out, (1, 1))
        return self.classifier(torch.flatten(out, 1))


class BasicConv2d(nn.Module):
    """The convolution of Inception."""

    def __init__(self, inputs: int, outputs: int, **kwargs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, x: Image) -> Image:
        """A convolution, normalized."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches side by side."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.branch1 = BasicConv2d(inputs, width, kernel_size=1)
        self.branch2 = nn.Sequential(
            BasicConv2d(inputs, width, kernel_size=1),
            BasicConv2d(width, width, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            BasicConv2d(inputs, width, kernel_size=1),
            BasicConv2d(width, width, kernel_size=5, padding=2),
        )
        self.branch_pool = BasicConv2d(inputs, width, kernel_size=1)

    def _forward(self, x: Image) -> list[Image]:
        pooled = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)
        return [self.branch1(x), self.branch2(x), self.branch3(x), self.branch_pool(pooled)]

    def forward(self, x: Image) -> Image:
        """All branches."""
        return torch.cat(self._forward(x), 1)


class GoogLeNet(nn.Module):
    """A stem and two Inception modules."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()
        self.stem = BasicConv2d(3, width, kernel_size=3, stride=2, padding=1)
        self.inception3a = Inception(width, width)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.inception3b = Inception(4 * width, width)
        self.dropout, self.fc = nn.Dropout(0.2), nn.Linear(4 * width, classes)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = self.inception3b(self.maxpool(self.inception3a(self.stem(x))))
        x = F.avg_pool2d(x, kernel_size=x.shape[2:])
        return self.fc(self.dropout(x.view(x.shape[0], -1)))


CASES = named(
    "Concatenating networks",
    ("SqueezeNet", lambda: SqueezeNet(8), (3, 24, 24)),
    ("ShuffleNetV2", lambda: ShuffleNetV2(4), (3, 32, 32)),
    ("DenseNet", lambda: DenseNet(4), (3, 8, 8)),
    ("GoogLeNet", lambda: GoogLeNet(4), (3, 12, 12)),
)
