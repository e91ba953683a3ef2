"""Padding: a layer of its own, or pixels that the layer which reads the image takes in."""

from __future__ import annotations

from dataclasses import replace

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.orders import padded
from vecq_hw.lower.values import Pending, Value
from vecq_hw.train.windows import Pad

_ROUNDING = 2.0**-40


def through_pad(builder: Builder, name: str, module: Pad, value: Value) -> Value:
    """Padding by a value waits for the layer that reads it; any other takes pixels."""
    shape = builder.tensors[value.tensor].shape
    _check_image(name, module, shape, value.layout.rank == 2)
    if module.is_added:
        return replace(value, pad=Pending(name=name, sides=module.sides, value=module.value))
    code = pad_code(builder, name, module.value, value) if module.mode == "constant" else 0
    layer = padded(builder.free(name), value.tensor, shape, module, code)
    return replace(value, tensor=builder.add(layer))


def with_padding(builder: Builder, value: Value) -> Value:
    """The value with its padding in the network."""
    pad = value.pad
    if pad is None:
        return value
    top, left, bottom, right = pad.sides
    layer = padded(
        builder.free(pad.name),
        value.tensor,
        builder.tensors[value.tensor].shape,
        Pad((left, right, top, bottom)),
        pad_code(builder, pad.name, pad.value, value),
    )
    return replace(value, tensor=builder.add(layer), pad=None)


def pad_code(builder: Builder, name: str, real: float, value: Value) -> int:
    """The integer that a real value of padding is in the tensor.

    Raises
    ------
    VecqError
        The padding is no value of the tensor's grid, or its integer leaves the format.
    """
    scale, zero = float(value.scale.flat[0]), float(value.offset.flat[0])
    code, fmt = round((real - zero) / scale), builder.tensors[value.tensor].format
    held = IntFormat(fmt.bits, fmt.signed)
    apart = abs(code * scale + zero - real) > abs(real - zero) * _ROUNDING
    if apart or (code and value.rows is not None):
        raise VecqError(
            f"layer '{name}' pads with {real:g}, which is no value of what it pads, {zero:g}"
            f" and steps of {scale:.3g}; pad with another value, or right before a layer with"
            " weights"
        )
    if not held.contains(code, code):
        raise VecqError(f"layer '{name}' pads with {real:g}, which {held!r} does not hold")
    return code


def _check_image(name: str, module: Pad, shape: tuple[int, ...], sequence: bool) -> None:
    """Refuse to pad vectors, and the channels of a sequence."""
    if len(shape) != 3:
        raise VecqError(f"layer '{name}' pads vectors; images and sequences alone can be padded")
    if sequence and any(module.pads[2:]):
        raise VecqError(f"layer '{name}' pads the channels of a sequence; pad its steps alone")
