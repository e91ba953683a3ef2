"""Where the hand-written sources lie that projects are given: hls/, rtl/, and the bench."""

from __future__ import annotations

from pathlib import Path

BENCH = "vecq_bench"
"""The name of ``vecq_hw.bench`` in a generated project."""
_PACKAGE = Path(__file__).resolve().parent


def hls_include() -> Path:
    """The folder that holds ``vecq/*.hpp``."""
    return _folder("hls") / "include"


def rtl() -> Path:
    """The folder that holds ``vecq_*.sv``."""
    return _folder("rtl")


def bench() -> dict[str, str]:
    """The files of ``vecq_hw/bench`` as a project holds them, by relative name."""
    files = sorted((_PACKAGE / "bench").glob("*.py"))
    return {f"{BENCH}/{path.name}": path.read_text() for path in files}


def _folder(name: str) -> Path:
    inside = _PACKAGE / "_sources" / name  # put there by the wheel
    return inside if inside.is_dir() else _PACKAGE.parent / name
