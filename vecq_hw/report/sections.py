"""The page about one folder: sections in the order in which a reader asks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vecq_hw import storage
from vecq_hw.errors import MissingToolError
from vecq_hw.network import Network
from vecq_hw.report import plots
from vecq_hw.report.diagram import diagram
from vecq_hw.report.figure import Figure
from vecq_hw.report.gather import Found, Mismatch, gather
from vecq_hw.report.hardware import cycles, size
from vecq_hw.report.measure import Activity, CodeUse, activity, code_use, pace
from vecq_hw.report.page import Page, Part, Section, Table, Tell, render, summarized
from vecq_hw.report.verdict import facts, verdict
from vecq_hw.report.waves import has_bench, picture, recorded, wave, wave_command


@dataclass(slots=True)
class _Sections:
    """Sections as they come; those without content are left out."""

    made: list[Section] = field(default_factory=list)

    def add(self, key: str, title: str, *parts: Part | None) -> None:
        kept = [part for part in parts if part is not None]
        if kept:
            self.made.append(Section(key=key, title=title, parts=kept))


def report(folder: str | Path, progress: Tell = lambda text: None) -> Page:
    """The page about what ``folder`` holds.

    Parameters
    ----------
    progress : callable
        Told what begins, for instance "simulating samples".

    Raises
    ------
    VecqError
        The folder holds nothing that vecq wrote, or a file in it is damaged.
    MissingToolError
        matplotlib or graphlay is not installed.
    """
    found = gather(folder)
    network = found.network
    paced = acted = None
    uses: list[CodeUse] = []
    if network is not None:
        progress("simulating the schedule")
        paced = pace(found, network)
        progress("simulating samples")
        acted = activity(found, network)
        uses = code_use(network)
    progress("drawing")
    sections = _Sections()
    sections.add("verification", "Verification", *_verification(found))
    if network is not None:
        sections.add("network", "Network", *_network(network))
    sections.add("training", "Training", _training(found))
    sections.add("weights", "Weights", *_weights(found, uses, progress))
    if acted is not None:
        sections.add("activations", "Sums and activations", *_activity(acted))
    if paced is not None:
        sections.add("cycles", "Cycles", *cycles(paced))
    sections.add("size", "Size and clock", *size(found, paced))
    sections.add("search", "Search", _search(found))
    sections.add("again", "How to make it again", *_again(found))
    said, figures = verdict(found), facts(found, paced)
    html = render(
        title=f"{found.name}: report", verdict=said, facts=figures, sections=sections.made
    )
    return Page(html=html, summary={"name": found.name, **summarized(said, figures)})


def _network(network: Network) -> list[Part]:
    rows = []
    for name, tensor in network.tensors.items():
        layer = next((layer for layer in network.layers if layer.name == name), None)
        mac = next((mac for mac in network.mac_layers if mac.name == name), None)
        rows.append(
            (
                name,
                "Input" if layer is None else type(layer).__name__,
                "×".join(map(str, tensor.shape)),
                repr(tensor.format),
                "" if mac is None else f"{mac.weight_count:,}",
                "" if mac is None else f"{mac.weights.stored_bits / mac.weight_count:.4g}",
                f"{tensor.step:.4g}",
            )
        )
    table = Table(
        caption="Every layer: what it makes, in which format, and the real value of one unit.",
        titles=("Layer", "Kind", "Shape", "Format", "Weights", "Bits per weight", "Step"),
        rows=rows,
        left=4,
    )
    text = f"Digest {storage.digest(network)}."
    return [Part(figures=[diagram(network)], tables=[table], text=[text])]


def _training(found: Found) -> Part | None:
    training = found.training
    if training is None:
        return None
    tables = []
    if training.metrics is not None:
        rows = list(training.metrics.plain())
        tables = [
            Table(caption="All that was recorded.", titles=("What", "Value"), rows=rows, left=2)
        ]
    figures = [plots.history(training.history)] if training.history else []
    return Part(figures=figures, tables=tables)


def _weights(found: Found, uses: Sequence[CodeUse], progress: Tell) -> list[Part]:
    trained = {}
    checkpoint = None if found.training is None else found.training.checkpoint
    text: list[str] = []
    if checkpoint is not None and uses:
        try:
            from vecq_hw.train.steering import trained_weights
        except MissingToolError:
            text = ["The float weights are not shown: PyTorch, which reads them, is missing here."]
        else:
            progress("reading the float weights")
            found_weights = trained_weights(checkpoint, [use.layer for use in uses])
            trained = {one.layer: one for one in found_weights}
    parts = [Part(text=text)] if text else []
    if uses and not trained:
        figures = [plots.codes(place, use) for place, use in enumerate(uses)]
        return [*parts, Part(figures=figures)]
    for place, use in enumerate(uses):
        progress(f"drawing {use.layer}")
        figures = []
        if (floats := trained.get(use.layer)) is not None:
            figures.append(plots.histogram(place, floats, use))
            curve = plots.steering(place, floats)
            figures += [] if curve is None else [curve]
        figures.append(plots.codes(place, use))
        parts.append(
            Part(
                title=use.layer,
                text=[f"{use.weights:,} weights of {use.bits} bits, one step is {use.step:.4g}."],
                figures=figures,
            )
        )
    return parts


def _activity(acted: Activity) -> list[Part]:
    parts = []
    if any(math.isfinite(row.sqnr_db) for row in acted.losses):
        table = Table(
            caption="Signal to quantization noise at each tensor.",
            titles=("Layer", "Module of the float model", "SQNR in dB"),
            rows=[(row.layer, row.module, f"{row.sqnr_db:.1f}") for row in acted.losses],
            left=2,
        )
        title = "Where integers lose against floats"
        parts.append(Part(title=title, figures=[plots.losses(acted)], tables=[table]))
    if acted.sums:
        table = Table(
            caption=f"Sums on {acted.samples} {acted.source}.",
            titles=("Layer", "Bits", "Proven", "Used", "Used share"),
            rows=[
                (
                    row.layer,
                    str(row.bits),
                    f"{row.proven[0]:,} .. {row.proven[1]:,}",
                    f"{row.used[0]:,} .. {row.used[1]:,}",
                    f"{100 * row.share:.1f} %",
                )
                for row in acted.sums
            ],
        )
        parts.append(Part(title="Accumulators", figures=[plots.sums(acted)], tables=[table]))
    if acted.clippings:
        table = Table(
            caption=f"Activations on {acted.samples} {acted.source}.",
            titles=("Layer", "Format", "Clipped above", "Clipped below", "Zero"),
            rows=[
                (
                    row.layer + ("" if row.exact else " (at the end of the range)"),
                    repr(row.format),
                    *(f"{100 * share:.2f} %" for share in (row.high, row.low, row.zero)),
                )
                for row in acted.clippings
            ],
            left=2,
        )
        text = "What an unsigned layer clips below is what a ReLU makes zero."
        parts.append(
            Part(title="Clipping", text=[text], figures=[plots.clipping(acted)], tables=[table])
        )
    return parts


def _verification(found: Found) -> list[Part]:
    verification = found.verification
    if verification is None:
        return []
    table = Table(
        caption="Every target against the simulator, integer by integer.",
        titles=("Target", "Result", "Vectors", "Integers", "Mismatches", "Seconds"),
        rows=[
            (
                one.name,
                one.status,
                f"{one.vectors:,}",
                f"{one.outputs:,}",
                f"{one.mismatches:,}",
                f"{one.seconds:.1f}",
            )
            for one in verification.targets
        ],
        left=2,
    )
    said = [f"{one.name}: {one.message}" for one in verification.targets if one.message]
    parts = [Part(text=[*verification.warnings, *said], tables=[table])]
    for place, one in enumerate(verification.targets):
        if one.first_mismatches:
            rows = [
                (m.output, str(m.vector), str(m.index), f"{m.expected:,}", f"{m.actual:,}")
                for m in one.first_mismatches
            ]
            first = Table(
                caption=f"The first of {one.mismatches:,} integers that differ.",
                titles=("Layer", "Vector", "Index", "Expected", "Actual"),
                rows=rows,
            )
            waves, text, commands = _waves(place, found.folder / one.name, one.first_mismatches[0])
            parts.append(
                Part(
                    title=f"First mismatches of {one.name}",
                    text=text,
                    figures=waves,
                    tables=[first],
                    commands=commands,
                )
            )
    return parts


def _waves(
    place: int, project: Path, mismatch: Mismatch
) -> tuple[list[Figure], list[str], list[str]]:
    """The waves around the first wrong word; else what is said of them, and what records them."""
    if not has_bench(project):
        return [], [], []
    found = wave(project, mismatch)
    if found is not None:
        return [picture(place, found)], [], []
    if recorded(project) is not None:
        return [], ["The recorded waves hold no wrong word."], []
    said = "No waves are recorded. The command below records them; then make the page again."
    return [], [said], [wave_command(project)]


def _search(found: Found) -> Part | None:
    if found.search is None:
        return None
    from vecq_hw.search.front import table

    result = found.search
    titles, rows = table(result.front)
    shown = Table(
        caption="The networks of the front, on the test split.",
        titles=[title.capitalize() if title.islower() else title for title in titles],
        rows=rows,
        left=2,
    )
    objective = result.request.objectives[0]
    best = {one.number for one in result.front}
    points = [
        (
            f"trial {one.number}" if one.number in best else "",
            one.measured.costs(result.request.objectives)[0],
            one.measured.integer_accuracy,
        )
        for one in result.trials
        if one.measured is not None and one.measured.integer_accuracy is not None
    ]
    figures = []
    if points:
        unit = {"luts": "look-up tables (cost model)"}.get(objective, objective)
        caption = f"{len(points)} trials, by their accuracy on the validation split."
        front = [place for place, (name, *_) in enumerate(points) if name]
        figures = [plots.pareto(points, unit, caption, front)]
    return Part(figures=figures, tables=[shown])


def _again(found: Found) -> list[Part]:
    commands = found.commands
    return [Part(commands=[*commands, f"vecq report {found.folder}"])] if commands else []
