"""Every form of a function that is taken, called, beside torch's own result."""

import math
import operator

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.lower import lower
from vecq_hw.train import quantize_model
from vecq_hw.train.arithmetic import OPERATIONS
from vecq_hw.train.functions import FUNCTIONS, REFUSED
from vecq_hw.train.module_graph import module_graph

torch.set_num_threads(1)  # on small networks a second thread only waits


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def plus(x):
    x += x.relu()
    return x


def called(key, first, second):
    """An operation of the table: a function, a method, or a method in place of a copy."""
    if not isinstance(key, str):
        return key(first, second)
    return getattr(first.clone() if key.endswith("_") else first, key)(second)


def operation(key):
    """The forms of a sum, difference or product."""
    forms = [lambda x: called(key, x.relu(), x), lambda x: called(key, x, x.relu())]
    return [*forms, *with_number(key)]


def with_number(key):
    forms = [lambda x: called(key, x, 2.5), lambda x: called(key, x.relu(), -3)]
    if key in (operator.add, operator.sub, operator.mul):
        forms.append(lambda x: called(key, 2.5, x))
    return forms


def sizes_apart(x):
    n, c, h, w = x.size()
    return x.reshape(n, c * h * w)


def picks_by_size(x):
    assert x.dim() == len(x.shape) == 4, "images are wanted"
    _, c, h, w = x.shape
    torch._assert(c == 4, "four channels are wanted")
    return x.view(len(x), c * h * w) if h > 3 else x.flatten(2)


def batch_of_another(x):
    n = x.size(0)
    x = F.max_pool2d(x, 2)
    return x.view(n, -1)


def shuffled(x):
    n, c, h, w = x.size()
    return x.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)


ROWS, SEQUENCE, IMAGE, WIDE = (3, 8), (3, 4, 6), (3, 4, 4, 4), (3, 4, 6, 8)
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


def sized(form):
    """Marks a form that needs the shape of its input."""
    form.sized = True
    return form


