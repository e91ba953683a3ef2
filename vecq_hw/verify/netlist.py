"""The netlist that synthesis makes of the SystemVerilog project, as a target of verification.

It is synthesized for an ECP5, its flip-flops move into the hard blocks as before placement, and
every vector goes through its streams, most runs with pauses, in a simulation of its cells.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np

from vecq_hw.bench.ports import load_ends
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import read_vectors
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntArray
from vecq_hw.netlist import yosys
from vecq_hw.netlist.families import ECP5
from vecq_hw.netlist.model import Netlist
from vecq_hw.netlist.registers import with_block_registers
from vecq_hw.netlist.simulate import RUNS
from vecq_hw.netlist.simulators import simulator_of
from vecq_hw.netlist.streams import run_frames, words_for
from vecq_hw.simulate.ends import one_or_all
from vecq_hw.toolchain import YOSYS
from vecq_hw.verify.rtl import TARGET as RTL
from vecq_hw.verify.target import TargetError

NETLIST = "netlist.json"
"""What was simulated, as nextpnr takes it; it stays in the project."""


def run(folder: Path) -> IntArray | dict[str, IntArray]:
    """Synthesize the project in ``folder`` and simulate the netlist: its outputs (N, elements).

    Raises
    ------
    MissingToolError
        pyosys is missing.
    TargetError
        Synthesis failed, or the netlist broke a rule of its streams, stopped, or gave its outputs
        in other cycles than the project states.
    """
    files = {
        str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.glob("rtl/*"))
    }
    top = json.loads((folder / MANIFEST).read_text())["top"]
    try:
        made = yosys.synthesize(files, top, ECP5)
        netlist = with_block_registers(made.netlist).netlist
        write_atomically(folder / NETLIST, netlist.to_json().encode())
        return one_or_all(simulated(netlist, folder))
    except yosys.YosysError as error:
        raise TargetError(f"{folder}: {error}") from None
    except VecqError as error:
        raise TargetError(str(error)) from None


def simulated(netlist: Netlist, folder: Path) -> dict[str, IntArray]:
    """What a netlist of the project in ``folder`` makes of the project's vectors, by output.

    The arrays have the shape (N, ...).

    Raises
    ------
    VecqError
        As :func:`run` says.
    """
    sources, targets = load_ends(folder / MANIFEST)
    cycles = json.loads((folder / MANIFEST).read_text())["cycles"]
    inputs = [(end.port, read_vectors(folder / "vectors" / end.vectors)) for end in sources]
    words = words_for(len(inputs[0][1]))
    result = run_frames(
        simulator_of(netlist, ECP5, words),
        inputs,
        [end.port for end in targets],
        runs=words * RUNS,
        patience=1000 + 20 * (cycles["latency"] + int(cycles["interval"])),
    )
    stored = (read_vectors(folder / "vectors" / end.vectors) for end in targets)
    found = [result.outputs[end.port.tensor] for end in targets]
    stated = tuple(cycles["frame_ends"])[: len(result.frame_ends)]
    if all(map(np.array_equal, found, stored)) and result.frame_ends[: len(stated)] != stated:
        raise VecqError(
            f"the netlist ends frames in the cycles {result.frame_ends[: len(stated)]}, not in"
            f" {stated}"
        )
    return dict(result.outputs)


TARGET = replace(RTL, name="netlist", run=run, tools=(YOSYS,))
