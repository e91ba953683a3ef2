"""Digits as serial bits through the link and the network of a board."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from rtl_tests import bench_board
from rtl_tests.harness import run_bench
from tests.emit.systemverilog_networks import mlp, vectors
from vecq_hw.bench.ports import load_ends
from vecq_hw.cli import vecq
from vecq_hw.emit.project import Project
from vecq_hw.implement.boards.flow import LINK, link_files
from vecq_hw.schedule import default_schedule
from vecq_hw.verify.rtl import emit


def through_line(folder: Path, project: Project, count: int) -> None:
    """Run the bench of a board on the first vectors of a project."""
    project.write(folder / "project")
    (source,), (target,) = load_ends(folder / "project" / "manifest.json")
    (folder / "rtl").mkdir()
    for name, text in link_files(project, source.port, target.port).items():
        (folder / "rtl" / name).write_text(text)
    clocks = f"parameter int ClocksPerBit = {bench_board.CLOCKS_PER_BIT}"
    assert clocks in (folder / "rtl" / f"{LINK}.sv").read_text()
    more = {bench_board.PROJECT: str(folder / "project"), bench_board.COUNT: str(count)}
    run_bench(folder, LINK, "rtl_tests.bench_board", more)


@pytest.mark.needs_verilator
def test_a_small_network_through_the_line(tmp_path: Path) -> None:
    network = mlp()
    through_line(tmp_path, emit(network, default_schedule(network), vectors(network)), 40)


@pytest.mark.nightly
@pytest.mark.needs_verilator
def test_all_digits_through_the_line(tmp_path: Path) -> None:
    def run(*arguments: object) -> None:
        done = CliRunner().invoke(vecq, [*map(str, arguments)], standalone_mode=False)
        assert done.exception is None, done.output

    trained, network, written = (tmp_path / name for name in ("trained", "mlp.npz", "written"))
    run("train", "--preset", "mlp-digits", "--epochs", 2, "--threads", 1, "--out", trained)
    run("lower", trained / "checkpoint.pt", "--out", network)
    run("emit", "rtl", network, "--data", "digits", "--out", written)
    names = [path for path in written.rglob("*") if path.is_file() and ".vecq" not in path.parts]
    project = Project({str(p.relative_to(written)): p.read_text() for p in names})
    assert len(project.files["vectors/inputs.txt"].splitlines()) >= 602
    through_line(tmp_path, project, 602)
