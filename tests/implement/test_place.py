"""Routing that would never end is noticed."""

from __future__ import annotations

import json

import pytest

from vecq_hw.devices import device
from vecq_hw.implement import place
from vecq_hw.implement.place import CircleError, Circles
from vecq_hw.implement.stages import LOG
from vecq_hw.netlist import yosys
from vecq_hw.netlist.families import FAMILIES

COUNTER = """
module top (input logic clk, output logic [15:0] count);
  always_ff @(posedge clk) count <= count + 3;
endmodule
"""


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


@pytest.mark.needs_nextpnr
def test_the_second_router_takes_the_place_of_one_in_circles(monkeypatch) -> None:
    class Impatient(Circles):
        def __call__(self, line: str) -> None:
            super().__call__(line)
            if self.free >= 0:
                raise CircleError

    made = yosys.synthesize({"top.sv": COUNTER}, "top", FAMILIES["ice40"], pads=True)
    design, target = made.netlist.to_json().encode(), device("ice40-hx1k")
    first = place.place_and_route(design, target, clock_mhz=100, seed=1, pins="")
    monkeypatch.setattr(place, "Circles", Impatient)
    second = place.place_and_route(design, target, clock_mhz=100, seed=1, pins="")
    assert b"round in circles" not in first[LOG]
    assert b"round in circles" in second[LOG]
    assert b"Running router2" in second[LOG]
    for found in (first, second):
        assert json.loads(found[place.REPORT])["fmax"]
        assert len(found[place.CONFIG]) > 1000
