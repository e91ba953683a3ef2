"""Networks for small devices: depthwise convolutions, gates, cheap channels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from tests.zoo.networks.blocks import (
    Conv2dNormActivation,
    Image,
    InvertedResidual,
    SqueezeExcitation,
    make_divisible,
    named,
)


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
            outputs = make_divisible(base * width / 32)
            for index in range(repeats):
                now = stride if index == 0 else 1
                features.append(InvertedResidual(channels, outputs, expand, stride=now))
                channels = outputs
        last = make_divisible(4 * channels)
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
            return make_divisible(base * width / 16)

        def excitation(hidden: int) -> nn.Module:
            return SqueezeExcitation(
                hidden, make_divisible(hidden // 4), scale_activation=nn.Hardsigmoid
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
            outputs = make_divisible(base * width / 32)
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


class GhostModule(nn.Module):
    """Cheap channels beside dear ones, of which as many are kept as are wanted."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.outputs, initial = outputs, -(-outputs // 2)
        self.primary_conv = Conv2dNormActivation(inputs, initial, 1)
        self.cheap_operation = Conv2dNormActivation(initial, initial, 3, groups=initial)

    def forward(self, x: Image) -> Image:
        """The channels that are wanted."""
        x1 = self.primary_conv(x)
        x2 = self.cheap_operation(x1)
        return torch.cat([x1, x2], dim=1)[:, : self.outputs, :, :]


def _ghost_net() -> nn.Module:
    return nn.Sequential(GhostModule(3, 7), GhostModule(7, 6), nn.Conv2d(6, 4, 8))


class Fomo(nn.Module):
    """Objects by their centres: a grid of scores, of an eighth of the image."""

    def __init__(self, width: int = 16, classes: int = 3) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            Conv2dNormActivation(3, width, stride=2, activation=nn.ReLU6),
            InvertedResidual(width, width, 6, stride=2),
            InvertedResidual(width, 2 * width, 6, stride=2),
            InvertedResidual(2 * width, 2 * width, 6),
        )
        self.head = nn.Sequential(nn.Conv2d(2 * width, 32, 1), nn.ReLU(), nn.Conv2d(32, classes, 1))

    def forward(self, x: Image) -> Image:
        """Scores of each cell."""
        return self.head(self.backbone(x))


CASES = named(
    "Mobile networks",
    ("MobileNetV2", lambda: MobileNetV2(8), (3, 32, 32)),
    ("MobileNetV3-small", lambda: MobileNetV3(8), (3, 32, 32)),
    ("EfficientNet-lite0", lambda: EfficientNet(8), (3, 16, 16)),
    ("EfficientNet-B0", lambda: EfficientNet(8, lite=False), (3, 16, 16)),
    ("GhostNet", _ghost_net, (3, 8, 8)),
    ("FOMO", lambda: Fomo(4), (3, 16, 16)),
)
