"""From a float model to its quantized twin."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import checked_weight_bits
from vecq_hw.quantize.activation import ActivationQuantizer, checked_activation_bits
from vecq_hw.quantize.activation_methods import activation_method as find_activation_method
from vecq_hw.quantize.vecq import Vecq
from vecq_hw.quantize.weights import WeightMethod, WeightQuantizer, check_weights
from vecq_hw.train.by_layer import (
    LayerQuantization,
    Quantization,
    checked_method,
    quantization_by_layer,
)
from vecq_hw.train.effects import DROPOUTS, source_of
from vecq_hw.train.module_graph import WITH_WEIGHTS, module_graph, named
from vecq_hw.train.place import place_quantizers
from vecq_hw.train.preconditions import InputShape
from vecq_hw.train.quantized_layers import quantized_layer
from vecq_hw.train.tracing import shape_of


def quantize_model(
    model: nn.Module,
    weight_bits: int = 2,
    activation_bits: int | None = 8,
    overrides: Mapping[str, LayerQuantization] | None = None,
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
    overrides : mapping from the name of a layer with weights to LayerQuantization, optional
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
    >>> twin = quantize_model(model, overrides={"2": LayerQuantization(weight=8)})
    >>> [type(module).__name__ for module in twin.children()]
    ['QuantizedLinear', 'QuantizedReLU', 'QuantizedLinear', 'InputQuantizer']
    """
    method = checked_method(method)
    of_activations = find_activation_method(activation_method)
    if activation_bits is None and activation_method != "uniform":
        raise VecqError(
            f"activations of method '{activation_method}' need bits, but those of the model are"
            " float; give the model activation_bits"
        )
    bias_bits = None if bias_bits is None else checked_weight_bits(bias_bits)
    default = Quantization(
        method=method,
        weight=checked_weight_bits(weight_bits),
        activation=None if activation_bits is None else checked_activation_bits(activation_bits),
    )
    twin = module_graph(model, input_shape)
    model = named(model)
    names = [name for name, module in _called_modules(twin) if isinstance(module, WITH_WEIGHTS)]
    by_layer = quantization_by_layer(names, default, overrides)
    _quantize_weights(twin, by_layer, bias_bits)
    if activation_bits is not None:
        activations = {name: given.activation for name, given in by_layer.items()}
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


def _called_modules(twin: fx.GraphModule) -> list[tuple[str, nn.Module]]:
    """Each once, in the order of the first calls."""
    calls = dict.fromkeys(str(node.target) for node in twin.graph.nodes if node.op == "call_module")
    return [(name, twin.get_submodule(name)) for name in calls]


def _quantize_weights(
    twin: fx.GraphModule, by_layer: Mapping[str, Quantization], bias_bits: int | None
) -> None:
    pixels = _pixels(twin)
    for name, module in _called_modules(twin):
        if isinstance(module, WITH_WEIGHTS):
            own = by_layer[name]
            try:
                for parameter in module.parameters(recurse=False):
                    if parameter.ndim > 1:  # biases may be zero
                        check_weights(parameter)
                layer = quantized_layer(
                    module, own.method, own.weight, bias_bits, pixels.get(name, 1)
                )
            except VecqError as error:
                raise VecqError(f"layer '{name}': {error}") from None
            twin.add_submodule(name, layer)


def _pixels(twin: fx.GraphModule) -> dict[str, int]:
    """How many pixels the image has that a Linear reads flattened, where its shape is known."""
    found: dict[str, set[int]] = {}
    for node in twin.graph.nodes:
        if node.op != "call_module":
            continue
        module = twin.get_submodule(node.target)
        if isinstance(module, nn.Linear):
            pixels = _flattened_pixels(twin, node, module.in_features)
            found.setdefault(node.target, set()).add(pixels)
    return {name: pixels.pop() for name, pixels in found.items() if len(pixels) == 1}


def _flattened_pixels(twin: fx.GraphModule, reader: fx.Node, features: int) -> int:
    """Pixels of the image that is flattened for a Linear; 1 where none is, or its shape is unknown.

    The network takes an input that is flattened at once as a vector, in torch's order.
    """
    node = source_of(reader)
    while isinstance(node, fx.Node):
        shape: tuple[int, ...] = shape_of(node) or ()
        if len(shape) == 4 and math.prod(shape[1:]) == features:
            return 1 if node.op == "placeholder" else int(shape[2]) * int(shape[3])
        own = twin.get_submodule(str(node.target)) if node.op == "call_module" else None
        if len(shape) != 2 or shape[1] != features or isinstance(own, WITH_WEIGHTS):
            break
        node = source_of(node)
    return 1
