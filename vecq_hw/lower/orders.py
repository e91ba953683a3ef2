"""The layers that give another order, or take some of what there is."""

from __future__ import annotations

from vecq_hw.layers import Flatten, Permute, Take
from vecq_hw.train.rearrange import Rearrange
from vecq_hw.train.windows import Pad


def permute(name: str, tensor: str, order: Rearrange) -> Flatten | Permute:
    """The reordering of ``tensor``, which is in the layout of the network already."""
    if order.keeps_order and len(order.shape) == 1:
        return Flatten(name=name, input=tensor)
    return Permute(name=name, input=tensor, split=order.split, order=order.order, shape=order.shape)


def take(name: str, tensor: str, shape: tuple[int, ...], pad: Pad, code: int) -> Take:
    """Any padding or cut as a layer of its own."""
    height, width, _ = shape
    rows, columns = pad.indices(height, width)
    return Take(name=name, input=tensor, rows=rows, columns=columns, code=code)
