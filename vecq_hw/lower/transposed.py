"""Transposed convolutions and bilinear upsampling as convolutions behind or before an order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, TwosComplement
from vecq_hw.layers import AnyWeights, Conv2d, Take, Upsample2d, Weights
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.sums import pair
from vecq_hw.lower.values import Doubles, Value, check_finite, doubles
from vecq_hw.lower.weights import places, steps_of, weights_at
from vecq_hw.passes.transposed import Along, Transposed
from vecq_hw.passes.transposed import transposed as layers_of
from vecq_hw.train.quantized_layers import (
    is_bilinear,
    quantized_bias,
    upsample_factors,
    weight_rows,
)
from vecq_hw.train.transposed import (
    QuantizedConvTranspose1d,
    QuantizedTransposed,
)

Pair = tuple[int, int]


def through_transposed(
    builder: Builder, name: str, module: QuantizedTransposed, value: Value
) -> Value:
    """A transposed convolution, as a line that has its bias.

    Raises
    ------
    VecqError
        The layer puts zeros between signs, its weights or shapes cannot be lowered, or its bias is
        NaN or infinite.
    """
    tensor = value.tensor
    if value.offset.any():
        raise VecqError(f"layer '{name}' puts zeros between signs, which are none of them")
    try:
        made, shares = transposed(module, builder.tensors[tensor].shape)
    except VecqError as error:
        raise VecqError(f"layer '{name}': {error}") from None
    for zeros in made.before:
        tensor = builder.add(replace(zeros, name=builder.free(f"{name}_zeros"), input=tensor))
    weights = builder.shared(module, made.convolution.weights)
    convolution = replace(made.convolution, weights=weights)
    tensor = builder.add(replace(convolution, name=builder.free(name), input=tensor))
    added = quantized_bias(module)
    bias = np.zeros(module.out_channels) if added is None else doubles(added)
    check_finite(name, "bias", bias)
    line = builder.codes(tensor, tensor, layout=value.layout)
    copies = len(line.scale) // len(bias)
    gain = value.scale[0] / builder.tensors[value.tensor].step
    return replace(
        line,
        scale=gain * line.scale * np.tile(np.broadcast_to(shares, bias.shape), copies),
        offset=np.tile(bias, copies),
        moves=tuple(made.after),
    )


def transposed(module: QuantizedTransposed, shape: tuple[int, ...]) -> tuple[Transposed, Doubles]:
    """The layers of ``module`` on an image of ``shape``, (H, W, C).

    Beside them the relative scales of a layer with weights, for the outputs of the module.
    """
    given = weight_rows(module)
    quantized = module.quantizer.codes(given)
    taken, (_, shares) = places(tuple(given.shape)), steps_of(quantized)
    sequence = isinstance(module, QuantizedConvTranspose1d)
    taken = taken[:, :, np.newaxis] if sequence else taken
    taken = taken.transpose(0, 2, 3, 1)
    down = (lambda value: value) if sequence else (lambda value: None)
    padding = pair(tuple(map(int, module.padding)), down(0))
    columns = (
        shape[:2],
        taken.shape[1:3],
        pair(module.stride, down(1)),
        padding,
        padding,
        pair(module.output_padding, down(0)),
        pair(module.dilation, down(1)),
    )
    axes = [Along(*sizes) for sizes in zip(*columns, strict=True)]

    def weights(taken: IntArray) -> AnyWeights:
        return weights_at(quantized, taken)

    return layers_of(taken, axes, weights, module.groups), shares


def upsampled(builder: Builder, name: str, module: nn.Upsample, value: Value) -> Value:
    """An image or a sequence by a whole factor larger."""
    factor = upsample_factors(module.scale_factor)
    assert factor is not None
    if value.layout.rank == 2:
        factor = (1, factor[1])
    if is_bilinear(module):
        return _through_bilinear(builder, name, factor, value)
    layer = Upsample2d(name=builder.free(name), input=value.tensor, factor=factor)
    return replace(value, tensor=builder.add(layer))


def _through_bilinear(builder: Builder, name: str, factor: Pair, value: Value) -> Value:
    """Upsampling by weights that are whole parts of their sum."""
    tensor = value.tensor
    made = bilinear(builder.tensors[tensor].shape, factor)
    for layer in made:
        tensor = builder.add(replace(layer, name=builder.free(name), input=tensor))
    total = made[-1].weights.values[0].sum()
    return replace(value, tensor=tensor, scale=value.scale / total)


def bilinear(shape: tuple[int, ...], factor: Pair) -> tuple[Upsample2d, Take, Conv2d]:
    """Bilinear upsampling by whole factors, as layers without names.

    Each pixel several times, the border once more on each side, and the sums of windows as wide as
    the factor; for an even factor those of two windows a pixel apart.  The weights of an output are
    whole numbers, by the sum of which its value is to be divided.
    """
    kernels = [np.convolve(np.ones(f, int), [1, 1] if f % 2 == 0 else [1]) for f in factor]
    values = np.multiply.outer(*kernels)
    width = [f // 2 for f in factor]
    rows, columns = (
        np.pad(np.arange(size * f), w, mode="edge") if w else None
        for size, f, w in zip(shape[:2], factor, width, strict=True)
    )
    channels = shape[-1]
    weights = Weights(
        codes=np.broadcast_to(values[np.newaxis, ..., np.newaxis], (channels, *values.shape, 1)),
        grid=TwosComplement(int(values.max()).bit_length() + 1),
    )
    return (
        Upsample2d(name="", input="", factor=factor),
        Take(name="", input="", rows=rows, columns=columns),
        Conv2d(name="", input="", weights=weights, groups=channels),
    )
