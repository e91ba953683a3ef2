"""Networks with branches and the layers that came with them: lowered codes equal the trained."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.lowered import check_codes, samples, trained_twin
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.network import Add, Concat, Conv2d, Rescale, SumPool2d, Upsample2d
from vecq_hw.train import quantize_model

torch.set_num_threads(1)  # on small networks a second thread only waits

IMAGE = (3, 8, 6)


def normed(inputs, outputs, kernel=3, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class BasicBlock(nn.Module):
    """As torchvision writes it: one ReLU for both uses, ``+=``, a projection where shapes change."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.downsample = None if same else normed(inputs, outputs, 1, stride)

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion=2):
        super().__init__()
        hidden = inputs * expansion
        self.same = inputs == outputs and stride == 1
        self.conv = nn.Sequential(
            normed(inputs, hidden, 1), nn.ReLU6(inplace=True),
            normed(hidden, hidden, 3, stride, hidden), nn.ReLU6(inplace=True),
            normed(hidden, outputs, 1),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


class Residual(nn.Module):
    """``x + inner(x)``, or another join of the two."""

    def __init__(self, inner, join=torch.add):
        super().__init__()
        self.inner, self.join = inner, join

    def forward(self, x):
        return self.join(x, self.inner(x))


class Pooled(nn.Module):
    def forward(self, x):
        return torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)


def cat(x, y):
    return torch.cat([x, y], dim=1)


STEM = [normed(3, 4), nn.ReLU()]
HEAD = [Pooled(), nn.Linear(4, 5)]
NETS = {
    "basic blocks": lambda: [
        *STEM, BasicBlock(4, 4, 1), BasicBlock(4, 6, 2), BasicBlock(6, 6, 1), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, 5),
    ],
    "inverted residuals": lambda: [
        normed(3, 4, 3, 2), nn.ReLU6(), InvertedResidual(4, 6, 1), InvertedResidual(6, 6, 1),
        InvertedResidual(6, 6, 1), normed(6, 8, 1), nn.ReLU6(), Pooled(), nn.Dropout(0.2),
        nn.Linear(8, 5),
    ],
    "pre-activation": lambda: [
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1),
        Residual(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))),
        Residual(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))),
        nn.BatchNorm2d(4), nn.ReLU(), *HEAD,
    ],
    "sum of activations": lambda: [
        *STEM, Residual(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())), nn.Conv2d(4, 2, 1),
    ],
    "sum with the input": lambda: [Residual(nn.Conv2d(3, 3, 1)), nn.Flatten(), nn.Linear(144, 5)],
    "ends in a sum": lambda: [nn.Linear(12, 5), nn.ReLU(), Residual(nn.Linear(5, 5))],
    "dense block": lambda: [
        *STEM, Residual(nn.Sequential(normed(4, 3), nn.ReLU()), cat),
        Residual(nn.Sequential(normed(7, 3), nn.ReLU()), cat), nn.Conv2d(10, 2, 3),
    ],
    "concat of signed and unsigned": lambda: [
        *STEM, Residual(nn.Conv2d(4, 2, 1), cat), nn.Conv2d(6, 2, 1),
    ],
    "concat of pooled vectors": lambda: [
        *STEM, nn.MaxPool2d(2), nn.Flatten(),
        Residual(nn.Sequential(nn.Linear(48, 7), nn.ReLU()), cat), nn.Linear(55, 5),
    ],
    "up and down": lambda: [
        *STEM, Residual(
            nn.Sequential(nn.MaxPool2d(2), normed(4, 4), nn.ReLU(), nn.Upsample(scale_factor=2)), cat
        ), nn.Conv2d(8, 2, 1),
    ],
    "upsampled sums": lambda: [nn.Conv2d(3, 2, 3), nn.Upsample(scale_factor=(2, 3)), nn.ReLU()],
    "hardtanh": lambda: [normed(3, 4), nn.Hardtanh(-0.7, 1.1), nn.MaxPool2d(2, 1), nn.Conv2d(4, 3, 1)],
    "relu6 of sums, pooled": lambda: [nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(24, 5)],
    "average with padding": lambda: [*STEM, nn.AvgPool2d(3, 2, 1), nn.Conv2d(4, 2, 1)],
    "average of signed": lambda: [nn.Conv2d(3, 4, 1), nn.AvgPool2d((2, 3)), nn.ReLU(), nn.Flatten(),
        nn.Linear(32, 5)],
    "ends in an average": lambda: [*STEM, nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1)],
    "groups and dilation": lambda: [
        nn.Conv2d(3, 6, 3, padding="same", dilation=2, groups=3), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 4, 3, padding=(2, 1), dilation=(2, 1), groups=2), nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, groups=4), nn.Flatten(), nn.Linear(24, 5),
    ],
}  # fmt: skip
SEQUENCES = {
    "sequence": lambda: [
        nn.Conv1d(3, 6, 5, padding=2, groups=3), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(6, 4, 3, stride=2, dilation=2, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2),
        nn.Flatten(), nn.Linear(16, 5),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "signed"), [(2, 8, False), (4, 4, True), (1, 2, True)]
)
@pytest.mark.parametrize("name", [*NETS, *SEQUENCES])
def test_integers_equal_the_codes_of_training(name, weight_bits, activation_bits, signed):
    shape = (3, 12) if name in SEQUENCES else (12,) if name == "ends in a sum" else IMAGE
    layers = (NETS | SEQUENCES)[name]()
    twin = trained_twin(layers, shape, weight_bits, activation_bits, signed)
    check_codes(twin, shape, samples(shape, 100, signed, seed=99))
