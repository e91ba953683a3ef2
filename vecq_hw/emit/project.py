"""A generated project: file contents by relative name, written atomically to one folder."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from vecq_hw.bench.vectors import frames_text, read_frames
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.formats import IntArray
from vecq_hw.network import Network

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,119}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """Inputs and the outputs that a project's own test bench compares with.

    Attributes
    ----------
    inputs : int array of shape (N, C) or (N, H, W, C)
    outputs : int array of shape (N, ...)
    """

    inputs: IntArray
    outputs: IntArray

    def files(self) -> dict[str, str]:
        """``vectors/inputs.txt`` and ``vectors/outputs.txt``: a vector per line, channels-last."""
        return {
            "vectors/inputs.txt": vector_text(self.inputs),
            "vectors/outputs.txt": vector_text(self.outputs),
        }


def check_vectors(network: Network, vectors: Vectors) -> None:
    """Raise :class:`VecqError` unless there are vectors and they have the network's shapes."""
    for what, given, name in (
        ("inputs", vectors.inputs, network.inputs[0].name),
        ("outputs", vectors.outputs, network.outputs[0]),
    ):
        wanted = network.tensors[name].shape
        if given.shape[1:] != wanted or not len(given):
            raise VecqError(
                f"network '{network.name}': the vectors' {what} have the shape {given.shape};"
                f" (N, {', '.join(map(str, wanted))}) with at least one vector is wanted"
            )
    if len(vectors.inputs) != len(vectors.outputs):
        raise VecqError(
            f"network '{network.name}': {len(vectors.inputs)} input vectors and"
            f" {len(vectors.outputs)} output vectors; equal numbers are wanted"
        )


def vector_text(vectors: IntArray) -> str:
    """One vector per line, decimal integers between blanks."""
    return frames_text(vectors.reshape(len(vectors), -1).tolist())


def read_vectors(path: Path) -> IntArray:
    """Read what :func:`vector_text` wrote: int64 array of shape (N, elements)."""
    try:
        frames = read_frames(path)
        return np.array(frames, dtype=np.int64).reshape(len(frames), -1)
    except (ValueError, OverflowError) as error:
        raise VecqError(f"'{path}': {error}") from None


@dataclass(frozen=True, slots=True)
class Project:
    """The files of a generated project, text or bytes; equal inputs give equal projects.

    Raises
    ------
    VecqError
        A name is not a plain relative path.
    """

    files: Mapping[str, str | bytes]

    def __post_init__(self) -> None:
        for name in self.files:
            parts = name.split("/")
            if not all(_NAME.fullmatch(part) and part not in (".", "..") for part in parts):
                raise VecqError(f"'{name}' is no relative file name of letters, digits, '_-.'")
        object.__setattr__(self, "files", MappingProxyType(dict(self.files)))

    def write(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write every file, and remove those of an earlier project that this one has not.

        All of them appear or none.  Files that no project brought stay as they are.

        Raises
        ------
        VecqError
            A file of the same name is not as a project left it, and no ``force``; another writer is
            at work in ``folder``; it cannot be written.
        """
        with Folder(folder, force=force) as place:
            self.write_into(place)
            return place.path

    def write_into(self, folder: Folder) -> None:
        """As :meth:`write`, into a folder that stays closed to others while its tests run."""
        folder.write_all(
            (
                (name, content if isinstance(content, bytes) else content.encode())
                for name, content in self.files.items()
            ),
            "project",
        )
