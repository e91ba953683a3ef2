"""Shells complete the command line of vecq, at a terminal as a user has it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from vecq_hw.cli import vecq

SHELLS = {
    "bash": ("bash", "--norc", "--noprofile", "-i"),
    "zsh": ("zsh", "-f", "-i"),
    "fish": ("fish", "--no-config", "-i"),
}
LOADED = {
    "bash": 'eval "$(vecq completion bash)"',
    "zsh": 'eval "$(vecq completion zsh)"',
    "fish": "vecq completion fish | source",
}
PATIENCE_SECONDS = 60


class Terminal:
    """A shell at a terminal."""

    def __init__(self, kind: str, folder: Path) -> None:
        self._own, theirs = pty.openpty()
        environment = {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(folder),
            "TERM": "xterm",
            "LC_ALL": "C.UTF-8",
            "PS1": "> ",
        }
        self._shell = subprocess.Popen(
            SHELLS[kind],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            cwd=folder,
            env=environment,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # fish wants to control it
        )
        os.close(theirs)

    def type(self, keys: str) -> None:
        os.write(self._own, keys.encode())

    def shows(self, wanted: str) -> str:
        """What is shown until ``wanted``, a pattern, is there; without what moves the cursor."""
        shown, until = "", time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < until:
            if select.select([self._own], [], [], 0.2)[0]:
                shown += os.read(self._own, 65536).decode(errors="replace")
                plain = re.sub(
                    r"\x1b(\[[\d;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|.)", "", shown
                )
                if re.search(wanted, plain):
                    return plain
        raise AssertionError(f"{wanted!r} is not shown: {shown!r}")

    def close(self) -> None:
        self._shell.kill()
        self._shell.wait()
        os.close(self._own)


@pytest.mark.nightly
@pytest.mark.parametrize("kind", SHELLS)
def test_a_shell_completes_at_the_tabulator(kind: str, tmp_path: Path) -> None:
    if shutil.which(kind) is None:
        pytest.skip(f"{kind} is not installed")
    (tmp_path / "network.npz").touch()
    terminal = Terminal(kind, tmp_path)
    try:
        terminal.type(f"{LOADED[kind]}; echo 4''2\r")
        terminal.shows("42")
        for begun, whole in {
            "vecq tr": "vecq train",
            "vecq train --pres": "vecq train --preset",
            "vecq train --preset lenet5-mn": "vecq train --preset lenet5-mnist",
            "vecq show net": "vecq show network.npz",
        }.items():
            # The line is completed, then printed by the shell itself.
            terminal.type(f"{begun}\t")
            terminal.type("\x01echo '\x05'.\r")
            terminal.shows(rf"[\r\n]{re.escape(whole)} ?\.")
    finally:
        terminal.close()


def test_zsh_loads_its_completions_itself():
    """Without them compdef is unknown, and the line that --help shows would end in an error."""
    result = CliRunner().invoke(vecq, ["completion", "zsh"], standalone_mode=False)
    assert "compinit" in result.stdout
