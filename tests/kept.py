"""Results of long runs, kept as long as the sources that gave them stay as they are."""

from __future__ import annotations

import hashlib
import json
import subprocess
from pathlib import Path
from typing import Any

from vecq_hw.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ("vecq_hw", "rtl", "hls")


def state(*places: str) -> str:
    """A digest of the sources in these files and folders, committed or not."""

    def git(*arguments: str) -> bytes:
        return subprocess.check_output(["git", *arguments, "--", *places], cwd=ROOT)

    digest = hashlib.sha256(git("ls-files", "-s") + git("diff", "HEAD"))
    for name in git("ls-files", "--others", "--exclude-standard", "-z").split(b"\0")[:-1]:
        digest.update(name + b"\0" + (ROOT / name.decode()).read_bytes())
    return digest.hexdigest()


class Kept:
    """What was found on sources of one state, in a file for each name.

    Parameters
    ----------
    folder : Path
        Where the files lie; those of another state count as not there.
    """

    def __init__(self, folder: Path, here: str) -> None:
        self._folder, self._state = folder, here

    def get(self, name: str) -> Any:
        """What is kept by this name, None where nothing is."""
        file = self._file(name)
        record = json.loads(file.read_text()) if file.exists() else {}
        return record.get("outcome") if record.get("state") == self._state else None

    def put(self, name: str, outcome: Any) -> None:
        """Keep what json can hold."""
        self._folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"state": self._state, "outcome": outcome})
        write_atomically(self._file(name), text.encode())

    def _file(self, name: str) -> Path:
        return self._folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"
