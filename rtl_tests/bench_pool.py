"""vecq_pool: maxima and sums of all windows, each word in the cycle that the model says."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.bench_sliding_window import Shape, random_shapes
from rtl_tests.harness import Case, frames
from rtl_tests.images import Words, check
from vecq_hw.accelerator.buffered_units import sliding_window
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Input, MaxPool2d, SumPool2d, Tensor
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

FRAMES = 1
FORMATS = [IntFormat(bits, signed=signed) for bits in (1, 4, 8) for signed in (False, True)]


@dataclass(frozen=True)
class Pool:
    windows: Shape
    format: IntFormat
    is_max: bool
    spare_bits: int  # that the results are wider than they need be

    @property
    def layer(self) -> MaxPool2d | SumPool2d:
        shape = self.windows
        window = {"kernel": shape.kernel, "stride": shape.stride, "padding": shape.padding}
        if not self.is_max:
            return SumPool2d(name="pool", input="x", **window)
        return MaxPool2d(name="pool", input="x", **window, dilation=shape.dilation)

    @property
    def network(self) -> Network:
        source = Input(name="x", shape=self.windows.image, format=self.format)
        return Network(name="one", inputs=(source,), layers=(self.layer,), outputs=("pool",))


def is_pool(shape: Shape) -> bool:
    """Whether a pool may have these windows: none is of padding alone."""
    tensor = Tensor(shape=shape.image, format=FORMATS[0], step=1.0)
    return not any(Pool(shape, FORMATS[0], True, 0).layer.problems(tensor))


WINDOWS = [
    Shape((6, 6, 2), 1, (2, 2), (2, 2)),
    Shape((6, 8, 4), 4, (2, 2), (2, 2)),
    Shape((7, 7, 3), 1, (3, 3), (2, 2), (1, 1)),
    Shape((5, 6, 4), 2, (3, 3), padding=(1, 1)),
    Shape((6, 6, 1), 1, (2, 2), (2, 2), (1, 1)),
    Shape((4, 4, 6), 2, (4, 4)),  # the whole image
    Shape((1, 1, 1), 1, (1, 1)),
    Shape((1, 7, 2), 1, (1, 3), (1, 2), (0, 1)),
    Shape((7, 1, 1), 1, (2, 1), (2, 1)),
    Shape((5, 5, 2), 2, (1, 1), (2, 2)),
    Shape((7, 5, 3), 3, (3, 2), (1, 3), (1, 0)),
    # Over each edge apart, and dilated, which a maximum alone may be.
    Shape((6, 5, 2), 1, (3, 3), (2, 2), (0, 2, 1, 0)),
    Shape((5, 7, 2), 2, (3, 2), (2, 1), (1, 1, 0, 1), (2, 2)),
    *random_shapes(8, is_pool),
]
POOLS = [
    Pool(shape, FORMATS[(number + 3 * kind) % len(FORMATS)], bool(kind), number % 3)
    for number, shape in enumerate(WINDOWS)
    for kind in range(2)
    if kind or shape.dilation == (1, 1)
]


def output_bits(pool: Pool) -> int:
    kernel = pool.windows.kernel
    growth = 0 if pool.is_max else (kernel[0] * kernel[1] - 1).bit_length()
    return pool.format.bits + growth + pool.spare_bits


def case(number: int, pool: Pool) -> Case:
    lanes, bits = pool.windows.lanes, pool.format.bits
    return Case(
        module="vecq_pool",
        parameters={
            **pool.windows.parameters,
            "Lanes": lanes,
            "ElementBits": bits,
            "Signed": int(pool.format.signed),
            "Max": int(pool.is_max),
            "CarryChoice": number // 2 % 2,
            **({"OutputBits": output_bits(pool)} if pool.spare_bits else {}),
        },
        input_bits=lanes * bits,
        output_bits=lanes * output_bits(pool),
    )


CASES = [case(number, pool) for number, pool in enumerate(POOLS)]


def words(index: int) -> Words:
    pool = POOLS[index]
    shape, fmt = pool.windows, pool.format
    elements = int(np.prod(shape.image))
    images = frames(index, FRAMES, fmt.lo, fmt.hi, elements).reshape(-1, *shape.image)
    return Words(
        given=pack_rows(images, shape.lanes, fmt.bits),
        expected=pack_rows(simulate(pool.network, images), shape.lanes, output_bits(pool)),
        unit=sliding_window(pool.layer, shape.image, shape.lanes),
        periods=len(images),
    )


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def results_are_exact_and_in_time(dut: Any, index: int) -> None:
    await check(dut, index, CASES[index], words(index))
