"""A drawing of the die: where each layer's cells lie."""

from __future__ import annotations

import colorsys
import html
from collections import Counter
from collections.abc import Mapping, Sequence

_TILE = 8
_LINE = 16
_LEGEND = 260


def floorplan(places: Mapping[str, tuple[int, int]], owners: Mapping[str, str], title: str) -> str:
    """An SVG in which each tile has the colour of the layer most of whose cells lie in it.

    Parameters
    ----------
    places : mapping
        Column and row of each cell, from the lower left as the tools count them or from the upper
        left; the drawing has row 0 at the top.
    owners : mapping
        The layer of each cell; those of none are left grey.
    """
    tiles: dict[tuple[int, int], Counter[str]] = {}
    for cell, place in places.items():
        tiles.setdefault(place, Counter())[owners.get(cell, "")] += 1
    layers = list(dict.fromkeys(owner for owner in owners.values() if owner))
    colours = dict(zip(layers, _colours(len(layers)), strict=True)) | {"": "#999999"}
    columns = 1 + max((x for x, _ in tiles), default=0)
    rows = 1 + max((y for _, y in tiles), default=0)
    width = columns * _TILE
    height = max(rows * _TILE, (len(layers) + 2) * _LINE)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + _LEGEND} {height + 24}"'
        ' font-family="sans-serif" font-size="12">',
        f'<text x="4" y="16">{html.escape(title)}</text>',
        f'<g transform="translate(0 24)"><rect width="{width}" height="{rows * _TILE}"'
        ' fill="#f4f4f4"/>',
    ]
    for (x, y), found in sorted(tiles.items()):
        owner, _ = found.most_common(1)[0]
        parts.append(
            f'<rect x="{x * _TILE}" y="{y * _TILE}" width="{_TILE - 1}" height="{_TILE - 1}"'
            f' fill="{colours[owner]}"/>'
        )
    number = Counter(owners.get(cell, "") for cell in places)
    for line, layer in enumerate([*layers, ""]):
        y = line * _LINE
        name = html.escape(layer or "between and around the layers")
        parts.append(
            f'<rect x="{width + 8}" y="{y}" width="12" height="12" fill="{colours[layer]}"/>'
            f'<text x="{width + 26}" y="{y + 11}">{name}: {number[layer]} cells</text>'
        )
    return "\n".join([*parts, "</g>", "</svg>", ""])


def _colours(count: int) -> Sequence[str]:
    """So many colours, as far from each other as can be."""
    found = []
    for number in range(count):
        shade = colorsys.hls_to_rgb(number / max(count, 1), 0.45 + 0.12 * (number % 2), 0.7)
        found.append("#" + "".join(f"{round(255 * part):02x}" for part in shade))
    return found
