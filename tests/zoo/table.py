"""Every case of the zoo on every target, as a table: docs/results/layers.md.

python -m tests.zoo.table [--only TEXT] [--jobs 2] [--out docs/results/layers.md]

What a case gave is kept in ``--kept`` beside the state of the sources that gave it; a run that was
stopped goes on where it was, and a change of the sources runs all again.  The table is written
after each case and has all cases: what has not run on these sources stands there as not run.
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Generator, Iterable
from contextlib import closing
from pathlib import Path

from rich.progress import Progress

from tests.kept import PACKAGE, Kept, state
from tests.workers import workers
from tests.zoo import Case, cases
from tests.zoo.making import (
    by_name,
    differing,
    in_plain_python,
    inputs_of,
    is_large,
    network_of,
    of_ends,
)
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntArray
from vecq_hw.interrupts import interrupt_on_signals
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import TARGETS

VECTORS = 3
COLUMNS = ("plain Python", "int8", *(target.name for target in TARGETS))
WAYS = ("computed", "refused by a sentence", "wrong", "not run")
"""What can come of a case."""

Outcome = dict[str, str]
"""What each target said of a case, by column; ``refused`` or ``crashed`` where there is none."""


def outcome(case: Case) -> Outcome:
    """Run a case on every target."""
    try:
        network = network_of(case)
    except VecqError as error:
        return {"refused": str(error)}
    except Exception as error:  # a fault of ours: the table names it
        return {"crashed": _located(error)}
    found: Outcome = {}
    inputs = inputs_of(network, VECTORS, 7)
    x = of_ends(network, inputs)
    try:
        expected = by_name(network, simulate(network, x))
        found["plain Python"] = _plain(network, inputs, expected)
        found["int8"] = _bytes(network, x, expected)
    except Exception as error:
        found["plain Python"] = f"crashed: {_located(error)}"
        return found
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = verify(network, x, targets=TARGETS, folder=Path(folder))
        except Exception as error:
            return found | {TARGETS[0].name: f"crashed: {_located(error)}"}
    for row in report.rows:
        match row.status:
            case Status.PASSED:
                found[row.name] = f"{row.outputs} equal"
            case Status.UNSUPPORTED:
                found[row.name] = row.message.removeprefix("unsupported: ")
            case Status.FAILED | Status.ERROR:
                found[row.name] = f"FAILED: {row.mismatches} differ; {row.message}"
    return found


def _located(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"


def _plain(network: Network, inputs: dict[str, IntArray], expected: dict[str, IntArray]) -> str:
    if is_large(network):
        return "not run: too large"
    return _compared(in_plain_python(network, inputs), expected)


def _bytes(network: Network, x: object, expected: dict[str, IntArray]) -> str:
    try:
        return _compared(by_name(network, simulate(network, x, engine="int8")), expected)
    except VecqError as error:
        return str(error)


def _compared(found: dict[str, IntArray], expected: dict[str, IntArray]) -> str:
    count = differing(found, expected)
    return f"FAILED: {count} differ" if count else f"{sum(e.size for e in expected.values())} equal"


SOURCES = (*PACKAGE, "tests/plain.py", "tests/random_networks", "tests/zoo")
"""All that a result depends on."""


def stored(every: list[Case], kept: Kept) -> dict[str, Outcome]:
    """The outcomes of an earlier run on these sources, by the names of the cases."""
    found = {case.name: kept.get(case.name) for case in every}
    return {name: outcome for name, outcome in found.items() if outcome is not None}


def run(left: list[Case], kept: Kept, jobs: int) -> Generator[tuple[Case, Outcome], None, None]:
    """Run the cases and keep what each gave, which is also yielded, as soon as it is there."""
    named = {case.name: case for case in left}
    with workers(_named_outcome, jobs) as results, Progress() as progress:
        task = progress.add_task(f"{len(left)} cases", total=len(left))
        for name, found in results(named):
            kept.put(name, found)
            progress.update(task, advance=1, description=name)
            yield named[name], found


def _named_outcome(name: str) -> Outcome:
    # Functions that make models cannot be sent to a process; their names can.
    return outcome(next(case for case in cases() if case.name == name))


def write(
    every: list[Case], found: dict[str, Outcome], more: Iterable[tuple[Case, Outcome]], out: Path
) -> None:
    """Write the table of what is found, and again with each outcome that comes."""
    write_atomically(out, table(every, found).encode())
    for case, row in more:
        found[case.name] = row
        write_atomically(out, table(every, found).encode())


def table(every: list[Case], found: dict[str, Outcome]) -> str:
    """The Markdown: a section for each kind, a row for each case, notes for sentences."""
    text = [
        "# Layers and ways of writing them, on every target",
        "",
        "Each model gets 4-bit weights and 8-bit activations and is"
        " [lowered](../reference/glossary.md#lowering) to integers. Every"
        f" [target](../reference/glossary.md#target) then computes {VECTORS} inputs, the ends of"
        ' the input\'s range among them. "n equal" means that n integers were compared with the'
        " simulator's, and none differed.",
        "",
        f"`python -m tests.zoo.table` made this page at commit {_commit()}.",
        "",
        f"{_counts(every, found)}{_wrong_ones(every, found)}.",
        "",
        "| | cases | " + " | ".join(WAYS) + " |",
        "|---" * (len(WAYS) + 2) + "|",
    ]
    kinds: dict[str, list[Case]] = {}
    for case in every:
        kinds.setdefault(case.kind, []).append(case)
    for kind, chosen in kinds.items():
        ways = Counter(way(found.get(case.name)) for case in chosen)
        text.append(f"| {kind} | {len(chosen)} | " + " | ".join(str(ways[w]) for w in WAYS) + " |")
    for kind, chosen in kinds.items():
        text += ["", f"## {kind}", "", "| | " + " | ".join(COLUMNS) + " |"]
        text.append("|---" * (len(COLUMNS) + 1) + "|")
        notes: list[str] = []
        for case in chosen:
            text.append(
                f"| {case.name} | " + " | ".join(_cells(notes, found.get(case.name))) + " |"
            )
        text += [""] * bool(notes) + [f"{n}. {said}" for n, said in enumerate(notes, 1)]
    return "\n".join(text) + "\n"


def _commit() -> str:
    return subprocess.check_output(["git", "rev-parse", "--short", "HEAD"], text=True).strip()


def _counts(every: list[Case], found: dict[str, Outcome]) -> str:
    ways = Counter(way(found.get(case.name)) for case in every)
    return f"{len(every)} cases: " + ", ".join(f"{ways[w]} {w}" for w in WAYS)


def _wrong_ones(every: list[Case], found: dict[str, Outcome]) -> str:
    wrong = [case.name for case in every if way(found.get(case.name)) == "wrong"]
    return f"; wrong: {', '.join(wrong)}" if wrong else ""


def way(row: Outcome | None) -> str:
    """Which of ``WAYS``; wrong is where integers differ or something crashed."""
    if row is None:
        return "not run"
    if "crashed" in row or any(cell.startswith(("FAILED", "crashed")) for cell in row.values()):
        return "wrong"
    return "refused by a sentence" if "refused" in row else "computed"


def _cells(notes: list[str], row: Outcome | None) -> list[str]:
    if row is None:
        first = "not run"
    elif "refused" in row:
        first = _note(notes, row["refused"], "no")
    elif "crashed" in row:
        first = _note(notes, row["crashed"], "WRONG")
    else:
        return [_cell(notes, row.get(column, "")) for column in COLUMNS]
    return [first] + [""] * (len(COLUMNS) - 1)


def _cell(notes: list[str], said: str) -> str:
    if not said or said.endswith(" equal"):
        return said
    return _note(notes, said, "WRONG" if said.startswith(("FAILED", "crashed")) else "no")


def _note(notes: list[str], said: str, mark: str) -> str:
    said = " ".join(said.split()).replace("|", "\\|")
    if said not in notes:
        notes.append(said)
    return f"{mark} ({notes.index(said) + 1})"


def main() -> None:
    """Run, write, and end with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="Run cases whose name or kind holds this text.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kept", type=Path, default=Path("build/layers"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/layers.md"))
    arguments = parser.parse_args()
    interrupt_on_signals()
    begun, every = time.perf_counter(), list(cases())
    kept = Kept(arguments.kept, state(*SOURCES))
    found = stored(every, kept)
    left = [
        case
        for case in every
        if case.name not in found and arguments.only in f"{case.kind}: {case.name}"
    ]
    try:
        with closing(run(left, kept, arguments.jobs)) as more:
            write(every, found, more, arguments.out)
    except KeyboardInterrupt:
        raise SystemExit(f"stopped; {arguments.out} has {_counts(every, found)}") from None
    seconds = time.perf_counter() - begun
    print(f"{_counts(every, found)} in {seconds:.0f} s, {arguments.out}")
    raise SystemExit(any(way(row) == "wrong" for row in found.values()))


if __name__ == "__main__":
    main()
