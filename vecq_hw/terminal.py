"""Whether something can move on the screen."""

from __future__ import annotations

import os
import sys


def is_animated() -> bool:
    """Whether standard error is a terminal on which lines can be drawn anew."""
    return sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
