from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.hls_networks import Builder, Case, cnn, drawn_case, mlp
from tests.hls_programs import QUICK, compile_cxx, different_layers, run_together
from tests.random_networks import (
    random_chain,
    random_ends,
    random_graph,
    random_pair,
    random_sequence,
)
from tests.shares import nightly
from vecq_hw import assets, storage
from vecq_hw.cli.emit import emit as emit_command
from vecq_hw.emit import hls, ports
from vecq_hw.emit.project import Project, Vectors, read_vectors
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, IntFormat, TwosComplement
from vecq_hw.network import Network
from vecq_hw.passes.select import layer_network
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.ends import output_arrays
from vecq_hw.verify import hls as target

S4, U8 = IntFormat(4, signed=True), IntFormat(8, signed=False)
ORDINARY_WIDTHS = (2,)


def grid(widths: Sequence[int] = (3,)) -> list[Builder]:
    """Weights of these widths, and every corner of the layers."""
    nets = [make(f"{make.__name__[0]}{bits}", bits) for make in (mlp, cnn) for bits in widths]
    nets += [
        # lanes: one, all, and counts of which neither is a multiple of the other
        Builder("one", (12,)).dense(9, 2, fold=Fold(pe=1, simd=1)),
        Builder("all", (12,))
        .dense(9, 2, fold=Fold(pe=9, simd=12))
        .dense(6, 1, fold=Fold(pe=6, simd=9)),
        Builder("odd", (35,))
        .dense(12, 3, fold=Fold(pe=6, simd=5))
        .rescale()
        .dense(5, 2, fold=Fold(pe=5, simd=4)),
        Builder("wide", (64,)).dense(32, 8, fold=Fold(pe=32, simd=64)),
        # signed inputs, mixed widths, a format tighter than its bits
        Builder("sign", (10,), S4).dense(8, 8, bias=9).rescale(S4).dense(4, 1, bias=3),
        Builder("tight", (10,), IntFormat(7, True, -3, 40))
        .dense(4, 5)
        .rescale(IntFormat(3, False, 1, 6)),
        Builder("bit", (9,), IntFormat(1, True))
        .dense(4, 1)
        .rescale(IntFormat(1, False))
        .dense(3, 1),
        # rescale: the least and the greatest shift, a wide accumulator
        Builder("least", (10,)).dense(6, 2).rescale(IntFormat(9, True), shift=1),
        Builder("most", (10,)).dense(6, 2).rescale(IntFormat(2, True), shift=62),
        Builder("shifts", (10,)).dense(6, 2).rescale(shift=9).own_shifts(),
        Builder("deep", (6,), IntFormat(40, True))
        .dense(5, 16, bias=1 << 50)
        .rescale(IntFormat(33, True)),
        Builder("huge", (3,), IntFormat(44, False)).dense(2, 16, bias=1 << 60),
        # accumulators that wrap
        mlp("wrap9", 3, wrap=9),
        Builder("wrap1", (10,)).dense(6, 4, wrap=1),
        Builder("wrap33", (6,), IntFormat(40, True)).dense(5, 9, wrap=33).rescale(),
        # images
        Builder("stride", (7, 5, 3))
        .conv(6, 2, (3, 2), (2, 1), (1, 0), bias=40)
        .rescale()
        .pool((2, 2), (1, 2)),
        Builder("point", (3, 4, 6)).conv(5, 3, (1, 1), bias=4).rescale().conv(2, 2, (1, 1), (2, 2)),
        Builder("pad", (4, 3, 1), IntFormat(5, False, 3, 20))
        .conv(2, 4, (2, 2), (1, 3), (2, 3))
        .rescale(),
        Builder("skip", (9, 8, 2))
        .conv(2, 2, (2, 2), (4, 3), fold=Fold(pe=1, simd=1))
        .flatten()
        .dense(3, 2),
        Builder("pool", (7, 6, 3), S4).pool((3, 3), (2, 2), (1, 1)).pool((2, 1), (1, 1), (1, 0)),
        Builder("flat", (2, 3, 4)).flatten().dense(4, 2, fold=Fold(pe=2, simd=6)),
        Builder("cell", (1, 1, 1)).conv(1, 1, (1, 1)).rescale().conv(3, 2, (3, 3), padding=(1, 1)),
        Builder("rest", (5, 5, 2)).pool((2, 2), (2, 2)).rescale(),
        # pools of one to many words of channels: in registers, in memory
        Builder("folds", (4, 4, 3), S4).pool((2, 2), (1, 2)).sum((2, 2), (1, 1)),
        Builder("many", (4, 5, 8), S4).pool((2, 2), (1, 2)).sum((2, 2), (2, 1)),
        Builder("none", (2, 2, 3), S4),
        # groups: one after the other, in parts, side by side; depthwise; dilated
        Builder("group", (5, 4, 6)).conv(9, 2, (2, 2), groups=3, bias=9, fold=Fold(pe=3, simd=2)),
        Builder("split", (4, 4, 4)).conv(8, 3, (3, 3), groups=2, fold=Fold(pe=2, simd=1)),
        Builder("span", (3, 3, 8))
        .conv(12, 2, (1, 1), groups=4, fold=Fold(pe=6, simd=2))
        .conv(4, 1, (2, 2), groups=4, fold=Fold(pe=4, simd=3)),
        Builder("depth", (6, 5, 8), S4)
        .conv(8, 2, (3, 3), padding=(1, 1), groups=8, fold=Fold(pe=4))
        .rescale()
        .conv(16, 4, (3, 3), (2, 2), (1, 1), groups=8, wrap=9, fold=Fold(pe=16))
        .rescale()
        .conv(4, 1, (1, 1)),
        Builder("dilate", (9, 8, 2)).conv(3, 2, (3, 2), (2, 1), (3, 2), dilation=(2, 3)),
        Builder("row", (3, 9, 2)).conv(3, 2, (1, 3), (1, 2), dilation=(5, 2)),
        # the other layers
        Builder("sum", (7, 6, 3), S4).sum((3, 2), (2, 1), (1, 1)).rescale().sum((2, 2), (1, 2)),
        Builder("average", (4, 4, 6)).sum((4, 4), (4, 4)).rescale().flatten().dense(3, 2),
        Builder("up", (3, 4, 4)).conv(4, 2, (1, 1)).rescale().upsample(2, 3).upsample(1, 2),
        Builder("steps", (4, 4, 3)).conv(5, 2, (2, 2)).threshold(IntFormat(3, True)),
        Builder("step", (12,)).dense(9, 2).threshold(IntFormat(1, False)).dense(8, 2).threshold(
            IntFormat(4, False, 3, 9)
        ),
        # ties in plenty; as many indices as words, and several words for each
        Builder("class", (12,)).dense(10, 2, fold=Fold(pe=5, simd=4)).argmax(),
        Builder("tied", (9,)).dense(8, 2).rescale(IntFormat(3, True)).argmax().dense(2, 2),
        Builder("scores", (9,)).dense(6, 2).rescale(IntFormat(16, True)).argmax(),
        Builder("wider", (9,), IntFormat(34, True)).dense(6, 2).argmax(),
        Builder("pixels", (4, 3, 2), S4).conv(6, 2, (2, 2), fold=Fold(pe=3, simd=2)).argmax(),
        # the largest in their order: all of them, ties, pixels; tables for all and for each
        Builder("ranks", (12,)).dense(10, 2, fold=Fold(pe=5, simd=4)).topk(4),
        Builder("order", (9,)).dense(7, 2).rescale(IntFormat(2, True)).topk(7).dense(2, 2),
        Builder("spots", (3, 2, 2), S4).conv(5, 2, (2, 2)).topk(3),
        Builder("table", (3, 4, 4), S4)
        .lookup(IntFormat(5, False))
        .conv(6, 2, (2, 2), fold=Fold(pe=3, simd=4))
        .rescale()
        .lookup(IntFormat(9, True), own=True)
        .lookup(IntFormat(1, True)),
        Builder("tables", (5,), IntFormat(12, True, -1000, 2000)).lookup(own=True).dense(3, 2),
        # sums of listed positions: empty rows, several words for each, shifts, branches
        Builder("graph", (1, 7, 6), S4).gather(3, 0, 2, 5, 1).conv(6, 2, (1, 1)).gather(2, 0, 4),
        Builder("scaled", (3, 4, 2)).gather(3, 0, 2, shifts=3).rescale(S4).gather(0, 1, shifts=40),
        Builder("neighbours", (1, 4, 3)).gather(1, 2, 3, 1).rescale().gather(2, 2, 0, 1).rescale()
        .add(2),
        # branches
        Builder("twice", (6,)).dense(6, 2).rescale().add(1).rescale(S4).add(3, 3),
        Builder("residual", (6, 6, 4))
        .conv(4, 2, (3, 3), padding=(1, 1))
        .rescale()
        .conv(4, 2, (3, 3), padding=(1, 1), fold=Fold(pe=2, simd=4))
        .rescale()
        .add(-1, 1)
        .rescale(),
        Builder("inception", (5, 5, 6))
        .conv(4, 2, (1, 1))
        .rescale()
        .pool((3, 3), (1, 1), (1, 1))
        .concat(-1, 1)
        .conv(3, 2, (2, 2)),
        Builder("joined", (6,))
        .dense(9, 2)
        .rescale()
        .concat(-1)
        .dense(5, 1, fold=Fold(pe=5, simd=5)),
        Builder("values", (4, 4, 2))
        .conv(3, TwosComplement(4), (2, 2), fold=Fold(pe=3, simd=2))
        .rescale()
        .flatten()
        .dense(4, CodeBook((-64, 0, 1, 8)), fold=Fold(pe=2, simd=9)),
    ]  # fmt: skip
    return nets


