"""A Network to and from one .npz file: arrays and a JSON header with a version; no pickle.

The header is the network's tree of dataclasses, each as ``{"type": name, field: value, ...}``, an
array as ``{"array": index}``.  The digest covers the header and the bytes of every array.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, IntArray, IntFormat, MidRise, TwosComplement
from vecq_hw.network import (
    Add,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Input,
    MaxPool2d,
    Network,
    Rescale,
    SumPool2d,
    Threshold,
    Upsample2d,
    Weights,
)

VERSION = 1
_CLASSES: dict[str, type[Any]] = {
    cls.__name__: cls
    for cls in (
        IntFormat,
        MidRise,
        TwosComplement,
        CodeBook,
        Weights,
        Input,
        Dense,
        Conv2d,
        Rescale,
        Threshold,
        MaxPool2d,
        SumPool2d,
        Flatten,
        Upsample2d,
        Add,
        Concat,
        Network,
    )
}


def digest(network: Network) -> str:
    """SHA-256 of everything that the network is, as 64 hexadecimal digits."""
    arrays: list[IntArray] = []
    return _digest(_encode(network, arrays), arrays)


def save(network: Network, path: str | Path) -> None:
    """Write ``network`` to ``path`` (.npz), atomically."""
    arrays: list[IntArray] = []
    tree = _encode(network, arrays)
    header = {"vecq_network": VERSION, "digest": _digest(tree, arrays), "network": tree}
    buffer = io.BytesIO()
    members: dict[str, Any] = {f"array{index}": array for index, array in enumerate(arrays)}
    members["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    np.savez_compressed(buffer, **members)
    write_atomically(Path(path), buffer.getvalue())


def load(path: str | Path) -> Network:
    """Read a network that :func:`save` wrote.

    Raises
    ------
    VecqError
        The file is missing, cut short, of another version, altered, or holds an illegal network.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise VecqError(f"'{path}': there is no such file") from None
    except IsADirectoryError:
        raise VecqError(f"'{path}' is a folder; a network file (.npz) is wanted") from None
    except OSError as error:
        raise VecqError(f"'{path}' cannot be read: {error.strerror or error}") from None
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as archive:
            members = {name: archive[name] for name in archive.files}
    except Exception as error:  # damaged archives raise a dozen kinds
        raise VecqError(f"'{path}' is not a network file or is cut short ({error})") from None
    try:
        header = json.loads(bytes(members["header"]))
        version = header["vecq_network"]
    except (KeyError, ValueError, TypeError):
        raise VecqError(f"'{path}' is an .npz file without the header of a network") from None
    if version != VERSION:
        raise VecqError(f"'{path}' has the format version {version}; this vecq reads {VERSION}")
    try:
        arrays = [members[f"array{index}"] for index in range(len(members) - 1)]
        if _digest(header["network"], arrays) != header["digest"]:
            raise VecqError("its contents do not match its digest; it was altered or damaged")
        network = _decode(header["network"], arrays)
    except VecqError as error:
        raise VecqError(f"'{path}': {error}") from None
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise VecqError(f"'{path}': the header is malformed ({error!r})") from None
    if not isinstance(network, Network):
        raise VecqError(f"'{path}' does not hold a network")
    return network


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; a failure leaves what was there before."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(temporary, 0o666 & ~_umask())  # noqa: PTH101
            os.replace(temporary, path)  # noqa: PTH105
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise VecqError(f"'{path}' cannot be written: {error.strerror or error}") from None


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _encode(value: Any, arrays: list[IntArray]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {"array": len(arrays) - 1}
    if isinstance(value, tuple):
        return [_encode(item, arrays) for item in value]
    if dataclasses.is_dataclass(value):
        fields = [f.name for f in dataclasses.fields(value) if f.name != "tensors"]
        return {
            "type": type(value).__name__,
            **{name: _encode(getattr(value, name), arrays) for name in fields},
        }
    return value


def _decode(tree: Any, arrays: list[IntArray]) -> Any:
    if isinstance(tree, list):
        return tuple(_decode(item, arrays) for item in tree)
    if not isinstance(tree, dict):
        return tree
    if "array" in tree:
        return arrays[tree["array"]]
    name = tree["type"]
    if name not in _CLASSES:
        raise VecqError(f"it holds a '{name}', which this vecq does not know")
    fields = {key: _decode(item, arrays) for key, item in tree.items() if key != "type"}
    return _CLASSES[name](**fields)


def _digest(tree: Any, arrays: list[IntArray]) -> str:
    total = hashlib.sha256(json.dumps(tree, sort_keys=True).encode())
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
