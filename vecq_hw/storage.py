"""A Network to and from one .npz file: arrays and a JSON header with a version; no pickle.

The header is the network's tree of dataclasses, each as ``{"type": name, field: value, ...}``, an
array as ``{"array": index}``.  The digest covers the header and the bytes of every array.
"""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from vecq_hw import trees
from vecq_hw.arguments import format_version
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.network import Network
from vecq_hw.unpack import NpzReader, in_proportion

VERSION = 2
"""Before 2, padding was a pair."""
_NPY_HEADER = 256
"""Bytes before the values of an array, at most, with up to four axes."""


def digest(network: Network) -> str:
    """SHA-256 of everything that the network is, as 64 hexadecimal digits."""
    return _digest(*_encode(network))


def save(network: Network, path: str | Path) -> None:
    """Write ``network`` to ``path`` (.npz), atomically.

    Raises
    ------
    VecqError
        A field is of another type than its class says, or the file cannot be written.
    """
    write_atomically(Path(path), to_bytes(network))


def to_bytes(network: Network) -> bytes:
    """The content of the file that :func:`save` writes; equal networks have equal contents."""
    tree, arrays = _encode(network)
    header = {"vecq_network": VERSION, "digest": _digest(tree, arrays), "network": tree}
    members: dict[str, Any] = {f"array{index}": array for index, array in enumerate(arrays)}
    members["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **members)
    size = len(buffer.getvalue())
    # Weights that are nearly all alike shrink so much that `load` would think of an attack.
    if not in_proportion(sum(array.nbytes + _NPY_HEADER for array in members.values()), size):
        buffer = io.BytesIO()
        np.savez(buffer, **members)
    return buffer.getvalue()


def load(path: str | Path) -> Network:
    """Read a network that :func:`save` wrote.

    Raises
    ------
    VecqError
        The file is missing, cut short, of another version, altered, out of proportion to what it
        holds, or holds an illegal network.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            return _read(file, f"'{path}'")
    except FileNotFoundError:
        raise VecqError(f"'{path}': there is no such file") from None
    except IsADirectoryError:
        raise VecqError(f"'{path}' is a folder; a network file (.npz) is wanted") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise VecqError(f"'{path}' cannot be read: {reason}") from None


def from_bytes(content: bytes, what: str) -> Network:
    """The network that :func:`to_bytes` gave; ``what`` holds it, for messages.

    Raises
    ------
    VecqError
        As :func:`load`.
    """
    try:
        return _read(io.BytesIO(content), what)
    except (OSError, ValueError) as error:
        raise VecqError(f"{what} cannot be read: {error}") from None


def _read(file: BinaryIO, what: str) -> Network:
    try:
        with NpzReader(file) as archive:
            header = archive.read("header") if "header" in archive.names else None
            count = len(archive.names) - 1 if header is not None else 0
            arrays = [archive.read(f"array{index}") for index in range(count)]
    except VecqError as error:
        raise VecqError(f"{what} is not a network file or is cut short ({error})") from None
    try:
        tree: Any = json.loads(bytes(header)) if header is not None else None
        version = tree["vecq_network"]
        body, claimed = tree["network"], tree["digest"]
    except (KeyError, ValueError, TypeError, RecursionError):
        raise VecqError(f"{what} is an .npz file without the header of a network") from None
    format_version(version, VERSION, what)
    try:
        return _decode(body, arrays, claimed, version)
    except VecqError as error:
        raise VecqError(f"{what}: {error}") from None


def _encode(network: Network) -> tuple[Any, list[trees.Array]]:
    """The tree of a network and its arrays."""
    arrays: list[trees.Array] = []
    try:
        return trees.encode(network, Network, arrays), arrays
    except VecqError as error:
        raise VecqError(f"network '{network.name}': {error}") from None


def _decode(tree: Any, arrays: list[trees.Array], claimed: object, version: int) -> Network:
    """The network of a tree of format ``version`` whose digest is ``claimed``."""
    try:
        altered = _digest(tree, arrays) != claimed
    except RecursionError:
        raise VecqError("its header is nested deeper than that of any network") from None
    if altered:
        raise VecqError("its contents do not match its digest; it was altered or damaged")
    if version == 1:
        _widen_padding(tree)
    network: Network = trees.decode(tree, Network, iter(enumerate(arrays)))
    return network


def _widen_padding(tree: Any) -> None:
    """Padding down and across becomes padding of all four sides."""
    layers = tree.get("layers") if isinstance(tree, dict) else None
    for layer in layers if isinstance(layers, list) else ():
        padding = layer.get("padding") if isinstance(layer, dict) else None
        if isinstance(padding, list) and len(padding) == 2:
            layer["padding"] = [*padding, *padding]


def _digest(tree: Any, arrays: list[trees.Array]) -> str:
    total = hashlib.sha256(json.dumps(tree, sort_keys=True).encode())
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
