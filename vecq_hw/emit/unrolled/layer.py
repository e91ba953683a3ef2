"""A Dense with all its lanes, and the Rescale behind it, as one streaming module.

A frame is a word, and a word is taken every cycle.  The whole pipeline stands still while its last
word is not taken.
"""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from vecq_hw.accelerator import units
from vecq_hw.accelerator.unrolled.adder_graph import AdderGraph, OffsetGraph, offset_form
from vecq_hw.accelerator.unrolled.stages import stages
from vecq_hw.emit.unrolled import outputs
from vecq_hw.emit.unrolled.verilog import input_lines, node_names, row_lines
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Dense, Rescale


def unrolled_layer(
    module: str,
    layer: Dense,
    graph: AdderGraph,
    accumulator: IntFormat,
    rescale: Rescale | None = None,
    *,
    latency: int,
) -> str:
    """The text of a module for ``layer``, and ``rescale`` if it follows.

    It has the ports of every streaming cell (``clk_i, rst_ni, valid_i, ready_o, data_i, ...``) and
    needs ``vecq_adder`` of rtl/.  Equal arguments, equal text.

    Parameters
    ----------
    module : str
        A legal identifier.
    graph : AdderGraph
        Of the sums, as :func:`vecq_hw.accelerator.unrolled.circuit.circuit` finds it.
    accumulator : IntFormat
        Of the exact sums with their bias.
    latency : int
        Cycles from a word taken to its result offered, at least 2.  The adders are spread evenly
        over all but the last, in which the bias is added or the rescale ends.

    Raises
    ------
    VecqError
        The accumulator wraps, or ``latency`` is less than 2.
    """
    if layer.accumulator_bits is not None:
        raise VecqError(
            f"layer '{layer.name}': an unrolled layer has no accumulator that could wrap at"
            f" {layer.accumulator_bits} bits; leave out accumulator_bits or fold the layer"
        )
    if latency < 2:
        raise VecqError(f"layer '{layer.name}': a latency of at least 2 cycles, not {latency}")
    bias = [0] * len(graph.outputs) if layer.bias is None else layer.bias.tolist()
    if rescale is None:
        form = offset_form(graph)
        sums = [
            outputs.SummedEnd(meaning, constant, accumulator)
            for (_, meaning), constant in zip(form.outputs, bias, strict=True)
        ]
        return _pipeline(module, form, sums, latency)
    return _pipeline(module, *rescaled(graph, bias, rescale), latency)


def rescaled(
    graph: AdderGraph, bias: Sequence[int], rescale: Rescale
) -> tuple[OffsetGraph, list[outputs.RescaledEnd]]:
    """The graph of a circuit, and what is left to do with each of its outputs.

    Parameters
    ----------
    graph : AdderGraph
        Of the sums, times the mantissas unless the rescale is a search.
    bias : sequence of int
        Added to each sum before the rescale.
    """
    mantissas, shifts = rescale.mantissa.tolist(), rescale.shifts.tolist()
    offsets = [
        m * known + b + (1 << (s - 1))
        for m, known, b, s in zip(mantissas, bias, rescale.offset.tolist(), shifts, strict=True)
    ]
    search = units.is_searched(rescale)
    form = offset_form(graph)
    steps = [
        outputs.RescaledEnd(meaning, m if search else 1, offset, s, rescale.format, search)
        for (_, meaning), m, offset, s in zip(form.outputs, mantissas, offsets, shifts, strict=True)
    ]
    return form, steps


def _template() -> jinja2.Template:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("vecq_hw.emit", "templates/rtl"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    ).get_template("unrolled.sv.j2")


def _pipeline(
    module: str,
    graph: OffsetGraph,
    ends: Sequence[outputs.SummedEnd | outputs.RescaledEnd],
    latency: int,
) -> str:
    """The adders in all stages but the last, then the ends and the last register."""
    placed = stages(graph, latency)
    computed, last = placed.computed, placed.last
    names = node_names(graph)

    def at(node: int, stage: int) -> str:
        cycles = stage - computed[node]
        return f"{names[node]}_q{cycles}" if cycles else names[node]

    body = input_lines(graph, "data_i", names)
    registers: list[str] = []

    def delay(node: int) -> None:
        delayed = [at(node, stage) for stage in range(computed[node] + 1, placed.read[node] + 1)]
        if delayed:
            body.append(f"  logic [{graph.nodes[node].bits - 1}:0] {', '.join(delayed)};")
            sources = [names[node], *delayed]
            registers.extend(f"      {q} <= {d};" for d, q in zip(sources, delayed, strict=False))

    for node in range(len(graph.inputs)):
        delay(node)
    for index, row in enumerate(graph.rows):
        node = len(graph.inputs) + index
        operands = {operand: at(operand, computed[node]) for operand in (row.plain, row.other)}
        body.extend(row_lines(graph, index, {**operands, node: names[node]}))
        delay(node)
    bits = ends[0].format.bits
    for index, ((node_or_none, _), end) in enumerate(zip(graph.outputs, ends, strict=True)):
        value = "1'b0" if node_or_none is None else at(node_or_none, last + 1)
        body += end.lines(index, value)
        registers.append(f"      data_o[{index * bits} +: {bits}] <= y{index};")
    return _template().render(
        module=module,
        inputs=len(graph.inputs),
        outputs=len(ends),
        input_bits=sum(fmt.bits for fmt in graph.inputs),
        output_bits=bits * len(ends),
        latency=latency,
        body=body,
        registers=registers,
    )
