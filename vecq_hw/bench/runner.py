"""Builds and runs a cocotb bench under Verilator, from a process of its own.

Each generated project has a ``run.py`` that calls :func:`main`; so has rtl_tests/.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from pathlib import Path

from .environment import BenchError, is_lent, is_plain, package, simulation_environment
from .vectors import write_whole

BUILD = "sim_build"
WAVES = "WAVES"
"""In the environment, one of ``_YES``: record waves.  The name and the words are cocotb's own."""
_YES = ("1", "yes", "y", "on", "true", "enable")
WAVES_BUILD = f"{BUILD}/waves/build"
"""Two folders deep: Verilator's makefile takes objects of the folder around it, too."""
COVERAGE = "VECQ_COVERAGE"
RESULTS = "results"
WAVES_FILE = f"{RESULTS}/waves.vcd"
REPORT = f"{RESULTS}/results.xml"
SEED = "1"

# cocotb's runner makes all signals public, a multiple of the build time; those of the top suffice.
_PUBLIC = '`verilator_config\npublic_flat_rw -module "{top}" -var "*"\n'
# C++ in fewer, larger pieces than Verilator makes by itself: each piece reads all headers.
_PIECES = ("--output-split", "100000")
_ARGUMENTS = ("--no-public-flat-rw", "-Wno-fatal", "-O3", "--no-timing", *_PIECES)
# The rules of the cells' streams and parameters.
_RULES = ("--assert", "-DVECQ_ASSERTIONS", "-Werror-USERERROR")
# The signals of the top: its ports and the streams between its layers.
_WAVES_ARGUMENTS = ("--trace-depth", "1")
_COVERAGE_ARGUMENTS = ("--coverage-line", "--coverage-toggle", "--coverage-user")


def main(
    folder: Path,
    top: str,
    bench: str,
    arguments: Sequence[str] = (),
    *,
    objects: Sequence[Path] = (),
    project: Path | None = None,
) -> int:
    """Run ``bench`` on the module ``top`` of ``folder``/rtl, or lint it; the exit status.

    Parameters
    ----------
    bench : str
        Python module with the cocotb tests, found from ``folder`` or from PYTHONPATH.
    arguments : sequence of str
        ``lint``, or nothing.  COCOTB_RANDOM_SEED in the environment sets the seed; VECQ_COVERAGE
        has Verilator count lines, toggles and cover statements into ``folder``/coverage.dat; WAVES
        has it record the signals of the top into ``folder``/results/waves.vcd.
    objects : sequence of Path
        Compiled C++ that ``top`` calls through DPI-C.
    project : Path, optional
        All that the bench reads; ``folder`` if left out, else a folder around it.
    """
    if list(arguments) not in ([], ["lint"]):
        print(f"'{' '.join(arguments)}' is not known; give 'lint' or nothing", file=sys.stderr)
        return 2
    try:
        # The runner names its report after a pytest test that may have started this process.
        os.environ.pop("PYTEST_CURRENT_TEST", None)
        with _workplace(folder.resolve(), (project or folder).resolve()) as place:
            os.environ.update(simulation_environment())
            sources = [path for path in sorted((place / "rtl").glob("*.sv")) if path.stem != top]
            sources.append(place / "rtl" / f"{top}.sv")
            waivers = sorted((place / "rtl").glob("*.vlt"))
            if arguments:
                command = ["verilator", "--lint-only", "-Wall", "--quiet", "--top-module", top]
                command += map(str, [*waivers, *sources])
                return subprocess.run(command, cwd=place, check=False).returncode
            return _simulate(place, [*waivers, *sources], top, bench, objects)
    except BenchError as error:
        print(error, file=sys.stderr)
        return 1


@contextlib.contextmanager
def _workplace(folder: Path, project: Path) -> Iterator[Path]:
    """``folder``, or a copy of it where make, or PYTHONPATH, does not take its path.

    What the copy's bench leaves in results/ is brought back.
    """
    if is_plain(folder):
        yield folder
        return
    if not is_plain(temporary := Path(tempfile.gettempdir()).resolve()):
        raise BenchError(
            f"make takes only letters, digits and _./+- in a path, neither '{folder}' nor"
            f" '{temporary}'; set TMPDIR to a folder with such a path"
        )
    with tempfile.TemporaryDirectory(prefix="vecq-", dir=temporary) as place:
        copy = Path(place) / "project"
        ignored = shutil.ignore_patterns(BUILD, RESULTS, "build", ".*")
        shutil.copytree(project, copy, ignore=ignored)
        inner = copy / folder.relative_to(project)
        try:
            yield inner
        finally:
            for path in [*inner.glob(f"{RESULTS}/*"), *inner.glob("coverage.dat")]:
                write_whole(folder / path.relative_to(inner), path.read_bytes())


