"""Where the integers of a network lose against floats: signal to quantization noise by layer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from vecq_hw.formats import FloatArray
from vecq_hw.layers.tensor import Tensor
from vecq_hw.network import Network
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train.checkpoint import load_checkpoint, read_state
from vecq_hw.train.models import MODELS, build_model

_EQUAL_SHARE = 0.99
"""A module whose output has this share of a tensor's values is taken for the one that makes it."""


_ROUNDING = 0.51
"""Steps by which equal values may differ: a bias is rounded to the units of its sums."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerLoss:
    """What is left of the signal at one tensor of the network.

    Attributes
    ----------
    layer : str
        Of the network.
    module : str
        Of the float model, whose output is compared.
    sqnr_db : float
        Ten times the logarithm of the energy of the floats over that of the difference; infinite
        where there is none.
    """

    layer: str
    module: str
    sqnr_db: float


def layer_losses(checkpoint: str | Path, network: Network, x: FloatArray) -> list[LayerLoss]:
    """Compare each tensor of ``network`` with the float model of the same parameters.

    Which module makes which tensor is told by the values: the quantized model of the checkpoint
    computes what the integers stand for, and the module that does so is looked up in the float
    model; else a module of the tensor's own name is.  Tensors without such a module are left out,
    and so are models of a user's own file, which would have to be run.

    Parameters
    ----------
    x : float array of shape (N, ...)
        Samples as the model takes them, channels first.

    Raises
    ------
    VecqError
        The checkpoint is damaged, or the samples do not fit.
    """
    recipe, state = read_state(checkpoint)
    if recipe.model not in MODELS or recipe.weight_bits is None or len(network.inputs) > 1:
        return []
    quantized, _ = load_checkpoint(checkpoint)
    floats = build_model(recipe.model, recipe.shape, recipe.classes).eval()
    if not floats.state_dict().keys() <= state.keys():
        return []
    floats.load_state_dict({name: state[name] for name in floats.state_dict()})
    samples = torch.as_tensor(np.asarray(x))
    seen, wanted = _outputs(quantized, samples), _outputs(floats, samples)
    integers = simulate(network, network_inputs(network, x), taps=list(network.tensors))
    found = []
    for layer in network.layers:
        tensor = network.tensors[layer.name]
        real = integers[layer.name] * tensor.step
        equal = [name for name, values in seen.items() if _same(values, real, tensor)]
        # Behind a pool that was moved before its activation, the names alone say what is the same.
        for name in (*equal, layer.name):
            reference = _last(wanted[name], real.shape) if name in wanted else None
            if reference is not None:
                loss = LayerLoss(layer=layer.name, module=name, sqnr_db=_sqnr(reference, real))
                found.append(loss)
                break
    return found


def _outputs(model: nn.Module, x: torch.Tensor) -> Mapping[str, FloatArray]:
    """What each module without parts of its own gave last."""
    found: dict[str, FloatArray] = {}

    def keep(name: str) -> None:
        def hook(module: nn.Module, given: object, result: object) -> None:
            if isinstance(result, torch.Tensor):
                found[name] = result.detach().double().numpy()

        model.get_submodule(name).register_forward_hook(hook)

    for name, module in model.named_modules():
        inside = name.endswith("quantizer") or isinstance(module, nn.Sequential)
        if name and not inside:
            keep(name)
    with torch.no_grad():
        model(x)
    return found


def _last(values: FloatArray, shape: tuple[int, ...]) -> FloatArray | None:
    """Channels last, as the network has them; None where the shape is another."""
    moved = np.moveaxis(values, 1, -1) if values.ndim > 2 else values
    if moved.ndim == len(shape) - 1:  # a sequence is an image of height 1
        moved = moved[:, np.newaxis]
    return moved if moved.shape == shape else None


def _same(values: FloatArray, real: FloatArray, tensor: Tensor) -> bool:
    moved = _last(values, real.shape)
    if moved is None or not np.any(real):
        return False
    return bool(np.mean(np.abs(moved - real) < _ROUNDING * tensor.step) >= _EQUAL_SHARE)


def _sqnr(reference: FloatArray, real: FloatArray) -> float:
    noise = float(np.square(reference - real).sum())
    signal = float(np.square(reference).sum())
    if not noise:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf
