"""Layers that compute with quantized weights while the optimizer moves floats, joins as modules.

Each quantized layer takes over the parameters of the float one and holds a quantizer for each of
its weight matrices.  Biases stay float unless they get one, too; lowering folds them into integers.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import Vecq, WeightMethod, WeightQuantizer
from vecq_hw.train.recurrent import QuantizedGRU, QuantizedLSTM
from vecq_hw.train.transposed import (
    QuantizedConvTranspose1d,
    QuantizedConvTranspose2d,
    as_convolution,
    of_convolution,
)


class QuantizedLinear(nn.Linear):
    """A Linear with quantized weights; it takes over the parameters of ``source``.

    ``pixels`` are those of the image of which a row of its weights is handed to the quantizer, as
    (O, C, pixels); 1 is for no image, a matrix.
    """

    quantizer: WeightQuantizer
    bias_quantizer: WeightQuantizer | None

    def __init__(
        self,
        source: nn.Linear,
        quantizer: WeightQuantizer,
        bias_quantizer: WeightQuantizer | None,
        pixels: int = 1,
    ) -> None:
        super().__init__(source.in_features, source.out_features, bias=False, device="meta")
        _take_over(self, source, quantizer, bias_quantizer)
        self.pixels = pixels

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The output of shape (..., O) of a Linear for (..., inputs), with quantized weights."""
        weight = self.quantizer(weight_rows(self)).reshape_as(self.weight)
        return F.linear(input, weight, quantized_bias(self))


class QuantizedConv2d(nn.Conv2d):
    """A Conv2d with quantized weights; it takes over the parameters of ``source``."""

    quantizer: WeightQuantizer
    bias_quantizer: WeightQuantizer | None

    def __init__(
        self, source: nn.Conv2d, quantizer: WeightQuantizer, bias_quantizer: WeightQuantizer | None
    ) -> None:
        padding = numeric_padding(source)
        super().__init__(
            source.in_channels,
            source.out_channels,
            kernel_size=(source.kernel_size[0], source.kernel_size[1]),
            stride=(source.stride[0], source.stride[1]),
            padding=(padding[0], padding[1]),
            dilation=(source.dilation[0], source.dilation[1]),
            groups=source.groups,
            bias=False,
            device="meta",
        )
        _take_over(self, source, quantizer, bias_quantizer)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The output (N, O, H, W) of a Conv2d that reads (N, C, H, W), with quantized weights."""
        weight = self.quantizer(self.weight)
        sums: torch.Tensor = self._conv_forward(input, weight, quantized_bias(self))
        return sums


class QuantizedConv1d(nn.Conv1d):
    """A Conv1d with quantized weights; it takes over the parameters of ``source``."""

    quantizer: WeightQuantizer
    bias_quantizer: WeightQuantizer | None

    def __init__(
        self, source: nn.Conv1d, quantizer: WeightQuantizer, bias_quantizer: WeightQuantizer | None
    ) -> None:
        super().__init__(
            source.in_channels,
            source.out_channels,
            kernel_size=source.kernel_size[0],
            stride=source.stride[0],
            padding=numeric_padding(source)[0],
            dilation=source.dilation[0],
            groups=source.groups,
            bias=False,
            device="meta",
        )
        _take_over(self, source, quantizer, bias_quantizer)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The output (N, O, L) of a Conv1d that reads (N, C, L), with quantized weights."""
        weight = self.quantizer(self.weight)
        sums: torch.Tensor = self._conv_forward(input, weight, quantized_bias(self))
        return sums


