"""Slices, flips, borders and whatever else gives values of a sample from places known beforehand.

Such a function is tried on a sample of numbered values; where each axis of its result follows one
axis of the sample, it is a :class:`Pick`, perhaps followed by a :class:`Rearrange`.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from vecq_hw.train.arguments import Unsupported, nodes
from vecq_hw.train.quantized_layers import LastStep
from vecq_hw.train.rearrange import Rearrange
from vecq_hw.train.reshapes import GIVE_SHAPE, before_products, of_ones, spread
from vecq_hw.train.tracing import Batch, shape_of

Numbers = npt.NDArray[np.int64]
_SEVERAL = {torch.chunk, torch.split, torch.tensor_split, torch.unbind} | {
    "chunk", "split", "tensor_split", "unbind",
}  # fmt: skip
_WHOLE = slice(None, None, None)


class Pick(nn.Module):
    """The values of samples at ``indices`` along each axis; 0 where an index is -1.

    Parameters
    ----------
    indices : sequence of sequence of int, or None for all of an axis
        One for each axis of a sample.

    Examples
    --------
    >>> Pick([[2, 0], None])(torch.arange(6).reshape(1, 3, 2))
    tensor([[[4, 5],
             [0, 1]]])
    """

    def __init__(self, indices: Sequence[Sequence[int] | None]) -> None:
        super().__init__()
        for axis, along in enumerate(indices):
            kept = None if along is None else torch.tensor(along, dtype=torch.int64)
            # Not in the state: it belongs to the form of the model.
            self.register_buffer(f"along{axis}", kept, persistent=False)
        self.axes = len(indices)

    @property
    def indices(self) -> tuple[Numbers | None, ...]:
        """The indices along each axis of a sample, of shape (size,); None where all are taken."""
        found = [getattr(self, f"along{axis}") for axis in range(self.axes)]
        return tuple(None if along is None else along.cpu().numpy() for along in found)

    @property
    def fills(self) -> bool:
        """Whether there are zeros among the values."""
        return any(along is not None and bool((along < 0).any()) for along in self.indices)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, ...) to (N, ...), as many axes."""
        for axis in range(self.axes):
            along = getattr(self, f"along{axis}")
            if along is not None:
                x = x.index_select(axis + 1, along.clamp(min=0))
                if bool((along < 0).any()):
                    shape = [1] * x.ndim
                    shape[axis + 1] = -1
                    x = x.masked_fill((along < 0).reshape(shape), 0)
        return x

    def extra_repr(self) -> str:
        """How many of each axis."""
        return ", ".join("all" if along is None else str(len(along)) for along in self.indices)


def gives_several(node: fx.Node) -> bool:
    """Whether a node cuts a tensor into several, of which each reader takes one."""
    return node.target in _SEVERAL and all(
        reader.target is operator.getitem and reader.args[0] is node for reader in node.users
    )


def picked(node: fx.Node) -> nn.Module | tuple[nn.Module, ...]:
    """A function or method of a tensor that gives its values from known places."""
    chain = [node]
    while isinstance(source := _first(chain[-1]), fx.Node) and gives_several(source):
        chain.append(source)

    def run(x: torch.Tensor) -> Any:
        for one in reversed(chain):
            arguments = (x, *_constants(one.args[1:]))
            keywords = {key: _constants(v) for key, v in one.kwargs.items() if key != "input"}
            if one.op == "call_method":
                x = getattr(x, str(one.target))(*arguments[1:], **keywords)
            else:
                x = one.target(*arguments, **keywords)  # type: ignore[operator]
        return x

    return _modules(run, _shape(source))


def expanded(node: fx.Node) -> nn.Module | tuple[nn.Module, ...]:
    """expand(); products spread their operands themselves."""
    return spread(node) if before_products(node) else picked(node)


def indexed(node: fx.Node) -> nn.Module | tuple[nn.Module, ...]:
    """A slice; of sequences (N, L, C) [:, -1] is the last step, whatever their length."""
    index = node.args[1]
    if isinstance(index, tuple) and all(part in (_WHOLE, None, ...) for part in index):
        return of_ones(node)
    shape = shape_of(node.args[0]) if isinstance(node.args[0], fx.Node) else None
    last = node.args[1] in ((_WHOLE, -1), (_WHOLE, -1, _WHOLE), (_WHOLE, -1, ...))
    if last and (shape is None or len(shape) == 3):
        return LastStep()
    return picked(node)


def _first(node: fx.Node) -> Any:
    return node.args[0] if node.args else node.kwargs.get("input")


def _shape(source: Any) -> tuple[int, ...]:
    shape = shape_of(source) if isinstance(source, fx.Node) else None
    if shape is None:
        raise Unsupported("is not supported where shapes are not known" + GIVE_SHAPE)
    if not isinstance(shape[0], Batch):
        raise Unsupported("moves the batch away from axis 0; keep the samples of a batch apart")
    return tuple(shape[1:])


