"""Where data sets lie that have a name."""

from __future__ import annotations

import os
from pathlib import Path


def data_folder(folder: str | Path | None = None) -> Path:
    """Where named data sets lie: ``folder``, else VECQ_DATA in the environment, else 'data'."""
    return Path(folder or os.environ.get("VECQ_DATA") or "data")
