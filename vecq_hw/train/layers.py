"""Layers that compute with VecQ weights while the optimizer moves floats, and joins as modules.

Each quantized layer takes over the parameters of the float one.  Biases stay float here; lowering
folds them into integers.
"""

from __future__ import annotations

from typing import Any

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
        self.weight, self.bias, self.weight_bits = source.weight, source.bias, bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As of a Conv2d, with the quantized weights."""
        weight = vecq_straight_through(self.weight, self.weight_bits)
        sums: torch.Tensor = self._conv_forward(input, weight, self.bias)
        return sums

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        shown = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{shown}, weight_bits={self.weight_bits}"


class QuantizedConv1d(nn.Conv1d):
    """A Conv1d with ``bits``-bit VecQ weights; it takes over the parameters of ``source``."""

    def __init__(self, source: nn.Conv1d, bits: int) -> None:
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
        self.weight, self.bias, self.weight_bits = source.weight, source.bias, bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As of a Conv1d, with the quantized weights."""
        weight = vecq_straight_through(self.weight, self.weight_bits)
        sums: torch.Tensor = self._conv_forward(input, weight, self.bias)
        return sums

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        shown = super().extra_repr()  # type: ignore[no-untyped-call]
        return f"{shown}, weight_bits={self.weight_bits}"


class QuantizedEmbedding(nn.Embedding):
    """An Embedding whose table has ``bits``-bit VecQ weights."""

    def __init__(self, source: nn.Embedding, bits: int) -> None:
        super().__init__(
            source.num_embeddings,
            source.embedding_dim,
            padding_idx=source.padding_idx,
            device="meta",
        )
        self.weight, self.weight_bits = source.weight, bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """As of an Embedding, with the quantized table."""
        return F.embedding(
            input, vecq_straight_through(self.weight, self.weight_bits), self.padding_idx
        )


class QuantizedLSTM(nn.LSTM):
    """An LSTM whose weight matrices are quantized, each with a scale of its own.

    States, gates and biases stay float, as in the paper (section 6.1.1); inputs and outputs get
    quantizers like those of any layer.  It returns the outputs alone.
    """

    def __init__(self, source: nn.LSTM, bits: int) -> None:
        super().__init__(
            source.input_size,
            source.hidden_size,
            num_layers=source.num_layers,
            bias=source.bias,
            batch_first=True,
            dropout=source.dropout,
            bidirectional=source.bidirectional,
            device="meta",
        )
        for name in source._flat_weights_names:
            setattr(self, name, getattr(source, name))
        self.weight_bits = bits

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(N, L, C) to the outputs (N, L, hidden)."""
        parameters = [
            vecq_straight_through(value, self.weight_bits) if value.ndim == 2 else value
            for value in (getattr(self, name) for name in self._flat_weights_names)
        ]
        layers = self.num_layers * (2 if self.bidirectional else 1)
        state = input.new_zeros(layers, len(input), self.hidden_size)
        output: torch.Tensor = torch.lstm(
            input,
            (state, state),
            parameters,
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
            True,
        )[0]
        return output


Quantized = (
    QuantizedLinear,
    QuantizedConv2d,
    QuantizedConv1d,
    QuantizedEmbedding,
    QuantizedLSTM,
)
"""The layers with VecQ weights."""


def quantized_layer(source: nn.Module, bits: int) -> nn.Module:
    """The quantized layer that takes the place of ``source``, which has weights."""
    match source:
        case nn.Linear():
            return QuantizedLinear(source, bits)
        case nn.Conv2d():
            return QuantizedConv2d(source, bits)
        case nn.Conv1d():
            return QuantizedConv1d(source, bits)
        case nn.Embedding():
            return QuantizedEmbedding(source, bits)
        case nn.LSTM():
            return QuantizedLSTM(source, bits)
        case _:
            raise AssertionError(f"{type(source).__name__} has no weights")


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
        """Swap the last two axes of three."""
        return x.transpose(1, 2)


class LastStep(nn.Module):
    """The last of the steps of a sequence: (N, L, C) to (N, C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Steps lie along axis 1."""
        return x[:, -1]


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


def upsample_factors(scale: Any) -> tuple[int, int] | None:
    """The factors of an Upsample, down and across; None where they are not whole."""
    pair = tuple(scale) if isinstance(scale, tuple | list) else (scale, scale)
    whole = all(
        isinstance(value, int | float) and value >= 1 and value == int(value) for value in pair
    )
    return (int(pair[0]), int(pair[1])) if whole and len(pair) == 2 else None
