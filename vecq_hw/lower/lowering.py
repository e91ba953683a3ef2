"""A trained quantized model to the integer network that computes the same."""

from __future__ import annotations

from typing import overload

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from vecq_hw.arguments import whole_number
from vecq_hw.errors import VecqError
from vecq_hw.interop.brevitas import import_module, is_brevitas
from vecq_hw.limits import MANTISSA_BITS
from vecq_hw.lower.inputs import shapes_by_input
from vecq_hw.lower.walk import network_of
from vecq_hw.network import Network
from vecq_hw.quantize import InputQuantizer
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.simulate.ends import one_or_all, output_arrays
from vecq_hw.simulate.reference import checked_inputs
from vecq_hw.train.fit import predict_all
from vecq_hw.train.preconditions import InputShape, check_statistics, check_values
from vecq_hw.train.quantized_layers import Quantized, QuantizedEmbedding
from vecq_hw.train.several import Samples, arguments, input_names


def lower(
    model: nn.Module,
    input_shape: InputShape | None = None,
    name: str = "network",
    mantissa_bits: int = 18,
) -> Network:
    """The integer network of a trained quantized model.

    Codes and scales are those of the model's forward pass.  Layers keep the names of their modules;
    the Rescale behind ``fc1`` is ``fc1_rescale``.  Arrays are channels-last, so dense columns and
    batch norms behind a Flatten are permuted.  A Flatten of the input itself is left to
    :func:`vecq_hw.simulate.network_inputs`: such a network takes vectors.  A sequence (C, L)
    becomes an image of height 1, and a Conv1d a Conv2d.  A
    max-pool before a quantizer moves behind it, where it compares codes.

    A quantized module of Brevitas is taken as well: what it computes, exactly, with as many bits of
    mantissas as that takes (:func:`vecq_hw.interop.brevitas.import_module` gives a report, too).

    Parameters
    ----------
    model : nn.Module
        From :func:`vecq_hw.train.quantize_model`, trained or calibrated.
    input_shape : (C,), (C, L) or (C, H, W), optional
        Of one sample as the model takes it; needed where no leading Linear or BatchNorm1d tells it.
        Of several inputs a sequence, or a mapping from forward()'s arguments, of one for each.
        These inputs have the names of the arguments; several outputs have those of their keys or
        fields, or are ``output_0``, ``output_1``, ...
    name : str
    mantissa_bits : int, 4..32
        Of the multipliers, sign included;
        :func:`vecq_hw.passes.precision.kept_mantissa_bits` tells how many each channel has.

    Raises
    ------
    VecqError
        The model is not from ``quantize_model`` or has float activations, a quantizer
        has no statistics, shapes do not fit.
    """
    if not isinstance(name, str) or not name:
        raise VecqError(f"a network is named by text, not {name!r}")
    if is_brevitas(model):
        return import_module(model, input_shape, name).network
    graph = checked_graph(model)
    check_statistics(graph)
    least, most = MANTISSA_BITS
    bits = whole_number(mantissa_bits, f"mantissas have {least} to {most} bits", least, most)
    with torch.no_grad():
        return network_of(graph, shapes_by_input(graph, input_shape), bits, name)


@overload
def prediction_differences(
    model: nn.Module, network: Network, x: npt.NDArray[np.float32]
) -> int: ...
@overload
def prediction_differences(
    model: nn.Module, network: Network, x: Samples
) -> int | dict[str, int]: ...
def prediction_differences(
    model: nn.Module, network: Network, x: npt.NDArray[np.float32] | Samples
) -> int | dict[str, int]:
    """How many samples the quantized model and its integer network put into different classes.

    Of a model with several outputs a dictionary from the name of each to its number.  An output of
    one number tells two classes apart: 1 where it is above zero.

    Parameters
    ----------
    model : the module that ``network`` was lowered from
    x : float32 array of shape (N, C), (N, C, L) or (N, C, H, W)
        Of several inputs a tuple of them, or a mapping from the arguments of forward().

    Raises
    ------
    VecqError
        ``network`` is no Network, the samples do not fit it or the model, or they are none.
    """
    if not isinstance(network, Network):
        raise VecqError(f"a Network is wanted, not {type(network).__name__}")
    given = arguments(input_names(model), x)
    codes = network_inputs(
        network, dict(zip((i.name for i in network.inputs), map(np.asarray, given), strict=True))
    )
    outputs = simulate(network, checked_inputs(network, codes), taps=network.outputs)
    channels_first = {
        name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
        for name, array in outputs.items()
    }
    found = output_arrays(network, predictions(network, channels_first))
    wanted = dict(zip(network.outputs, predict_all(model, given).values(), strict=True))
    return one_or_all({name: int((wanted[name] != found[name]).sum()) for name in found})


def checked_graph(model: nn.Module) -> fx.GraphModule:
    """The model as a graph that can be walked; refuses what is no model to be lowered.

    Raises
    ------
    VecqError
        It is no model from quantize_model, its activations are float, or :func:`check_values`
        refuses its values.
    """
    modules = list(model.named_modules()) if isinstance(model, fx.GraphModule) else []
    if modules:
        check_values(model)
    if isinstance(model, fx.GraphModule) and any(
        isinstance(module, InputQuantizer)
        or (isinstance(module, QuantizedEmbedding) and module.integer_rows)
        for _, module in modules
    ):
        return model
    if any(isinstance(module, Quantized) for _, module in modules):
        raise VecqError(
            "the model's activations are float (activation_bits=None), so it has no integers;"
            " quantize them too to lower it"
        )
    raise VecqError(
        f"a model from quantize_model is wanted, not {type(model).__name__};"
        " quantize and train it first"
    )