class QuantizedEmbedding(nn.Embedding):
    """An Embedding whose table is quantized."""

    quantizer: WeightQuantizer
    integer_rows = False
    """Whether what reads the rows takes the integers of the table, activations being quantized."""

    def __init__(self, source: nn.Embedding, quantizer: WeightQuantizer) -> None:
        super().__init__(
            source.num_embeddings,
            source.embedding_dim,
            padding_idx=source.padding_idx,
            scale_grad_by_freq=source.scale_grad_by_freq,
            device="meta",
        )
        self.weight, self.quantizer = source.weight, quantizer

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The rows (..., C) of the quantized table at indices of shape (...).

        The result has one axis more than the shape of the indices.
        """
        return F.embedding(
            input,
            self.quantizer(self.weight),
            self.padding_idx,
            scale_grad_by_freq=self.scale_grad_by_freq,
        )


Sums = (
    QuantizedLinear,
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedConvTranspose1d,
    QuantizedConvTranspose2d,
)
"""Those that multiply codes by weights and add."""
Quantized = (*Sums, QuantizedEmbedding, QuantizedLSTM, QuantizedGRU)
"""The layers with quantized weights."""


def quantized_layer(
    source: nn.Module,
    method: WeightMethod,
    bits: int,
    bias_bits: int | None = None,
    pixels: int = 1,
) -> nn.Module:
    """The quantized layer that takes the place of ``source``, which has weights.

    Parameters
    ----------
    method : WeightMethod
    bits : int
    bias_bits : int or None
        The bias of a Linear or convolution gets VecQ's grid with one scale, or stays float.
    pixels : int
        Of the image that a Linear reads flattened; quantizers of blocks are told.
    """
    if isinstance(source, nn.LSTM):
        return QuantizedLSTM(source, method, bits)
    if isinstance(source, nn.GRU):
        return QuantizedGRU(source, method, bits)
    assert isinstance(source.weight, torch.Tensor)
    quantizer = method(weight_rows(source), bits)
    if isinstance(source, nn.Embedding):
        return QuantizedEmbedding(source, quantizer)
    bias = source.bias
    of_bias = Vecq(bias, bias_bits) if bias_bits and isinstance(bias, torch.Tensor) else None
    match source:
        case nn.Linear():
            if pixels == 1 or not quantizer.BLOCKS:
                return QuantizedLinear(source, quantizer, of_bias)
            quantizer = method(by_pixels(source.weight, pixels), bits)
            return QuantizedLinear(source, quantizer, of_bias, pixels)
        case nn.Conv2d():
            return QuantizedConv2d(source, quantizer, of_bias)
        case nn.Conv1d():
            return QuantizedConv1d(source, quantizer, of_bias)
        case nn.ConvTranspose1d():
            return QuantizedConvTranspose1d(source, quantizer, of_bias)
        case nn.ConvTranspose2d():
            return QuantizedConvTranspose2d(source, quantizer, of_bias)
        case _:
            raise AssertionError(f"{type(source).__name__} has no weights")


def weight_rows(layer: nn.Module) -> torch.Tensor:
    """The weights as their quantizer takes them, outputs along axis 0.

    The shape is (O, ...).
    """
    assert isinstance(layer.weight, torch.Tensor)
    return as_rows(layer, layer.weight)


def as_rows(layer: nn.Module, weights: torch.Tensor) -> torch.Tensor:
    """A tensor in the shape of the weights of the layer, turned as its quantizer takes them.

    The result has the shape (O, ...).
    """
    match layer:
        case nn.ConvTranspose1d() | nn.ConvTranspose2d():
            return as_convolution(weights, layer.groups)
        case QuantizedLinear() if layer.pixels > 1:
            return by_pixels(weights, layer.pixels)
        case _:  # of a recurrent layer, one of its matrices
            return weights


def by_pixels(weights: torch.Tensor, pixels: int) -> torch.Tensor:
    """The weights of a matrix that reads a flattened image: (O, C, pixels)."""
    return weights.reshape(len(weights), -1, pixels)


def of_rows(layer: nn.Module, rows: torch.Tensor) -> torch.Tensor:
    """The weights of the layer that :func:`as_rows` turned, back in the shape of the layer."""
    match layer:
        case nn.ConvTranspose1d() | nn.ConvTranspose2d():
            return of_convolution(rows, layer.groups)
        case QuantizedLinear():
            return rows.reshape_as(layer.weight)
        case _:
            return rows


def quantized_bias(layer: Any) -> Any:
    """The bias as the layer adds it, or None."""
    quantizer = layer.bias_quantizer
    return layer.bias if quantizer is None or layer.bias is None else quantizer(layer.bias)


def _take_over(
    layer: Any, source: Any, quantizer: WeightQuantizer, bias_quantizer: WeightQuantizer | None
) -> None:
    layer.weight, layer.bias = source.weight, source.bias
    layer.quantizer, layer.bias_quantizer = quantizer, bias_quantizer


class Add(nn.Module):
    """The sum of its operands."""

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Operands of one shape."""
        total = operands[0]
        for operand in operands[1:]:
            total = total + operand
        return total


