"""Which lines, bits, stalls and folds of the cells the regression reaches: a table as Markdown.

Reads what Verilator wrote while the tests ran with VECQ_COVERAGE set: of each build a coverage.dat,
and beside it the top that says which instance has which parameters.

python -m rtl_tests.coverage FOLDER [--out docs/results/coverage.md]
"""

from __future__ import annotations

import argparse
import re
import subprocess
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rtl_tests.harness import SITUATIONS, TOP
from vecq_hw import assets
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically

# A point of coverage.dat: its keys and values between these two characters, then how often.
_POINT = re.compile(r"C '(.*)' (\d+)")
_INSTANCE = re.compile(r"^  (vecq_\w+) #\((.*)\) c(\d+)_unit", re.MULTILINE)
_PARAMETER = re.compile(r"\.(\w+)\((\d+|\{[^}]*\})\)")


@dataclass
class Cell:
    """What was counted in all instances of one cell.

    Attributes
    ----------
    blocks : Counter of (line, column, kind)
        How often each branch and each block was entered.
    lines : mapping of int to set of blocks
        The blocks that a source line is part of.
    toggles : Counter of (line, bit and direction)
        How often each bit of a signal rose and fell.
    """

    blocks: Counter[tuple[int, int, str]] = field(default_factory=Counter)
    lines: dict[int, set[tuple[int, int, str]]] = field(default_factory=lambda: defaultdict(set))
    toggles: Counter[tuple[int, str]] = field(default_factory=Counter)

    @property
    def missed(self) -> list[int]:
        """Lines of which some block or branch was never entered in any instance."""
        return sorted(
            line for line, some in self.lines.items() if not all(self.blocks[b] for b in some)
        )

    @property
    def toggled(self) -> int:
        return sum(count > 0 for count in self.toggles.values())


def points(file: Path) -> Iterator[tuple[dict[str, str], int]]:
    """Keys and count of every point of a coverage.dat."""
    for line in file.read_text().splitlines()[1:]:
        found = _POINT.fullmatch(line)
        assert found is not None, line
        pairs = (part.split("\x02", 1) for part in found[1].split("\x01") if part)
        yield {pair[0]: pair[1] for pair in pairs}, int(found[2])


def spans(text: str, line: int) -> Iterator[int]:
    """The lines of a list of ranges; the point's own where it has none.

    >>> list(spans("3,5-7", 2))
    [3, 5, 6, 7]
    """
    for part in text.split(",") if text else [str(line)]:
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


CHECKERS = ("vecq_memory_file", "vecq_stream_rules")
"""Cells that hold no hardware."""


def elaborated(text: str) -> set[int]:
    """The lines of a cell's functions of int: these are of parameters, no signal is an int.

    >>> sorted(elaborated("module m;\\n  function int f();\\n  endfunction\\nendmodule"))
    [2, 3]
    """
    found = re.finditer(r"^ *function (automatic )?(int|bit) .*?endfunction", text, re.M | re.S)
    lines = set()
    for function in found:
        first = text.count("\n", 0, function.start()) + 1
        lines |= set(range(first, first + function[0].count("\n") + 1))
    return lines


def merged(files: Iterable[Path]) -> dict[str, Cell]:
    """All instances of all files, by cell; instances meet in the source line, name and bit."""
    sources = [path for path in sorted(assets.rtl().glob("*.sv")) if path.stem not in CHECKERS]
    cells = {path.stem: Cell() for path in sources}
    left_out = {path.stem: elaborated(path.read_text()) for path in sources}
    for file in files:
        for keys, count in points(file):
            name, line = Path(keys["f"]).stem, int(keys["l"])
            if name not in cells or line in left_out[name]:
                continue
            cell = cells[name]
            if keys["t"] == "toggle":
                cell.toggles[line, keys["o"]] += count
            else:
                block = (line, int(keys["n"]), keys["o"])
                cell.blocks[block] += count
                for some in spans(keys.get("S", ""), line):
                    cell.lines[some].add(block)
    return cells


