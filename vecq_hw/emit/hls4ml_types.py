"""What hls4ml is told: nodes, the types of their numbers, and which numbers it can hold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Conv2d


@dataclass(frozen=True, slots=True)
class Node:
    """What ``ModelGraph.from_layer_list`` takes of one node, and its precisions."""

    attributes: Mapping[str, Any]
    precision: Mapping[str, str]


def fixed(bits: int, fraction: int = 0, *, signed: bool, modes: str = "") -> str:
    """A type of hls4ml: ``bits`` in all, ``fraction`` of them behind the point.

    Examples
    --------
    >>> fixed(16, 21, signed=False), fixed(8, signed=True, modes=",RND,SAT")
    ('ufixed<16,-5>', 'fixed<8,8,RND,SAT>')
    """
    return f"{'' if signed else 'u'}fixed<{bits},{bits - fraction}{modes}>"


def integer(fmt: IntFormat) -> str:
    """The type of hls4ml that holds a format; it wraps."""
    return fixed(fmt.bits, signed=fmt.signed)


def beyond(values: IntArray) -> bool:
    """Whether float64 rounds one of the integers: it holds 53 bits, and any zeros behind them.

    ``values`` has the shape (n,).
    """
    return any(int(float(value)) != value for value in values.tolist())


def depthwise(layer: Conv2d) -> bool:
    """Whether each channel makes an output by itself."""
    return 1 < layer.groups == layer.outputs and layer.group_channels == 1
