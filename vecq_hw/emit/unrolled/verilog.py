"""SystemVerilog of an adder graph in unsigned-offset form."""

from __future__ import annotations

from vecq_hw.emit.unrolled.graph import OffsetGraph, Row


def row_text(graph: OffsetGraph, index: int, names: list[str]) -> str:
    """The right side of the assignment to row ``index``; ``names`` are those of the nodes."""
    row = graph.rows[index]
    plain, other = graph.nodes[row.plain].bits, graph.nodes[row.other].bits
    width = graph.nodes[len(graph.inputs) + index].bits
    x, y = names[row.plain], names[row.other]
    if graph.overlaps[index] == 0:
        inverted = "~" if row.complement else ""
        parts = sorted([(row.plain_shift, plain, x), (row.other_shift, other, inverted + y)])
        (_, low_bits, low), (shift, high_bits, high) = parts
        top, gap = width - shift - high_bits, shift - low_bits
        zeros = [f"{n}'d0" if n else "" for n in (top, gap)]
        return "{" + ", ".join(filter(None, [zeros[0], high, zeros[1], low])) + "}"
    return _sum(row, plain, other, width, x, y)


def _sum(row: Row, plain: int, other: int, width: int, x: str, y: str) -> str:
    low, low_bits = (x, plain) if row.plain_shift == 0 else (y, other)
    shift = max(row.plain_shift, row.other_shift)
    upper = width - shift

    def operand(name: str, bits: int, own_shift: int) -> tuple[str, int]:
        if own_shift or not shift:
            return name, bits
        rest = bits - shift
        return (f"{name}[{bits - 1}:{shift}]" if rest > 1 else f"{name}[{shift}]"), rest

    a, a_bits = operand(x, plain, row.plain_shift)
    b, b_bits = operand(y, other, row.other_shift)
    a = f"{{{upper - a_bits}'d0, {a}}}" if upper > a_bits else a
    if row.complement:
        ones = f"{{{upper - b_bits}{{1'b1}}}}"
        b = f"{{{ones}, {b}}}" if upper > b_bits else b
        total = f"{a} - {b}"
    else:
        b = f"{{{upper - b_bits}'d0, {b}}}" if upper > b_bits else b
        total = f"{a} + {b}"
    if not shift:
        return total
    tail = f"{low}[{shift - 1}:0]" if low_bits > 1 else low
    return f"{{{total}, {tail}}}"
