"""hls4ml computes the simulator's integers, and refuses what it cannot express."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ODD_NAME
from tests.hls4ml_networks import branches, inputs, regridded, write
from tests.hls_networks import Builder, cnn, mlp
from tests.shares import nightly
from vecq_hw.emit import hls4ml
from vecq_hw.emit.project import Vectors, read_vectors
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import CodeBook, Grid, IntFormat, TwosComplement
from vecq_hw.layers import Dense, Rescale
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import with_thresholds
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import make_word
from vecq_hw.verify import hls as runner

U8, S6 = IntFormat(8, signed=False), IntFormat(6, signed=True)
NETWORKS = {"mlp": mlp, "cnn": cnn}
# Every network and kind of streams once.
ORDINARY = [("mlp", 8, "io_parallel"), ("cnn", 2, "io_stream")]


@pytest.fixture
def unoptimised(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same integers for half of the compiler's time."""
    monkeypatch.setenv("CXXFLAGS", "-O0")


def mismatches(network: Network, folder: Path, io_type: str | None = None) -> int:
    vectors = write(network, folder, io_type)
    outputs = runner.run(folder)
    assert len(np.unique(outputs)) > 10
    return int((outputs != vectors.outputs.reshape(outputs.shape)).sum())


@pytest.mark.needs_cxx
@pytest.mark.parametrize(
    ("name", "bits", "io_type"),
    [
        case if case in ORDINARY else nightly(*case)
        for case in product(NETWORKS, (1, 2, 4, 8), hls4ml.IO_TYPES)
    ],
)
@pytest.mark.usefixtures("unoptimised")
def test_small_networks_are_exact(tmp_path: Path, name: str, bits: int, io_type: str) -> None:
    assert mismatches(NETWORKS[name](name, bits).network(), tmp_path, io_type) == 0


@pytest.mark.needs_cxx
@pytest.mark.usefixtures("unoptimised")
def test_tables_are_exact(tmp_path: Path) -> None:
    """Vectors, and images, which have no stream; one table for all channels, one for each."""
    net = Builder("tables", (3, 2, 2), IntFormat(5, signed=True)).lookup(S6, own=True).flatten()
    net.dense(5, 2).rescale(IntFormat(7, True, -50, 60)).lookup(S6).dense(3, 2)
    assert hls4ml.natural_io_type(net.network()) == "io_parallel"
    assert mismatches(net.network(), tmp_path) == 0
    with pytest.raises(VecqError, match="Lookup in io_stream, of which hls4ml reads the first"):
        hls4ml.convert(net.network(), output_dir=tmp_path, io_type="io_stream")
    with pytest.raises(VecqError, match="back end Quartus does not compile the table 'tables_0'"):
        hls4ml.convert(net.network(), output_dir=tmp_path, backend="Quartus")


@pytest.mark.needs_cxx
@pytest.mark.parametrize(
    "grid",
    [
        *(nightly(TwosComplement(3)), nightly(TwosComplement(1))),
        *(CodeBook((0, -113, 64, 5)), nightly(CodeBook((-1, 1)))),
    ],
)
@pytest.mark.usefixtures("unoptimised")
def test_other_grids_are_exact(tmp_path: Path, grid: Grid) -> None:
    network = regridded(branches(grid.bits), grid)
    assert mismatches(network, tmp_path, "io_parallel") == 0


def test_one_bit_weights_are_binary(tmp_path: Path) -> None:
    write(cnn("c", 1).network(), tmp_path)
    kinds = re.findall(r"typedef (.*) weight\d_t;", (tmp_path / "firmware/defines.h").read_text())
    assert kinds == ["ap_uint<1>"] * 3
    assert "product::weight_binary" in (tmp_path / "firmware/parameters.h").read_text()


def test_windows_are_not_optimized(tmp_path: Path) -> None:
    """Else g++ takes longer than anybody waits for an image in parallel; the rest is optimized."""
    write(cnn("c", 2).network(), tmp_path, "io_parallel")
    text = (tmp_path / "firmware" / "nnet_utils" / "nnet_code_gen.h").read_text()
    unoptimized = re.findall(r'GCC optimize\("O0"\)(.*?)GCC pop_options', text, re.DOTALL)
    windows = [re.findall(r"class (fill_buffer_\w+)", part) for part in unoptimized]
    assert [len(names) for names in windows] == [1, 1]
    assert text.count("class fill_buffer_") == 2


