"""Image classifiers and their kin, written as authors and torchvision write them, scaled down.

Each factory takes a width, the number of channels of its first layer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import nn

from tests.zoo import Case

Image = torch.Tensor


class BasicBlock(nn.Module):
    """Of ResNet-18."""

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


def _make_divisible(value: float, divisor: int = 4, min_value: int | None = None) -> int:
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
    """Of MobileNetV2, MobileNetV3 and EfficientNet."""

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
        hidden = _make_divisible(inputs * expand)
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


class MobileNetV2(nn.Module):
    """Expansion, channels, repeats and stride of each stage as in the paper."""

    def __init__(self, width: int = 32, classes: int = 10) -> None:
        super().__init__()
        setting = [(1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 2, 2), (6, 64, 1, 2), (6, 96, 1, 1)]
        channels = width
        features: list[nn.Module] = [
            Conv2dNormActivation(3, channels, stride=2, activation=nn.ReLU6)
        ]
        for expand, base, repeats, stride in setting:
            outputs = _make_divisible(base * width / 32)
            for index in range(repeats):
                now = stride if index == 0 else 1
                features.append(InvertedResidual(channels, outputs, expand, stride=now))
                channels = outputs
        last = _make_divisible(4 * channels)
        features.append(Conv2dNormActivation(channels, last, 1, activation=nn.ReLU6))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(p=0.2), nn.Linear(last, classes))

    def _forward_impl(self, x: Image) -> torch.Tensor:
        x = self.features(x)
        x = nn.functional.adaptive_avg_pool2d(x, (1, 1)).reshape(x.shape[0], -1)
        return self.classifier(x)

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        return self._forward_impl(x)


class MobileNetV3(nn.Module):
    """MobileNetV3-small: Hardswish, squeeze-and-excite by Hardsigmoid."""

    def __init__(self, width: int = 16, classes: int = 10) -> None:
        super().__init__()

        def channels(base: int) -> int:
            return _make_divisible(base * width / 16)

        def excitation(hidden: int) -> nn.Module:
            return SqueezeExcitation(
                hidden, _make_divisible(hidden // 4), scale_activation=nn.Hardsigmoid
            )

        first, second, third, fourth = (channels(base) for base in (16, 24, 40, 48))
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, stride=2, activation=nn.Hardswish),
            InvertedResidual(first, first, 1, 3, 2, nn.ReLU, excitation),
            InvertedResidual(first, second, 4.5, 3, 2, nn.ReLU),
            InvertedResidual(second, second, 3.67, 3, 1, nn.ReLU),
            InvertedResidual(second, third, 4, 5, 1, nn.Hardswish, excitation),
            InvertedResidual(third, third, 6, 5, 1, nn.Hardswish, excitation),
            InvertedResidual(third, fourth, 3, 5, 1, nn.Hardswish, excitation),
            Conv2dNormActivation(fourth, 6 * fourth, 1, activation=nn.Hardswish),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * fourth, 4 * fourth),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=0.2, inplace=True),
            nn.Linear(4 * fourth, classes),
        )

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        x = self.features(x)
        x = self.avgpool(x)
        x = torch.flatten(x, 1)
        return self.classifier(x)


class EfficientNet(nn.Module):
    """EfficientNet-lite0 (ReLU6), or B0 with SiLU and squeeze-and-excite."""

    def __init__(self, width: int = 32, lite: bool = True, classes: int = 10) -> None:
        super().__init__()
        activation: Callable[..., nn.Module] = nn.ReLU6 if lite else nn.SiLU

        def excitation(hidden: int) -> nn.Module:
            return SqueezeExcitation(hidden, max(1, hidden // 6), activation=nn.SiLU)

        setting = [(1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 1), (6, 3, 1, 80, 1)]
        channels = width
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, channels, stride=2, activation=activation)
        ]
        for expand, kernel, stride, base, repeats in setting:
            outputs = _make_divisible(base * width / 32)
            stage: list[nn.Module] = []
            for _ in range(repeats):
                gate = None if lite else excitation
                now = stride if not stage else 1
                stage.append(
                    InvertedResidual(channels, outputs, expand, kernel, now, activation, gate)
                )
                channels = outputs
            layers.append(nn.Sequential(*stage))
        layers.append(Conv2dNormActivation(channels, 4 * channels, 1, activation=activation))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(nn.Dropout(0.2, True), nn.Linear(4 * channels, classes))

    def forward(self, x: Image) -> torch.Tensor:
        """Scores."""
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


class Fire(nn.Module):
    """Of SqueezeNet."""

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
    """Of ShuffleNetV2."""

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
    """Of DenseNet: what was made so far comes as a list."""

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
    """Of Inception."""

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


class LeNet(nn.Module):
    """As the first tutorials have it."""

    def __init__(self, width: int = 6, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, width, 5)
        self.conv2 = nn.Conv2d(width, 2 * width, 5)
        self.fc1 = nn.Linear(2 * width * 4 * 4, 8 * width)
        self.fc2 = nn.Linear(8 * width, classes)

    def num_flat_features(self, x: Image) -> int:
        """Of a sample."""
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


CASES = [
    Case(name=name, kind="Image networks", make=make, shapes=(shape,))
    for name, make, shape in (
        ("ResNet-18", lambda: ResNet(width=4), (3, 32, 32)),
        ("ResNet-8", lambda: ResNet8(4), (3, 8, 8)),
        ("MobileNetV2", lambda: MobileNetV2(8), (3, 32, 32)),
        ("MobileNetV3-small", lambda: MobileNetV3(8), (3, 32, 32)),
        ("EfficientNet-lite0", lambda: EfficientNet(8), (3, 16, 16)),
        ("EfficientNet-B0", lambda: EfficientNet(8, lite=False), (3, 16, 16)),
        ("SqueezeNet", lambda: SqueezeNet(8), (3, 24, 24)),
        ("ShuffleNetV2", lambda: ShuffleNetV2(4), (3, 32, 32)),
        ("DenseNet", lambda: DenseNet(4), (3, 8, 8)),
        ("GoogLeNet", lambda: GoogLeNet(4), (3, 12, 12)),
        ("VGG", lambda: VGG(4), (3, 16, 16)),
        ("LeNet", lambda: LeNet(4), (1, 28, 28)),
    )
]
