"""Fully unrolled constant layers: a frame every cycle, all sums shared."""

from vecq_hw.accelerator.unrolled.adder_graph import AdderGraph, OffsetGraph, offset_form
from vecq_hw.accelerator.unrolled.solve import solve

__all__ = ["AdderGraph", "OffsetGraph", "offset_form", "solve"]
