"""The cells that put the positions of an image together, or elsewhere."""

from __future__ import annotations

from typing import assert_never

from vecq_hw.accelerator.cells import Gathering, Pool, Reordering, Upsampling, Windows
from vecq_hw.bench.words import pack
from vecq_hw.emit.systemverilog.instances import Memory, Placed
from vecq_hw.emit.systemverilog.orders import order_parameters
from vecq_hw.emit.systemverilog.parameters import bit, carry_choice, gather_lines
from vecq_hw.emit.systemverilog.streams import NamedStream
from vecq_hw.layers import MaxPool2d, SumPool2d, Tensor, WindowLayer
from vecq_hw.schedule import Fabric


def windows(cell: Windows, source: NamedStream, read: Tensor, fabric: Fabric) -> Placed:
    """The cell that gives the windows of a convolution."""
    parameters = _geometry(cell.layer, source, read, fabric) | {"WordBits": source.word}
    if any(cell.layer.padding) and cell.layer.pad_code:
        code = cell.layer.pad_code & ((1 << source.bits) - 1)
        parameters["PadWord"] = f"{{{source.lanes}{{{source.bits}'d{code}}}}}"
    return Placed("vecq_sliding_window", parameters)


def pool(
    cell: Pool, source: NamedStream, target: NamedStream, read: Tensor, fabric: Fabric
) -> Placed:
    """The cell of a MaxPool2d or SumPool2d."""
    match cell.layer:
        case MaxPool2d():
            maximum = True
        case SumPool2d():
            maximum = False
        case _:
            assert_never(cell.layer)
    elements: dict[str, object] = {
        "Lanes": source.lanes,
        "ElementBits": source.bits,
        "Signed": bit(source.signed),
        "Max": bit(maximum),
        "OutputBits": target.bits,
    }
    return Placed("vecq_pool", _geometry(cell.layer, source, read, fabric) | elements)


def _geometry(
    layer: WindowLayer, source: NamedStream, read: Tensor, fabric: Fabric
) -> dict[str, object]:
    """The parameters of a sliding window."""
    height, width, channels = read.shape
    axes, sides = ("Rows", "Columns"), ("Top", "Left", "Bottom", "Right")
    parts: list[tuple[str, tuple[str, ...], tuple[int, ...]]] = [
        ("Kernel", axes, layer.kernel),
        ("Stride", axes, layer.stride),
        ("Padding", sides, layer.padding),
        ("Dilation", axes, layer.dilation),
    ]
    result: dict[str, object] = {
        f"{name}{end}": number
        for name, ends, numbers in parts
        for end, number in zip(ends, numbers, strict=True)
    }
    result |= carry_choice(fabric)
    return {"Height": height, "Width": width, "Folds": channels // source.lanes} | result


def reordering(cell: Reordering, source: NamedStream) -> Placed:
    """The cell that gives the elements in another order."""
    element = cell.code & ((1 << source.bits) - 1)
    code = pack([element] * source.lanes, source.bits)
    parameters, tables = order_parameters(cell.order, source.word, code)
    for number, (lines, bits) in enumerate(tables):
        parameters[f"Table{number}File"] = Memory(f"order{number}", lines, 1, bits)
    return Placed("vecq_reorder", parameters)


def upsampling(cell: Upsampling, source: NamedStream, read: Tensor) -> Placed:
    """The cell that repeats each position."""
    _, width, channels = read.shape
    rows, columns = cell.layer.factor
    parameters: dict[str, object] = {
        "Width": width,
        "Folds": channels // source.lanes,
        "FactorRows": rows,
        "FactorColumns": columns,
        "WordBits": source.word,
    }
    return Placed("vecq_upsample", parameters)


def gathering(cell: Gathering, source: NamedStream, target: NamedStream, read: Tensor) -> Placed:
    """The cell that adds the positions of a list."""
    lines, bits, shift_bits = gather_lines(cell.layer, read.positions)
    parameters: dict[str, object] = {
        "Positions": read.positions,
        "Folds": read.channels // source.lanes,
        "Entries": lines.size,
        "Lanes": source.lanes,
        "ElementBits": source.bits,
        "Signed": bit(source.signed),
        "ShiftBits": shift_bits,
        "SumBits": target.bits,
        "File": Memory("list", lines, 1, bits),
    }
    return Placed("vecq_gather_sum", parameters)
