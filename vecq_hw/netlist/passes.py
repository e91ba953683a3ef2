"""Run a script of yosys; the only place that imports it, as a program in a process of its own.

yosys ends the process that it runs in where it meets an error, and cannot be interrupted.
"""

from __future__ import annotations

import sys
from pathlib import Path


def main(script: str) -> None:
    """Run each line of the file as a command of yosys, on one design."""
    from pyosys import libyosys

    design = libyosys.Design()
    for command in Path(script).read_text().splitlines():
        libyosys.run_pass(command, design)


if __name__ == "__main__":
    main(sys.argv[1])
