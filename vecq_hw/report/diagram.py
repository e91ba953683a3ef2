"""The network as a picture: boxes in the places that a layout library finds, lines as it routes."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from vecq_hw.errors import MissingToolError
from vecq_hw.layers import Layer, as_code_layer, as_mac_layer
from vecq_hw.network import Network
from vecq_hw.report.figure import Figure

CHARACTER, LINE_HEIGHT, PADDING = 7.2, 17.0, 9.0
"""Pixels: width of a character, height of a line, and what is left around the text."""
BOLD = 1.12
"""How much wider the characters of the name are."""
LONGEST = 34
"""Characters of a line; longer ones are cut."""
MARGIN = 6.0


@dataclass(slots=True)
class _Box:
    """A layer, with the layer behind it where that only makes codes of its sums."""

    name: str
    lines: list[str]
    reads: list[str] = field(default_factory=list)

    @property
    def size(self) -> tuple[float, float]:
        name, *lines = (len(line) for line in self.lines)
        width = CHARACTER * max(BOLD * name, *lines) + 2 * PADDING
        return width, LINE_HEIGHT * len(self.lines) + 2 * PADDING


def diagram(network: Network) -> Figure:
    """The layers from top to bottom, each with its kind, its output's shape and format.

    Raises
    ------
    MissingToolError
        graphlay is not installed.
    """
    try:
        import graphlay
    except ImportError:
        raise MissingToolError(
            "reports need graphlay; install it with: pip install 'vecq-hw[report]'"
        ) from None
    boxes = _boxes(network)
    graph = graphlay.Graph()
    for box in boxes:
        width, height = box.size
        graph.node(box.name, width=width, height=height)
    for box in boxes:
        for source in dict.fromkeys(box.reads):
            graph.edge(source, box.name)
    options = {
        "direction": "topbottom",
        "spacing": {"layer_gap": 30.0, "node_gap": 24.0, "dummy_gap": 16.0},
    }
    laid = graphlay.layout(graph, options=options)
    words = f"{len(boxes)} boxes for {len(network.layers)} layers, from" if len(boxes) > 1 else ""
    alt = (
        f"Network {network.name}: {words} {', '.join(i.name for i in network.inputs)} to"
        f" {', '.join(network.outputs)}; the table below lists every layer."
    )
    svg = _svg(boxes, laid.nodes, laid.edges, alt)
    caption = "The network; a box has the layer, what it does, and the shape and format it makes."
    return Figure(svg=svg, caption=caption, wide=True)


def _boxes(network: Network) -> list[_Box]:
    boxes: dict[str, _Box] = {}
    owner: dict[str, str] = {}
    readers: dict[str, int] = {}
    for layer in network.layers:
        for name in layer.inputs:
            readers[name] = readers.get(name, 0) + 1
    sums = {layer.name for layer in network.mac_layers}
    for source in network.inputs:
        boxes[source.name] = _Box(source.name, [source.name, "Input", _made(network, source.name)])
        owner[source.name] = source.name
    for layer in network.layers:
        code = as_code_layer(layer)
        if code is not None and code.input in sums and readers[code.input] == 1:
            box = boxes[owner[code.input]]
            box.lines[-1:] = [f"then {type(layer).__name__}", _made(network, layer.name)]
            owner[layer.name] = box.name
            continue
        lines = [layer.name, _what(layer), _made(network, layer.name)]
        reads = [owner[name] for name in layer.inputs]
        boxes[layer.name] = _Box(layer.name, [_cut(line) for line in lines], reads)
        owner[layer.name] = layer.name
    return list(boxes.values())


def _what(layer: Layer) -> str:
    kind = type(layer).__name__
    if as_mac_layer(layer) is not None:
        return f"{kind} {repr(layer).partition(': ')[2].removesuffix(')')}"
    kernel = getattr(layer, "kernel", None)
    return f"{kind} {kernel[0]}×{kernel[1]}" if kernel else kind


def _made(network: Network, name: str) -> str:
    tensor = network.tensors[name]
    fmt = re.sub(r"\[.*", "", repr(tensor.format))
    return f"{'×'.join(map(str, tensor.shape))} {fmt}"


def _cut(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _svg(
    boxes: Sequence[_Box],
    nodes: Sequence[dict[str, Any]],
    edges: Sequence[dict[str, Any]],
    alt: str,
) -> Markup:
    points = [point for edge in edges for point in edge["points"]]
    left = min(
        [n["center"]["x"] - n["size"]["width"] / 2 for n in nodes] + [p["x"] for p in points]
    )
    right = max(
        [n["center"]["x"] + n["size"]["width"] / 2 for n in nodes] + [p["x"] for p in points]
    )
    top = min(n["center"]["y"] - n["size"]["height"] / 2 for n in nodes)
    bottom = max(n["center"]["y"] + n["size"]["height"] / 2 for n in nodes)
    left, top = left - MARGIN, top - MARGIN
    width, height = right - left + MARGIN, bottom - top + MARGIN
    parts = [
        f'<svg role="img" aria-labelledby="network-alt" class="diagram"'
        f' viewBox="{left:.1f} {top:.1f} {width:.1f} {height:.1f}"'
        f' width="{width:.0f}" height="{height:.0f}" xmlns="http://www.w3.org/2000/svg">'
        f'<title id="network-alt">{escape(alt)}</title>'
        '<defs><marker id="network-arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7"'
        ' markerHeight="7" orient="auto"><path class="head" d="M0 0 L8 4 L0 8 z"/></marker></defs>'
    ]
    for edge in edges:
        corners = " ".join(f"{p['x']:.1f},{p['y']:.1f}" for p in edge["points"])
        parts.append(f'<polyline points="{corners}" marker-end="url(#network-arrow)"/>')
    for box, node in zip(boxes, nodes, strict=True):
        wide, high = box.size
        x, y = node["center"]["x"], node["center"]["y"] - high / 2
        parts.append(
            f'<rect x="{x - wide / 2:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}"'
            ' rx="5"/>'
        )
        for number, line in enumerate(box.lines):
            at = y + PADDING + LINE_HEIGHT * (number + 0.75)
            kind = ' class="name"' if number == 0 else ""
            parts.append(f'<text x="{x:.1f}" y="{at:.1f}"{kind}>{escape(line)}</text>')
    return Markup("".join([*parts, "</svg>"]))
