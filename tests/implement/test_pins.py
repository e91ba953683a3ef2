"""The top of a few pins around networks of any ends."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.emit.systemverilog_networks import U8, dense, mlp
from tests.random_networks import random_graph, random_pair
from vecq_hw.devices import device
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.implement import flow
from vecq_hw.implement.pins import NAME
from vecq_hw.layers import Add, Input
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, default_schedule
from vecq_hw.simulate.dataflow import with_fifo_depths
from vecq_hw.toolchain import simulation_environment


def two_ends() -> Network:
    """Two inputs, two outputs."""
    layers = (
        Add(name="sum", inputs=("a", "b")),
        dense("fc", "sum"),
        dense("other", "b"),
    )
    entries = tuple(Input(name=name, shape=(4,), format=U8) for name in "ab")
    return Network(name="two", inputs=entries, layers=layers, outputs=("fc", "other"))


def wide(seed: int) -> tuple[Network, Schedule]:
    return random_pair(random_graph, "graph", seed)


@pytest.mark.needs_verilator
@pytest.mark.parametrize(
    ("network", "schedule"), [(two_ends(), default_schedule(two_ends())), wide(5)]
)
def test_ports_fit_those_of_any_top(network: Network, schedule: Schedule, tmp_path: Path) -> None:
    schedule = with_fifo_depths(network, schedule)
    project = flow.emitted(network, schedule)
    with Folder(tmp_path / "out") as folder:
        project.write_into(folder)
        source = flow._source(network, schedule, project, folder)
    for name, text in source.files.items():
        (tmp_path / name).write_text(text)
    sources = sorted(name for name in source.files if name.endswith(".sv"))
    command = ["verilator", "--lint-only", "-Wall", "-Wno-fatal", "--quiet", "--top-module", NAME]
    done = subprocess.run(
        [*command, *sources],
        cwd=tmp_path,
        env=simulation_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert not done.returncode, done.stderr
    said = re.findall(r"%Warning-(\w+): vecq_pins", done.stderr)
    assert set(said) <= {"PINCONNECTEMPTY"}, done.stderr


def test_a_network_with_the_name_of_what_is_around_it_is_refused(tmp_path: Path) -> None:
    network = mlp(NAME)
    with (
        Folder(tmp_path) as folder,
        pytest.raises(VecqError, match="a network called 'vecq_pins' has the name of the module"),
    ):
        flow.implement(network, default_schedule(network), device("ecp5-25k"), folder, seeds=1)
