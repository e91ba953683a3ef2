"""Schedules of a network: folds, fabrics, widths of ports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from tests.random_networks.draws import (
    Draw,
    Seeded,
    chance,
)
from vecq_hw.bench.words import slot_bits
from vecq_hw.layers import (
    Dense,
    Rescale,
    as_recurrent_layer,
)
from vecq_hw.network import Network
from vecq_hw.schedule import (
    AXIS_BITS,
    Fabric,
    Fold,
    FoldKind,
    Schedule,
    foldable,
    kind_problems,
    streaming_folds,
)


def random_schedule(draw: Draw, network: Network) -> Schedule:
    """Every kind of fold that the layers take, on any fabric; large layers are not unrolled.

    The search for shared additions would take most of a test's time.
    """
    folds = {}
    recurrent = {layer.name for layer in network.layers if as_recurrent_layer(layer)}
    rescaled = {layer.input for layer in network.layers if isinstance(layer, Rescale)}
    for layer in network.products:
        if layer.name in recurrent:
            folds[layer.name] = draw.choice(streaming_folds(layer))
            continue
        fold = replace(
            draw.choice(streaming_folds(layer)), dsp=layer.name in rescaled and chance(draw, 3)
        )
        for kind in (FoldKind.CODE_BOOK, FoldKind.BASE_SERIAL, FoldKind.BIT_SERIAL):
            other = replace(fold, kind=kind)
            if not [*kind_problems(layer, other)] and chance(draw):
                fold = other
        sums = [replace(f, kind=FoldKind.PARTIAL_SUMS) for f in streaming_folds(layer)]
        sums = [other for other in sums if not [*kind_problems(layer, other)]]
        if sums and chance(draw):
            fold = replace(draw.choice(sums), dsp=fold.dsp)
        folds[layer.name] = fold
        outputs, inputs = foldable(layer)
        small = isinstance(layer, Dense) and outputs * inputs <= 128
        # An emitter refuses sums of more bits than the search for shared additions holds.
        small = small and int(np.abs(layer.weights.values).max()) < 1 << 24
        if small and layer.accumulator_bits is None and chance(draw, 3):
            folds[layer.name] = Fold(pe=outputs, simd=inputs, kind=FoldKind.UNROLLED)
    return Schedule(folds=folds, fabric=draw.choice([Fabric.LUT6, Fabric.LUT4, Fabric.ECP5]))


def random_axis_bits(draw: Draw, network: Network) -> int | None:
    """A width of all AXI4-Streams into which an element of each end fits."""
    ends = [*(source.name for source in network.inputs), *network.outputs]
    least = max(slot_bits(network.tensors[name].format.bits) for name in ends)
    return draw.choice([None, *(bits for bits in AXIS_BITS if least <= bits <= 128)])


def random_pair(
    make: Callable[[Draw, str], Network], name: str, seed: int
) -> tuple[Network, Schedule]:
    """A network, and any schedule of it with any width of its ports, by the seed."""
    draw = Seeded(seed)
    network = make(draw, name)
    schedule = random_schedule(draw, network)
    return network, replace(schedule, axis_bits=random_axis_bits(draw, network))
