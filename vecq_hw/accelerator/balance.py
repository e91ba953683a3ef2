"""The schedule with the fewest lanes that keeps a pace."""

from __future__ import annotations

from collections.abc import Iterator

from vecq_hw.accelerator.plan import plan
from vecq_hw.errors import VecqError
from vecq_hw.layers import MacLayer
from vecq_hw.network import Conv2d, Dense, Network, layer_inputs
from vecq_hw.schedule import Fold, Schedule, foldable, streaming_folds


def balance(network: Network, interval: int) -> Schedule:
    """Fold every Dense and Conv2d onto as few lanes (PE times SIMD) as ``interval`` allows.

    Of folds with as many lanes the one with the fewest processing elements is taken: each of them
    has an accumulator and a rescale behind it.  Where a pool, an Add or the input would be too
    slow for want of lanes, the Dense or Conv2d whose lanes it shares gets more of them.

    Parameters
    ----------
    interval : int, at least 1
        Cycles from frame to frame, at most.

    Raises
    ------
    VecqError
        A layer takes longer with all the lanes it can have; names it and the least interval.
    """
    folds = {layer.name: _Folds(layer, network, interval) for layer in _mac_layers(network)}
    for name, choice in folds.items():
        if choice.least_cycles > interval:
            raise _too_fast(network, name, choice.least_cycles, interval)
    while True:
        schedule = Schedule(folds={name: choice.best for name, choice in folds.items()})
        slow = next(_slow(network, schedule, interval), None)
        if slow is None:
            return schedule
        layer, cycles = slow
        if not any(folds[name].widen(axis) for name, axis in sorted(_lane_sources(network, layer))):
            raise _too_fast(network, layer, cycles, interval)


class _Folds:
    """The legal folds of a layer that keep the pace, the cheapest first."""

    def __init__(self, layer: MacLayer, network: Network, interval: int) -> None:
        outputs, inputs = foldable(layer)
        positions = network.tensors[layer.name].positions
        self.least_cycles = positions * layer.inputs_of_one_output // inputs
        work = self.least_cycles * outputs * inputs
        fast = [fold for fold in streaming_folds(layer) if work <= interval * fold.pe * fold.simd]
        self._folds = sorted(fast, key=lambda fold: (fold.pe * fold.simd, fold.pe))

    @property
    def best(self) -> Fold:
        """The cheapest fold."""
        return self._folds[0]

    def widen(self, axis: str) -> bool:
        """Drop the folds with no more lanes along ``axis`` than the cheapest; False if all are."""
        wider = [fold for fold in self._folds if getattr(fold, axis) > getattr(self.best, axis)]
        self._folds = wider or self._folds
        return bool(wider)


def _mac_layers(network: Network) -> list[MacLayer]:
    return [layer for layer in network.layers if isinstance(layer, Dense | Conv2d)]


def _slow(network: Network, schedule: Schedule, interval: int) -> Iterator[tuple[str, int]]:
    """Inputs and layers that take more cycles per frame, with these."""
    planned = plan(network, schedule)
    cycles = {name: stream.words for name, stream in planned.inputs.items()} | planned.busy
    return ((name, busy) for name, busy in cycles.items() if busy > interval)


def _lane_sources(network: Network, name: str) -> set[tuple[str, str]]:
    """Which Dense or Conv2d, and its pe or simd, set the lanes of a layer or input."""
    layers = {layer.name: layer for layer in network.layers}
    if name not in layers:  # an input has the lanes of the first of them
        return {(layer.name, "simd") for layer in _mac_layers(network)[:1]}
    sources: set[tuple[str, str]] = set()
    for read in layer_inputs(layers[name]):
        is_mac = isinstance(layers.get(read), Dense | Conv2d)
        sources |= {(read, "pe")} if is_mac else _lane_sources(network, read)
    return sources


def _too_fast(network: Network, name: str, cycles: int, interval: int) -> VecqError:
    return VecqError(
        f"network '{network.name}': '{name}' takes {cycles} cycles per frame with all the lanes"
        f" that it can have, more than the {interval} asked for"
    )
