"""Ways in which people write models: sizes, functions, subclasses, several ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, prune, weight_norm

from tests.zoo import Case

Forward = Callable[["Images", torch.Tensor], torch.Tensor]


class Images(nn.Module):
    """Two convolutions and a Linear; how they are joined is what is tried."""

    def __init__(self, forward: Forward, features: int = 8) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.fc = nn.Linear(features, 4)
        self.written = forward

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of 3 channels, 8 × 8."""
        return self.written(self, F.relu(self.norm(self.conv(x))))


def _asserted(model: Images, x: torch.Tensor) -> torch.Tensor:
    batch, channels, height, width = x.shape
    assert height == width, "square images are wanted"
    assert x.dim() == 4
    pooled = F.avg_pool2d(x, (height // 2, width // 2))
    return model.fc(pooled.view(batch, channels * 4))


def _pooled_by_size(model: Images, x: torch.Tensor) -> torch.Tensor:
    return model.fc(F.avg_pool2d(x, x.shape[2:]).flatten(1))


def _branching(model: Images, x: torch.Tensor) -> torch.Tensor:
    if x.shape[-1] > 4:
        x = F.max_pool2d(x, 2)
    return model.fc(x.contiguous().float().mean(dim=(-2, -1)))


FORWARDS: dict[str, tuple[Forward, int]] = {
    "view(b, c * h * w)": (
        lambda m, x: m.fc(x.view(x.size(0), x.size(1) * x.size(2) * x.size(3))),
        512,
    ),
    "view(len(x), -1)": (lambda m, x: m.fc(x.view(len(x), -1)), 512),
    "reshape(-1, features)": (lambda m, x: m.fc(x.reshape(-1, 512)), 512),
    "torch.flatten(x, 1)": (lambda m, x: m.fc(torch.flatten(x, 1)), 512),
    "avg_pool2d(x, x.shape[2:])": (_pooled_by_size, 8),
    "mean([2, 3])": (lambda m, x: m.fc(x.mean([2, 3])), 8),
    "mean, then squeeze": (
        lambda m, x: m.fc(x.mean(3, keepdim=True).mean(2, keepdim=True).squeeze(3).squeeze(2)),
        8,
    ),
    "adaptive_avg_pool2d, squeeze": (
        lambda m, x: m.fc(F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)),
        8,
    ),
    "asserts on shapes": (_asserted, 32),
    "branches on shapes": (_branching, 8),
    "clamp between 0 and 1": (lambda m, x: m.fc(x.clamp(0, 1).flatten(1)), 512),
    "unsqueeze, squeeze": (
        lambda m, x: m.fc(x.mean((2, 3)).unsqueeze(1).squeeze(1)),
        8,
    ),
}


class Swish(nn.SiLU):
    """A subclass whose forward is its parent's."""


class MyConv(nn.Conv2d):
    """A subclass with a constructor of its own."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 3, padding=1)


class Functions(nn.Module):
    """Functions of the model's own parameters."""

    def __init__(self) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.randn(8, 3, 3, 3) / 5)
        self.matrix = nn.Parameter(torch.randn(4, 8) / 3)
        self.bias = nn.Parameter(torch.randn(4) / 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of 3 channels."""
        x = F.relu(F.conv2d(x, self.kernel, stride=2, padding=1))
        return F.linear(x.mean((2, 3)), self.matrix, self.bias)


class Optional(nn.Module):
    """An argument that is left at its default."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.blocks = nn.ModuleList([nn.Conv2d(4, 4, 1) for _ in range(2)])

    def forward(self, x: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        """Images of 3 channels."""
        x = F.relu(self.conv(x))
        for block in self.blocks:
            x = F.relu(block(x))
        return x if mask is None else x * mask


class Shared(nn.Module):
    """One layer, used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, padding=1)
        self.last = nn.Conv2d(6, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of 3 channels."""
        x = F.relu(self.first(x))
        return self.last(F.relu(self.shared(F.relu(self.shared(x)))))


def _pruned() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
    prune.l1_unstructured(model[0], "weight", amount=0.5)
    return model


def _normalized(how: Callable[[nn.Module], nn.Module]) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(how(nn.Conv2d(3, 8, 3)), nn.ReLU(), nn.Conv2d(8, 4, 3))


class Scaled(nn.Module):
    """Arithmetic on the input, in front of everything else."""

    mean: torch.Tensor

    def __init__(self, scale: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.scale, self.conv = scale, nn.Conv2d(3, 4, 3)
        self.register_buffer("mean", torch.tensor([0.1, 0.2, 0.3]).view(3, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of 3 channels."""
        return self.conv(self.scale(x))


class Centred(Scaled):
    """A mean for each channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of 3 channels."""
        return self.conv((x - self.mean) / 0.25)


class Position(nn.Module):
    """A learned value for each pixel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.last = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 2, 1)
        self.position = nn.Parameter(torch.randn(1, 4, 8, 8))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Images of 3 channels."""
        return self.last(F.relu(self.conv(x) + self.position))


class Pair(NamedTuple):
    """Two results."""

    scores: torch.Tensor
    box: torch.Tensor


class TwoEnds(nn.Module):
    """Two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.vector = nn.Conv2d(3, 6, 3, stride=2), nn.Linear(5, 6)
        self.classes, self.box = nn.Linear(6, 3), nn.Linear(6, 4)

    def features(self, image: torch.Tensor, vector: torch.Tensor) -> torch.Tensor:
        """The features of both."""
        return F.relu(F.relu(self.image(image)).mean((2, 3)) + F.relu(self.vector(vector)))

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> object:
        """An image and a vector."""
        x = self.features(image, vector)
        return self.classes(x), self.box(x)


class Named(TwoEnds):
    """A dictionary of outputs."""

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> object:
        """An image and a vector."""
        x = self.features(image, vector)
        return {"classes": self.classes(x), "box": self.box(x)}


class AsTuple(TwoEnds):
    """A named tuple of outputs."""

    def forward(self, image: torch.Tensor, vector: torch.Tensor) -> object:
        """An image and a vector."""
        x = self.features(image, vector)
        return Pair(self.classes(x), self.box(x))


class Difference(nn.Module):
    """Two images through one shared layer, as in a Siamese network."""

    def __init__(self) -> None:
        super().__init__()
        self.shared, self.last = nn.Conv2d(3, 6, 3, stride=2), nn.Conv2d(6, 2, 1)

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        """Two images."""
        return self.last(F.relu(self.shared(first)) - F.relu(self.shared(second)))


MODELS: dict[str, Callable[[], nn.Module]] = {
    "a subclass of SiLU": lambda: nn.Sequential(nn.Conv2d(3, 4, 3), Swish(), nn.Conv2d(4, 2, 1)),
    "a subclass of Conv2d": lambda: nn.Sequential(MyConv(3, 4), nn.ReLU(), MyConv(4, 2)),
    "functions of own parameters": Functions,
    "an argument at its default": Optional,
    "a layer used twice": Shared,
    "pruned weights": _pruned,
    "weight_norm": _normalized(weight_norm),
    "weight_norm, parametrized": _normalized(parametrizations.weight_norm),
    "spectral_norm": _normalized(parametrizations.spectral_norm),
    "BatchNorm2d(momentum=None)": lambda: nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, momentum=None), nn.ReLU(), nn.Conv2d(8, 4, 3)
    ),
    "x / 255": lambda: Scaled(lambda x: x / 255),
    "2 * x - 1": lambda: Scaled(lambda x: 2 * x - 1),
    "(x - mean) / std by channel": lambda: Centred(lambda x: x),
    "a value for each pixel": Position,
    "torch.argmax": lambda: Images(lambda m, x: m.fc(x.mean((2, 3))).argmax(1)),
    "topk": lambda: Images(lambda m, x: m.fc(x.mean((2, 3))).topk(2).indices),
    "TransformerEncoderLayer": lambda: nn.TransformerEncoderLayer(8, 2, 16),
}
ENDS: dict[str, tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]] = {
    "two inputs, a tuple": (TwoEnds, ((3, 8, 8), (5,))),
    "two inputs, a dictionary": (Named, ((3, 8, 8), (5,))),
    "two inputs, a named tuple": (AsTuple, ((3, 8, 8), (5,))),
    "two images, a shared layer": (Difference, ((3, 8, 8), (3, 8, 8))),
}


def _written(forward: Forward, features: int) -> Callable[[], nn.Module]:
    return lambda: Images(forward, features)


CASES = [
    *(
        Case(name=name, kind="Sizes", make=_written(forward, features))
        for name, (forward, features) in FORWARDS.items()
    ),
    *(Case(name=name, kind="Ways of writing", make=make) for name, make in MODELS.items()),
    *(
        Case(name=name, kind="Several ends", make=make, shapes=shapes)
        for name, (make, shapes) in ENDS.items()
    ),
]
