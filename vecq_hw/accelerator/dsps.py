"""Which Rescales multiply in DSP blocks where nobody said so."""

from __future__ import annotations

from dataclasses import replace

from vecq_hw.accelerator.cells import Elementwise
from vecq_hw.accelerator.plan import plan
from vecq_hw.layers import Rescale
from vecq_hw.network import Network
from vecq_hw.schedule import FoldKind, Schedule


def with_dsps(network: Network, schedule: Schedule) -> Schedule:
    """The schedule with DSP blocks for each Rescale that has a word every cycle or nearly so.

    A multiplier of tables takes about three hundred of them a lane, by one mantissa a hundred.  A
    Rescale whose words come more seldom works on the bits of its mantissas one by one, and stays as
    it is.
    """
    planned = plan(network, schedule)
    folds = dict(schedule.folds)
    for cell in planned.cells:
        if not isinstance(cell, Elementwise) or not isinstance(cell.layer, Rescale):
            continue
        mac = network.mac_before(cell.layer.input)
        if mac is not None and folds[mac.name].kind is not FoldKind.UNROLLED:
            folds[mac.name] = replace(folds[mac.name], dsp=True)
    return replace(schedule, folds=folds)