def widened(case: Case, axis_bits: int | None) -> Case:
    """With AXI4-Streams of a chosen width, most of whose frames end in a partial word."""
    return replace(case, schedule=replace(case.schedule, axis_bits=axis_bits))


@pytest.mark.needs_cxx
@pytest.mark.parametrize("widths", [ORDINARY_WIDTHS, nightly((1, 3, 4, 8, 16))], ids=str)
def test_cxx_equals_simulator(tmp_path: Path, widths: tuple[int, ...]) -> None:
    cases = [
        widened(builder.case(), (None, 64, None, 256)[index % 4])
        for index, builder in enumerate(grid(widths))
    ]
    # At night as users compile it.
    flags = QUICK if widths == ORDINARY_WIDTHS else ()
    for index, outputs in enumerate(run_together(cases, tmp_path, *flags)):
        case = cases[index]
        assert different_layers(case, tmp_path / str(index)) == [], case.network
        expected = case.vectors.outputs.reshape(outputs.shape)
        assert np.array_equal(outputs, expected), case.network
        assert len(np.unique(outputs)) > 1, f"{case.network.name}: the outputs never change"


@pytest.mark.needs_cxx
def test_sanitizers_find_nothing(tmp_path: Path) -> None:
    chosen = ("c3", "odd", "stride", "pad", "deep", "pool", "wrap33", "step")
    chosen += ("span", "depth", "dilate", "row", "sum", "up", "twice", "inception", "values")
    cases = [builder.case(6) for builder in grid() if builder.name in chosen]
    assert len(cases) == len(chosen)
    run_together(cases, tmp_path, *QUICK, "-fsanitize=address,undefined")


