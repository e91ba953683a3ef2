"""Weights whose values are no mid-rise grid, through the headers: ternary, code books, powers."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from tests.hls_programs import compile_cxx
from vecq_hw.arithmetic import wrap
from vecq_hw.emit.hls.packing import packed_words, stored
from vecq_hw.emit.literals import cpp_array, cpp_words
from vecq_hw.exact_products import columns, exact_matmul
from vecq_hw.formats import CodeBook, IntFormat, MidRise, MiniFloat, TwosComplement
from vecq_hw.layers import Weights
from vecq_hw.schedule import Fold

INPUT = IntFormat(8, signed=True)


GRIDS = {
    "minus": CodeBook((-1, 0)),
    "ternary": CodeBook((-1, 0, 1, 0)),
    "asymmetric": CodeBook((-4, -1, 2, 3)),
    "four": TwosComplement(4),
    "five": CodeBook((-16, 3, 15, 15)),
    "powers": CodeBook((-64, -8, -1, 0, 1, 8, 64, 0)),
    "book": CodeBook((-30_000, 7, 1234, 7)),
    "widest": CodeBook((-(2**31) + 1, 5, 2**31 - 1, 0)),
    "midrise3": MidRise(3),
    "small_float": MiniFloat(5, 2),
    "odd": CodeBook((-5, -1, 1, 7)),
    "widest_odd": CodeBook((-(2**31) + 1, 5, 2**31 - 1, 1)),
}


def random_weights(grid, rng: np.random.Generator, shape: tuple[int, ...]) -> Weights:
    fmt = grid.code_format
    codes = rng.integers(fmt.lo, fmt.hi, shape, endpoint=True)
    every = np.arange(fmt.lo, fmt.hi + 1)
    codes.flat[: every.size] = every[: codes.size]
    return Weights(codes=codes, grid=grid)


@pytest.mark.needs_cxx
def test_dense_and_convolution_take_any_values(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    globals_, body, expected = [], [], []
    for index, (name, grid) in enumerate(GRIDS.items()):
        fold = Fold(pe=1 + index % 3, simd=(1, 2, 4)[index % 3])
        for shape in ((6, 12), (6, 2, 3, 4)):
            weights = random_weights(grid, rng, shape)
            kind, bits, codes = stored(weights)
            assert (kind == "MidRise") == (name in ("midrise3", "odd"))
            bias = rng.integers(-99, 100, 6)
            words, word_bits = packed_words(codes.reshape(6, -1), bits, fold)
            variable = f"{name}{len(shape)}"
            globals_ += [cpp_words(f"{variable}_weights", words, word_bits)]
            globals_ += [cpp_array(f"{variable}_bias", bias)]
            values = weights.values.reshape(6, -1).astype(np.int64)
            x = rng.integers(
                INPUT.lo, INPUT.hi, (5, 4, 4) if len(shape) == 4 else 12, endpoint=True
            )
            rows = x.reshape(1, -1)
            call = f"dense<In, Out, vecq::{kind}<{bits}>, 12, 6, {fold.pe}, {fold.simd}>"
            if len(shape) == 4:
                rows = columns(x[np.newaxis], (2, 3), (2, 1), (1, 0, 1, 0)).reshape(-1, 24)
                call = (
                    f"conv2d<In, Out, vecq::{kind}<{bits}>, Windows,"
                    f" vecq::Grouping<4, 6, 1, {fold.pe}, {fold.simd}>>"
                )
            sums = exact_matmul(rows, values, 1 << 62) + bias
            expected.append(sums.ravel())
            body.append(
                f"  run<{fold.simd}, {fold.pe}>({{{', '.join(map(str, x.ravel()))}}},\n"
                f"    [](auto& in, auto& out) {{ vecq::{call}(in, out, {variable}_weights,"
                f" {variable}_bias); }});"
            )
    check(tmp_path, globals_, body, expected, "-O1")


HARNESS = """
#include "vecq/conv2d.hpp"
#include "vecq/dense.hpp"
#include <cstdio>
#include <vector>
using In = vecq::IntFormat<8, true>;
using Out = vecq::IntFormat<50, true>;
using Windows = vecq::Window<vecq::Image<5, 4, 4>, vecq::Kernel<2, 3>, vecq::Stride<2, 1>,
                             vecq::Padding<1, 0>>;
