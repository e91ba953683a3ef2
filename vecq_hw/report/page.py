"""What a page is made of, and the template that makes it HTML."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import jinja2

from vecq_hw import __version__
from vecq_hw.report.figure import Figure
from vecq_hw.report.verdict import Fact, Verdict

Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Rows of texts below titles; the first column names the row, numbers are flush right."""

    caption: str
    titles: Sequence[str]
    rows: Sequence[Sequence[str]]
    left: int = 1
    """Columns of words, from the left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What stands below a heading of the third level, or directly below the section's."""

    title: str = ""
    text: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    tables: Sequence[Table] = ()
    commands: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A heading of the second level and what stands below it."""

    key: str
    title: str
    parts: Sequence[Part]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, and what it says first, plain for scripts.

    Attributes
    ----------
    html : str
        One file that needs no other.
    summary : mapping
        The verdict and the figures beside it.
    """

    html: str
    summary: Mapping[str, Any]


def summarized(verdict: Verdict, facts: Sequence[Fact]) -> dict[str, Any]:
    """For a file in JSON."""
    return {"verdict": asdict(verdict), "facts": [asdict(fact) for fact in facts]}


def render(
    *, title: str, verdict: Verdict, facts: Sequence[Fact], sections: Sequence[Section]
) -> str:
    """The page, escaped wherever a text is no picture of ours."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("vecq_hw", "report/templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html.j2").render(
        title=title, verdict=verdict, facts=facts, sections=sections, version=__version__
    )
