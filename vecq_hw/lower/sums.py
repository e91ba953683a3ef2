"""The products and sums of a layer with weights."""

from __future__ import annotations

import operator
from dataclasses import replace

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Dense
from vecq_hw.layers.windows import sides
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.padding import pad_code, with_padding
from vecq_hw.lower.values import Doubles, Value, check_finite, doubles
from vecq_hw.lower.weights import places, steps_of, weights_at
from vecq_hw.lower.windows import NO_SIDES
from vecq_hw.train.quantized_layers import (
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedLinear,
    numeric_padding,
    quantized_bias,
    weight_rows,
)


def weighted(
    builder: Builder,
    name: str,
    module: QuantizedLinear | QuantizedConv1d | QuantizedConv2d,
    value: Value,
) -> Value:
    """The products and sums of a layer with weights, as a line that has its bias.

    Raises
    ------
    VecqError
        The layer pads signs with 0, what pads before it has no code, its weights cannot be
        quantized, or its bias is NaN or infinite.
    """
    around, code, zero = NO_SIDES, 0, float(value.offset.flat[0])
    images = not isinstance(module, QuantizedLinear)
    own = not isinstance(module, QuantizedLinear) and any(numeric_padding(module))
    if zero and own:
        raise VecqError(
            f"layer '{name}' pads signs with 0, which is none of them; pad by"
            " torch.nn.functional.pad with the value -1 or 1, or not at all"
        )
    if (pad := value.pad) is not None and images:
        code = pad_code(builder, pad.name, pad.value, value)
        if code and own:
            value, code = with_padding(builder, value), 0
        else:
            around, value = pad.sides, replace(value, pad=None)
    try:
        layer, shares = _sums(builder.free(name), module, value)
    except VecqError as error:
        raise VecqError(f"layer '{name}': {error}") from None
    layer = replace(layer, weights=builder.shared(module, layer.weights))
    if isinstance(layer, Conv2d):
        padding = tuple(map(operator.add, layer.padding, around))
        layer = replace(layer, padding=padding, pad_code=code)
    tensor = builder.add(layer)
    added = quantized_bias(module)
    bias = np.zeros(layer.outputs) if added is None else doubles(added)
    if zero:
        sums_of_weights = layer.weights.values.reshape(layer.outputs, -1).sum(axis=1)
        bias = bias + zero * layer.weights.step * shares * sums_of_weights
    check_finite(name, "bias", bias)
    line = builder.codes(tensor, tensor, layout=value.layout)
    # Of an input that the model multiplies first, codes have another step than the model's.
    shares = shares * (value.scale[0] / builder.tensors[value.tensor].step)
    return replace(line, scale=line.scale * shares, offset=bias)


def _sums(
    name: str, module: QuantizedLinear | QuantizedConv1d | QuantizedConv2d, value: Value
) -> tuple[Dense | Conv2d, Doubles]:
    """The products and sums of a layer with weights, without its bias, and their relative scales.

    The layer's step is the largest where the outputs have steps of their own; each output's sums
    count the second result times as much, 0..1, one or one an output.

    Raises
    ------
    VecqError
        The weights cannot be quantized.
    """
    quantized = module.quantizer.codes(weight_rows(module))
    taken, (_, shares) = places(tuple(module.weight.shape)), steps_of(quantized)
    if isinstance(module, QuantizedLinear):
        if value.order is not None and len(value.order) == taken.shape[1]:
            taken = taken[:, value.order]
        if value.layout.rank == 1:
            weights = weights_at(quantized, taken)
            return Dense(name=name, input=value.tensor, weights=weights), shares
        # On each step of a sequence, or each pixel.
        weights = weights_at(quantized, taken[:, np.newaxis, np.newaxis])
        return Conv2d(name=name, input=value.tensor, weights=weights), shares
    across = isinstance(module, QuantizedConv1d)
    taken = taken[:, :, np.newaxis] if across else taken
    layer = Conv2d(
        name=name,
        input=value.tensor,
        weights=weights_at(quantized, taken.transpose(0, 2, 3, 1)),
        stride=pair(module.stride, 1 if across else None),
        padding=sides(pair(numeric_padding(module), 0 if across else None)),
        dilation=pair(module.dilation, 1 if across else None),
        groups=module.groups,
    )
    return layer, shares


def pair(size: int | tuple[int, ...], down: int | None = None) -> tuple[int, int]:
    """Down and across; of a layer along sequences ``down`` is given and ``size`` goes across."""
    sizes = (size, size) if isinstance(size, int) else tuple(size)
    return (int(sizes[0]) if down is None else down, int(sizes[-1]))
