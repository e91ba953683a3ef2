"""Run targets on one set of inputs and compare every output with the simulator, with ``==``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from vecq_hw import schedule as scheduling
from vecq_hw.emit.project import Vectors
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.formats import IntArray
from vecq_hw.layers import as_code_layer
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import require
from vecq_hw.verify.target import Target, TargetError


class Status(Enum):
    """How a target's comparison ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It did not build or did not finish; this counts as a failure."""
    UNSUPPORTED = "unsupported"
    """It cannot take the network yet: neither a pass nor a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one target did.

    Attributes
    ----------
    vectors, outputs : int
        How many were compared; ``outputs`` counts single integers.
    mismatches : int
        Of ``outputs``.
    seconds : float
        Emission, build and run.
    distinct_outputs : int
        Different integers among the outputs.
    saturated : int
        Outputs that sit at an end of the last rescale's clamp.
    message : str
        The first mismatch, the error, or what is unsupported; empty for a pass.
    """

    name: str
    status: Status
    vectors: int = 0
    outputs: int = 0
    mismatches: int = 0
    seconds: float = 0.0
    distinct_outputs: int = 0
    saturated: int = 0
    message: str = ""

    def to_json(self) -> dict[str, Any]:
        """For scripts: the attributes, plain."""
        return {**asdict(self), "status": self.status.value, "seconds": round(self.seconds, 3)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The rows of all targets and what is odd about the vectors."""

    rows: tuple[Row, ...]
    warnings: tuple[str, ...]

    @property
    def compared(self) -> bool:
        """Whether any target took the network."""
        return any(row.status is not Status.UNSUPPORTED for row in self.rows)

    @property
    def passed(self) -> bool:
        """At least one target compared something, and none failed."""
        states = {row.status for row in self.rows}
        return Status.PASSED in states and not states & {Status.FAILED, Status.ERROR}

    def to_json(self) -> dict[str, Any]:
        """For scripts."""
        return {
            "passed": self.passed,
            "compared": self.compared,
            "targets": [row.to_json() for row in self.rows],
            "warnings": list(self.warnings),
        }


def verify(
    network: Network,
    inputs: IntArray,
    *,
    targets: Sequence[Target],
    folder: Path,
    schedule: Schedule | None = None,
    progress: Callable[[str], None] = lambda what: None,
    force: bool = False,
) -> Report:
    """Emit, build and run each target in ``folder/<target>`` and compare it with the simulator.

    What a target refuses, or how it breaks, is said in its row; the others run.

    Parameters
    ----------
    inputs : int array of shape (N, ...)
        Codes of the input format.
    progress : callable
        Told what begins, for instance "hls: building and running".
    force : bool
        Replace also files in the folders that vecq did not write.

    Raises
    ------
    VecqError
        The inputs or the schedule do not fit the network.
    MissingToolError
        A tool is missing that a target needs; none has run then.
    """
    if not len(inputs):
        raise VecqError("there are no input vectors to verify with")
    schedule = schedule or scheduling.default_schedule(network)
    scheduling.check(network, schedule)
    refusals = {target.name: target.unsupported(network) for target in targets}
    require(*(t for target in targets if refusals[target.name] is None for t in target.tools))
    progress(f"simulating {len(inputs)} vectors")
    vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
    rows = []
    for target in targets:
        reason = refusals[target.name]
        if reason is not None:
            rows.append(_unsupported(target, reason))
            continue
        begin = time.perf_counter()
        try:
            row = _row(network, schedule, vectors, target, folder / target.name, progress, force)
        except (TargetError, VecqError) as error:
            row = Row(name=target.name, status=Status.ERROR, message=str(error))
        except Exception as error:  # a fault of ours in one target; the others can still be judged
            row = Row(name=target.name, status=Status.ERROR, message=_located(error))
        rows.append(replace(row, seconds=time.perf_counter() - begin))
    return Report(rows=tuple(rows), warnings=tuple(_warnings(vectors.outputs)))


def _unsupported(target: Target, reason: str) -> Row:
    return Row(name=target.name, status=Status.UNSUPPORTED, message=f"unsupported: {reason}")


def _located(error: Exception) -> str:
    """What went wrong where, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"a fault in vecq itself, {said} ({Path(place.filename).name}:{place.lineno})"


def _row(
    network: Network,
    schedule: Schedule,
    vectors: Vectors,
    target: Target,
    folder: Path,
    progress: Callable[[str], None],
    force: bool,
) -> Row:
    progress(f"{target.name}: writing the project")
    try:
        project = target.emit(network, schedule, vectors)
    except VecqError as refusal:
        return _unsupported(target, str(refusal))
    with Folder(folder, force=force) as place:
        project.write_into(place)
        progress(f"{target.name}: building and running")
        got = target.run(folder)
    expected = vectors.outputs.reshape(len(vectors.outputs), -1).astype(np.int64)
    if got.shape != expected.shape:
        message = f"{expected.shape} outputs are wanted, the target gave {got.shape}"
        return Row(name=target.name, status=Status.ERROR, message=message)
    differing = np.argwhere(got != expected)
    message = ""
    if len(differing):
        vector, index = differing[0].tolist()
        message = (
            f"layer '{network.outputs[0]}', vector {vector}, index {index}:"
            f" expected {expected[vector, index]}, actual {got[vector, index]}"
        )
    return Row(
        name=target.name,
        status=Status.FAILED if len(differing) else Status.PASSED,
        vectors=len(expected),
        outputs=expected.size,
        mismatches=len(differing),
        distinct_outputs=len(np.unique(got)),
        saturated=_saturated(network, got),
        message=message,
    )


def _saturated(network: Network, outputs: IntArray) -> int:
    last = next((layer for layer in network.layers if layer.name == network.outputs[0]), None)
    clamped = None if last is None else as_code_layer(last)
    if clamped is None:
        return 0
    return int(np.isin(outputs, (clamped.format.lo, clamped.format.hi)).sum())


def _warnings(outputs: IntArray) -> list[str]:
    """An output that is the same for every input verifies little."""
    flat = outputs.reshape(len(outputs), -1)
    constant = np.flatnonzero((flat == flat[0]).all(axis=0)).tolist()
    if not constant or len(flat) < 2:
        return []
    shown = ", ".join(map(str, constant[:8])) + (" …" if len(constant) > 8 else "")
    return [
        f"{len(constant)} of {flat.shape[1]} outputs never change over these vectors"
        f" (index {shown})"
    ]
