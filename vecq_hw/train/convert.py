"""From a float model to its quantized twin."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import checked_weight_bits
from vecq_hw.quantize.activation import ActivationQuantizer, checked_activation_bits
from vecq_hw.quantize.activation_methods import activation_method as find_activation_method
from vecq_hw.quantize.methods import METHODS, weight_method
from vecq_hw.quantize.vecq import Vecq
from vecq_hw.quantize.weights import WeightMethod, WeightQuantizer, check_weights
from vecq_hw.train.effects import DROPOUTS
from vecq_hw.train.module_graph import WITH_WEIGHTS, module_graph, named
from vecq_hw.train.place import INPUT, place_quantizers
from vecq_hw.train.preconditions import InputShape
from vecq_hw.train.quantized_layers import quantized_layer


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
    activation_bits: int | None = 8,
    overrides: Mapping[str, LayerBits] | None = None,
    method: WeightMethod | str = Vecq,
    bias_bits: int | None = None,
    input_shape: InputShape | None = None,
    activation_method: str = "uniform",
) -> nn.Module:
    """The quantized twin of a float model, to be trained as any module.

    Every Linear, convolution, Embedding and LSTM gets quantized weights, every ReLU an unsigned
    quantizer.  One rule places the others: what multiplies, pools, flattens or joins reads
    quantized values.  The input gets a quantizer that becomes signed once it sees a negative value;
    what no ReLU made gets a signed one with the bits of the layer it comes from; the operands of a
    sum or torch.cat share one, so that they have one step; a network that ends in a batch norm, an
    average or sums with a scale for each output gets a 16-bit one.  A max-pool stands before the
    quantizer of its values, which is the same and cheaper.  In training the quantizers follow the
    data, in evaluation they stand still.

    Parameters
    ----------
    model : nn.Module
        Left as it is; the twin starts from a copy of its parameters, under the same names.
    weight_bits : int, 1..16
    activation_bits : int, 1..16, or None
        None leaves the activations float: such a model trains and is sized, but has no integers.
    overrides : mapping from the name of a layer with weights to LayerBits, optional
        ``activation`` there means the output of that layer; the name 'input' means the network's
        inputs.
    method : WeightMethod or str
        VecQ, or another of :data:`vecq_hw.quantize.METHODS` by its name or, settings included, from
        ``weight_method("vecq", interval="search", per_channel=True)``.
    bias_bits : int, 1..16, or None
        None keeps biases float in training; the integer network has them exact to a fraction of
        an accumulator unit.  With bits they lie on VecQ's grid, one scale a layer.
    input_shape : (C,), (C, L) or (C, H, W), optional
        Of one sample; of several inputs a sequence or mapping of one for each.  It is needed where
        forward() computes with sizes, such as in
        ``x.view(b, c // 2, 2 * h, w)`` or ``if x.shape[2] > 7``; a batch may have any size.
    activation_method : a name of :data:`vecq_hw.quantize.ACTIVATION_METHODS`
        Of what layers read but the network's inputs; 'esb' are the levels of small floats.

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
    method = _callable_method(method)
    of_activations = find_activation_method(activation_method)
    if activation_bits is None and activation_method != "uniform":
        raise VecqError(
            f"activations of method '{activation_method}' need bits, but those of the model are"
            " float; give the model activation_bits"
        )
    bias_bits = None if bias_bits is None else checked_weight_bits(bias_bits)
    default = LayerBits(
        weight=checked_weight_bits(weight_bits),
        activation=None if activation_bits is None else checked_activation_bits(activation_bits),
    )
    twin = module_graph(model, input_shape)
    model = named(model)
    bits = _bits_by_layer(twin, default, {} if overrides is None else overrides)
    _quantize_weights(twin, {name: given.weight for name, given in bits.items()}, method, bias_bits)
    if activation_bits is not None:
        activations = {name: given.activation for name, given in bits.items()}
        place_quantizers(twin, activations, of_activations)
    twin.graph.lint()
    twin.recompile()
    for parameter in twin.parameters():
        twin.to(parameter)  # the quantizers join the parameters' device and float type
        break
    twin.register_load_state_dict_pre_hook(_check_state)  # type: ignore[no-untyped-call]
    twin.train(model.training)
    modes = {name: module.training for name, module in model.named_modules()}
    for name, module in twin.named_modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d, *DROPOUTS)):
            module.train(modes.get(name, model.training))  # some may stand still
    return twin


