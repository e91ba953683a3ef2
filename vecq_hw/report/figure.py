"""Plots as inline SVG whose text stays text and whose colours follow the page, light or dark."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup, escape

from vecq_hw.errors import matplotlib_wanted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

WIDTH = 4.6
"""Inches of a figure: as wide as a phone shows it, so that its text is never made small."""
INK, LINE = "#010203", "#040506"
SERIES = ("#010a01", "#010a02", "#010a03", "#010a04")
"""Placeholders that matplotlib writes and the page's style sheet gives colours."""
_VARIABLES = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    **{color: f"var(--series-{place})" for place, color in enumerate(SERIES, 1)},
}
_STYLE: dict[Any, Any] = {
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.facecolor": "none",
    "font.size": 10.0,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "hatch.color": LINE,
    "legend.frameon": False,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "vecq",
    "text.color": INK,
    "text.parse_math": False,  # names of layers are no formulas
    "xtick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.color": LINE,
    "ytick.labelcolor": INK,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A picture of a page.

    Attributes
    ----------
    svg : Markup
        The picture, an ``<svg>`` with a title that says in words what is to be seen.
    caption : str
    wide : bool
        Whether it may be wider than a phone, and is then scrolled within its frame.
    """

    svg: Markup
    caption: str
    wide: bool = False


class Plot:
    """Axes to draw on, and the picture that comes of them."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = Markup()


@contextmanager
def plot(key: str, alt: str, height: float = 2.6) -> Iterator[Plot]:
    """Axes in the page's style; behind the ``with`` the plot has its SVG.

    Parameters
    ----------
    key : str
        Of letters, digits and '-': the beginning of all identifiers in the picture, unique in a
        page.
    alt : str
        What is to be seen, for those who do not see it.

    Raises
    ------
    MissingToolError
        matplotlib is not installed.
    """
    with matplotlib_wanted("reports", "'vecq-hw[report]'"):
        from matplotlib import rc_context
        from matplotlib.figure import Figure as Canvas
    with rc_context(_STYLE):
        canvas = Canvas(figsize=(WIDTH, height), layout="constrained")
        made = Plot(canvas.subplots())
        yield made
        made.axes.set_axisbelow(True)
        stream = io.StringIO()
        canvas.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    made.svg = inlined(stream.getvalue(), key, alt)


def inlined(svg: str, key: str, alt: str) -> Markup:
    """An SVG file as a part of a page: named, with identifiers and colours of the page."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    opening = re.match(r"<svg[^>]*>", body)
    assert opening is not None
    box = re.search(r'viewBox="([^"]*)"', opening[0])
    assert box is not None
    body = re.sub(r'\bid="([^"]*)"', rf'id="{key}-\1"', body[opening.end() :])
    body = re.sub(r'href="#([^"]*)"', rf'href="#{key}-\1"', body)
    body = body.replace("xlink:href", "href").replace("url(#", f"url(#{key}-")
    body = re.sub(r"font: ([\d.]+px) [^;\"]*", r"font-size: \1", body)
    for placeholder, variable in _VARIABLES.items():
        body = body.replace(placeholder, variable)
    return Markup(
        f'<svg role="img" aria-labelledby="{key}-alt" viewBox="{box[1]}"'
        ' xmlns="http://www.w3.org/2000/svg">'
        f'<title id="{key}-alt">{escape(alt)}</title>{body}'
    )


def embedded(svg: bytes, alt: str) -> Markup:
    """An SVG file as an image, in which no script runs and which loads nothing."""
    data = base64.b64encode(svg).decode()
    return Markup(
        f'<img class="drawing" alt="{escape(alt)}" src="data:image/svg+xml;base64,{data}">'
    )
