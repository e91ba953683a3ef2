"""Steps that are kept: what ran once is not run again as long as what it was given is the same."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence

from vecq_hw.errors import VecqError
from vecq_hw.files import Folder

RECORD, LOG = "stage.json", "log.txt"


class StageError(VecqError):
    """A tool ended with an error; ``log`` is all that it said."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


class Stages:
    """The steps of one implementation, each with a folder of its own that holds what it made.

    A step that is interrupted leaves nothing; of one that fails the log stays.

    Parameters
    ----------
    names : sequence of str
        Of all steps, in their order, for telling what remains.
    progress : callable
        Told what begins.
    """

    def __init__(
        self, folder: Folder, names: Sequence[str], progress: Callable[[str], object]
    ) -> None:
        self._folder, self._names, self._progress = folder, list(names), progress

    def result(
        self,
        name: str,
        given: Mapping[str, str | bytes],
        make: Callable[[], Mapping[str, str | bytes]],
    ) -> dict[str, bytes]:
        """What the step ``name`` makes, from its folder if it is that of the same ``given``.

        Parameters
        ----------
        given : mapping
            All that the result depends on: files, commands, versions of tools.
        make : callable
            Runs the step: its files by name, the log among them.
        """
        digest = _digest(given)
        kept = self._kept(name, digest)
        place = self._names.index(name)
        what = f"{name} ({place + 1} of {len(self._names)})"
        if kept is not None:
            self._progress(f"{what}: kept")
            return kept
        left = ", ".join(self._names[place + 1 :])
        self._progress(
            f"{what}, since {time.strftime('%H:%M:%S')}{f'; then {left}' if left else ''}"
        )
        try:
            made = {file: _bytes(content) for file, content in make().items()}
        except StageError as error:
            self._folder.write_all([(f"{name}/{LOG}", error.log.encode())], name)
            log = self._folder.path / name / LOG
            raise type(error)(f"{error}; the log is {log}", error.log) from None
        record = {"digest": digest, "files": {file: _sha(made[file]) for file in made}}
        text = f"{json.dumps(record, indent=1)}\n".encode()
        files = [(f"{name}/{file}", content) for file, content in made.items()]
        self._folder.write_all([*files, (f"{name}/{RECORD}", text)], name)
        return made

    def _kept(self, name: str, digest: str) -> dict[str, bytes] | None:
        """The files of the step, if all are as a run with the same input left them."""
        folder = self._folder.path / name
        try:
            record = json.loads((folder / RECORD).read_text())
            found = {file: (folder / file).read_bytes() for file in record["files"]}
            whole = all(_sha(found[file]) == sha for file, sha in record["files"].items())
            return found if whole and record["digest"] == digest else None
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None


def _digest(given: Mapping[str, str | bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in sorted(given.items()):
        whole.update(f"{name}\0{_sha(_bytes(content))}\n".encode())
    return whole.hexdigest()


def _bytes(content: str | bytes) -> bytes:
    return content if isinstance(content, bytes) else content.encode()


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
