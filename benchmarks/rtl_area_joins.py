"""Cells for :mod:`benchmarks.rtl_area_cells`: products, sums, differences, and the Rescale."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from benchmarks.cell_alone import Cell
from vecq_hw.emit.systemverilog.parameters import memory_text, word_literal


def multiply(what: str, left: int, right: int, words: int = 1, positions: int = 1) -> Cell:
    """Four lanes of unsigned by signed numbers."""
    lanes = 4
    return Cell(
        what=what,
        module="vecq_multiply",
        parameters={
            "Lanes": lanes,
            "LeftBits": left,
            "RightBits": right,
            "RightSigned": "1'b1",
            "ProductBits": left + right,
            "Words": words,
            "Positions": positions,
        },
        input_bits=lanes * (left + right),
        output_bits=lanes * (left + right),
        lanes=lanes,
        inputs=2,
    )


def add(what: str, **parameters: object) -> Cell:
    """Two operands of 8 bits, or of other widths, on four lanes."""
    lanes = 4
    bits = parameters.get("AllBits", 16)
    assert isinstance(bits, int)
    return Cell(
        what=what,
        module="vecq_add",
        parameters={"Lanes": lanes, "Signed": "1'b1", "SumBits": 9, **parameters},
        input_bits=lanes * bits,
        output_bits=lanes * 9,
        lanes=lanes,
        inputs=2,
    )


def rescale(what: str, classes: int, positions: int = 64, *, constant: bool = False) -> Cell:
    """Sixteen channels of 20 bits to 8 on four lanes, mantissas of 18 bits or one for all."""
    lanes, channels, rng = 4, 16, np.random.default_rng(0)
    mantissas = rng.integers(1 << 16, 1 << 17, classes * channels)
    if constant:
        mantissas[:] = mantissas[0]
    numbers = {
        "MantissaFile": (mantissas, 18),
        "OffsetFile": (rng.integers(1 << 28, 1 << 30, classes * channels), 32),
    }
    memories = {name: memory_text(rows, lanes, bits) for name, (rows, bits) in numbers.items()}
    parameters: dict[str, object] = {}
    if constant:
        factors = word_literal(mantissas[:lanes], 18)
        parameters = {"Constant": f"{lanes}'b{'1' * lanes}", "Factors": factors}
    if classes > 1:
        words = channels // lanes
        rows = rng.integers(0, classes, positions) * words
        memories["RowsFile"] = memory_text(rows, 1, (classes * words - 1).bit_length())
        parameters = {"Classes": classes, "Positions": positions}
    return Cell(
        what=what,
        module="vecq_rescale",
        parameters={
            "Channels": channels,
            "Lanes": lanes,
            "AccumulatorBits": 20,
            "Shift": 26,
            **parameters,
        },
        input_bits=lanes * 20,
        output_bits=lanes * 8,
        memories=memories,
        lanes=lanes,
    )


def products() -> Sequence[Cell]:
    """Cells that multiply two streams, or one stream by a vector that they keep for a frame."""
    return [
        multiply("Multiply, 8 by 8 bits", 8, 8),
        multiply("Multiply, 8 by 8 bits, one of 16 channels for 64 positions", 8, 8, 4, 64),
        multiply("Multiply, 4 by 4 bits", 4, 4),
    ]


def sums() -> Sequence[Cell]:
    """Sums and differences of two streams."""
    return [
        add("Add, two of 8 bits"),
        add("Subtract, 8 bits", Subtract="1'b1"),
        add(
            "Add, 8 bits and unsigned 5",
            OperandBits="64'h0000_0005_0000_0008",
            OperandSigned="2'b01",
            AllBits=13,
        ),
    ]


def rescales() -> Sequence[Cell]:
    """With one class of positions, with one mantissa, and with several classes."""
    return [
        rescale("Rescale, 20 to 8 bits", 1),
        rescale("Rescale, 20 to 8 bits, one mantissa", 1, constant=True),
        rescale("Rescale, 20 to 8 bits, 9 classes of 64 positions", 9),
    ]
