"""Recurrent layers with quantized weights, and with the integer rules of their gates.

What their states and gates hold are the values of the integers that the network computes, but for
the rounding of the mantissas; gradients are those of the true functions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw import arithmetic
from vecq_hw.layers.sequences import GATE_STEP, STATE_STEP
from vecq_hw.quantize import WeightMethod

CELL_STEP = 2.0**-11
"""The step of an LSTM's cell and of a GRU's part of the state."""
WIDE_STEP = 2.0**-15
"""The step of a GRU's state."""
Cell = Callable[..., torch.Tensor]
_Layer = TypeVar("_Layer", nn.LSTM, nn.GRU)


class QuantizedLSTM(nn.LSTM):
    """An LSTM whose weight matrices are quantized, each by a quantizer of its own.

    It returns the outputs alone.  Until :attr:`integer_gates` is set, as it is where activations
    are quantized, states and gates stay float, as in the paper (section 6.1.1).
    """

    quantizers: nn.ModuleDict
    integer_gates = False

    def __init__(self, source: nn.LSTM, method: WeightMethod, bits: int) -> None:
        super().__init__(**_settings(source))
        _take_over(self, source, method, bits)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(N, L, C) to the outputs (N, L, hidden)."""
        if self.integer_gates:
            return _outputs(self, input, _lstm)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        state = input.new_zeros(layers, len(input), self.hidden_size)
        output: torch.Tensor = torch.lstm(
            input, (state, state), _quantized(self), *_arguments(self)
        )[0]
        return output


class QuantizedGRU(nn.GRU):
    """A GRU whose weight matrices are quantized; as :class:`QuantizedLSTM`."""

    quantizers: nn.ModuleDict
    integer_gates = False

    def __init__(self, source: nn.GRU, method: WeightMethod, bits: int) -> None:
        super().__init__(**_settings(source))
        _take_over(self, source, method, bits)

    def forward(self, input: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        """(N, L, C) to the outputs (N, L, hidden)."""
        if self.integer_gates:
            return _outputs(self, input, _gru)
        layers = self.num_layers * (2 if self.bidirectional else 1)
        state = input.new_zeros(layers, len(input), self.hidden_size)
        output: torch.Tensor = torch.gru(input, state, _quantized(self), *_arguments(self))[0]
        return output


QuantizedRecurrent = QuantizedLSTM | QuantizedGRU


def directions(module: nn.LSTM | nn.GRU) -> list[list[str]]:
    """For each layer the endings of the names of its parameters, one or two."""
    ways = ("", "_reverse") if module.bidirectional else ("",)
    return [[f"_l{layer}{way}" for way in ways] for layer in range(module.num_layers)]


def _settings(source: nn.LSTM | nn.GRU) -> dict[str, Any]:
    return {
        "input_size": source.input_size,
        "hidden_size": source.hidden_size,
        "num_layers": source.num_layers,
        "bias": source.bias,
        "batch_first": True,
        "dropout": source.dropout,
        "bidirectional": source.bidirectional,
        "device": "meta",
    }


def _take_over(module: Any, source: Any, method: WeightMethod, bits: int) -> None:
    for name in source._flat_weights_names:
        setattr(module, name, getattr(source, name))
    matrices = [name for name in module._flat_weights_names if getattr(module, name).ndim == 2]
    module.quantizers = nn.ModuleDict(
        {name: method(getattr(module, name), bits) for name in matrices}
    )


def _quantized(module: Any) -> list[torch.Tensor]:
    """All parameters in torch's order, the matrices quantized."""
    return [_parameter(module, name) for name in module._flat_weights_names]


def _parameter(module: Any, name: str) -> torch.Tensor:
    parameter = getattr(module, name)
    result: torch.Tensor = (
        module.quantizers[name](parameter) if name in module.quantizers else parameter
    )
    return result


def _arguments(module: nn.LSTM | nn.GRU) -> tuple[Any, ...]:
    """As torch.lstm and torch.gru take them behind the parameters."""
    dropped = (module.dropout, module.training, module.bidirectional, True)
    return (module.bias, module.num_layers, *dropped)


