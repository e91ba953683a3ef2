"""vecq_upsample: every pixel repeated, each word in the cycle that the model says."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, frames
from rtl_tests.images import Words, check
from vecq_hw.accelerator.buffered_units import upsampling
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Input, Upsample2d
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

FORMAT = IntFormat(5, signed=True)


@dataclass(frozen=True)
class Shape:
    image: tuple[int, int, int]
    lanes: int
    factor: tuple[int, int]

    @property
    def layer(self) -> Upsample2d:
        return Upsample2d(name="up", input="x", factor=self.factor)

    @property
    def network(self) -> Network:
        source = Input(name="x", shape=self.image, format=FORMAT)
        return Network(name="one", inputs=(source,), layers=(self.layer,), outputs=("up",))


SHAPES = [
    *(Shape((3, 4, 6), lanes, (2, 2)) for lanes in (1, 2, 6)),
    *(Shape((2, 3, 4), 2, factor) for factor in ((1, 1), (1, 2), (2, 1), (3, 1), (1, 3), (3, 4))),
    # One pixel, one row, one column, one word a row.
    *(Shape((1, 1, 1), 1, factor) for factor in ((1, 1), (2, 3))),
    *(Shape((4, 1, 1), 1, factor) for factor in ((2, 1), (1, 3), (2, 2))),
    *(Shape((4, 1, 3), 1, factor) for factor in ((2, 1), (1, 3), (2, 2))),
    Shape((1, 5, 2), 1, (3, 2)),
    Shape((3, 2, 1), 1, (2, 2)),
]


def case(shape: Shape) -> Case:
    bits = shape.lanes * FORMAT.bits
    return Case(
        module="vecq_upsample",
        parameters={
            "Width": shape.image[1],
            "Folds": shape.image[2] // shape.lanes,
            "FactorRows": shape.factor[0],
            "FactorColumns": shape.factor[1],
            "WordBits": bits,
        },
        input_bits=bits,
        output_bits=bits,
    )


CASES = [case(shape) for shape in SHAPES]


def words(index: int) -> Words:
    shape = SHAPES[index]
    elements = int(np.prod(shape.image))
    images = frames(index, 2, FORMAT.lo, FORMAT.hi, elements).reshape(-1, *shape.image)
    return Words(
        given=pack_rows(images, shape.lanes, FORMAT.bits),
        expected=pack_rows(simulate(shape.network, images), shape.lanes, FORMAT.bits),
        unit=upsampling(shape.layer, shape.image, shape.lanes),
        periods=len(images) * shape.image[0],
    )


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def pixels_are_repeated_in_time(dut: Any, index: int) -> None:
    await check(dut, index, CASES[index], words(index))
