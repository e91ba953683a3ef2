"""Transposed convolutions whose weights are quantized."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.quantize import WeightQuantizer


class QuantizedConvTranspose2d(nn.ConvTranspose2d):
    """A ConvTranspose2d with quantized weights; it takes over the parameters of ``source``.

    The quantizer sees the weights of the convolution that does the same (:func:`as_convolution`),
    so that a scale for each channel is one for each output.
    """

    quantizer: WeightQuantizer
    bias_quantizer: WeightQuantizer | None

    def __init__(
        self,
        source: nn.ConvTranspose2d,
        quantizer: WeightQuantizer,
        bias_quantizer: WeightQuantizer | None,
    ) -> None:
        super().__init__(**_sizes(source))
        _take_over(self, source, quantizer, bias_quantizer)

    def forward(self, input: torch.Tensor, output_size: Any = None) -> torch.Tensor:
        """The output (N, O, H, W) of a ConvTranspose2d for (N, C, H, W), with quantized weights."""
        return F.conv_transpose2d(input, *_arguments(self))


class QuantizedConvTranspose1d(nn.ConvTranspose1d):
    """A ConvTranspose1d with quantized weights; it takes over the parameters of ``source``."""

    quantizer: WeightQuantizer
    bias_quantizer: WeightQuantizer | None

    def __init__(
        self,
        source: nn.ConvTranspose1d,
        quantizer: WeightQuantizer,
        bias_quantizer: WeightQuantizer | None,
    ) -> None:
        super().__init__(**_sizes(source))
        _take_over(self, source, quantizer, bias_quantizer)

    def forward(self, input: torch.Tensor, output_size: Any = None) -> torch.Tensor:
        """The output (N, O, L) of a ConvTranspose1d for (N, C, L), with quantized weights."""
        return F.conv_transpose1d(input, *_arguments(self))


QuantizedTransposed = QuantizedConvTranspose1d | QuantizedConvTranspose2d


def as_convolution(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The weights (in, out / groups, ...) as those of a convolution: (out, in / groups, ...).

    That convolution reads the image with ``stride - 1`` zeros between its pixels; its kernels are
    turned round.
    """
    return _exchanged(weight, groups).flip(_kernel_axes(weight))


def of_convolution(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """The weights (C, O / groups, ...) that :func:`as_convolution` turned."""
    return _exchanged(weight.flip(_kernel_axes(weight)), groups)


def _exchanged(weight: torch.Tensor, groups: int) -> torch.Tensor:
    """Inputs and outputs of each group exchanged; twice, it is what it was."""
    first, second, *kernel = weight.shape
    parts = weight.reshape(groups, first // groups, second, *kernel).transpose(1, 2)
    return parts.reshape(groups * second, first // groups, *kernel)


def _kernel_axes(weight: torch.Tensor) -> list[int]:
    return list(range(2, weight.ndim))


def _arguments(layer: QuantizedTransposed) -> tuple[Any, ...]:
    """What torch's function takes behind the input."""
    weight = layer.quantizer(as_convolution(layer.weight, layer.groups))
    weight = of_convolution(weight, layer.groups)
    bias = layer.bias
    if bias is not None and layer.bias_quantizer is not None:
        bias = layer.bias_quantizer(bias)
    sizes = layer.stride, layer.padding, layer.output_padding
    return weight, bias, *sizes, layer.groups, layer.dilation


def _sizes(source: nn.ConvTranspose1d | nn.ConvTranspose2d) -> dict[str, Any]:
    names = (
        *("in_channels", "out_channels", "kernel_size", "stride", "padding", "output_padding"),
        *("groups", "dilation"),
    )
    return {name: getattr(source, name) for name in names} | {"bias": False, "device": "meta"}


def _take_over(
    layer: Any, source: Any, quantizer: WeightQuantizer, bias_quantizer: WeightQuantizer | None
) -> None:
    layer.weight, layer.bias = source.weight, source.bias
    layer.quantizer, layer.bias_quantizer = quantizer, bias_quantizer
