"""What lowering knows of a tensor of the model: integers of the network and a line per channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import OrderLayer
from vecq_hw.layers.windows import Sides
from vecq_hw.lower.layout import VECTOR, Layout

Doubles = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pending:
    """Pixels of one real value around an image, by the layer ``name``, not yet in the network."""

    name: str
    sides: Sides
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A node of the model: ``integers of tensor * scale + offset``, per channel.

    Behind a function that a table computes it is ``entries * scale + offset``, where ``entries``,
    of shape (integers of the tensor's format, C), are the values of the function as the model
    computes them.

    ``order`` is the position that each element has in torch's own order, where an image was
    flattened channels-last; ``layout`` tells how the axes of a sample lie in the tensor; ``owner``
    is the layer that names the next Rescale; ``pools`` the max-pools, with their names, that wait
    for the codes of that Rescale; ``pad`` what stands around the tensor, before those pools.
    ``moves`` are layers that only move integers, and wait too, as codes are narrower than sums: the
    tensor has all channels of the value several times.  With ``rows``, the class of each position,
    ``scale`` and ``offset`` have the shape (classes, C).
    """

    tensor: str
    scale: Doubles
    offset: Doubles
    owner: str
    order: IntArray | None = None
    entries: torch.Tensor | None = None
    pools: tuple[tuple[str, nn.Module], ...] = ()
    pad: Pending | None = None
    rows: IntArray | None = None
    layout: Layout = VECTOR
    moves: tuple[OrderLayer, ...] = ()


def normalized(name: str, module: nn.BatchNorm1d | nn.BatchNorm2d, value: Value) -> Value:
    """The line through a batch norm in evaluation mode.

    Raises
    ------
    VecqError
        Its scale or shift is NaN or infinite, or it normalizes another number of channels than it
        reads.
    """
    assert module.running_mean is not None
    assert module.running_var is not None
    mean, variance = doubles(module.running_mean), doubles(module.running_var)
    with np.errstate(invalid="ignore"):
        gain = 1.0 / np.sqrt(variance + module.eps)
    if module.affine:
        gain = gain * doubles(module.weight)
    shift = -mean * gain
    if module.affine:
        shift = shift + doubles(module.bias)
    check_finite(name, "scale", gain)
    check_finite(name, "shift", shift)
    if value.moves:
        copies = value.scale.shape[-1] // len(gain)
        gain, shift = np.tile(gain, copies), np.tile(shift, copies)
    if len(gain) != value.scale.shape[-1]:
        raise VecqError(
            f"layer '{name}' normalizes {len(gain)} channels, but reads {value.scale.shape[-1]}"
        )
    if value.order is not None:
        gain, shift = gain[value.order], shift[value.order]
    return replace(value, scale=value.scale * gain, offset=value.offset * gain + shift)


def added_order(name: str, values: Sequence[Value]) -> IntArray | None:
    """The order of a sum, in which all operands must be.

    The shape is (elements,); None stands for the order of the network.

    Raises
    ------
    VecqError
        Two operands have different orders.
    """
    order = values[0].order
    for value in values[1:]:
        other = value.order
        if (order is None) != (other is None) or (
            order is not None and other is not None and not np.array_equal(order, other)
        ):
            raise VecqError(
                f"layer '{name}' adds a flattened image to something in another order;"
                " put a Linear behind the Flatten"
            )
    return order


def joined_order(values: Sequence[Value]) -> IntArray | None:
    """The order of vectors put side by side.

    The shape is (elements,); None stands for the order of the network.
    """
    if all(value.order is None for value in values):
        return None
    orders, start = [], 0
    for value in values:
        size = len(value.scale)
        orders.append(start + (np.arange(size) if value.order is None else value.order))
        start += size
    return np.concatenate(orders)


def doubles(tensor: torch.Tensor) -> Doubles:
    """The tensor's values in float64, in its shape."""
    return tensor.detach().cpu().double().numpy()


def check_finite(name: str, what: str, values: Doubles) -> None:
    """Refuse values that are NaN or infinite, by the name of their layer.

    ``values`` has any shape.

    Raises
    ------
    VecqError
        One is NaN or infinite.
    """
    if not np.isfinite(values).all():
        raise VecqError(f"layer '{name}': its {what} holds NaN or infinite values; train it again")
