"""Steps that are kept: what ran once is not run again as long as what it was given is the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.processes import side_by_side

RECORD, LOG = "stage.json", "log.txt"


class StageError(VecqError):
    """A tool ended with an error; ``log`` is all that it said."""

    def __init__(self, message: str, log: str) -> None:
        super().__init__(message)
        self.log = log


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something that a tool makes.

    Attributes
    ----------
    given : mapping
        All that the result depends on: files, commands, versions of tools.
    make : callable
        Runs the step: its files by name, the log among them.
    said : callable
        What is told of its files, in a few words.
    """

    name: str
    given: Mapping[str, str | bytes]
    make: Callable[[], Mapping[str, str | bytes]]
    said: Callable[[Mapping[str, bytes]], str] = lambda files: "done"

    @property
    def digest(self) -> str:
        """The digest of ``given``."""
        return _digest(self.given)

    def run(self) -> dict[str, bytes] | StageError:
        """What it makes, or how its tool failed."""
        try:
            return {file: _bytes(content) for file, content in self.make().items()}
        except StageError as error:
            return error


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

    def result(self, step: Step) -> dict[str, bytes]:
        """What one step makes; see :meth:`results`."""
        return self.results([step])[0]

    def results(self, steps: Sequence[Step]) -> list[dict[str, bytes]]:
        """What steps make, each from its folder if it is that of the same ``given``.

        They need nothing of each other: those that are to run run side by side.

        Raises
        ------
        StageError
            The tool of one of them failed; the others are stopped.
        """
        made: dict[str, dict[str, bytes]] = {}
        for step in steps:
            kept = self._kept(step)
            if kept is not None:
                made[step.name] = kept
                self._progress(f"{self._place(step)}: kept")
        missing = [step for step in steps if step.name not in made]
        if missing:
            left = ", ".join(self._names[self._names.index(missing[-1].name) + 1 :])
            places = ", ".join(map(self._place, missing))
            then = f"; then {left}" if left else ""
            self._progress(f"{places}, since {time.strftime('%H:%M:%S')}{then}")
        with contextlib.closing(side_by_side([step.run for step in missing])) as ended:
            for index, found in ended:
                step = missing[index]
                made[step.name] = self._written(step, found)
                if len(missing) > 1:
                    said = step.said(made[step.name])
                    self._progress(f"{self._place(step)}: {said}, {len(steps) - len(made)} to come")
        return [made[step.name] for step in steps]

    def _place(self, step: Step) -> str:
        return f"{step.name} ({self._names.index(step.name) + 1} of {len(self._names)})"

    def _written(self, step: Step, found: Mapping[str, bytes] | StageError) -> dict[str, bytes]:
        """What a step made, after it is in its folder; or its log alone, if it failed."""
        name = step.name
        if isinstance(found, StageError):
            self._folder.write_all([(f"{name}/{LOG}", found.log.encode())], name)
            log = self._folder.path / name / LOG
            raise type(found)(f"{found}; the log is {log}", found.log)
        record = {
            "digest": step.digest,
            "files": {file: _sha(content) for file, content in found.items()},
        }
        text = f"{json.dumps(record, indent=1)}\n".encode()
        files = [(f"{name}/{file}", content) for file, content in found.items()]
        self._folder.write_all([*files, (f"{name}/{RECORD}", text)], name)
        return dict(found)

    def _kept(self, step: Step) -> dict[str, bytes] | None:
        """The files of the step, if all are as a run with the same input left them."""
        folder = self._folder.path / step.name
        try:
            record = json.loads((folder / RECORD).read_text())
            found = {file: (folder / file).read_bytes() for file in record["files"]}
            whole = all(_sha(found[file]) == sha for file, sha in record["files"].items())
            return found if whole and record["digest"] == step.digest else None
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
