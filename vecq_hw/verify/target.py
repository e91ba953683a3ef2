"""What verification asks of a target: emit a project, run it, give integers back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vecq_hw.emit.project import Project, Vectors
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.toolchain import Tool


class TargetError(Exception):
    """A target did not build or did not finish: its last lines of output are the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One implementation of a network that is compared with the simulator.

    Attributes
    ----------
    name : str
    unsupported : callable
        Why the network cannot be emitted ("layer 'conv1' (Conv2d)"), or None.
    emit : callable
        A project that stands alone; its own test compares with the vectors.
    tools : tuple of Tool
        What emission, building and running need.
    takes_axis_bits, takes_fabric : bool
        Whether what it emits depends on these two of a schedule.
    run : callable
        Builds and runs the project in a folder and returns the outputs that it computed, int64
        of shape (N, elements), several by their names; raises :class:`TargetError`.  It does not
        compare.
    """

    name: str
    unsupported: Callable[[Network], str | None]
    emit: Callable[[Network, Schedule, Vectors], Project]
    run: Callable[[Path], IntArray | dict[str, IntArray]]
    takes_axis_bits: bool
    takes_fabric: bool
    tools: tuple[Tool, ...] = ()
