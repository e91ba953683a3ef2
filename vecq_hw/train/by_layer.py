"""By what each layer of a model is quantized: its widths and, where it has one, its own method."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from vecq_hw.arguments import meant, nearest
from vecq_hw.errors import VecqError
from vecq_hw.formats import checked_weight_bits
from vecq_hw.quantize.activation import checked_activation_bits
from vecq_hw.quantize.methods import METHODS, weight_method
from vecq_hw.quantize.settings import Option
from vecq_hw.quantize.weights import WeightMethod, WeightQuantizer
from vecq_hw.train.place import INPUT


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerQuantization:
    """What one layer has other than the rest; None keeps what the model has.

    Attributes
    ----------
    weight : int or None, 1..16
    activation : int or None, 1..16
        Of the layer's output, that is of the activation that follows it.
    method : str or None
        Of its weights, a name of :data:`vecq_hw.quantize.METHODS`.
    options : mapping
        Settings of that method; those of the model's method do not count here.
    """

    weight: int | None = None
    activation: int | None = None
    method: str | None = None
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantization:
    """What a layer is quantized by, all said."""

    weight: int
    activation: int | None
    method: WeightMethod


def quantization_by_layer(
    names: Sequence[str], default: Quantization, overrides: Mapping[str, LayerQuantization] | None
) -> dict[str, Quantization]:
    """How each layer with weights is quantized, and the input.

    Parameters
    ----------
    names : sequence of str
        The layers with weights.
    default : Quantization
        Of all that the overrides say nothing of.

    Raises
    ------
    VecqError
        The overrides are of another form, name what is no such layer, or ask for what is none.
    """
    overrides = {} if overrides is None else overrides
    if not isinstance(overrides, Mapping):
        raise VecqError(
            f"overrides are a mapping from names of layers to LayerQuantization, not {overrides!r}"
        )
    for name in overrides.keys() - {*names, INPUT}:
        if not isinstance(name, str):
            raise VecqError(f"overrides: layers are named by text, such as '{name}', not {name!r}")
        raise VecqError(
            f"overrides: the model has no layer with weights '{name}'; {nearest(name, names)}"
        )
    return {
        name: _overridden(name, default, overrides[name]) if name in overrides else default
        for name in (INPUT, *names)
    }


def _overridden(name: str, default: Quantization, given: object) -> Quantization:
    if not isinstance(given, LayerQuantization):
        raise VecqError(f"overrides: '{name}' has {given!r} where LayerQuantization(...) is wanted")
    if given.activation is not None and default.activation is None:
        raise VecqError(
            f"overrides: layer '{name}' has {given.activation}-bit activations, but those of"
            " the model are float; give the model activation_bits"
        )
    weight = default.weight if given.weight is None else given.weight
    activation = default.activation if given.activation is None else given.activation
    try:
        return Quantization(
            weight=checked_weight_bits(weight),
            activation=None if activation is None else checked_activation_bits(activation),
            method=_own_method(name, given) or default.method,
        )
    except VecqError as error:
        raise VecqError(f"overrides: layer '{name}': {error}") from None


def _own_method(name: str, given: LayerQuantization) -> WeightMethod | None:
    options = given.options
    if not isinstance(options, Mapping) or not all(isinstance(key, str) for key in options):
        raise VecqError(f"options are a mapping from names of settings, not {options!r}")
    if given.method is None:
        if options:
            raise VecqError("it has options of a method, but names none; give it the method, too")
        return None
    if name == INPUT:
        raise VecqError("the network's inputs have no weights that a method could quantize")
    return weight_method(given.method, **options)


def checked_method(method: object) -> WeightMethod:
    """The method, given by name or as such; what cannot quantize weights is refused.

    Raises
    ------
    VecqError
        There is no such method or it cannot be called; by what is returned, too, where the method
        takes no weights and bits or gives no WeightQuantizer.
    """
    if isinstance(method, str):
        return weight_method(method)
    if not callable(method) or isinstance(method, nn.Module):
        raise VecqError(
            f"a method is one of {', '.join(METHODS)}, or what weight_method(...) returns, not"
            f" {method!r}{meant(method, METHODS)}"
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
