"""The phase-locked loops of the families: the fastest clock that is not faster than asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vecq_hw.errors import VecqError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pll:
    """Settings of a loop: the frequency that it makes, and its dividers by their names."""

    clock_mhz: float
    dividers: Mapping[str, int]


def fastest(family: str, oscillator_mhz: float, most_mhz: float) -> Pll:
    """The fastest clock up to ``most_mhz`` that the family's loop makes of an oscillator.

    Raises
    ------
    VecqError
        It makes none that is so slow.

    Examples
    --------
    >>> fastest("ice40", 12, 41).clock_mhz, fastest("gowin", 27, 100).clock_mhz
    (40.5, 99.0)
    >>> fastest("ecp5", 25, 149).dividers
    {'CLKI_DIV': 7, 'CLKFB_DIV': 41, 'CLKOP_DIV': 4}
    """
    ways = {"ecp5": _ecp5, "ice40": _ice40, "gowin": _gowin}[family](oscillator_mhz)
    fits = [pll for pll in ways if pll.clock_mhz <= most_mhz + 1e-9]
    if not fits:
        raise VecqError(
            f"the loop of '{family}' makes no clock as slow as {most_mhz:g} MHz from"
            f" {oscillator_mhz:g} MHz"
        )
    # Of equal clocks the one that compares the most often: it jitters least.
    return max(fits, key=lambda pll: (round(pll.clock_mhz, 6), -next(iter(pll.dividers.values()))))


def _ecp5(oscillator: float) -> Iterator[Pll]:
    """Lattice FPGA-TN-02200: compares at 3.125 to 400 MHz, oscillates at 400 to 800 MHz."""
    for before in range(1, 8):
        if oscillator / before < 3.125:
            break
        for feedback in range(1, 81):
            clock = oscillator / before * feedback
            # The middle of what the oscillator may run at, for the widest margin.
            after = round(600 / clock)
            if 1 <= after <= 128 and 400 <= clock * after <= 800:
                dividers = {"CLKI_DIV": before, "CLKFB_DIV": feedback, "CLKOP_DIV": after}
                yield Pll(clock_mhz=clock, dividers=dividers)


def _ice40(oscillator: float) -> Iterator[Pll]:
    """Lattice FPGA-TN-02052: compares at 10 to 133 MHz, oscillates at 533 to 1066 MHz."""
    for before in range(16):
        compared = oscillator / (before + 1)
        if not 10 <= compared <= 133:
            continue
        ranges = (17, 26, 44, 66, 101)
        filtered = 1 + sum(compared >= bound for bound in ranges)
        for feedback in range(128):
            if not 533 <= compared * (feedback + 1) <= 1066:
                continue
            for after in range(1, 7):
                dividers = {
                    "DIVR": before,
                    "DIVF": feedback,
                    "DIVQ": after,
                    "FILTER_RANGE": filtered,
                }
                clock = compared * (feedback + 1) / 2**after
                yield Pll(clock_mhz=clock, dividers=dividers)


def _gowin(oscillator: float) -> Iterator[Pll]:
    """Gowin UG286, GW1NR-9C: compares at 3 to 400 MHz, oscillates at 400 to 1200 MHz."""
    for before in range(64):
        if not 3 <= oscillator / (before + 1) <= 400:
            continue
        for feedback in range(64):
            clock = oscillator * (feedback + 1) / (before + 1)
            if not 3.125 <= clock <= 600:
                continue
            fits = [n for n in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128) if 400 <= clock * n]
            if fits and clock * fits[0] <= 1200:
                dividers = {"IDIV_SEL": before, "FBDIV_SEL": feedback, "ODIV_SEL": fits[0]}
                yield Pll(clock_mhz=clock, dividers=dividers)
