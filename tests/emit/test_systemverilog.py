from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks import networks
from tests.emit.systemverilog_networks import (
    CODES,
    U8,
    dense,
    files,
    mlp,
    network_of,
    rescale,
    schedule,
    vectors,
)
from tests.random_networks import random_graph, random_pair
from vecq_hw import assets
from vecq_hw.accelerator.cells import Join, Source
from vecq_hw.accelerator.memories.pair_rows import weight_steps
from vecq_hw.accelerator.plan import plan
from vecq_hw.accelerator.streams import Fork, Link
from vecq_hw.emit.project import Vectors
from vecq_hw.emit.systemverilog import unsupported
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.emit.systemverilog.top_module import top_module
from vecq_hw.emit.words import pack, unpack
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, MidRise
from vecq_hw.layers import Add, ArgMax, Conv2d, Input, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fabric, Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import fifo_depths
from vecq_hw.storage import digest
from vecq_hw.toolchain import make_word, simulation_environment
from vecq_hw.verify.rtl import emit


def test_words_hold_element_0_in_the_least_significant_bits() -> None:
    assert pack([1, 2, -1], 3) == 0b111_010_001
    assert unpack(0b111_010_001, 3, 3, signed=True) == [1, 2, -1]
    assert unpack(0b111_010_001, 3, 3, signed=False) == [1, 2, 7]
    assert unpack(0b10, 2, 1, signed=True) == [0, -1]


def test_emission_is_deterministic() -> None:
    assert files(mlp()) == files(mlp())


def test_every_generated_file_names_tool_version_and_digest() -> None:
    network = mlp()
    for name, content in files(network).items():
        if re.match(r"vectors/|rtl/vecq|vecq_bench/", name):
            continue
        whole = name == "manifest.json" or name.endswith(".core")  # whose first line is fixed
        head = content if whole else content.splitlines()[0]
        assert "vecq-hw" in head, name
        assert digest(network) in head, name


def test_the_manifest_lists_the_files() -> None:
    project = files(mlp())
    manifest = json.loads(project["manifest.json"])
    assert manifest["files"] == sorted(project)
    assert manifest["network"] == digest(mlp())
    assert "rtl/vecq_stream_width.sv" in project
    assert "rtl/vecq_rescale.sv" in project


def test_memories_hold_the_numbers_of_the_network() -> None:
    project = files(mlp())
    lines = project["rtl/fc1_weights.mem"].splitlines()[1:]
    # A line a step: two inputs of each of the three outputs.
    codes = [unpack(int(line, 16), 6, 2, signed=False) for line in lines]
    np.testing.assert_array_equal(codes, weight_steps(CODES, 2, Fold(pe=3, simd=2)))
    (mantissas,) = project["rtl/act1_mantissa.mem"].splitlines()[1:]
    assert unpack(int(mantissas, 16), 3, 8, signed=True) == [90, 97, 104]


def test_an_unrolled_layer_takes_its_rescale_and_a_module_of_its_own() -> None:
    network = mlp("fc1_unrolled")
    folds = {**schedule(network).folds, "fc1": Fold(pe=3, simd=4, kind=FoldKind.UNROLLED)}
    project = emit(network, Schedule(folds=folds), vectors(network)).files
    assert "| fc1 | Dense | 3 | 3 × 4, unrolled | 1 |" in project["README.md"]
    assert "act1_mantissa" not in "".join(project)
    assert "module fc1_unrolled (" in project["rtl/fc1_unrolled.sv"]
    assert "  fc1_unrolled act1_unit (" in project["rtl/fc1_unrolled_2.sv"]  # the top