def _outputs(module: QuantizedRecurrent, x: torch.Tensor, cell: Cell) -> torch.Tensor:
    """The states of the last layer; each layer reads those of the one before as they are."""
    layers = directions(module)
    for number, endings in enumerate(layers):
        found = []
        for ending in endings:
            reverse = ending.endswith("_reverse")
            weights = [_parameter(module, f"weight_{kind}{ending}") for kind in ("ih", "hh")]
            biases: list[torch.Tensor | None] = [None, None]
            if module.bias:
                biases = [getattr(module, f"bias_{kind}{ending}") for kind in ("ih", "hh")]
            states = cell(x.flip(1) if reverse else x, *weights, *biases)
            found.append(states.flip(1) if reverse else states)
        x = torch.cat(found, -1)
        if module.dropout and number < len(layers) - 1:
            x = F.dropout(x, module.dropout, module.training)
    return x


class _Exact(torch.autograd.Function):
    """A value with the gradient of another."""

    @staticmethod
    def forward(ctx: Any, value: torch.Tensor, smooth: torch.Tensor) -> torch.Tensor:
        return value.clone()

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[None, torch.Tensor]:
        return None, gradients[0]


def _exact(value: torch.Tensor, smooth: torch.Tensor) -> torch.Tensor:
    result: torch.Tensor = _Exact.apply(value.detach(), smooth)  # type: ignore[no-untyped-call]
    return result


def _rounded(x: torch.Tensor, step: float, bits: int) -> torch.Tensor:
    """To codes of a signed format; the gradient passes."""
    most = float(1 << (bits - 1))
    return _exact((x / step + 0.5).floor().clamp(-most, most - 1) * step, x)


class _Tables:
    """The gates' functions of values: by the tables forward, as they are backward."""

    def __init__(self, like: torch.Tensor) -> None:
        self._sigmoid = torch.as_tensor(arithmetic.SIGMOID_TABLE.copy()).to(like) / 256
        self._tanh = torch.as_tensor(arithmetic.TANH_TABLE.copy()).to(like) / 128

    @staticmethod
    def _index(x: torch.Tensor) -> torch.Tensor:
        codes = (x.detach() / GATE_STEP + 0.5).floor().clamp(-128, 127)
        return codes.nan_to_num().long() + 128

    def sigmoid(self, x: torch.Tensor) -> torch.Tensor:
        """S of the code of x, at the step 2^-8."""
        return _exact(self._sigmoid[self._index(x)], torch.sigmoid(x))

    def tanh(self, x: torch.Tensor) -> torch.Tensor:
        """T of the code of x, at the step 2^-7."""
        return _exact(self._tanh[self._index(x)], torch.tanh(x))


def _lstm(
    x: torch.Tensor,
    input_weights: torch.Tensor,
    state_weights: torch.Tensor,
    input_bias: torch.Tensor | None,
    state_bias: torch.Tensor | None,
) -> torch.Tensor:
    bias = None if input_bias is None or state_bias is None else input_bias + state_bias
    given, tables = F.linear(x, input_weights, bias), _Tables(x)
    state = cell = x.new_zeros(len(x), state_weights.shape[1])
    found = []
    for place in range(x.shape[1]):
        sums = given[:, place] + F.linear(state, state_weights)
        i, f, u, o = sums.chunk(4, 1)
        i, f, u, o = tables.sigmoid(i), tables.sigmoid(f), tables.tanh(u), tables.sigmoid(o)
        cell = _rounded(f * cell + i * u, CELL_STEP, 16)
        state = _rounded(o * tables.tanh(cell), STATE_STEP, 8)
        found.append(state)
    return torch.stack(found, 1)


def _gru(
    x: torch.Tensor,
    input_weights: torch.Tensor,
    state_weights: torch.Tensor,
    input_bias: torch.Tensor | None,
    state_bias: torch.Tensor | None,
) -> torch.Tensor:
    given, tables = F.linear(x, input_weights, input_bias), _Tables(x)
    state = wide = x.new_zeros(len(x), state_weights.shape[1])
    found = []
    for place in range(x.shape[1]):
        (r, z, n), own = given[:, place].chunk(3, 1), F.linear(state, state_weights, state_bias)
        of_r, of_z, part = own.chunk(3, 1)
        r, z = tables.sigmoid(r + of_r), tables.sigmoid(z + of_z)
        n = tables.tanh(n + r * _rounded(part, CELL_STEP, 16))
        wide = _rounded((1 - z) * n + z * wide, WIDE_STEP, 16)
        state = _rounded(wide, STATE_STEP, 8)
        found.append(state)
    return torch.stack(found, 1)
