"""The exit statuses of vecq, for scripts: docs/reference/exit_codes.md has this table."""

from __future__ import annotations

DONE = 0
BAD_RESULT = 1
REFUSED = 2
NOTHING_COMPARED = 3
OWN_FAULT = 70
"""As EX_SOFTWARE of sysexits.h; Python's own 1 would read as a bad result."""
SIGNAL = 128
"""To which the number of the signal is added."""

MEANINGS = {
    str(DONE): "the command did what it was asked for; everything compared is equal",
    str(BAD_RESULT): "it ran to its end, and the result is bad: integers differ or a target broke"
    " (verify, demo, search), no trial is accurate enough (search of a graph), the device is too"
    " small (implement), a tool is missing (doctor)",
    str(REFUSED): "it was refused with one sentence: a mistake in an option or a file, a missing"
    " package or tool, a tool that failed, a full disk",
    str(NOTHING_COMPARED): "verify alone: no target could take the network",
    str(OWN_FAULT): "a fault of vecq itself, with the lines that a report of it needs",
    f"{SIGNAL} + n": "it was stopped by signal n: 130 by Ctrl-C, 143 by kill, 141 where the reader"
    " of a pipe has gone",
}
"""What each status says, by the status as it is written."""