def _constants(value: Any) -> Any:
    """The argument with the tensors that belong to the model in place of their nodes."""

    def constant(node: fx.Node) -> Any:
        owner = node.graph.owning_module
        if node.op != "get_attr" or owner is None:
            raise Unsupported("takes its indices from a tensor; give numbers")
        found: Any = owner
        for part in str(node.target).split("."):
            found = getattr(found, part)
        return found

    return fx.node.map_arg(value, constant) if nodes(value) else value


def _modules(run: Callable[[torch.Tensor], Any], shape: tuple[int, ...]) -> tuple[nn.Module, ...]:
    """The modules that compute the same as ``run`` on samples of a shape."""
    count = math.prod(shape)
    # Two samples, numbered on; 0 is what fills.
    numbers = torch.arange(1, 2 * count + 1, dtype=torch.float64).reshape(2, *shape)
    try:
        result = run(numbers)
    except Exception as error:  # whatever torch says of its arguments
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Unsupported(f"cannot be done on samples of the shape {shape} ({reason})") from None
    if not isinstance(result, torch.Tensor) or result.ndim < 2 or len(result) != 2:
        raise Unsupported("does not keep the samples of a batch apart")
    one, other = result.numpy().astype(np.int64)
    if not np.array_equal(np.where(one > 0, one + count, 0), other):
        raise Unsupported("does not keep the samples of a batch apart")
    indices, order = _axes(one, shape)
    sizes = [len(along) for along in indices]
    made: list[nn.Module] = []
    whole = [np.array_equal(a, np.arange(n)) for a, n in zip(indices, shape, strict=True)]
    if not all(whole):
        kept = [None if w else a.tolist() for w, a in zip(whole, indices, strict=True)]
        made.append(Pick(kept))
    if order != list(range(len(sizes))) or tuple(sizes) != one.shape:
        made.append(Rearrange(sizes, order, one.shape))
    made = made or [nn.Identity()]
    with torch.no_grad():
        again = numbers
        for module in made:
            again = module(again)
    if not torch.equal(again, result):
        raise Unsupported("does not give values from places along each axis")
    return tuple(made)


def _axes(places: Numbers, shape: tuple[int, ...]) -> tuple[list[Numbers], list[int]]:
    """The indices along each axis of ``shape``, and in which order these axes come.

    Right if there are such indices.

    Parameters
    ----------
    places : int64 array of the result's shape
        The number of each value, from 1 on; 0 where nothing of the sample is.
    """
    fills = places == 0
    if fills.all():
        raise Unsupported("gives nothing of its tensor")
    coordinates = np.unravel_index(np.where(fills, 0, places - 1), shape)
    others = [tuple(b for b in range(places.ndim) if b != axis) for axis in range(places.ndim)]
    follows: dict[int, int] = {}
    along: list[Numbers] = []
    for coordinate, size in zip(coordinates, shape, strict=True):
        # Between these ends lie the coordinates of each index along an axis of the result.
        ends = [
            (
                np.where(fills, size, coordinate).min(axis=rest, initial=size),
                np.where(fills, -1, coordinate).max(axis=rest, initial=-1),
            )
            for rest in others
        ]
        moving = [
            axis
            for axis, (low, high) in enumerate(ends)
            if axis not in follows.values() and len(set(low[high >= 0].tolist())) > 1
        ]
        here = len(along)
        if moving:
            follows[here] = moving[0]
            low, high = ends[moving[0]]
            along.append(np.where(high < 0, -1, low))
        else:
            along.append(np.array([int(np.where(fills, -1, coordinate).max())]))
    # An axis of one value may be repeated or get a border.
    still = [a for a in range(places.ndim) if a not in follows.values() and places.shape[a] > 1]
    single = [a for a in range(len(shape)) if a not in follows]
    for axis, here in zip(still, single, strict=False):
        follows[here] = axis
        empty = fills.all(axis=others[axis])
        along[here] = np.where(empty, -1, along[here][0])
    order = list(range(len(shape)))
    if [follows[here] for here in sorted(follows)] != sorted(follows.values()):
        order.sort(key=lambda here: follows.get(here, -1))
    return along, order


PICKS: dict[Any, Any] = {
    operator.getitem: indexed,
    "expand": expanded,
    **dict.fromkeys(
        (
            *(torch.flip, torch.fliplr, torch.rot90, torch.roll, torch.narrow),
            *(torch.select, torch.repeat_interleave, torch.tile),
            *("flip", "fliplr", "rot90", "roll", "narrow", "select"),
            *("repeat_interleave", "tile", "repeat"),
        ),
        picked,
    ),
}
