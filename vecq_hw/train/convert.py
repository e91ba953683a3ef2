"""From a float model to its quantized twin."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer, InputQuantizer, QuantizedReLU, SignedQuantizer
from vecq_hw.quantize.activation import check_activation_bits
from vecq_hw.quantize.vecq import check_weight_bits, check_weights
from vecq_hw.train.graph import free_name, module_graph
from vecq_hw.train.layers import QuantizedConv2d, QuantizedLinear

OUTPUT_BITS = 16
"""Of a network that ends in a batch norm: numeric contract, rule 6."""
_INPUT = "input"


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerBits:
    """Bits of one layer where they differ from the rest; None keeps the model's own.

    Attributes
    ----------
    weight : int or None, 1..16
    activation : int or None, 1..16
        Of the layer's output, that is of the activation that follows it.
    """

    weight: int | None = None
    activation: int | None = None


def quantize_model(
    model: nn.Module,
    weight_bits: int = 2,
    activation_bits: int = 8,
    overrides: Mapping[str, LayerBits] | None = None,
) -> nn.Module:
    """The quantized twin of a float model, to be trained as any module.

    Every Linear and Conv2d gets VecQ weights, every ReLU an unsigned quantizer.  One rule places
    the others: a Linear, Conv2d, MaxPool2d or Flatten reads quantized values.  The input gets a
    quantizer that becomes signed once it sees a negative value; what no ReLU made gets a signed one
    with the bits of the layer it comes from; a network that ends in a batch norm, a 16-bit one.
    In training the quantizers follow the data, in evaluation they stand still.

    Parameters
    ----------
    model : nn.Module
        Left as it is; the twin starts from a copy of its parameters, under the same names.
    weight_bits, activation_bits : int, 1..16
    overrides : mapping from the name of a Linear or Conv2d to LayerBits, optional
        ``activation`` there means the output of that layer; the name 'input' means the network's
        input.

    Raises
    ------
    VecqError
        An unsupported module, an unknown name, bits out of range, weights without a direction.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    >>> twin = quantize_model(model, overrides={"2": LayerBits(weight=8)})
    >>> [type(module).__name__ for module in twin.children()]
    ['QuantizedLinear', 'QuantizedReLU', 'QuantizedLinear', 'InputQuantizer']
    """
    check_weight_bits(weight_bits)
    check_activation_bits(activation_bits)
    twin = module_graph(model)
    bits = _bits_by_layer(
        twin, LayerBits(weight=weight_bits, activation=activation_bits), overrides
    )
    _quantize_weights(twin, bits)
    _place_quantizers(twin, bits)
    twin.graph.lint()
    twin.recompile()
    for parameter in twin.parameters():
        twin.to(parameter)  # the quantizers join the parameters' device and float type
        break
    return twin.train(model.training)


def _bits_by_layer(
    twin: fx.GraphModule, default: LayerBits, overrides: Mapping[str, LayerBits] | None
) -> dict[str, tuple[int, int]]:
    """Weight and activation bits of each Linear and Conv2d, and of the input."""
    names = [name for name, module in _called_modules(twin) if _has_weights(module)]
    overrides = overrides or {}
    for name in overrides.keys() - {*names, _INPUT}:
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(names)}"
        raise VecqError(f"overrides: the model has no Linear or Conv2d '{name}'; {hint}")
    result = {}
    for name in (_INPUT, *names):
        given = overrides.get(name, default)
        if not isinstance(given, LayerBits):
            raise VecqError(f"overrides: '{name}' has {given!r} where LayerBits(...) is wanted")
        weight = default.weight if given.weight is None else given.weight
        activation = default.activation if given.activation is None else given.activation
        assert weight is not None
        assert activation is not None
        try:
            check_weight_bits(weight)
            check_activation_bits(activation)
        except VecqError as error:
            raise VecqError(f"overrides: layer '{name}': {error}") from None
        result[name] = (weight, activation)
    return result


def _called_modules(twin: fx.GraphModule) -> list[tuple[str, nn.Module]]:
    calls = [str(node.target) for node in twin.graph.nodes if node.op == "call_module"]
    return [(name, twin.get_submodule(name)) for name in calls]


def _has_weights(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear | nn.Conv2d)


def _quantize_weights(twin: fx.GraphModule, bits: Mapping[str, tuple[int, int]]) -> None:
    for name, module in _called_modules(twin):
        if isinstance(module, nn.Linear | nn.Conv2d):
            try:
                check_weights(module.weight)
            except VecqError as error:
                raise VecqError(f"layer '{name}': {error}") from None
            weight_bits, _ = bits[name]
            if isinstance(module, nn.Linear):
                twin.add_submodule(name, QuantizedLinear(module, weight_bits))
            else:
                twin.add_submodule(name, QuantizedConv2d(module, weight_bits))


class _Values(Enum):
    """What the values of a node are."""

    CODES = auto()
    """Multiples of one step: a quantizer made them."""
    ACCUMULATORS = auto()
    """Sums of a Linear or Conv2d."""
    SCALED = auto()
    """Sums or codes behind a batch norm."""


@dataclass(frozen=True, slots=True)
class _State:
    values: _Values
    owner: str
    """The Linear or Conv2d that the values come from, or the input."""


def _place_quantizers(twin: fx.GraphModule, bits: Mapping[str, tuple[int, int]]) -> None:
    states: dict[fx.Node, _State] = {}
    relus: set[str] = set()

    def insert(after: fx.Node, wanted: str, quantizer: ActivationQuantizer) -> fx.Node:
        name = free_name(twin, wanted)
        twin.add_submodule(name, quantizer)
        readers = list(after.users)
        with twin.graph.inserting_after(after):
            node = twin.graph.call_module(name, (after,))
        for reader in readers:
            reader.replace_input_with(after, node)
        states[node] = _State(_Values.CODES, states[after].owner)
        return node

    for node in list(twin.graph.nodes):
        if node.op == "placeholder":
            states[node] = _State(_Values.SCALED, _INPUT)
            insert(node, "input_quantizer", InputQuantizer(bits[_INPUT][1]))
            continue
        source = node.args[0]
        state = states[source]
        if node.op == "output":
            if state.values is _Values.SCALED:
                insert(source, "output_quantizer", SignedQuantizer(OUTPUT_BITS))
            continue
        name = str(node.target)
        module = twin.get_submodule(name)
        reads_codes = isinstance(module, nn.Linear | nn.Conv2d | nn.MaxPool2d | nn.Flatten)
        if reads_codes and state.values is not _Values.CODES:
            quantizer = SignedQuantizer(bits[state.owner][1])
            state = states[insert(source, f"{state.owner}_quantizer", quantizer)]
        if _has_weights(module):
            state = _State(_Values.ACCUMULATORS, name)
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            state = _State(_Values.SCALED, state.owner)
        elif isinstance(module, nn.ReLU | QuantizedReLU):
            # One ReLU module may serve many layers; each call gets statistics of its own.
            if name in relus:
                name = free_name(twin, name)
                node.target = name
            relus.add(name)
            twin.add_submodule(name, QuantizedReLU(bits[state.owner][1]))
            state = _State(_Values.CODES, state.owner)
        states[node] = state
