"""Other people's quantized models to integer networks that compute the same integers."""

from __future__ import annotations

from pathlib import Path

from vecq_hw import toolchain
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.interop.assembly import Imported
from vecq_hw.interop.graph import LARGEST_FILE, Unsupported
from vecq_hw.interop.report import Report

__all__ = ["Imported", "Report", "Unsupported", "import_bytes", "import_file"]


def import_file(
    path: str | Path, name: str | None = None, pixels: tuple[IntFormat, float] | None = None
) -> Imported:
    """The integer network of a quantized ONNX or QONNX file, and a report.

    Parameters
    ----------
    path : str or Path
        What it holds decides, not its name.
    name : str, optional
        Of the network; else that of the file.
    pixels : (IntFormat, float), optional
        Codes and step of an input with arithmetic before its first quantizer.

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
        return import_bytes(content, name or path.stem, pixels)
    except (Unsupported, MissingToolError):
        raise
    except VecqError as error:
        raise VecqError(f"'{path}': {error}") from None


def import_bytes(
    content: bytes, name: str = "network", pixels: tuple[IntFormat, float] | None = None
) -> Imported:
    """The same of the contents of a file."""
    toolchain.require(toolchain.ONNX)
    from vecq_hw.interop.onnx_walk import import_onnx

    return import_onnx(content, name, pixels)
