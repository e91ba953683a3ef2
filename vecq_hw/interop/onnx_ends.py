"""The outputs of an ONNX graph: codes, accumulators, or one step for channels of different ones."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntFormat
from vecq_hw.interop.assembly import Imported
from vecq_hw.interop.chain import Chain
from vecq_hw.interop.graph import Node, Refusal, Unsupported, printable
from vecq_hw.interop.onnx_shapes import in_file_order
from vecq_hw.interop.onnx_values import Held, Hosted, Real, Refused, State, Waiting
from vecq_hw.interop.report import EndReport
from vecq_hw.layers import Rescale

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk

OUTPUT_BITS = 24
"""Bits of outputs at one step, where their channels have steps of their own."""


def finish(walk: Walk) -> Imported:
    """The network of a walk that took all nodes."""
    outputs: list[tuple[str, EndReport]] = []
    refusals = []
    for name in walk.graph.outputs:
        try:
            outputs.append(_output(walk, name, walk.states[name]))
        except Unsupported:
            raise
        except VecqError as error:
            refusals.append(Refusal(name, "the output", str(error)))
    if refusals:
        raise Unsupported(tuple(refusals))
    return walk.assembly.finish(outputs, walk.graph.format, "onnx")


def _output(walk: Walk, name: str, state: State) -> tuple[str, EndReport]:
    node = Node(name=name, operator="output", inputs=(), outputs=())
    while isinstance(state, Hosted):
        state = state.of
    if isinstance(state, Waiting):
        state = walk.held(state, state.quantizer.zero, node)
    if isinstance(state, Held):
        held = in_file_order(walk, state)
        return held.tensor, _end(walk, name, held, "codes", held.zero)
    if not isinstance(state, Real):
        raise Refused("it does not come from a tensor of the network; a quantizer is wanted")
    real = _line(walk, state, node)
    real = in_file_order(walk, real)
    return real.tensor, _end(walk, name, real, "reals", 0)


def _end(walk: Walk, name: str, seen: Held | Real, kind: str, zero: int) -> EndReport:
    tensor = walk.assembly.tensor(seen.tensor)
    step = tensor.step if isinstance(seen, Held) else float(seen.chain.scales)
    return EndReport(
        name=seen.tensor, source=name, shape=tensor.shape, source_shape=seen.split,
        format=repr(tensor.format), step=step, zero_point=zero, kind=kind,
    )  # fmt: skip


def _line(walk: Walk, real: Real, node: Node) -> Real:
    """Integers with one step: accumulators where they have it, else rescaled to one."""
    if real.pools:
        raise Refused("a MaxPool of what is not quantized is an output; put a quantizer there")
    scales, bias, rest = _affine(real.chain, real.channels)
    for step in rest:
        walk.assembly.drop(f"{step} before the output '{printable(node.name)}'")
    if not (np.isfinite(scales).all() and np.isfinite(bias).all()):
        raise Refused("its line is not finite")
    alike = bool((scales == scales[0]).all()) and scales[0] > 0
    if alike and not bias.any():
        return replace(real, chain=Chain.plain(scales[0]))
    source = walk.assembly.tensor(real.tensor)
    ones = np.ones(real.channels, np.int64)
    if alike:  # an integer bias in units of the accumulator
        whole = np.rint(bias / scales[0])
        if np.abs(whole).max() >= 1 << 40:
            raise Refused("its bias is out of proportion to its scale")
        offset = whole.astype(np.int64)
        lo, hi = int(source.format.lo + offset.min()), int(source.format.hi + offset.max())
        layer = Rescale(
            name=walk.assembly.free_name("output"), input=real.tensor, mantissa=2 * ones,
            offset=2 * offset, shift=1, format=IntFormat.covering(lo, hi), step=float(scales[0]),
        )  # fmt: skip
        walk.assembly.note(
            f"output '{printable(node.name)}': the bias is rounded to units of the accumulator,"
            f" {scales[0]:.9g}"
        )
        return replace(
            real, tensor=walk.assembly.add(layer, node.name), chain=Chain.plain(scales[0])
        )
    return _one_step(walk, real, scales, bias, node)


def _one_step(walk: Walk, real: Real, scales: FloatArray, bias: FloatArray, node: Node) -> Real:
    """A Rescale of channels with steps of their own to one, as fine as the bits allow."""
    source = walk.assembly.tensor(real.tensor)
    ends = np.stack([scales * source.format.lo + bias, scales * source.format.hi + bias])
    reach = float(np.abs(ends).max())
    if reach == 0:
        raise Refused("it is 0 whatever is read")
    step = 2.0 ** np.ceil(np.log2(reach / ((1 << (OUTPUT_BITS - 1)) - 2)))
    shift = int(np.clip(60 - np.ceil(np.log2(reach / step)) - 1, 1, 40))
    mantissa = np.rint(np.ldexp(scales / step, shift)).astype(np.int64)
    offset = np.rint(np.ldexp(bias / step, shift)).astype(np.int64)
    layer = Rescale(
        name=walk.assembly.free_name("output"), input=real.tensor, mantissa=mantissa,
        offset=offset, shift=shift, format=IntFormat(OUTPUT_BITS, signed=True), step=float(step),
    )  # fmt: skip
    walk.assembly.note(
        f"output '{printable(node.name)}': its channels have scales of their own, so that they are"
        f" rescaled to {OUTPUT_BITS} bits at the step {step:.9g}"
    )
    return replace(real, tensor=walk.assembly.add(layer, node.name), chain=Chain.plain(step))


def _affine(chain: Chain, channels: int) -> tuple[FloatArray, FloatArray, list[str]]:
    """Scale and bias of each channel, and the operators that follow and are no lines."""
    scales = np.broadcast_to(chain.scales, (channels,)).astype(np.float64)
    bias = np.broadcast_to(chain.bias, (channels,)).astype(np.float64)
    for index, step in enumerate(chain.steps):
        operands = [one.astype(np.float64) for one in step.operands]
        match step.operator:
            case "Add":
                bias = bias + operands[0]
            case "Sub":
                bias = bias - operands[0]
            case "SubFrom":
                scales, bias = -scales, operands[0] - bias
            case "Mul":
                scales, bias = scales * operands[0], bias * operands[0]
            case "Div":
                scales, bias = scales / operands[0], bias / operands[0]
            case "Neg":
                scales, bias = -scales, -bias
            case "Affine":
                scales, bias = scales * operands[0], bias * operands[0] + operands[1]
            case "Single" | "Double":
                pass
            case _:
                return scales, bias, [one.operator for one in chain.steps[index:]]
    return scales, bias, []