def _bits_by_layer(
    twin: fx.GraphModule, default: LayerBits, overrides: Mapping[str, LayerBits]
) -> dict[str, LayerBits]:
    """Weight and activation bits of each layer with weights, and of the input."""
    names = [name for name, module in _called_modules(twin) if isinstance(module, WITH_WEIGHTS)]
    if not isinstance(overrides, Mapping):
        raise VecqError(
            f"overrides are a mapping from names of layers to LayerBits, not {overrides!r}"
        )
    for name in overrides.keys() - {*names, INPUT}:
        if not isinstance(name, str):
            raise VecqError(f"overrides: layers are named by text, such as '{name}', not {name!r}")
        close = difflib.get_close_matches(str(name), names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(names)}"
        raise VecqError(f"overrides: the model has no layer with weights '{name}'; {hint}")
    result = {}
    for name in (INPUT, *names):
        given = overrides.get(name, default)
        if not isinstance(given, LayerBits):
            raise VecqError(f"overrides: '{name}' has {given!r} where LayerBits(...) is wanted")
        if given.activation is not None and default.activation is None:
            raise VecqError(
                f"overrides: layer '{name}' has {given.activation}-bit activations, but those of"
                " the model are float; give the model activation_bits"
            )
        weight = default.weight if given.weight is None else given.weight
        activation = default.activation if given.activation is None else given.activation
        assert weight is not None
        try:
            weight = checked_weight_bits(weight)
            activation = None if activation is None else checked_activation_bits(activation)
        except VecqError as error:
            raise VecqError(f"overrides: layer '{name}': {error}") from None
        result[name] = LayerBits(weight=weight, activation=activation)
    return result


def _check_state(twin: nn.Module, state: Mapping[str, Any], prefix: str, *_: Any) -> None:
    """Refuse the state of a float model, which has no values for the quantizers of its twin."""
    owned = [
        f"{prefix}{name}.{part}"
        for name, module in twin.named_modules()
        if isinstance(module, WeightQuantizer | ActivationQuantizer)
        for part in module.state_dict()
    ]
    if owned and not any(name in state for name in owned):
        raise VecqError(
            f"the state is that of a float model: it has nothing for the quantizers, such as"
            f" '{owned[0]}'; load it into the float model and quantize that"
        )


def _callable_method(method: object) -> WeightMethod:
    """The method, given by name or as such; what cannot quantize weights is refused."""
    if isinstance(method, str):
        return weight_method(method)
    if not callable(method) or isinstance(method, nn.Module):
        raise VecqError(
            f"a method is one of {', '.join(METHODS)}, or what weight_method(...) returns, not"
            f" {method!r}"
        )

    def checked(w: torch.Tensor, bits: int) -> WeightQuantizer:
        try:
            inspect.signature(method).bind(w, bits)
        except (TypeError, ValueError) as error:
            raise VecqError(f"the method cannot be called with weights and bits: {error}") from None
        quantizer = method(w, bits)
        if not isinstance(quantizer, WeightQuantizer):
            raise VecqError(
                f"the method gives {type(quantizer).__name__}; a WeightQuantizer is wanted"
            )
        return quantizer

    return checked


def _called_modules(twin: fx.GraphModule) -> list[tuple[str, nn.Module]]:
    """Each once, in the order of the first calls."""
    calls = dict.fromkeys(str(node.target) for node in twin.graph.nodes if node.op == "call_module")
    return [(name, twin.get_submodule(name)) for name in calls]


def _quantize_weights(
    twin: fx.GraphModule,
    bits: Mapping[str, int | None],
    method: WeightMethod,
    bias_bits: int | None,
) -> None:
    for name, module in _called_modules(twin):
        if isinstance(module, WITH_WEIGHTS):
            weight_bits = bits[name]
            assert weight_bits is not None
            try:
                for parameter in module.parameters(recurse=False):
                    if parameter.ndim > 1:  # biases may be zero
                        check_weights(parameter)
                layer = quantized_layer(module, method, weight_bits, bias_bits)
            except VecqError as error:
                raise VecqError(f"layer '{name}': {error}") from None
            twin.add_submodule(name, layer)
