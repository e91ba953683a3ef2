"""The exceptions that users meet: one sentence each, without a traceback at the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class VecqError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence: where, what was given, what is wanted.  The command line prints it
    and exits with status 2.
    """


class HostWarning(UserWarning):
    """A part of a model is left to the host, which runs what the integer network gives."""


class MissingToolError(VecqError):
    """A tool or package is not installed; the message names the command that installs it."""


@contextmanager
def matplotlib_wanted(by: str = "plots", install: str = "matplotlib") -> Iterator[None]:
    """Say how matplotlib is installed where an import of it within this context fails.

    Raises
    ------
    MissingToolError
        It is not installed; ``by`` says in the plural what needs it, ``install`` what to install.
    """
    try:
        yield
    except ImportError:
        raise MissingToolError(
            f"{by} need matplotlib; install it with: pip install {install}"
        ) from None
