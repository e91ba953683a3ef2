"""Other people's quantized models to integer networks that compute the same integers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from vecq_hw import toolchain
from vecq_hw.arguments import meant
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.interop.assembly import Imported
from vecq_hw.interop.graph import LARGEST_FILE, Unsupported
from vecq_hw.interop.report import Report
from vecq_hw.storage import digest

__all__ = ["SEMANTICS", "Imported", "Report", "Unsupported", "import_bytes", "import_file"]


SEMANTICS = ("ruy", "xnnpack", "reference")
"""The executors of a TFLite file, which compute different integers; the first is taken."""


def import_file(
    path: str | Path,
    name: str | None = None,
    pixels: tuple[IntFormat, float] | None = None,
    semantics: str | None = None,
) -> Imported:
    """The integer network of a quantized ONNX, QONNX or TFLite file, and a report.

    Parameters
    ----------
    path : str or Path
        What it holds decides, not its name.
    name : str, optional
        Of the network; else that of the file.
    pixels : (IntFormat, float), optional
        Codes and step of an input with arithmetic before its first quantizer.
    semantics : {"ruy", "xnnpack", "reference"}, optional
        Of a TFLite file, whose executors differ: whose integers are meant.

    Raises
    ------
    VecqError
        The file cannot be read or is damaged.
    Unsupported
        Nodes cannot be taken; all of them are named.
    MissingToolError
        The package that reads such files is not installed.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > LARGEST_FILE:
            raise VecqError(f"'{path}' has {size:,} bytes; at most {LARGEST_FILE:,} are read")
        content = path.read_bytes()
    except OSError as error:
        raise VecqError(f"'{path}' cannot be read: {error.strerror or error}") from None
    except ValueError as error:  # a zero byte in the name
        raise VecqError(f"'{path}' cannot be read: {error}") from None
    try:
        made = import_bytes(content, name or path.stem, pixels, semantics)
        # A file of ours has a name of its own.
        if name is None or made.report.semantics != "vecq":
            return made
        return _renamed(made, name)
    except (Unsupported, MissingToolError):
        raise
    except VecqError as error:
        raise VecqError(f"'{path}': {error}") from None


def _renamed(made: Imported, name: str) -> Imported:
    network = replace(made.network, name=name)
    report = replace(made.report, name=name, digest=digest(network))
    return Imported(network=network, report=report)


def import_bytes(
    content: bytes,
    name: str = "network",
    pixels: tuple[IntFormat, float] | None = None,
    semantics: str | None = None,
) -> Imported:
    """The same of the contents of a file.

    Raises
    ------
    VecqError
        The contents are damaged or hold what nothing here takes, an argument is illegal or belongs
        to the other kind of file, or the package that reads the kind is missing.
    """
    if semantics not in (None, *SEMANTICS):
        hint = meant(semantics, SEMANTICS)
        raise VecqError(f"the semantics are {', '.join(SEMANTICS)}, not {semantics!r}{hint}")
    if content[4:8] == b"TFL3":
        if pixels is not None:
            raise VecqError("a TFLite file gives the codes of its inputs; leave their format out")
        toolchain.require(toolchain.TFLITE)
        from vecq_hw.interop.tflite_walk import import_tflite

        return import_tflite(content, semantics or SEMANTICS[0], name)
    if semantics is not None:
        raise VecqError("semantics are those of a TFLite file, whose executors differ")
    toolchain.require(toolchain.ONNX)
    from vecq_hw.interop.onnx_walk import import_onnx

    return import_onnx(content, name, pixels)
