"""What the area benchmark synthesizes: netlists of both sides give the exact integers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from benchmarks.netlist import evaluate
from benchmarks.synthesis import XCUP_AREA, synthesize
from benchmarks.unrolled_circuits import (
    U8,
    Circuit,
    codes_of,
    matrix_of,
    our_rescale,
    ours,
    peer,
    peer_rescale,
    rescale_of,
    sums_of,
    vectors,
)
from tests.shares import nightly
from vecq_hw.accelerator.unrolled import solve

MATRIX = matrix_of(3, 6, 2)
X = vectors(MATRIX)
# One place less to the right, so that six inputs reach the highest code.
POWER, MANTISSAS = (
    replace(rescale, shift=rescale.shift - 1)
    for rescale in (rescale_of(MATRIX, 1), rescale_of(MATRIX, 5))
)
CIRCUITS: dict[str, Callable[[], Circuit]] = {
    "ours, sums": lambda: ours(solve(MATRIX, (U8,) * 6, attempts=2), X, None),
    "ours, power of two": lambda: ours(solve(MATRIX, (U8,) * 6, attempts=2), X, POWER),
    "ours, rescale": lambda: our_rescale(solve(MATRIX, (U8,) * 6, attempts=2), X, MANTISSAS),
    "da4ml, mantissas": lambda: peer(MATRIX, X, MANTISSAS),
    "da4ml, rescale": lambda: peer_rescale(MATRIX, X, POWER),
}


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    "name", [nightly(name) if name == "da4ml, mantissas" else name for name in CIRCUITS]
)
def test_a_netlist_gives_the_integers(name: str) -> None:
    pytest.importorskip("pyosys")
    if name.startswith("da4ml"):
        pytest.importorskip("da4ml")
    circuit = CIRCUITS[name]()
    area = synthesize(circuit.files, "matrix", {}, XCUP_AREA)
    assert evaluate(area.netlist, circuit.words) == circuit.expected
    assert area.physical >= area.luts > 0
    assert area.levels
    assert area.path_ps


def test_the_vectors_reach_both_ends_of_the_codes() -> None:
    for rescale in (POWER, MANTISSAS):
        codes = codes_of(sums_of(MATRIX, X), rescale)
        assert (codes.min(axis=0) == 0).all()
        assert (codes.max(axis=0) == U8.hi).all()
