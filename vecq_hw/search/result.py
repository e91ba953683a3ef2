"""What a search has found: its trials and its front, for people and for scripts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecq_hw.notebook import html_table
from vecq_hw.search.front import (
    FrontPoint,
    front_of,
    is_uniform,
    measured_tree,
    point_tree,
    read_point,
    table,
)
from vecq_hw.search.request import Request
from vecq_hw.search.space import Choice, Space
from vecq_hw.search.study import Record
from vecq_hw.search.trial import Measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a search has found so far.

    Attributes
    ----------
    trials : tuple of Record
        Those that have ended.
    front : tuple of FrontPoint
        Those of its networks that are whole, the most accurate trial first.
    """

    request: Request
    space: Space
    trials: tuple[Record[Choice, Measured], ...]
    front: tuple[FrontPoint, ...]

    def _repr_html_(self) -> str:
        titles, rows = table(self.front)
        return html_table(f"the front of {len(self.trials)} trials", titles, rows)

    def tree(self) -> dict[str, Any]:
        """For a file in JSON."""
        front = {record.number for record in front_of(self.trials, self.request)}
        free = [name for name, choices in self.space.layers.items() if len(choices) > 1]
        return {
            "request": self.request.tree(),
            "trials": [
                {
                    "number": one.number,
                    "state": one.state.value,
                    "sentence": one.sentence,
                    "front": one.number in front,
                    "uniform": is_uniform(one.point, free) if free else None,
                    **point_tree(one.point),
                    **({} if one.measured is None else measured_tree(one.measured)),
                }
                for one in self.trials
            ],
            "front": [one.tree(self.request) for one in self.front],
        }


def result_of(
    out: Path, request: Request, space: Space, records: Iterable[Record[Choice, Measured]]
) -> Result:
    """The trials that have ended and, of the front, the networks whose files in ``out`` are whole.

    Raises
    ------
    VecqError
        A network of the front cannot be read.
    """
    kept = tuple(records)
    front = (read_point(out, one.number, one.point) for one in front_of(kept, request))
    return Result(
        request=request,
        space=space,
        trials=kept,
        front=tuple(one for one in front if one is not None),
    )
