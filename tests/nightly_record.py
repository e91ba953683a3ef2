"""A run of the nightly tests as a table: what pytest's --junitxml wrote, as Markdown.

python -m tests.nightly_record build/nightly.xml [...] --out docs/results/nightly.md
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

from vecq_hw.storage import write_atomically

COLUMNS = ("test", "result", "data", "images", "integers", "mismatches", "cpu_seconds")


def row(case: ElementTree.Element) -> dict[str, str]:
    """One test; ``data``, ``images``, ``integers``, ``mismatches`` where it recorded them."""
    known = {item.attrib["name"]: item.attrib["value"] for item in case.iter("property")}
    results = [tag for tag in ("failure", "error", "skipped") if case.find(tag) is not None]
    name = f"{case.attrib['classname'].removeprefix('tests.')}.{case.attrib['name']}"
    return {**known, "test": f"`{name}`", "result": results[0] if results else "passed"}


def table(files: list[Path], command: str, commit: str) -> str:
    """The Markdown of all tests in ``files``, in their order."""
    roots = [ElementTree.parse(file).getroot() for file in files]
    rows = [row(case) for root in roots for case in root.iter("testcase")]
    suites = [suite for root in roots for suite in root.iter("testsuite")]
    begun = min(datetime.fromisoformat(suite.attrib["timestamp"]) for suite in suites)

    def total(column: str) -> float:
        return sum(float(found.get(column, 0)) for found in rows)

    passed = sum(found["result"] == "passed" for found in rows)
    lines = [
        "# The last nightly run",
        "",
        f"`{command}`, commit {commit}, begun {begun.astimezone(UTC):%Y-%m-%d %H:%M} UTC,"
        f" {platform.machine()} with {os.cpu_count()} cores.",
        "",
        f"{passed} of {len(rows)} tests passed; {total('integers'):,.0f} integers of all layers"
        f" compared over {total('images'):,.0f} images, {total('mismatches'):,.0f} mismatches;"
        f" {total('cpu_seconds'):,.0f} CPU-seconds, compilers included.",
        "",
        "| " + " | ".join(column.replace("_", " ") for column in COLUMNS) + " |",
        "|---" * 3 + "|---:" * 4 + "|",
    ]
    for found in rows:
        lines.append("| " + " | ".join(found.get(column, "") for column in COLUMNS) + " |")
    figures = [(found["test"], found["figures"]) for found in rows if "figures" in found]
    lines += [f"\n{test}: `{text}`" for test, text in figures]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--out", type=Path, default=Path("docs/results/nightly.md"))
    parser.add_argument("--command", default="make nightly")
    arguments = parser.parse_args()
    described = ["git", "describe", "--always", "--dirty"]
    commit = subprocess.run(described, capture_output=True, text=True, check=False).stdout.strip()
    text = table(arguments.files, arguments.command, commit)
    write_atomically(arguments.out, text.encode())


if __name__ == "__main__":
    main()
