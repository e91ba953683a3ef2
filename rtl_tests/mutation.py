"""A small mutation tester of the cells: which wrong operators do their benches let pass?

python -m rtl_tests.mutation [--cells vecq_pool ...] [--each 8] [--out docs/results/rtl_mutants.md]

All mutants of a bench's cells are compiled into one simulation, where ``+mutant=N`` chooses one: a
statement of the cell becomes ``mutant == N ? changed : as it was``.  So widths, parameters and
generate blocks are not mutated; what they derive has a test of its own.  A mutant is killed if the
bench fails, an assertion of the streams' rules trips or the simulation hangs.
"""

from __future__ import annotations

import argparse
import importlib
import os
import random
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtl_tests import harness
from vecq_hw.bench.runner import failures
from vecq_hw.files import write_atomically
from vecq_hw.processes import run_process
from vecq_hw.toolchain import simulation_environment

BENCHES: Mapping[str, tuple[int, Sequence[str]]] = {
    # One in so many of its cases, and the cells that it is about.
    "argmax": (3, ["argmax"]),
    "fifo": (2, ["fifo"]),
    "frame_width": (3, ["frame_width", "frame_end"]),
    "constant": (2, ["constant"]),
    "joins": (2, ["add", "adder_tree", "multiply", "concat", "fork"]),
    "lookup": (3, ["lookup"]),
    "matrix_vector": (
        6,
        (
            *(
                "matrix_vector",
                "pair_row_array",
                "pair_sums",
                "plane_sum",
                "quad_row_array",
                "popcount_array",
            ),
            *("replay_buffer", "group_buffer", "adder", "carry_adder"),
        ),
    ),
    "compact": (3, ["base_serial", "code_book", "partial_sums", "frame_buffer"]),
    "gather_sum": (2, ["gather_sum", "frame_buffer"]),
    "pool": (3, ["pool"]),
    "reorder": (3, ["reorder"]),
    "rescale": (3, ["rescale", "constant_multiplier", "table_multiplier", "pipeline_end"]),
    "rescale_serial": (4, ["rescale_serial"]),
    "sequences": (4, ["embedding", "lstm", "gru", "gate_products", "state_product"]),
    "sliding_window": (3, ["sliding_window", "window_buffer", "counter"]),
    "stream_register": (1, ["stream_register"]),
    "stream_width": (2, ["stream_width"]),
    "threshold": (3, ["threshold"]),
    "topk": (3, ["topk"]),
    "upsample": (2, ["upsample"]),
}
OPERATORS: Sequence[tuple[str, str]] = [
    (r" == ", " != "),
    (r" != ", " == "),
    (r" && ", " || "),
    (r" \|\| ", " && "),
    (r" \+ ", " - "),
    (r" - ", " + "),
    (r" < ", " <= "),
    (r" > ", " >= "),
    (r" >= ", " > "),
    (r" & ", " | "),
    (r" \| ", " & "),
    (r" \^ ", " | "),
    (r"!(?=\w)", ""),
    (r"~(?=\w)", ""),
    (r"1'b1", "1'b0"),
    (r"'\(1\)", "'(2)"),
]
# What is no place for a choice at run time.
_FIXED = re.compile(
    r"//[^\n]*|^ +function .*?endfunction|^`ifn?def.*?`endif|\$\w+\(.*?\)|^ +initial [^\n]*"
    r"|^ +for \([^\n]*\)(?:\s+begin[^\n]*)?|^ +(?:localparam|parameter|logic|int|string) [^;]*;"
    r"|^  +(?:end else )?if \([^;]*?\)\s+begin : gen_\w+"
    r"|^ +\w+ #\(.*?^ +\);|^ +\w+ \w+ \(\n.*?^ +\);",
    re.MULTILINE | re.DOTALL,
)
CHOICE = '  int mutant;\n  initial if (!$value$plusargs("mutant=%d", mutant)) mutant = -1;\n'
_TEST = """\
import os, sys
from cocotb_tools.runner import get_runner
folder, bench, mutant = sys.argv[1:]
get_runner("verilator").test(
    hdl_toplevel="cells", hdl_toplevel_lang="verilog", test_module=bench, seed="1",
    build_dir=folder + "/sim_build", test_dir=folder, results_xml=folder + "/mutant.xml",
    plusargs=["+mutant=" + mutant],
)
"""
TIMEOUT = 240
"""Seconds after which a simulation hangs."""


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A change of one statement of a cell."""

    cell: str
    line: int
    old: str
    new: str
    span: tuple[int, int]


def expressions(text: str) -> Iterator[tuple[int, int]]:
    """Where the expressions of a cell's assignments and procedural conditions begin and end."""
    start = text.index(");\n", text.index("module ")) + len(");\n")
    end = text.find("  // What the parameters must be.")
    code = text[start : end if end >= 0 else len(text)]
    code = _FIXED.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), code)
    depth, begin, condition = 0, None, None
    for place, character in enumerate(code):
        if character in "([{":
            if depth == 0 and re.search(r"\bif $", code[:place]):
                condition = place + 1
            depth += 1
        elif character in ")]}":
            depth -= 1
            if depth == 0 and condition is not None:
                yield start + condition, start + place
                condition = None
        elif depth == 0 and begin is None and re.match(r" <?=\s", code[place:]):
            begin = place + len(code[place:]) - len(code[place:].lstrip(" <=\n"))
        elif character == ";":
            if begin is not None and depth == 0:
                yield start + begin, start + place
            begin = None


