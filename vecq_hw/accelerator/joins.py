"""The cells of layers of several inputs: sums, differences, products, concatenations."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from vecq_hw.accelerator.cells import Join
from vecq_hw.accelerator.streams import Stream
from vecq_hw.accelerator.wiring import Wiring
from vecq_hw.layers import Add, Concat, JoinLayer, Multiply, Subtract, is_broadcast
from vecq_hw.network import Network
from vecq_hw.schedule import divisors

JOIN_DEPTH = 1
"""Stages of a Concat, and of each level of an Add's tree."""
MULTIPLY_DEPTH = 2
"""Stages of ``vecq_multiply.sv``."""


def join(layer: JoinLayer, network: Network, wiring: Wiring, *, dsp: bool) -> Stream:
    """Place the cell of a layer of several inputs; what it gives.

    Parameters
    ----------
    dsp : bool
        Whether a Multiply has its multipliers in DSP blocks.
    """
    names = layer.inputs
    given = {
        index: wiring.read(name) for index, name in enumerate(names) if name not in wiring.constants
    }
    kept = isinstance(layer, Multiply) and is_broadcast(*(network.tensors[name] for name in names))
    paced = [stream for index, stream in given.items() if index == 0 or not kept]
    lanes = max(stream.lanes for stream in paced or given.values())
    match layer:
        case Add() | Subtract() | Multiply():
            pass
        case Concat():
            common = math.gcd(*(wiring.shape(name)[-1] for name in names))
            lanes = max(d for d in divisors(common) if d <= lanes)
        case _:
            assert_never(layer)
    target = wiring.stream(layer.name, lanes)
    sources = []
    for index, name in enumerate(names):
        if index in given:
            sources.append(wiring.link(name, layer.name, given[index], lanes))
        else:
            elements = target.elements if kept else math.prod(wiring.shape(name))
            sources.append(wiring.read_constant(name, lanes, elements))
    turns: list[Sequence[Stream]] = [sources]
    held = lead = None
    match layer:
        case Add() | Subtract():
            depth = max((len(sources) - 1).bit_length(), 1) * JOIN_DEPTH
        case Multiply():
            depth = MULTIPLY_DEPTH
            if kept and 1 in given:
                turns, held = [sources[:1]], sources[1]
        case Concat():
            depth = JOIN_DEPTH
            lead = None if 0 in given else sources[min(given)]
            turns = [
                [source]
                for source in sources
                for _ in range(wiring.shape(source.tensor)[-1] // lanes)
            ]
        case _:
            assert_never(layer)
    wiring.cells.append(
        Join(
            layer=layer,
            sources=sources,
            turns=turns,
            target=target,
            depth=depth,
            kept=held,
            lead=lead,
            dsp=dsp,
        )
    )
    return target
