"""Weights as they are stored, through the headers: books and binary bases, vectors and windows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtl_tests.bench_compact import SHAPES, Bases, Book, Sums, network
from tests.hls_networks import Case
from tests.hls_programs import QUICK, run_together
from tests.random_networks import Seeded, generator, random_bases, random_product
from tests.strategies import random_inputs
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import IntFormat
from vecq_hw.layers import AnyWeights, Conv2d, Input, ProductWeights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule
from vecq_hw.simulate import simulate


def case(net: Network, schedule: Schedule, name: str) -> Case:
    """With names of its own, since all of them become one program."""
    (layer,), (source,) = net.layers, net.inputs
    mac = replace(layer, name=f"{name}_mac", input=f"{name}_x")
    net = Network(
        name=name,
        inputs=(replace(source, name=mac.input),),
        layers=(mac,),
        outputs=(mac.name,),
    )
    inputs = random_inputs(net, 6, 0)
    vectors = Vectors(inputs=inputs, outputs=simulate(net, inputs))
    return Case(net, Schedule(folds={mac.name: schedule.folds[layer.name]}), vectors)


def windows(index: int, weights: AnyWeights, fold: Fold, groups: int = 1) -> Case:
    """A padded convolution, whose rows are of another code than 0."""
    channels = weights.shape[-1] * groups
    conv = Conv2d(
        name="conv",
        input="x",
        weights=weights,
        bias=generator(Seeded(index)).integers(-50, 50, weights.shape[0]),
        padding=(1, 0, 1, 2),
        stride=(1, 2),
        pad_code=3,
        groups=groups,
    )
    source = Input(name="x", shape=(4, 5, channels), format=IntFormat(4, signed=False))
    net = Network(name="one", inputs=(source,), layers=(conv,), outputs=("conv",))
    return case(net, Schedule(folds={"conv": fold}), f"windows{index}")


@pytest.mark.needs_cxx
def test_books_and_bases_give_the_sums_of_their_values(tmp_path: Path) -> None:
    cases = [case(*network(n), f"compact{n}") for n in range(0, len(SHAPES), 3)]
    assert {type(SHAPES[n]) for n in range(0, len(SHAPES), 3)} == {Book, Bases, Sums}
    book, bases, tables = FoldKind.CODE_BOOK, FoldKind.BASE_SERIAL, FoldKind.PARTIAL_SUMS
    blocks = random_product(Seeded(4), (4, 3, 3, 6))
    sums = random_bases(Seeded(2), (4, 2, 3, 6))
    grouped = random_bases(Seeded(3), (4, 3, 3, 4))
    words = ProductWeights(
        indices=generator(Seeded(5)).integers(0, 8, (6, 2, 2, 2)),
        book=generator(Seeded(6)).integers(-9, 10, (8, 3)),
    )
    cases += [
        windows(0, blocks, Fold(pe=2, simd=blocks.block, kind=book)),
        windows(1, blocks, Fold(pe=4, simd=6, kind=book)),
        windows(2, sums, Fold(pe=2, simd=sums.group, kind=bases)),
        windows(3, grouped, Fold(pe=2, simd=1, kind=bases), groups=2),
        windows(4, blocks, Fold(pe=1, simd=blocks.block, kind=tables)),
        windows(5, words, Fold(pe=1, simd=6, kind=tables)),
        windows(6, words, Fold(pe=1, simd=3, kind=tables), groups=2),
    ]
    for found, outputs in zip(cases, run_together(cases, tmp_path, *QUICK), strict=True):
        assert np.array_equal(outputs, found.vectors.outputs.reshape(outputs.shape))
        text = "".join(path.read_text() for path in tmp_path.glob("*/src/*.cpp"))
    assert text.count("base_serial<") >= 4
    assert text.count("partial_sums<") >= 4
    assert "windows_by_bases<" in text
    assert text.count("windows_by_sums<") >= 3


@pytest.mark.needs_cxx
@pytest.mark.nightly
def test_all_folds_of_books_and_bases_without_undefined_behaviour(tmp_path: Path) -> None:
    cases = [case(*network(n), f"compact{n}") for n in range(len(SHAPES))]
    for found, outputs in zip(
        cases, run_together(cases, tmp_path, *QUICK, "-fsanitize=address,undefined"), strict=True
    ):
        assert np.array_equal(outputs, found.vectors.outputs.reshape(outputs.shape))
