"""Operators on constants alone, folded; nothing grows beyond the limit of a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from typing import Any

import numpy as np

from vecq_hw.interop.graph import MOST_ELEMENTS, Array, Node
from vecq_hw.interop.onnx_values import Fixed, Refused

MOST_FILLED = 1 << 16
"""Elements of a constant that is one number everywhere, of which a file need not hold one."""


def axes_of(node: Node, given: Sequence[Fixed | None]) -> tuple[int, ...] | None:
    """Axes that are an attribute in older versions of an operator and an input in newer ones."""
    if len(given) > 1 and given[1] is not None:
        return tuple(int(axis) for axis in np.atleast_1d(given[1].values))
    axes = node.attributes.get("axes")
    return None if axes is None else tuple(axes)


def _unsqueezed(node: Node, given: Sequence[Fixed]) -> Fixed:
    axes = axes_of(node, given) or ()
    return _moved(given[0], lambda a: np.expand_dims(a, axes))


def _squeezed(node: Node, given: Sequence[Fixed]) -> Fixed:
    axes = axes_of(node, given)
    return _moved(given[0], lambda a: np.squeeze(a, axes))


def _reshaped(node: Node, given: Sequence[Fixed]) -> Fixed:
    target = [int(size) for size in given[1].values.reshape(-1)]
    if not node.attributes.get("allowzero", 0):
        shape = given[0].values.shape
        target = [shape[i] if size == 0 and i < len(shape) else size
                  for i, size in enumerate(target)]  # fmt: skip
    return _moved(given[0], lambda a: a.reshape(target))


def _flattened(node: Node, given: Sequence[Fixed]) -> Fixed:
    axis = int(node.attributes.get("axis", 1))
    shape = given[0].values.shape
    return _moved(given[0], lambda a: a.reshape(math.prod(shape[:axis]), -1))


def _transposed(node: Node, given: Sequence[Fixed]) -> Fixed:
    order = node.attributes.get("perm")
    return _moved(given[0], lambda a: np.transpose(a, order))


def _gathered(node: Node, given: Sequence[Fixed]) -> Fixed:
    axis = int(node.attributes.get("axis", 0))
    where = given[1].values.astype(np.int64)
    return _moved(given[0], lambda a: np.take(a, where, axis))


def _joined(node: Node, given: Sequence[Fixed]) -> Fixed:
    return Fixed(np.concatenate([one.values for one in given], int(node.attributes["axis"])))


def _sliced(node: Node, given: Sequence[Fixed]) -> Fixed:
    if len(given) < 3:
        raise Refused("a slice with its ends as attributes; newer opsets give them as inputs")
    starts, ends = (given[i].values.reshape(-1) for i in (1, 2))
    axes = given[3].values.reshape(-1) if len(given) > 3 else range(len(starts))
    steps = given[4].values.reshape(-1) if len(given) > 4 else [1] * len(starts)
    index = [slice(None)] * given[0].values.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        index[int(axis)] = slice(int(start), int(end), int(step))
    return _moved(given[0], lambda a: a[tuple(index)])


def _moved(fixed: Fixed, move: Callable[[Array], Array]) -> Fixed:
    """Another order or shape; integers and scales go along."""
    integers, scales = fixed.integers, fixed.scales
    return Fixed(
        move(fixed.values),
        None if integers is None else move(integers),
        None if scales is None else move(scales),
    )


def _cast(node: Node, given: Sequence[Fixed]) -> Fixed:
    kinds = {1: np.float32, 2: np.uint8, 3: np.int8, 5: np.int16, 6: np.int32, 7: np.int64,
             9: np.bool_, 11: np.float64}  # fmt: skip
    kind = kinds.get(int(node.attributes.get("to", 1)))
    if kind is None:
        raise Refused(f"a cast to the type {node.attributes.get('to')}")
    return Fixed(given[0].values.astype(kind), given[0].integers, given[0].scales)


def _filled(node: Node, given: Sequence[Fixed]) -> Fixed:
    shape = tuple(int(size) for size in given[0].values.reshape(-1))
    if min(shape, default=1) < 0 or math.prod(shape) > MOST_FILLED:
        raise Refused(f"a constant of the shape {shape}; at most {MOST_FILLED:,} elements")
    value = np.asarray(node.attributes.get("value", np.float32(0)))
    return Fixed(np.full(shape, value.reshape(-1)[0], value.dtype))


def _multiplied(node: Node, given: Sequence[Fixed]) -> Fixed:
    left, right = given
    _check_size(left.values, right.values)
    values = left.values * right.values
    for one, other in ((left, right), (right, left)):
        if one.integers is not None and one.scales is not None and one.values.shape == values.shape:
            scales = one.scales * np.broadcast_to(other.values, values.shape)
            return Fixed(values, one.integers, scales)
        if one.values.dtype.kind == "f" and one.values.shape == values.shape and values.size > 1:
            whole = bool((one.values == np.rint(one.values)).all())
            if whole and np.abs(one.values).max() < 1 << 15:
                scales = np.broadcast_to(other.values, values.shape).astype(np.float64)
                return Fixed(values, one.values.astype(np.int64), scales)
    return Fixed(values)


def _by_numpy(
    function: Callable[..., Any], operands: int | None = 1
) -> Callable[[Node, Sequence[Fixed]], Fixed]:
    """A function of so many operands, or of any number: a ufunc would write to one more."""

    def fold(node: Node, given: Sequence[Fixed]) -> Fixed:
        arrays = [one.values for one in given]
        if len(arrays) != (operands or max(len(arrays), 1)):
            raise Refused(f"it has {len(arrays)} inputs; {operands or 'at least 1'} are wanted")
        _check_size(*arrays)
        with np.errstate(all="ignore"):
            result = np.asarray(function(*arrays) if operands else function(arrays))
        if all(array.dtype == arrays[0].dtype for array in arrays) and result.dtype.kind == "f":
            result = result.astype(arrays[0].dtype)
        return Fixed(result)

    return fold


def _check_size(*arrays: Array) -> None:
    """Before anything is broadcast."""
    shape = np.broadcast_shapes(*(array.shape for array in arrays))
    if math.prod(shape) > MOST_ELEMENTS:
        raise Refused(f"a constant of the shape {shape}; at most {MOST_ELEMENTS:,} elements")


def _clipped(node: Node, given: Sequence[Fixed]) -> Fixed:
    lo = given[1].values if len(given) > 1 else node.attributes.get("min")
    hi = given[2].values if len(given) > 2 else node.attributes.get("max")
    return Fixed(np.clip(given[0].values, lo, hi))


def _divided(a: Array, b: Array) -> Array:
    if a.dtype.kind == "f":
        return np.asarray(a / b)
    if not b.all():
        raise Refused("a division by 0")
    return np.asarray(np.trunc(a / b).astype(a.dtype))


FOLDED: dict[str, Callable[[Node, Sequence[Fixed]], Fixed]] = {
    "Identity": lambda _, given: given[0],
    "Dropout": lambda _, given: given[0],
    "Unsqueeze": _unsqueezed,
    "Squeeze": _squeezed,
    "Reshape": _reshaped,
    "Flatten": _flattened,
    "Transpose": _transposed,
    "Gather": _gathered,
    "Concat": _joined,
    "Slice": _sliced,
    "Cast": _cast,
    "ConstantOfShape": _filled,
    "Shape": lambda _, given: Fixed(np.array(given[0].values.shape, np.int64)),
    "Mul": _multiplied,
    "Add": _by_numpy(np.add, 2),
    "Sub": _by_numpy(np.subtract, 2),
    "Div": _by_numpy(_divided, 2),
    "Pow": _by_numpy(np.power, 2),
    "Neg": _by_numpy(np.negative),
    "Sqrt": _by_numpy(np.sqrt),
    "Reciprocal": _by_numpy(np.reciprocal),
    "Abs": _by_numpy(np.abs),
    "Exp": _by_numpy(np.exp),
    "Log": _by_numpy(np.log),
    "Floor": _by_numpy(np.floor),
    "Ceil": _by_numpy(np.ceil),
    "Round": _by_numpy(np.rint),
    "Relu": _by_numpy(lambda a: np.maximum(a, 0)),
    "Max": _by_numpy(partial(reduce, np.maximum), None),
    "Min": _by_numpy(partial(reduce, np.minimum), None),
    "Clip": _clipped,
}
"""Those of the standard operators that files of exporters have between constants."""


def fold(node: Node, given: Sequence[Fixed]) -> Fixed:
    """What an operator of :data:`FOLDED` makes of constants."""
    try:
        return FOLDED[node.operator](node, given)
    except Refused:
        raise
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise Refused(f"its constants do not fit each other ({reason})") from None
