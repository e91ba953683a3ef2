"""The hls4ml nodes of layers that make codes: a Rescale and a Lookup."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vecq_hw.emit.hls4ml_types import Node, fixed, integer
from vecq_hw.formats import FloatArray, IntArray, IntFormat, signed_bits
from vecq_hw.layers import Lookup, Rescale, Tensor


@dataclass(frozen=True, slots=True)
class Step:
    """``(x * mantissa + offset + half) >> shift``, clamped by the type that takes the result."""

    mantissa: IntArray
    offset: IntArray
    shift: int
    result: str


def steps(layer: Rescale, source: IntFormat) -> list[Step]:
    """The BatchNormalizations that make a Rescale.

    One, where a type of hls4ml saturates at the clamp's two ends.  Else, as for a ReLU6, the first
    is shifted so that the upper end of its type falls on that of the clamp, and the second so that
    the lower ends meet; a third shifts back what remains.
    """
    fmt, shift = layer.format, int(layer.shifts.max())
    if fmt.lo == fmt.hi:  # nothing is left to clamp
        return [Step(0 * layer.mantissa, np.full_like(layer.offset, fmt.lo), 0, integer(fmt))]
    # One type holds the numbers of all channels: those that shift less have zeros behind.
    mantissa, offset = (
        values.astype(object) << (shift - layer.shifts.astype(object))
        for values in (layer.mantissa, layer.offset)
    )
    one_type = _saturating(layer, source)
    if one_type is not None:
        return [Step(mantissa, offset, shift, one_type)]
    bits = (fmt.hi - fmt.lo).bit_length() or 1
    top = (1 << bits >> 1) - 1
    ones = np.ones_like(layer.mantissa)
    raised = offset + ((top - fmt.hi) << shift)
    clamp = fixed(bits, signed=True, modes=",RND,SAT"), fixed(bits, signed=False, modes=",RND,SAT")
    parts = [
        Step(mantissa, raised, shift, clamp[0]),
        Step(ones, ones * (fmt.hi - top - fmt.lo), 0, clamp[1]),
    ]
    return parts if fmt.lo == 0 else [*parts, Step(ones, ones * fmt.lo, 0, integer(fmt))]


def _saturating(layer: Rescale, source: IntFormat) -> str | None:
    """A type whose saturation is the clamp of ``layer``, or None.

    An end of the clamp that the proven range of the accumulator does not reach may lie anywhere.
    """
    fmt = layer.format
    m, b, s = (v.astype(object) for v in (layer.mantissa, layer.offset, layer.shifts))
    ends = [(end * m + b + (1 << (s - 1))) >> s for end in (source.lo, source.hi)]
    reaches_lo, reaches_hi = np.min(ends) < fmt.lo, np.max(ends) > fmt.hi
    for bits in (fmt.bits - 1, fmt.bits, fmt.bits + 1):
        half_range = 1 << bits >> 1
        for lo, hi, signed, mode in (
            (0, 2 * half_range - 1, False, "SAT"),
            (-half_range, half_range - 1, True, "SAT"),
            (1 - half_range, half_range - 1, True, "SAT_SYM"),
        ):
            same_lo = lo == fmt.lo or (not reaches_lo and lo <= fmt.lo)
            same_hi = hi == fmt.hi or (not reaches_hi and hi >= fmt.hi)
            # With one bit ap_fixed does not keep the symmetric range 0..0.
            if bits > (mode == "SAT_SYM") and same_lo and same_hi:
                return fixed(bits, signed=signed, modes=f",RND,{mode}")
    return None


def rescaling(common: Mapping[str, Any], layer: Rescale, source: Tensor) -> list[Node]:
    """The BatchNormalizations of a Rescale."""
    result, parts = [], steps(layer, source.format)
    size = math.prod(source.shape)
    channels = source.channels if source.is_image else -1
    attributes = {"class_name": "BatchNormalization", "n_in": size, "n_out": size}
    inputs = common["inputs"]
    for index, step in enumerate(parts, start=1):
        name = common["name"] if index == len(parts) else f"{common['name']}_part{index}"
        signed = bool(step.mantissa.min() < 0)
        # An unsigned type takes one bit less; all zero still takes one.
        bits = max(signed_bits(step.mantissa) - (not signed), 1)
        arrays = {
            "scale_data": _scaled(step.mantissa, step.shift),
            "bias_data": _scaled(step.offset, step.shift),
        }
        # Rounding looks at the first bit behind the point, so the sum has to reach there.
        bias_bits = max(signed_bits(step.offset), step.shift + 1)
        precision = {
            "scale": fixed(bits, step.shift, signed=signed),
            "bias": fixed(bias_bits, step.shift, signed=True),
            "result": step.result,
        }
        more = {"name": name, "inputs": inputs, "n_filt": channels}
        result.append(Node({**attributes, **more, **arrays}, precision))
        inputs = [name]
    return result


def looking_up(
    common: Mapping[str, Any], layer: Lookup, source: Tensor, tensor: Tensor
) -> list[Node]:
    """An Embedding of words of one entry, addressed by the channel's table and the code in it."""
    tables, entries = layer.table.shape
    first = np.arange(tables) * entries - source.format.lo
    size, name = math.prod(source.shape), common["name"]
    index = {
        "class_name": "BatchNormalization",
        "name": f"{name}_part1",
        "inputs": common["inputs"],
        "n_in": size,
        "n_out": size,
        "n_filt": source.channels if source.is_image else -1,
        "scale_data": np.ones(source.channels),
        "bias_data": np.broadcast_to(first, source.channels).astype(np.float64),
    }
    indices = {
        "scale": fixed(1, signed=False),
        "bias": fixed(signed_bits(first), signed=True),
        "result": f"uint<{max((tables * entries - 1).bit_length(), 1)}>",
    }
    words = {
        "class_name": "Embedding",
        "name": words_name(name),
        "inputs": [index["name"]],
        "n_in": size,
        "n_out": 1,
        "vocab_size": tables * entries,
        "embeddings_data": layer.table.reshape(-1, 1).astype(np.float64),
    }
    kind = integer(layer.format)
    shaped = {"class_name": "Reshape", "name": name, "inputs": [words["name"]]}
    return [
        Node(index, indices),
        Node(words, {"embeddings": kind, "result": kind}),
        Node({**shaped, "target_shape": list(tensor.shape)}, {"result": kind}),
    ]


def words_name(name: str) -> str:
    """The node that looks the words up, for a Lookup's node of this name, which reshapes them."""
    return f"{name}_part2"


def _scaled(values: IntArray, shift: int) -> FloatArray:
    """``values / 2^shift``, exact in float64 up to 2^53."""
    scaled: FloatArray = np.ldexp(values.astype(np.float64), -shift)
    return scaled
