"""An unrolled layer as our RTL and as da4ml's, each with vectors that its netlist must meet.

What both compute: sums ``W x`` of 8-bit unsigned inputs, or these requantized to 8-bit unsigned
codes, ``clamp((m_c sum_c + b_c + 2^(s-1)) >> s, 0, 255)``: rounding half up, saturation at both
ends, an offset for each output.  da4ml's is ``quantize(k=0, i=8, f=0, "SAT", "RND")`` of
``sum * m_c / 2^s + b_c / 2^s``: the same integers.  With m_c = 1 the scale is a power of two.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.netlist import packed
from vecq_hw import arithmetic, assets, exact_products
from vecq_hw.accelerator.unrolled import AdderGraph, offset_form
from vecq_hw.accelerator.unrolled.adder_graph import Output
from vecq_hw.accelerator.unrolled.circuit import with_mantissas
from vecq_hw.emit.unrolled.layer import rescaled
from vecq_hw.emit.unrolled.verilog import combinational
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.layers import Rescale
from vecq_hw.quantize.distributions import best_step

U8 = IntFormat(8, signed=False)
SAMPLES = 500


@dataclass(frozen=True, slots=True)
class Circuit:
    """Texts by file name, ``matrix`` the top; input vectors and the outputs that they give."""

    files: dict[str, str]
    words: list[int]
    expected: list[int]


def matrix_of(outputs: int, inputs: int, bits: int) -> IntArray:
    """Odd integers of ``bits``-bit codes, shape (outputs, inputs)."""
    fmt = MidRise(bits).code_format
    step = best_step(fmt.lo + 0.5, fmt.hi + 0.5)
    drawn = np.random.default_rng([outputs, inputs, bits]).standard_normal((outputs, inputs))
    codes = np.clip(np.floor(drawn / step), fmt.lo, fmt.hi).astype(np.int64)
    return MidRise(bits).values(codes)


def vectors(matrix: IntArray) -> IntArray:
    """Inputs: all lowest, all highest, each output's least and greatest sum, then random."""
    inputs = matrix.shape[1]
    drawn = np.random.default_rng(0).integers(0, U8.hi, (SAMPLES, inputs), endpoint=True)
    ends = [np.zeros((1, inputs)), np.full((1, inputs), U8.hi)]
    extremes = [np.where(matrix < 0, U8.hi, 0), np.where(matrix > 0, U8.hi, 0)]
    return np.concatenate([*ends, *extremes, drawn]).astype(np.int64)


def sums_of(matrix: IntArray, x: IntArray) -> IntArray:
    """Exact."""
    return exact_products.exact_matmul(x, matrix, exact_products.product_bound(matrix, U8.hi))


def rescale_of(matrix: IntArray, mantissa_bits: int) -> Rescale:
    """As a batch norm leaves it: the mean near 0, three standard deviations fill the codes.

    With one bit every mantissa is 1; else they are drawn from the upper half of their range.
    """
    generator = np.random.default_rng([*matrix.shape, mantissa_bits])
    least, most = 1 << (mantissa_bits - 1), 1 << mantissa_bits
    mantissa = generator.integers(least, most, len(matrix))
    mean = matrix.sum(axis=1) * (U8.hi / 2)
    spread = np.sqrt((matrix**2).sum(axis=1) * ((U8.hi + 1) ** 2 - 1) / 12)
    centre = spread * generator.standard_normal(len(matrix)) / 2
    return Rescale(
        name="rescale",
        input="sums",
        mantissa=mantissa,
        offset=np.rint(mantissa * (centre - mean)).astype(np.int64),
        shift=int(np.ceil(np.log2(3 * np.mean(spread * mantissa) / (U8.hi + 1)))),
        format=U8,
    )


def codes_of(sums: IntArray, rescale: Rescale) -> IntArray:
    """The requantized sums."""
    return arithmetic.rescale(sums, rescale.mantissa, rescale.offset, rescale.shift, U8)


def _ours(text: str, words: list[int], expected: list[int]) -> Circuit:
    adder = (assets.rtl() / "vecq_adder.sv").read_text()
    return Circuit({"matrix.sv": text, "vecq_adder.sv": adder}, words, expected)