template <int Simd, int Pe, class Out = ::Out, class Layer>
void run(const std::vector<int>& x, Layer layer) {
  vecq::Stream<In, Simd> in;
  vecq::Stream<Out, Pe> out;
  for (std::size_t first = 0; first < x.size(); first += Simd) {
    vecq::Lanes<In, Simd> word;
    for (std::size_t lane = 0; lane < Simd; ++lane) {
      word.lane[lane] = x[first + lane];
    }
    in.write(word);
  }
  layer(in, out);
  while (!out.empty()) {
    const vecq::Lanes<Out, Pe> word = out.read();
    for (int lane = 0; lane < Pe; ++lane) {
      std::printf("%lld ", static_cast<long long>(word.lane[lane]));
    }
  }
  std::puts("");
}
"""


def check(
    folder: Path, globals_: list[str], body: list[str], expected: list[np.ndarray], *flags: str
) -> None:
    """Compile and run the calls of ``body``, each of which writes a line, as expected."""
    program = [HARNESS, *globals_, "int main() {", *body, "}"]
    (folder / "test.cpp").write_text("\n".join(program) + "\n")
    vendor = ("-Wno-maybe-uninitialized", "-Wno-uninitialized")  # its default constructors
    compiled = compile_cxx(folder / "test.cpp", folder / "test", *flags, *vendor)
    assert compiled.returncode == 0, compiled.stderr
    result = subprocess.run([folder / "test"], capture_output=True, text=True, check=True)
    lines = [np.array(line.split(), np.int64) for line in result.stdout.splitlines()]
    assert len(lines) == len(expected) == len(body)
    for line, actual, wanted in zip(body, lines, expected, strict=True):
        assert np.array_equal(actual, wanted), line


@pytest.mark.needs_cxx
def test_every_width_of_weights_and_wrapping_accumulators(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    globals_, body, expected = [], [], []
    widths = [("TwosComplement", bits) for bits in range(1, 33)]
    widths += [("MidRise", bits) for bits in (1, 5, 15, 16)]
    for kind, bits in widths:
        codes = rng.integers(-(1 << bits - 1), 1 << bits - 1, (2, 4))
        codes.flat[:2] = -(1 << bits - 1), (1 << bits - 1) - 1
        values = 2 * codes + 1 if kind == "MidRise" else codes
        fold = Fold(pe=1 + bits % 2, simd=(1, 2, 4)[bits % 3])
        bias, x = rng.integers(-99, 100, 2), rng.integers(INPUT.lo, INPUT.hi + 1, 4)
        variable = f"{kind}{bits}"
        words, word_bits = packed_words(codes, bits, fold)
        globals_ += [cpp_words(f"{variable}_weights", words, word_bits)]
        globals_ += [cpp_array(f"{variable}_bias", bias)]
        for accumulator in (bits // 2 + 1, 32):
            out = f"vecq::IntFormat<{accumulator}, true>"
            layer = f"dense<In, {out}, vecq::{kind}<{bits}>, 4, 2, {fold.pe}, {fold.simd}>"
            body.append(
                f"  run<{fold.simd}, {fold.pe}, {out}>({{{', '.join(map(str, x))}}},"
                f" [](auto& in, auto& out) {{ vecq::{layer}(in, out, {variable}_weights,"
                f" {variable}_bias); }});"
            )
            expected.append(wrap(values @ x + bias, accumulator))
    check(tmp_path, globals_, body, expected, "-O0")


def test_values_are_as_narrow_as_they_are() -> None:
    bits = {
        name: stored(random_weights(grid, np.random.default_rng(0), (4, 4)))[1]
        for name, grid in GRIDS.items()
    }
    assert bits == {
        "minus": 1,
        "ternary": 2,
        "asymmetric": 3,
        "four": 4,
        "five": 5,
        "powers": 8,
        "book": 16,
        "widest": 32,
        "midrise3": 3,
        "small_float": 6,
        "odd": 3,
        "widest_odd": 32,
    }
