"""Networks of true -1 and 1, as BinaryNet and FINN define them, give the same integers as ours.

Here they are plain Python on signs: dot products, batch norms in fractions, sign(0) = 1.  Ours read
codes of one bit, c = (sign + 1) / 2, so ``sum w * sign = 2 * sum w * c - sum w``.
"""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

from vecq_hw.emit.project import Vectors
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.layers import (
    Conv2d,
    Dense,
    Flatten,
    Input,
    Layer,
    MaxPool2d,
    Rescale,
    Threshold,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.schedule import Fabric, Fold, Schedule, default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.rtl import emit
from vecq_hw.verify.targets import TARGETS

BIT, BYTE = IntFormat(1, signed=False), IntFormat(8, signed=False)
Norm = tuple[Fraction, Fraction, Fraction, Fraction]  # gamma, beta, mean, deviation
Image = list[list[list[int]]]


class Signs:
    """Random weights of -1 and 1 and batch norms, the same in both definitions."""

    def __init__(self) -> None:
        rng = np.random.default_rng(11)

        def drawn(*shape: int) -> IntArray:
            return rng.choice([-1, 1], shape)

        def norms(channels: int, reach: int) -> list[Norm]:
            # A fraction with few halves, so that sums lie on thresholds, and gammas of both signs.
            numbers = rng.integers(1, 5, (channels, 2)) * rng.choice([-1, 1], (channels, 2))
            means = rng.integers(-reach, reach + 1, channels)
            return [
                (Fraction(int(g), 2), Fraction(int(b)), Fraction(int(m), 2), Fraction(3, 2))
                for (g, b), m in zip(numbers, means, strict=True)
            ]

        self.fc = [drawn(16, 24), drawn(12, 16), drawn(5, 12)]
        self.fc_norms = [norms(16, 8), norms(12, 6)]
        self.conv = [drawn(6, 3, 3, 3), drawn(8, 3, 3, 6), drawn(4, 3, 3, 8)]
        self.conv_norms = [norms(6, 800), norms(8, 8), norms(4, 8)]
        self.last = drawn(5, 2 * 2 * 4)


def dot(weights: IntArray, signs: list[int]) -> list[int]:
    """The dot product for each output."""
    return [sum(w * s for w, s in zip(row, signs, strict=True)) for row in weights.tolist()]


def sign(sums: list[int], norms: list[Norm]) -> list[int]:
    """1 where the batch norm of a sum is not negative, else -1."""
    return [
        1 if gamma * (a - mean) / deviation + beta >= 0 else -1
        for a, (gamma, beta, mean, deviation) in zip(sums, norms, strict=True)
    ]


def convolution(weights: IntArray, image: Image) -> Image:
    """Sums of all windows that lie in the image."""
    _, rows, columns, _ = weights.shape
    flat = weights.reshape(len(weights), -1)
    return [
        [
            dot(
                flat,
                [v for r, s in product(range(rows), range(columns)) for v in image[i + r][j + s]],
            )
            for j in range(len(image[0]) - columns + 1)
        ]
        for i in range(len(image) - rows + 1)
    ]


def signs_of(image: Image, norms: list[Norm]) -> Image:
    """At each position."""
    return [[sign(pixel, norms) for pixel in row] for row in image]


def padded(image: Image, value: int) -> Image:
    """By one pixel on each side."""
    pixel = [value] * len(image[0][0])
    border = [pixel] * (len(image[0]) + 2)
    return [border, *([pixel, *row, pixel] for row in image), border]


def pooled(image: Image) -> Image:
    """The largest of 2 x 2 pixels."""
    return [
        [
            [
                max(image[i + r][j + s][c] for r in (0, 1) for s in (0, 1))
                for c in range(len(image[i][j]))
            ]
            for j in range(0, len(image[0]) - 1, 2)
        ]
        for i in range(0, len(image) - 1, 2)
    ]


def tfc(made: Signs, signs: list[int]) -> list[int]:
    """Three layers on bits, as FINN's TFC."""
    for weights, norms in zip(made.fc, made.fc_norms, strict=False):
        signs = sign(dot(weights, signs), norms)
    return dot(made.fc[-1], signs)


def cnv(made: Signs, image: Image) -> list[int]:
    """Convolutions on bytes and signs and a max-pool, as FINN's CNV, two padded by -1 and by 1."""
    image = signs_of(convolution(made.conv[0], image), made.conv_norms[0])
    image = pooled(signs_of(convolution(made.conv[1], padded(image, -1)), made.conv_norms[1]))
    image = signs_of(convolution(made.conv[2], padded(image, 1)), made.conv_norms[2])
    return dot(made.last, [sign for row in image for pixel in row for sign in pixel])


def held(weights: IntArray) -> Weights:
    """In one bit each."""
    return Weights(codes=(weights - 1) // 2, grid=MidRise(1))


def threshold(source: str, weights: IntArray, norms: list[Norm], of_signs: bool = True) -> Layer:
    """A batch norm and its sign, of sums of codes."""
    limits = []
    for row, (gamma, beta, mean, deviation) in zip(weights, norms, strict=True):
        limit = mean - beta * deviation / gamma
        if of_signs:
            limit = (limit + int(row.sum())) / 2
        limits.append(math.ceil(limit) if gamma > 0 else math.floor(limit))
    return Threshold(
        name=f"{source}_sign",
        input=source,
        thresholds=np.array(limits)[:, np.newaxis],
        falling=np.array([gamma < 0 for gamma, *_ in norms], np.int64),
        format=BIT,
    )


def sums(name: str, source: str, weights: IntArray) -> Layer:
    """Sums of codes to sums of signs: twice as much, minus the sum of weights."""
    outputs = len(weights)
    return Rescale(
        name=name,
        input=source,
        mantissa=np.full(outputs, 4),
        offset=-2 * weights.sum(axis=1),
        shift=1,
        format=IntFormat(8, signed=True),
    )


def network(made: Signs) -> Network:
    """Both, side by side."""
    layers: list[Layer] = []
    source = "bits"
    for number, weights in enumerate(made.fc):
        layers.append(Dense(name=f"fc{number}", input=source, weights=held(weights)))
        if number < len(made.fc_norms):
            layers.append(threshold(f"fc{number}", weights, made.fc_norms[number]))
            source = f"fc{number}_sign"
    layers.append(sums("tfc", "fc2", made.fc[2]))
    source = "image"
    padding = [((0, 0), 0), ((1, 1), 0), ((1, 1), 1)]
    for number, (norms, (sides, code)) in enumerate(zip(made.conv_norms, padding, strict=True)):
        weights, name = made.conv[number], f"conv{number}"
        layers.append(
            Conv2d(name=name, input=source, weights=held(weights), padding=sides, pad_code=code)
        )
        flat = weights.reshape(len(weights), -1)
        layers.append(threshold(name, flat, norms, of_signs=number > 0))
        source = f"{name}_sign"
        if number == 1:
            pool = MaxPool2d(name="pool", input=source, kernel=(2, 2), stride=(2, 2))
            layers.append(pool)
            source = "pool"
    layers.append(Flatten(name="flat", input=source))
    layers.append(Dense(name="last", input="flat", weights=held(made.last)))
    layers.append(sums("cnv", "last", made.last))
    return Network(
        name="bipolar",
        inputs=(
            Input(name="bits", shape=(24,), format=BIT),
            Input(name="image", shape=(6, 6, 3), format=BYTE),
        ),
        layers=tuple(layers),
        outputs=("tfc", "cnv"),
    )


def samples(count: int) -> dict[str, IntArray]:
    """Bits and images."""
    rng = np.random.default_rng(3)
    return {
        "bits": rng.integers(0, 2, (count, 24)),
        "image": rng.integers(0, 256, (count, 6, 6, 3)),
    }


def test_networks_of_true_signs_give_the_same_integers():
    made, inputs = Signs(), samples(40)
    got = simulate(network(made), inputs)
    wanted = {
        "tfc": [tfc(made, [2 * bit - 1 for bit in bits]) for bits in inputs["bits"].tolist()],
        "cnv": [cnv(made, image) for image in inputs["image"].tolist()],
    }
    for name, rows in wanted.items():
        assert got[name].tolist() == rows
        assert len({*map(tuple, rows)}) > len(rows) / 2


@pytest.mark.parametrize(
    ("fabric", "counted"), [(Fabric.LUT6, 6), (Fabric.LUT4, 6), (Fabric.ECP5, 0)]
)
def test_sums_of_signs_are_counted_in_hardware_but_for_ecp5(fabric, counted):
    ours, inputs = network(Signs()), samples(1)
    vectors = Vectors(inputs=inputs, outputs=simulate(ours, inputs))
    schedule = replace(default_schedule(ours), fabric=fabric)
    project = emit(ours, schedule, vectors)
    assert sum(str(text).count(".Popcount(1'b1)") for text in project.files.values()) == counted


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
def test_networks_of_true_signs_on_every_target(tmp_path):
    ours = network(Signs())
    folds = {
        **default_schedule(ours).folds,
        "fc0": Fold(pe=4, simd=8),
        "conv1": Fold(pe=4, simd=6),
        "conv2": Fold(pe=4, simd=8),
    }
    chosen = [target for target in TARGETS if target.name in ("hls", "rtl")]
    schedule = Schedule(folds=folds)
    report = verify(ours, samples(40), targets=chosen, folder=tmp_path, schedule=schedule)
    assert [(row.status, row.mismatches) for row in report.rows] == [(Status.PASSED, 0)] * 2


def test_no_third_value_pads_signs():
    """A code of one bit is -1 or 1; lowering refuses zeros (``tests/lower/test_signs.py``)."""
    weights = held(Signs().conv[1])
    padded = Conv2d(name="conv", input="x", weights=weights, padding=(1, 1), pad_code=2)
    with pytest.raises(VecqError, match="'conv': it is padded with 2, which u1 does not hold"):
        Network(
            name="padded",
            inputs=(Input(name="x", shape=(4, 4, 6), format=BIT),),
            layers=(padded,),
            outputs=("conv",),
        )
