"""Forms of sums, products, means and largest values."""

import operator

import torch

from tests.train.forms.given import IMAGE, ROWS, sized


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


CASES = {
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
}
