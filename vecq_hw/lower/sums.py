"""The products and sums of a layer with weights."""

from __future__ import annotations

import numpy as np

from vecq_hw.layers import Conv2d, Dense, Weights
from vecq_hw.layers.windows import sides
from vecq_hw.lower.values import Doubles, Value, doubles
from vecq_hw.train.quantized_layers import (
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedLinear,
    numeric_padding,
)


def sums(
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
    quantized = module.quantizer.codes(module.weight)
    codes, grid = quantized.codes.cpu().numpy(), quantized.grid
    steps = doubles(quantized.step)
    step = float(steps.max())
    if isinstance(module, QuantizedLinear):
        if value.order is not None and len(value.order) == codes.shape[1]:
            codes = codes[:, value.order]
        if value.layout.rank == 1:
            weights = Weights(codes=codes, grid=grid, step=step)
            return Dense(name=name, input=value.tensor, weights=weights), steps / step
        # On each step of a sequence, or each pixel.
        weights = Weights(codes=codes[:, np.newaxis, np.newaxis], grid=grid, step=step)
        return Conv2d(name=name, input=value.tensor, weights=weights), steps / step
    across = isinstance(module, QuantizedConv1d)
    codes = codes[:, :, np.newaxis] if across else codes
    layer = Conv2d(
        name=name,
        input=value.tensor,
        weights=Weights(codes=codes.transpose(0, 2, 3, 1), grid=grid, step=step),
        stride=pair(module.stride, 1 if across else None),
        padding=sides(pair(numeric_padding(module), 0 if across else None)),
        dilation=pair(module.dilation, 1 if across else None),
        groups=module.groups,
    )
    return layer, steps / step


def pair(size: int | tuple[int, ...], down: int | None = None) -> tuple[int, int]:
    """Down and across; of a layer along sequences ``down`` is given and ``size`` goes across."""
    sizes = (size, size) if isinstance(size, int) else tuple(size)
    return (int(sizes[0]) if down is None else down, int(sizes[-1]))
