"""Where the hand-written sources of hls/ and rtl/ lie, in a wheel or in a checkout."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def hls_include() -> Path:
    """The folder that holds ``vecq/*.hpp``."""
    return _folder("hls") / "include"


def rtl() -> Path:
    """The folder that holds ``vecq_*.sv``."""
    return _folder("rtl")


def _folder(name: str) -> Path:
    inside = _PACKAGE / "_sources" / name  # put there by the wheel
    return inside if inside.is_dir() else _PACKAGE.parent / name
