"""vecq_gather_sum: exact sums of listed positions, each word in the cycle that the model says."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, frames
from rtl_tests.images import Words, check
from vecq_hw.accelerator.buffered_units import gather_sum
from vecq_hw.emit.systemverilog.parameters import gather_lines
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntFormat
from vecq_hw.layers import GatherSum, Input
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

S5, U4 = IntFormat(5, signed=True), IntFormat(4, signed=False)


@dataclass(frozen=True)
class Shape:
    image: tuple[int, int, int]
    lanes: int
    counts: Sequence[int]
    """The number of indices in each row."""
    shifts: int | None = None
    """The largest."""
    format: IntFormat = S5

    def network(self, seed: int) -> Network:
        rng, positions = np.random.default_rng(seed), self.image[0] * self.image[1]
        layer = GatherSum(
            name="sums",
            input="x",
            indptr=np.cumsum([0, *self.counts]),
            indices=rng.integers(0, positions, sum(self.counts)),
            shifts=None if self.shifts is None else rng.integers(0, self.shifts + 1, positions),
        )
        source = Input(name="x", shape=self.image, format=self.format)
        return Network(name="one", inputs=(source,), layers=(layer,), outputs=("sums",))


SHAPES = [
    *(Shape((1, 5, 6), lanes, (3, 1, 4, 2)) for lanes in (1, 2, 3, 6)),
    # Empty rows: one, the first, the last, all.
    *(Shape((1, 4, 2), 1, counts) for counts in ((2, 0, 3), (0, 2), (3, 0), (0, 0, 0))),
    # Shifts, of either sign of format; an image of several rows.
    *(Shape((2, 3, 4), 2, (2, 5, 1), 3, fmt) for fmt in (S5, U4)),
    Shape((3, 2, 1), 1, (4, 0, 1, 1, 7), 1, U4),
    Shape((1, 3, 2), 2, (1, 2), 20),
    # One position, one row, one word; more rows than positions, and fewer.
    *(Shape((1, 1, 1), 1, counts) for counts in ((1,), (0,), (5,), (1, 1, 2))),
    Shape((1, 1, 4), 1, (2, 1)),
    Shape((1, 2, 1), 1, (1, 1, 2, 1, 3, 1, 1)),
    Shape((1, 9, 2), 2, (2,)),
    # Two listed and the rest not: all words must have come all the same.
    Shape((4, 4, 2), 1, (1, 1)),
]


def case(index: int) -> Case:
    shape, network = SHAPES[index], SHAPES[index].network(index)
    (layer,) = network.layers
    assert isinstance(layer, GatherSum)
    positions, fmt = shape.image[0] * shape.image[1], network.tensors["sums"].format
    lines, bits, shift_bits = gather_lines(layer, positions)
    return Case(
        module="vecq_gather_sum",
        parameters={
            "Positions": positions,
            "Folds": shape.image[2] // shape.lanes,
            "Entries": lines.size,
            "Lanes": shape.lanes,
            "ElementBits": shape.format.bits,
            "Signed": int(shape.format.signed),
            "ShiftBits": shift_bits,
            "SumBits": fmt.bits,
        },
        input_bits=shape.lanes * shape.format.bits,
        output_bits=shape.lanes * fmt.bits,
        memories={"File": Memory(values=lines, lanes=1, bits=bits)},
    )


CASES = [case(index) for index in range(len(SHAPES))]


def words(index: int) -> Words:
    shape, network = SHAPES[index], SHAPES[index].network(index)
    (layer,), fmt = network.layers, network.tensors["sums"].format
    assert isinstance(layer, GatherSum)
    given = frames(index, 2, shape.format.lo, shape.format.hi, int(np.prod(shape.image)))
    images = given.reshape(-1, *shape.image)
    return Words(
        given=pack_rows(images, shape.lanes, shape.format.bits),
        expected=pack_rows(simulate(network, images), shape.lanes, fmt.bits),
        unit=gather_sum(layer, shape.image, shape.lanes),
        periods=len(images),
    )


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def sums_are_exact_and_in_time(dut: Any, index: int) -> None:
    await check(dut, index, CASES[index], words(index))
