"""The front of a search: which points it has, their networks by the whole recipe, their files."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecq_hw import schedule as schedules
from vecq_hw import storage, trees
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.interrupts import temporary_folder
from vecq_hw.network import Network
from vecq_hw.notebook import html_table
from vecq_hw.schedule import Schedule
from vecq_hw.search.request import Request
from vecq_hw.search.space import Choice, Point, point_text
from vecq_hw.search.study import Record
from vecq_hw.search.trial import Measured, Task, Trained, load_data
from vecq_hw.simulate import network_inputs

NETWORK, SCHEDULE, BITS, METRICS = "network.npz", "schedule.json", "bits.json", "metrics.json"
_KINDS = {NETWORK: "network", SCHEDULE: "schedule", BITS: "bits", METRICS: "report"}
VERIFIED_SAMPLES = 16
"""Test samples that the generated target of each network runs, beside the corner vectors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """A network of the front, and its files.

    Attributes
    ----------
    number : int
        Of the trial.
    metrics : Measured
        On the test split, after training by the whole recipe.
    validation_accuracy : float
        Of the trial.
    verified : str
        What the generated target said: 'passed', or why it did not.
    network_file, schedule_file, bits_file : Path
    """

    number: int
    point: Point
    network: Network
    schedule: Schedule
    metrics: Measured
    validation_accuracy: float
    verified: str
    network_file: Path
    schedule_file: Path
    bits_file: Path

    def commands(self, request: Request) -> tuple[str, str]:
        """What emits and what verifies this network, as one types it."""
        files = f"{shlex.quote(str(self.network_file))} --schedule"
        files += f" {shlex.quote(str(self.schedule_file))}"
        data = f"--data {shlex.quote(request.recipe.data)}"
        if request.data_dir is not None:
            data += f" --data-dir {shlex.quote(request.data_dir)}"
        out = shlex.quote(str(self.network_file.parent / "rtl"))
        return (
            f"vecq emit rtl {files} --out {out}",
            f"vecq verify {files} {data} --samples {VERIFIED_SAMPLES} --targets rtl",
        )

    def _repr_html_(self) -> str:
        titles, rows = table([self])
        return html_table(f"trial {self.number}", titles, rows)

    def tree(self, request: Request) -> dict[str, Any]:
        """For a file in JSON."""
        emit, verify = self.commands(request)
        return {
            "trial": self.number,
            "network": str(self.network_file),
            "schedule": str(self.schedule_file),
            "bits_file": str(self.bits_file),
            **point_tree(self.point),
            **measured_tree(self.metrics),
            "validation_accuracy": self.validation_accuracy,
            "verified": self.verified,
            "emit": emit,
            "verify": verify,
        }


def point_tree(point: Point) -> dict[str, Any]:
    """Bits, method and scale by layer, for a file in JSON."""
    return {
        "weight_bits": {name: choice.weight_bits for name, choice in point.items()},
        "activation_bits": {name: choice.activation_bits for name, choice in point.items()},
        "methods": {name: choice.method for name, choice in point.items()},
        "scales": {
            name: "channel" if choice.per_channel else "tensor" for name, choice in point.items()
        },
    }


def measured_tree(measured: Measured) -> dict[str, Any]:
    """The numbers of a trial, for a file in JSON."""
    return {
        "integer_accuracy": measured.integer_accuracy,
        "luts": round(measured.luts),
        "ffs": round(measured.ffs),
        "carries": round(measured.carries),
        "brams": round(measured.brams),
        "dsps": round(measured.dsps),
        "memory_bits": measured.memory_bits,
        "cycles": measured.cycles,
        "latency_cycles": measured.latency_cycles,
        "frames_per_second": measured.frames_per_second,
        "estimated_clock_mhz": measured.estimated_clock_mhz,
        "size_bytes": measured.size_bytes,
        "epochs": measured.epochs,
        "seconds": round(measured.seconds, 2),
    }


def limits(measured: Measured, accuracy: float, request: Request) -> dict[str, float]:
    """By how much each limit is missed; not positive where it is kept."""
    found = dict(measured.excess)
    if request.min_accuracy is not None:
        found["min_accuracy"] = request.min_accuracy - accuracy
    return found


def front_of(
    records: Iterable[Record[Choice, Measured]], request: Request
) -> list[Record[Choice, Measured]]:
    """The trials that keep the limits and that no other one is better than; most accurate first.

    Of those with equal numbers the first.
    """
    found: list[tuple[tuple[float, ...], Record[Choice, Measured]]] = []
    for record in records:
        measured = record.measured
        if measured is None or measured.integer_accuracy is None:
            continue
        accuracy = measured.integer_accuracy
        if max(limits(measured, accuracy, request).values(), default=0.0) <= 0:
            found.append(((-accuracy, *measured.costs(request.objectives)), record))
    kept = []
    for index, (values, record) in enumerate(found):
        beaten = any(
            all(a <= b for a, b in zip(other, values, strict=True))
            and (other != values or place < index)
            for place, (other, _) in enumerate(found)
            if place != index
        )
        if not beaten:
            kept.append((values, record))
    return [record for _, record in sorted(kept, key=lambda one: one[0])]