def seeded(*drawn: tuple[Callable, range], count: int) -> list[Case]:
    """Networks by their seeds, each with a schedule: a failure names what makes it again.

    Hypothesis could not shrink here, where each step is a compilation, and a run that it ends for
    what it noticed about its own draws says nothing about the networks.
    """
    pairs = (
        random_pair(make, f"{make.__name__}{seed}", seed) for make, seeds in drawn for seed in seeds
    )
    return [drawn_case(network, schedule, count) for network, schedule in pairs]


@pytest.mark.needs_cxx
@pytest.mark.parametrize("first", [0, nightly(100), nightly(200)])
def test_random_networks(tmp_path: Path, first: int) -> None:
    chains, steps = range(first, first + 12), range(first, first + 8)
    cases = seeded((random_chain, chains), (random_sequence, steps), count=20)
    outputs = run_together(cases, tmp_path, *QUICK)
    for case, out in zip(cases, outputs, strict=True):
        assert np.array_equal(out, case.vectors.outputs.reshape(out.shape)), repr(case.network)


@pytest.mark.needs_cxx
@pytest.mark.parametrize("first", [0, nightly(100), nightly(200)])
def test_random_graphs(tmp_path: Path, first: int) -> None:
    cases = seeded((random_graph, range(first, first + 20)), count=6)
    outputs = run_together(cases, tmp_path, *QUICK)
    for index, (case, out) in enumerate(zip(cases, outputs, strict=True)):
        assert different_layers(case, tmp_path / str(index)) == [], repr(case.network)
        assert np.array_equal(out, case.vectors.outputs.reshape(out.shape)), repr(case.network)


