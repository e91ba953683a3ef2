"""Slices, reshapes and transposes as layers, by where torch and the network keep the channels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import Flatten, Permute, Take
from vecq_hw.lower.layout import VECTOR, Layout
from vecq_hw.train.picks import Pick
from vecq_hw.train.rearrange import Rearrange, composed
from vecq_hw.train.windows import Pad

Move = Take | Permute | Flatten


@dataclass(frozen=True, slots=True)
class Moved:
    """What lowering makes of a module that only moves values.

    Attributes
    ----------
    layers : sequence of layers without name and input
    order : int64 array or None
        As of :class:`vecq_hw.lower.values.Value`, of a vector in another order than torch's.
    """

    layers: Sequence[Move]
    layout: Layout
    order: IntArray | None = None


def rearranged(
    module: Rearrange, shape: tuple[int, ...], layout: Layout, wants_last: bool
) -> Moved:
    """A Rearrange of a tensor of ``shape``.

    Of the two layouts that the result may have, it gets the one for which nothing moves, or else
    the one that its reader wants.

    Raises
    ------
    VecqError
        The samples that it gives have more than three axes.
    """
    rank = len(module.shape)
    if rank > 3:
        raise VecqError(
            f"it gives samples of the shape {module.shape}; vectors (C,), sequences (C, L) or"
            " images (C, H, W) are wanted"
        )
    start = [layout.to_sample(shape), module]
    if rank == 1:
        return Moved([Flatten(name="", input="")], VECTOR, _order(start, math.prod(shape)))
    options = []
    for last in (wants_last, not wants_last):
        after = Layout(rank, last)
        steps = _composed([*start, after.from_sample(module.shape)])
        options.append((not all(step.keeps_order for step in steps), len(steps), after, steps))
    _, _, after, steps = min(options, key=lambda option: option[:2])
    return Moved(_permutes(steps, shape), after)


def with_channels(shape: tuple[int, ...], layout: Layout, last: bool) -> Moved:
    """The same sample in the other layout, where it has that."""
    if layout.rank == 1 or layout.last == last:
        return Moved([], layout)
    after = Layout(layout.rank, last)
    steps = _composed([layout.to_sample(shape), after.from_sample(layout.sample(shape))])
    return Moved(_permutes(steps, shape), after)


def picked(module: Pick, layout: Layout) -> Take:
    """A Pick of the axes of a sample; of a vector in torch's order."""
    *places, channels = module.indices if layout.last else (*module.indices[1:], module.indices[0])
    rows, columns = [None] * (2 - len(places)) + places
    return Take(name="", input="", rows=rows, columns=columns, channels=channels)


def padded(name: str, tensor: str, shape: tuple[int, ...], pad: Pad, code: int) -> Take:
    """Any padding or cut of an image of ``shape`` as a layer of its own."""
    rows, columns = pad.indices(shape[0], shape[1])
    return Take(name=name, input=tensor, rows=rows, columns=columns, code=code)


def _order(steps: Sequence[Rearrange], count: int) -> IntArray | None:
    """Which place in the result each integer of a tensor has; None where all keep theirs."""
    places = torch.arange(count).reshape(1, -1)
    for step in steps:
        places = step(places)
    order = np.argsort(places.numpy().ravel())
    return None if np.array_equal(order, np.arange(count)) else order


def _composed(steps: Sequence[Rearrange]) -> list[Rearrange]:
    """One behind the other, as few as can be."""
    result: list[Rearrange] = []
    for step in steps:
        both = composed(result[-1], step) if result else None
        if both is None:
            result.append(step)
        else:
            result[-1] = both
    return result


def _permutes(steps: Sequence[Rearrange], shape: tuple[int, ...]) -> list[Permute]:
    result = []
    for place, step in enumerate(steps):
        final = place == len(steps) - 1
        after = step.shape if final else (math.prod(step.shape),)
        if step.keeps_order and shape == after:
            continue
        split, order = (step.split, step.order) if step.split else ((math.prod(shape),), (0,))
        result.append(Permute(name="", input="", split=split, order=order, shape=after))
        shape = after
    return result
