"""Run targets on one set of inputs and compare every output with the simulator, with ``==``."""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import Enum
from functools import partial
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
from vecq_hw.notebook import html_table
from vecq_hw.schedule import Schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.ends import Given, output_arrays
from vecq_hw.simulate.reference import checked_inputs
from vecq_hw.toolchain import require
from vecq_hw.verify.target import Target, TargetError

SHOWN_MISMATCHES = 8
"""How many integers that differ a row of the report keeps of each output."""


class Status(Enum):
    """How a target's comparison ended."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    """It did not build or did not finish; this counts as a failure."""
    UNSUPPORTED = "unsupported"
    """It cannot take the network yet: neither a pass nor a failure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of the integers of one output; as in :class:`Row`."""

    outputs: int
    mismatches: int
    distinct_outputs: int
    saturated: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """An integer that a target computed otherwise than the simulator.

    Attributes
    ----------
    output : str
        The layer that makes it.
    vector, index : int
        Of which input vector, and where among the integers of its output.
    """

    output: str
    vector: int
    index: int
    expected: int
    actual: int


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
    by_output : mapping
        The counts of each output by its name, where there are several.
    first_mismatches : tuple of Mismatch
        At most :data:`SHOWN_MISMATCHES` of each output, in the order of the vectors.
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
    by_output: Mapping[str, Counts] = field(default_factory=dict)
    first_mismatches: tuple[Mismatch, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """For scripts: the attributes, plain."""
        tree = asdict(self) | {"status": self.status.value, "seconds": round(self.seconds, 3)}
        for name in ("by_output", "first_mismatches"):
            if not tree[name]:
                del tree[name]
        return tree


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

    def _repr_html_(self) -> str:
        rows = [
            (
                row.name,
                row.status.value,
                *(f"{number:,}" for number in (row.vectors, row.outputs, row.mismatches)),
                row.message,
            )
            for row in self.rows
        ]
        titles = ("target", "result", "vectors", "integers", "mismatches", "message")
        return html_table("equal" if self.passed else "not all equal", titles, rows)

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
    inputs: Given,
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
        Codes of the input format; of several inputs a mapping from the name of each to its array.
    progress : callable
        Told what begins, for instance "hls (1 of 3): building and running".
    force : bool
        Replace also files in the folders that vecq did not write.

    Raises
    ------
    VecqError
        The inputs or the schedule do not fit the network.
    MissingToolError
        A tool is missing that a target needs; none has run then.
    """
    codes = checked_inputs(network, inputs)
    count = len(codes[network.inputs[0].name])
    if not count:
        raise VecqError("there are no input vectors to verify with")
    schedule = schedule or scheduling.default_schedule(network)
    scheduling.check(network, schedule)
    refusals = {target.name: target.unsupported(network) for target in targets}
    require(*(t for target in targets if refusals[target.name] is None for t in target.tools))
    progress(f"simulating {count} vectors")
    expected = simulate(network, codes, taps=network.outputs)
    vectors = Vectors(inputs=codes, outputs=expected)
    rows, begun, taken = [], 0, list(refusals.values()).count(None)
    for target in targets:
        reason = refusals[target.name]
        if reason is not None:
            rows.append(_unsupported(target, reason))
            continue
        begun += 1
        title = f"{target.name} ({begun} of {taken})"
        begin = time.perf_counter()
        try:
            place = folder / target.name
            tell = partial(_told_of, progress, title)
            got = _computed(network, schedule, vectors, target, place, tell, force)
            row = got if isinstance(got, Row) else _row(network, target, expected, got)
        except (TargetError, VecqError) as error:
            row = Row(name=target.name, status=Status.ERROR, message=str(error))
        except Exception as error:  # a fault of ours in one target; the others can still be judged
            row = Row(name=target.name, status=Status.ERROR, message=_located(error))
        rows.append(replace(row, seconds=time.perf_counter() - begin))
    warnings = [line for name in expected for line in _warnings(network, name, expected[name])]
    return Report(rows=tuple(rows), warnings=tuple(warnings))


