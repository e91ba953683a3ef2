"""A Dense with all its lanes, and the Rescale behind it, as one streaming module.

A frame is a word, and a word is taken every cycle.  The whole pipeline stands still while its last
word is not taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import jinja2

from vecq_hw.accelerator import units
from vecq_hw.accelerator.unrolled.adder_graph import AdderGraph, OffsetGraph, offset_form
from vecq_hw.accelerator.unrolled.stages import Stages, stages
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
        Cycles from a word taken to its result offered, at least 2.  What is computed in which of
        them says :func:`vecq_hw.accelerator.unrolled.stages.stages`.

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
        return _pipeline(module, form, sums, stages(form, None, latency), latency)
    form, ends = rescaled(graph, bias, rescale)
    return _pipeline(module, form, ends, stages(form, rescale, latency), latency)


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
    placed: Stages,
    latency: int,
) -> str:
    """Adders and ends, and behind each the registers until it is read for the last time."""
    names = node_names(graph)
    body = input_lines(graph, "data_i", names)
    registers: list[str] = []

    def at(node: int, stage: int) -> str:
        cycles = stage - placed.computed[node]
        return f"{names[node]}_q{cycles}" if cycles else names[node]

    def delay(name: str, bits: int, cycles: int) -> str:
        """The name of ``name`` behind so many registers."""
        delayed = [name, *(f"{name}_q{cycle}" for cycle in range(1, cycles + 1))]
        if cycles:
            body.append(f"  logic [{bits - 1}:0] {', '.join(delayed[1:])};")
        registers.extend(f"      {q} <= {d};" for d, q in pairwise(delayed))
        return delayed[-1]

    for node, (meaning, cycles) in enumerate(zip(graph.nodes, placed.registers, strict=True)):
        index = node - len(graph.inputs)
        if index >= 0:
            row = graph.rows[index]
            stage = placed.computed[node]
            operands = {operand: at(operand, stage) for operand in (row.plain, row.other)}
            body.extend(row_lines(graph, index, {**operands, node: names[node]}))
        delay(names[node], meaning.bits, cycles)
    bits = ends[0].format.bits
    for index, ((node_or_none, _), end) in enumerate(zip(graph.outputs, ends, strict=True)):
        stage = placed.ends[index]
        body += end.lines(index, "1'b0" if node_or_none is None else at(node_or_none, stage))
        result = delay(f"y{index}", bits, latency - 1 - stage)
        registers.append(f"      data_o[{index * bits} +: {bits}] <= {result};")
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
