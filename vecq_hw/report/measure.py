"""What the layers of a network do on samples: codes, sums, clipping, and its pace and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vecq_hw import arithmetic, storage
from vecq_hw import data as datasets
from vecq_hw.bench.ports import load_ends
from vecq_hw.cost import Estimate
from vecq_hw.cost import estimate as estimated
from vecq_hw.data import Dataset
from vecq_hw.devices import Device
from vecq_hw.devices import device as device_named
from vecq_hw.emit.project import read_vectors
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Rescale, Weights, as_code_layer
from vecq_hw.network import Network
from vecq_hw.report.gather import MANIFEST, Found
from vecq_hw.report.record import Record
from vecq_hw.schedule import Schedule, default_schedule
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.simulate.dataflow import DataflowRun, fifo_depths, simulate_pace
from vecq_hw.verify.vectors import random_vectors

if TYPE_CHECKING:
    from vecq_hw.lower.losses import LayerLoss

SAMPLES = 64
"""Samples that go through the network; each more refines shares and ranges a little."""
MOST_SHOWN_CODES = 256
"""Bars of a layer; codes of more bits are counted in as many equal bins."""
DEVICE = "ecp5-85k"
"""Whose size is estimated where nothing was implemented."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CodeUse:
    """How often each code of a layer's weights is used.

    Attributes
    ----------
    codes : int array of shape (n,)
        The codes, or the first of each bin.
    shares : float array of shape (n,)
        Of all weights, which add up to 1.
    values : int array of shape (n,)
        What each code stands for, in steps; of a bin, its first code.
    """

    layer: str
    bits: int
    weights: int
    codes: IntArray
    shares: np.ndarray[tuple[int], np.dtype[np.float64]]
    values: IntArray
    step: float

    @property
    def unused(self) -> int:
        """Codes, or bins, that no weight has."""
        return int((self.shares == 0).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class SumRange:
    """Sums of a layer: what is proven for all inputs, and what these samples reached."""

    layer: str
    bits: int
    proven: tuple[int, int]
    used: tuple[int, int]

    @property
    def share(self) -> float:
        """How much of the proven range was used, 0 to 1."""
        low, high = self.proven
        return (self.used[1] - self.used[0]) / max(high - low, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Clipping:
    """How many activations a clamp changed, and how many are zero; shares, 0 to 1.

    ``exact`` is false where the layer is no Rescale: codes at an end of the range are counted then,
    clipped or not.
    """

    layer: str
    format: IntFormat
    high: float
    low: float
    zero: float
    exact: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Sums and activations on some samples, which ``source`` names in words.

    ``losses`` compares with the float model, where the folder has its parameters and real samples.
    """

    source: str
    samples: int
    losses: Sequence[LayerLoss]
    sums: Sequence[SumRange]
    clippings: Sequence[Clipping]


def code_use(network: Network) -> list[CodeUse]:
    """The use of codes in each layer whose weights are stored one by one."""
    found = []
    for layer in network.products:
        weights = layer.weights
        if not isinstance(weights, Weights):
            continue
        fmt = weights.grid.code_format
        bins = min(1 << fmt.bits, MOST_SHOWN_CODES)
        width = (1 << fmt.bits) // bins
        first = np.arange(bins) * width - (1 << fmt.bits - 1) * (fmt.lo < 0)
        places = (weights.codes.astype(np.int64).ravel() - first[0]) // width
        counts = np.bincount(places, minlength=bins)
        found.append(
            CodeUse(
                layer=layer.name,
                bits=fmt.bits,
                weights=layer.weight_count,
                codes=first,
                shares=counts / counts.sum(),
                values=weights.grid.values(first.clip(fmt.lo, fmt.hi).astype(np.int16)),
                step=weights.step,
            )
        )
    return found


def activity(found: Found, network: Network) -> Activity:
    """Run the simulator on samples of the training's data set, else on seeded random codes."""
    inputs, source = _samples(found, network)
    taps = [name for layer in network.mac_layers for name in (layer.name,)]
    codes = [layer for layer in map(as_code_layer, network.layers) if layer is not None]
    taps += [name for layer in codes for name in (layer.input, layer.name)]
    tensors = simulate(network, inputs, taps=list(dict.fromkeys(taps)))
    sums = []
    for layer in network.mac_layers:
        array = tensors[layer.name]
        proven = layer.accumulator_range(network.tensors[layer.input].format)
        sums.append(
            SumRange(
                layer=layer.name,
                bits=network.tensors[layer.name].format.bits,
                proven=proven,
                used=(int(array.min()), int(array.max())),
            )
        )
    clippings = []
    for code in codes:
        fmt, made = network.tensors[code.name].format, tensors[code.name]
        exact = isinstance(code, Rescale) and code.rows is None
        before = _unclamped(code, tensors[code.input]) if exact else None
        high = made == fmt.hi if before is None else before > fmt.hi
        low = made == fmt.lo if before is None else before < fmt.lo
        clippings.append(
            Clipping(
                layer=code.name,
                format=fmt,
                high=float(high.mean()),
                low=float(low.mean()),
                zero=float((made == 0).mean()),
                exact=exact,
            )
        )
    count = len(next(iter(inputs.values())))
    return Activity(
        source=source,
        samples=count,
        losses=_losses(found, network),
        sums=sums,
        clippings=clippings,
    )


def _losses(found: Found, network: Network) -> Sequence[LayerLoss]:
    training, dataset = found.training, _dataset(found)
    if training is None or training.checkpoint is None or dataset is None:
        return []
    try:
        from vecq_hw.lower.losses import layer_losses  # needs torch
    except MissingToolError:
        return []
    return layer_losses(training.checkpoint, network, dataset.x_test[:SAMPLES])


def _dataset(found: Found) -> Dataset | None:
    """What was trained on, as far as it can be read here."""
    metrics = None if found.training is None else found.training.metrics
    data = None if metrics is None else metrics.text("data")
    if data is None:
        return None
    try:
        return datasets.load(data)
    except VecqError:
        return None


def _unclamped(layer: object, sums: IntArray) -> IntArray:
    assert isinstance(layer, Rescale)
    wide = IntFormat(63, signed=True)
    return arithmetic.rescale(sums, layer.mantissa, layer.offset, layer.shift, wide)


def _samples(found: Found, network: Network) -> tuple[Mapping[str, IntArray], str]:
    """Codes of each input, and where they come from."""
    name = network.inputs[0].name
    for project in found.projects:
        if (given := _vectors(project, network)) is not None:
            return given, f"vectors of the project '{project.name}'"
    dataset = _dataset(found) if len(network.inputs) == 1 else None
    if dataset is not None:
        codes = network_inputs(network, dataset.x_test[:SAMPLES])
        return {name: codes}, f"test samples of {dataset.name}"
    drawn = random_vectors(network, SAMPLES)
    inputs = drawn if isinstance(drawn, dict) else {name: drawn}
    return inputs, "random input codes"


def _vectors(project: Path, network: Network) -> dict[str, IntArray] | None:
    """The first inputs that a project was run with; None where it is of another network."""
    manifest = project / MANIFEST
    if Record.read(manifest).text("network") != storage.digest(network):
        return None
    try:
        inputs, _ = load_ends(manifest)
    except ValueError as error:  # of a later vecq
        raise VecqError(str(error)) from None
    found = {
        end.port.tensor: read_vectors(project / "vectors" / end.vectors)[:SAMPLES] for end in inputs
    }
    return {source.name: found[source.name].reshape(-1, *source.shape) for source in network.inputs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """The accelerator of a schedule: its cycles, its FIFOs and its estimated size.

    Attributes
    ----------
    run : DataflowRun or None
        None where the network cannot be streamed as the schedule says; ``reason`` says why.
    """

    schedule: Schedule
    device: Device
    estimate: Estimate | None
    run: DataflowRun | None
    depths: Mapping[str, int]
    reason: str


def pace(found: Found, network: Network) -> Pace:
    """Simulate the folder's schedule, or the default one, and estimate its size."""
    schedule = found.schedule or default_schedule(network)
    named = None if found.implementation is None else found.implementation.text("device")
    device = device_named(named or DEVICE)
    try:
        depths = schedule.fifo_depths
        if depths is None:
            depths = fifo_depths(network, schedule)
        run = simulate_pace(network, schedule, depths)
    except VecqError as error:
        return Pace(
            schedule=schedule, device=device, estimate=None, run=None, depths={}, reason=str(error)
        )
    try:
        estimate = estimated(network, schedule, device.family, device)
    except VecqError:  # a family without a cost model
        estimate = None
    return Pace(
        schedule=schedule, device=device, estimate=estimate, run=run, depths=depths, reason=""
    )
