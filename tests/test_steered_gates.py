"""The rules of an LSTM over all pairs of (o, cell) and a grid of (f, cell) and (i, g)."""

from pathlib import Path

import pytest

from tests import plain, steered_gates
from vecq_hw.formats import IntArray
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import choose


def plainly(x: IntArray) -> tuple[set[tuple[int, ...]], set[tuple[int, ...]], list]:
    """What the elements meet, (o, near cell) and (f, cell, i, g), and their states."""
    outputs, cells, states = set[tuple[int, ...]](), set[tuple[int, ...]](), list[list]()
    for frame in x[:, 0].reshape(*x.shape[0:1], x.shape[2], -1, 4).tolist():
        kept, found = [0] * len(frame[0]), []
        for step in frame:
            state = []
            for element, gates in enumerate(step):
                i, f, g, o = gates
                cells.add((f, kept[element], i, g))
                kept[element], output = plain.lstm_element(gates, kept[element])
                outputs.add((o, min(max((kept[element] + 64) // 128, -128), 127)))
                state.append(output)
            found.append(state)
        states.append([found])
    return outputs, cells, states


def test_all_outputs_equal_plain_python() -> None:
    x = steered_gates.output_pairs()
    met, _, wanted = plainly(x)
    assert met >= {(o, near) for o in range(-128, 128) for near in range(-128, 128)}
    found = simulate(steered_gates.network(x.shape[2]), x)
    assert found.tolist() == wanted
    assert (found.min(), found.max()) == (-127, 127)


def test_a_grid_of_cells_equals_plain_python() -> None:
    x = steered_gates.cell_grid()
    _, met, wanted = plainly(x)
    assert met >= {
        (f, cell, i, g)
        for f in steered_gates.FORGETTING
        for cell in steered_gates.CELLS
        for i, g in steered_gates.ADDED
    }
    assert simulate(steered_gates.network(x.shape[2]), x).tolist() == wanted


@pytest.mark.nightly
@pytest.mark.needs_verilator
@pytest.mark.parametrize("frames", ["output_pairs", "cell_grid"])
def test_every_target_takes_them(frames: str, tmp_path: Path, record_property) -> None:
    x = getattr(steered_gates, frames)()
    report = verify(
        steered_gates.network(x.shape[2]),
        x,
        targets=choose(["hls", "hls-dpi", "rtl"]),
        folder=tmp_path,
        schedule=steered_gates.FOLD,
    )
    assert [row.status for row in report.rows] == [Status.PASSED] * 3, report
    record_property("integers", sum(row.outputs for row in report.rows))
    record_property("mismatches", sum(row.mismatches for row in report.rows))
