"""Pages of the site that are made of the sources: cells of SystemVerilog and headers of C++.

A page says where: ``<!-- generated: cells -->`` and ``<!-- generated: headers -->`` are replaced
when Sphinx reads it, so that no copy of a fact is kept anywhere.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
_MODULE = re.compile(r"^module (\w+)(?: #\((.*?)\n\))?(?: \((.*?)\n\))?;", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r"^  parameter +((?:int|bit|logic)?[^=]*?)(\w+)(?: *= *(.*))?$")
_PORT = re.compile(r"^  (input|output) +(?:logic|wire)? *(\[[^\n]*\])? *(\w+)", re.MULTILINE)
_RULE = re.compile(r"\$error\(\s*((?:\"[^\"]*\"\s*)+)")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a cell; its default is None where one must be given."""

    kind: str
    name: str
    default: str | None


@dataclass(frozen=True)
class Cell:
    """A module of ``rtl/`` as its file describes it."""

    name: str
    head: str
    parameters: tuple[Parameter, ...]
    ports: tuple[tuple[str, str, str], ...]
    """Direction, range and name of each."""
    rules: tuple[str, ...]
    """What the parameters must be, as the simulator says it."""


def read_cell(path: Path) -> Cell:
    """The module of a file."""
    text = path.read_text()
    found = _MODULE.search(text)
    if found is None:
        raise ValueError(f"{path} holds no module")
    name, parameters, ports = found.groups()
    lines = text[: found.start()].split("\n\n", 1)[1].splitlines()
    said = [line.removeprefix("//").removeprefix(" ") for line in lines if line.startswith("//")]
    head = "\n".join(said)
    return Cell(
        name,
        head.strip("\n"),
        tuple(_parameters(parameters or "")),
        tuple((way, size or "", port) for way, size, port in _PORT.findall(ports or "")),
        tuple(_rules(name, text)),
    )


def _parameters(text: str) -> Iterator[Parameter]:
    # A default may go on over several lines, until a comma that ends a line.
    code = "\n".join(line.split("//")[0].rstrip() for line in text.splitlines())
    for one in re.split(r",\n", code):
        joined = " ".join(one.split())
        found = _PARAMETER.match(f"  {joined}")
        if found is not None:
            kind, name, default = found.groups()
            yield Parameter(kind.strip(), name, default)


def _rules(name: str, text: str) -> Iterator[str]:
    for found in _RULE.finditer(text):
        said = "".join(re.findall(r'"([^"]*)"', found[1])).removeprefix(f"{name}: ")
        said = re.sub(r",? not [^,]*%\w+.*$", "", said)
        yield re.sub(r" ?\(%0?\w\)| ?%0?\w+", "", said).strip()


def prose(text: str, names: Collection[str] = (), links: Collection[str] = ()) -> Iterator[str]:
    """Paragraphs of a comment as Markdown; indented parts stay as they are.

    ``names`` and what has an underscore are set as code, ``links`` lead to their section.
    """
    for paragraph in re.split(r"\n\s*\n", text):
        lines = paragraph.split("\n")
        if any(line.startswith("  ") for line in lines):
            yield "```text\n" + "\n".join(lines) + "\n```"
        else:
            yield marked(" ".join(line.strip() for line in lines), names, links)


def marked(text: str, names: Collection[str] = (), links: Collection[str] = ()) -> str:
    """Prose with its names as code, and without any other meaning to Markdown."""
    parts = re.split(r"(`[^`]*`|\b\w+(?:\[\w+\])?)", text)
    for place, part in enumerate(parts):
        if part in links:
            parts[place] = f"[`{part}`](#{part})"
        elif part in names or re.fullmatch(r"\w*[a-z0-9]_\w+(\[\w+\])?", part):
            parts[place] = f"`{part}`"
        elif not part.startswith("`"):
            parts[place] = re.sub(r"([\\*_<>\[\]{}$|#~])", r"\\\1", part)
    return "".join(parts)


def cells_page() -> str:
    """A section for each cell."""
    said: list[str] = []
    cells = [read_cell(path) for path in sorted((ROOT / "rtl").glob("vecq_*.sv"))]
    for cell in cells:
        names = {each.name for each in cell.parameters} - {
            "Words",
            "Max",
        }  # which are words as well
        links = {each.name for each in cells} - {cell.name}
        said += [f"## `{cell.name}`", *prose(cell.head, names, links)]
        if cell.parameters:
            rows = [
                f"| `{each.name}` | {f'`{each.kind}`' if each.kind else 'text'} | "
                + (f"`{each.default}` |" if each.default else "must be given |")
                for each in cell.parameters
            ]
            head = ["| parameter | type | default |", "|---|---|---|"]
            said.append("\n".join([*head, *(row.replace("||", "\\|\\|") for row in rows)]))
        if cell.rules:
            said.append("The parameters are checked when the design is elaborated:")
            said.append("\n".join(f"- {marked(rule, names)}" for rule in cell.rules))
        if cell.ports:
            rows = [f"| `{port}` | {way} | {f'`{size}`' if size else '1 bit'} |"
                    for way, size, port in cell.ports]  # fmt: skip
            said.append("\n".join(["| port | direction | width |", "|---|---|---|", *rows]))
    return "\n\n".join(said)


def read_header(text: str) -> Iterator[tuple[str, str]]:
    """Each declaration of a header that a comment explains: the comment and the declaration."""
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        if not lines[place].startswith("///"):
            place += 1
            continue
        comment, code = [], []
        while place < len(lines) and lines[place].startswith("///"):
            comment.append(lines[place].removeprefix("///").removeprefix(" "))
            place += 1
        while place < len(lines):
            code.append(lines[place])
            place += 1
            if re.search(r"[{;]\s*(?://.*)?$", code[-1]):
                break
        declaration = "\n".join(code).rstrip()
        yield "\n".join(comment), declaration.removesuffix("{").rstrip()


def headers_page() -> str:
    """A section for each header."""
    said: list[str] = []
    for path in sorted((ROOT / "hls/include/vecq").glob("*.hpp")):
        said.append(f"## `vecq/{path.name}`")
        for comment, declaration in read_header(path.read_text()):
            plain, *items = re.split(r"^@", comment, flags=re.MULTILINE)
            said += [f"```cpp\n{declaration}\n```", *prose(plain.strip())]
            found = (re.match(r"t?param +(\w+) +(.*)", item, re.DOTALL) for item in items)
            listed = [
                f"- `{one[1]}`: {marked(' '.join(one[2].split()))}"
                for one in found
                if one is not None
            ]
            if listed:
                said.append("\n".join(listed))
    return "\n\n".join(said)


PAGES = {"cells": cells_page, "headers": headers_page}


def fill(app: Sphinx, name: str, source: list[str]) -> None:
    """Put what is generated where the page says so."""
    source[0] = re.sub(r"<!-- generated: (\w+) -->", lambda one: PAGES[one[1]](), source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """What Sphinx calls."""
    app.connect("source-read", fill)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
