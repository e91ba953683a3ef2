"""Schedules chosen by their cost: the fewest look-up tables for a pace, the fastest of a device."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

from vecq_hw.accelerator.balance import balance, keeps_pace
from vecq_hw.accelerator.dsps import with_dsps
from vecq_hw.accelerator.plan import plan
from vecq_hw.cost.constants import Resources
from vecq_hw.cost.estimate import Known, fits, resources_of
from vecq_hw.cost.pace import busiest
from vecq_hw.devices import Device, Family
from vecq_hw.errors import VecqError
from vecq_hw.layers import MacLayer
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule, kind_problems, streaming_folds

WIDER = 2
"""Folds with up to so many times the fewest lanes are tried: of other shapes, or bit-serial."""
TRIED = 8
"""Folds of a layer that are tried, those with the fewest lanes first."""

Told = Callable[[str], object]


def fewest_luts(
    network: Network,
    interval: int,
    family: Family,
    told: Told = lambda text: None,
    dsps: float = math.inf,
) -> Schedule:
    """The schedule with the fewest look-up tables that gives a frame every ``interval`` cycles.

    From the fewest lanes on, each layer takes the fold that makes the whole smallest, one after the
    other until none becomes smaller.  Rescales that need a multiplier have DSP blocks where the
    family has them for that, ``dsps`` of them at most.

    Raises
    ------
    VecqError
        No schedule is that fast.
    """
    known = Known()
    chosen = suited(network, balance(network, interval), family, dsps, known)
    size = resources_of(network, chosen, family, known).luts
    better = True
    while better:
        better = False
        for layer in network.products:
            told(f"{layer.name}: {size:,.0f} look-up tables")
            for fold in _others(layer, chosen.folds[layer.name]):
                other = replace(chosen, folds={**chosen.folds, layer.name: fold})
                if not keeps_pace(network, other, interval):
                    continue
                other = suited(network, other, family, dsps, known)
                taken = resources_of(network, other, family, known).luts
                if taken < size:
                    chosen, size, better = other, taken, True
    return chosen


def fastest(network: Network, device: Device, told: Told = lambda text: None) -> Schedule:
    """The schedule with the shortest interval between frames that fits a device.

    Raises
    ------
    VecqError
        Not even the smallest one fits; the message says by how much.
    """
    family, known = device.family, Known()
    slowest = _slowest(network)
    least = suited(network, balance(network, slowest), family, device.dsps, known)
    if not fits(resources_of(network, least, family, known), device):
        least = fewest_luts(network, slowest, family, told, device.dsps)
        taken = resources_of(network, least, family, known)
        if not fits(taken, device):
            raise VecqError(_too_large(network, taken, device))
    # The shortest interval that fits lies between the two.
    too_fast, fitting, best = 0, slowest, least
    while fitting - too_fast > max(1, fitting // 200):
        middle = (too_fast + fitting) // 2
        told(f"{device.name}: a frame every {fitting} cycles fits; trying {middle}")
        try:
            made = suited(network, balance(network, middle), family, device.dsps, known)
        except VecqError:
            too_fast = middle
            continue
        if fits(resources_of(network, made, family, known), device):
            best, fitting = made, min(middle, busiest(plan(network, made)))
        else:
            too_fast = middle
    smaller = fewest_luts(network, fitting, family, told, device.dsps)
    taken = resources_of(network, smaller, family)
    return smaller if fits(taken, device) else best


def suited(
    network: Network,
    schedule: Schedule,
    family: Family,
    dsps: float = math.inf,
    known: Known | None = None,
) -> Schedule:
    """The schedule on the fabric of a family, with DSP blocks where it has them for that.

    Where there are fewer than ``dsps`` of them, the layers with the fewest lanes go without: a
    multiplier of tables each.  ``known`` is that of :func:`vecq_hw.cost.resources_of`.
    """
    folds = {name: replace(fold, dsp=False) for name, fold in schedule.folds.items()}
    plain = replace(schedule, fabric=family.fabric, folds=folds)
    if not family.dsp:
        return plain
    found = with_dsps(network, plain)
    folds = dict(found.folds)
    for name in sorted((one for one in folds if folds[one].dsp), key=lambda one: folds[one].pe):
        if math.isinf(dsps) or resources_of(network, found, family, known).dsps <= dsps:
            break
        folds[name] = replace(folds[name], dsp=False)
        found = replace(found, folds=folds)
    return found


def _others(layer: MacLayer, fold: Fold) -> Iterator[Fold]:
    """Folds to try in place of one."""
    lanes = fold.pe * fold.simd
    legal = sorted(streaming_folds(layer), key=lambda f: (f.pe * f.simd, f.pe))
    for kind in (FoldKind.STREAMING, FoldKind.BIT_SERIAL):
        bits = layer.weights.planes.bits if kind is FoldKind.BIT_SERIAL else 1
        near = [f for f in legal if lanes <= f.pe * f.simd * bits <= WIDER * lanes * bits * bits]
        for other in near[:TRIED]:
            made = replace(other, kind=kind)
            if made != replace(fold, dsp=False) and not [*kind_problems(layer, made)]:
                yield made


def _slowest(network: Network) -> int:
    """The cycles of a frame with one lane a layer."""
    folds = {layer.name: Fold() for layer in network.products}
    return busiest(plan(network, Schedule(folds=folds)))


def _too_large(network: Network, taken: Resources, device: Device) -> str:
    return (
        f"network '{network.name}' does not fit {device.name}: the smallest schedule takes about"
        f" {taken.luts:,.0f} of {device.luts:,} look-up tables, {taken.brams:g} of"
        f" {device.block_rams} block RAMs and {taken.dsps:g} of {device.dsps} DSPs"
    )
