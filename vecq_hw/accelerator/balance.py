"""The schedule with the fewest lanes that keeps a pace."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import Enum

from vecq_hw.accelerator import units
from vecq_hw.accelerator.plan import first_mac_behind, plan
from vecq_hw.errors import VecqError
from vecq_hw.layers import MacLayer, RecurrentLayer, as_recurrent_layer
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, Schedule, streaming_folds


def balance(network: Network, interval: int) -> Schedule:
    """Fold every Dense, Conv2d and product of a state onto as few lanes as ``interval`` allows.

    Lanes are PE times SIMD.  Of folds with as many, the one with the fewest processing elements is
    taken: each of them has an accumulator and a rescale behind it.  Where a pool, an Add or the
    input would be too slow for want of lanes, the Dense or Conv2d whose lanes it shares gets more
    of them.  The result's folds keep the pace; with any single one replaced by a cheaper fold they
    do not.

    Parameters
    ----------
    interval : int, at least 1
        Cycles from frame to frame, at most.

    Raises
    ------
    VecqError
        A layer takes longer with all the lanes it can have; names it and the least interval.
    """
    folds = {layer.name: _Folds(layer, network, interval) for layer in network.products}
    for name, choice in folds.items():
        if choice.least_cycles > interval:
            raise _too_fast(network, name, choice.least_cycles, interval)
    while True:
        schedule = Schedule(folds={name: choice.best for name, choice in folds.items()})
        slow = next(_slow(network, schedule, interval), None)
        if slow is None:
            break
        layer, cycles = slow
        if not any(folds[name].widen(end) for name, end in _lane_sources(network, layer)):
            raise _too_fast(network, layer, cycles, interval)
    return _narrowed(network, folds, interval)


def keeps_pace(network: Network, schedule: Schedule, interval: int) -> bool:
    """Whether no input and no layer takes more than ``interval`` cycles per frame."""
    return next(_slow(network, schedule, interval), None) is None


def _narrowed(network: Network, folds: Mapping[str, _Folds], interval: int) -> Schedule:
    """The cheapest fold for each widened layer, one after the other, until none can be cheaper.

    What widened a layer may since be quick by another one, or by the layer's other end.
    """
    chosen = {name: choice.best for name, choice in folds.items()}
    changes = True
    while changes:
        changes = False
        for name, choice in folds.items():
            for fold in choice.cheaper(chosen[name]):
                narrower = Schedule(folds=chosen | {name: fold})
                if keeps_pace(network, narrower, interval):
                    chosen[name], changes = fold, True
                    break
    return Schedule(folds=chosen)


class _End(Enum):
    """A side of a Dense or Conv2d on which others share its lanes."""

    INPUT = "input"
    OUTPUT = "output"


class _Folds:
    """The legal folds of a layer that keep the pace, the cheapest first."""

    def __init__(self, layer: MacLayer, network: Network, interval: int) -> None:
        cycles = _cycles_of_folds(layer, network)
        self.least_cycles = min(cycles.values())
        fast = [fold for fold, taken in cycles.items() if taken <= interval]
        self._layer = layer
        self._fast = sorted(fast, key=lambda fold: (fold.pe * fold.simd, fold.pe))
        self._wide = self._fast

    @property
    def best(self) -> Fold:
        """The cheapest fold that is wide enough."""
        return self._wide[0]

    def cheaper(self, than: Fold) -> list[Fold]:
        """The folds before this one that keep the layer's own pace."""
        return self._fast[: self._fast.index(than)]

    def widen(self, end: _End) -> bool:
        """Drop the folds with no more lanes at ``end`` than the cheapest; False if all are."""
        lanes = self._lanes(self.best, end)
        wider = [fold for fold in self._wide if self._lanes(fold, end) > lanes]
        self._wide = wider or self._wide
        return bool(wider)

    def _lanes(self, fold: Fold, end: _End) -> int:
        return fold.pe if end is _End.OUTPUT else units.input_lanes(self._layer, fold)


def _cycles_of_folds(layer: MacLayer, network: Network) -> dict[Fold, int]:
    """Cycles of a frame for each fold that the layer, or a recurrent layer's product, takes."""
    legal = streaming_folds(layer)
    recurrent = _recurrent_layer(network, layer.name)
    if recurrent is not None:
        _, steps, _ = network.tensors[recurrent.input].shape
        return {fold: steps * units.step_cycles(recurrent, fold) for fold in legal}
    work = network.tensors[layer.name].positions * layer.weight_count
    return {fold: work // (fold.pe * fold.simd) for fold in legal}


def _recurrent_layer(network: Network, name: str) -> RecurrentLayer | None:
    found = (as_recurrent_layer(layer) for layer in network.layers if layer.name == name)
    return next(found, None)


def _slow(network: Network, schedule: Schedule, interval: int) -> Iterator[tuple[str, int]]:
    """Inputs and layers that take more cycles per frame, with these."""
    planned = plan(network, schedule)
    cycles = {name: stream.words for name, stream in planned.inputs.items()} | planned.busy
    return ((name, busy) for name, busy in cycles.items() if busy > interval)


def _lane_sources(network: Network, name: str) -> dict[tuple[str, _End], None]:
    """Which Dense or Conv2d, and which end of it, set the lanes of a layer or input, in order."""
    layers = {layer.name: layer for layer in network.layers}
    if name not in layers:  # an input has the lanes of the first of them behind it
        first = first_mac_behind(network, name)
        return {} if first is None else {(first.name, _End.INPUT): None}
    macs = {layer.name for layer in network.mac_layers}
    sources: dict[tuple[str, _End], None] = {}
    for read in layers[name].inputs:
        if _recurrent_layer(network, read) is not None:
            continue  # it has one lane, whatever its fold
        sources |= {(read, _End.OUTPUT): None} if read in macs else _lane_sources(network, read)
    return sources


def _too_fast(network: Network, name: str, cycles: int, interval: int) -> VecqError:
    return VecqError(
        f"network '{network.name}': '{name}' takes {cycles} cycles per frame with all the lanes"
        f" that it can have, more than the {interval} asked for"
    )
