"""SystemVerilog of an adder graph in unsigned-offset form.

Each row is one ``vecq_adder`` (rtl/), which yosys maps to one LUT a bit, or on an ECP5 to carry
cells alone, on the bits above those that only one operand has: these are wires.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vecq_hw.accelerator.unrolled.adder_graph import OffsetGraph
from vecq_hw.emit.unrolled.outputs import RescaledEnd, SummedEnd
from vecq_hw.formats import IntFormat


def combinational(
    graph: OffsetGraph, module: str, ends: Sequence[SummedEnd | RescaledEnd] = ()
) -> str:
    """A module without a clock: ``x_i`` and ``y_o`` hold inputs and outputs, the first one lowest.

    A signed input is two's complement.  Without ``ends`` an output is the raw unsigned integer, in
    the bits of its node (0 has one).
    """
    bits = [node.bits for node in graph.nodes]
    names = node_names(graph)
    values = ["1'b0" if node is None else names[node] for node, _ in graph.outputs]
    widths = [1 if node is None else bits[node] for node, _ in graph.outputs]
    body = input_lines(graph, "x_i", names)
    for index in range(len(graph.rows)):
        body += row_lines(graph, index, dict(enumerate(names)))
    if ends:
        for index, (end, value) in enumerate(zip(ends, values, strict=True)):
            body += end.lines(index, value)
        values = [f"y{index}" for index in range(len(ends))]
        widths = [end.format.bits for end in ends]
    place = 0
    for value, width in zip(values, widths, strict=True):
        body.append(f"  assign y_o[{place} +: {width}] = {value};")
        place += width
    total = sum(fmt.bits for fmt in graph.inputs)
    lines = [
        f"module {module} (",
        f"  input  logic [{total - 1}:0] x_i,",
        f"  output logic [{place - 1}:0] y_o",
        ");",
        *body,
        "endmodule",
        "",
    ]
    return "\n".join(lines)


def node_names(graph: OffsetGraph) -> list[str]:
    """``x0, x1, ...`` for the inputs, ``s0, s1, ...`` for the rows."""
    inputs, rows = range(len(graph.inputs)), range(len(graph.rows))
    return [*(f"x{index}" for index in inputs), *(f"s{index}" for index in rows)]


def input_lines(graph: OffsetGraph, vector: str, names: Sequence[str]) -> list[str]:
    """Declare the inputs, cut from ``vector``."""
    lines, place = [], 0
    for name, node, fmt in zip(names, graph.nodes, graph.inputs, strict=False):
        lines.append(f"  logic [{node.bits - 1}:0] {name};")
        lines.append(f"  assign {name} = {_input(vector, fmt, place, node.bits)};")
        place += fmt.bits
    return lines


def _input(vector: str, fmt: IntFormat, place: int, bits: int) -> str:
    """The unsigned form of the input at bit ``place``: the sign bit inverted."""
    if not fmt.signed or bits < fmt.bits:  # an inverted sign bit that is never 1 is left out
        return f"{vector}[{place} +: {bits}]"
    sign = f"~{vector}[{place + bits - 1}]"
    return f"{{{sign}, {vector}[{place} +: {bits - 1}]}}" if bits > 1 else sign


def row_lines(graph: OffsetGraph, index: int, names: Mapping[int, str]) -> list[str]:
    """Declare and compute row ``index``; ``names`` are those of its operands and of itself."""
    row = graph.rows[index]
    node = len(graph.inputs) + index
    plain_bits, other_bits = graph.nodes[row.plain].bits, graph.nodes[row.other].bits
    plain, other = names[row.plain], ("~" if row.complement else "") + names[row.other]
    name, width = names[node], graph.nodes[node].bits
    lines = [f"  logic [{width - 1}:0] {name};"]
    shift = max(row.plain_shift, row.other_shift)
    if not graph.overlaps[index]:
        low, low_bits, high, high_bits = plain, plain_bits, other, other_bits
        if row.plain_shift:
            low, low_bits, high, high_bits = other, other_bits, plain, plain_bits
        # Bits for which the sum's exact range leaves no room are always zero.
        room = max(0, width - shift)
        kept = min(high_bits, room)
        cut = "" if kept == high_bits else f"[{kept - 1}:0]"
        upper = f"{high}{cut}, " if kept else ""
        top, gap = _zeros(room - kept), _zeros(width - room - low_bits)
        return [*lines, f"  assign {name} = {{{top}{upper}{gap}{low}}};"]
    if row.plain_shift < shift:
        lines.append(f"  assign {name}[{shift - 1}:0] = {plain}[{shift - 1}:0];")
        plain, plain_bits = f"{plain}[{plain_bits - 1}:{shift}]", plain_bits - shift
    if row.other_shift < shift:
        lines.append(f"  assign {name}[{shift - 1}:0] = {other}[{shift - 1}:0];")
        other, other_bits = f"{other}[{other_bits - 1}:{shift}]", other_bits - shift
    return [
        *lines,
        f"  vecq_adder #(.PlainBits({plain_bits}), .LogicBits({other_bits}),"
        f" .SumBits({width - shift}){'' if row.complement else ', .Ready(1)'}) add_{name} (",
        f"    .plain_i({plain}), .logic_i({other}), .carry_i(1'b0),"
        f" .sum_o({name}[{width - 1}:{shift}])",
        "  );",
    ]


def _zeros(bits: int) -> str:
    return f"{bits}'d0, " if bits else ""
