import json

import numpy as np
import pytest

from benchmarks import salient, salient_tables
from vecq_hw.data.blended import blended_objects


def test_table_11_shows_the_same_figures_twice():
    rows = [line for line in salient_tables.table11().splitlines() if line.startswith("|")][2:]
    assert len(rows) == 8
    for ours, paper in zip(rows[::2], rows[1::2], strict=True):
        assert ours.split("|")[2:] == paper.split("|")[2:]


def test_rows_of_table_12_that_were_not_run_say_so(tmp_path, monkeypatch):
    monkeypatch.setattr(salient_tables, "OUT", tmp_path / "salient.json")
    assert salient_tables.table12().count("not run") == 16
    low, high = (
        dict.fromkeys(("mae", "max_f", "s_measure", "adaptive_e", "max_e"), value)
        for value in (0.25, 0.75)
    )
    run = {"torch": low, "integers": high, "pixels_decided_otherwise": 7} | salient.protocol(9)
    (tmp_path / "salient.json").write_text(json.dumps({"fpn-float": run, "fpn-w2a8": run}))
    shown = salient_tables.table12()
    assert shown.count("not run") == 14
    # A row with bits shows the integer network.
    assert "| FPN | W2/A8 | 0.750 | 0.750 | 0.750 | 0.750 | 0.750 | 7 | 4 + 2 | 9 |" in shown
    assert "| FPN | float | 0.250 |" in shown


@pytest.mark.nightly
def test_a_row_is_trained_lowered_and_scored():
    random = np.random.default_rng(0)
    squares = np.ones((1, 1, 20, 20), np.float32)
    ground = random.uniform(0, 0.4, (50, 3, 32, 32)).astype(np.float32)
    data = blended_objects((squares, squares), (ground, ground), train=128, test=8)
    found = salient.measured("linknet-w4a8", salient.begun("linknet", data), data)
    assert found["integers"]["max_f"] > 0.5
    assert found["pixels_decided_otherwise"] < 0.01 * 8 * 64 * 64
