"""Recurrent layers and embeddings of the model as layers of the network.

A sequence is an image (1, L, C), whether the model has it as (N, L, C) or as (N, C, L).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import (
    LONGEST_SHIFT,
    PRODUCT_LIMIT,
    AnyWeights,
    Concat,
    Conv2d,
    Embedding,
    Gru,
    Lstm,
    RecurrentLayer,
    Take,
    Tensor,
)
from vecq_hw.layers.sequences import GATE_STEP, RESET_SHIFT, STATE_STEP
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.layout import Layout
from vecq_hw.lower.values import Doubles, Value, check_finite, doubles
from vecq_hw.lower.weights import places, weights_at
from vecq_hw.quantize import WeightQuantizer
from vecq_hw.train.quantized_layers import QuantizedEmbedding
from vecq_hw.train.recurrent import QuantizedLSTM, QuantizedRecurrent, directions


def embedding(name: str, module: QuantizedEmbedding, source: str) -> Embedding:
    """The table of the words' values.

    Raises
    ------
    VecqError
        The rows have steps of their own, so that their values cannot stand in one tensor.
    """
    quantized = module.quantizer.codes(module.weight)
    if quantized.step.numel() > 1:
        raise VecqError(
            f"layer '{name}': the rows of the table have steps of their own; quantize it with one"
            " step for all (per_channel=False)"
        )
    weights = weights_at(quantized, places(tuple(module.weight.shape)))
    return Embedding(name=name, input=source, weights=weights)


def recurrent(
    builder: Builder, name: str, module: QuantizedRecurrent, value: Value, last_alone: bool
) -> Value:
    """A Conv2d of one pixel and an Lstm or Gru for each layer and direction.

    Parameters
    ----------
    last_alone : bool
        Whether the model reads the last step alone.
    """
    value = builder.with_channels(name, builder.moved(value), last=True)
    layers, tensor = directions(module), value.tensor
    alone = len(layers) == 1 and not module.bidirectional
    last_alone = last_alone and not module.bidirectional
    for number, endings in enumerate(layers):
        states = []
        for ending in endings:
            own = builder.free(name if alone else f"{name}{ending}")
            source, length = tensor, builder.tensors[tensor].shape[1]
            backwards = ending.endswith("_reverse")
            if backwards:
                source = builder.add(_reversed_steps(builder.free(f"{own}_in"), source, length))
            sums, layer = _sums_and_states(
                own,
                module,
                ending,
                source,
                builder.tensors[source],
                builder.mantissa_bits,
                sequence=not (last_alone and number == len(layers) - 1),
            )
            builder.add(sums)
            made = builder.add(layer)
            if backwards:
                made = builder.add(_reversed_steps(builder.free(f"{own}_out"), made, length))
            states.append(made)
        tensor = states[0]
        if len(states) > 1:
            joined = Concat(name=builder.free(f"{name}_both_l{number}"), inputs=tuple(states))
            tensor = builder.add(joined)
    return builder.codes(tensor, name, layout=Layout(2, last=True))


def _sums_and_states(
    name: str,
    module: QuantizedRecurrent,
    ending: str,
    source: str,
    tensor: Tensor,
    mantissa_bits: int,
    sequence: bool,
) -> tuple[Conv2d, RecurrentLayer]:
    """The products of a layer's input, and the layer that makes states of them.

    Parameters
    ----------
    name : str
        Of the states; the sums are called ``<name>_input``.
    ending : str
        Of the names of the layer's parameters, such as ``_l0``.
    source, tensor : str and Tensor
        What it reads: codes.
    """
    gates = 4 if isinstance(module, QuantizedLSTM) else 3
    elements = module.hidden_size
    # The gates of an element side by side.
    order = np.arange(gates * elements).reshape(gates, elements).T.reshape(-1)
    # The input is an image of one row, so that its weights are those of pixels.
    input_weights, input_steps = _weights(name, module, f"weight_ih{ending}", order, pixels=True)
    state_weights, state_steps = _weights(name, module, f"weight_hh{ending}", order)
    biases = [_bias(name, module, f"bias_{kind}{ending}", order) for kind in ("ih", "hh")]
    sums = Conv2d(name=f"{name}_input", input=source, weights=input_weights)
    made = sums.output(tensor)
    factors = [
        tensor.step * input_steps / GATE_STEP,
        STATE_STEP * state_steps / GATE_STEP,
    ]
    for shift in _shifts(name, factors, mantissa_bits, RESET_SHIFT if gates == 3 else 1):
        unit = 2.0**shift
        ih, hh = (bias / GATE_STEP * unit for bias in biases)
        if max(np.abs(ih).max(), np.abs(hh).max()) >= PRODUCT_LIMIT / 2:
            continue
        x, h = (_whole(factor * unit) for factor in factors)
        layer: RecurrentLayer
        if isinstance(module, QuantizedLSTM):
            layer = Lstm(
                name=name,
                input=sums.name,
                weights=state_weights,
                mantissa_x=x,
                mantissa_h=h,
                offset=_whole(ih + hh),
                shift=shift,
                sequence=sequence,
            )
        else:
            candidate = np.arange(gates * elements) % gates == gates - 1
            layer = Gru(
                name=name,
                input=sums.name,
                weights=state_weights,
                mantissa_x=x,
                mantissa_h=h,
                offset=_whole(np.where(candidate, ih, ih + hh)),
                state_offset=_whole(hh[candidate]),
                shift=shift,
                sequence=sequence,
            )
        if next(layer.problems(made), None) is None:
            return sums, layer
    raise VecqError(
        f"layer '{name}': no mantissas of {mantissa_bits} bits keep its gates within the integers;"
        " train it with smaller weights and biases"
    )


def _reversed_steps(name: str, source: str, length: int) -> Take:
    """The steps of a sequence, the last one first."""
    return Take(name=name, input=source, columns=np.arange(length)[::-1])


def _weights(
    name: str, module: nn.Module, parameter: str, order: IntArray, pixels: bool = False
) -> tuple[AnyWeights, Doubles]:
    """The weights of a matrix, rows in order, and the step of each row."""
    quantizers = module.get_submodule("quantizers")
    quantizer = quantizers.get_submodule(parameter)
    assert isinstance(quantizer, WeightQuantizer)
    matrix = module.get_parameter(parameter)
    try:
        quantized = quantizer.codes(matrix)
        taken = places(tuple(matrix.shape))[order]
        weights = weights_at(quantized, taken[:, np.newaxis, np.newaxis] if pixels else taken)
    except VecqError as error:
        raise VecqError(f"layer '{name}': {parameter}: {error}") from None
    return weights, np.broadcast_to(doubles(quantized.step), order.shape)[order]


def _bias(name: str, module: QuantizedRecurrent, parameter: str, order: IntArray) -> Doubles:
    if not module.bias:
        return np.zeros(order.size)
    bias = doubles(getattr(module, parameter))[order]
    check_finite(name, "bias", bias)
    return bias


def _whole(values: Doubles) -> IntArray:
    return np.rint(values).astype(np.int64)


def _shifts(name: str, factors: list[Doubles], bits: int, least: int) -> Iterator[int]:
    """Shifts at which the mantissas have at most ``bits`` bits, the most precise first."""
    largest = max(float(np.abs(factor).max()) for factor in factors)
    if not 0 < largest < math.inf:
        raise VecqError(f"layer '{name}': its scales are zero or infinite; train it again")
    most = (1 << (bits - 1)) - 1
    shift = min(LONGEST_SHIFT, bits - 1 - math.frexp(largest)[1] + 1)
    while shift >= least:
        if round(largest * 2.0**shift) <= most:
            yield shift
        shift -= 1
