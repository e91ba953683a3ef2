"""The generated C++ as hardware runs it: every process a thread, every stream of its stated depth.

C simulation calls one process after the other on streams without bound, so that it cannot stop.
"""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.hls_networks import Builder, Case, drawn_case
from tests.hls_programs import bench_call
from tests.random_networks import random_ends, random_graph, random_pair
from tests.shares import nightly
from vecq_hw.accelerator import untimed
from vecq_hw.accelerator.untimed import LEAST_DEPTH
from vecq_hw.emit import hls
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Add, Concat, Constant, Conv2d, Input, Layer, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, default_schedule
from vecq_hw.simulate.dataflow import fifo_depths
from vecq_hw.toolchain import AP_TYPES

pytestmark = pytest.mark.needs_cxx

BOUNDED = Path(__file__).parents[1] / "hls" / "bounded"
ALL_EQUAL, ALL_WAIT = 0, 3


Depths = Callable[[str, int], int]
"""The depth of a stream, from its name and the depth that is stated."""


def stated(_name: str, depth: int) -> int:
    return depth


def as_threads(text: str, depths: Depths = stated) -> str:
    """Each process of a dataflow region runs on its own; each stream of the region is bounded.

    A fork writes to all of its streams in one cycle, so that it waits until all have room.
    """
    text = text.replace(
        "(outs.write(x), ...);", "(outs.wait_for_room(), ...);\n(outs.write(x), ...);"
    )
    text = re.sub(
        r"variable = (\w+) depth = (\d+)",
        lambda found: f"variable = {found[1]} depth = {depths(found[1], int(found[2]))}",
        text,
    )

    def region(found: re.Match[str]) -> str:
        body = found[1]
        for pattern, replacement in (
            (r"((?:vecq::)?Stream<[^;]*> (\w+)\([^;]*;)", r"\1 \2.bound(2);"),
            (r"#pragma HLS STREAM variable = (\w+) depth = (\d+)", r"\1.bound(\2);"),
            (r"((?:vecq::)?\w+<[^;]*>\([^;]*\));", r"region.run([&] { \1; });"),
        ):
            body, count = re.subn(f"^ *{pattern}", f"  {replacement}", body, flags=re.MULTILINE)
        assert count >= 2
        return f"  bounded::Region region;\n{body}\n  region.join();\n}}\n"

    return re.sub(r"#pragma HLS DATAFLOW\n(.*?)\n}\n", region, text, flags=re.DOTALL)


def run(cases: list[Case], folder: Path, depths: Depths = stated) -> int:
    """The exit status of a program of all cases."""
    lines, calls = ['#include "vecq/testbench.hpp"'], []
    for index, case in enumerate(cases):
        files = dict(hls.emit(case.network, case.schedule, case.vectors).files)
        for name, text in files.items():
            if name.endswith("pp") and "#pragma HLS DATAFLOW\n" in text:
                files[name] = as_threads(text, depths)
            (folder / str(index) / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / str(index) / name).write_text(files[name])
        source = next(name for name in files if re.fullmatch(r"src/.*\.cpp", name))
        top = Path(source).stem
        lines.append(f'#include "{index}/{source}"')
        calls.append(
            f"  if (const int result = {bench_call(folder / str(index), top)}) return result;"
        )
    (folder / "all.cpp").write_text("\n".join([*lines, "int main() {", *calls, "}"]))
    subprocess.run(
        [
            *("g++", "-std=c++17", "-O0", "-pthread", "-Wno-unknown-pragmas", "-I", str(BOUNDED)),
            *("-I", "0/include", "-isystem", str(AP_TYPES.find()), "all.cpp", "-o", "all"),
        ],
        cwd=folder,
        check=True,
    )
    return subprocess.run(["./all"], cwd=folder, timeout=300, capture_output=True).returncode


def residual(name: str, lanes: int = 4) -> Builder:
    """Two convolutions beside nothing, then beside one of stride 2 that leaves a row over."""
    fold = Fold(pe=lanes, simd=lanes)
    same = {"padding": (1, 1), "fold": fold}
    u8 = IntFormat(8, signed=False)
    block = Builder(name, (9, 8, 4)).conv(4, 2, (3, 3), **same).rescale()
    block.conv(4, 2, (3, 3), **same).rescale(u8).add(-1).rescale(u8)
    entry = len(block.layers) - 1
    block.conv(8, 2, (3, 3), (2, 2), padding=(1, 1), fold=Fold(pe=lanes, simd=lanes)).rescale(u8)
    block.conv(8, 2, (3, 3), **same).rescale(u8)
    branch = len(block.layers) - 1
    block.branch(entry).conv(8, 1, (1, 1), (2, 2), fold=Fold(pe=2, simd=1)).rescale(u8)
    return block.add(branch).flatten().dense(3, 2)