def ours(graph: AdderGraph, x: IntArray, rescale: Rescale | None) -> Circuit:
    """The layer; without a rescale its outputs are the raw unsigned integers."""
    words = packed(x, [U8.bits] * len(graph.inputs))
    form = offset_form(graph)
    assert np.array_equal(form(x), sums_of(graph.matrix, x))
    if rescale is None:
        widths = [meaning.bits for _, meaning in form.outputs]
        return _ours(combinational(form, "matrix"), words, packed(form.raw(x), widths))
    codes = codes_of(form(x), rescale)
    ends = rescaled(with_mantissas(graph, rescale), [0] * len(codes.T), rescale)
    text = combinational(ends[0], "matrix", ends[1])
    return _ours(text, words, packed(codes, [U8.bits] * len(codes.T)))


def our_rescale(graph: AdderGraph, x: IntArray, rescale: Rescale) -> Circuit:
    """What follows the raw unsigned sums, without the matrix."""
    form = offset_form(graph)
    meanings = [meaning for _, meaning in form.outputs]
    inputs = tuple(IntFormat(m.bits, signed=False, lo=0, hi=m.most) for m in meanings)
    outputs = tuple(Output(place, m.shift, m.sign < 0) for place, m in enumerate(meanings))
    behind = with_mantissas(AdderGraph(inputs, (), outputs), rescale)
    ends = rescaled(behind, [m.constant for m in meanings], rescale)
    return _ours(
        combinational(ends[0], "matrix", ends[1]),
        packed(form.raw(x), [m.bits for m in meanings]),
        packed(codes_of(form(x), rescale), [U8.bits] * len(meanings)),
    )


def peer(matrix: IntArray, x: IntArray, rescale: Rescale | None) -> Circuit:
    """da4ml's RTL of the layer."""
    return _circuit(peer_logic(matrix, rescale), x, sums_of(matrix, x), rescale)


def peer_logic(matrix: IntArray, rescale: Rescale | None) -> Any:
    """da4ml's combinational logic of the layer."""
    from da4ml.trace import FixedVariableArrayInput, comb_trace

    zeros = np.zeros(matrix.shape[1], np.int64)
    wires = FixedVariableArrayInput(matrix.shape[1]).quantize(zeros, zeros + U8.bits, zeros)
    sums = wires @ matrix.T.astype(np.float64)
    return comb_trace(wires, sums if rescale is None else _requantized(sums, rescale))


def peer_rescale(matrix: IntArray, x: IntArray, rescale: Rescale) -> Circuit:
    """da4ml's RTL of what follows the sums, which have their exact ranges."""
    from da4ml.trace import FixedVariableArray, comb_trace

    lowest = np.where(matrix < 0, matrix * U8.hi, 0).sum(axis=1)
    highest = np.where(matrix > 0, matrix * U8.hi, 0).sum(axis=1)
    ranges = [np.asarray(a, np.float64) for a in (lowest, highest, np.ones(len(matrix)))]
    wires, sums = FixedVariableArray.from_lhs(*ranges), sums_of(matrix, x)
    return _circuit(comb_trace(wires, _requantized(wires, rescale)), sums, sums, rescale)


def _requantized(sums: Any, rescale: Rescale) -> Any:
    # Exact: mantissas and offsets are integers, and 2^-s times them are floats.
    unit = 2.0**-rescale.shift
    ones = np.ones(len(rescale.mantissa), np.int64)
    real = sums * (rescale.mantissa * unit) + rescale.offset * unit
    return real.quantize(0 * ones, U8.bits * ones, 0 * ones, "SAT", "RND")


def _circuit(logic: Any, x: IntArray, sums: IntArray, rescale: Rescale | None) -> Circuit:
    from da4ml.codegen import RTLModel

    expected = sums if rescale is None else codes_of(sums, rescale)
    assert np.array_equal(logic.predict(x.astype(np.float64)), expected)
    with tempfile.TemporaryDirectory() as folder:
        RTLModel(logic, "matrix", folder, print_latency=False).write()
        sources = [*Path(folder).rglob("matrix.v"), *Path(folder).rglob("static/*.v")]
        files = {path.name: path.read_text() for path in sources}
    return Circuit(files, _fixed(x, logic.inp_kifs), _fixed(expected, logic.out_kifs))


def _fixed(values: IntArray, formats: Sequence[Sequence[int]]) -> list[int]:
    """In da4ml's formats: sign bits, integer bits and fraction bits, which may be negative."""
    signs, integers, fractions = (np.asarray(row, np.int64) for row in formats)
    units = np.where(
        fractions < 0, values >> np.maximum(0, -fractions), values << fractions.clip(0)
    )
    return packed(units, (signs + integers + fractions).tolist())