def mutants(cell: str, text: str) -> Iterator[Mutant]:
    """All that :data:`OPERATORS` make of the cell's expressions."""
    for begin, end in expressions(text):
        body = text[begin:end]
        for pattern, new in OPERATORS:
            for found in re.finditer(pattern, body):
                changed = body[: found.start()] + new + body[found.end() :]
                yield Mutant(
                    cell=cell,
                    line=text.count("\n", 0, begin + found.start()) + 1,
                    old=" ".join(body.split()),
                    new=" ".join(changed.split()),
                    span=(begin, end),
                )


def with_mutants(text: str, chosen: Mapping[int, Mutant]) -> str:
    """The cell with a choice among these mutants, by number."""
    by_statement: dict[tuple[int, int], str] = {}
    for number, mutant in chosen.items():
        before = by_statement.get(mutant.span, text[slice(*mutant.span)])
        by_statement[mutant.span] = f"mutant == {number} ? ({mutant.new}) : ({before})"
    for (start, end), choice in sorted(by_statement.items(), reverse=True):
        text = text[:start] + choice + text[end:]
    start = text.index(");\n", text.index("module ")) + len(");\n")
    return text[:start] + CHOICE + text[start:]


def run(bench: str, folder: Path, each: int, cells: Sequence[str]) -> dict[Mutant, str]:
    """What became of ``each`` mutants of each cell of a bench."""
    every, about = BENCHES[bench]
    module = importlib.import_module(f"rtl_tests.bench_{bench}")
    environment = harness.prepare(folder, module.CASES, every, getattr(module, "ALSO", ()))
    chosen: dict[int, Mutant] = {}
    for cell in (f"vecq_{name}" for name in about):
        if cells and cell not in cells:
            continue
        path = folder / "rtl" / f"{cell}.sv"
        text = path.read_text()
        found = list(mutants(cell, text))
        some = random.Random(cell).sample(found, min(each, len(found)))
        own = dict(enumerate(some, start=len(chosen)))
        chosen |= own
        path.write_text(with_mutants(text, own))
    if not chosen:
        return {}
    harness.run_bench(folder, harness.TOP, f"rtl_tests.bench_{bench}", environment)
    root = Path(__file__).resolve().parent.parent
    environment = {
        **{**os.environ, **simulation_environment(), **environment, "COCOTB_MAX_FAILURES": "1"},
        "PYTHONPATH": f"{root}{os.pathsep}{os.environ.get('PYTHONPATH', '')}",
    }
    results = {}
    for number, mutant in chosen.items():
        report = folder / "mutant.xml"
        report.unlink(missing_ok=True)
        command = [sys.executable, "-c", _TEST, str(folder), f"rtl_tests.bench_{bench}"]
        try:
            status, output = run_process([*command, str(number)], folder, environment, TIMEOUT)
        except subprocess.TimeoutExpired:
            results[mutant] = "hangs"
        else:
            tripped = "Assertion failed" in output
            failed = bool(status) or not report.exists() or bool(failures(report))
            results[mutant] = "assertion" if tripped else "bench" if failed else "survives"
        print(f"{mutant.cell}:{mutant.line} {results[mutant]}: {mutant.new}", flush=True)
    return results


def table(results: Mapping[Mutant, str]) -> str:
    """The record: a score for each cell, and all that survive."""
    lines = [
        "# Mutants of the RTL cells",
        "",
        "A mutant is a [cell](../reference/glossary.md#cell) with one small fault. It is killed",
        "when a test fails, or when an assertion in the cell does. So many mutants of each cell",
        "as the table says were drawn by chance. `python -m rtl_tests.mutation` ran them.",
        "",
    ]
    lines += ["| Cell | mutants | killed | by assertions |", "|---|--:|--:|--:|"]
    total = killed = 0
    for cell in sorted({mutant.cell for mutant in results}):
        fates = [fate for mutant, fate in results.items() if mutant.cell == cell]
        dead = len(fates) - fates.count("survives")
        total, killed = total + len(fates), killed + dead
        lines.append(f"| `{cell}` | {len(fates)} | {dead} | {fates.count('assertion')} |")
    lines += [f"| all | {total} | {killed} | |", "", f"Score: {100 * killed / total:.1f} %.", ""]
    survivors = [mutant for mutant, fate in results.items() if fate == "survives"]
    if survivors:
        lines += ["Survivors:", "", "| Cell, line | statement | mutant |", "|---|---|---|"]
        for mutant in survivors:
            old, new = (text.replace("|", "\\|") for text in (mutant.old, mutant.new))
            lines.append(f"| `{mutant.cell}` {mutant.line} | `{old}` | `{new}` |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--bench", nargs="*", default=list(BENCHES), choices=list(BENCHES))
    parser.add_argument("--cells", nargs="*", default=[])
    parser.add_argument("--each", type=int, default=8, help="mutants of a cell")
    parser.add_argument("--out", type=Path, default=Path("build/rtl_mutants.md"))
    arguments = parser.parse_args()
    results: dict[Mutant, str] = {}
    for bench in arguments.bench:
        with tempfile.TemporaryDirectory(prefix="vecq-mutants-") as place:
            results |= run(bench, Path(place) / "cells", arguments.each, arguments.cells)
        if results:  # what is known so far
            write_atomically(arguments.out, table(results).encode())


if __name__ == "__main__":
    main()
