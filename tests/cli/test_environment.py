"""What the machine does to a command: no traceback, one sentence, a status for scripts."""

from __future__ import annotations

import os
import pty
import re
import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.test_network import dense, network
from vecq_hw import storage
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights

COMMANDS = [["doctor"], ["show", "network.npz"], ["--help"], ["show", "network.npz", "--json", "-"]]


@pytest.fixture(autouse=True)
def _stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONUNBUFFERED", raising=False)  # what is left in a buffer fails late
    weights = Weights(codes=[[1, -2, 0], [-1, 1, 1]], grid=MidRise(2))
    named = replace(network(dense(weights=weights)), name="n → α")  # in no narrow encoding
    storage.save(named, "network.npz")


def start(*arguments: object, **options: object) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "vecq_hw", *map(str, arguments)]
    return subprocess.run(command, check=False, **{"stderr": subprocess.PIPE, **options})


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("encoding", ["latin-1", "cp437"])
def test_any_encoding_of_the_terminal(command, encoding):
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    result = start(*command, stdout=subprocess.PIPE, env=environment)
    assert result.returncode == 0
    assert b"Traceback" not in result.stderr
    assert result.stdout.decode(encoding)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_full_disk(command):
    with Path("/dev/full").open("wb") as full:
        result = start(*command, stdout=full)
    assert result.returncode == 2
    sentence = result.stderr.decode().splitlines()[-1]
    assert b"Traceback" not in result.stderr
    assert sentence.endswith(": No space left on device")
    assert sentence.startswith("error: ")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_pipe_that_nobody_reads(command):
    reader, writer = os.pipe()
    os.close(reader)
    result = start(*command, stdout=writer)
    os.close(writer)
    assert result.returncode == 141
    assert b"rror" not in result.stderr


def test_standard_output_and_error_may_be_closed():
    command = f"{shlex.quote(sys.executable)} -m vecq_hw show network.npz >&- 2>&-"
    assert subprocess.run(command, shell=True, check=False).returncode == 0
    command = f"{shlex.quote(sys.executable)} -m vecq_hw show absent.npz >&- 2>&-"
    assert subprocess.run(command, shell=True, check=False).returncode == 2


def test_a_device_without_room_as_the_file():
    result = start("show", "network.npz", "--json", "/dev/full", stdout=subprocess.DEVNULL)
    assert result.returncode == 2
    assert result.stderr.decode() == (
        "error: '/dev/full' cannot be written: No space left on device\n"
    )
    assert Path("/dev/full").is_char_device()
    assert start("show", "network.npz", "--json", os.devnull).returncode == 0
    assert Path(os.devnull).is_char_device()


@pytest.mark.parametrize(
    ("module", "command", "says"),
    [
        ("torch", ["train"], 'pip install "torch=='),
        ("torch", ["lower", "network.npz", "--out", "new.npz"], 'pip install "torch=='),
        ("scipy", ["lambda"], '"scipy>='),
        ("matplotlib", ["array", "network.npz", "--plot", "a.png"], "pip install matplotlib"),
        ("hls4ml", ["emit", "hls4ml", "network.npz"], 'pip install "hls4ml=='),
    ],
)
def test_a_missing_package_is_named_with_the_command_that_installs_it(module, command, says):
    code = (
        f"import sys; sys.modules[{module!r}] = None; sys.argv = ['vecq', *{command!r}]\n"
        "from vecq_hw.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    said = result.stderr.decode().splitlines()[-1]
    assert result.returncode == 2, said
    assert said.startswith("error: ")
    assert module in said
    assert says in said
    assert b"Traceback" not in result.stderr


@pytest.mark.parametrize(
    "environment",
    [
        {"COLUMNS": "1"},
        {"COLUMNS": "20", "NO_COLOR": "1"},
        {"TERM": "dumb"},
        {"FORCE_COLOR": "1", "TERM": ""},
    ],
    ids=str,
)
def test_terminals_of_every_kind(environment):
    """Progress is drawn on standard error; standard output is the same everywhere."""
    leader, follower = pty.openpty()
    everywhere = start("cycles", "network.npz", stdout=subprocess.PIPE)
    result = start(
        "cycles",
        "network.npz",
        stdout=subprocess.PIPE,
        stderr=follower,
        env={**os.environ, **environment},
    )
    drawn = os.read(leader, 65536)
    os.close(follower)
    os.close(leader)
    assert result.returncode == 0
    assert result.stdout == everywhere.stdout
    if environment.get("TERM") == "dumb":  # nothing can move, so there are lines as in a log
        assert drawn.decode().splitlines() == ["simulating n → α"]
    else:
        assert b"\x1b[?25l" in drawn  # the cursor is hidden while something moves
    assert drawn.count(b"simulating") >= (1 if "COLUMNS" not in environment else 0)


def test_colours_are_not_forced_into_a_log():
    result = start(
        "cycles",
        "network.npz",
        stdout=subprocess.PIPE,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"},
    )
    assert b"\x1b" not in result.stderr + result.stdout
    assert result.stderr.decode() == "simulating n → α\n"


def test_a_log_has_a_line_for_each_step_and_how_long_the_long_ones_took(capsys, monkeypatch):
    from vecq_hw.cli import progress

    seconds = iter([0.0, 1.0, 1.0, 8.5])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    monkeypatch.setattr(progress, "is_animated", lambda: False)
    with progress.activity("first") as go_on:
        go_on("second")
    assert capsys.readouterr().err == "first\nsecond\nsecond: took 7.5 s\n"


def test_a_log_is_told_of_a_step_that_takes_long(capsys, monkeypatch):
    from vecq_hw.cli import progress

    monkeypatch.setattr(progress, "_AGAIN_SECONDS", 0.05)
    monkeypatch.setattr(progress, "is_animated", lambda: False)
    with progress.activity("first"):
        time.sleep(0.2)
    said = capsys.readouterr().err
    assert re.search(r"^first: runs since \d\d:\d\d:\d\d \(0 s\)$", said, re.MULTILINE), said
