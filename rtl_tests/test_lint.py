import subprocess
from pathlib import Path

import pytest

from rtl_tests import bench_unrolled, networks
from vecq_hw import assets
from vecq_hw.toolchain import simulation_environment

CELLS = sorted(path.stem for path in assets.rtl().glob("*.sv"))
# Parameters that reach the other branch of each generate; the defaults reach the first.
PARAMETERS: dict[str, dict[str, int]] = {
    "vecq_adder": {"PlainBits": 3, "SumBits": 12},
    "vecq_adder_tree": {"Terms": 5, "Signed": 1, "SumBits": 9},
    "vecq_frame_end": {"Words": 7},
    "vecq_matrix_vector": {"Inputs": 12, "Outputs": 6, "Pe": 2, "Simd": 3, "InputSigned": 1},
    "vecq_replay_buffer": {"Words": 6, "Replays": 3},
    "vecq_rescale": {"Channels": 6, "Lanes": 2, "AccumulatorBits": 40, "Shift": 62},
    "vecq_rom": {"Words": 5},
    "vecq_stream_register": {"DataBits": 1},
    "vecq_stream_width": {"LanesIn": 3, "LanesOut": 4},
}


def lint(folder: Path, *arguments: str) -> str:
    """The messages of ``verilator --lint-only -Wall``."""
    done = subprocess.run(
        ["verilator", "--lint-only", "-Wall", "--quiet", *arguments],
        cwd=folder,
        env=simulation_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_file_list_names_every_cell_and_the_waivers() -> None:
    listed = (assets.rtl() / "vecq.f").read_text().split()
    assert sorted(listed) == sorted([*(f"{cell}.sv" for cell in CELLS), "vecq.vlt"])


@pytest.mark.needs_verilator
@pytest.mark.parametrize("cell", CELLS)
def test_cells_lint_clean(cell: str) -> None:
    for parameters in ({}, PARAMETERS[cell]):
        values = [f"-G{name}={value}" for name, value in parameters.items()]
        assert lint(assets.rtl(), "-F", "vecq.f", "--top-module", cell, *values) == ""


@pytest.mark.needs_verilator
@pytest.mark.parametrize("index", range(len(networks.TOPS)))
def test_generated_tops_lint_clean(index: int, tmp_path: Path) -> None:
    top = networks.TOPS[index]
    networks.project(index).write(tmp_path)
    sources = sorted(str(path) for path in (tmp_path / "rtl").glob("*.[sv][vl]*"))
    assert lint(tmp_path, "rtl/vecq.vlt", *sources, "--top-module", top) == ""


@pytest.mark.needs_verilator
@pytest.mark.parametrize("index", [1, 8, 16, 20, 26])
# A channel whose mantissa is 0 leaves its sum unread; the cases here have none that is constant.
def test_unrolled_layers_lint_clean(index: int, tmp_path: Path) -> None:
    case = bench_unrolled.CASES[index]
    for name, text in case.sources.items():
        (tmp_path / name).write_text(text)
    cells = (str(assets.rtl() / name) for name in ("vecq.vlt", "vecq_adder.sv"))
    assert lint(tmp_path, *cells, *case.sources, "--top-module", case.module) == ""


@pytest.mark.needs_verilator
def test_lint_sees_a_fault(tmp_path: Path) -> None:
    text = (assets.rtl() / "vecq_frame_end.sv").read_text()
    (tmp_path / "vecq_frame_end.sv").write_text(text.replace("CountBits'(1)", "2'd1"))
    assert "WIDTHEXPAND" in lint(tmp_path, "vecq_frame_end.sv", "-GWords=9")
