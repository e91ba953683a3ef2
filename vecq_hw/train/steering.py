"""The float weights of a checkpoint, and how well each interval would steer them (Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from vecq_hw.formats import FloatArray
from vecq_hw.quantize import Interval, Spread
from vecq_hw.quantize.vecq import chosen_lambda, steering_losses
from vecq_hw.train.checkpoint import ModelRecipe, read_state

LAMBDAS = 61
"""Points of a curve."""
MOST_WEIGHTS = 1 << 20
"""Weights that a curve is computed from; of a larger layer as many at equal distances."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Steering:
    """Orientation loss over lambda, and the lambda that the method took.

    Attributes
    ----------
    bits : int
    lambdas, losses : float arrays of shape (LAMBDAS,)
        In units of the spread; 1 - cos of the angle between the weights and their codes, the mean
        of all rows where each has a lambda of its own.
    chosen, chosen_loss : float
    """

    bits: int
    lambdas: FloatArray
    losses: FloatArray
    chosen: float
    chosen_loss: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedWeights:
    """The float weights of one layer as training left them.

    Attributes
    ----------
    layer : str
        Its name in the model, and so in the network.
    values : float32 array of shape (n,)
    steering : Steering or None
        Where VecQ quantized them to two bits or more.
    """

    layer: str
    values: FloatArray
    steering: Steering | None


def trained_weights(checkpoint: str | Path, layers: Sequence[str]) -> list[TrainedWeights]:
    """The weights of those of ``layers`` that the checkpoint has under the same name.

    The model is not built, so that no file of it is run.

    Raises
    ------
    VecqError
        The file is missing, damaged, or no checkpoint.
    """
    recipe, state = read_state(checkpoint)
    found = []
    for layer in layers:
        weights = state.get(f"{layer}.weight")
        if weights is None or weights.ndim < 2:
            continue
        flat: FloatArray = weights.detach().float().reshape(-1).numpy()
        steering = _steering(layer, weights.detach().float(), recipe) if np.ptp(flat) else None
        found.append(TrainedWeights(layer=layer, values=flat, steering=steering))
    return found


def _steering(layer: str, weights: torch.Tensor, recipe: ModelRecipe) -> Steering | None:
    own = recipe.overrides.get(layer)
    method, options, bits = recipe.method, recipe.options, recipe.weight_bits
    if own is not None:
        bits = bits if own.weight is None else own.weight
        if own.method is not None:
            method, options = own.method, own.options
    if method != "vecq" or bits is None or bits < 2:
        return None
    per_channel = bool(options.get("per_channel", False))
    interval = Interval(options.get("interval", Interval.EXACT.value))
    spread = Spread(options.get("spread", Spread.RMS.value))
    rows = weights.flatten(1) if per_channel else weights.reshape(1, -1)
    if rows.numel() > MOST_WEIGHTS:
        rows = rows[:, :: -(-rows.numel() // MOST_WEIGHTS)]
    chosen = chosen_lambda(rows, bits, interval, spread)
    lambdas = np.geomspace(chosen / 4, 4 * chosen, LAMBDAS)
    losses = steering_losses(rows, bits, [*lambdas.tolist(), chosen], spread)
    return Steering(
        bits=bits,
        lambdas=lambdas,
        losses=np.array(losses[:-1]),
        chosen=chosen,
        chosen_loss=losses[-1],
    )