@pytest.mark.needs_cxx
@pytest.mark.usefixtures("unoptimised")
def test_a_layer_whose_products_leave_the_stack(tmp_path: Path) -> None:
    """Arrays of the size of a large network: 240 kB of products, 160 kB of stack."""
    network = Builder("wide", (200,), IntFormat(20, signed=True)).dense(150, 16).network()
    write(network, tmp_path, count=1)
    runner.run(tmp_path)
    command = ["sh", "-c", "ulimit -S -s 160 && build/test"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


@pytest.mark.needs_cxx
def test_the_model_graph_predicts_and_nothing_is_printed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    network = mlp("input", 2).network()
    model = hls4ml.convert(network, output_dir=tmp_path, strategy="Resource")
    model.compile()
    x = inputs(network)
    outputs = model.predict(np.ascontiguousarray(x, dtype=np.float64))
    assert np.array_equal(outputs, simulate(network, x))
    assert capfd.readouterr() == ("", "")


def test_projects_are_equal_and_know_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    # hls4ml draws its stamps so; one in forty is a number, which YAML quotes.
    monkeypatch.setattr("uuid.uuid4", lambda: pytest.fail("a random stamp was drawn"))
    network = branches(2)
    x = inputs(network, 2)
    vectors = Vectors(inputs=x, outputs=simulate(network, x))
    first, second = (hls4ml.emit(network, default_schedule(network), vectors) for _ in range(2))
    assert dict(first.files) == dict(second.files)
    assert "OutputDir: ." in first.files["hls4ml_config.yml"]
    assert not [name for name, text in first.files.items() if re.search(r"/tmp|vecq-hls4ml-", text)]


@pytest.mark.parametrize(("backend", "stored"), [("Vitis", [0, 1]), ("Catapult", [-1, 1])])
def test_weights_of_one_bit_are_stored_as_the_back_end_reads_them(
    tmp_path: Path, backend: str, stored: list[int]
) -> None:
    # Both run nightly: test_back_ends_and_strategies[cnn-...].
    model = hls4ml.convert(cnn("c", 1).network(), output_dir=tmp_path, backend=backend)
    weights = [layer.weights["weight"] for layer in model.get_layers() if "weight" in layer.weights]
    assert [np.unique(weight.data).tolist() for weight in weights] == [stored] * 3


@pytest.mark.nightly  # da4ml is compiled by numba for minutes in a new environment
def test_distributed_arithmetic_takes_weights_of_one_bit(tmp_path: Path) -> None:
    network = mlp("m", 1).network()
    model = hls4ml.convert(network, output_dir=tmp_path, strategy="distributed_arithmetic")
    with hls4ml.quiet():
        model.compile()
    x = inputs(network)
    outputs = model.predict(np.ascontiguousarray(x, dtype=np.float64))
    assert np.array_equal(outputs.reshape(len(x), -1), simulate(network, x))


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project, built and run by make alone."""
    folder = tmp_path_factory.mktemp("hls4ml") / "project"
    write(mlp("small net", 2).network(), folder, "io_stream")
    result = make(folder)
    assert result.returncode == 0, result.stderr
    assert "35 vectors, 350 outputs, 0 differences" in result.stderr
    return folder


@pytest.fixture
def project(built: Path, tmp_path: Path) -> Path:
    """A copy elsewhere: the project does not know where it lies."""
    return shutil.copytree(built, tmp_path / "moved here")


def make(folder: Path) -> subprocess.CompletedProcess[str]:
    outer = ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")
    environment = {key: value for key, value in os.environ.items() if key not in outer}
    return subprocess.run(["make"], cwd=folder, env=environment, capture_output=True, text=True)


def tamper(folder: Path) -> None:
    """Another weight in the last layer, which no rescale hides; the C++ reads it when it runs."""
    weights = max((folder / "firmware" / "weights").glob("w*.txt"))
    first, rest = weights.read_text().split(",", 1)
    weights.write_text(f"{int(float(first)) + 2},{rest}")


@pytest.mark.needs_cxx
@pytest.mark.nightly  # as the cocotb bench
def test_a_tampered_weight_is_found(project: Path) -> None:
    expected = read_vectors(project / "vectors" / "outputs.txt")
    assert np.array_equal(runner.run(project), expected)
    tamper(project)
    differences = np.argwhere(runner.run(project) != expected)
    assert len(differences)
    own = make(project)
    vector, element = differences[0]
    assert own.returncode != 0
    assert f"vector {vector}, element {element}: expected" in own.stderr


@pytest.mark.needs_cxx
@pytest.mark.nightly
def test_a_wrong_rounding_is_found(project: Path) -> None:
    types = project / "firmware" / "defines.h"
    text = types.read_text()
    assert "AP_RND" in text
    types.write_text(text.replace("AP_RND", "AP_TRN", 1))
    assert make(project).returncode != 0


@pytest.mark.needs_cxx
def test_what_does_not_fit_is_an_error(project: Path) -> None:
    file = project / "vectors" / "inputs.txt"
    lines = file.read_text()
    for wrong, says in (
        (lines.replace("\n", " 1\n", 1), "vector 0: 24 inputs and 10 outputs are wanted"),
        ("256" + lines[lines.index(" ") :], "vector 0: an input leaves its format"),
        ("", "there are no vectors"),
    ):
        file.write_text(wrong)
        result = subprocess.run(["./build/test"], cwd=project, capture_output=True, text=True)
        assert result.returncode == 2
        assert says in result.stderr


def simulated(folder: Path, alone: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = ["make", "cosim", f"PYTHON={make_word(sys.executable)}"]
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True)


@pytest.mark.needs_verilator
@pytest.mark.parametrize("io_type", ["io_stream", nightly("io_parallel")])
def test_the_cocotb_bench_drives_the_cxx_and_finds_tampered_weights(
    tmp_path: Path, io_type: str, alone: dict[str, str]
) -> None:
    folder = tmp_path / ODD_NAME
    net = cnn("c", 2) if io_type == "io_stream" else mlp("m", 3)
    vectors = write(net.network(), folder, io_type)
    result = simulated(folder, alone)
    assert result.returncode == 0, result.stdout + result.stderr
    outputs = read_vectors(folder / "results" / "outputs.txt")
    assert np.array_equal(outputs, vectors.outputs)
    tamper(folder)
    result = simulated(folder, alone)
    assert result.returncode != 0
    assert re.search(r"frame \d+, element \d+: expected -?\d+, actual", result.stderr)


NAMES = ("input", "int", "größe", "w2", "layer2_out", "zp2d_int", "x" * 10_000, "Input")


@pytest.mark.needs_cxx
@pytest.mark.parametrize("top", ["main", nightly("parameters"), nightly("w2")])
@pytest.mark.usefixtures("unoptimised")
def test_any_name_is_fit(tmp_path: Path, top: str) -> None:
    if top != "main":  # the names of layers are compiled once
        network = replace(Builder("net", (3,)).dense(2, 2).network(), name=top)
        write(network, tmp_path)
        assert (tmp_path / "firmware" / f"{top}_top.cpp").exists()
        return
    net = mlp("net", 2).network()
    layers, source = [], NAMES[0]
    for layer, name in zip(net.layers, NAMES[1:], strict=False):
        layers.append(replace(layer, name=name, input=source))
        source = name
    inputs = (replace(net.inputs[0], name=NAMES[0]),)
    network = Network(name=top, inputs=inputs, layers=tuple(layers), outputs=(source,))
    assert mismatches(network, tmp_path, "io_stream") == 0


def refused() -> dict[str, Network]:
    conv = Builder("net", (6, 6, 4)).conv(4, 2, (3, 3)).network()
    layer = conv.layers[0]
    halves = replace(layer.weights, codes=layer.weights.codes[..., :2])
    pooled = Builder("net", (6, 6, 2), IntFormat(4, True)).pool((2, 2), (2, 2), (1, 1)).network()
    dense = Builder("net", (4,)).dense(2, 2).rescale(IntFormat(4, False), shift=3).network()
    rescale = dense.layers[1]

    def changed(layer: object, network: Network = dense, index: int = 1) -> Network:
        layers = [*network.layers]
        layers[index] = layer
        return replace(network, layers=tuple(layers))

    wide = np.array([(1 << 53) + 1, 0])
    unread = Dense(name="unread", input="net_x", weights=dense.layers[0].weights)
    return {
        "'net_0' (Conv2d with dilation)": changed(replace(layer, dilation=(2, 2)), conv, 0),
        "'net_0' (Conv2d with groups, but not one for each channel and output)": changed(
            replace(layer, groups=2, weights=halves), conv, 0
        ),
        "'net_0' (MaxPool2d with padding on signed codes)": pooled,
        "'net_1' (Threshold)": with_thresholds(dense),
        "'net_0' (GatherSum, for which hls4ml has no layer)": Builder("net", (1, 3, 2))
        .gather(2, 1)
        .network(),
        "'net_0' (TopK, of which hls4ml gives no index)": Builder("net", (3,)).topk(2).network(),
        "'net_1' (Rescale with a mantissa or offset beyond 2^53)": changed(
            replace(rescale, offset=wide)
        ),
        "'net_0' (a bias beyond 2^53 in the Dense)": changed(
            replace(dense.layers[0], bias=wide), index=0
        ),
        "'unread' (nothing reads it)": replace(dense, layers=(*dense.layers, unread)),
        "the output 'net_0' (layers read it, too)": replace(dense, outputs=("net_1", "net_0")),
        "an output that is the input": replace(dense, layers=(), outputs=("net_x",)),
    }


@pytest.mark.parametrize("reason", refused())
def test_what_hls4ml_cannot_express_is_refused(tmp_path: Path, reason: str) -> None:
    network = refused()[reason]
    said = hls4ml.unsupported(network)
    assert said is not None
    assert said.removeprefix("layer ") == reason
    with pytest.raises(VecqError, match=re.escape(f"network 'net': hls4ml cannot express {said}")):
        hls4ml.convert(network, output_dir=tmp_path)


def test_an_offset_of_2_to_53_is_the_last() -> None:
    network = Builder("net", (4,)).dense(1, 2).rescale(IntFormat(4, False), shift=50).network()
    rescale = network.layers[1]
    assert isinstance(rescale, Rescale)
    for offset, refused in ((1 << 53, False), ((1 << 53) + 1, True)):
        layers = (network.layers[0], replace(rescale, offset=np.array([offset])))
        assert (hls4ml.unsupported(replace(network, layers=layers)) is not None) == refused


def test_pools_that_overlap_go_in_parallel(tmp_path: Path) -> None:
    overlapping = Builder("net", (7, 7, 2)).pool((3, 3), (2, 2)).network()
    assert hls4ml.natural_io_type(overlapping) == "io_parallel"
    assert hls4ml.natural_io_type(cnn("c", 2).network()) == "io_stream"
    assert hls4ml.natural_io_type(mlp("m", 2).network()) == "io_parallel"
    with pytest.raises(VecqError, match="MaxPool2d in io_stream whose stride is not its kernel"):
        hls4ml.convert(overlapping, output_dir=tmp_path, io_type="io_stream")


def test_windows_of_one_row_that_skip_rows_go_in_parallel(tmp_path: Path) -> None:
    # In a stream hls4ml's sums of these are wrong; point-wise convolutions have another code.
    skipping = [
        Builder("net", (6, 4, 2)).sum((1, 2), (2, 1)).network(),
        Builder("net", (6, 4, 2)).conv(3, 2, (1, 2), (2, 1)).network(),
        Builder("net", (6, 4, 2)).sum((1, 1), (2, 2)).network(),
    ]
    for network in skipping:
        assert hls4ml.natural_io_type(network) == "io_parallel"
        with pytest.raises(VecqError, match="in io_stream with windows one row high that skip"):
            hls4ml.convert(network, output_dir=tmp_path, io_type="io_stream")
    pointwise = Builder("net", (6, 4, 2)).conv(3, 2, (1, 1), (2, 2)).network()
    assert hls4ml.natural_io_type(pointwise) == "io_stream"


@pytest.mark.parametrize(
    ("choice", "says"),
    [
        ({"io_type": "io_serial"}, "no io_type 'io_serial' here; there are io_parallel, io_stream"),
        ({"backend": "oneAPI"}, "no back end 'oneAPI' here; there are Vitis, Vivado"),
        ({"strategy": "Fast"}, "no strategy 'Fast' here; there are Latency, Resource"),
    ],
)
def test_choices_are_checked(tmp_path: Path, choice: dict[str, str], says: str) -> None:
    with pytest.raises(VecqError, match=says):
        hls4ml.convert(mlp("m", 2).network(), output_dir=tmp_path, **choice)


@pytest.mark.parametrize(
    ("backend", "io_type"),
    [("Quartus", "io_parallel"), ("Quartus", "io_stream"), ("Catapult", "io_parallel")],
)
def test_what_a_back_end_gets_wrong_is_refused(tmp_path: Path, backend: str, io_type: str) -> None:
    with pytest.raises(VecqError, match=f"back end {backend} with {io_type} .* wrongly"):
        hls4ml.convert(branches(2), output_dir=tmp_path, backend=backend, io_type=io_type)


def test_a_missing_da4ml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "da4ml" else 1)
    monkeypatch.setattr(hls4ml, "require", lambda *tools: None)
    with pytest.raises(MissingToolError, match=r"da4ml is missing .*; run: pip install"):
        hls4ml.convert(
            mlp("m", 2).network(), output_dir=tmp_path, strategy="distributed_arithmetic"
        )


def test_a_missing_hls4ml_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "hls4ml"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "hls4ml.model", None)
    with pytest.raises(MissingToolError, match=r"hls4ml is not whole .*; run: pip install"):
        hls4ml.convert(mlp("m", 2).network(), output_dir=tmp_path)
