import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from rtl_tests import harness, networks
from vecq_hw.emit.project import read_vectors

TOP = "networks"


def wrapper(folder: Path, top: str, names: Sequence[str]) -> str:
    """A module ``top`` that holds the tops ``names``; each of their streams is a stream of it."""
    ports, body = ["input logic aclk", "input logic aresetn"], []
    for name in names:
        source = (folder / "rtl" / f"{name}.sv").read_text()
        declared = re.findall(r"(input|output) +(logic .*?)([sm]_axis_\w+)", source)
        ports += [f"{direction} {kind}{name}_{port}" for direction, kind, port in declared]
        wires = ", ".join(f".{port}({name}_{port})" for _, _, port in declared)
        body.append(f"  {name} {name}_unit (.aclk, .aresetn, {wires});\n")
    port_list = ",\n  ".join(ports)
    return f"module {top} (\n  {port_list}\n);\n{''.join(body)}endmodule\n"


@pytest.mark.needs_verilator
def test_networks(tmp_path: Path) -> None:
    for index, name in enumerate(networks.TOPS):
        networks.project(index).write(tmp_path / name)
        shutil.copytree(tmp_path / name / "rtl", tmp_path / "rtl", dirs_exist_ok=True)
    (tmp_path / "rtl" / f"{TOP}.sv").write_text(wrapper(tmp_path, TOP, networks.TOPS))
    harness.run_bench(tmp_path, TOP, "rtl_tests.bench_networks")


@pytest.mark.parametrize("index", range(len(networks.TOPS)))
def test_the_random_networks_are_worth_comparing(index: int, tmp_path: Path) -> None:
    networks.project(index).write(tmp_path)
    outputs = read_vectors(tmp_path / "vectors" / "outputs.txt")
    assert len(np.unique(outputs)) >= 2
    assert len(np.unique(outputs, axis=0)) >= 4
