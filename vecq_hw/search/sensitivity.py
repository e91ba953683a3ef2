"""How much each layer would lose at each width, in closed form and without training.

A layer's direct loss is that of its weights to VecQ's grid: ``|w|² (1 - (1 - J_o)²)`` with VecQ's
orientation loss J_o, at the best length.  What the network loses by it is, to second order and with
the squared gradients in place of the curvature (Fisher), half of that times the mean energy of the
gradient of a weight.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vecq_hw.data import Dataset
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.quantize.vecq import orientation_loss, vecq
from vecq_hw.search.space import Choice, Point, Space

SAMPLES, BATCH = 1024, 16
"""Samples of the training set, from which the gradient's energy is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """What quantizing one layer's weights would cost.

    Attributes
    ----------
    weights : int
        How many there are.
    energy : float
        The mean square of the gradient of the loss, of one sample, by a weight.
    orientation : mapping from bits to float, 0..2
        VecQ's orientation loss.
    direct : mapping from bits to float
        ``|w - alpha v|²``, in squared units of w.
    loss : mapping from bits to float
        By how much the network's cross-entropy rises, estimated.
    """

    layer: str
    weights: int
    energy: float
    orientation: Mapping[int, float]
    direct: Mapping[int, float]
    loss: Mapping[int, float]


def sensitivities(
    model: nn.Module, dataset: Dataset, layers: Sequence[str], bits: Sequence[int]
) -> tuple[Sensitivity, ...]:
    """How sensitive each layer is, at each width.

    Parameters
    ----------
    model : nn.Module
        The trained float model; its gradients are lost.
    layers : sequence of str
        The names of modules with weights.

    Raises
    ------
    VecqError
        A layer's weights have no direction, or the model does not take the samples.
    """
    parameters = {layer: _weights(model, layer) for layer in layers}
    energies = _energies(model, dataset, parameters)
    found = []
    for layer, own in parameters.items():
        w = torch.cat([one.detach().reshape(-1) for one in own]).double()
        orientation, direct = {}, {}
        for width in sorted(set(bits)):
            parts = [vecq(one.detach(), width) for one in own]
            values = torch.cat([part.codes.reshape(-1).double() + 0.5 for part in parts])
            alphas = torch.cat([part.alpha.double().expand(part.codes.numel()) for part in parts])
            angle = float(orientation_loss(w, values * alphas))
            orientation[width] = angle
            direct[width] = float(w.square().sum()) * (1.0 - (1.0 - angle) ** 2)
        energy = energies[layer]
        found.append(
            Sensitivity(
                layer=layer,
                weights=w.numel(),
                energy=energy,
                orientation=orientation,
                direct=direct,
                loss={width: 0.5 * energy * lost for width, lost in direct.items()},
            )
        )
    return tuple(found)


def greedy_path(
    space: Space, found: Sequence[Sensitivity], lanes: Mapping[str, int]
) -> list[Point]:
    """From the most bits of all layers to the fewest, each step where it costs the least.

    A step is worth the bits that it saves times the lanes that multiply by them.  It changes widths
    of weights alone: activations have the most bits, the method and scale are the first.
    """
    lost = {one.layer: one.loss for one in found}
    widths = {name: _plain(choices) for name, choices in space.layers.items()}
    at = {name: len(choices) - 1 for name, choices in widths.items()}
    path: list[Point] = [{name: widths[name][place] for name, place in at.items()}]
    while any(at.values()):

        def price(name: str) -> float:
            now, then = widths[name][at[name]], widths[name][at[name] - 1]
            more = lost[name][then.weight_bits] - lost[name][now.weight_bits]
            return more / ((now.weight_bits - then.weight_bits) * lanes.get(name, 1))

        at[min((name for name in at if at[name]), key=price)] -= 1
        path.append({name: widths[name][place] for name, place in at.items()})
    return path


def plot(found: Sequence[Sensitivity]) -> bytes:
    """A line for each layer: the estimated loss over the bits of its weights, as PNG.

    Raises
    ------
    MissingToolError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingToolError(
            "plots need matplotlib; install it with: pip install matplotlib"
        ) from None
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for one in found:
        axes.semilogy([*one.loss], [*one.loss.values()], marker="o", label=one.layer)
    axes.set_xlabel("bits of the layer's weights")
    axes.set_ylabel("rise of the cross-entropy, estimated")
    axes.legend(frameon=False)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    return stream.getvalue()


def _plain(choices: Sequence[Choice]) -> list[Choice]:
    """One choice for each width, ascending: the first method and scale, most activation bits."""
    first = choices[0]
    most = max(choice.activation_bits for choice in choices)
    kept: dict[int, Choice] = {}
    for choice in choices:
        if choice.activation_bits == most:
            usual = (choice.method, choice.per_channel) == (first.method, first.per_channel)
            if usual or choice.weight_bits not in kept:
                kept[choice.weight_bits] = choice
    return [kept[width] for width in sorted(kept)]


def _weights(model: nn.Module, layer: str) -> list[nn.Parameter]:
    try:
        module = model.get_submodule(layer)
    except AttributeError:
        raise VecqError(f"the float model has no layer '{layer}'") from None
    own = [p for p in module.parameters(recurse=False) if p.ndim > 1]
    if not own:
        raise VecqError(f"layer '{layer}' has no weights")
    return own


def _energies(
    model: nn.Module, dataset: Dataset, parameters: Mapping[str, Sequence[nn.Parameter]]
) -> dict[str, float]:
    """The mean square of a sample's gradient, by layer.

    That of a batch's mean, times its samples: near a minimum the gradients of samples are
    independent.
    """
    model.eval()
    # Evenly over the set, which may be sorted by its classes; then in an order of its own.
    places = np.linspace(0, len(dataset.x_train) - 1, min(SAMPLES, len(dataset.x_train)))
    chosen = np.random.default_rng(0).permutation(places.astype(int))
    sums, batches = dict.fromkeys(parameters, 0.0), 0
    for start in range(0, len(chosen), BATCH):
        batch = chosen[start : start + BATCH]
        model.zero_grad()
        try:
            scores = model(torch.from_numpy(dataset.x_train[batch]))
        except RuntimeError as error:
            raise VecqError(
                f"the model does not take samples of {dataset.shape}: {error}"
            ) from None
        loss = cross_entropy(scores, torch.from_numpy(dataset.y_train[batch]))
        loss.backward()  # type: ignore[no-untyped-call]
        for layer, own in parameters.items():
            squares = sum(float(p.grad.square().sum()) for p in own if p.grad is not None)
            sums[layer] += len(batch) * squares / sum(p.numel() for p in own)
        batches += 1
    model.zero_grad()
    return {layer: total / batches for layer, total in sums.items()}
