"""The exceptions that users meet: one sentence each, without a traceback at the command line."""


class VecqError(Exception):
    """Something the user gave cannot be used.

    The message is one sentence: where, what was given, what is wanted.  The command line prints it
    and exits with status 2.
    """


class HostWarning(UserWarning):
    """A part of a model is left to the host, which runs what the integer network gives."""


class MissingToolError(VecqError):
    """A tool or package is not installed; the message names the command that installs it."""
