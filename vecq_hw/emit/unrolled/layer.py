"""A Dense with all its lanes, and the Rescale behind it, as one streaming module.

A frame is a word, and a word is taken every cycle.  The whole pipeline stands still while its last
word is not taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vecq_hw.emit.unrolled import outputs
from vecq_hw.emit.unrolled.graph import (
    Adder,
    AdderGraph,
    OffsetGraph,
    Output,
    offset_form,
)
from vecq_hw.emit.unrolled.solve import solve
from vecq_hw.emit.unrolled.verilog import input_lines, node_names, row_lines
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Dense, Rescale


@dataclass(frozen=True, slots=True, kw_only=True)
class UnrolledLayer:
    """A module and its sources.

    Attributes
    ----------
    module : str
        With the ports of every streaming cell (``clk_i, rst_ni, valid_i, ready_o, data_i, ...``).
    files : mapping of str to str
        Texts by file name; the module also needs ``vecq_adder`` of rtl/.
    latency : int
        Cycles from a word taken to its result offered.
    output_bits : int
        Of one element of the result.
    """

    module: str
    files: Mapping[str, str]
    latency: int
    output_bits: int


def unrolled_layer(
    module: str,
    layer: Dense,
    source: IntFormat,
    accumulator: IntFormat,
    rescale: Rescale | None = None,
    *,
    levels: int = 2,
    attempts: int = 100,
    seed: int = 0,
) -> UnrolledLayer:
    """Emit ``layer``, and ``rescale`` if it follows; equal arguments, equal text.

    Parameters
    ----------
    module : str
        A legal identifier.
    source, accumulator : IntFormat
        Of the inputs and of the exact sums with their bias.
    levels : int
        Adders between two registers, at least 1.
    attempts, seed : int
        Of the search (:func:`vecq_hw.emit.unrolled.solve`).

    Raises
    ------
    VecqError
        The accumulator wraps, or ``levels`` is not positive.
    """
    if layer.accumulator_bits is not None:
        raise VecqError(
            f"layer '{layer.name}': an unrolled layer has no accumulator that could wrap at"
            f" {layer.accumulator_bits} bits; leave out accumulator_bits or fold the layer"
        )
    if levels < 1:
        raise VecqError(f"layer '{layer.name}': at least 1 adder a register, not {levels}")
    matrix = layer.weights.values
    graph = solve(matrix, (source,) * matrix.shape[1], attempts=attempts, seed=seed)
    bias = [0] * len(matrix) if layer.bias is None else layer.bias.tolist()
    if rescale is None:
        form = offset_form(graph)
        ends = [
            outputs.Sum(meaning, constant, accumulator)
            for (_, meaning), constant in zip(form.outputs, bias, strict=True)
        ]
        return _pipeline(module, form, ends, levels)
    half = 1 << (rescale.shift - 1)
    mantissas = rescale.mantissa.tolist()
    offsets = [
        m * known + b + half
        for m, known, b in zip(mantissas, bias, rescale.offset.tolist(), strict=True)
    ]
    search = rescale.format.hi - rescale.format.lo < outputs.SEARCHED
    form = offset_form(graph if search else scaled(graph, mantissas))
    steps = [
        outputs.Step(
            meaning, mantissa if search else 1, offset, rescale.shift, rescale.format, search
        )
        for (_, meaning), mantissa, offset in zip(form.outputs, mantissas, offsets, strict=True)
    ]
    return _pipeline(module, form, steps, levels)


def scaled(graph: AdderGraph, factors: list[int]) -> AdderGraph:
    """The graph with each output multiplied by an integer, in a few more adders."""
    adders, ends = list(graph.adders), []
    for output, factor in zip(graph.outputs, factors, strict=True):
        if output.node is None or factor == 0:
            ends.append(Output(None))
            continue
        product = solve(np.array([[factor]]), (IntFormat(1, signed=False),), attempts=4)
        places = [output.node]
        for adder in product.adders:
            left, right = places[adder.left], places[adder.right]
            adders.append(Adder(left, right, adder.left_shift, adder.right_shift, adder.subtract))
            places.append(len(graph.inputs) + len(adders) - 1)
        (end,) = product.outputs
        assert end.node is not None
        negative = end.negative != output.negative
        ends.append(Output(places[end.node], end.shift + output.shift, negative))
    return AdderGraph(graph.inputs, tuple(adders), tuple(ends))


def _pipeline(
    module: str, graph: OffsetGraph, ends: list[outputs.Sum] | list[outputs.Step], levels: int
) -> UnrolledLayer:
    stages = [max(0, depth - 1) // levels for depth in graph.depths]
    last = max(stages)
    names = node_names(graph)
    needed = list(stages)
    for index, row in enumerate(graph.rows):
        stage = stages[len(graph.inputs) + index]
        needed[row.plain] = max(needed[row.plain], stage)
        needed[row.other] = max(needed[row.other], stage)
    for node, _ in graph.outputs:
        if node is not None:
            needed[node] = last + 1

    def at(node: int, stage: int) -> str:
        delay = stage - stages[node]
        return f"{names[node]}_q{delay}" if delay else names[node]

    body, registers = input_lines(graph, "data_i", names), []
    for index, row in enumerate(graph.rows):
        node = len(graph.inputs) + index
        stage = stages[node]
        operands = {row.plain: at(row.plain, stage), row.other: at(row.other, stage)}
        body += row_lines(graph, index, {**operands, node: names[node]})
    for node, stage in enumerate(stages):
        delayed = [at(node, later) for later in range(stage + 1, needed[node] + 1)]
        if delayed:
            body.append(f"  logic [{graph.nodes[node].bits - 1}:0] {', '.join(delayed)};")
            sources = [names[node], *delayed]
            registers += [f"      {to} <= {of};" for of, to in zip(sources, delayed, strict=False)]
    bits = ends[0].format.bits
    for index, ((node_or_none, _), end) in enumerate(zip(graph.outputs, ends, strict=True)):
        value = "1'b0" if node_or_none is None else at(node_or_none, last + 1)
        body += end.lines(index, value)
        registers.append(f"      data_o[{index * bits} +: {bits}] <= y{index};")
    latency = last + 2
    total = sum(fmt.bits for fmt in graph.inputs)
    text = "\n".join(
        [
            f"module {module} (",
            "  input  logic clk_i,",
            "  input  logic rst_ni,",
            "  input  logic valid_i,",
            "  output logic ready_o,",
            f"  input  logic [{total - 1}:0] data_i,",
            "  output logic valid_o,",
            "  input  logic ready_i,",
            f"  output logic [{bits * len(ends) - 1}:0] data_o",
            ");",
            f"  logic [{latency - 1}:0] valid_q;",
            "  logic advance;",
            f"  assign valid_o = valid_q[{latency - 1}];",
            "  assign advance = !valid_o || ready_i;",
            "  assign ready_o = advance;",
            "  always_ff @(posedge clk_i) begin",
            "    if (!rst_ni) valid_q <= '0;",
            f"    else if (advance) valid_q <= {{valid_q[{latency - 2}:0], valid_i}};",
            "  end",
            *body,
            "  always_ff @(posedge clk_i) begin",
            "    if (advance) begin",
            *registers,
            "    end",
            "  end",
            "endmodule",
            "",
        ]
    )
    return UnrolledLayer(
        module=module, files={f"{module}.sv": text}, latency=latency, output_bits=bits
    )
