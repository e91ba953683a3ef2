"""Sums, differences, products and quotients in forward(), of tensors and of constants.

A constant is a number, a parameter, a buffer, or what functions make of these alone.  One number,
or one for each channel, is a part of the line that the next quantizer turns into codes; a constant
with a value for each position is quantized like a tensor.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from vecq_hw.train.arguments import Unsupported, arguments
from vecq_hw.train.effects import is_shape
from vecq_hw.train.quantized_layers import Add
from vecq_hw.train.tracing import Batch


class Subtract(nn.Module):
    """The difference of two operands."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Operands whose shapes torch broadcasts."""
        return left - right


class Multiply(nn.Module):
    """The product of two operands."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Operands whose shapes torch broadcasts."""
        return left * right


class Divide(nn.Module):
    """A tensor divided by a constant."""

    def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Operands whose shapes torch broadcasts."""
        return left / right


ARITHMETIC = (Add, Subtract, Multiply, Divide)
"""The modules of this file, which may read constants."""

Made = tuple[nn.Module, tuple[Any, ...]]
"""A module, and what it is called with: nodes and numbers."""


def is_constant(value: object) -> bool:
    """Whether an operand is the same for every sample."""
    if not isinstance(value, fx.Node):
        return isinstance(value, int | float)
    if value.op == "get_attr":
        return True
    if value.op not in ("call_function", "call_method") or is_shape(value):
        return False
    reads = value.all_input_nodes
    return bool(reads) and all(map(is_constant, reads))


def constant_tensor(root: nn.Module, value: object) -> torch.Tensor:
    """The value of a constant, in the type that the model has it in; a number in float64.

    It has the shape that the model gives it.
    """
    if not isinstance(value, fx.Node):
        assert isinstance(value, int | float)
        return torch.tensor(float(value), dtype=torch.float64)
    if value.op == "get_attr":
        found: torch.Tensor = operator.attrgetter(str(value.target))(root)
        return found.detach()
    with torch.no_grad():
        known = {node: constant_tensor(root, node) for node in value.all_input_nodes}
        args: Any = fx.node.map_arg(value.args, known.__getitem__)
        kwargs: Any = fx.node.map_arg(value.kwargs, known.__getitem__)
        if value.op == "call_method":
            result: torch.Tensor = getattr(args[0], str(value.target))(*args[1:], **kwargs)
        else:
            assert callable(value.target)
            result = value.target(*args, **kwargs)
    return result


def is_by_channel(constant: torch.Tensor, sample: tuple[int, ...] | None) -> bool:
    """Whether a constant is one number, or one for each channel of what it meets.

    Parameters
    ----------
    sample : tuple of int or None
        Shape of a sample of that, channels first; None where it is not known.  Then (C,), (C, 1)
        and (C, 1, 1) are taken for channels.
    """
    if constant.numel() == 1:
        return True
    shape = list(constant.shape)
    if sample is None:
        while shape[0] == 1:
            shape.pop(0)
        return math.prod(shape[1:]) == 1
    shape = [1] * (len(sample) - len(shape)) + shape[-len(sample) :]
    return math.prod(shape[1:]) == 1


def _pair(node: fx.Node, name: str = "other") -> tuple[Any, Any]:
    first = node.args[0] if node.args else node.kwargs.get("input")
    given = arguments(node, **{name: None, "alpha": 1, "rounding_mode": None})
    if given["alpha"] != 1:
        raise Unsupported("is supported with alpha=1 alone")
    if given["rounding_mode"] is not None:
        raise Unsupported("is not supported with a rounding_mode; leave it out")
    pair = first, given[name]
    for value in pair:
        if isinstance(value, Batch):
            raise Unsupported("takes a number from the size of the batch; give numbers")
        if isinstance(value, fx.Node) and is_shape(value):
            raise Unsupported(
                "takes a number from a shape; give numbers, or quantize_model the input_shape"
            )
        if isinstance(value, fx.Node):
            continue
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise Unsupported(f"takes {value!r}, which is neither a tensor nor a finite number")
    return pair


def _add(node: fx.Node) -> Made:
    # Python's sum() begins with a 0.
    terms = tuple(term for term in _pair(node) if isinstance(term, fx.Node) or term != 0)
    return (Add(), terms) if len(terms) == 2 else (nn.Identity(), terms)


def _subtract(node: fx.Node) -> Made:
    left, right = _pair(node)
    if not isinstance(right, fx.Node) and right == 0:
        return nn.Identity(), (left,)
    return Subtract(), (left, right)


def _reversed(node: fx.Node) -> Made:
    right, left = _pair(node)
    return Subtract(), (left, right)


def _multiply(node: fx.Node) -> Made:
    left, right = _pair(node)
    return Multiply(), (right, left) if is_constant(left) else (left, right)


def _divide(node: fx.Node) -> Made:
    left, right = _pair(node)
    if not is_constant(right):
        raise Unsupported(
            "divides by a tensor, which integers do not; multiply by a function of it, such as"
            " torch.reciprocal, which becomes a table"
        )
    if not isinstance(right, fx.Node) and right == 0:
        raise Unsupported("divides by zero")
    return Divide(), (left, right)


def _negate(node: fx.Node) -> Made:
    arguments(node)
    return Multiply(), (node.args[0] if node.args else node.kwargs["input"], -1.0)


OPERATIONS: dict[Any, Callable[[fx.Node], Made]] = {
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    "add": _add,
    "add_": _add,
    operator.sub: _subtract,
    operator.isub: _subtract,
    torch.sub: _subtract,
    torch.subtract: _subtract,
    "sub": _subtract,
    "sub_": _subtract,
    "subtract": _subtract,
    torch.rsub: _reversed,
    operator.mul: _multiply,
    operator.imul: _multiply,
    torch.mul: _multiply,
    torch.multiply: _multiply,
    "mul": _multiply,
    "mul_": _multiply,
    "multiply": _multiply,
    operator.truediv: _divide,
    operator.itruediv: _divide,
    torch.div: _divide,
    torch.divide: _divide,
    torch.true_divide: _divide,
    "div": _divide,
    "div_": _divide,
    "divide": _divide,
    "true_divide": _divide,
    operator.neg: _negate,
    torch.neg: _negate,
    torch.negative: _negate,
    "neg": _negate,
    "negative": _negate,
}
