"""What vecq writes: whole files, marked as its own, and never over somebody else's.

A folder that holds such files has a hidden folder ``.vecq``: ``files.json`` lists their digests,
and ``lock`` keeps out a second writer.  A file whose digest is not listed is not ours, or was
changed since; it is kept unless the caller says ``force``.  So is a file of ours in whose place
something of another kind is to be written: a report does not replace a network.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from vecq_hw.errors import VecqError
from vecq_hw.interrupts import temporary_folder, uninterrupted

HIDDEN = ".vecq"
PATIENCE_SECONDS = 10.0
"""How long one file waits for another writer in its folder."""

_VERSION = 1


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, whatever was there; a failure leaves what was there."""
    with _os_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = None
        try:
            with uninterrupted():
                handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".vecq-")
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            if temporary is not None:
                Path(temporary).unlink(missing_ok=True)
            raise


def check_file(path: Path, kind: str, *, force: bool = False) -> None:
    """Raise :class:`VecqError` if :func:`replacing` could not write ``path``."""
    with _os_errors(path):
        path = path.resolve()
        if not _is_special(path):
            check_folder(path.parent)
            Folder(path.parent, force=force).check({path.name: kind})


def check_folder(folder: Path) -> None:
    """Raise :class:`VecqError` if nothing can be written into ``folder``, there or not."""
    with _os_errors(folder):
        existing = next(p for p in (folder, *folder.absolute().parents) if p.exists())
        if not existing.is_dir():
            raise VecqError(
                f"'{folder}' cannot be written: '{existing}' is a file; a folder is wanted"
            )
        if not os.access(existing, os.W_OK | os.X_OK):
            raise VecqError(f"'{folder}' cannot be written: '{existing}' is closed to writing")


def write(path: Path, content: bytes, kind: str, *, force: bool = False) -> None:
    """Write one file; as :func:`replacing`."""
    with replacing(path, kind, force=force) as temporary:
        temporary.write_bytes(content)


@contextlib.contextmanager
def replacing(path: Path, kind: str, *, force: bool = False) -> Iterator[Path]:
    """Give a temporary path of the same name, whose file is moved to ``path`` at the end.

    A link is followed; a pipe or a device is written into.

    Raises
    ------
    VecqError
        There is a file that vecq did not write as one of this kind, and no ``force``; or it cannot
        be written.
    """
    with _os_errors(path):
        real = path.resolve()
        if _is_special(real):
            with temporary_folder() as folder:
                yield folder / path.name
                with (folder / path.name).open("rb") as file, real.open("wb") as target:
                    shutil.copyfileobj(file, target)
            return
        with Folder(real.parent, force=force, patience=PATIENCE_SECONDS) as place:
            with place.replacing(real.name, kind) as temporary:
                yield temporary