def _told_of(progress: Callable[[str], None], title: str, step: str) -> None:
    progress(f"{title}: {step}")


def _unsupported(target: Target, reason: str) -> Row:
    return Row(name=target.name, status=Status.UNSUPPORTED, message=f"unsupported: {reason}")


def _located(error: Exception) -> str:
    """What went wrong where, in one line."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    said = f"{type(error).__name__}: {error}".rstrip(": ")
    return f"a fault in vecq itself, {said} ({Path(place.filename).name}:{place.lineno})"


def _computed(
    network: Network,
    schedule: Schedule,
    vectors: Vectors,
    target: Target,
    folder: Path,
    progress: Callable[[str], None],
    force: bool,
) -> dict[str, IntArray] | Row:
    """What the target computes, int64 of shape (N, elements) by output; or the row that it ends."""
    progress("writing the project")
    try:
        project = target.emit(network, schedule, vectors)
    except VecqError as refusal:
        return _unsupported(target, str(refusal))
    with Folder(folder, force=force) as place:
        project.write_into(place)
        progress("building and running")
        return output_arrays(network, target.run(folder))


def _row(
    network: Network, target: Target, expected: dict[str, IntArray], got: dict[str, IntArray]
) -> Row:
    """All outputs of one target, compared."""
    parts, first, message = {}, [], ""
    for name, array in expected.items():
        wanted, found = array.reshape(len(array), -1).astype(np.int64), got[name]
        where = f"output '{name}': " if len(expected) > 1 else ""
        if found.shape != wanted.shape:
            given = f"{where}{wanted.shape} outputs are wanted, the target gave {found.shape}"
            return Row(name=target.name, status=Status.ERROR, message=given)
        differing = np.argwhere(found != wanted)
        first += [
            Mismatch(
                output=name,
                vector=vector,
                index=index,
                expected=int(wanted[vector, index]),
                actual=int(found[vector, index]),
            )
            for vector, index in differing[:SHOWN_MISMATCHES].tolist()
        ]
        if len(differing) and not message:
            shown = first[0]
            message = (
                f"layer '{name}', vector {shown.vector}, index {shown.index}:"
                f" expected {shown.expected}, actual {shown.actual}"
            )
        parts[name] = Counts(
            outputs=wanted.size,
            mismatches=len(differing),
            distinct_outputs=len(np.unique(found)),
            saturated=_saturated(network, name, found),
        )
    distinct = np.unique(np.concatenate([got[name].ravel() for name in expected]))
    return Row(
        name=target.name,
        status=Status.FAILED if message else Status.PASSED,
        vectors=len(next(iter(expected.values()))),
        outputs=sum(part.outputs for part in parts.values()),
        mismatches=sum(part.mismatches for part in parts.values()),
        distinct_outputs=len(distinct),
        saturated=sum(part.saturated for part in parts.values()),
        message=message,
        by_output=parts if len(parts) > 1 else {},
        first_mismatches=tuple(first),
    )


def _saturated(network: Network, name: str, outputs: IntArray) -> int:
    last = next((layer for layer in network.layers if layer.name == name), None)
    clamped = None if last is None else as_code_layer(last)
    if clamped is None:
        return 0
    return int(np.isin(outputs, (clamped.format.lo, clamped.format.hi)).sum())


def _warnings(network: Network, name: str, outputs: IntArray) -> list[str]:
    """An output that is the same for every input verifies little."""
    flat = outputs.reshape(len(outputs), -1)
    constant = np.flatnonzero((flat == flat[0]).all(axis=0)).tolist()
    if not constant or len(flat) < 2:
        return []
    shown = ", ".join(map(str, constant[:8])) + (" …" if len(constant) > 8 else "")
    of = f" of '{name}'" if len(network.outputs) > 1 else ""
    return [
        f"{len(constant)} of {flat.shape[1]} outputs{of} never change over these vectors"
        f" (index {shown})"
    ]