@pytest.mark.parametrize("lanes", [4, nightly(1)])
def test_streams_are_deep_enough_and_no_deeper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lanes: int
) -> None:
    cases = [residual("net", lanes).case(4)]
    assert run(cases, tmp_path / "stated") == ALL_EQUAL
    # Without pipelines, as threads run, nothing is to spare.
    monkeypatch.setattr(untimed, "PIPELINE_DEPTH", 0)
    assert run(cases, tmp_path / "least") == ALL_EQUAL

    def one_less(name: str, depth: int) -> int:
        return depth - (name == "net_x_fork1")

    assert run(cases, tmp_path / "less", one_less) == ALL_WAIT


@pytest.mark.nightly
def test_this_cxx_needs_more_than_the_clocked_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its windows begin with whole rows: what the simulator of cycles finds is too short here."""
    monkeypatch.setattr(untimed, "PIPELINE_DEPTH", 0)
    case = residual("four").case(4)
    found = fifo_depths(case.network, case.schedule)["four_x→four_4"]

    def of_cells(name: str, depth: int) -> int:
        assert name != "four_x_fork1" or LEAST_DEPTH < found < depth
        return found if name == "four_x_fork1" else depth

    assert run([case], tmp_path, of_cells) == ALL_WAIT


def crossed() -> Network:
    """Two inputs that meet twice, each time the other one behind rows of a window."""
    u4 = IntFormat(4, signed=False)
    image = {"shape": (6, 6, 2), "format": u4}
    inputs = tuple(Input(name=f"crossed_{name}", **image) for name in ("a", "b"))
    layers: list[Layer] = []
    for straight, behind in (("a", "b"), ("b", "a")):
        codes = np.random.default_rng(0).integers(-2, 2, (2, 3, 3, 2))
        name = f"crossed_conv_{behind}"
        weights = Weights(codes=codes, grid=MidRise(2))
        ones = np.ones(2, np.int64)
        layers += [
            Conv2d(name=name, input=f"crossed_{behind}", weights=weights, padding=(1, 1)),
            Rescale(
                name=f"{name}_r", input=name, mantissa=ones, offset=8 * ones, shift=2, format=u4
            ),
            Add(name=f"crossed_{straight}_sum", inputs=(f"crossed_{straight}", f"{name}_r")),
        ]
    outputs = "crossed_a_sum", "crossed_b_sum"
    return Network(name="crossed", inputs=inputs, layers=tuple(layers), outputs=outputs)


def test_branches_that_leave_by_several_outputs_are_deep_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untimed, "PIPELINE_DEPTH", 0)
    network = crossed()
    cases = [drawn_case(network, default_schedule(network), 4)]
    assert run(cases, tmp_path / "least") == ALL_EQUAL

    def least(name: str, depth: int) -> int:
        return LEAST_DEPTH if "fork" in name else depth

    assert run(cases, tmp_path / "less", least) == ALL_WAIT


def led_by_constants() -> Network:
    """Constants that come first, in sums, and in what is an output itself."""
    u4 = IntFormat(4, signed=False)
    constants = [
        Constant(name=f"led_{n}", values=np.arange(12 * c).reshape(3, 4, c) % 16, format=u4)
        for n, c in enumerate((3, 2))
    ]
    return Network(
        name="led",
        inputs=(Input(name="led_x", shape=(3, 4, 2), format=u4),),
        layers=(
            *constants,
            Add(name="led_sum", inputs=("led_1", "led_x")),
            Concat(name="led_first", inputs=("led_0", "led_x", "led_0")),
        ),
        outputs=("led_sum", "led_first"),
    )


def test_constants_that_come_early_wait_in_their_streams(tmp_path: Path) -> None:
    """They read nothing and run ahead of their frame as far as their streams have room."""
    network = led_by_constants()
    cases = [drawn_case(network, default_schedule(network), 4)]
    assert run(cases, tmp_path, lambda *_: LEAST_DEPTH) == ALL_EQUAL


def branched() -> Iterator[Case]:
    """Graphs whose branches meet again, and networks of several ends, by their seeds."""
    seeds = itertools.count()
    graphs = (random_pair(random_graph, f"g{seed}", seed) for seed in seeds)
    joined = (p for p in graphs if any(isinstance(la, Add | Concat) for la in p[0].layers))
    ends = (random_pair(random_ends, f"e{seed}", seed) for seed in range(4))
    for network, schedule in (*itertools.islice(joined, 7), *ends):
        yield drawn_case(network, schedule, 4)


def test_no_branch_of_a_random_graph_waits_for_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(untimed, "PIPELINE_DEPTH", 0)
    assert run([*branched()], tmp_path) == ALL_EQUAL
