"""Builds and runs a cocotb bench under Verilator, from a process of its own.

Each generated project has a ``run.py`` that calls :func:`main`; so has rtl_tests/.
"""

from __future__ import annotations

import os
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from pathlib import Path

from vecq_hw.storage import write_atomically
from vecq_hw.toolchain import simulation_environment

BUILD = "sim_build"
SEED = "1"

# cocotb's runner makes every signal public, which costs a multiple of build time; the ports suffice.
_PUBLIC = '`verilator_config\npublic_flat_rw -module "{top}" -var "*"\n'
_ARGUMENTS = ("--no-public-flat-rw", "-Wno-fatal", "-O3", "--no-timing")


def main(folder: Path, top: str, bench: str, arguments: Sequence[str] = ()) -> int:
    """Run ``bench`` on the module ``top`` of ``folder``/rtl, or lint it; the exit status.

    Parameters
    ----------
    bench : str
        Python module with the cocotb tests, found from ``folder`` or from PYTHONPATH.
    arguments : sequence of str
        ``lint``, or nothing.  COCOTB_RANDOM_SEED in the environment sets the seed.
    """
    os.environ.update(simulation_environment())
    # The runner names its report after a pytest test that may have started this process.
    os.environ.pop("PYTEST_CURRENT_TEST", None)
    folder = folder.resolve()
    sources = [path for path in sorted((folder / "rtl").glob("*.sv")) if path.stem != top]
    sources.append(folder / "rtl" / f"{top}.sv")
    waivers = sorted((folder / "rtl").glob("*.vlt"))
    if list(arguments) == ["lint"]:
        command = ["verilator", "--lint-only", "-Wall", "--quiet", "--top-module", top]
        return subprocess.run([*command, *waivers, *sources], cwd=folder, check=False).returncode
    public = folder / BUILD / "public.vlt"
    write_atomically(public, _PUBLIC.format(top=top).encode())
    return _simulate(folder, [public, *waivers, *sources], top, bench)


def _simulate(folder: Path, sources: list[Path], top: str, bench: str) -> int:
    from cocotb_tools.runner import get_runner

    sys.path.insert(0, str(folder))
    report = folder / "results" / "results.xml"
    report.parent.mkdir(exist_ok=True)
    runner = get_runner("verilator")
    runner.build(
        sources=sources, hdl_toplevel=top, build_dir=folder / BUILD, build_args=list(_ARGUMENTS)
    )
    runner.test(
        hdl_toplevel=top,
        hdl_toplevel_lang="verilog",
        test_module=bench,
        build_dir=folder / BUILD,
        test_dir=folder,
        results_xml=str(report),
        seed=os.environ.get("COCOTB_RANDOM_SEED", SEED),
    )
    messages = _failures(report)
    for message in messages:
        print(message, file=sys.stderr)
    return 1 if messages else 0


def _failures(report: Path) -> list[str]:
    """What went wrong in each failed test of a JUnit report."""
    return [
        f"{case.get('name')}: {found.get('message') or found.text}"
        for case in ElementTree.parse(report).iter("testcase")
        for kind in ("failure", "error")
        for found in case.iter(kind)
    ]
