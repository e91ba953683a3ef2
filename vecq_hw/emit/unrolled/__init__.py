"""Fully unrolled constant layers: a frame every cycle, all sums shared."""

from vecq_hw.emit.unrolled.graph import AdderGraph, OffsetGraph, offset_form
from vecq_hw.emit.unrolled.solve import solve

__all__ = ["AdderGraph", "OffsetGraph", "offset_form", "solve"]
