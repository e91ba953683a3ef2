"""Routing that would never end is noticed."""

from __future__ import annotations

import pytest

from vecq_hw.implement.place import CircleError, Circles


def line(arcs: int, free: int) -> str:
    """What nextpnr says after so many arcs."""
    counts = f"{arcs:10d} | {arcs - free:8d} {free:10d} | 1000     0 |"
    return f"Info: {counts}      8346|       0.09       1.11|"


def test_arcs_that_displace_each_other_for_ever_end_the_routing() -> None:
    see = Circles()
    for arcs in range(1000, 52000, 1000):
        see(line(arcs, min(arcs - 46, 1028)))
    with pytest.raises(CircleError):
        see(line(52000, 1028))


def test_a_routing_that_goes_on_is_not_ended() -> None:
    see = Circles()
    for arcs in range(1000, 400_000, 1000):
        see(line(arcs, 1000 + arcs // 40_000))
    see("Info: Routing 30382 arcs.")
    assert see.free == 1009
