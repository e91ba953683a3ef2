"""Linear and Conv2d that compute with VecQ weights while the optimizer moves floats."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.quantize import vecq_straight_through


class QuantizedLinear(nn.Linear):
    """A Linear with ``bits``-bit VecQ weights; it takes over the parameters of ``source``."""

    def __init__(self, source: nn.Linear, bits: int) -> None:
        super().__init__(source.in_features, source.out_features, bias=False, device="meta")
        self.weight, self.bias, self.weight_bits = source.weight, source.bias, bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As of a Linear, with the quantized weights."""
        return F.linear(input, vecq_straight_through(self.weight, self.weight_bits), self.bias)

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"{super().extra_repr()}, weight_bits={self.weight_bits}"


class QuantizedConv2d(nn.Conv2d):
    """A Conv2d with ``bits``-bit VecQ weights; it takes over the parameters of ``source``."""

    def __init__(self, source: nn.Conv2d, bits: int) -> None:
        super().__init__(
            source.in_channels,
            source.out_channels,
            kernel_size=(source.kernel_size[0], source.kernel_size[1]),
            stride=(source.stride[0], source.stride[1]),
            padding=symmetric_padding(source),
            bias=False,
            device="meta",
        )
        self.weight, self.bias, self.weight_bits = source.weight, source.bias, bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As of a Conv2d, with the quantized weights."""
        weight = vecq_straight_through(self.weight, self.weight_bits)
        return F.conv2d(
            input, weight, self.bias, (self.stride[0], self.stride[1]), symmetric_padding(self)
        )

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        shown = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{shown}, weight_bits={self.weight_bits}"


def symmetric_padding(layer: nn.Conv2d) -> tuple[int, int]:
    """The padding as numbers; 'same' stands for half of each (odd) kernel size."""
    if layer.padding == "valid":
        return 0, 0
    if layer.padding == "same":
        return layer.kernel_size[0] // 2, layer.kernel_size[1] // 2
    return int(layer.padding[0]), int(layer.padding[1])