def _simulate(
    folder: Path, sources: list[Path], top: str, bench: str, objects: Sequence[Path]
) -> int:
    from cocotb import simulator
    from cocotb_tools import config
    from cocotb_tools.runner import get_runner

    # make, and a list of the simulator's in which ; and , part names, cannot hold every path.
    home = package("cocotb")
    config.libs_dir = home / "libs"
    config.share_dir = home / "share"
    config.pygpi_entry_point = lambda: f"{home / Path(simulator.__file__).name},initialize"
    waves = os.environ.get(WAVES, "").strip().lower() in _YES
    build = folder / (WAVES_BUILD if waves else BUILD)
    if is_lent("verilator"):  # what an earlier build took from it is gone
        shutil.rmtree(build, ignore_errors=True)
    # PYTHONPATH, by which the simulator finds the bench, cannot hold every path that Python can.
    sys.path[:] = [str(folder), *(path for path in sys.path if os.pathsep not in path)]
    report = folder / REPORT
    report.parent.mkdir(exist_ok=True)
    runner = get_runner("verilator")
    public = build / "public.vlt"
    write_whole(public, _PUBLIC.format(top=top).encode())
    arguments = [*_ARGUMENTS, *_RULES, *(_COVERAGE_ARGUMENTS if os.environ.get(COVERAGE) else ())]
    if waves:
        arguments += _WAVES_ARGUMENTS
    runtime = _runtime_objects(arguments)
    compiled = not waves and _copied(runtime, build)
    linked = [path.name for path in objects]
    if compiled:
        os.environ["MAKEFLAGS"] += " VK_GLOBAL_OBJS="
        linked += [path.name for path in runtime]
    for path in objects:  # by their names alone, whatever the folder's path holds
        shutil.copy(path, build / path.name)
        (build / top).unlink(missing_ok=True)  # make does not know that it depends on them
    if linked:
        arguments += ["-LDFLAGS", " ".join(linked)]
    try:
        runner.build(
            sources=[public, *sources], hdl_toplevel=top, build_dir=build, build_args=arguments
        )
    except RuntimeError as error:  # Verilator or the compiler said above what is wrong
        print(f"the build failed: {error}", file=sys.stderr)
        return 1
    if not compiled and not waves:
        # Only speed is lost where the cache cannot be written.
        with contextlib.suppress(OSError):
            for path in runtime:
                write_whole(path, (build / path.name).read_bytes())
    # An assertion that ends the simulation has said so above; the report has what it left undone.
    with contextlib.suppress(RuntimeError):
        runner.test(
            hdl_toplevel=top,
            hdl_toplevel_lang="verilog",
            test_module=bench,
            build_dir=build,
            test_dir=folder,
            results_xml=str(report),
            seed=os.environ.get("COCOTB_RANDOM_SEED", SEED),
            test_args=["--trace-file", str(folder / WAVES_FILE)] if waves else [],
        )
    if not report.exists():
        print("the simulation ended without a report", file=sys.stderr)
        return 1
    messages = failures(report)
    for message in messages:
        print(message, file=sys.stderr)
    return 1 if messages else 0


def _copied(runtime: Sequence[Path], build: Path) -> bool:
    """Copy the cached objects, so that this build keeps them whatever happens to the cache."""
    try:
        for path in runtime:
            shutil.copy(path, build / path.name)
    except OSError:
        return False
    return True


def failures(report: Path) -> list[str]:
    """What went wrong in each failed test of a JUnit report."""
    return [
        f"{case.get('name')}: {found.get('message') or found.text}"
        for case in ElementTree.parse(report).iter("testcase")
        for kind in ("failure", "error")
        for found in case.iter(kind)
    ]


def _runtime_objects(arguments: Sequence[str]) -> list[Path]:
    """Verilator's compiled runtime, in a folder for each compiler and Verilator; perhaps not there.

    It is two thirds of the build time of a small design and the same for all.
    """
    compiler = subprocess.run(["c++", "--version"], capture_output=True, check=False).stdout
    key = hashlib.sha256(compiler + " ".join(arguments).encode())
    for path in sorted((Path(os.environ["VERILATOR_ROOT"]) / "include").glob("verilated*")):
        key.update(path.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "vecq-hw"
    names = ["verilated.o", "verilated_dpi.o", "verilated_threads.o", "verilated_vpi.o"]
    if set(_COVERAGE_ARGUMENTS) <= set(arguments):
        names.append("verilated_cov.o")
    return [cache / f"verilator-{key.hexdigest()[:16]}" / name for name in names]
