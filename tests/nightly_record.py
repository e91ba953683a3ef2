"""A run of the nightly tests as a table: what pytest's --junitxml wrote, as Markdown.

python -m tests.nightly_record build/nightly.xml [...] --out docs/results/nightly.md

Of a run in parts, give the files in their order: of a test that stands in several the last counts.
"""

from __future__ import annotations

import argparse
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from vecq_hw.files import write_atomically

COLUMNS = ("test", "result", "data", "images", "integers", "mismatches", "cpu_seconds")
NUMBERS = 4
"""The last columns are figures, which stand to the right."""


def row(case: ElementTree.Element) -> dict[str, str]:
    """One test, by column, where it recorded them; ``commit`` and ``figures`` beside."""
    known = {item.attrib["name"]: item.attrib["value"] for item in case.iter("property")}
    results = [tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None]
    name = f"{case.attrib['classname'].removeprefix('tests.')}.{case.attrib['name']}"
    return {**known, "test": f"`{name}`", "result": results[0] if results else "passed"}


def table(files: list[Path], command: str) -> str:
    """The Markdown of all tests in ``files``, in their order; of a test's runs, the last."""
    roots = [ElementTree.parse(file).getroot() for file in files]
    cases = [case for root in roots for case in root.iter("testcase")]
    # A test that Ctrl-C stopped has no name, and no result.
    found = [row(case) for case in cases if "classname" in case.attrib]
    rows = list({each["test"]: each for each in found}.values())
    suites = [suite for root in roots for suite in root.iter("testsuite")]
    begun = min(datetime.fromisoformat(suite.attrib["timestamp"]) for suite in suites)
    # In the order of the runs, each once.  A test of another commit than the most says so.
    commits = list(dict.fromkeys(each.get("commit", "unknown") for each in rows))
    columns = COLUMNS if len(commits) == 1 else (*COLUMNS[:2], "commit", *COLUMNS[2:])

    def total(column: str) -> float:
        return sum(float(each.get(column, 0)) for each in rows)

    passed = sum(each["result"] == "passed" for each in rows)
    lines = [
        "# The last nightly run",
        "",
        f"`{command}`, commit {', '.join(commits)}, begun {begun.astimezone(UTC):%Y-%m-%d %H:%M}"
        f" UTC, {platform.machine()} with {os.cpu_count()} cores.",
        "",
        f"{passed} of {len(rows)} tests passed; {total('integers'):,.0f} integers of all layers"
        f" compared over {total('images'):,.0f} images, {total('mismatches'):,.0f} mismatches;"
        f" {total('cpu_seconds'):,.0f} CPU-seconds, compilers included.",
        "",
        "| " + " | ".join(column.replace("_", " ") for column in columns) + " |",
        "|---" * (len(columns) - NUMBERS) + "|---:" * NUMBERS + "|",
    ]
    for each in rows:
        lines.append("| " + " | ".join(each.get(column, "") for column in columns) + " |")
    figures = [(each["test"], each["figures"]) for each in rows if "figures" in each]
    lines += [f"\n{test}: `{text}`" for test, text in figures]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("docs/results/nightly.md"))
    parser.add_argument("--command", default="make nightly")
    arguments = parser.parse_args()
    write_atomically(arguments.out, table(arguments.files, arguments.command).encode())


if __name__ == "__main__":
    main()