@pytest.mark.needs_cxx
@pytest.mark.parametrize("count", [6, nightly(60)])
def test_random_networks_of_several_ends(tmp_path: Path, count: int) -> None:
    pairs = (random_pair(random_ends, f"e{seed}", seed) for seed in range(count))
    cases = [drawn_case(network, schedule, 6) for network, schedule in pairs]
    ends = [(len(case.network.inputs), len(case.network.outputs)) for case in cases]
    assert max(ends)[0] > 1
    assert max(outputs for _, outputs in ends) > 1
    for case, found in zip(cases, run_together(cases, tmp_path, *QUICK), strict=True):
        wanted = output_arrays(case.network, case.vectors.outputs)
        for name, array in output_arrays(case.network, found).items():
            assert np.array_equal(array, wanted[name].reshape(array.shape)), repr(case.network)


@pytest.mark.needs_cxx
def test_any_name_will_do(tmp_path: Path) -> None:
    names = ["fc1", "fc1_bias", "*/ \n#error", "größe", "x" * 10_000]
    builder = Builder("name", (4,)).dense(4, 2).rescale().dense(4, 2).rescale().dense(2, 2)
    layers = [
        replace(layer, name=name, input=source)
        for layer, name, source in zip(builder.layers, names, ["int", *names[:-1]], strict=True)
    ]
    network = Network(
        name="fc1_weights",
        inputs=(replace(builder.input, name="int"),),
        layers=tuple(layers),
        outputs=(names[-1],),
    )
    x = np.arange(8).reshape(2, 4)
    vectors = Vectors(inputs=x, outputs=simulate(network, x))
    hls.emit(network, default_schedule(network), vectors).write(tmp_path)
    assert np.array_equal(target.run(tmp_path), vectors.outputs)


@pytest.mark.needs_cxx
def test_any_name_of_a_network_will_do(tmp_path: Path) -> None:
    names = [
        "NULL",
        "EOF",
        "errno",
        "linux",
        "size_t",
        "new",
        "printf",
        "5",
        "ü",
        "x_format",
        "ap_int",
    ]
    case = mlp("m", 2).case(4)
    files: dict[str, str | bytes] = {}
    for name in names:
        network = replace(case.network, name=name)
        files |= hls.emit(network, case.schedule, case.vectors).files
    Project(files).write(tmp_path)
    headers = sorted(tmp_path.glob("src/*.hpp"))
    (tmp_path / "all.cpp").write_text(
        "#include <cerrno>\n#include <cstdio>\n"
        + "".join(f'#include "src/{header.name}"\n' for header in headers)
    )
    compiled = compile_cxx(tmp_path / "all.cpp", tmp_path / "all", "-fsyntax-only", "-std=gnu++17")
    assert compiled.returncode == 0, compiled.stderr
    assert len(headers) == len(names) + 5  # a file of parameters a layer


def golden_files() -> dict[str, str]:
    case = (
        Builder("golden", (3, 4, 2))
        .conv(2, 2, (2, 2), fold=Fold(pe=1, simd=2))
        .rescale()
        .pool((1, 2), (1, 2))
        .flatten()
        .dense(3, 1, bias=5, fold=Fold(pe=3, simd=4))
        .case(5)
    )
    files = hls.emit(case.network, case.schedule, case.vectors).files
    again = hls.emit(case.network, case.schedule, case.vectors).files
    assert list(files.items()) == list(again.items())
    headers = {name: text for name, text in files.items() if name.startswith("include/")}
    for name, text in headers.items():
        assert text == (assets.hls_include().parent / name).read_text()
    assert len(headers) == len(list(assets.hls_include().glob("vecq/*.hpp")))
    bench = {f"cosim/{name}": text for name, text in assets.bench().items()}
    assert bench.items() <= files.items()
    return {name: text for name, text in files.items() if name not in headers | bench}