class Folder:
    """A folder to write into; as a context manager it keeps other writers out.

    Parameters
    ----------
    force : bool
        Replace also files that vecq did not write, or that were changed since.
    patience : float
        Seconds to wait for another writer.

    Raises
    ------
    VecqError
        Another writer is at work in it, or it cannot be written.
    """

    def __init__(self, path: str | Path, *, force: bool = False, patience: float = 0.0) -> None:
        self.path = Path(path)
        self.force = force
        self._patience = patience
        self._hidden = self.path / HIDDEN
        self._made: list[Path] = []
        self._lock: Any = None

    def __enter__(self) -> Self:
        from filelock import FileLock, Timeout

        check_folder(self.path)
        with _os_errors(self.path):
            while True:
                for folder in reversed((self._hidden, self.path, *self.path.parents)):
                    with contextlib.suppress(FileExistsError):
                        folder.mkdir()
                        self._made.append(folder)
                # One lock object a file, so that a command may hold it twice.
                self._lock = FileLock(self._lock_file.resolve(), is_singleton=True)
                try:
                    self._lock.acquire(timeout=self._patience)
                except Timeout:
                    raise VecqError(
                        f"'{self.path}' is being written by another vecq; wait until that has"
                        " ended, or choose another folder"
                    ) from None
                if self._lock_file.exists():
                    break
                self._lock.release()  # the writer before us wrote nothing and removed it
            if self._lock.lock_counter == 1:
                for left in self._hidden.glob("new-*"):  # by a writer that was killed
                    shutil.rmtree(left, ignore_errors=True)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._lock.lock_counter == 1 and not self._manifest.exists():
            with contextlib.suppress(OSError):  # nothing was written, so nothing stays
                self._lock_file.unlink()
                for folder in reversed(self._made):
                    folder.rmdir()
        self._lock.release()

    @property
    def _manifest(self) -> Path:
        return self._hidden / "files.json"

    @property
    def _lock_file(self) -> Path:
        return self._hidden / "lock"

    def check(self, kinds: Mapping[str, str]) -> None:
        """Raise :class:`VecqError` if one of these files, each of its kind, may not be written."""
        known = self._read()
        foreign = [name for name in kinds if not self._ours(name, known)]
        other = [
            n for n in kinds if n in known and known[n]["kind"] != kinds[n] and self._filled(n)
        ]
        if self.force or not (foreign or other):
            return
        name = (foreign or other)[0]
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        reason = (
            "was not written by vecq or was changed since"
            if foreign
            else f"is vecq's own, but of another kind ({known[name]['kind']}, not {kinds[name]})"
        )
        raise VecqError(
            f"'{self.path / name}'{more} {reason}; --force (in Python force=True) replaces it"
        )

    @contextlib.contextmanager
    def replacing(self, name: str, kind: str) -> Iterator[Path]:
        """Give a temporary path whose file becomes ``name`` at the end.

        Raises
        ------
        VecqError
            The folder cannot be written, ``name`` there is not vecq's own or is of another kind and
            ``force`` is not set, or no file was made at the path.
        """
        with self._staging() as staged:
            self.check({name: kind})
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            yield staged / name
            digest = _digest(staged / name)
            if digest is None:
                raise VecqError(f"'{self.path / name}' was not made")
            self._commit(staged, {name: digest}, kind, [])

    def write(self, name: str, content: bytes, kind: str) -> None:
        """Write one file."""
        with self.replacing(name, kind) as temporary:
            temporary.write_bytes(content)

    def write_all(self, files: Iterable[tuple[str, bytes]], kind: str) -> None:
        """Write these files, and remove those of the same kind that an earlier call wrote.

        Either all of them or none appear, also if the process is interrupted.
        """
        with self._staging() as staged:
            digests = {}
            for name, content in files:
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                (staged / name).write_bytes(content)
                digests[name] = hashlib.sha256(content).hexdigest()
            equal = {n for n, digest in digests.items() if _digest(self.path / n) == digest}
            self.check({name: kind for name in digests if name not in equal})
            known = self._read()
            stale = [n for n, entry in known.items() if entry["kind"] == kind and n not in digests]
            self._commit(staged, digests, kind, stale)

    def adopt(self, kinds: Mapping[str, str]) -> None:
        """Take these files for ours as they are, for somebody who goes on with them."""
        known = self._read()
        for name, kind in kinds.items():
            digest = _digest(self.path / name)
            if digest is not None:
                known[name] = {"kind": kind, "sha256": [digest]}
        self._store(known)

    def remove(self, names: Iterable[str]) -> None:
        """Remove those of these files that are ours."""
        known = self._read()
        for name in names:
            if name in known:
                self.check({name: known[name]["kind"]})
                (self.path / name).unlink(missing_ok=True)
                del known[name]
        self._store(known)

    def _commit(
        self, staged: Path, digests: Mapping[str, str], kind: str, stale: Sequence[str]
    ) -> None:
        """Move the files of these digests to their places, and remove the stale ones."""
        before = self._read()
        after = {name: entry for name, entry in before.items() if name not in stale} | {
            name: {"kind": kind, "sha256": [digest]} for name, digest in digests.items()
        }
        # Whatever ends this process in between, all these files are known as ours.
        both = {
            name: {
                "kind": entry["kind"],
                "sha256": sorted({*entry["sha256"], *before.get(name, entry)["sha256"]}),
            }
            for name, entry in (before | after).items()
        }
        removable = [name for name in stale if self._ours(name, before)]
        self._store(both)

        def move() -> None:
            for name in digests:
                if (staged / name).exists():
                    target = self.path / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    os.replace(staged / name, target)  # noqa: PTH105
            for name in removable:
                (self.path / name).unlink(missing_ok=True)
                with contextlib.suppress(OSError):  # of a folder that is not empty
                    for folder in Path(name).parents[:-1]:
                        (self.path / folder).rmdir()
            self._store(after)

        try:
            move()
        except KeyboardInterrupt:  # renames take no time: rather the new project than a mixture
            move()
            raise

    @contextlib.contextmanager
    def _staging(self) -> Iterator[Path]:
        with _os_errors(self.path):
            with temporary_folder("new-", self._hidden) as staged:
                yield staged

    def _ours(self, name: str, known: Mapping[str, Any]) -> bool:
        """Whether ``name`` may be written: there is none, it is empty, or as we wrote it."""
        path = self.path / name
        inside = path.parent.resolve()
        if not inside.is_relative_to(self.path.resolve()):
            raise VecqError(f"'{path.parent}' is a link that leaves '{self.path}'")
        if path.is_dir() and not path.is_symlink():
            raise VecqError(f"'{path}' is a folder; a file is to be written there")
        for parent in path.relative_to(self.path).parents:
            if (self.path / parent).is_file():
                raise VecqError(f"'{self.path / parent}' is a file; a folder is wanted")
        if path.is_symlink():
            return False
        if not self._filled(name):
            return True
        return name in known and _digest(path) in known[name]["sha256"]

    def _filled(self, name: str) -> bool:
        """Whether there is anything to lose."""
        path = self.path / name
        return path.exists() and path.stat().st_size > 0

    def _read(self) -> dict[str, Any]:
        """Kind and digests of each file that we wrote; of a damaged list, nothing."""
        try:
            tree = json.loads(self._manifest.read_text())
            if tree["vecq_files"] != _VERSION:
                return {}
            return {
                str(name): {"kind": str(entry["kind"]), "sha256": list(entry["sha256"])}
                for name, entry in tree["files"].items()
            }
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return {}

    def _store(self, files: Mapping[str, Any]) -> None:
        tree = {"vecq_files": _VERSION, "files": dict(sorted(files.items()))}
        write_atomically(self._manifest, f"{json.dumps(tree, indent=1)}\n".encode())


def _digest(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None


def _is_special(path: Path) -> bool:
    """A pipe or a device, that is written into."""
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


@contextlib.contextmanager
def _os_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise VecqError(f"'{path}' cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
