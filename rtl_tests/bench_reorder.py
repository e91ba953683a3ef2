"""vecq_reorder: words in a static order, each word in the cycle that the model says."""

from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, frames
from rtl_tests.images import Words, check
from vecq_hw.accelerator.buffered_units import reordering
from vecq_hw.accelerator.orders import word_order
from vecq_hw.emit.systemverilog.orders import order_parameters
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Input, OrderLayer, Permute, Take
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

FORMAT = IntFormat(5, signed=True)
Shape = tuple[int, ...]


def take(code: int = 0, **indices: Any) -> Take:
    arrays = {axis: np.asarray(taken) for axis, taken in indices.items()}
    return Take(name="order", input="x", code=code, **arrays)


def permute(split: Shape, order: Shape, shape: Shape) -> Permute:
    return Permute(name="order", input="x", split=split, order=order, shape=shape)


def bordered(size: int, mode: str, width: int = 1) -> IntArray:
    more = {"constant_values": -1} if mode == "constant" else {}
    return np.pad(np.arange(size), width, mode=mode, **more)


def spread(size: int, stride: int, first: int = 0, end: int | None = None) -> IntArray:
    result = np.full(size * stride, -1)
    result[first::stride] = np.arange(size)
    return result[:end]


# Layer, shape of what comes in, lanes in which it comes.
SHAPES: list[tuple[OrderLayer, Shape, int]] = [
    # Kept: a row, two rows, a frame, a pixel.
    (permute((2, 3, 2, 2, 2), (0, 2, 1, 3, 4), (4, 6, 2)), (2, 3, 8), 2),
    (permute((2, 2, 3, 2, 2), (0, 2, 4, 1, 3), (2, 3, 8)), (4, 6, 2), 2),
    (permute((1, 4, 5), (0, 2, 1), (1, 5, 4)), (1, 4, 5), 5),
    (take(channels=[0, 3, 1, 4, 2, 5]), (2, 3, 6), 3),
    # Nothing kept.
    (take(rows=range(1, 4), columns=range(1, 3)), (5, 4, 2), 2),
    (take(channels=range(2, 6)), (2, 3, 8), 4),
    (take(code=-3, rows=spread(3, 2), columns=spread(2, 2)), (3, 2, 2), 2),
    (take(code=7, rows=spread(2, 3, 1, -1), columns=spread(3, 2, 1)), (2, 3, 2), 1),
    (take(code=5, rows=bordered(3, "constant"), columns=bordered(2, "constant", 2)), (3, 2, 1), 1),
    # Borders.
    (take(rows=bordered(4, "reflect"), columns=bordered(3, "reflect", 2)), (4, 3, 2), 2),
    (take(rows=bordered(3, "edge", 2), columns=bordered(4, "edge")), (3, 4, 2), 1),
    (take(rows=bordered(3, "wrap"), columns=bordered(2, "wrap")), (3, 2, 2), 2),
    # All three axes listed, backwards, any.
    (take(code=1, rows=[2, -1, 0], columns=[-1, 3, 0, 3], channels=[3, -1, 0, 0]), (3, 4, 4), 2),
    (take(rows=[3, 2, 1, 0], columns=[2, 1, 0], channels=[1, 0]), (4, 3, 2), 2),
    (take(channels=[4, 6, -1, 1, 0]), (7,), 1),
    (take(channels=[5]), (7,), 1),
    # One word; nothing but the code in front.
    (take(code=2, rows=[-1, -1, 0]), (1, 1, 1), 1),
    (take(columns=[0, 0, 0]), (2, 1, 3), 3),
    (take(rows=[70, 3] * 40 + [0], columns=[0, -1]), (71, 1, 1), 1),
]


def case(layer: OrderLayer, shape: Shape, lanes: int) -> Case:
    channels = network(layer, shape).tensors["order"].channels
    order, lanes = word_order(layer, shape, lanes, channels)
    word, code = lanes * FORMAT.bits, layer.code if isinstance(layer, Take) else 0
    parameters, tables = order_parameters(order, word, pack_rows(np.full(lanes, code), lanes, 5)[0])
    return Case(
        module="vecq_reorder",
        parameters=parameters,
        input_bits=word,
        output_bits=word,
        memories={
            f"Table{number}File": Memory(values=lines, lanes=1, bits=bits)
            for number, (lines, bits) in enumerate(tables)
        },
    )


def network(layer: OrderLayer, shape: Shape) -> Network:
    source = Input(name="x", shape=shape, format=FORMAT)
    return Network(name="one", inputs=(source,), layers=(layer,), outputs=("order",))


CASES = [case(*shape) for shape in SHAPES]


def words(index: int) -> Words:
    layer, shape, lanes = SHAPES[index]
    one = network(layer, shape)
    order, lanes = word_order(layer, shape, lanes, one.tensors["order"].channels)
    images = frames(index, 2, FORMAT.lo, FORMAT.hi, int(np.prod(shape))).reshape(-1, *shape)
    return Words(
        given=pack_rows(images, lanes, FORMAT.bits),
        expected=pack_rows(simulate(one, images), lanes, FORMAT.bits),
        unit=reordering(order),
        periods=len(images),
    )


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def words_come_in_order_and_in_time(dut: Any, index: int) -> None:
    await check(dut, index, CASES[index], words(index))
