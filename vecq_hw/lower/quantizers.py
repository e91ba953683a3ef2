"""What a quantizer makes of a line or of a table: codes, by a Rescale or a Lookup."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Lookup, Rescale
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.rescale import rescale_constants, with_one_shift
from vecq_hw.lower.tables import lookup
from vecq_hw.lower.values import Value
from vecq_hw.lower.windows import max_pool
from vecq_hw.quantize import ActivationQuantizer


def coded(builder: Builder, quantizer: ActivationQuantizer, value: Value) -> Value:
    """The codes of a value, behind the max-pools and the moves that waited for them."""
    if value.entries is None:
        result = _rescale(builder, quantizer, value)
    else:
        layer = lookup(builder.free(f"{value.owner}_lookup"), value, quantizer)
        result = _codes(builder, quantizer, builder.add(layer), value)
    if value.pad is not None:
        padding = quantizer.integer(value.pad.value) * float(quantizer.step) + quantizer.zero
        result = replace(result, pad=replace(value.pad, value=padding))
    for name, pool in value.pools:
        result = max_pool(builder, name, pool, result)
    return result


def _rescale(builder: Builder, quantizer: ActivationQuantizer, value: Value) -> Value:
    """The line as a Rescale, and a Lookup behind it where not all integers are levels."""
    step, levels = float(quantizer.step), quantizer.levels
    if levels is None or (np.diff(levels) == 1).all():
        tensor = _line(builder, value, step, quantizer.zero, quantizer.format)
        return _codes(builder, quantizer, tensor, value)
    # In half steps every half-way point between two levels is an integer; counting those that are
    # reached rounds down, so half of a half step is taken off.
    edges = levels[1:] + levels[:-1]
    numbers = np.arange(int(edges[0]) - 1, int(edges[-1]) + 1)
    fmt = IntFormat.covering(int(numbers[0]), int(numbers[-1]), quantizer.signed)
    layer = Lookup(
        name=builder.free(f"{value.owner}_levels"),
        input=_line(builder, value, step / 2, quantizer.zero + step / 4, fmt),
        table=levels[np.searchsorted(edges, numbers, side="right")][np.newaxis],
        format=quantizer.format,
        step=step,
    )
    return _codes(builder, quantizer, builder.add(layer), value)


def _line(builder: Builder, value: Value, step: float, zero: float, fmt: IntFormat) -> str:
    """The Rescale of a value to steps from ``zero`` on."""
    layer_name = builder.free(f"{value.owner}_rescale")
    try:
        constants = rescale_constants(
            (value.scale / step).ravel().tolist(),
            ((value.offset - zero) / step).ravel().tolist(),
            builder.tensors[value.tensor].format,
            builder.mantissa_bits,
            fmt,
        )
    except VecqError as error:
        raise VecqError(f"layer '{layer_name}': {error}") from None
    constants = with_one_shift(constants, 1 if value.rows is None else len(value.scale))
    layer = Rescale(
        name=layer_name,
        input=value.tensor,
        mantissa=np.array(constants.mantissa, np.int64).reshape(value.scale.shape),
        offset=np.array(constants.offset, np.int64).reshape(value.scale.shape),
        shift=np.array(constants.shift[: value.scale.shape[-1]], np.int64),
        format=fmt,
        step=step,
        rows=value.rows,
    )
    return builder.add(layer)


def _codes(builder: Builder, quantizer: ActivationQuantizer, tensor: str, value: Value) -> Value:
    """The codes that a quantizer made of ``value``, behind the moves that waited for them."""
    codes = builder.codes(tensor, value.owner, value.order, value.layout)
    offset = np.full_like(codes.offset, quantizer.zero)
    return builder.moved(replace(codes, offset=offset, moves=value.moves))
