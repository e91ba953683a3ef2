"""The hardware that is aimed at: folds for a pace, and what they take of a device."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from vecq_hw.accelerator import balance, plan
from vecq_hw.cost import Estimate, estimate, fewest_luts
from vecq_hw.cost.fabric import FABRICS
from vecq_hw.cost.search import suited
from vecq_hw.devices import DEVICES, Device, device
from vecq_hw.errors import VecqError
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, streaming_folds


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A device, a pace, and how much may be taken.

    Attributes
    ----------
    device : str
        A name of :data:`vecq_hw.devices.DEVICES`.
    frames_per_second, clock_mhz : float
        The pace that is asked for, at this clock.
    max_luts : int or None
        Beside what the device has.
    """

    device: str
    frames_per_second: float
    clock_mhz: float
    max_luts: int | None = None

    def __post_init__(self) -> None:
        for option, given in (
            ("--target-fps", self.frames_per_second),
            ("--clock-mhz", self.clock_mhz),
        ):
            if not (math.isfinite(given) and given > 0):
                raise VecqError(f"{option} is a positive number, not {given:g}")
        if self.max_luts is not None and self.max_luts < 1:
            raise VecqError(f"--max-luts is at least 1, not {self.max_luts}")
        family = device(self.device).family.name
        if family not in FABRICS:
            raise VecqError(
                f"--device {self.device}: there is no cost model of the family '{family}'; use a"
                f" device of {', '.join(FABRICS)}"
            )
        if self.interval < 1:
            raise VecqError(
                f"--target-fps {self.frames_per_second:g} asks for more frames than --clock-mhz"
                f" {self.clock_mhz:g} has cycles; the nearest rate that the clock allows is"
                f" {self.clock_mhz * 1e6:g} frames a second"
            )

    @property
    def interval(self) -> int:
        """Cycles from frame to frame, at most."""
        return math.floor(self.clock_mhz * 1e6 / self.frames_per_second)

    @property
    def place(self) -> Device:
        """The device."""
        return device(self.device)

    def excess(self, found: Estimate) -> dict[str, float]:
        """By how much a network goes beyond each limit, as a share of it; not positive if it fits.

        The names are those of :func:`limit_text`.
        """
        over = {name: share - 1.0 for name, share in found.shares.items()}
        over["pace"] = found.cycles / self.interval - 1.0
        if self.max_luts is not None:
            over["max_luts"] = found.total.luts / self.max_luts - 1.0
        return over


def schedule_for(network: Network, target: Target) -> Schedule:
    """The folds that reach the pace with the fewest look-up tables that were found.

    Raises
    ------
    VecqError
        A layer cannot be that quick; names it.
    """
    place = target.place
    found = fewest_luts(network, target.interval, place.family, dsps=place.dsps)
    return replace(found, clock_mhz=target.clock_mhz)


def measure(network: Network, schedule: Schedule, target: Target) -> Estimate:
    """What the network takes of the target's device, and its pace."""
    return estimate(network, schedule, target.place.family, target.place)


def check_feasible(network: Network, target: Target) -> Estimate:
    """Refuse a target that the smallest network of a space misses; its estimate otherwise.

    Raises
    ------
    VecqError
        Names the limit, and the nearest pace or device with which it would be kept.
    """
    rate = f"--target-fps {target.frames_per_second:g}"
    try:
        found = measure(network, schedule_for(network, target), target)
    except VecqError as error:
        slower = nearest_rate(network, target)
        slow = _advice(slower, target) if slower else "no rate at this clock is slow enough"
        raise VecqError(f"{rate} at --clock-mhz {target.clock_mhz:g}: {error}; {slow}") from None
    over = {name: excess for name, excess in target.excess(found).items() if excess > 0}
    if not over:
        return found
    worst = max(over, key=lambda name: over[name])
    slower = nearest_rate(network, target)
    advice = [_advice(slower, target)] if slower else ["no lower rate makes it fit"]
    if worst != "max_luts":
        larger = _nearest_device(network, target)
        if larger is not None:
            advice.append(f"the smallest device that takes it is {larger}")
    raise VecqError(
        f"{limit_text(worst, target)} contradicts {rate} at --clock-mhz {target.clock_mhz:g}: even"
        f" with the fewest bits, {_taken_text(worst, found)}; {'; '.join(advice)}"
    )


def limit_text(name: str, target: Target) -> str:
    """A limit of :meth:`Target.excess` as the option that sets it."""
    match name:
        case "max_luts":
            return f"--max-luts {target.max_luts}"
        case "pace":
            return f"--target-fps {target.frames_per_second:g}"
        case _:
            return f"--device {target.device}"


def nearest_rate(network: Network, target: Target) -> float | None:
    """The most frames per second, up to those asked for, that the limits leave; None if none do."""
    slowest = _slowest_interval(network)
    if slowest <= target.interval or not _fits(network, _at(target, slowest)):
        return None
    low, high = target.interval, slowest
    while high - low > max(1, low // 200):
        middle = (low + high) // 2
        if _fits(network, _at(target, middle)):
            high = middle
        else:
            low = middle
    return _at(target, high).frames_per_second


def _at(target: Target, interval: int) -> Target:
    """The target at another interval: a rate a little below, so that the interval is this one."""
    return replace(target, frames_per_second=target.clock_mhz * 1e6 / (interval + 1e-6))


def _slowest_interval(network: Network) -> int:
    """Cycles with the fewest lanes that there can be: nothing is smaller beyond it."""
    schedule = Schedule(folds={layer.name: streaming_folds(layer)[0] for layer in network.products})
    planned = plan(network, schedule)
    ends = [stream.words for stream in (*planned.inputs.values(), *planned.outputs.values())]
    return max([*planned.busy.values(), *ends])


def _fits(network: Network, target: Target) -> bool:
    """Whether the fewest lanes fit: quicker to tell than for the fewest look-up tables."""
    place = target.place
    try:
        lanes = suited(network, balance(network, target.interval), place.family, place.dsps)
        found = measure(network, replace(lanes, clock_mhz=target.clock_mhz), target)
    except VecqError:
        return False
    return max(target.excess(found).values()) <= 0


def _nearest_device(network: Network, target: Target) -> str | None:
    modelled = [other for other in DEVICES.values() if other.family.name in FABRICS]
    for other in sorted(modelled, key=lambda one: one.luts):
        if other.luts > target.place.luts and _fits(network, replace(target, device=other.name)):
            return other.name
    return None


def _advice(rate: float, target: Target) -> str:
    shown = math.floor(rate * 100) / 100 if rate < 100 else math.floor(rate)
    return f"the nearest feasible rate is {shown:g} frames a second"


def _taken_text(name: str, found: Estimate) -> str:
    total = found.total
    match name:
        case "max_luts":
            return f"the network takes {total.luts:,.0f} look-up tables"
        case "pace":
            return f"a frame takes {found.cycles:g} cycles"
        case _:
            return (
                f"the network takes {found.shares[name]:.2f} times what it has of one kind"
                f" ({total.luts:,.0f} look-up tables, {total.brams:,.0f} block RAMs,"
                f" {total.dsps:,.0f} DSPs)"
            )
