"""Transposed convolutions and bilinear upsampling as convolutions behind or before an order.

A transposed convolution reads its image with zeros between the pixels.  Where the kernel is a
multiple of the stride, each phase of its outputs is a small convolution of the image itself: these
side by side, and a pixel shuffle, multiply by no zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, TwosComplement
from vecq_hw.layers import AnyWeights, Conv2d, OrderLayer, Permute, Take, Upsample2d, Weights
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.sums import pair
from vecq_hw.lower.values import Doubles, Value, check_finite, doubles
from vecq_hw.lower.weights import places, steps_of, weights_at
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Transposed:
    """The layers of a transposed convolution, each without name and input.

    Attributes
    ----------
    before, after : sequence of layers that only move integers
    shares : array
        As of the relative scales of a layer with weights, for the outputs of the module.
    """

    before: Sequence[Take]
    convolution: Conv2d
    after: Sequence[OrderLayer]
    shares: Doubles


@dataclass(frozen=True, slots=True)
class _Along:
    """A transposed convolution along one axis."""

    size: int
    kernel: int
    stride: int
    padding: int
    more: int
    """What it adds at the end: ``output_padding``."""
    dilation: int

    @property
    def outputs(self) -> int:
        reach = self.dilation * (self.kernel - 1)
        return (self.size - 1) * self.stride - 2 * self.padding + reach + self.more + 1


def through_transposed(
    builder: Builder, name: str, module: QuantizedTransposed, value: Value
) -> Value:
    """A transposed convolution, as a line that has its bias."""
    tensor = value.tensor
    if value.offset.any():
        raise VecqError(f"layer '{name}' puts zeros between signs, which are none of them")
    try:
        made = transposed(module, builder.tensors[tensor].shape)
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
        scale=gain * line.scale * np.tile(np.broadcast_to(made.shares, bias.shape), copies),
        offset=np.tile(bias, copies),
        moves=tuple(made.after),
    )


def transposed(module: QuantizedTransposed, shape: tuple[int, ...]) -> Transposed:
    """The layers of ``module`` on an image of ``shape``, (H, W, C)."""
    given = weight_rows(module)
    quantized = module.quantizer.codes(given)
    taken, (_, shares) = places(tuple(given.shape)), steps_of(quantized)
    sequence = isinstance(module, QuantizedConvTranspose1d)
    taken = taken[:, :, np.newaxis] if sequence else taken
    taken = taken.transpose(0, 2, 3, 1)
    down = (lambda value: value) if sequence else (lambda value: None)
    columns = (
        shape[:2],
        taken.shape[1:3],
        pair(module.stride, down(1)),
        pair(tuple(map(int, module.padding)), down(0)),
        pair(module.output_padding, down(0)),
        pair(module.dilation, down(1)),
    )
    axes = [_Along(*sizes) for sizes in zip(*columns, strict=True)]
    in_phases = all(a.kernel % a.stride == 0 and a.dilation == 1 for a in axes)
    several = any(a.stride > 1 for a in axes)

    def weights(taken: IntArray) -> AnyWeights:
        return weights_at(quantized, taken)

    # In groups the phases of an output lie apart, and the shuffle would take a lane at a time.
    if in_phases and several and module.groups == 1:
        convolution, after = _in_phases(taken, axes, weights)
        return Transposed(before=(), convolution=convolution, after=after, shares=shares)
    spread, before, behind = zip(*map(_spread, axes), strict=True)
    rows, columns_taken = (
        None if np.array_equal(taken, np.arange(a.size)) else taken
        for taken, a in zip(spread, axes, strict=True)
    )
    moved = rows is not None or columns_taken is not None
    take = Take(name="", input="", rows=rows, columns=columns_taken)
    convolution = Conv2d(
        name="",
        input="",
        weights=weights(taken),
        padding=(*before, *behind),
        dilation=(axes[0].dilation, axes[1].dilation),
        groups=module.groups,
    )
    return Transposed(
        before=(take,) if moved else (), convolution=convolution, after=(), shares=shares
    )


def _spread(along: _Along) -> tuple[IntArray, int, int]:
    """Where each place of the image with zeros between its pixels comes from; and the padding."""
    before = along.dilation * (along.kernel - 1) - along.padding
    # As many zeros come behind the last pixel as behind each.
    behind = before + along.more - (along.stride - 1)
    places = np.full((along.size, along.stride), -1)
    places[:, 0] = np.arange(along.size)
    end = places.size - max(-behind, 0)
    return places.ravel()[max(-before, 0) : end], max(before, 0), max(behind, 0)


def _in_phases(
    taken: IntArray, axes: Sequence[_Along], weights: Callable[[IntArray], AnyWeights]
) -> tuple[Conv2d, list[OrderLayer]]:
    """One small convolution for all phases of the outputs, and what puts them side by side."""
    taps = [along.kernel // along.stride for along in axes]
    strides = [along.stride for along in axes]
    outputs, channels = len(taken), taken.shape[-1]
    # Of turned kernels, the cells of the last phase come first.
    split = taken.reshape(outputs, taps[0], strides[0], taps[1], strides[1], channels)
    phases = split[:, :, ::-1, :, ::-1].transpose(2, 4, 0, 1, 3, 5)
    before, behind, sizes, first = zip(*map(_phase_rows, axes), strict=True)
    convolution = Conv2d(
        name="",
        input="",
        weights=weights(phases.reshape(-1, *taps, channels)),
        padding=(*before, *behind),
    )
    shape = (sizes[0] * strides[0], sizes[1] * strides[1], outputs)
    after: list[OrderLayer] = [
        Permute(
            name="",
            input="",
            split=(*sizes, *strides, outputs),
            order=(0, 2, 1, 3, 4),
            shape=shape,
        )
    ]
    cut = [
        None if along.outputs == size else np.arange(start, start + along.outputs)
        for along, size, start in zip(axes, shape, first, strict=False)
    ]
    if any(places is not None for places in cut):
        after.append(Take(name="", input="", rows=cut[0], columns=cut[1]))
    return convolution, after


def _phase_rows(along: _Along) -> tuple[int, int, int, int]:
    """Along an axis: the padding, how many outputs a phase has, the first of all phases."""
    taps = along.kernel // along.stride
    # Without padding the first output of a phase is number taps - 1, the last the image's last.
    before = max(taps - 1 - along.padding // along.stride, 0)
    last = (along.padding + along.outputs - 1) // along.stride
    behind = max(last - (along.size - 1), 0)
    size = along.size + before + behind - taps + 1
    return before, behind, size, along.padding - (taps - 1 - before) * along.stride


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
