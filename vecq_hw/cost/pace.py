"""Cycles from frame to frame, and until the first word comes out.

Short frames are run through the cycle model, which is exact.  Of longer ones the pace is that of
the busiest cell, and words are taken to come evenly between the first and the last of a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

import numpy as np

from vecq_hw.accelerator.cells import (
    Comparison,
    Elementwise,
    Gathering,
    Join,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.streams import Fork, Link, Reframe, Stream
from vecq_hw.accelerator.units import Unit
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.simulate.dataflow import fifo_depths, simulate_frames

SIMULATED_WORDS = 60_000
"""Words in a frame of all streams up to which the cycle model is run: a quarter of a second."""
SIZED_WORDS = 12_000
"""Up to which FIFOs of branches are sized, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What a frame takes.

    Attributes
    ----------
    cycles : int or float
        From frame to frame.
    latency_cycles : int
        From the first word in to the first word out.
    exact : bool
        Whether the cycle model says so.
    """

    cycles: float
    latency_cycles: int
    exact: bool


def depths_of(network: Network, schedule: Schedule, planned: Plan) -> dict[str, int] | None:
    """The depths of FIFOs: the schedule's, or those that are found quickly; else None.

    Without branches no link needs to hold more than the least.
    """
    if schedule.fifo_depths is not None:
        return dict(schedule.fifo_depths)
    if not any(isinstance(cell, Join | Fork) for cell in planned.cells):
        return {}
    return fifo_depths(network, schedule) if _words(planned) <= SIZED_WORDS else None


def pace(
    network: Network, schedule: Schedule, planned: Plan, depths: dict[str, int] | None
) -> Pace:
    """Cycles between frames that come back to back, while neither end pauses."""
    if depths is not None and _words(planned) <= SIMULATED_WORDS:
        frames = 3 if _words(planned) <= SIMULATED_WORDS // 2 else 2
        run = simulate_frames(network, schedule, depths, frames)
        cycles = run.frame_ends[-1] - run.frame_ends[-2]
        return Pace(cycles=cycles, latency_cycles=run.first_output, exact=True)
    return Pace(
        cycles=busiest(planned),
        latency_cycles=_first_output(planned),
        exact=False,
    )


def busiest(planned: Plan) -> int:
    """Cycles of a frame that the busiest cell or end works."""
    ends = [stream.words for stream in (*planned.inputs.values(), *planned.outputs.values())]
    return max([*planned.busy.values(), *ends])


def _words(planned: Plan) -> int:
    """Cycles of a frame that all cells work: what a simulation has to do."""
    return sum(planned.busy.values()) + sum(stream.words for stream in planned.inputs.values())


_Span = tuple[float, float]
"""When the first and the last word of a frame are there."""


def _first_output(planned: Plan) -> int:
    spans: dict[Stream, _Span] = {
        stream: (0.0, float(stream.words - 1)) for stream in planned.inputs.values()
    }
    for cell in planned.cells:
        match cell:
            case Link() | Reframe():
                spans[cell.target] = _paced(spans[cell.source], cell.target.words, 1)
            case Fork():
                for target in cell.targets:
                    spans[target] = spans[cell.source]
            case Source():
                spans[cell.target] = (0.0, 0.0)
            case Join():
                given = [spans[source] for source in cell.sources]
                both = (max(first for first, _ in given), max(last for _, last in given))
                spans[cell.target] = _paced(both, cell.target.words, cell.depth)
            case Elementwise() | Unrolled():
                spans[cell.target] = _paced(spans[cell.source], cell.target.words, cell.depth)
            case Comparison():
                spans[cell.target] = _reduced(spans[cell.source], cell.period, cell.source.words)
            case Ranking():
                spans[cell.target] = _reduced(spans[cell.source], cell.period, cell.source.words)
            case (
                Windows()
                | MatrixVector()
                | Pool()
                | Upsampling()
                | Rows()
                | Recurrence()
                | Gathering()
                | Reordering()
                | SerialRescale()
            ):
                spans[cell.target] = _unit(spans[cell.source], cell.unit, cell.periods)
            case _:
                assert_never(cell)
    return round(min(spans[stream][0] for stream in planned.outputs.values()))


def _paced(source: _Span, words: int, depth: int) -> _Span:
    """A word a cycle at most, ``depth`` cycles behind."""
    first, last = source
    return first + depth, max(first + words - 1, last) + depth


def _reduced(source: _Span, period: int, words: int) -> _Span:
    """A word for ``period`` of them."""
    first, last = source
    each = (last - first) / max(words - 1, 1)
    return first + (period - 1) * each + 1, last + 1


def _unit(source: _Span, unit: Unit, periods: int) -> _Span:
    """Steps that wait for the words they need."""
    first, last = source
    words = unit.words * periods
    each = (last - first) / max(words - 1, 1)
    runs = unit.pattern
    ends = np.cumsum([run.gap + run.steps - 1 for run in runs])
    begins = ends - np.array([run.steps - 1 for run in runs])
    needs = np.array([run.needs for run in runs])
    counts = np.array([run.steps for run in runs])
    gives = np.array([run.gives for run in runs])
    # When a step that needs a word can be at the earliest, less the steps before it.
    there = np.where(needs >= 0, first + needs * each, 0.0)
    finish = np.where(needs >= 0, first + (needs + counts - 1) * each, 0.0)
    late = np.maximum.accumulate(np.maximum(there - begins, finish - ends))
    late = np.maximum(late, first - 1)
    given = int(np.argmax(gives))
    begin = begins[given] + late[given] + unit.depth
    period_end = ends[-1] + late[-1]
    work = unit.cycles * periods
    # Of the last period, whose words come at the end.
    end = max(begin + work - begins[given], last + (period_end - (first + (unit.words - 1) * each)))
    return float(begin), float(end + unit.depth)
