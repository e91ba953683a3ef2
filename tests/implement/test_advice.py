"""What an implementation says of choices that cost too much."""

from __future__ import annotations

from benchmarks import networks
from vecq_hw.accelerator.dsps import with_dsps
from vecq_hw.devices import Device, device
from vecq_hw.implement.advice import advice
from vecq_hw.implement.report import Report
from vecq_hw.netlist.counts import Counts
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule

NOTHING = Counts(
    luts=0,
    shift_registers=0,
    carries=0,
    carry_positions=0,
    flip_flops=0,
    block_rams=0,
    dsps=0,
)


def said(network: Network, schedule: Schedule, on: Device) -> list[str]:
    """The advice of an implementation that fits."""
    report = Report(
        name=network.name,
        digest="",
        device=on,
        clock_mhz=12.0,
        layers={},
        total=NOTHING,
        cycles=1.0,
        latency_cycles=1,
        timings={},
    )
    return advice(network, schedule, report)


def test_multipliers_of_more_than_half_of_the_tables_are_told() -> None:
    network = networks.digits_mlp()
    schedule = default_schedule(network, 8)
    (sentence,) = said(network, schedule, device("ice40-hx8k"))
    assert sentence.startswith("the multipliers of 'fc1_rescale' and 'fc2_rescale' in look-up")
    assert said(network, with_dsps(network, schedule), device("ecp5-85k")) == []


def test_a_kind_and_lanes_of_more_than_half_of_the_tables_are_told() -> None:
    network = networks.digits_mlp()
    folds = default_schedule(network, 1).folds
    unrolled = Fold(pe=64, simd=64, kind=FoldKind.UNROLLED)
    for fold, advised in ((unrolled, "streaming"), (Fold(pe=64, simd=64), "fewer lanes")):
        schedule = Schedule(folds={**folds, "fc1": fold})
        sentences = said(network, schedule, device("ice40-hx8k"))
        assert any(s.startswith("layer 'fc1' with") and advised in s for s in sentences)
