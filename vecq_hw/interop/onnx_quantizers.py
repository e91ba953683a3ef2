"""The quantizers of QONNX and of ONNX, on constants and on what lies between layers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from vecq_hw.formats import IntFormat
from vecq_hw.interop.chain import ROUNDINGS, Quantizer, checked
from vecq_hw.interop.graph import Node, printable
from vecq_hw.interop.onnx_values import (
    Fixed,
    Held,
    Outside,
    OutsideCodes,
    PairSum,
    Parts,
    Real,
    Refused,
    State,
    Waiting,
    checked_scale,
    checked_scales,
    scalar,
    whole_zero,
)

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk

MOST_ACTIVATION_BITS = 16
Quantizable = Real | Outside | Parts | PairSum


def quant(walk: Walk, node: Node) -> State:
    """``Quant(x, scale, zero point, bits)`` of QONNX."""
    x, scale, zero, bits = (walk.constant_or_state(node, i) for i in range(4))
    scale, zero, bits = (_fixed(one, what) for one, what in (
        (scale, "its scale"), (zero, "its zero point"), (bits, "its bit width")))  # fmt: skip
    width = _bit_width(bits)
    signed, narrow = (bool(node.attributes.get(key, 0)) for key in ("signed", "narrow"))
    rounding = _rounding(node.attributes.get("rounding_mode", "ROUND"))
    signs = signed and width == 1
    lo, hi = _ends(width, signed, narrow)
    if signs:
        lo, hi = -1, 1
    if isinstance(x, Fixed):
        return _quantized_constant(x, scale, zero, (lo, hi), rounding, signs)
    value = scalar(zero, "its zero point")
    if value != math.floor(value):
        raise Refused(
            f"its zero point is {value}; on activations a whole number is wanted, as 0 must have a"
            " code"
        )
    if width > MOST_ACTIVATION_BITS:
        raise Refused(f"it gives {width} bits; at most {MOST_ACTIVATION_BITS} are taken")
    point = whole_zero(value)
    if signs:
        lo, hi = -1, 1
    quantizer = Quantizer(
        scale=checked_scale(scale), zero=point, lo=lo, hi=hi, rounding=rounding,
        clips_first=True, signs=signs,
    )  # fmt: skip
    held = walk.quantize(_quantizable(x, node), quantizer, node)
    walk.tap(held, node.outputs[0])
    return held.reals(quantizer.scale)


def bipolar_quant(walk: Walk, node: Node) -> State:
    """``BipolarQuant(x, scale)``: -scale or +scale, of 0 the latter."""
    x = walk.constant_or_state(node, 0)
    scale = _fixed(walk.constant_or_state(node, 1), "its scale")
    if isinstance(x, Fixed):
        zero = Fixed(np.zeros((), np.float32))
        return _quantized_constant(x, scale, zero, (-1, 1), "ROUND", signs=True)
    quantizer = Quantizer(checked_scale(scale), 0, -1, 1, signs=True)
    held = walk.quantize(_quantizable(x, node), quantizer, node)
    walk.tap(held, node.outputs[0])
    return held.reals(quantizer.scale)


def multi_threshold(walk: Walk, node: Node) -> State:
    """``out_bias + out_scale * count`` of the thresholds that a real reaches."""
    x = walk.state(node, 0)
    rows = _fixed(walk.constant_or_state(node, 1), "its thresholds").values.astype(np.float64)
    if rows.ndim != 2 or not rows.size:
        raise Refused(f"its thresholds have the shape {rows.shape}; (channels, levels) is wanted")
    scale = float(node.attributes.get("out_scale", 1.0))
    bias = float(node.attributes.get("out_bias", 0.0))
    zero = bias / scale if scale else math.nan
    if not scale > 0 or not math.isfinite(scale) or zero != math.floor(zero):
        raise Refused(
            f"it gives {bias} + {scale} * count; a positive scale and a bias that is a multiple of"
            " it are wanted"
        )
    if not isinstance(x, Real):
        raise Refused("it reads no tensor of integers")
    if len(rows) not in (1, x.channels):
        raise Refused(f"it has thresholds of {len(rows)} channels, not {x.channels}")
    if np.diff(rows, axis=1).min(initial=0) < 0:
        rows = np.sort(rows, axis=1)
    start, chain = int(zero), x.chain

    def codes(accumulators: np.ndarray) -> np.ndarray:
        reals = chain.values(accumulators).astype(np.float64)
        result = np.empty(reals.shape, np.int64)
        for channel, row in enumerate(np.broadcast_to(rows, (len(reals), rows.shape[1]))):
            result[channel] = np.searchsorted(row, reals[channel], side="right")
        return result + start

    fmt = IntFormat.covering(start, start + rows.shape[1], signed=start < 0)
    held = walk.requantize(x, codes, fmt, scale, 0, node)
    walk.tap(held, node.outputs[0])
    return held.reals(scale)


def trunc(walk: Walk, node: Node) -> State:
    """``Trunc`` of QONNX: low bits of an integer are cut off, in both of its versions."""
    x = walk.state(node, 0)
    if not isinstance(x, Real) or x.pools:
        raise Refused("it reads no tensor of integers")
    numbers = [_fixed(walk.constant_or_state(node, i), "a parameter") for i in range(1, 5)]
    scale, zero = checked_scale(numbers[0]), whole_zero(scalar(numbers[1], "its zero point"))
    wide = _bit_width(numbers[2])
    rounding = ROUNDINGS[_rounding(node.attributes.get("rounding_mode", "FLOOR"))]
    chain = x.chain
    if len(node.inputs) > 5:
        coarse = checked_scale(numbers[3], "its output scale")
        width = _bit_width(_fixed(walk.constant_or_state(node, 5), "its output bits"))
        signed, narrow = (
            bool(node.attributes.get(k, d)) for k, d in (("signed", 1), ("narrow", 0))
        )
        ratio = float(2.0 ** np.round(np.log2(coarse / scale)))
        lo, hi = _ends(width, signed, narrow)
        point = zero / ratio
        if point != math.floor(point):
            raise Refused(f"its zero point becomes {point}; a whole number is wanted")
        result, step, back = (
            IntFormat.covering(lo - int(point), hi - int(point)),
            coarse,
            int(point),
        )
    else:
        width = _bit_width(numbers[3])
        ratio, step, back = 2.0 ** (wide - width), scale, 0
        fmt = walk.assembly.tensor(x.tensor).format
        ends = [math.floor(end * float(chain.step) / scale / ratio) for end in (fmt.lo, fmt.hi)]
        lo, hi = min(ends) - 1 + zero, max(ends) + 1 + zero
        if zero:
            raise Refused("its zero point is not 0, which this version of Trunc moves")
        result = IntFormat.covering(lo, hi, signed=lo < 0)

    def codes(accumulators: np.ndarray) -> np.ndarray:
        reals = chain.values(accumulators)
        kind = reals.dtype.type
        y = np.rint(reals / kind(scale) + kind(zero)) / kind(ratio)
        return rounding(np.clip(checked(y), lo, hi)).astype(np.int64) - back

    held = walk.requantize(x, codes, result, step, back, node)
    walk.tap(held, node.outputs[0])
    return held.reals(step)


def quantize_linear(walk: Walk, node: Node) -> State:
    """``QuantizeLinear(x, scale, zero point)``: the codes are asked for later."""
    x = walk.constant_or_state(node, 0)
    scale = _fixed(walk.constant_or_state(node, 1), "its scale")
    zero = walk.optional(node, 2)
    kind = zero.values.dtype if zero is not None else np.dtype(np.uint8)
    if kind.kind not in "iu" or kind.itemsize > 2:
        raise Refused(f"its codes have the type {kind}; integers of 4 to 16 bits are wanted")
    limits = np.iinfo(kind)
    if isinstance(x, Fixed):
        axis = int(node.attributes.get("axis", 1))
        scales = _along(checked_scales(scale.values), x.values.ndim, axis)
        zeros = np.zeros((), np.int64) if zero is None else zero.values.astype(np.int64)
        codes = np.rint(x.values / scales) + _along(zeros, x.values.ndim, axis)
        return Fixed(np.clip(codes, limits.min, limits.max).astype(kind))
    point = 0 if zero is None else int(scalar(zero, "its zero point"))
    quantizer = Quantizer(checked_scale(scale), point, int(limits.min), int(limits.max))
    return Waiting(_quantizable(x, node), quantizer, (node.name, node.outputs[0]))


def dequantize_linear(walk: Walk, node: Node) -> State:
    """``DequantizeLinear(q, scale, zero point)``."""
    x = walk.constant_or_state(node, 0)
    scale = _fixed(walk.constant_or_state(node, 1), "its scale")
    zero = walk.optional(node, 2)
    if isinstance(x, Fixed):
        axis, dimensions = int(node.attributes.get("axis", 1)), x.values.ndim
        if node.attributes.get("block_size"):
            raise Refused("its scales are those of blocks; one for each channel is wanted")
        scales = np.broadcast_to(
            _along(checked_scales(scale.values), dimensions, axis), x.values.shape
        )
        point = np.zeros((), np.int64) if zero is None else zero.values.astype(np.int64)
        integers = x.values.astype(np.int64) - _along(point, dimensions, axis)
        values = (integers.astype(np.float32) * scales).astype(np.float32)
        return Fixed(values, integers, scales.astype(np.float64))
    offset = 0 if zero is None else int(scalar(zero, "its zero point"))
    return walk.held(x, offset, node).reals(checked_scale(scale))


def _quantized_constant(
    x: Fixed, scale: Fixed, zero: Fixed, ends: tuple[int, int], rounding: str, signs: bool
) -> Fixed:
    values = x.values.astype(np.float32)
    scales = checked_scales(scale.values)
    zeros = zero.values.astype(np.float32)
    if not (np.abs(zeros) < 1 << 31).all() or (zeros * 2 != np.rint(zeros * 2)).any():
        raise Refused("its zero point is no multiple of one half, or has more than 32 bits")
    try:
        scales, zeros = (np.broadcast_to(one, values.shape) for one in (scales, zeros))
    except ValueError:
        raise Refused(
            f"its scale has the shape {scale.values.shape}, which does not fit {values.shape}"
        ) from None
    y = values / scales + zeros
    if signs:
        q = np.where(y >= 0, np.float32(1), np.float32(-1))
    else:
        q = ROUNDINGS[rounding](np.clip(y, *ends))
    if not np.isfinite(q).all():
        raise Refused("its values are no numbers")
    reals = ((q - zeros) * scales).astype(np.float32)
    half = bool((zeros != np.rint(zeros)).any())
    integers = np.rint((q.astype(np.float64) - zeros) * (2 if half else 1)).astype(np.int64)
    steps = scales.astype(np.float64) / (2 if half else 1)
    return Fixed(reals, integers, steps)


def _along(values: np.ndarray, dimensions: int, axis: int) -> np.ndarray:
    """One number, or one for each index of an axis, ready to broadcast."""
    if values.size == 1:
        return values.reshape(())
    if values.ndim != 1 or not -dimensions <= axis < dimensions:
        raise Refused(f"scales of the shape {values.shape}; one for each channel is wanted")
    shape = [1] * dimensions
    shape[axis] = values.size
    return values.reshape(shape)


def _fixed(state: State, what: str) -> Fixed:
    if not isinstance(state, Fixed):
        raise Refused(f"{what} is no constant")
    return state


def _quantizable(state: State, node: Node) -> Quantizable:
    if isinstance(state, Real | Outside | Parts | PairSum):
        return state
    if isinstance(state, Held | Waiting | OutsideCodes):
        raise Refused("it quantizes what is integers already")
    raise Refused("it reads nothing that can be quantized")


def _bit_width(fixed: Fixed) -> int:
    value = scalar(fixed, "its bit width")
    if value != math.floor(value) or not 1 <= value <= 32:
        raise Refused(f"its bit width is {value}; 1 to 32 whole bits are wanted")
    return int(value)


def _ends(width: int, signed: bool, narrow: bool) -> tuple[int, int]:
    """Least and greatest code of QONNX."""
    if signed:
        lo, hi = -(1 << (width - 1)) + narrow, (1 << (width - 1)) - 1
    else:
        lo, hi = 0, (1 << width) - 1 - narrow
    if hi <= lo and not (signed and width == 1):
        raise Refused(f"narrow codes of {width} bits have no two levels")
    return lo, hi


def _rounding(name: object) -> str:
    mode = str(name).upper()
    if mode not in ROUNDINGS:
        raise Refused(f"its rounding mode is '{printable(mode)}'; {', '.join(ROUNDINGS)} are known")
    return mode