def fold(module: str, values: Mapping[str, str]) -> str:
    """What kind of fold an instance is, in words."""

    def number(name: str, otherwise: int = 1) -> int:
        return int(values.get(name, otherwise))

    def several(count: int, what: str) -> str:
        return f"one {what}" if count == 1 else f"several {what}s"

    match module:
        case "vecq_matrix_vector":
            kind = several(number("Outputs") // number("Pe"), "output fold")
            kind += f", {several(number('Inputs') // number('Simd'), 'input fold')}"
            kind += ", groups" if number("Groups") > 1 else ""
            kind += ", bit-serial" if number("BitSerial", 0) else ""
            kind += ", popcount" if number("Popcount", 0) else ""
            kind += ", code book" if number("BookWords", 0) else ""
            return kind + (", rows of four" if number("QuadRows", 0) else "")
        case "vecq_base_serial":
            kind = several(number("Outputs") // number("Pe"), "output fold")
            return f"{kind}, {several(number('GroupWords'), 'word')} of a group"
        case "vecq_partial_sums":
            turns = number("Outputs") // number("Groups") // number("Pe")
            kind = several(turns, "turn")
            kind += f", {several(number('Simd') // number('BookLanes'), 'block')}"
            return kind + (", groups" if number("Groups") > 1 else "")
        case "vecq_lookup":
            tables = "own tables" if number("OwnTables", 0) else "one table"
            return f"{several(number('Channels') // number('Lanes'), 'fold')}, {tables}"
        case "vecq_topk":
            return several(number("Count"), "place")
        case "vecq_threshold":
            return several(number("Channels") // number("Lanes"), "fold")
        case "vecq_rescale" | "vecq_rescale_serial":
            kind = several(number("Channels") // number("Lanes"), "fold")
            kind += ", own shifts" if number("ShiftBits", 0) else ""
            kind += ", classes" if number("Classes") > 1 else ""
            if module == "vecq_rescale":
                return kind
            return f"{kind}, {several(number('Turns'), 'turn')}"
        case "vecq_argmax":
            folds = several(number("Elements") // number("Lanes"), "fold")
            return f"{folds}, {several(number('Lanes'), 'lane')}"
        case "vecq_sliding_window" | "vecq_pool" | "vecq_upsample" | "vecq_gather_sum":
            return several(number("Folds"), "fold")
        case "vecq_reorder":
            kept = "nothing kept" if values.get("ReadsOnce") == "1'b1" else "words kept"
            return f"{kept}, {'an axis listed' if 'Table0Axis' in values else 'counters alone'}"
        case "vecq_embedding":
            return several(number("Folds"), "fold")
        case "vecq_lstm" | "vecq_gru":
            words = number("Elements") * (3 if module == "vecq_gru" else 4) // number("Pe")
            folds = several(number("Elements") // number("Simd"), "input fold")
            kind = f"{several(words, 'output fold')}, {folds}"
            return kind + (", all steps" if number("Sequence", 0) else "")
        case "vecq_stream_width" | "vecq_frame_width" | "vecq_fifo":
            come, go = number("LanesIn"), number("LanesOut")
            if come == go:
                return "equal words"
            if go % come == 0:
                return "words joined"
            return "words split" if come % go == 0 else "neither width divides the other"
        case "vecq_multiply":
            return "kept for a frame" if number("Positions") > 1 else "both at once"
        case "vecq_constant":
            return several(number("Words"), "word")
        case "vecq_add" if number("Subtract", 0):
            return "a difference"
        case "vecq_add" | "vecq_concat":
            return several(number("Operands"), "operand")
        case "vecq_fork":
            return several(number("Outputs"), "receiver")
        case _:
            return "one kind"


def situations(folders: Iterable[Path]) -> dict[tuple[str, str], Counter[str]]:
    """For each cell and fold in how many instances a situation was seen, and ``instances``."""
    seen: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for folder in folders:
        top = folder / "rtl" / f"{TOP}.sv"
        if not top.exists():  # a whole network, or a stream on its own
            continue
        kinds = {}
        for module, text, index in _INSTANCE.findall(top.read_text()):
            kinds[f"c{index}"] = key = (module, fold(module, dict(_PARAMETER.findall(text))))
            seen[key]["instances"] += 1
        for keys, count in points(folder / "coverage.dat"):
            if keys["t"] == "user" and count:
                instance, _, situation = keys["o"].partition("_")
                if instance in kinds:
                    seen[kinds[instance]][situation] += 1
    return seen


def percent(part: int, whole: int) -> str:
    """One decimal; a dash where there is nothing to count.

    >>> percent(2, 3)
    '66.7'
    """
    return f"{100 * part / whole:.1f}" if whole else "–"


def report(folder: Path, command: str) -> str:
    """The Markdown of all builds below ``folder``.

    Raises
    ------
    VecqError
        No test left a coverage.dat there.
    """
    files = sorted(folder.rglob("coverage.dat"))
    if not files:
        raise VecqError(f"{folder}: no coverage.dat below it; run the tests with VECQ_COVERAGE=1")
    described = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(described, capture_output=True, text=True, check=False).stdout.strip()
    lines = [
        "# Coverage of the cells",
        "",
        f"`{command}`, commit {commit}, {datetime.now(UTC):%Y-%m-%d %H:%M} UTC;"
        f" {len(files)} builds.",
        "",
        "A line counts only if each block and each branch on it was entered, ternaries included. A",
        "bit counts once for rising and once for falling. All instances of a cell are merged by",
        "source line, name and bit; a bit that only the widest instance has must toggle there.",
        "Not counted are lines without a statement to enter (ports, `assign` without a choice) and",
        "functions of parameters, which run when a cell is elaborated.",
        "",
        "| cell | lines, % | of | missed | toggles, % | of |",
        "|---|---:|---:|---|---:|---:|",
    ]
    for name, cell in merged(files).items():
        missed = cell.missed
        reached = percent(len(cell.lines) - len(missed), len(cell.lines))
        toggles = percent(cell.toggled, len(cell.toggles))
        numbers = ", ".join(map(str, missed))
        lines.append(
            f"| `{name}` | {reached} | {len(cell.lines)} | {numbers}"
            f" | {toggles} | {len(cell.toggles)} |"
        )
    lines += [
        "",
        "## Stalls and folds",
        "",
        "In how many of the instances with such a fold each situation was seen at the cell's ends.",
        "",
        "| cell | fold | instances | " + " | ".join(SITUATIONS).replace("_", " ") + " |",
        "|---|---|---:" + "|---:" * len(SITUATIONS) + "|",
    ]
    for (module, kind), count in sorted(situations(file.parent for file in files).items()):
        numbers = " | ".join(str(count[situation]) for situation in SITUATIONS)
        lines.append(f"| `{module}` | {kind} | {count['instances']} | {numbers} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path, default=Path("docs/results/coverage.md"))
    parser.add_argument("--command", default="make coverage")
    arguments = parser.parse_args()
    text = report(arguments.folder, arguments.command)
    print(text)
    write_atomically(arguments.out, text.encode())


if __name__ == "__main__":
    main()
