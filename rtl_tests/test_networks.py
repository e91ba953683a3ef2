import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pytest

from rtl_tests import bench_packets, harness, networks
from rtl_tests.image_networks import BUILDERS, image_network, vectors
from tests.shares import nightly, one_in
from vecq_hw.emit.project import Project, read_vectors
from vecq_hw.layers import Conv2d, Dense
from vecq_hw.verify.rtl import emit

TOP = "networks"


def wrapper(folder: Path, top: str, names: Sequence[str]) -> str:
    """A module ``top`` that holds the tops ``names``; each of their streams is a stream of it."""
    ports, body = ["input logic aclk", "input logic aresetn"], []
    for name in names:
        declared, wires = streams(folder, name, f"{name}_")
        ports += declared
        body.append(f"  {name} {name}_unit (.aclk, .aresetn, {wires});\n")
    port_list = ",\n  ".join(ports)
    return f"module {top} (\n  {port_list}\n);\n{''.join(body)}endmodule\n"


def streams(folder: Path, name: str, prefix: str) -> tuple[list[str], str]:
    """Ports for all of a top's but clock and reset, and how the top is connected with them."""
    source = (folder / "rtl" / f"{name}.sv").read_text()
    declared = re.findall(r"(input|output) +(logic .*?)([sm]_axis_\w+|frame_error),?\n", source)
    ports = [f"{direction} {kind}{prefix}{port}" for direction, kind, port in declared]
    return ports, ", ".join(f".{port}({prefix}{port})" for _, _, port in declared)


def run_projects(folder: Path, projects: Mapping[str, Project], optimized: bool = False) -> None:
    """Run the benches of all projects, by the names of their tops, in one build.

    That takes longer than a few frames; many are worth an optimized one.
    """
    for name, project in projects.items():
        project.write(folder / name)
        for part in ("rtl", "vecq_bench"):
            shutil.copytree(folder / name / part, folder / part, dirs_exist_ok=True)
    (folder / "rtl" / f"{TOP}.sv").write_text(wrapper(folder, TOP, list(projects)))
    quick = {} if optimized else harness.QUICK_BUILD
    harness.run_bench(folder, TOP, "rtl_tests.bench_networks", quick)


@pytest.mark.needs_verilator
def test_packets_of_any_length(tmp_path: Path) -> None:
    top = networks.TOPS[bench_packets.NETWORK]
    networks.project(bench_packets.NETWORK).write(tmp_path)
    ports, body = ["input logic aclk", "input logic aresetn"], ""
    for resynchronise, prefix in enumerate(bench_packets.PREFIXES):
        declared, wires = streams(tmp_path, top, prefix)
        ports += declared
        body += (
            f"  {top} #(.Resynchronise({resynchronise})) {prefix}unit (.aclk, .aresetn, {wires});\n"
        )
    port_list = ",\n  ".join(ports)
    (tmp_path / "rtl" / "packets.sv").write_text(
        f"module packets (\n  {port_list}\n);\n{body}endmodule\n"
    )
    harness.run_bench(tmp_path, "packets", "rtl_tests.bench_packets", harness.QUICK_BUILD)


@pytest.mark.needs_verilator
@one_in(6)
def test_networks(tmp_path: Path, every: int) -> None:
    projects = {name: networks.project(n) for n, name in enumerate(networks.TOPS)}
    run_projects(tmp_path, dict(list(projects.items())[:: harness.share(every)]))


@pytest.mark.needs_verilator
@pytest.mark.parametrize("names", [["grids", "text"], nightly(["resnet8", "lenet5", "depthwise"])])
def test_networks_of_images(names: list[str], tmp_path: Path) -> None:
    run_projects(tmp_path, {name: image_project(name, 5) for name in names})


@pytest.mark.needs_verilator
@pytest.mark.nightly
def test_networks_of_more_images(tmp_path: Path) -> None:
    run_projects(tmp_path, {name: image_project(name, 100) for name in BUILDERS}, optimized=True)


def image_project(name: str, count: int) -> Project:
    network, schedule = image_network(name)
    return emit(network, schedule, vectors(network, count))


@pytest.mark.parametrize("name", BUILDERS)
def test_the_networks_of_images_are_worth_comparing(name: str) -> None:
    network, _ = image_network(name)
    outputs = vectors(network, 20).outputs
    assert len(np.unique(outputs)) >= 40
    assert len(np.unique(outputs, axis=0)) >= 20
    bits = {la.weights.grid.bits for la in network.layers if isinstance(la, Conv2d | Dense)}
    assert len(bits) >= 3


@pytest.mark.parametrize("index", range(len(networks.TOPS)))
def test_the_random_networks_are_worth_comparing(index: int, tmp_path: Path) -> None:
    networks.project(index).write(tmp_path)
    outputs = read_vectors(tmp_path / "vectors" / "outputs.txt")
    assert len(np.unique(outputs)) >= 2
    assert len(np.unique(outputs, axis=0)) >= 4