def folder_name(number: int) -> str:
    """The name of a trial's folder within that of the search."""
    return f"front/trial{number:04d}"


def write_point(
    folder: Folder, record: Record[Choice, Measured], trained: Trained, request: Request, task: Task
) -> FrontPoint:
    """Verify a network of the front and write its files; the metrics last, which makes it whole."""
    network = storage.from_bytes(trained.network, "network of the front")
    with temporary_folder() as temporary:
        schedule_file = temporary / SCHEDULE
        schedule_file.write_text(trained.schedule)
        schedule = schedules.load(schedule_file)
    said = verified(network, schedule, request, task)
    name = folder_name(record.number)
    bits = {layer: choice.bits_entry() for layer, choice in record.point.items()}
    assert record.measured is not None
    metrics = {
        "trial": record.number,
        "measured": trees.encode(trained.measured, Measured, [], "metrics"),
        "validation_accuracy": record.measured.integer_accuracy,
        "verified": said,
    }
    for file, content in (
        (NETWORK, trained.network),
        (SCHEDULE, f"{trained.schedule}\n".encode()),
        (BITS, f"{json.dumps(bits, indent=2)}\n".encode()),
        (METRICS, f"{json.dumps(metrics, indent=2)}\n".encode()),
    ):
        folder.write(f"{name}/{file}", content, _KINDS[file])
    found = read_point(folder.path, record.number, record.point)
    assert found is not None
    return found


def read_point(out: Path, number: int, point: Point) -> FrontPoint | None:
    """A network of the front from its files; None where it is not whole yet.

    Raises
    ------
    VecqError
        One of its files is missing, cannot be read, or is damaged.
    """
    place = out / folder_name(number)
    if not (place / METRICS).exists():
        return None
    try:
        tree = json.loads((place / METRICS).read_text())
        measured = trees.decode(tree["measured"], Measured, iter(()), str(place / METRICS))
        return FrontPoint(
            number=number,
            point=point,
            network=storage.load(place / NETWORK),
            schedule=schedules.load(place / SCHEDULE),
            metrics=measured,
            validation_accuracy=float(tree["validation_accuracy"]),
            verified=str(tree["verified"]),
            network_file=place / NETWORK,
            schedule_file=place / SCHEDULE,
            bits_file=place / BITS,
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VecqError(f"'{place}' cannot be read ({error}); --force replaces it") from None


def remove_others(folder: Folder, numbers: Iterable[int]) -> None:
    """Remove the files of networks that are not of the front any more."""
    kept = {folder_name(number) for number in numbers}
    for place in sorted((folder.path / "front").glob("trial*")):
        name = f"front/{place.name}"
        if name not in kept:
            folder.remove([f"{name}/{file}" for file in _KINDS])
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()


def verified(network: Network, schedule: Schedule, request: Request, task: Task) -> str:
    """'passed' where the generated target gives the simulator's integers, or what it says."""
    from vecq_hw.verify.compare import verify
    from vecq_hw.verify.targets import choose
    from vecq_hw.verify.vectors import with_corners

    if request.verify == "none":
        return "not asked for"
    dataset = load_data(task.data, task.data_dir, task.data_digest)
    given = network_inputs(network, dataset.x_test[:VERIFIED_SAMPLES])
    name = network.inputs[0].name
    codes = with_corners(network, given if isinstance(given, dict) else {name: given})
    with temporary_folder("vecq-verify-") as place:
        try:
            report = verify(
                network,
                codes,
                targets=choose([request.verify]),
                folder=place,
                schedule=schedule,
            )
        except VecqError as error:  # a tool that is not installed
            return f"not run: {error}"
    row = report.rows[0]
    if report.passed and report.compared:
        return "passed"
    return f"{row.status.value}: {row.mismatches} mismatches {row.message}".strip()


def table(points: Sequence[FrontPoint]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Titles and rows, one for each network."""
    titles = ("trial", "weights", "accuracy", "LUT", "BRAM", "DSP", "kB", "frames/s", "verified")
    rows: list[tuple[str, ...]] = [
        (
            str(one.number),
            point_text(one.point),
            f"{100 * (one.metrics.integer_accuracy or 0.0):.2f} %",
            f"{one.metrics.luts:,.0f}",
            f"{one.metrics.brams:,.0f}",
            f"{one.metrics.dsps:,.0f}",
            f"{one.metrics.size_bytes / 1000:.1f}",
            f"{one.metrics.frames_per_second:,.0f}",
            one.verified.partition(":")[0],
        )
        for one in points
    ]
    return titles, rows


def is_uniform(point: Point, layers: Iterable[str]) -> int | None:
    """The bits of the weights where these layers have the same choice."""
    choices: set[Choice] = {point[name] for name in layers}
    return next(iter(choices)).weight_bits if len(choices) == 1 else None