def test_a_bit_serial_fold_and_the_fabric_choose_circuits_of_the_unit() -> None:
    network = mlp()
    folds = {**schedule(network).folds, "fc1": Fold(pe=3, simd=2, kind=FoldKind.BIT_SERIAL)}
    plain = files(network)
    for fabric, quads in ((Fabric.LUT6, 0), (Fabric.LUT4, 0), (Fabric.ECP5, 2)):
        project = emit(network, Schedule(folds=folds, fabric=fabric), vectors(network)).files
        top = project["rtl/mlp.sv"]
        assert "| fc1 | Dense | 3 | 3 × 2, bit-serial | 4 |" in project["README.md"]
        assert (top.count(".BitSerial(1'b1)"), top.count(".QuadRows(1'b1)")) == (1, quads)
        # Two passes of two steps, of one bit a lane.
        assert [len(line) for line in project["rtl/fc1_weights.mem"].splitlines()[1:]] == [2] * 4
    assert "3 × 2 | 2 |" in plain["README.md"]
    assert "BitSerial(1'b1)" not in plain["rtl/mlp.sv"]


def test_a_dsp_is_used_only_where_the_schedule_asks_for_one() -> None:
    network = mlp()
    folds = {**schedule(network).folds, "fc1": Fold(pe=3, simd=2, dsp=True)}
    project = emit(network, Schedule(folds=folds), vectors(network)).files
    top = project["rtl/mlp.sv"]
    assert top.count(".UseDsp(1'b1)") == 1
    assert ".UseDsp(1'b1)" in top[: top.index("act1_unit (")].rpartition("vecq_rescale #(")[2]
    assert "UseDsp(1'b1)" not in files(network)["rtl/mlp.sv"]


def test_lanes_whose_mantissas_are_all_the_same_are_told() -> None:
    """The three outputs of a layer are one word of three lanes, or three words of one."""
    network = mlp()
    for lanes, constant in ((3, "3'b111"), (1, None)):
        folds = {**schedule(network).folds, "fc1": Fold(pe=lanes, simd=2)}
        for fabric in Fabric:
            given = Schedule(folds=folds, fabric=fabric)
            top = emit(network, given, vectors(network)).files["rtl/mlp.sv"]
            cell = top[: top.index("act1_unit (")].rpartition("vecq_rescale #(")[2]
            assert (f".Constant({constant})" in cell) == (constant is not None)
            assert (".CarryChoice(1)" in cell) == (fabric is Fabric.ECP5 and constant is None)


def test_a_serial_rescale_is_written_for_the_carry_cells_of_the_fabric() -> None:
    network = networks.digits_mlp()
    told = {Fabric.LUT6: "", Fabric.LUT4: "Ready(1'b1)", Fabric.ECP5: "CarryChoice(1)"}
    for fabric, wanted in told.items():
        given = replace(default_schedule(network, 2), fabric=fabric)
        top = emit(network, given, vectors(network)).files["rtl/digits_mlp.sv"]
        cell = top[: top.index("fc1_rescale_unit (")].rpartition("vecq_rescale_serial #(")[2]
        found = {what for what in told.values() if what and what in cell}
        assert found == {wanted} - {""}, fabric


def test_several_ends_have_a_stream_each() -> None:
    network = Network(
        name="two",
        inputs=tuple(Input(name=name, shape=(3,), format=U8) for name in ("a b", "in")),
        layers=(Add(name="sum", inputs=("a b", "in")), ArgMax(name="a-b", input="sum")),
        outputs=("sum", "a-b", "in"),
    )
    x = {name: np.ones((2, 3), np.int64) for name in ("in", "a b")}
    given = Vectors(inputs=x, outputs=simulate(network, x))
    for axis_bits in (None, 32):
        made = emit(network, Schedule(axis_bits=axis_bits), given).files
        top, wrapper = str(made["rtl/two.sv"]), str(made["rtl/two_wrapper.v"])
        names = ["s_axis_a_b", "s_axis_in", "m_axis_sum", "m_axis_a_b", "m_axis_in"]
        for name in names:
            assert top.count(f" {name}_tvalid{',' if name else ''}\n") == 1
            assert f".{name}_tvalid({name}_tvalid)" in wrapper
            assert f"associate_bus_interfaces -busif {name} " in str(made["vivado/package_ip.tcl"])
            assert f"| `{name}_tvalid`" in str(made["README.md"])
        assert f"ASSOCIATED_BUSIF {':'.join(names)}," in wrapper
        assert "assign frame_error = s_axis_a_b_error | s_axis_in_error;" in top
        tree = json.loads(made["manifest.json"])
        assert "input" not in tree
        assert "output" not in tree
        ends = [*tree["inputs"], *tree["outputs"]]
        assert [end["stream"] for end in ends] == names
        files = ["inputs_a_b", "inputs_in", "outputs_sum", "outputs_a_b", "outputs_in"]
        assert [end["vectors"] for end in ends] == [f"{file}.txt" for file in files]
        assert {f"vectors/{file}.txt" for file in files} <= set(made)


