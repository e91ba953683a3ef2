"""Results as tables of a notebook: what ``_repr_html_`` gives."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

MOST_ROWS = 20
"""The most that are shown; a longer table is cut in the middle."""
_LAST = 6


def html_table(caption: str, titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of texts, which are escaped; a long one stays short.

    Examples
    --------
    >>> html_table("a<b", ["layer"], [["fc1"]])[:33]
    '<table><caption>a&lt;b</caption><'
    """
    shown = [_row("td", row) for row in rows]
    if len(rows) > MOST_ROWS:
        left_out = len(rows) - MOST_ROWS + 1
        words = f'<tr><td colspan="{len(titles)}">… {left_out} more …</td></tr>'
        shown = [*shown[: MOST_ROWS - 1 - _LAST], words, *shown[-_LAST:]]
    return (
        f"<table><caption>{escape(caption)}</caption><thead>{_row('th', titles)}</thead>"
        f"<tbody>{''.join(shown)}</tbody></table>"
    )


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
