"""vecq_sliding_window: every word of every window, in the cycle that the model says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, frames
from rtl_tests.images import Words, check
from vecq_hw.accelerator.buffered_units import sliding_window
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntArray, MidRise
from vecq_hw.layers import Conv2d, Weights
from vecq_hw.layers.windows import Sides, sides

Pair = tuple[int, int]
SIDES = ("PaddingTop", "PaddingLeft", "PaddingBottom", "PaddingRight")
BITS = 5
FRAMES = 3


@dataclass(frozen=True)
class Shape:
    image: tuple[int, int, int]
    lanes: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Sides = (0, 0, 0, 0)
    dilation: Pair = (1, 1)
    pad_code: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "padding", sides(self.padding))

    @property
    def folds(self) -> int:
        return self.image[2] // self.lanes

    def positions(self, axis: int) -> IntArray:
        """The rows or columns in the padded image of the cells of each window."""
        sizes = (self.kernel, self.stride, self.dilation)
        kernel, stride, dilation = (size[axis] for size in sizes)
        last = self.image[axis] + sum(self.padding[axis::2]) - dilation * (kernel - 1)
        return np.arange(0, last, stride)[:, np.newaxis] + np.arange(kernel) * dilation

    @property
    def is_legal(self) -> bool:
        """Whether there are windows and one reaches the image."""
        if not all(len(self.positions(axis)) for axis in (0, 1)):
            return False
        rows = [self.positions(axis) - self.padding[axis] for axis in (0, 1)]
        return all(((r >= 0) & (r < n)).any() for r, n in zip(rows, self.image, strict=False))

    @property
    def begins_outside(self) -> bool:
        """Whether the first window has nothing of the image."""
        firsts = (self.positions(axis)[0] - self.padding[axis] for axis in (0, 1))
        sizes = zip(firsts, self.image, strict=False)
        return any(((cells < 0) | (cells >= size)).all() for cells, size in sizes)

    def windows(self, images: IntArray) -> IntArray:
        """All windows of (N, H, W, C): (N, window row, window column, row, column, C)."""
        top, left, bottom, right = self.padding
        around = [(0, 0), (top, bottom), (left, right), (0, 0)]
        padded = np.pad(images, around, constant_values=self.pad_code)
        cut: IntArray = padded[:, self.positions(0)][:, :, :, self.positions(1)]
        return cut.transpose(0, 1, 3, 2, 4, 5)

    @property
    def parameters(self) -> dict[str, object]:
        height, width, _ = self.image
        return {
            "Height": height,
            "Width": width,
            "Folds": self.folds,
            **dict(zip(("KernelRows", "KernelColumns"), self.kernel, strict=True)),
            **dict(zip(("StrideRows", "StrideColumns"), self.stride, strict=True)),
            **dict(zip(SIDES, self.padding, strict=True)),
            **dict(zip(("DilationRows", "DilationColumns"), self.dilation, strict=True)),
        }


def random_shapes(count: int, accepts: Callable[[Shape], bool]) -> list[Shape]:
    """Windows of any kind, as long as one of them reaches the image and they are accepted."""
    generator = np.random.default_rng(1)

    def pair(lo: int, hi: int) -> Pair:
        down, across = generator.integers(lo, hi, 2, endpoint=True).tolist()
        return down, across

    shapes: list[Shape] = []
    while len(shapes) < count:
        lanes, folds = pair(1, 3)
        shape = Shape(
            image=(*pair(1, 7), lanes * folds),
            lanes=lanes,
            kernel=pair(1, 4),
            stride=pair(1, 4),
            padding=(*pair(0, 3), *pair(0, 3)),
            dilation=pair(1, 3),
            pad_code=pair(0, 31)[0],
        )
        if shape.is_legal and accepts(shape):
            shapes.append(shape)
    return shapes


SHAPES = [
    # The usual ones: with and without padding, stride 2, a dilated one, depthwise lanes.
    Shape((5, 6, 2), 1, (3, 3)),
    Shape((5, 6, 4), 2, (3, 3), padding=(1, 1)),
    Shape((7, 5, 4), 4, (3, 3), (2, 2), (1, 1)),
    Shape((8, 8, 3), 3, (7, 7), (2, 2), (3, 3)),
    Shape((6, 7, 1), 1, (3, 3), padding=(2, 2), dilation=(2, 2)),
    Shape((6, 6, 8), 2, (3, 3), padding=(1, 1)),
    Shape((5, 5, 2), 2, (5, 5), padding=(2, 2)),
    # Every word once; some words never; the whole image at once.
    Shape((6, 6, 2), 1, (2, 2), (2, 2)),
    Shape((9, 8, 1), 1, (3, 3), (3, 3)),
    Shape((4, 5, 3), 3, (1, 1), (2, 2)),
    Shape((7, 8, 2), 1, (2, 2), (3, 3)),
    Shape((3, 4, 2), 1, (3, 4)),
    # One pixel, one row, one column, one word a row.
    Shape((1, 1, 1), 1, (1, 1), padding=(1, 1)),
    Shape((1, 1, 3), 1, (3, 3), padding=(1, 1)),
    Shape((1, 7, 2), 1, (1, 3), (1, 2), (0, 1)),
    Shape((7, 1, 2), 1, (3, 1)),
    Shape((5, 1, 1), 1, (1, 1), (2, 1)),
    # More padding than the kernel has cells beside its middle, also with nothing read first.
    Shape((4, 5, 2), 2, (1, 1), padding=(1, 1)),
    Shape((4, 4, 1), 1, (3, 3), padding=(2, 2)),
    Shape((3, 3, 2), 1, (3, 3), (5, 5), (4, 4)),
    Shape((2, 2, 1), 1, (7, 7), padding=(3, 3)),
    Shape((10, 1, 2), 1, (1, 1), (8, 1), (3, 0)),
    # Each side apart: as TFLite pads, over one edge alone, windows below and beside the image.
    Shape((8, 8, 2), 1, (3, 3), (2, 2), (0, 0, 1, 1)),
    Shape((13, 5, 1), 1, (10, 4), (2, 2), (4, 1, 5, 1), pad_code=9),
    Shape((3, 4, 2), 2, (2, 2), padding=(0, 0, 3, 4), pad_code=31),
    Shape((3, 4, 1), 1, (2, 3), padding=(3, 4, 0, 0), pad_code=17),
    Shape((5, 4, 1), 1, (3, 2), (3, 2), (0, 1, 4, 0)),
    # Both axes apart.
    Shape((7, 6, 2), 1, (3, 2), (2, 1), (1, 0), (1, 2)),
    Shape((8, 3, 1), 1, (2, 3), (3, 2), (2, 0), (3, 1)),
    *random_shapes(17, lambda shape: True),
]
USUAL = 12
"""The first so many of these are windows of common networks, in the order above."""


def case(number: int, shape: Shape) -> Case:
    bits = shape.lanes * BITS
    pad = f"{{{shape.lanes}{{{BITS}'d{shape.pad_code}}}}}"
    return Case(
        module="vecq_sliding_window",
        parameters={
            **shape.parameters,
            "WordBits": bits,
            "PadWord": pad,
            "CarryChoice": number % 2,
        },
        input_bits=bits,
        output_bits=bits,
    )


CASES = [case(number, shape) for number, shape in enumerate(SHAPES)]


def words(index: int) -> Words:
    shape = SHAPES[index]
    elements = int(np.prod(shape.image))
    drawn = frames(index, FRAMES, 0, (1 << BITS) - 1, elements)[-FRAMES - 1 :]
    images = drawn.reshape(-1, *shape.image)
    layer = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=np.zeros((1, *shape.kernel, shape.image[2]), int), grid=MidRise(1)),
        stride=shape.stride,
        padding=shape.padding,
        dilation=shape.dilation,
    )
    return Words(
        given=pack_rows(images, shape.lanes, BITS),
        expected=pack_rows(shape.windows(images), shape.lanes, BITS),
        unit=sliding_window(layer, shape.image, shape.lanes),
        periods=len(images),
        causal=not any(shape.padding[:2]) or shape.begins_outside,
    )


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def windows_are_whole_and_in_time(dut: Any, index: int) -> None:
    await check(dut, index, CASES[index], words(index))
