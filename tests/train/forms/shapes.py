"""Forms of what keeps each value: reshapes, orders, parts, concatenations."""

import math
import operator

import torch
import torch.nn.functional as F

from tests.train.forms.given import IMAGE, ROWS, SEQUENCE, sized


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


CASES = {
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
    "expand": (
        ROWS,
        [
            lambda x: x.relu().expand(x.shape[0], 8) * x,
            sized(lambda x: x[:, :1].relu().expand(-1, 8).relu()),
        ],
    ),
    "expand_as": (ROWS, [lambda x: x.relu().expand_as(x) * x]),
}
