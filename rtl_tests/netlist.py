"""The netlist that yosys makes of a module, with the simulation models of its cells."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

_SCRIPT = """\
import sys
from pyosys import libyosys
design = libyosys.Design()
for command in sys.argv[1:]:
    libyosys.run_pass(command, design)
"""


def netlists(folder: Path, sources: Mapping[str, str], tops: list[str]) -> dict[str, str]:
    """Texts by name: a flat netlist of LUTs, carries and flip-flops for each top, and the cells."""
    for name, text in sources.items():
        (folder / name).write_text(text)
    read = f"read_verilog -sv -defer {' '.join(sources)}"
    commands = []
    for top in tops:
        commands += [
            "design -reset",
            read,
            f"synth_xilinx -family xcup -noiopad -noclkbuf -flatten -top {top}",
            "opt_clean -purge",
            f"write_json {top}.json",
            f"write_verilog -noattr {top}.netlist.sv",
        ]
    subprocess.run(
        [sys.executable, "-c", _SCRIPT, *commands], cwd=folder, check=True, capture_output=True
    )
    texts, used = {}, set()
    for top in tops:
        texts[f"{top}.sv"] = (folder / f"{top}.netlist.sv").read_text()
        tree = json.loads((folder / f"{top}.json").read_text())["modules"][top]
        used |= {cell["type"] for cell in tree["cells"].values()}
    return {**texts, "cells_xilinx.sv": models(used)}


def models(cells: set[str], files: Sequence[str] = ("xilinx/cells_sim.v",)) -> str:
    """The models of yosys' library, without their timing."""
    package = find_spec("pyosys")
    assert package is not None
    assert package.origin is not None
    share = Path(package.origin).parent / "share"
    library = "".join((share / file).read_text() for file in files)
    library = re.sub(r"^\s*specify$.*?^\s*endspecify$", "", library, flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^module (\w+).*?^endmodule", library, flags=re.DOTALL | re.MULTILINE)
    assert cells <= set(found), cells - set(found)
    parts = re.finditer(r"^module (\w+).*?^endmodule\n", library, flags=re.DOTALL | re.MULTILINE)
    return "".join(part[0] for part in parts if part[1] in cells)
