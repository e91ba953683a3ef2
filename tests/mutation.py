"""Small faults in the code, one after the other, each of which the tests must find.

Cosmic-ray makes the faults: another operator, another constant, a negated condition, a branch that
is left out.  They are made in a copy of the files that git knows.  A run goes on where the last one
into the same folder was stopped; each module's faults come in an order that is random, but the
same each time, so that a run that was stopped is a fair sample.

python -m tests.mutation --out build/mutation [--module vecq_hw/formats.py] [--minutes 10]
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically

ROOT = Path(__file__).parent.parent
SECONDS = 120
"""What a test run takes at most; a fault that keeps it from its end is found."""

TESTS = {
    "vecq_hw/arithmetic.py": "tests/test_arithmetic.py tests/passes tests/simulate/test_lines.py"
    " tests/simulate/test_engines.py",
    "vecq_hw/exact_products.py": "tests/test_arithmetic.py tests/simulate/test_engines.py",
    "vecq_hw/formats.py": "tests/test_formats.py tests/test_network.py tests/test_storage.py",
    "vecq_hw/layers": "tests/test_network.py tests/test_storage.py tests/simulate",
    "vecq_hw/network.py": "tests/test_network.py tests/simulate",
    "vecq_hw/storage.py": "tests/test_storage.py tests/test_trees.py",
    "vecq_hw/lower": "tests/lower tests/train/test_models.py",
    "vecq_hw/passes": "tests/passes tests/simulate",
    "vecq_hw/simulate": "tests/simulate",
}
"""The tests that must find the faults of a module or of a folder's modules."""

# What the tests cannot see, each with its reason, is named in docs/results/mutation.md.


@dataclass(frozen=True)
class Fault:
    """One change of one module."""

    module: str
    operator: str
    occurrence: int
    line: int

    @property
    def key(self) -> str:
        """A name, by which a result is kept."""
        return f"{self.module}:{self.line} {self.operator} {self.occurrence}"


def modules() -> list[str]:
    """Paths of all modules, from the root."""
    found: list[str] = []
    for place in TESTS:
        path = ROOT / place
        inside = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        found += [str(one.relative_to(ROOT)) for one in inside]
    return found


def tests_of(module: str) -> list[str]:
    """Arguments of pytest for the faults of a module."""
    (place,) = [place for place in TESTS if module == place or module.startswith(f"{place}/")]
    return TESTS[place].split()


def annotated(source: str) -> Iterator[tuple[int, int, int, int]]:
    """Begin and end, lines and columns, of what only type checkers read."""
    for node in ast.walk(ast.parse(source)):
        parts: list[ast.AST | None] = []
        match node:
            case ast.FunctionDef():
                parts = [node.returns]
            case ast.arg() | ast.AnnAssign():
                parts = [node.annotation]
        for part in parts:
            if isinstance(part, ast.expr) and part.end_lineno and part.end_col_offset is not None:
                yield part.lineno, part.col_offset, part.end_lineno, part.end_col_offset


def faults(module: str) -> list[Fault]:
    """All faults of a module beside those in annotations, in an order of chance."""
    from cosmic_ray.commands.init import _all_work_items  # of the extra ``mutation`` alone

    spans = list(annotated((ROOT / module).read_text()))
    found = []
    for item in _all_work_items([Path(module)], {}):
        (change,) = item.mutations
        line, column = change.start_pos
        if any((a, b) <= (line, column) < (c, d) for a, b, c, d in spans):
            continue
        found.append(Fault(module, change.operator_name, change.occurrence, line))
    random.Random(module).shuffle(found)
    return found


def passes(tree: Path, module: str) -> bool:
    """Whether the tests of a module find nothing in a tree."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "CI": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    try:
        done = subprocess.run(
            [*command, *tests_of(module)],
            cwd=tree,
            env=environment,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def run(module: str, tree: Path, results: dict[str, str], out: Path, end: float) -> None:
    """Try the faults of a module that have no result, until the time is up."""
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    left = [fault for fault in faults(module) if fault.key not in results]
    source = (ROOT / module).read_bytes()
    if left and not passes(tree, module):
        raise VecqError(f"the tests of {module} fail without any fault")
    for fault in left:
        if time.monotonic() > end:
            return
        operator = get_operator(fault.operator)()
        changed = mutate_code(source.decode(), operator, fault.occurrence)
        if changed is None:
            continue
        try:
            (tree / module).write_text(changed)
            results[fault.key] = "survived" if passes(tree, module) else "found"
        finally:
            (tree / module).write_bytes(source)
        write_atomically(out / "results.json", json.dumps(results, indent=1).encode())


def report(results: dict[str, str]) -> str:
    """Markdown: a row for each module, then what was not found."""
    lines = ["| module | faults | tried | found | score |", "|---|---:|---:|---:|---:|"]
    for module in modules():
        counts = Counter(v for k, v in results.items() if k.startswith(f"{module}:"))
        tried = counts.total()
        score = f"{counts['found'] / tried:.1%}" if tried else ""
        lines.append(
            f"| `{module}` | {len(faults(module))} | {tried} | {counts['found']} | {score} |"
        )
    survivors = sorted(key for key, value in results.items() if value == "survived")
    return "\n".join([*lines, "", *(f"- `{key}`" for key in survivors), ""])


def main() -> None:
    """Run, and write results.json and report.md."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("build/mutation"))
    parser.add_argument("--module", action="append", choices=modules())
    parser.add_argument("--minutes", type=float, default=300)
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    tree = out / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    for name in filter(None, listed.stdout.decode().split("\0")):
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tree / name)
    kept = out / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    end = time.monotonic() + 60 * arguments.minutes
    for module in arguments.module or modules():
        run(module, tree, results, out, end)
    text = report(results)
    write_atomically(out / "report.md", text.encode())
    print(text)


if __name__ == "__main__":
    main()
