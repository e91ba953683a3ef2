"""clang-tidy over the headers, through a project that uses all of them, and over their tests."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.hls_networks import all_layers
from tests.random_networks import random_pair, random_sequence
from tests.shares import nightly
from vecq_hw.emit import hls
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import IntFormat
from vecq_hw.layers import BinaryBases, Conv2d, Dense, Flatten, GatherSum, Input, ProductWeights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import AP_TYPES, VERILATOR
from vecq_hw.verify.vectors import random_vectors

ROOT = Path(__file__).parents[2]
TIDY = Path(sys.executable).with_name("clang-tidy")


def tidy(source: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    verilator = VERILATOR.find()
    assert verilator is not None
    command = [
        *(TIDY, "--quiet", f"--config-file={ROOT / '.clang-tidy'}", source, "--", "-std=c++17"),
        *("-I", folder / "include", "-I", folder / "src", "-Wno-unknown-pragmas"),
        *("-isystem", AP_TYPES.find(), "-isystem", verilator / "include" / "vltstd"),
    ]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True)


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.skipif(not TIDY.exists(), reason="clang-tidy is not installed (the lint extra)")
@pytest.mark.parametrize("seed", [1, 6], ids=["Embedding and Gru", "Lstm and Gru"])
def test_clang_tidy_finds_nothing_in_sequences(seed: int, tmp_path: Path) -> None:
    network, schedule = random_pair(random_sequence, "net", seed)
    inputs = random_vectors(network, 1)
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
    hls.emit(network, replace(schedule, axis_bits=None), vectors).write(tmp_path)
    result = tidy(tmp_path / "src" / "net.cpp", tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.skipif(not TIDY.exists(), reason="clang-tidy is not installed (the lint extra)")
def test_clang_tidy_finds_nothing_in_books_bases_and_graphs(tmp_path: Path) -> None:
    book = ProductWeights(indices=np.eye(4, 2, dtype=int)[:, None, None], book=[[1, -2], [3, 0]])
    bases = np.ones((2, 3, 3, 2, 2, 2), int)
    window = BinaryBases(bases=bases, coordinates=np.arange(72).reshape(bases.shape[:-1]))
    dense = BinaryBases(bases=bases[:, 0, 0], coordinates=[[[3, 1], [2, 0]]] * 2)
    sums = ProductWeights(indices=[[[[0], [1]]], [[[1], [0]]]], book=book.book)
    ends, listed = [0, 2, 2], [0, 3]
    layers = (
        Conv2d(name="book", input="x", weights=book),
        GatherSum(name="sums", input="book", indptr=ends, indices=listed, shifts=[0, 1, 0, 1]),
        Conv2d(name="windows", input="sums", weights=window, padding=(1, 1, 1, 1)),
        Conv2d(name="tables", input="windows", weights=sums, padding=(0, 0, 0, 1)),
        Flatten(name="flat", input="tables"),
        Dense(name="bases", input="flat", weights=dense),
    )
    source = Input(name="x", shape=(1, 4, 4), format=IntFormat(3, signed=False))
    network = Network(name="net", inputs=(source,), layers=layers, outputs=("bases",))
    folds = {
        "book": Fold(pe=2, simd=4, kind=FoldKind.CODE_BOOK),
        "tables": Fold(simd=2, kind=FoldKind.PARTIAL_SUMS),
        **{name: Fold(simd=2, kind=FoldKind.BASE_SERIAL) for name in ("windows", "bases")},
    }
    inputs = random_vectors(network, 1)
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
    hls.emit(network, Schedule(folds=folds), vectors).write(tmp_path)
    result = tidy(tmp_path / "src" / "net.cpp", tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.needs_cxx
@pytest.mark.skipif(not TIDY.exists(), reason="clang-tidy is not installed (the lint extra)")
@pytest.mark.parametrize("names", [["net.cpp"], nightly(["net_dpi.cpp", "net_test.cpp"])])
def test_clang_tidy_finds_nothing(names: list[str], tmp_path: Path) -> None:
    """The top includes every header."""
    case = all_layers().case(4)
    hls.emit(case.network, case.schedule, case.vectors).write(tmp_path)
    sources = sorted(tmp_path.rglob("*.cpp"))
    assert [source.name for source in sources] == ["net_dpi.cpp", "net.cpp", "net_test.cpp"]
    sources = [source for source in sources if source.name in names]
    header = tmp_path / "include" / "vecq" / "stream.hpp"
    if "net_test.cpp" in names:
        sources.append(ROOT / "tests" / "hls" / "test_arithmetic.cpp")
    for source in sources:
        result = tidy(source, tmp_path)
        assert result.returncode == 0, result.stdout
    with header.open("a") as file:
        file.write("inline bool negated(bool x) { return x ? false : true; }\n")
    found = tidy(tmp_path / "src" / "net.cpp", tmp_path)
    assert found.returncode != 0
    assert "[readability-simplify-boolean-expr" in found.stdout