class Concat(nn.Module):
    """Its operands one behind the other along the channels."""

    def forward(self, *operands: torch.Tensor) -> torch.Tensor:
        """Operands whose shapes differ in the channels alone."""
        return torch.cat(operands, 1)


class Transpose(nn.Module):
    """(N, L, C) to (N, C, L), and back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Swap the last two axes of three.

        The shape (N, A, B) becomes (N, B, A).
        """
        return x.transpose(1, 2)


class LastStep(nn.Module):
    """The last of the steps of a sequence: (N, L, C) to (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last step of a sequence of shape (N, T, C), whose steps lie along axis 1."""
        return x[:, -1]


class FlattenTo(nn.Flatten):
    """A Flatten to a number of features that was given: ``x.view(-1, features)``.

    Parameters
    ----------
    features : int
        With any other number, view() would mix the samples of a batch.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.features = features

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, ...) to (N, features)."""
        flat = super().forward(input)
        self.check(flat.shape[1:])
        return flat

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse samples of any other number of features.

        Raises
        ------
        VecqError
            The samples have another number of features.
        """
        if math.prod(shape) != self.features:
            raise VecqError(
                f"the model views samples of {math.prod(shape)} features as {self.features};"
                " the two must be equal"
            )


class SquareAverage(nn.AdaptiveAvgPool2d):
    """The average of an image as high as wide: ``avg_pool2d(x, x.size(2))``."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """(N, C, H, H) to (N, C, 1, 1)."""
        self.check((input.shape[-2], input.shape[-1]))
        return super().forward(input)

    def check(self, size: tuple[int, int]) -> None:
        """Refuse images that are not as high as wide.

        Raises
        ------
        VecqError
            Height and width differ.
        """
        if size[0] != size[1]:
            raise VecqError(
                f"the model averages windows as wide as high of an image of {size[0]} × {size[1]};"
                " use torch.nn.AdaptiveAvgPool2d(1)"
            )


def numeric_padding(layer: nn.Conv1d | nn.Conv2d) -> tuple[int, ...]:
    """The padding as numbers; 'same' stands for half of what each (odd) kernel spans less one."""
    if layer.padding == "valid":
        return (0,) * len(layer.kernel_size)
    if layer.padding == "same":
        return tuple(
            dilation * (size - 1) // 2
            for size, dilation in zip(layer.kernel_size, layer.dilation, strict=True)
        )
    return tuple(int(padding) for padding in layer.padding)


def is_bilinear(module: nn.Upsample) -> bool:
    """Whether it weighs the nearest pixels, or steps of a sequence, by their distance."""
    return module.mode in ("bilinear", "linear")


def upsample_factors(scale: Any) -> tuple[int, int] | None:
    """The factors of an Upsample, down and across; None where they are not whole."""
    pair = tuple(scale) if isinstance(scale, tuple | list) else (scale, scale)
    whole = all(
        isinstance(value, int | float) and value >= 1 and value == int(value) for value in pair
    )
    return (int(pair[0]), int(pair[1])) if whole and len(pair) == 2 else None
