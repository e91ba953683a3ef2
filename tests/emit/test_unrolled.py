"""Constant matrices: every graph, in either form, equals the matrix product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import formats
from vecq_hw.accelerator.unrolled import OffsetGraph, adder_search, offset_form, solve
from vecq_hw.accelerator.unrolled.adder_graph import Adder, AdderGraph, Output
from vecq_hw.accelerator.unrolled.adder_search import Recipe, follow, signed_digits
from vecq_hw.accelerator.unrolled.circuit import circuit
from vecq_hw.accelerator.unrolled.solve import _restored
from vecq_hw.emit.unrolled.layer import unrolled_layer
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.layers import Dense, Weights

U8 = IntFormat(8, signed=False)


def samples(inputs: tuple[IntFormat, ...], seed: int) -> IntArray:
    """All lowest, all highest, in turn, then random; shape (20, inputs)."""
    lo = np.array([fmt.lo for fmt in inputs])
    hi = np.array([fmt.hi for fmt in inputs])
    turn = np.where(np.arange(len(inputs)) % 2, lo, hi)
    drawn = np.random.default_rng(seed).integers(lo, hi, (17, len(inputs)), endpoint=True)
    return np.concatenate([[lo], [hi], [turn], drawn])


def product(matrix: IntArray, x: IntArray) -> list[list[int]]:
    """In Python integers."""
    return [
        [sum(w * v for w, v in zip(row, sample, strict=True)) for row in matrix.tolist()]
        for sample in x.tolist()
    ]


def check(graph: OffsetGraph, matrix: IntArray, x: IntArray) -> None:
    assert graph(x).tolist() == product(matrix, x)
    raw = graph.raw(x)
    assert raw.min() >= 0
    for column, (node, meaning) in zip(raw.T, graph.outputs, strict=True):
        assert column.max() <= meaning.most
        assert node is None or meaning.most == graph.nodes[node].most


@st.composite
def problems(draw) -> tuple[IntArray, tuple[IntFormat, ...]]:
    """Odd weights of k bits, or integers of any size with zeros among them."""
    outputs, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    bits = draw(st.integers(1, 4))
    if draw(st.booleans()):
        matrix = 2 * generator.integers(-(1 << (bits - 1)), 1 << (bits - 1), (outputs, width)) + 1
    else:
        reach = 1 << draw(st.integers(0, 20))
        matrix = generator.integers(-reach, reach, (outputs, width), endpoint=True)
        matrix[generator.uniform(size=matrix.shape) < 0.3] = 0
    return matrix, tuple(draw(formats(1, 12)) for _ in range(width))


@settings(max_examples=60, deadline=None)
@given(problems(), st.integers(0, 100))
def test_the_solution_is_the_matrix_product(problem, seed) -> None:
    matrix, inputs = problem
    graph = offset_form(solve(matrix, inputs, attempts=3, seed=seed))
    check(graph, matrix, samples(inputs, seed))


@pytest.mark.parametrize("width", [257, 520])
def test_wide_matrices_are_exact(width: int) -> None:
    generator = np.random.default_rng(width)
    matrix = generator.integers(-4, 4, (3, width))
    matrix[0, :260] = 0  # nothing is left of a block
    matrix[1] = 0
    bits = generator.integers(1, 9, width).tolist()
    inputs = tuple(IntFormat(b, signed=bool(i % 2)) for i, b in enumerate(bits))
    graph = solve(matrix, inputs, attempts=1)
    assert np.array_equal(graph.matrix, matrix)
    check(offset_form(graph), matrix, samples(inputs, 0))


def test_the_pairs_that_an_attempt_compares_grow_with_the_width_alone(monkeypatch) -> None:
    monkeypatch.setattr(adder_search, "WIDEST", 16)
    terms: list[int] = []
    count_all = adder_search._count_all

    def noted(forms, patterns):
        terms.append(max(map(len, forms)))
        count_all(forms, patterns)

    monkeypatch.setattr(adder_search, "_count_all", noted)
    matrix = 2 * np.random.default_rng(0).integers(-1, 1, (2, 100)) + 1
    graph = solve(matrix, (U8,) * 100, attempts=1)
    assert terms == [len(block) for block in adder_search.blocks(100)]
    check(offset_form(graph), matrix, samples((U8,) * 100, 0))


@pytest.mark.parametrize("bits", [1, 2, 3, 4])
def test_a_layer_of_some_size(bits: int) -> None:
    codes = np.random.default_rng(bits).integers(-(1 << bits) // 2, (1 << bits) // 2, (12, 24))
    matrix, inputs = 2 * codes + 1, (U8,) * 24
    one, best = (offset_form(solve(matrix, inputs, attempts=n)) for n in (1, 12))
    check(best, matrix, samples(inputs, 0))
    assert best.cost <= one.cost
    digits = sum(len(signed_digits(value)) for value in matrix.ravel().tolist())
    assert best.cost < 0.8 * 8 * digits  # sharing saves something


@st.composite
def graphs(draw) -> AdderGraph:
    """Any adders, used or not, and outputs of either sign."""
    inputs = tuple(draw(formats(1, 6)) for _ in range(draw(st.integers(1, 4))))
    adders = []
    for index in range(draw(st.integers(0, 5))):
        node = st.integers(0, len(inputs) + index - 1)
        shift = st.integers(0, 3)
        adders.append(Adder(draw(node), draw(node), draw(shift), draw(shift), draw(st.booleans())))
    node = st.one_of(st.none(), st.integers(0, len(inputs) + len(adders) - 1))
    outputs = [
        Output(draw(node), draw(st.integers(0, 3)), draw(st.booleans()))
        for _ in range(draw(st.integers(1, 4)))
    ]
    return AdderGraph(inputs, tuple(adders), tuple(outputs))


@settings(max_examples=200, deadline=None)
@given(graphs())
def test_any_graph_equals_its_offset_form(graph: AdderGraph) -> None:
    x = samples(graph.inputs, 0)
    assert graph(x).tolist() == product(graph.matrix, x)
    check(offset_form(graph), graph.matrix, x)


def test_equal_seeds_equal_graphs() -> None:
    matrix = np.arange(-17, 18, 2).reshape(3, 6)
    first, again = (solve(matrix, (U8,) * 6, attempts=10, seed=3) for _ in range(2))
    assert first == again


def test_one_bit_of_an_adder_is_counted_once() -> None:
    def cost(left: int, right: int, subtract: bool) -> int:
        graph = AdderGraph((U8, U8), (Adder(0, 1, left, right, subtract),), (Output(2),))
        return offset_form(graph).cost

    assert [cost(0, 0, False), cost(0, 0, True)] == [8, 8]
    assert [cost(0, 3, False), cost(3, 0, True), cost(0, 8, False)] == [5, 5, 0]


def test_a_turned_and_reordered_graph_is_put_back() -> None:
    matrix = np.array([[3, -5, 7], [1, 9, -11]])
    rows, columns = np.array([1, 0]), np.array([2, 0, 1])
    turned = np.array([True, False, True])
    shuffled = matrix[rows][:, columns] * np.where(turned, -1, 1)
    # Not solved by the public function, which hides the plain graph.
    adders = [Adder(0, 0, 1, 0, False), Adder(1, 1, 3, 0, True), Adder(2, 2, 2, 0, False)]
    plain = AdderGraph((U8,) * 3, tuple(adders), (Output(3), Output(5, 1, True)))
    graph = _restored(plain, (U8,) * 3, rows, columns, turned)
    restored = np.empty_like(plain.matrix)
    restored[np.ix_(rows, columns)] = plain.matrix * np.where(turned, -1, 1)
    assert graph.matrix.tolist() == restored.tolist()
    assert shuffled.shape == restored.shape


def test_what_cannot_be_solved_is_refused() -> None:
    with pytest.raises(VecqError, match="3 input formats were given"):
        solve(np.ones((2, 4), int), (U8,) * 3)
    with pytest.raises(VecqError, match="more than 58 bits"):
        solve(np.full((1, 1), 1 << 40), (U8,))


def test_an_unrolled_layer_takes_two_cycles_and_does_not_wrap() -> None:
    weights = Weights(codes=np.zeros((2, 3), int), grid=MidRise(1))
    layer = Dense(name="fc", input="x", weights=weights)
    graph = circuit(layer, U8, attempts=1)
    with pytest.raises(VecqError, match="'fc': a latency of at least 2 cycles, not 1"):
        unrolled_layer("m", layer, graph, U8, latency=1)
    with pytest.raises(VecqError, match="'fc': an unrolled layer has no accumulator"):
        unrolled_layer("m", replace(layer, accumulator_bits=7), graph, U8, latency=2)


def test_time_ends_a_search_after_one_attempt() -> None:
    done: list[int] = []
    solve(np.eye(3, dtype=int), (U8,) * 3, attempts=1000, seconds=0, progress=done.append)
    assert done == [1]


@pytest.mark.nightly  # compiling da4ml takes minutes
def test_da4ml_agrees() -> None:
    from vecq_hw.accelerator.unrolled import da4ml_solver

    generator = np.random.default_rng(0)
    for inputs in ((U8,) * 5, (IntFormat(5, signed=True), IntFormat(3, signed=False, lo=1)) * 3):
        matrix = generator.integers(-9, 10, (4, len(inputs)))
        matrix[0, :] = 0
        found = da4ml_solver.solve(matrix, inputs)
        assert found is not None
        check(offset_form(found), matrix, samples(inputs, 0))
        best = offset_form(solve(matrix, inputs, attempts=1, permutations=5))
        check(best, matrix, samples(inputs, 1))
        assert best.cost <= offset_form(found).cost


def test_an_adder_before_its_operands_is_refused() -> None:
    graph = AdderGraph((U8,), (Adder(0, 0, 0, 1, False),), (Output(1),))
    with pytest.raises(IndexError):
        offset_form(replace(graph, adders=(Adder(0, 2, 0, 0, False),)))


def test_a_digit_that_equals_the_output_it_is_added_to() -> None:
    matrix = np.array([[1, 0], [2, 1]])
    inputs = (IntFormat(3, signed=False),) * 2
    # The second row is the first one, x0, and x0 + x1 besides.
    recipe = Recipe(((0, None, 1), (1, 0, 1)), chain=False, power=0.0, noise=0.0)
    graph = follow(recipe, matrix, inputs, np.random.default_rng(0))
    x = samples(inputs, 0)
    check(offset_form(graph), matrix, x)
