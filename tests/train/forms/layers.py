"""Forms of activations, pools, padding, interpolation and dropout."""

import torch
import torch.nn.functional as F

from tests.train.forms.given import IMAGE, ROWS, SEQUENCE, WIDE, each, sized

POOLS = [
    lambda f: lambda x: f(x, 2),
    lambda f: lambda x: f(x, 3, 2, 1),
    lambda f: lambda x: f(x, kernel_size=2),
    lambda f: lambda x: f(x, 3, stride=1, padding=1),
    lambda f: lambda x: f(input=x, kernel_size=2, stride=2),
]
ADAPTIVE = [lambda f: lambda x: f(x, 1), lambda f: lambda x: f(input=x, output_size=2)]
IMAGE_POOLS = [
    lambda f: lambda x: f(x, (2, 3)),
    lambda f: lambda x: f(x, [2, 3], [2, 1], padding=[0, 1]),
    lambda f: lambda x: f(x, 2, ceil_mode=False),
    lambda f: lambda x: f(x, 3, 2, 1, ceil_mode=True),
]

CASES = {
    F.relu: (ROWS, [F.relu, lambda x: F.relu(x, True), lambda x: F.relu(input=x, inplace=False)]),
    F.relu_: (ROWS, [F.relu_]),
    torch.relu: (ROWS, [torch.relu]),
    torch.relu_: (ROWS, [torch.relu_]),
    F.relu6: (ROWS, [F.relu6, lambda x: F.relu6(x, inplace=True)]),
    torch.sign: (ROWS, [lambda x: torch.sign(x + 0.125)]),  # of 0 it makes 1
    "sign": (ROWS, [lambda x: (x - 0.125).sign()]),
    F.hardtanh: (
        ROWS,
        [
            F.hardtanh,
            lambda x: F.hardtanh(x, -0.5, 0.25),
            lambda x: F.hardtanh(x, max_val=0.5, min_val=0.0, inplace=True),
            lambda x: F.hardtanh(input=x, max_val=0.5),
        ],
    ),
    F.hardtanh_: (ROWS, [F.hardtanh_, lambda x: F.hardtanh_(x, -0.5, max_val=0.25)]),
    F.max_pool1d: (SEQUENCE, each(F.max_pool1d, POOLS)),
    torch.max_pool1d: (SEQUENCE, each(torch.max_pool1d, POOLS)),
    F.max_pool2d: (WIDE, each(F.max_pool2d, POOLS + IMAGE_POOLS)),
    torch.max_pool2d: (WIDE, each(torch.max_pool2d, POOLS + IMAGE_POOLS)),
    F.avg_pool2d: (
        IMAGE,
        [
            *each(F.avg_pool2d, POOLS + IMAGE_POOLS),
            lambda x: F.avg_pool2d(x, 3, 1, 1, False, True, None),
            lambda x: F.avg_pool2d(x, x.size(2)),
            lambda x: F.avg_pool2d(x, x.size(-1)),
            lambda x: F.avg_pool2d(x, x.size(dim=3)),
            lambda x: F.avg_pool2d(x, x.shape[2]),
            lambda x: F.avg_pool2d(x, x.size()[2]),
            lambda x: F.avg_pool2d(x, x.shape[2:]),
            lambda x: F.avg_pool2d(x, x.size()[-2:]),
            lambda x: F.avg_pool2d(x, kernel_size=x.size()[2:]),
            lambda x: F.avg_pool2d(x, (x.shape[2], x.size(3))),
            lambda x: F.avg_pool2d(x, [x.size(-2), x.shape[-1]], stride=1),
            lambda x: F.avg_pool2d(input=x, kernel_size=x.shape[2:], ceil_mode=True),
            sized(lambda x: F.avg_pool2d(F.relu(x), x.shape[2:])),
            sized(lambda x: F.avg_pool2d(x, x.shape[1] // 2)),
            sized(lambda x: F.avg_pool2d(x, 2, x.size(2) // 2)),
        ],
    ),
    F.adaptive_avg_pool2d: (
        WIDE,
        [
            lambda x: F.adaptive_avg_pool2d(x, 1),
            lambda x: F.adaptive_avg_pool2d(x, (1, 1)),
            lambda x: F.adaptive_avg_pool2d(x, [1, 1]),
            lambda x: F.adaptive_avg_pool2d(x, output_size=1),
            lambda x: F.adaptive_avg_pool2d(input=x, output_size=1),
            lambda x: F.adaptive_avg_pool2d(x, (3, None)),
        ],
    ),
    F.avg_pool1d: (
        SEQUENCE,
        each(F.avg_pool1d, [*POOLS, lambda f: lambda x: f(x, 3, 2, 1, True, False)]),
    ),
    torch.avg_pool1d: (SEQUENCE, each(torch.avg_pool1d, POOLS)),
    F.adaptive_avg_pool1d: (SEQUENCE, each(F.adaptive_avg_pool1d, ADAPTIVE)),
    torch.adaptive_avg_pool1d: (SEQUENCE, each(torch.adaptive_avg_pool1d, ADAPTIVE)),
    F.adaptive_max_pool1d: (SEQUENCE, each(F.adaptive_max_pool1d, ADAPTIVE)),
    F.adaptive_max_pool2d: (
        WIDE,
        [
            *each(F.adaptive_max_pool2d, ADAPTIVE),
            lambda x: F.adaptive_max_pool2d(x, (1, 2)),
            lambda x: F.adaptive_max_pool2d(x, [3, 4]),
        ],
    ),
    F.pad: (
        WIDE,
        [
            lambda x: F.pad(x, (1, 2)),
            lambda x: F.pad(x, [0, 1, 2, 0], "constant", 0.5),
            lambda x: F.pad(x, pad=(1, 1, 1, 1), mode="reflect"),
            lambda x: F.pad(x, (1, 1, 1, 1), mode="replicate"),
            lambda x: F.pad(input=x, pad=(1, 0, 2, 1), mode="circular"),
            lambda x: F.pad(x, (-1, 1, 0, -2), value=2),
            lambda x: F.pad(x, (1, 1, 1, 1, 0, 0)),
        ],
    ),
    F.interpolate: (
        IMAGE,
        [
            lambda x: F.interpolate(x, scale_factor=2),
            lambda x: F.interpolate(x, None, 2.0),
            lambda x: F.interpolate(x, scale_factor=(2, 3), mode="nearest"),
            lambda x: F.interpolate(x, scale_factor=[2, 3], recompute_scale_factor=True),
            lambda x: F.interpolate(input=x, scale_factor=2, antialias=False),
            lambda x: F.upsample(x, scale_factor=2),
            lambda x: F.upsample(x, None, 2, "nearest"),
            lambda x: F.upsample_nearest(x, scale_factor=2),
            sized(lambda x: F.interpolate(F.max_pool2d(x, 2), size=x.shape[2:])),
            sized(lambda x: F.interpolate(F.max_pool2d(x, 2), x.shape[-2:], mode="nearest")),
            sized(lambda x: F.interpolate(x, size=(12, 8))),
            sized(lambda x: F.interpolate(x, size=x.shape[2:])),
        ],
    ),
    F.dropout: (ROWS, [lambda x: F.dropout(x, 0.0, training=False)]),  # and in test_tracing
    F.dropout1d: (SEQUENCE, [lambda x: F.dropout1d(x, training=False)]),
    F.dropout2d: (IMAGE, [lambda x: F.dropout2d(x, 0.5, False)]),
    torch.dropout: (ROWS, [lambda x: torch.dropout(x, 0.5, train=False)]),
    torch.clamp: (
        ROWS,
        [lambda x: torch.clamp(x, 0, 1), lambda x: torch.clamp(x, min=-0.5, max=1.5)],
    ),
    torch.clamp_: (ROWS, [lambda x: torch.clamp_(x, -1, 1)]),
    torch.clip: (ROWS, [lambda x: torch.clip(x, 0, 1), lambda x: torch.clip(x, min=0)]),
    torch.clip_: (ROWS, [lambda x: torch.clip_(x, -1, 1)]),
    torch.clamp_min: (ROWS, [lambda x: torch.clamp_min(x, 0)]),
    "clamp": (ROWS, [lambda x: x.clamp(0), lambda x: x.clamp(max=1, min=0)]),
    "clamp_": (ROWS, [lambda x: x.clamp_(0, 1)]),
    "clip": (ROWS, [lambda x: x.clip(0, 1)]),
    "clip_": (ROWS, [lambda x: x.clip_(0, 1)]),
    "clamp_min": (ROWS, [lambda x: x.clamp_min(0)]),
    "clamp_min_": (ROWS, [lambda x: x.clamp_min_(0.0)]),
    "relu": (ROWS, [lambda x: x.relu()]),
    "relu_": (ROWS, [lambda x: x.relu_()]),
}
