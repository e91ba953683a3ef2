"""A generated project: file contents by relative name, written atomically to one folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from vecq_hw.bench.ports import load_ends
from vecq_hw.bench.vectors import frames_text, read_frames
from vecq_hw.emit.identifiers import end_suffixes
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.simulate.ends import by_name, input_names, one_or_all, sample_count

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]{0,119}")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Vectors:
    """Inputs and the outputs that a project's own test bench compares with.

    Attributes
    ----------
    inputs : int array of shape (N, C) or (N, H, W, C), or mapping of them
        By the name of each input, where there are several.
    outputs : int array of shape (N, ...), or mapping of them
    """

    # Either kind, and who makes vectors knows which.
    inputs: Any
    outputs: Any

    def files(self) -> dict[str, str]:
        """``vectors/inputs.txt`` and ``vectors/outputs.txt``: a vector per line, channels-last.

        Of several ends each has its file, such as ``vectors/inputs_left.txt``.
        """
        result: dict[str, str] = {}
        for what, given in (("inputs", self.inputs), ("outputs", self.outputs)):
            arrays = dict(given) if isinstance(given, Mapping) else {"": given}
            files = vector_files(what, arrays)
            result |= {f"vectors/{files[name]}": vector_text(arrays[name]) for name in arrays}
        return result


def vector_files(what: str, names: Iterable[str]) -> dict[str, str]:
    """The file of each end's vectors: ``inputs.txt`` of one, ``inputs_<name>.txt`` of several."""
    return {name: f"{what}{suffix}.txt" for name, suffix in end_suffixes(names).items()}


def checked_vectors(network: Network, vectors: Vectors) -> Vectors:
    """The vectors of each end by its name, in the network's order.

    Raises
    ------
    VecqError
        There are none, or they have other names or shapes than the network's ends.
    """
    inputs = _checked(network, "inputs", input_names(network), vectors.inputs)
    outputs = _checked(network, "outputs", network.outputs, vectors.outputs)
    count, others = len(inputs[network.inputs[0].name]), len(outputs[network.outputs[0]])
    if count != others:
        raise VecqError(
            f"network '{network.name}': {count} input vectors and {others} output vectors; equal"
            " numbers are wanted"
        )
    return Vectors(inputs=inputs, outputs=outputs)


def _checked(
    network: Network, what: str, names: Sequence[str], given: object
) -> dict[str, IntArray]:
    where = f"network '{network.name}': the vectors' {what}"
    arrays = {name: np.asarray(array) for name, array in by_name(names, given, where).items()}
    for name, array in arrays.items():
        wanted, of = network.tensors[name].shape, f" '{name}'" if len(names) > 1 else ""
        if array.shape[1:] != wanted or not len(array):
            raise VecqError(
                f"{where}{of} have the shape {array.shape};"
                f" (N, {', '.join(map(str, wanted))}) with at least one vector is wanted"
            )
    sample_count(arrays, where)
    return arrays


def vector_text(vectors: IntArray) -> str:
    """One vector per line, decimal integers between blanks.

    ``vectors`` has the shape (vectors, ...).
    """
    return frames_text(vectors.reshape(len(vectors), -1).tolist())


def read_vectors(path: Path) -> IntArray:
    """Read what :func:`vector_text` wrote: int64 array of shape (N, elements).

    Raises
    ------
    VecqError
        A word is no 64-bit integer, or the lines are not equally long.
    """
    try:
        frames = read_frames(path)
        return np.array(frames, dtype=np.int64).reshape(len(frames), -1)
    except (ValueError, OverflowError) as error:
        raise VecqError(f"'{path}': {error}") from None


def read_outputs(vectors: Path, manifest: Path) -> IntArray | dict[str, IntArray]:
    """What a project's bench stored in the folder ``vectors``: int64 arrays (N, elements).

    Of several outputs each by its name, as the project's ``manifest`` says.
    """
    _, outputs = load_ends(manifest)
    return one_or_all({end.port.tensor: read_vectors(vectors / end.vectors) for end in outputs})


def are_stored(found: Path, vectors: Path, manifest: Path) -> bool:
    """Whether the outputs in the folder ``found`` are those that the project's vectors have."""
    return all(
        np.array_equal(read_vectors(file), read_vectors(expected))
        for file, expected in zip(
            output_files(found, manifest), output_files(vectors, manifest), strict=True
        )
    )


def output_files(vectors: Path, manifest: Path) -> list[Path]:
    """The files that :func:`read_outputs` reads."""
    return [vectors / end.vectors for end in load_ends(manifest)[1]]


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
