"""How much each layer would lose at each width, in closed form and without training.

A layer's direct loss is that of its weights to VecQ's grid: ``|w|² (1 - (1 - J_o)²)`` with VecQ's
orientation loss J_o, at the best length.  What the network loses by it is, to second order and with
the squared gradients in place of the curvature (Fisher), half of that times the mean energy of the
gradient of a weight.
"""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError, matplotlib_wanted
from vecq_hw.quantize.activation import ActivationQuantizer
from vecq_hw.quantize.vecq import orientation_loss, vecq
from vecq_hw.search.space import Choice, Point, Space

SMALLEST = 1e-12
"""A rise of the cross-entropy below which all are alike."""
SAMPLES, BATCH = 1024, 16
"""Samples of the training set, from which the gradient's energy is taken."""
ACTIVATION_SAMPLES = 256
"""Samples by whose activations the loss is told."""

WARM_SHARE, PAIR_SHARE = 2, 3
"""One trial in so many is one of :func:`warm_points`, and one in so many a uniform pair."""
PAIR_BITS = 4
"""Wider pairs are near the uniform widths in accuracy and in size."""


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


def activation_sensitivities(
    twin: nn.Module, dataset: Dataset, places: Mapping[str, Sequence[str]], bits: Sequence[int]
) -> dict[str, dict[int, float]]:
    """By how much the cross-entropy rises, estimated, if one layer's activations have few bits.

    Half of the mean, over samples, of the sum of the squared gradients by the activations times
    their squared errors (to second order, with Fisher's squares in place of the curvature).

    Parameters
    ----------
    twin : nn.Module
        The quantized model of many bits; its statistics are taken anew, its gradients are lost.
    places : mapping from the name of a layer to the names of its activations' quantizers in twin
    bits : sequence of int

    Returns
    -------
    dict from the name of a layer to a dict from bits to the rise
    """
    chosen = _evenly(dataset, ACTIVATION_SAMPLES)
    x, y = torch.from_numpy(dataset.x_train[chosen]), torch.from_numpy(dataset.y_train[chosen])
    twin.eval()
    for module in twin.modules():
        if isinstance(module, ActivationQuantizer):
            module.train()
    with torch.no_grad():
        twin(x)
    twin.eval()
    met: dict[str, list[tuple[torch.Tensor, torch.Tensor]]] = {}
    hooks = []
    for name in {name for names in places.values() for name in names}:

        def remember(_: nn.Module, given: Any, out: torch.Tensor, name: str = name) -> None:
            out.retain_grad()
            met.setdefault(name, []).append((given[0].detach(), out))

        hooks.append(twin.get_submodule(name).register_forward_hook(remember))
    cross_entropy(twin(x), y, reduction="sum").backward()  # type: ignore[no-untyped-call]
    for hook in hooks:
        hook.remove()
    twin.zero_grad()

    def rise(name: str, width: int) -> float:
        coarse = copy.deepcopy(twin.get_submodule(name))
        coarse.bits = width  # type: ignore[assignment]
        total = 0.0
        for given, out in met.get(name, []):
            if out.grad is not None:
                error = coarse(given) - out.detach()
                total += float((out.grad * error).square().sum())
        return 0.5 * total / len(chosen)

    with torch.no_grad():
        return {
            layer: {width: sum(rise(name, width) for name in names) for width in bits}
            for layer, names in places.items()
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """What multiplies, as the path weighs its steps by: bits times bits times lanes.

    Attributes
    ----------
    lanes : mapping from the name of a layer with weights to its multipliers; 1 where it has none
    sources : mapping from the name of a layer with weights to the one whose activations it reads
    """

    lanes: Mapping[str, int]
    sources: Mapping[str, str] = field(default_factory=dict)

    def bits(self, point: Point) -> float:
        """The sum over the multipliers of a point: bits of the weights times bits of the inputs."""
        most = max(choice.activation_bits for choice in point.values())
        return sum(
            choice.weight_bits
            * (point[self.sources[name]].activation_bits if name in self.sources else most)
            * self.lanes.get(name, 1)
            for name, choice in point.items()
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """What is known of all points before any is trained.

    Attributes
    ----------
    layers : sequence of Sensitivity
    products : Products
    activations : mapping from the name of a layer to a mapping from bits to the rise of the loss
        Of the layers whose activations may be narrowed.
    """

    layers: Sequence[Sensitivity]
    products: Products
    activations: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def rise(self, point: Point) -> float:
        """By how much the network's cross-entropy rises, estimated: the sum over its layers."""
        weights = {one.layer: one.loss for one in self.layers}
        return sum(
            weights[name][choice.weight_bits]
            + self.activations.get(name, {}).get(choice.activation_bits, 0.0)
            for name, choice in point.items()
        )


def warm_points(space: Space, outlook: Outlook, trials: int) -> list[Point]:
    """What is worth one of so many trials before an optimizer has learnt anything.

    First pairs: one width for all weights and one for all activations, both of few bits; no other
    such pair is estimated to lose less and multiplies less.  Then mixtures: points of the path that
    gives up first what costs the least, from where it multiplies no more than the pairs.
    """
    bits = outlook.products.bits
    few = [point for widths, point in space.pairs().items() if max(widths) <= PAIR_BITS]
    pairs: list[Point] = []
    for point in sorted(few, key=lambda one: (bits(one), outlook.rise(one))):
        if not pairs or outlook.rise(point) < outlook.rise(pairs[-1]):
            pairs.append(point)
    path = greedy_path(space, outlook.layers, outlook.products, outlook.activations)
    if not pairs:
        return spread(path, bits, trials // WARM_SHARE)
    chosen = spread(pairs[::-1], outlook.rise, trials // PAIR_SHARE)
    narrow = [point for point in path if bits(point) <= bits(pairs[-1])]
    return [*chosen, *spread(narrow, outlook.rise, trials // WARM_SHARE - len(chosen))]


def greedy_path(
    space: Space,
    found: Sequence[Sensitivity],
    products: Products,
    activations: Mapping[str, Mapping[int, float]] | None = None,
) -> list[Point]:
    """From the most bits of all layers to the fewest, each step where it costs the least.

    A step takes one width of weights, or of the activations that ``activations`` tells the loss of,
    to the next smaller one.  It is worth what the multipliers of :class:`Products` save by it.  The
    method and scale are the first.
    """
    rises = {} if activations is None else activations
    lost = {one.layer: one.loss for one in found}
    widths = {name: _plain(choices) for name, choices in space.layers.items()}
    most = {name: own[-1].activation_bits for name, own in widths.items()}
    given = {
        name: sorted({choice.activation_bits for choice in choices} & {*rises.get(name, {})})
        or [most[name]]
        for name, choices in space.layers.items()
    }
    at = {name: (len(own) - 1, len(given[name]) - 1) for name, own in widths.items()}

    def point(places: Mapping[str, tuple[int, int]]) -> Point:
        return {
            name: replace(widths[name][weight], activation_bits=given[name][activation])
            for name, (weight, activation) in places.items()
        }

    def loss(name: str, place: tuple[int, int]) -> float:
        own = lost[name][widths[name][place[0]].weight_bits]
        return own + rises.get(name, {}).get(given[name][place[1]], 0.0)

    path = [point(at)]
    while True:
        now = products.bits(path[-1])
        steps = [
            (name, after)
            for name, (weight, activation) in at.items()
            for after in ((weight - 1, activation), (weight, activation - 1))
            if min(after) >= 0
        ]
        if not steps:
            return path

        def price(step: tuple[str, tuple[int, int]]) -> tuple[float, float]:
            name, after = step
            saved = now - products.bits(point({**at, name: after}))  # noqa: B023
            more = loss(name, after) - loss(name, at[name])
            return (more / saved, 0.0) if saved > 0 else (math.inf, more)

        name, after = min(steps, key=price)
        at[name] = after
        path.append(point(at))


def spread(path: Sequence[Point], size: Callable[[Point], float], count: int) -> list[Point]:
    """So many points of a path, its ends among them, their sizes in equal ratios."""
    costs = [math.log(max(size(point), SMALLEST)) for point in path]
    wanted = np.linspace(costs[0], costs[-1], min(count, len(path)))
    places = {min(range(len(path)), key=lambda i: abs(costs[i] - at)) for at in wanted}
    return [path[place] for place in sorted(places)]


def plot(found: Sequence[Sensitivity]) -> bytes:
    """A line for each layer: the estimated loss over the bits of its weights, as PNG.

    Raises
    ------
    MissingToolError
        matplotlib is not installed.
    """
    with matplotlib_wanted():
        from matplotlib.figure import Figure
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


def _evenly(dataset: Dataset, samples: int) -> npt.NDArray[np.int64]:
    """Places over the whole set, which may be sorted by its classes, in an order of their own."""
    places = np.linspace(0, len(dataset.x_train) - 1, min(samples, len(dataset.x_train)))
    return np.random.default_rng(0).permutation(places.astype(np.int64))


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
    chosen = _evenly(dataset, SAMPLES)
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
