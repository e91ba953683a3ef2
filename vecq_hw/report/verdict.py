"""What a reader wants to know first: a sentence, and the figures beside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vecq_hw.network import Network
from vecq_hw.report.gather import Found
from vecq_hw.report.measure import Pace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The sentence at the head of a page.

    Attributes
    ----------
    good : bool or None
        None where nothing was compared, so that there is nothing to be judged.
    mark : str
        One word, so that colour alone says nothing.
    """

    good: bool | None
    mark: str
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A figure with its name, and where it comes from."""

    name: str
    value: str
    note: str = ""


def verdict(found: Found) -> Verdict:
    """Who agrees with whom, the worst first."""
    verification, search = found.verification, found.search
    if verification is not None:
        compared = verification.compared
        names = ", ".join(one.name for one in compared)
        if not compared:
            return Verdict(
                good=None, mark="Not compared", sentence="No target could take this network."
            )
        if not verification.passed:
            wrong = [one for one in compared if one.status != "passed"]
            parts = [
                f"{one.name} computed {one.mismatches:,} of {one.outputs:,} integers otherwise than"
                " the simulator"
                if one.mismatches
                else f"{one.name} did not finish"
                for one in wrong
            ]
            return Verdict(good=False, mark="Failed", sentence=f"{'; '.join(parts)}.")
        count = sum(one.outputs for one in compared)
        return Verdict(
            good=True,
            mark="Equal",
            sentence=f"All {count:,} integers that {names} computed are those of the simulator.",
        )
    if search is not None:
        passed = sum(one.verified == "passed" for one in search.front)
        failed = sum(one.verified.startswith(("failed", "error")) for one in search.front)
        count = len(search.front)
        good = False if failed else True if count and passed == count else None
        return Verdict(
            good=good,
            mark={True: "Equal", False: "Failed", None: "Not all verified"}[good],
            sentence=f"{len(search.trials)} trials, {count} networks on the front, {passed} of them"
            " verified against the simulator.",
        )
    if found.implementation is not None:
        fits = found.implementation.truth("fits")
        device = found.implementation.text("device")
        return Verdict(
            good=fits,
            mark="It fits" if fits else "Too large",
            sentence=f"{found.name} {'fits' if fits else 'does not fit'} {device}.",
        )
    if found.training is not None and found.training.metrics is None:
        epochs = len(found.training.history)
        return Verdict(
            good=None,
            mark="Not ended",
            sentence=f"The training was stopped after {epochs} epochs; --resume goes on.",
        )
    return Verdict(
        good=None,
        mark="Not verified yet",
        sentence="No target was compared with the simulator; vecq verify does that.",
    )


def facts(found: Found, paced: Pace | None) -> list[Fact]:
    """Accuracies, size, pace and clock, as far as the folder tells them."""
    made = []
    metrics = None if found.training is None else found.training.metrics
    if metrics is not None:
        for name, key in (
            ("Accuracy, float", "float_accuracy"),
            ("Accuracy, quantization-aware", "qat_accuracy"),
            ("Accuracy, integers", "integer_accuracy"),
        ):
            value = metrics.number(key)
            if value is not None:
                made.append(Fact(name=name, value=f"{100 * value:.2f} %"))
        for name, key in (("floats", "float_scores"), ("integers", "integer_scores")):
            scores = metrics.inner(key)
            for score, words in (("mae", "mean absolute error"), ("max_f", "F-measure")):
                value = scores.number(score)
                if value is not None:
                    made.append(Fact(name=f"Maps, {name}: {words}", value=f"{value:.4f}"))
        differing = metrics.number("prediction_differences")
        if differing is not None:
            samples = metrics.number("test_samples")
            of = "" if samples is None else f" of {samples:,.0f}"
            made.append(
                Fact(
                    name="Predictions that integers change",
                    value=f"{differing:.0f}{of}",
                    note="against quantization-aware training",
                )
            )
    if found.network is not None:
        made += _stored(found.network)
    made += _hardware(found, paced)
    return made


def _stored(network: Network) -> list[Fact]:
    layers = network.products
    count = sum(layer.weight_count for layer in layers)
    bits = sum(layer.weights.stored_bits for layer in layers)
    if not bits:
        return []
    return [
        Fact(
            name="Weights against FP32",
            value=f"{32 * count / bits:.1f} times smaller",
            note=f"{math.ceil(bits / 8):,} bytes of {4 * count:,}",
        )
    ]


def _hardware(found: Found, paced: Pace | None) -> list[Fact]:
    record = found.implementation
    if record is not None:
        rows = [
            ("Clock", record.number("fmax_mhz"), "{:.1f} MHz", "median of the seeds"),
            ("Frames per second", record.number("frames_per_second"), "{:,.0f}", "at that clock"),
            ("Look-up tables", record.number("luts"), "{:,.0f}", f"on {record.text('device')}"),
        ]
        return [
            Fact(name=name, value=shape.format(value), note=note)
            for name, value, shape, note in rows
            if value is not None
        ]
    if paced is None or paced.estimate is None:
        return []
    estimate = paced.estimate
    note = f"estimated for {paced.device.name}"
    return [
        Fact(name="Clock", value=f"{estimate.clock_mhz:.0f} MHz", note=note),
        Fact(
            name="Frames per second",
            value=f"{estimate.frames_per_second:,.0f}",
            note="estimated, at that clock",
        ),
        Fact(name="Look-up tables", value=f"{estimate.total.luts:,.0f}", note=note),
    ]
