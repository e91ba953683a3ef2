"""A stopped command leaves nothing: no process, no temporary folder, no half-written output."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.test_network import dense, network
from vecq_hw import storage
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights

PATIENCE = 60


class Command:
    """A command under way, and all that it started, known by a variable in their environment."""

    def __init__(
        self, folder: Path, *arguments: object, main: str = "vecq_hw.cli", **options: object
    ) -> None:
        self.mark = f"VECQ_TEST={uuid.uuid4()}"
        self.temporary = folder / "temporary"
        self.temporary.mkdir()
        name, value = self.mark.split("=")
        environment = {**os.environ, name: value, "TMPDIR": str(self.temporary)}
        # A shell's background jobs ignore Ctrl-C, and so would what they start.
        code = (
            "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
            f"from {main} import main; main()"
        )
        self.process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            cwd=folder,
            env=environment,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Until the command has come so far."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)

    def left(self) -> list[str]:
        """The processes that are still there."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self.mark.encode() in (folder / "environ").read_bytes():
                    found.append((folder / "cmdline").read_text())
        return found

    def stop(self, number: signal.Signals) -> str:
        """Send a signal again and again, as the impatient do; what the command says."""
        for _ in range(10):
            self.process.send_signal(number)
            time.sleep(0.02)
        _, errors = self.process.communicate(timeout=PATIENCE)
        self.check(number)
        said = errors.decode()
        assert said.splitlines()[-1] == "stopped"
        assert "Traceback" not in said
        return said

    def check(self, number: signal.Signals) -> None:
        """Exit status, and nothing left."""
        assert self.process.returncode == 128 + number
        assert self.left() == []
        caches = "torchinductor"  # of torch, shared by all its processes
        assert [p.name for p in self.temporary.iterdir() if not p.name.startswith(caches)] == []


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Command]]:
    commands: list[Command] = []

    def begin(*arguments: object, **options: object) -> Command:
        commands.append(Command(tmp_path, *arguments, **options))
        return commands[-1]

    yield begin
    for command in commands:
        command.process.kill()
        command.process.communicate()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "network.npz"
    weights = Weights(codes=[[1, -2, 0], [-1, 1, 1]], grid=MidRise(2))
    storage.save(network(dense(weights=weights)), path)
    return path


@pytest.mark.needs_verilator
@pytest.mark.parametrize(
    ("number", "options"),
    [(signal.SIGINT, ()), (signal.SIGTERM, ("--out", "built in a copy elsewhere #1"))],
)
def test_verify_stops_its_compilers(start, stored, number, options):
    command = start("verify", stored, "--targets", "rtl", *options)
    # os.walk passes over folders that go away while it looks; rglob does not.
    command.wait_for(lambda: any("sim_build" in found[1] for found in os.walk(command.temporary)))
    assert len(command.left()) > 1
    command.stop(number)


@pytest.mark.needs_cxx
def test_a_closed_terminal_stops_its_compilers(start, stored):
    leader, follower = pty.openpty()
    command = start(
        *("verify", stored, "--targets", "hls"),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    command.wait_for(lambda: list(command.temporary.glob("*/hls/build")))
    os.close(leader)
    command.process.wait(timeout=PATIENCE)
    command.check(signal.SIGHUP)


def test_nohup_is_respected(start, stored, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((2_000_000, 3), int))
    command = start(
        *("simulate", stored, "--inputs", "x.npy", "--out", "y.npy"),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN),
    )
    for _ in range(20):
        command.process.send_signal(signal.SIGHUP)
        time.sleep(0.05)
    assert command.process.wait(timeout=PATIENCE) == 0
    assert (tmp_path / "y.npy").exists()


@pytest.mark.parametrize("number", [signal.SIGHUP])
def test_emit_leaves_no_half_of_a_project(start, stored, tmp_path, number):
    command = start("emit", "hls4ml", stored, "--out", "out")
    # A folder, not the file by which tempfile tries whether files can be written there.
    command.wait_for(lambda: any(one.is_dir() for one in command.temporary.iterdir()))
    command.stop(number)
    assert not (tmp_path / "out").exists()


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.parametrize("number", [signal.SIGTERM])
def test_demo_stops_its_compilers(start, tmp_path, number):
    command = start("demo", "--model", "mlp", "--epochs", 1)
    command.wait_for((tmp_path / "demo/mlp/hls/build").exists)
    command.stop(number)
