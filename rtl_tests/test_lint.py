import re
import subprocess
from collections.abc import Callable
from functools import partial
from importlib import import_module
from itertools import count
from pathlib import Path

import pytest

from rtl_tests import harness, networks
from rtl_tests.image_networks import BUILDERS
from rtl_tests.test_networks import image_project
from tests.random_networks import random_graph, random_pair
from tests.shares import nightly, one_in
from vecq_hw import assets
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import simulation_environment
from vecq_hw.verify.rtl import TARGET as RTL
from vecq_hw.verify.rtl import emit
from vecq_hw.verify.vectors import random_vectors

BENCHES = sorted(
    path.stem
    for path in Path(__file__).parent.glob("bench_*.py")
    if "\nCASES = " in path.read_text()
)
CELLS = sorted(path.stem for path in assets.rtl().glob("*.sv"))
# Parameters that reach the other branch of each generate; the defaults reach the first.
PARAMETERS: dict[str, dict[str, int | str]] = {
    "vecq_add": {
        **{"Lanes": 2, "Signed": 1, "ElementBits": 9, "SumBits": 10, "Subtract": 1},
        **{"OperandBits": "64'h800000005", "OperandSigned": 1, "AllBits": 13},
    },
    "vecq_adder": {"PlainBits": 3, "SumBits": 12},
    "vecq_adder_tree": {"Terms": 5, "Signed": 1, "SumBits": 9},
    "vecq_argmax": {"Elements": 12, "Lanes": 3, "Signed": 1},
    "vecq_constant": {"Words": 70, "WordBits": 5},
    "vecq_base_serial": {
        **{"Words": 12, "Outputs": 6, "Pe": 2, "Simd": 10, "GroupWords": 3, "Passes": 9},
        **{"InputSigned": 1, "CoordinateSigned": 1, "AccumulatorBits": 30, "CoordinateBits": 3},
    },
    "vecq_code_book": {
        **{"Steps": 12, "Pe": 2, "Simd": 10, "WeightBits": 3, "BookWords": 8, "BookLanes": 20},
    },
    "vecq_partial_sums": {
        **{"Words": 12, "Outputs": 12, "Pe": 2, "Simd": 20, "Groups": 2, "Taps": 3},
        **{"BookWords": 8, "BookLanes": 10, "InputSigned": 1, "AccumulatorBits": 30},
    },
    "vecq_concat": {"Operands": 3, "WordBits": 5},
    "vecq_fifo": {"LanesIn": 3, "LanesOut": 2, "Capacity": 30},
    "vecq_fork": {"Outputs": 3},
    "vecq_frame_end": {"Words": 7},
    "vecq_frame_guard": {"Words": 7, "Resynchronise": 1},
    "vecq_frame_width": {"Elements": 10, "LanesIn": 3, "LanesOut": 4},
    "vecq_memory_file": {"Words": 7},
    "vecq_frame_buffer": {"Words": 6},
    "vecq_gather_sum": {
        **{"Positions": 7, "Folds": 3, "Entries": 20, "Lanes": 2, "Signed": 1, "ShiftBits": 2},
        **{"SumBits": 12},
    },
    "vecq_group_buffer": {"Taps": 9, "Blocks": 3, "BlockWords": 2, "Replays": 2},
    "vecq_lookup": {"Channels": 6, "Lanes": 2, "InputBits": 3, "OutputBits": 5, "OwnTables": 1},
    "vecq_matrix_vector": {
        **{"Inputs": 12, "Outputs": 12, "Pe": 2, "Simd": 3, "InputSigned": 1},
        **{"Groups": 3, "Taps": 2, "AccumulatorBits": 9},
        **{"WeightBits": 3, "BitSerial": 1, "QuadRows": 1, "Rows": 2, "Registers": 3},
    },
    "vecq_counter": {"Count": 5, "Start": 1, "InnerOne": 0},
    "vecq_embedding": {"Rows": 5, "Folds": 3, "IndexBits": 3},
    "vecq_gate_products": {"Outputs": 12, "InputSigned": 0, "TotalBits": 64},
    "vecq_state_product": {"Elements": 12, "Length": 3, "Pe": 6, "Simd": 3, "WeightBits": 3},
    "vecq_lstm": {
        **{"Elements": 6, "Length": 3, "Sequence": 1, "Pe": 2, "Simd": 3, "WeightBits": 3},
        **{"InputSigned": 0, "TwosComplement": 1, "TotalBits": 64, "Shift": 1},
    },
    "vecq_gru": {
        **{"Elements": 6, "Length": 3, "Sequence": 1, "Pe": 2, "Simd": 3, "WeightBits": 3},
        **{"InputSigned": 0, "TwosComplement": 1, "TotalBits": 64, "Shift": 40},
    },
    "vecq_carry_adder": {"PlainBits": 5, "SumBits": 12, "Complement": 1},
    "vecq_popcount_array": {"Pe": 2, "Simd": 41},
    "vecq_quad_row_array": {"Pe": 2, "Simd": 19, "WeightBits": 3},
    "vecq_pair_row_array": {"Pe": 2, "Simd": 19, "WeightBits": 3},
    "vecq_pair_sums": {"Simd": 19},
    "vecq_pipeline_end": {"Words": 1},
    "vecq_plane_sum": {"Planes": 3},
    "vecq_multiply": {
        **{"Lanes": 2, "LeftSigned": 1, "RightBits": 5, "ProductBits": 9, "UseDsp": 1},
        **{"Words": 3, "Positions": 9},
    },
    "vecq_pool": {
        **{"Height": 4, "Width": 4, "Folds": 3, "KernelRows": 2, "KernelColumns": 3},
        **{"PaddingTop": 1, "Lanes": 2, "Signed": 1, "Max": 0, "CarryChoice": 1},
    },
    "vecq_reorder": {
        **{"Words": 12, "Slots": 8, "Axes": 2, "Sizes": "64'h4_00000003", "Table0Axis": 1},
        **{"Moves": "96'hffffffff_00000002_00000001", "KeptMoves": "96'h9_00000003_00000000"},
        **{"ReadsOnce": 0, "MoveBits": 4, "KeptMoveBits": 3, "First": 1, "Kept": 0},
    },
    "vecq_replay_buffer": {"Words": 6, "Replays": 3},
    "vecq_rescale": {
        **{"Channels": 6, "Lanes": 2, "AccumulatorBits": 40, "Shift": 62, "UseDsp": 1},
        **{"ShiftBits": 3, "Classes": 3, "Positions": 9},
    },
    "vecq_constant_multiplier": {"FactorBits": 9, "Factor": "9'h1b3"},
    "vecq_rescale_serial": {
        **{"Channels": 12, "Lanes": 6, "Turns": 4, "InputSigned": 0, "Shift": 20, "ShiftBits": 4},
        **{"CarryChoice": 1},
    },
    "vecq_rom": {"Words": 500, "WordBits": 8, "First": 2, "Bits": 3, "Ports": 2},
    "vecq_sliding_window": {
        **{"Height": 5, "Width": 6, "Folds": 3, "KernelRows": 3, "KernelColumns": 3},
        **{"StrideRows": 2, "PaddingTop": 2, "PaddingRight": 1, "DilationColumns": 2},
        **{"CarryChoice": 1},
    },
    "vecq_stream_register": {"DataBits": 1},
    "vecq_stream_rules": {"Streams": 2, "Words": 3},
    "vecq_stream_width": {"LanesIn": 3, "LanesOut": 4},
    "vecq_table_multiplier": {"LeftBits": 3, "RightBits": 7, "CarryChoice": 1},
    "vecq_threshold": {"Channels": 6, "Lanes": 2, "CountBits": 4, "OutputBits": 4},
    "vecq_topk": {"Channels": 9, "Count": 3, "Signed": 1},
    "vecq_uart_link": {"WordsIn": 8, "BitsIn": 64, "WordsOut": 2, "BitsOut": 112},
    "vecq_uart_receive": {"ClocksPerBit": 5},
    "vecq_uart_send": {"ClocksPerBit": 1},
    "vecq_upsample": {"Width": 5, "Folds": 3, "FactorColumns": 3},
    "vecq_window_buffer": {"Height": 4, "Width": 5, "PaddingTop": 2, "StrideColumns": 2},
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
    # A memory's file has no default; linting does not look for it.
    declared = re.findall(r"parameter +(\w*File)\b", (assets.rtl() / f"{cell}.sv").read_text())
    files = dict.fromkeys(declared, '"x.mem"')
    for parameters in (files, PARAMETERS[cell] | files):
        values = [f"-G{name}={value}" for name, value in parameters.items()]
        values.append("-DVECQ_ASSERTIONS")
        assert lint(assets.rtl(), "-F", "vecq.f", "--top-module", cell, *values) == ""


def projects() -> dict[str, Callable[[], Project]]:
    """Chains of vectors, whole networks of images, random graphs."""
    chains: dict[str, Callable[[], Project]] = {
        top: partial(networks.project, index) for index, top in enumerate(networks.TOPS)
    }
    images: dict[str, Callable[[], Project]] = {
        name: partial(image_project, name, 1) for name in BUILDERS
    }
    return chains | images | {f"graph{index}": partial(graph_project, index) for index in range(6)}


def graph_project(index: int) -> Project:
    name = f"graph{index}"
    drawn = (random_pair(random_graph, name, seed) for seed in count(index, step=6))
    network, schedule = next(pair for pair in drawn if not RTL.unsupported(pair[0]))
    inputs = random_vectors(network, 1)
    return emit(network, schedule, Vectors(inputs=inputs, outputs=simulate(network, inputs)))


@pytest.mark.needs_verilator
@pytest.mark.parametrize(
    "top",
    [top if n % 3 == 0 and top != "resnet8" else nightly(top) for n, top in enumerate(projects())],
)
def test_generated_tops_lint_clean(top: str, tmp_path: Path) -> None:
    projects()[top]().write(tmp_path)
    sources = sorted(str(path) for path in (tmp_path / "rtl").glob("*.[sv][vl]*"))
    assert lint(tmp_path, "rtl/vecq.vlt", *sources, "--top-module", top) == ""


@pytest.mark.needs_verilator
@pytest.mark.parametrize("bench", BENCHES)
@one_in(12)
def test_the_cases_of_a_bench_lint_clean(bench: str, every: int, tmp_path: Path) -> None:
    """What other parameters leave unused or cut must be waived, or written otherwise."""
    cases: list[harness.Case] = import_module(f"rtl_tests.{bench}").CASES
    sources = {f"{harness.TOP}.sv": harness.top(dict(list(enumerate(cases))[::every]))}
    for case in cases[::every]:
        sources |= case.sources
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    files = ("-F", str(assets.rtl() / "vecq.f"), "-DVECQ_ASSERTIONS")
    assert lint(tmp_path, *files, *sources, "--top-module", harness.TOP) == ""


@pytest.mark.needs_verilator
def test_lint_sees_a_fault(tmp_path: Path) -> None:
    text = (assets.rtl() / "vecq_frame_end.sv").read_text()
    (tmp_path / "vecq_frame_end.sv").write_text(text.replace("CountBits'(1)", "2'd1"))
    assert "WIDTHEXPAND" in lint(tmp_path, "vecq_frame_end.sv", "-GWords=9")


def test_no_cast_has_a_sign_in_front() -> None:
    """yosys reads ``-Bits'(x)`` as a cast to ``-Bits`` bits and drops the sign."""
    sign = re.compile(r"(?:[=(?:,]|<=|\breturn)\s*-\s*\w+'\(")
    texts = {path.name: path.read_text() for path in assets.rtl().glob("*.sv")}
    assert sign.search("a ? B'(1) : -B'(1)")
    assert sign.search("q <= -B'(First);")
    assert not sign.search("q <= q - B'(1); r = a -B'(2);")
    assert [name for name, text in texts.items() if sign.search(text)] == []
