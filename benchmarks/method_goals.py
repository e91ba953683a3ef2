"""What was to be shown of each method, and what was reached: docs/results/methods.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.method_rows import Row, difference, mean_passes, rows, vecq_beside
from benchmarks.method_tables import TITLES
from benchmarks.origin import ROOT
from benchmarks.results import NOT_RUN, table
from benchmarks.rtl_area import LANES
from vecq_hw.formats import MiniFloat

RESULTS = ROOT / "docs" / "results"


@dataclass(frozen=True, slots=True)
class Goal:
    """One line: what was wanted, the figure, whether that is enough, and how to repeat it."""

    wanted: str
    reached: str
    verdict: str
    command: str


def methods() -> str:
    """The page, from the results there are."""
    digits, mnist, cifar = (Runs(f) for f in ("digits", "methods-mnist", "methods-cifar10"))
    parts = [
        "# What each method reached\n",
        "Each [method](../explanation/methods_compared.md) of quantizing weights had goals. The"
        " tables say which figure was reached, and which command or test gives it. `python"
        " python/paper_tables.py` writes this page from the stored runs.\n",
        "- **Accuracy** is the per cent of test images that the"
        " [integer network](../reference/glossary.md#integer-network) classifies rightly. All runs,"
        " with stored bits and look-up tables, are in [table 8](table8.md).\n"
        "- **±** stands before the standard error over the seeds, whose number is in brackets. With"
        " one seed it is the error of so many images alone.\n"
        "- **Reached** looks at the figure itself. Where the figure is closer to the mark than its"
        " error, the line says so.\n"
        "- **Tests** run with `pytest`, those of whole networks with `pytest -m nightly`.\n"
        "- **LeNet5** is that of the preset, with layers of 32, 64 and 512 outputs. The paper on"
        " ALQ has layers of 20, 50 and 500.\n",
    ]
    for title, goals in (
        ("SQ", sq(digits, mnist, cifar)),
        ("ESB", esb(mnist)),
        ("SRQ and DropBits", srq(digits, mnist)),
        ("ELQ", elq(mnist)),
        ("ALQ", alq(mnist)),
        ("Product quantization", pq(mnist)),
    ):
        lines = [(goal.wanted, goal.reached, goal.verdict, goal.command) for goal in goals]
        parts.append(f"## {title}\n")
        parts.append(table(("goal", "figure reached", "reached", "command or test"), lines))
    parts.append("## All of them\n")
    everywhere = (
        "a network of each, trained on digits, gives the simulator's integers on every target"
    )
    reached = "0 mismatches over all test images"
    parts.append(
        table(
            ("goal", "figure reached", "reached", "test"), [(everywhere, reached, "yes", VERIFIED)]
        )
    )
    parts.append("## Which methods beat VecQ\n")
    parts.append(
        "The best difference to VecQ of the fewest bits that are not below those stored, over the"
        " settings of a method that were run; a method beats VecQ here where the difference is"
        " above twice its error. The best of several settings flatters a method.\n"
    )
    parts.append(against_vecq(digits, mnist))
    return "\n".join(parts)


VERIFIED = "`tests/verify/test_methods.py::test_every_target_computes_what_each_method_trained`"
_LONGER_SAYS = "the other of table 5, 10 epochs of SGD"
LONGER = {"float": "w32a32", "vecq-w1a8": "w1a8", "vecq-w2a8": "w2a8", "vecq-w4a8": "w4a8"}
"""Rows of the same network in table 5, to stand beside where that of five epochs was not run."""


class Runs:
    """The rows of a folder by name."""

    def __init__(self, folder: str) -> None:
        self.folder, self.rows = folder, rows(folder)
        self._named = {row.name: row for row in self.rows}

    def __getitem__(self, name: str) -> Row | None:
        """The row, or None where none of its runs was made."""
        row = self._named[name]
        return row if row.runs else None

    def command(self, name: str) -> str:
        """How to repeat a row."""
        assert name in self._named
        return f"`python -m benchmarks.run_tables {self.folder}/{name}`"

    def compared(self, name: str, other: str) -> tuple[float, float, str] | None:
        """The difference of two rows, its error, and both in words."""
        one, two, longer = self[name], self[other], ""
        if two is None and self.folder == "methods-mnist" and other in LONGER:
            two = next((row for row in rows("lenet5-mnist") if row.name == LONGER[other]), None)
            longer = f"; {_LONGER_SAYS}"
        if one is None or two is None or not two.runs:
            return None
        gain, error = difference(one, two)
        seeds = min(len(one.runs), len(two.runs))
        words = f"{signed(gain)} ± {error:.2f} ({seeds}{longer})"
        return gain, error, words


def signed(value: float) -> str:
    """With its sign."""
    return f"{value:+.2f}".replace("-", "−")


def verdict(gain: float, least: float, error: float) -> str:
    """Whether a difference is as large as it should be, and how sure that is."""
    near = " (within the error)" if abs(gain - least) < error else ""
    return ("yes" if gain >= least else "no") + near


def other_schedule(words: str) -> str:
    """What a verdict on rows of two schedules has to say."""
    return ", of unlike schedules" if _LONGER_SAYS in words else ""


def within(runs: Runs, name: str, other: str, most: float, wanted: str, seeds: int = 1) -> Goal:
    """Not more than ``most`` below another row."""
    compared = runs.compared(name, other)
    if compared is None:
        return Goal(wanted, NOT_RUN, "", runs.command(name))
    gain, error, words = compared
    enough = verdict(gain, -most, error) + other_schedule(words)
    row = runs[name]
    if row is not None and len(row.runs) < seeds:
        enough += f", with {len(row.runs)} of {seeds} seeds"
    return Goal(wanted, words, enough, runs.command(name))


def stored(runs: Runs, name: str, most: float, wanted: str) -> Goal:
    """Not more than ``most`` stored bits for each weight."""
    row, command = runs[name], runs.command(name)
    if row is None:
        return Goal(wanted, NOT_RUN, "", command)
    met = "yes" if row.stored_bits <= most else "no"
    return Goal(wanted, f"{row.stored_bits:.3f} bits", met, command)


def sq(digits: Runs, mnist: Runs, cifar: Runs) -> Iterator[Goal]:
    """Section 1: differences are reported, whatever they are."""
    for folder, runs in (("digits", digits), ("LeNet5 on MNIST", mnist), ("CIFAR-10", cifar)):
        for base, bits in (("bwn", 1), ("twn", 2), ("vecq", 1), ("vecq", 2)):
            name, other = f"sq-{base}-w{bits}a8", f"{base}-w{bits}a8"
            wanted = f"difference of SQ over {TITLES[base]}, {bits} bit{'s' * (bits > 1)}, {folder}"
            compared = runs.compared(name, other)
            if compared is None:
                yield Goal(wanted, NOT_RUN, "", runs.command(name))
            else:
                fewer = min(len(row.runs) for row in (runs[name], runs[other]) if row)
                said = "reported" if fewer >= 3 else f"reported, with {fewer} of 3 seeds"
                yield Goal(wanted, compared[2], said, runs.command(name))
    yield Goal(
        "SQ at 100 % is its base bit for bit", "equal", "yes",
        "`tests/train/test_stochastic.py::test_sq_at_all_of_the_weights_is_its_base_bit_for_bit`",
    )  # fmt: skip


def esb(mnist: Runs) -> Iterator[Goal]:
    """Section 2."""
    yield Goal(
        "level sets, the table of scales (21 entries, three corrected) and QONNX's FloatQuant",
        "equal", "yes", "`tests/quantize/test_esb.py`",
    )  # fmt: skip
    for name, kind in (("esb-w4a8", "(4, 1)"), ("esb-w5a8", "(5, 2)")):
        wanted = f"LeNet5 on MNIST, ESB{kind} at most 0.15 below 4-bit VecQ, three seeds"
        yield within(mnist, name, "vecq-w4a8", 0.15, wanted, 3)
    both, command = mnist["esb-w4-esb-a4"], mnist.command("esb-w4-esb-a4")
    wanted = "a network with ESB on both sides, (4, 1) and 4 bits"
    if both is None:
        yield Goal(wanted, NOT_RUN, "", command)
    else:
        figure = f"{both.mean:.2f} ± {both.error:.2f} ({len(both.runs)})"
        yield Goal(wanted, figure, "yes", command)
    for row in _record("rtl_area_esb.json"):
        if row["part"] == "unit, planes" and row["weights"] in _ESB_GRIDS:
            logic, silicon = (2 * 200 / row[of] for of in _LUTS)
            yield Goal(
                "more GOPS per 1,000 LUTs than the published 10.95: complete unit,"
                f" {_ESB_GRIDS[row['weights']]}, activations {row['activations']}, yosys, at 200"
                " MHz, which is assumed",
                f"{logic:.1f}, {silicon:.1f} by LUT positions", "yes" if silicon > 10.95 else "no",
                "`python -m benchmarks.rtl_area_esb`",
            )  # fmt: skip
    yield Goal(
        "depthwise layers among the random networks that verify it", "drawn, as its grids are",
        "yes", "`tests/random_networks`",
    )  # fmt: skip


_LUTS = ("luts_per_mac", "physical_luts_per_mac")
_ESB_GRIDS = {repr(MiniFloat(4, 1)): "(4, 1)", repr(MiniFloat(5, 2)): "(5, 2)"}


def srq(digits: Runs, mnist: Runs) -> Iterator[Goal]:
    """Section 3."""
    yield Goal(
        "the gradients `all` and `max`, both implemented and reported",
        "see [SRQ](../explanation/methods/srq.md)", "yes", "`tests/quantize/test_srq.py`",
    )  # fmt: skip
    for bits in (2, 3, 4):
        for other in ("lsq", "vecq"):
            wanted = f"LeNet5 on MNIST, SRQ of {bits} bits at most 0.3 below {TITLES[other]}"
            yield within(mnist, f"srq-w{bits}a8", f"{other}-w{bits}a8", 0.3, wanted)
    for folder, runs in (("LeNet5 on MNIST", mnist), ("digits", digits)):
        for strength in ("0.005", "0.02", "0.05"):
            yield _curve(runs, strength, folder)
    yield Goal(
        "the widths of the exported network are the learned ones", "equal", "yes",
        "`tests/quantize/test_srq.py::test_widths_are_decided_once_and_the_step_fits_what_is_left`,"
        " `tests/verify/test_methods.py`",
    )  # fmt: skip


def _curve(runs: Runs, strength: str, folder: str) -> Goal:
    """A point of DropBits against the line between uniform widths of VecQ."""
    name = f"dropbits-{strength}-w4a8"
    wanted = f"{folder}, DropBits of strength {strength} not below the line of VecQ's widths"
    row = runs[name]
    uniform = [runs[f"vecq-w{bits}a8"] for bits in (2, 3, 4)]
    if row is None or None in uniform:
        return Goal(wanted, NOT_RUN, "", runs.command(name))
    bits = row.stored_bits
    low = min(int(bits), 3)
    below, above = uniform[low - 2], uniform[low - 1]
    assert below is not None
    assert above is not None
    share = bits - low
    gain = row.mean - (1 - share) * below.mean - share * above.mean
    error = (row.error**2 + ((1 - share) * below.error) ** 2 + (share * above.error) ** 2) ** 0.5
    figure = f"{signed(gain)} ± {error:.2f} ({len(row.runs)}) at {bits:.2f} bits"
    return Goal(wanted, figure, verdict(gain, -error, 0), runs.command(name))


def elq(mnist: Runs) -> Iterator[Goal]:
    """Section 4."""
    for form in ("", "reassigned-"):
        for a1 in ("1", "0.5", "0"):
            name = f"elq-{form}a1_{a1}-w2a8"
            kind = "re-assigned" if form else "frozen"
            wanted = f"LeNet5 on MNIST, ternary, {kind}, a1 = {a1}: at most 0.5 below TWN"
            yield within(mnist, name, "twn-w2a8", 0.5, wanted)
    compared = mnist.compared("elq-a1_1-w1a8", "bwn-w1a8")
    yield Goal(
        "binary, beside BWN, reported whatever it is",
        NOT_RUN if compared is None else compared[2],
        "" if compared is None else "reported",
        mnist.command("elq-a1_1-w1a8"),
    )


def alq(mnist: Runs) -> Iterator[Goal]:
    """Section 5."""
    name = "alq-pruned-w2a8"
    row = mnist[name]
    wanted = "LeNet5 on MNIST: at most 0.5 bits a weight, coordinates counted"
    yield stored(mnist, name, 0.5, wanted)
    yield within(mnist, name, "float", 0.5, "that network at most 0.5 below float")
    passes = None if row is None else mean_passes(row)
    yield Goal(
        "the bases of a group, and the passes of 16 outputs side by side, both printed",
        NOT_RUN if passes is None else f"{passes[0]:.3f} and {passes[1]:.3f}",
        "" if passes is None else "yes",
        "`vecq show`",
    )
    # An element is an output of the unit: it has one multiplier, for coordinates.
    cells = {row["what"]: row for row in _record("rtl_area_cells.json") if row["family"] == "xcup"}
    units = {row["unit"]: row for row in _record("rtl_area_methods.json", "units")}
    for what, serial, plain, command in (
        (
            "the cell, without a Rescale", cells["base-serial, 1 base per 128 inputs"],
            cells["unit, 2-bit mid-rise"], "rtl_area_cells --cell weights",
        ),
        (
            "the complete unit", units["base-serial, 1 base per 128 inputs"],
            units["mid-rise, 2 bits"], "rtl_area_methods",
        ),
    ):  # fmt: skip
        taken, most = serial["luts"], plain["luts"] + 8 * LANES
        yield Goal(
            f"a base-serial unit takes fewer LUTs than one of 2 bits and 8 for each of its {LANES}"
            f" outputs: {what}",
            f"{taken:,} of {most:,}", "yes" if taken < most else "no",
            f"`python -m benchmarks.{command}`",
        )  # fmt: skip
    yield Goal(
        "0 mismatches between the simulator and the targets", "0", "yes",
        VERIFIED,
    )  # fmt: skip


def pq(mnist: Runs) -> Iterator[Goal]:
    """Section 6."""
    name = "pq-block8-w1a8"
    row, command = mnist[name], mnist.command(name)
    wanted = "LeNet5 on MNIST: at most 1 bit a weight, books counted"
    yield stored(mnist, name, 1, wanted)
    yield within(mnist, name, "float", 0.3, "that network at most 0.3 below float")
    compared = mnist.compared(name, "vecq-w1a8")
    wanted = "less weight memory than 1-bit VecQ at no less accuracy, or say that it is not so"
    if row is None or compared is None:
        yield Goal(wanted, NOT_RUN, "", command)
    else:
        met = "yes" if row.stored_bits < 1 and compared[0] >= -compared[1] else "no"
        met += other_schedule(compared[2])
        figure = f"{row.stored_bits:.3f} bits beside 1, accuracy {compared[2]}"
        yield Goal(wanted, figure, met, command)
    yield Goal(
        "the form of values and that of the decoder give the same outputs, on all targets", "equal",
        "yes", "`tests/verify/test_methods.py`, `tests/emit/test_hls_compact.py`",
    )  # fmt: skip


def _record(name: str, part: str = "rows") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((RESULTS / name).read_text())[part]
    return found


def against_vecq(*folders: Runs) -> str:
    """A row for each method: its best row of each folder, and whether that is a gain."""
    lines = []
    for method, title in TITLES.items():
        if method == "vecq":
            continue
        cells = [cell for runs in folders for cell in _best(method, runs)]
        lines.append((title, *cells))
    titles = ("method", "digits", "bits", "beats VecQ", "LeNet5 on MNIST", "bits", "beats VecQ")
    return table(titles, lines)


def _best(method: str, runs: Runs) -> Iterable[str]:
    """The best difference to VecQ, at which bits, and whether it is a gain."""
    found = []
    for row in runs.rows:
        if row.method == method and (other := vecq_beside(row, runs.rows)) is not None:
            gain, error = difference(row, other)
            bits = f"{row.stored_bits:.3g} ({other.bits})"
            found.append((gain, error, f"{signed(gain)} ± {error:.2f} ({len(row.runs)})", bits))
    if not found:
        run = any(row.method == method and row.runs for row in runs.rows)
        return "VecQ was not run" if run else NOT_RUN, "", ""
    gain, error, words, bits = max(found)
    return words, bits, "yes" if gain > 2 * error else "no"
