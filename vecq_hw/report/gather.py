"""From a folder to what it holds: a training, a verification, an implementation, a search."""

from __future__ import annotations

import csv
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vecq_hw import schedule as schedules
from vecq_hw import storage
from vecq_hw.errors import VecqError
from vecq_hw.network import Network
from vecq_hw.report.record import Record
from vecq_hw.schedule import Schedule

if TYPE_CHECKING:
    from vecq_hw.search.result import Result

NETWORK, SCHEDULE, MANIFEST = "network.npz", "schedule.json", "manifest.json"
METRICS, LOG, CHECKPOINT = "metrics.json", "train.csv", "checkpoint.pt"
VERIFICATION, IMPLEMENTATION, SEARCH = "verification.json", "implementation.json", "search.json"
FLOORPLAN = "floorplan.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Epoch:
    """A line of a training's log; accuracies are shares, 0 to 1."""

    number: int
    loss: float
    train_accuracy: float | None
    validation_accuracy: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What ``vecq train`` left.

    Attributes
    ----------
    metrics : Record or None
        None where it has not ended.
    history : sequence of Epoch
    checkpoint : Path or None
        Of a model whose weights can be read.
    """

    metrics: Record | None
    history: Sequence[Epoch]
    checkpoint: Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """An integer that differs, as in :class:`vecq_hw.verify.compare.Mismatch`."""

    output: str
    vector: int
    index: int
    expected: int
    actual: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """What one target did; numbers count single integers, ``seconds`` are of the whole run."""

    name: str
    status: str
    vectors: int
    outputs: int
    mismatches: int
    seconds: float
    message: str
    first_mismatches: Sequence[Mismatch]

    @property
    def compared(self) -> bool:
        """Whether it took the network."""
        return self.status != "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """What ``vecq verify --out`` left."""

    record: Record
    passed: bool
    targets: Sequence[TargetResult]
    warnings: Sequence[str]

    @property
    def compared(self) -> Sequence[TargetResult]:
        """The targets that took the network."""
        return [target for target in self.targets if target.compared]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """All that a folder holds.

    Attributes
    ----------
    name : str
        Of the network, else of the folder.
    implementation : Record or None
        What ``vecq implement`` wrote: :meth:`vecq_hw.implement.report.Report.to_json`.
    projects : sequence of Path
        Folders of generated projects, with a manifest each.
    """

    folder: Path
    name: str
    network: Network | None
    schedule: Schedule | None
    training: Training | None
    verification: Verification | None
    implementation: Record | None
    search: Result | None
    projects: Sequence[Path]

    @property
    def commands(self) -> list[str]:
        """What makes it again, as one types it."""
        found = []
        if self.training is not None and self.training.metrics is not None:
            found.append(self.training.metrics.text("command"))
        if self.verification is not None:
            found.append(self.verification.record.text("command"))
        if self.implementation is not None:
            found.append(self._implement(self.implementation))
        if self.search is not None:
            found += [
                command
                for one in self.search.front
                for command in one.commands(self.search.request)
            ]
        return [command for command in found if command]

    def _implement(self, record: Record) -> str:
        words = ["vecq", "implement", str(self.folder / NETWORK)]
        words += ["--schedule", str(self.folder / SCHEDULE)]
        for option, value in (
            ("--device", record.text("device")),
            ("--clock-mhz", f"{record.number('clock_mhz'):g}"),
            ("--seeds", str(len(record.tree.get("seeds") or [1]))),
            ("--out", str(self.folder)),
        ):
            words += [option, str(value)]
        return shlex.join(words)


def gather(folder: str | Path) -> Found:
    """Read what ``folder`` holds.

    Raises
    ------
    VecqError
        It is no folder, holds nothing that vecq wrote, or a file in it is damaged.
    """
    place = Path(folder)
    if not place.is_dir():
        there = "is a file" if place.exists() else "does not exist"
        raise VecqError(f"'{place}' {there}; the folder of a training or of a project is wanted")
    network = storage.load(place / NETWORK) if (place / NETWORK).exists() else None
    schedule = schedules.load(place / SCHEDULE) if (place / SCHEDULE).exists() else None
    projects = [path.parent for path in sorted(place.glob(f"*/{MANIFEST}"))]
    if (place / MANIFEST).exists():
        projects.insert(0, place)
    found = Found(
        folder=place,
        name=place.resolve().name if network is None else network.name,
        network=network,
        schedule=schedule,
        training=_training(place),
        verification=_verification(place),
        implementation=_record(place / IMPLEMENTATION),
        search=_search(place),
        projects=projects,
    )
    parts = (network, found.training, found.verification, found.implementation, found.search)
    if all(part is None for part in parts):
        raise VecqError(
            f"'{place}' holds nothing that can be reported; a folder that vecq train, vecq verify"
            " --out, vecq implement or vecq search wrote is wanted"
        )
    return found


def _search(place: Path) -> Result | None:
    if not (place / SEARCH).exists():
        return None
    from vecq_hw.search.run import load  # needs torch and Optuna

    return load(place)


def _record(path: Path) -> Record | None:
    return Record.read(path) if path.exists() else None


def _training(place: Path) -> Training | None:
    metrics = place / METRICS
    log = place / LOG
    if not log.exists():
        return None
    checkpoint = place / CHECKPOINT
    return Training(
        metrics=_record(metrics),
        history=_history(log),
        checkpoint=checkpoint if checkpoint.exists() else None,
    )


def _history(path: Path) -> list[Epoch]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return [
                Epoch(
                    number=int(row["epoch"]),
                    loss=float(row["loss"]),
                    train_accuracy=_share(row.get("train_accuracy")),
                    validation_accuracy=_share(row.get("validation_accuracy")),
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise VecqError(f"'{path}' is damaged ({error}); train again") from None


def _share(text: str | None) -> float | None:
    return float(text) if text else None


def _verification(place: Path) -> Verification | None:
    record = _record(place / VERIFICATION)
    if record is None:
        return None
    return Verification(
        record=record,
        passed=record.truth("passed"),
        targets=[_target(one) for one in record.items("targets")],
        warnings=record.texts("warnings"),
    )


def _target(record: Record) -> TargetResult:
    return TargetResult(
        name=record.text("name") or "",
        status=record.text("status") or "",
        vectors=int(record.needed("vectors")),
        outputs=int(record.needed("outputs")),
        mismatches=int(record.needed("mismatches")),
        seconds=record.needed("seconds"),
        message=record.text("message") or "",
        first_mismatches=[
            Mismatch(
                output=one.text("output") or "",
                vector=int(one.needed("vector")),
                index=int(one.needed("index")),
                expected=int(one.needed("expected")),
                actual=int(one.needed("actual")),
            )
            for one in record.items("first_mismatches")
        ],
    )