def each(function, forms):
    return [form(function) for form in forms]


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
    torch.flatten: (
        IMAGE,
        [
            lambda x: torch.flatten(x, 1),
            lambda x: torch.flatten(x, start_dim=1, end_dim=-1),
            lambda x: torch.flatten(input=x, start_dim=1),
            sized(lambda x: torch.flatten(x, x.dim() - 3)),
            sized(lambda x: torch.flatten(x, 2)),
            sized(lambda x: torch.flatten(x, 1, 2)),
        ],
    ),
    "flatten": (
        IMAGE,
        [
            lambda x: x.flatten(1),
            lambda x: x.flatten(1, -1),
            lambda x: x.flatten(start_dim=1),
        ],
    ),
    torch.reshape: (
        IMAGE,
        [
            lambda x: torch.reshape(x, (x.shape[0], -1)),
            lambda x: torch.reshape(input=x, shape=(-1, 64)),
        ],
    ),
    "view": (
        IMAGE,
        [
            lambda x: x.view(x.size(0), -1),
            lambda x: x.view((x.size()[0], -1)),
            lambda x: x.view(-1, 64),
            lambda x: x.view([x.size(0), 64]),
            lambda x: x.view(x.size(0), x.shape[1:].numel()),
            batch_of_another,
            lambda x: x.view(x.shape[0], x.shape[1] * x.shape[2] * x.shape[3]),
            sized(lambda x: x.view(-1, math.prod(x.shape[1:]))),
            sized(lambda x: x.view(*x.shape[:2], -1)),
            sized(lambda x: x.view(x.size(0), 2, 2, *x.shape[2:]).view(x.shape[0], -1)),
            sized(lambda x: x.view(x.shape).relu()),
            sized(picks_by_size),
            sized(shuffled),
        ],
    ),
    "reshape": (
        IMAGE,
        [
            lambda x: x.reshape(x.shape[0], -1),
            lambda x: x.reshape(shape=(x.size(dim=0), -1)),
            sizes_apart,
        ],
    ),
    torch.transpose: (
        SEQUENCE,
        [
            lambda x: torch.transpose(x, 1, 2),
            lambda x: torch.transpose(x, dim0=-1, dim1=-2),
            lambda x: torch.transpose(x, 1, -1),
        ],
    ),
    torch.swapaxes: (IMAGE, [sized(lambda x: torch.swapaxes(x, 1, 3))]),
    "swapaxes": (IMAGE, [sized(lambda x: x.swapaxes(1, 3))]),
    "transpose": (
        SEQUENCE,
        [
            lambda x: x.transpose(2, 1),
            lambda x: x.transpose(dim0=1, dim1=2),
            sized(lambda x: x.unsqueeze(1).transpose(1, 3).squeeze(3)),
        ],
    ),
    torch.permute: (
        SEQUENCE,
        [
            lambda x: torch.permute(x, (0, 2, 1)),
            lambda x: torch.permute(x, dims=[0, 2, 1]),
            sized(lambda x: torch.permute(x, (0, 1, 2)).relu()),
        ],
    ),
    "permute": (
        SEQUENCE,
        [
            lambda x: x.permute(0, 2, 1),
            lambda x: x.permute((0, -1, -2)),
            lambda x: x.permute(dims=(0, 2, 1)),
            sized(lambda x: x.unsqueeze(-1).permute(0, 3, -2, 1)),
        ],
    ),
    operator.add: (
        ROWS,
        [lambda x: x + x.relu(), lambda x: sum([x, x.relu(), x]), lambda x: x + 0],
    ),
    operator.iadd: (ROWS, [plus]),
    torch.add: (
        ROWS,
        [
            lambda x: torch.add(x, x.relu()),
            lambda x: torch.add(x, other=x.relu(), alpha=1),
            lambda x: torch.add(input=x, other=x.relu()),
        ],
    ),
    "add": (ROWS, [lambda x: x.add(x.relu()), lambda x: x.add(other=x.relu())]),
    "add_": (ROWS, [lambda x: x.add_(x.relu())]),
    torch.cat: (
        IMAGE,
        [
            lambda x: torch.cat([x, x.relu()], 1),
            lambda x: torch.cat((x, x.relu(), x), dim=1),
            lambda x: torch.cat(tensors=[x, x], dim=1),
        ],
    ),
    torch.concat: (ROWS, [lambda x: torch.concat([x, x.relu()], axis=1)]),
    operator.getitem: (
        SEQUENCE,
        [lambda x: x[:, -1], lambda x: x[:, -1, :], lambda x: x[:, -1, ...]],
    ),
    torch.clone: (ROWS, [torch.clone]),
    "clone": (ROWS, [lambda x: x.clone().relu_() + x]),
    "contiguous": (
        IMAGE,
        [
            lambda x: x.contiguous().view(x.size(0), -1),
            lambda x: x.contiguous(memory_format=torch.channels_last).relu(),
        ],
    ),
    "float": (ROWS, [lambda x: x.float().relu(), lambda x: x.float() + x]),
    torch.mean: (IMAGE, [lambda x: torch.mean(x, (2, 3)), lambda x: torch.mean(x, dim=[3, 2])]),
    torch.amax: (IMAGE, [lambda x: torch.amax(x, (2, 3)), lambda x: torch.amax(x, [2, 3], True)]),
    "amax": (
        IMAGE,
        [
            lambda x: x.amax((2, 3)),
            sized(lambda x: x.amax(dim=(-2, -1), keepdim=True)),
            sized(lambda x: x.amax(-1)),
            sized(lambda x: x.flatten(2).amax(2)),
        ],
    ),
    "mean": (
        IMAGE,
        [
            lambda x: x.mean([2, 3]),
            lambda x: x.mean((2, 3), keepdim=True),
            sized(lambda x: x.mean((-1, -2))),
            sized(lambda x: x.mean(dim=(-2, -1), keepdim=True)),
            sized(lambda x: x.mean(3).mean(2)),
            sized(lambda x: x.mean(-1)),
            sized(lambda x: x.mean(2, True)),
            sized(lambda x: x.flatten(2).mean(-1)),
            sized(lambda x: x.flatten(2).mean(2, keepdim=True)),
            sized(lambda x: x.flatten(2).transpose(1, 2).mean(1)),
        ],
    ),
    torch.sum: (IMAGE, [sized(lambda x: torch.sum(x, (2, 3)))]),
    "sum": (
        IMAGE,
        [
            sized(lambda x: x.sum([2, 3])),
            sized(lambda x: x.sum((-1, -2), keepdim=True)),
            sized(lambda x: x.sum(3).sum(2)),
            sized(lambda x: x.flatten(2).sum(-1)),
            sized(lambda x: x.flatten(2).transpose(1, 2).sum(1)),
        ],
    ),
    torch.swapdims: (IMAGE, [sized(lambda x: torch.swapdims(x, 1, 2))]),
    "swapdims": (IMAGE, [sized(lambda x: x.swapdims(dim0=2, dim1=-1))]),
    torch.movedim: (IMAGE, [sized(lambda x: torch.movedim(x, 1, -1))]),
    "movedim": (IMAGE, [sized(lambda x: x.movedim((1, 2), (2, 3)))]),
    torch.moveaxis: (IMAGE, [sized(lambda x: torch.moveaxis(x, source=3, destination=1))]),
    "moveaxis": (IMAGE, [sized(lambda x: x.moveaxis(1, 3))]),
    getattr: (IMAGE, [sized(lambda x: x.mT)]),
    torch.stack: (
        IMAGE,
        [
            sized(lambda x: torch.stack([x, x.relu()], 1).flatten(1, 2)),
            sized(lambda x: torch.stack((x, x.relu(), x), dim=-1)),
            sized(lambda x: torch.stack(tensors=[x, x.relu()], dim=2)),
        ],
    ),
    torch.squeeze: (IMAGE, [sized(lambda x: torch.squeeze(F.adaptive_avg_pool2d(x, 1)))]),
    "squeeze": (
        IMAGE,
        [
            sized(lambda x: F.adaptive_avg_pool2d(x, 1).squeeze(-1).squeeze(-1)),
            sized(lambda x: F.adaptive_avg_pool2d(x, 1).squeeze((2, 3))),
            sized(lambda x: x.squeeze(1).relu()),
        ],
    ),
    torch.unsqueeze: (SEQUENCE, [sized(lambda x: torch.unsqueeze(x, 1))]),
    "unsqueeze": (
        SEQUENCE,
        [
            sized(lambda x: x.unsqueeze(2).squeeze(2)),
            sized(lambda x: F.max_pool2d(x.unsqueeze(2), (1, 2)).squeeze(2)),
            sized(lambda x: x.unsqueeze(dim=-1)),
        ],
    ),
    F.pixel_shuffle: (IMAGE, [sized(lambda x: F.pixel_shuffle(x, 2))]),
    F.pixel_unshuffle: (IMAGE, [sized(lambda x: F.pixel_unshuffle(x, 2))]),
    F.channel_shuffle: (IMAGE, [sized(lambda x: F.channel_shuffle(x, 2))]),
    torch.unflatten: (ROWS, [sized(lambda x: torch.unflatten(x, 1, (2, 2, 2)))]),
    "unflatten": (ROWS, [sized(lambda x: x.unflatten(1, (8, 1, 1)))]),
    "view_as": (ROWS, [sized(lambda x: x.view(len(x), 2, 4).view_as(x))]),
    "reshape_as": (IMAGE, [sized(lambda x: x.flatten(1).reshape_as(x))]),
    torch.flip: (IMAGE, [sized(lambda x: torch.flip(x, (2, 3)))]),
    torch.fliplr: (IMAGE, [sized(lambda x: torch.fliplr(x))]),
    torch.rot90: (IMAGE, [sized(lambda x: torch.rot90(x, 1, (2, 3)))]),
    torch.roll: (IMAGE, [sized(lambda x: torch.roll(x, (1, -2), (2, 3)))]),
    torch.narrow: (IMAGE, [sized(lambda x: torch.narrow(x, 1, 1, 2))]),
    torch.select: (IMAGE, [sized(lambda x: torch.select(x, 2, -1))]),
    torch.repeat_interleave: (IMAGE, [sized(lambda x: torch.repeat_interleave(x, 2, dim=3))]),
    torch.tile: (IMAGE, [sized(lambda x: torch.tile(x, (1, 1, 1, 2)))]),
    "flip": (IMAGE, [sized(lambda x: x.flip(1)), sized(lambda x: x.flip(dims=(3,)))]),
    "fliplr": (IMAGE, [sized(lambda x: x.fliplr())]),
    "rot90": (IMAGE, [sized(lambda x: x.rot90(2, (2, 3)))]),
    "roll": (IMAGE, [sized(lambda x: x.roll(1, 1))]),
    "narrow": (IMAGE, [sized(lambda x: x.narrow(3, 1, 2))]),
    "select": (IMAGE, [sized(lambda x: x.select(1, 0))]),
    "repeat_interleave": (IMAGE, [sized(lambda x: x.repeat_interleave(3, 1))]),
    "tile": (IMAGE, [sized(lambda x: x.tile((1, 2, 1, 1)))]),
    "repeat": (IMAGE, [sized(lambda x: x.repeat(1, 2, 1, 2))]),
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
    **{
        key: (ROWS, operation(key))
        for key in (
            *(operator.sub, operator.mul, operator.isub, operator.imul, torch.sub, torch.subtract),
            *(torch.mul, torch.multiply, torch.rsub, "sub", "sub_", "subtract"),
            *("mul", "mul_", "multiply"),
        )
    },
    **{
        key: (ROWS, with_number(key))
        for key in (
            *(operator.truediv, operator.itruediv, torch.div, torch.divide, torch.true_divide),
            *("div", "div_", "divide", "true_divide"),
        )
    },
    operator.neg: (ROWS, [lambda x: -x]),
    torch.neg: (ROWS, [torch.neg, lambda x: torch.neg(input=x)]),
    torch.negative: (ROWS, [torch.negative]),
    "neg": (ROWS, [lambda x: x.neg()]),
    "negative": (ROWS, [lambda x: x.negative()]),
    "expand": (
        ROWS,
        [
            lambda x: x.relu().expand(x.shape[0], 8) * x,
            sized(lambda x: x[:, :1].relu().expand(-1, 8).relu()),
        ],
    ),
    "expand_as": (ROWS, [lambda x: x.relu().expand_as(x) * x]),
}


