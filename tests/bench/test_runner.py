"""What keeps a bench from running is said in a sentence, before anything is built."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ODD_NAME
from vecq_hw.bench import environment
from vecq_hw.bench.environment import is_plain

CODE = """
import sys
from pathlib import Path
from vecq_hw.bench.runner import main
raise SystemExit(main(Path(sys.argv[1]), "top", "bench_top", sys.argv[2:]))
"""


def run(folder: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(folder), *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stderr


@pytest.mark.needs_verilator
def test_no_folder_that_make_takes(tmp_path: Path) -> None:
    odd = tmp_path / ODD_NAME
    (odd / "rtl").mkdir(parents=True)
    status, says = run(odd, TMPDIR=str(odd))
    assert status == 1
    assert says.startswith("make takes only letters, digits and _./+- in a path, neither ")
    assert says.count("\n") == 1
    assert "set TMPDIR to a folder with such a path" in says
    assert [path.name for path in odd.rglob("*")] == ["rtl"]


def test_a_missing_tool(tmp_path: Path) -> None:
    status, says = run(tmp_path, PATH="")
    assert (status, says) == (1, "g++ is missing; run: apt-get install g++\n")


def test_an_argument_that_is_not_known(tmp_path: Path) -> None:
    assert run(tmp_path, "lin") == (2, "'lin' is not known; give 'lint' or nothing\n")


@pytest.mark.parametrize("character", [*" #:$'\"\\;&|<>()*?[]{}!~`%=,@^\n\té", "../a b"])
def test_only_these_characters_are_plain(character: str) -> None:
    assert is_plain(Path("net-1/me_2/a+b.c"))
    assert not is_plain(Path(f"/x/a{character}b"))


LINKS = """
import json, subprocess
from vecq_hw.bench.environment import package, simulation_environment
environment = simulation_environment()
places = [environment["VERILATOR_ROOT"], str(package("cocotb"))]
command = ["verilator", "--version"]
said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
print(json.dumps([places, said.stdout]))
"""


@pytest.mark.needs_verilator
def test_tools_in_an_odd_folder_are_reached_by_links_that_go(tmp_path: Path) -> None:
    odd, temporary = tmp_path / ODD_NAME.replace(":", ""), tmp_path / "temporary"
    odd.mkdir()
    temporary.mkdir()
    for name in ("verilator", "cocotb"):
        (odd / name).symlink_to(environment.package(name))
    path = os.pathsep.join([str(odd), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", LINKS],
        env={**os.environ, "PYTHONPATH": path, "TMPDIR": str(temporary)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    places, version = json.loads(done.stdout)
    assert all(is_plain(Path(place)) and str(temporary) in place for place in places)
    assert "rev v" in version
    assert list(temporary.iterdir()) == []
