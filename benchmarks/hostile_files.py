"""Imports of files that are damaged or make no sense: what comes of each, in bounded memory.

Each part runs in a process of its own with a limit of address space; an input that takes more than
:data:`MOST_SECONDS` of the processor, or that ends the process, is a fault.  Only ``VecqError`` may
refuse a file.  A run goes on where the one before it ended.

    python -m benchmarks.hostile_files --out FILE.json [--files 100000] [--seconds 300]
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import click

from benchmarks.origin import origin
from tests.interop.hostile_files import KINDS, hostile_file
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically

PART = 500
"""Files of a process."""
MOST_BYTES = 6 << 30
"""Address space of a process, libraries among it."""
MOST_GROWTH = 1 << 28
"""Bytes that the resident memory of a process may grow by, beyond that of its imports."""
MOST_SECONDS = 20


class TooLongError(Exception):
    """An import goes on and on."""


def _too_long(*_: object) -> None:
    raise TooLongError(f"more than {MOST_SECONDS} seconds of the processor")


def part(kind: str, first: int, count: int, only: Path) -> None:
    """Import files; what came of them goes to the file ``only``, each before the next begins."""
    from vecq_hw.interop import import_bytes

    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGPROF, _too_long)
    warnings.simplefilter("error")  # numbers that overflow have been taken for numbers
    result: dict[str, Any] = {"networks": 0, "refused": 0, "faults": {}, "next": first}
    before = 0
    for index in range(first, first + count):
        content = hostile_file(kind, index)
        only.write_text(json.dumps(result | {"next": index}))
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        try:
            import_bytes(content, "model")
            result["networks"] += 1
        except VecqError as error:
            result["refused"] += 1
            if not str(error).isprintable():
                result["faults"][str(index)] = f"a sentence that is not printable: {error!r}"
        except Exception as error:  # whatever else is a fault
            trace = error.__traceback__
            while trace is not None and trace.tb_next is not None:
                trace = trace.tb_next
            where = "" if trace is None else Path(trace.tb_frame.f_code.co_filename).name
            line = 0 if trace is None else trace.tb_lineno
            said = f"{type(error).__name__} {where}:{line}: {error}"
            result["faults"][str(index)] = said[:200]
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
        before = before or peak
        if peak - before > MOST_GROWTH:
            result["faults"][str(index)] = f"{peak - before} bytes of memory more"
            before = peak
    result |= {"next": first + count, "grown_mebibytes": (peak - before) >> 20}
    only.write_text(json.dumps(result))


def run_part(kind: str, first: int, count: int, only: Path) -> dict[str, Any]:
    """A process for a part; where it ends early, the file at hand is a fault."""
    only.write_text(json.dumps({"networks": 0, "refused": 0, "faults": {}, "next": first}))
    command = [sys.executable, "-m", "benchmarks.hostile_files", "--part", kind, str(first),
               str(count), str(only)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    result: dict[str, Any] = json.loads(only.read_text())
    if result["next"] < first + count:
        ended = f"the process ended with {done.returncode}: {done.stderr[-200:]}"
        result["faults"][str(result["next"])] = ended
        result["next"] += 1
    return result


@click.command()
@click.option("--out", type=click.Path(path_type=Path), help="The record, and where it goes on.")
@click.option("--files", type=int, default=100_000, help="Of ONNX, and as many of TFLite.")
@click.option("--seconds", type=float, default=float("inf"), help="Begin no part later than this.")
@click.option("--part", "one", nargs=4, type=str, hidden=True)
def main(out: Path | None, files: int, seconds: float, one: tuple[str, ...] | None) -> None:
    """Run parts in turns until each kind has its number of files."""
    if one:
        part(one[0], int(one[1]), int(one[2]), Path(one[3]))
        return
    if out is None:
        raise click.UsageError("--out is wanted")
    record: dict[str, Any] = json.loads(out.read_text()) if out.exists() else {}
    kinds = record.setdefault("kinds", {})
    for kind in KINDS:
        empty = {"files": 0, "networks": 0, "refused": 0, "grown_mebibytes": 0, "faults": {}}
        kinds.setdefault(kind, empty)
    end, wanted = time.monotonic() + seconds, files // 2
    while time.monotonic() < end:
        left = {kind: row["files"] for kind, row in kinds.items() if row["files"] < wanted}
        if not left:
            break
        kind = min(left, key=left.__getitem__)
        row = kinds[kind]
        count = min(PART, wanted - row["files"])
        found = run_part(kind, row["files"], count, out.with_suffix(".part"))
        for key in ("networks", "refused"):
            row[key] += found[key]
        row["files"] = found["next"]
        row["faults"] |= found["faults"]
        row["grown_mebibytes"] = max(row["grown_mebibytes"], found.get("grown_mebibytes", 0))
        text = json.dumps({**origin(), "kinds": kinds}, indent=1)
        write_atomically(out, f"{text}\n".encode())
        faults = len(found["faults"])
        click.echo(f"{kind}: {row['files']:,} of {wanted:,} files, {faults} new faults")
    out.with_suffix(".part").unlink(missing_ok=True)


if __name__ == "__main__":
    main()
