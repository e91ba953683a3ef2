"""The one driver of yosys: texts and passes in, what the passes wrote out.

pyosys comes with the extra ``synth``; it runs in a process of its own whose group ends with it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from vecq_hw.errors import VecqError
from vecq_hw.interrupts import temporary_folder
from vecq_hw.netlist.families import Family
from vecq_hw.netlist.model import Netlist, read_json
from vecq_hw.processes import run_process
from vecq_hw.toolchain import YOSYS, require

TIMEOUT = 3600.0
"""Seconds that a run may take."""
_PASSES = Path(__file__).with_name("passes.py")
_SCRIPT, _NETLIST = "script.ys", "netlist.json"
_PASS = re.compile(r"([0-9.]+)\.? Executing (.+?)(?: pass)?(?: \(.*)?\.?$")
_SOURCES = (".sv", ".v")


class YosysError(VecqError):
    """A pass ended with an error; ``log`` is all that yosys said."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What a run of yosys left.

    Attributes
    ----------
    files : mapping
        Texts of the results that the passes wrote, by their names.
    log : str
        All that yosys said.
    seconds : float
        Of the processor.
    """

    files: Mapping[str, str] = field(repr=False)
    log: str = field(repr=False)
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Synthesis:
    """A netlist, and how it came about; ``seconds`` are of the processor."""

    netlist: Netlist = field(repr=False)
    family: Family
    log: str = field(repr=False)
    seconds: float


def version() -> str:
    """The version of pyosys; counts of two versions are no comparison."""
    require(YOSYS)
    return metadata.version("pyosys")


def library() -> Path:
    """The folder of yosys' models of cells, which its scripts call ``+``."""
    require(YOSYS)
    spec = find_spec("pyosys")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "share"


def run(
    files: Mapping[str, str | bytes],
    commands: Sequence[str],
    results: Sequence[str] = (),
    *,
    progress: Callable[[str], object] = lambda name: None,
    timeout: float = TIMEOUT,
    folder: Path | None = None,
) -> Run:
    """Run commands of yosys in a folder that holds ``files``.

    Parameters
    ----------
    files : mapping
        Texts by relative name.
    results : sequence of str
        Files that the commands write; those that are not there are left out.
    progress : callable, optional
        Told the name of each pass that begins, such as "ABC9_OPS".
    folder : Path, optional
        Where the commands run and may find more; without it a new one, which is removed.

    Raises
    ------
    MissingToolError
        pyosys is not installed.
    YosysError
        A command failed, or all of them took longer than ``timeout`` seconds.
    """
    require(YOSYS)
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = stack.enter_context(temporary_folder("vecq-yosys-"))
        for file, text in files.items():
            place = folder / file
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(text if isinstance(text, bytes) else text.encode())
        (folder / _SCRIPT).write_text("\n".join(commands))
        before = os.times()
        try:
            # -P: the modules beside this one are no modules of the script.
            status, log = run_process(
                [sys.executable, "-P", str(_PASSES), _SCRIPT],
                folder,
                os.environ,
                timeout,
                _by_pass(progress),
                tool="yosys",
            )
        except subprocess.TimeoutExpired:
            raise YosysError(f"yosys did not end within {timeout:g} seconds", "") from None
        seconds = os.times().children_user - before.children_user
        if status:
            raise YosysError(f"yosys: {_reason(log, status)}", log)
        found = {file: (folder / file).read_text() for file in results if (folder / file).exists()}
    return Run(files=found, log=log, seconds=round(seconds, 1))


def _by_pass(progress: Callable[[str], object]) -> Callable[[str], None]:
    """What finds the names of passes in the lines of a log."""

    def told(line: str) -> None:
        found = _PASS.match(line)
        if found:
            progress(found[2])

    return told


def _reason(log: str, status: int) -> str:
    """The error in a log, in one line."""
    errors = re.findall(r"^(?:(\S+: ))?ERROR: (.*)", log, flags=re.MULTILINE)
    said = (
        ["".join(parts) for parts in errors]
        or [line for line in log.splitlines() if line.strip()]
        or ["it said nothing"]
    )
    return f"{' '.join(said[-1].split())} (exit status {status})"


def read_commands(files: Mapping[str, str | bytes], top: str, **parameters: object) -> list[str]:
    """Commands that read the sources among ``files`` and choose the top with its parameters."""
    sources = " ".join(file for file in files if file.endswith(_SOURCES))
    values = "".join(f" -chparam {key} {value}" for key, value in parameters.items())
    return [f"read_verilog -sv -defer {sources}", f"hierarchy -top {top}{values}"]


def family_commands(
    family: Family, top: str, *, dsp: bool, pads: bool = False, options: Sequence[str] = ()
) -> list[str]:
    """Commands that map what was read to the cells of a family.

    With ``dsp`` multipliers may become DSP blocks; cells that shall have none multiply without
    ``*``.
    """
    return [f"{family.command(dsp=dsp, pads=pads, options=options)} -top {top}"]


def synthesize(
    files: Mapping[str, str | bytes],
    top: str,
    family: Family,
    *,
    dsp: bool = True,
    pads: bool = False,
    options: Sequence[str] = (),
    parameters: Mapping[str, object] | None = None,
    progress: Callable[[str], object] = lambda name: None,
    timeout: float = TIMEOUT,
) -> Synthesis:
    """Synthesize a module for a family of devices.

    Parameters
    ----------
    files : mapping
        Texts by name: SystemVerilog (``.sv``, ``.v``) and the memories that they read; others are
        passed over.  The files of an emitted project may be given as they are.
    dsp : bool
        Whether multipliers may become DSP blocks.
    pads : bool
        Whether the ports are the pins of the device.
    options : sequence of str
        Added to the command of the family, for instance ``("-device u",)`` for iCE40 UltraPlus.

    Raises
    ------
    MissingToolError, YosysError
        As :func:`run` does.
    """
    taken = {file: text for file, text in files.items() if file.endswith((*_SOURCES, ".mem"))}
    commands = [
        # ABC's proof that its netlist equals what it was given took 168 of 199 seconds once.
        "scratchpad -set abc9.verify 0",
        *read_commands(taken, top, **(parameters or {})),
        *family_commands(family, top, dsp=dsp, pads=pads, options=options),
        "autoname",  # as some families' commands do: by the nets beside a cell it is found again
        "opt_clean -purge",
        f"write_json {_NETLIST}",
    ]
    done = run(taken, commands, (_NETLIST,), progress=progress, timeout=timeout)
    netlist = read_json(done.files[_NETLIST], top)
    return Synthesis(netlist=netlist, family=family, log=done.log, seconds=done.seconds)