def test_every_function_of_the_table_has_cases():
    taken = {key for key, make in FUNCTIONS.items() if make is not REFUSED}
    assert CASES.keys() == taken | OPERATIONS.keys()


@pytest.mark.parametrize("known", [False, True], ids=["", "shape known"])
@pytest.mark.parametrize(
    ("shape", "function"),
    [(shape, form) for shape, forms in CASES.values() for form in forms],
)
@pytest.mark.filterwarnings("ignore:.*upsample.*:UserWarning")
def test_the_module_computes_what_the_function_does(shape, function, known):
    if hasattr(function, "sized") and not known:
        with pytest.raises(VecqError, match="input_shape"):
            module_graph(Function(function))
        return
    torch.manual_seed(0)
    x = torch.randint(-9, 9, shape) / 4  # so that means of 16 are exact in any order
    graph = module_graph(Function(function), shape[1:] if known else None).eval()
    assert {node.op for node in graph.graph.nodes} <= {"placeholder", "call_module", "output"}
    for module in graph.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    expected = function(x.clone())
    found = graph(x)
    assert found.shape == expected.shape
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.avg_pool2d(x, x.shape[1]), "takes its kernel_size from a tensor"),
        (lambda x: F.avg_pool2d(x, x.shape[2:], divisor_override=3), "takes its kernel_size from"),
        (lambda x: F.avg_pool2d(x, 2, x.size(2)), "takes its stride from a tensor; give numbers"),
        (lambda x: F.avg_pool2d(F.max_pool2d(x, 2), x.shape[2:]), "takes its kernel_size from"),
        (lambda x: F.max_pool2d(x, x.shape[2:]), "takes its kernel_size from a tensor; give numb"),
        (lambda x: F.adaptive_avg_pool2d(x, x.shape[1:3]), "takes its output_size from a tensor"),
        (
            lambda x: F.adaptive_max_pool2d(x, 2, return_indices=True)[0],
            "not supported|return_indices=True",
        ),
        (lambda x: F.pad(x, (0, 0, 0, 0, 1, 0)), "rows and columns of an image alone"),
        (lambda x: F.interpolate(x, size=x.shape[2:]), "with a scale_factor alone; give that in"),
        (
            lambda x: F.interpolate(x, size=(12, 12)),
            "with a scale_factor alone; give that in place",
        ),
        (lambda x: F.interpolate(x, scale_factor=1.5), "scale_factor=1.5 is not supported"),
        (
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
            "only nearest, linear and bilinear",
        ),
        (lambda x: F.interpolate(x, scale_factor=2, mode="area"), "only nearest, linear and"),
        (
            lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", antialias=True),
            "not supported with antialias=True",
        ),
        (lambda x: x.view(-1, x.shape[1] * x.shape[2]), "use torch.nn.Flatten"),
        (lambda x: x.view(x.size(1), -1), "use torch.nn.Flatten"),
        (lambda x: torch.flatten(x, x.size(2)), "takes its start_dim from a tensor; give numbers"),
        (lambda x: torch.add(x, x, alpha=2), "is supported with alpha=1 alone"),
        (lambda x: torch.cat([x, torch.zeros(1)], 1), "uses the tensor"),
        (lambda x: torch.cat([x, x], 2), "along dim=1, the channels"),
        (lambda x: x.transpose(2, 3), "for the axes 1 and 2 of"),
        (lambda x: x.permute(0, 2, 3, 1), r"for \(0, 2, 1\) alone"),
        (lambda x: x[:, 0], "where shapes are not known; give quantize_model the input_shape"),
        (lambda x: (x - torch.ones(1)) * 4, "which forward.. makes; give it to register_buffer"),
        (
            lambda x: F.max_pool2d(x, 1) / x,
            "'truediv' .* divides by a tensor, which integers do not",
        ),
        (lambda x: x / 0, "'truediv' .* divides by zero"),
        (lambda x: x * math.nan, "'mul' .* nan, which is neither a tensor nor a finite number"),
        (lambda x: x + x.shape[1], "'add' .* from a shape; give numbers"),
        (lambda x: torch.sub(x, x, alpha=2), "is supported with alpha=1 alone"),
        (lambda x: torch.div(x, 3, rounding_mode="floor"), "with a rounding_mode; leave it out"),
        (lambda x: x.relu().expand(3, 4, 4, 4), "where shapes are not known; give"),
        (lambda x: F.softmax(x, 0), "'softmax' .* as the last layer alone, along dim=1"),
        (lambda x: F.max_pool2d(F.softmax(x, 1), 2), "'softmax' .* as the last layer alone"),
        (lambda x: F.rrelu(x), "'rrelu' .* draws its slopes at random"),
        (lambda x: F.glu(x), "'glu' .* is not supported"),
        (lambda x: x.mean(1), "as torch.nn.AdaptiveAvgPool2d"),
        (lambda x: torch.clamp(x, max=6), r"use torch.nn.Hardtanh\(lowest, highest\)"),
        (lambda x: x.clamp(2, 1), "bounds that are not in order, 2 and 1"),
        (lambda x: x.relu().detach(), "cuts the gradient"),
        (lambda x: F.scaled_dot_product_attention(x, x, x), "attention, LSTM and GRU alone train"),
    ],
)
def test_forms_that_have_no_module_are_refused_by_name(function, message):
    with pytest.raises(VecqError, match=message):
        module_graph(Function(function))


def test_a_view_to_another_number_of_features_is_refused():
    twin = quantize_model(Function(lambda x: x.view(-1, 10)))
    with pytest.raises(VecqError, match="views samples of 20 features as 10"):
        twin(torch.ones(3, 20, 1, 1))
    twin(torch.ones(3, 10))
    with pytest.raises(VecqError, match="views samples of 20 features as 10"):
        lower(twin.eval(), (5, 2, 2))


def test_a_window_as_wide_as_high_takes_square_images_alone():
    twin = quantize_model(Function(lambda x: F.avg_pool2d(x, x.size(2))))
    with pytest.raises(VecqError, match="an image of 2 × 3; use"):
        twin(torch.ones(1, 1, 2, 3))
    twin(torch.ones(1, 1, 4, 4))
    twin.eval()
    assert lower(twin, (1, 4, 4)).tensors["avg_pool2d"].shape == (1, 1, 1)
    with pytest.raises(VecqError, match="an image of 4 × 5"):
        lower(twin, (1, 4, 5))