def test_weights_of_other_grids_are_stored_as_values_or_odd_ones_as_half_of_them() -> None:
    codes = np.array([[0, 1, 2, 3], [3, 3, 1, 0]])
    for levels, values, bits in (((0, 9, -5, 0), True, 5), ((-3, 1, 5, 7), False, 3)):
        weights = Weights(codes=codes, grid=CodeBook(levels))
        network = network_of(replace(dense("fc", "x"), weights=weights))
        folds = Schedule(folds={"fc": Fold(pe=2, simd=2)})
        project = emit(network, folds, vectors(network)).files
        assert f".TwosComplement(1'b{int(values)})" in project["rtl/net.sv"]
        assert f".WeightBits({bits})" in project["rtl/net.sv"]
        lines = project["rtl/fc_weights.mem"].splitlines()[1:]
        # A line a step: lane 0 of both outputs, then lane 1.
        stored = np.array([unpack(int(line, 16), 4, bits, signed=values) for line in lines])
        if values:
            wanted = np.array(levels)[codes].reshape(2, 2, 2).transpose(1, 2, 0).reshape(2, 4)
        else:
            wanted = weight_steps((np.array(levels)[codes] - 1) // 2, bits, Fold(pe=2, simd=2))
        np.testing.assert_array_equal(stored, wanted)


def test_windows_beside_the_image_are_unsupported() -> None:
    weights = Weights(codes=np.zeros((2, 1, 1, 1), int), grid=MidRise(1))
    beside = Conv2d(name="conv", input="x", weights=weights, stride=(9, 9), padding=(2, 2))
    assert unsupported(network_of(beside, shape=(4, 4, 1))) == (
        "layer 'conv' (no window of it reaches the image)"
    )
    inside = replace(beside, padding=(0, 0))
    assert unsupported(network_of(inside, shape=(4, 4, 1))) is None


@pytest.mark.parametrize("index", range(30))
def test_what_is_emitted_is_what_is_timed(index: int) -> None:
    """An instance for each cell of the plan, as wide as it says; FIFOs hold the depths."""
    network, folds = random_pair(random_graph, f"graph{index}", index)
    planned, depths = plan(network, folds), fifo_depths(network, folds)
    made = top_module(planned, depths)
    cells = planned.cells
    for cell, instance in zip(cells, made.instances, strict=True):
        match cell:
            case Join():
                sources = cell.sources
            case Source():
                sources = []
            case _:
                sources = [cell.source]
        ends = sources, cell.targets if isinstance(cell, Fork) else [cell.target]
        for planned_streams, streams in zip(
            ends, (instance.sources, instance.targets), strict=True
        ):
            assert [(s.lanes, s.words) for s in planned_streams] == [
                (s.lanes, s.words) for s in streams
            ]
        if isinstance(cell, Link):
            (source,), (target,) = instance.sources, instance.targets
            room = cell.capacity(depths[cell.name]) * source.lanes // cell.groups[0]
            capacity = dict(instance.parameters).get("Capacity")
            assert capacity == (room if room > cell.base * source.lanes // cell.groups[0] else None)
            assert capacity is None or capacity >= source.lanes + target.lanes
    names = [stream.name for stream in made.streams]
    assert len(set(names)) == len(names)


def test_what_the_output_does_not_depend_on_is_not_built() -> None:
    inputs = (Input(name="x", shape=(4,), format=U8),)
    kept = dense("c", "x")
    unread = (dense("a", "x"), rescale("b", "a", 3), kept)
    folds = {"a": Fold(pe=3, simd=4), "c": Fold(pe=1, simd=2)}
    schedule = Schedule(folds=folds)
    network = Network(name="n", inputs=inputs, layers=unread, outputs=("c",))
    alone = Network(name="n", inputs=inputs, layers=(kept,), outputs=("c",))
    files = emit(network, schedule, vectors(network)).files
    without = emit(alone, Schedule(folds={"c": folds["c"]}), vectors(alone)).files
    lines = files["rtl/n.sv"].splitlines()
    assert lines[1:] == without["rtl/n.sv"].splitlines()[1:]  # the first names the network
    assert files.keys() == without.keys()


def test_lanes_across_parts_of_groups_are_refused() -> None:
    weights = Weights(codes=np.zeros((6, 1, 1, 2), int), grid=MidRise(1))
    network = Network(
        name="grouped",
        inputs=(Input(name="x", shape=(2, 2, 4), format=U8),),
        layers=(Conv2d(name="conv", input="x", weights=weights, groups=2),),
        outputs=("conv",),
    )
    inputs = np.zeros((1, 2, 2, 4), int)
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
    emit(network, Schedule(folds={"conv": Fold(pe=6, simd=2)}), vectors)
    for pe, simd in ((2, 1), (6, 1)):
        with pytest.raises(VecqError, match="2 groups do not fold onto"):
            emit(network, Schedule(folds={"conv": Fold(pe=pe, simd=simd)}), vectors)


def test_bad_schedules_and_vectors_are_refused() -> None:
    network = mlp()
    wrong = Schedule(folds={"fc1": Fold(pe=2, simd=1), "fc2": Fold()})
    with pytest.raises(VecqError, match="do not fold onto 2 lanes"):
        emit(network, wrong, vectors(network))
    with pytest.raises(VecqError, match="at least one vector"):
        emit(network, default_schedule(network), vectors(network, 0))


ODD_NAMES = [
    ("module", ("begin", "wire", "output")),
    ("vecq_rescale", ("s_axis", "m_axis", "aclk")),
    ("réseau 網", ("層", "層 ", "∑")),
    ("Net.1/../x", ("a", "fc", "fc stream")),
    ("n" * 10_000, ("FC", "fc", "unused")),
    ('a"; $finish; //\n*/ -->', ("frame_end", "clk_i", "logic")),
]


@pytest.mark.needs_verilator
@pytest.mark.parametrize(("name", "layers"), ODD_NAMES)
def test_any_names_give_clean_code(name: str, layers: tuple[str, str, str], tmp_path: Path) -> None:
    network = mlp(name, layers)
    emit(network, schedule(network), vectors(network)).write(tmp_path)
    done = subprocess.run(
        ["make", "lint", f"PYTHON={make_word(sys.executable)}"],
        cwd=tmp_path,
        env=simulation_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    compile((tmp_path / "run.py").read_text(), "run.py", "exec")
    top = json.loads((tmp_path / "manifest.json").read_text())["top"]
    compile((tmp_path / f"bench_{top}.py").read_text(), "bench", "exec")


def test_a_cell_comes_with_every_other_one_that_its_text_names() -> None:
    texts = {path.stem: path.read_text() for path in assets.rtl().glob("*.sv")}
    for cell, text in texts.items():
        code = re.sub(r'//.*|"[^"]*"', "", text)
        assert set(re.findall(r"\bvecq_\w+\b", code)) & texts.keys() <= {*with_inner([cell])}, cell