def test_golden_project(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hls, ports):  # a release changes nothing else
        monkeypatch.setattr(module, "__version__", "0.0.0")
    folder = Path(__file__).parents[1] / "golden" / "hls"
    files = golden_files()
    if request.config.getoption("--update-golden"):
        shutil.rmtree(folder, ignore_errors=True)
        for name, text in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
    stored = {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }
    assert stored == files


def test_every_generated_file_names_tool_and_network() -> None:
    for name, text in golden_files().items():
        if not name.startswith("vectors/") and name != ports.MANIFEST:
            assert re.search(r"vecq-hw \S+ from network 'golden', digest [0-9a-f]{64}", text), name


def test_what_cannot_be_emitted_is_refused() -> None:
    case = mlp("m", 2).case(4)
    network, vectors = case.network, case.vectors
    assert hls.unsupported(network) is None
    with pytest.raises(VecqError, match="layer 'm_0': 16 outputs do not fold onto 3 lanes"):
        hls.emit(network, Schedule(folds={**case.schedule.folds, "m_0": Fold(pe=3)}), vectors)
    with pytest.raises(VecqError, match=r"inputs have the shape \(4, 23\); \(N, 24\) .* is wanted"):
        hls.emit(network, case.schedule, replace(vectors, inputs=vectors.inputs[:, 1:]))
    with pytest.raises(VecqError, match=r"outputs have the shape \(0, 10\)"):
        hls.emit(network, case.schedule, replace(vectors, outputs=vectors.outputs[:0]))
    with pytest.raises(VecqError, match="4 input vectors and 3 output vectors"):
        hls.emit(network, case.schedule, replace(vectors, outputs=vectors.outputs[:3]))
    wide = Builder("w", (1024,)).dense(2, 2, fold=Fold(pe=1, simd=1024)).case(4)
    with pytest.raises(VecqError, match="1024 lanes of 8 bits make a word of 8192 bits on s_axis"):
        hls.emit(wide.network, wide.schedule, wide.vectors)


def test_an_unrolled_layer_is_a_fold_onto_all_lanes() -> None:
    case = mlp("m", 2).case(4)
    folds = dict(case.schedule.folds)
    name = next(iter(folds))
    folds[name] = Fold(pe=16, simd=24)
    plain = hls.emit(case.network, Schedule(folds=folds), case.vectors)
    folds[name] = replace(folds[name], kind=FoldKind.UNROLLED)
    assert hls.emit(case.network, Schedule(folds=folds), case.vectors).files == plain.files


@pytest.mark.needs_cxx
def test_one_layer_is_emitted_by_itself(tmp_path: Path) -> None:
    case = cnn("c", 3).case()
    alone = layer_network(case.network, "c_3")
    taps = simulate(case.network, case.vectors.inputs, taps=["c_2", "c_4"])
    vectors = Vectors(inputs=taps["c_2"], outputs=taps["c_4"])
    schedule = Schedule(folds={"c_3": Fold(pe=3, simd=2)})
    hls.emit(alone, schedule, vectors).write(tmp_path)
    assert np.array_equal(target.run(tmp_path), taps["c_4"].reshape(20, -1))


def test_one_layer_at_the_command_line(tmp_path: Path) -> None:
    network = cnn("c", 3).case(4).network
    storage.save(network, tmp_path / "net.npz")
    arguments = ["hls", f"{tmp_path}/net.npz", "--layer", "c_3", "--out", f"{tmp_path}/out"]
    result = CliRunner().invoke(emit_command, [*arguments, "--samples", "3"])
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "out" / "src").iterdir()}
    assert names == {"c_c_3.cpp", "c_c_3.hpp", "c_3_parameters.hpp", "c_4_parameters.hpp"}
    x, y = (read_vectors(tmp_path / f"out/vectors/{name}.txt") for name in ("inputs", "outputs"))
    alone = layer_network(network, "c_3")
    outputs = simulate(alone, x.reshape(-1, *alone.inputs[0].shape))
    assert np.array_equal(y, outputs.reshape(y.shape))
