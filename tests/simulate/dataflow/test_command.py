"""``vecq cycles`` prints and draws what the dataflow model says."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner

from tests.simulate.dataflow.networks import (
    residual,
)
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.schedule import to_json
from vecq_hw.simulate.dataflow import (
    fifo_depths,
    simulate_pace,
)


def run_command(*arguments):
    result = CliRunner().invoke(vecq, ["cycles", *map(str, arguments)], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


@pytest.fixture
def stored(tmp_path):
    network, schedule = residual()
    storage.save(network, tmp_path / "residual.npz")
    (tmp_path / "schedule.json").write_text(to_json(schedule))
    return tmp_path / "residual.npz", tmp_path / "schedule.json"


def test_the_command_prints_what_the_model_says(stored, tmp_path):
    file, schedule_file = stored
    network, schedule = residual()
    depths = fifo_depths(network, schedule)
    run = simulate_pace(network, schedule, depths)
    tree = json.loads(run_command(file, "--schedule", schedule_file, "--json", "-"))
    assert tree["depths"] == depths
    assert (tree["interval"], tree["first_output"]) == (run.interval, run.first_output)
    assert tree["total_cycles"] == run.total_cycles
    assert {row["layer"]: row["busy_cycles"] for row in tree["layers"]} == run.busy
    lines = run_command(file, "--schedule", schedule_file).splitlines()
    assert lines[0].startswith(f"residual: a frame every {run.interval} cycles")
    assert ["scaled→add", str(depths["scaled→add"])] in [line.split() for line in lines]


def test_the_plot_grows_with_the_layers_and_says_what_is_wrong(stored, tmp_path, monkeypatch):
    file, schedule_file = stored
    plot = tmp_path / "timeline.png"
    run_command(file, "--schedule", schedule_file, "--plot", plot)
    assert plot.read_bytes().startswith(b"\x89PNG")
    with pytest.raises(VecqError, match=r"written as \.png"):
        run_command(file, "--plot", tmp_path / "timeline.pdf")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingToolError, match="pip install matplotlib"):
        run_command(file, "--plot", plot)
