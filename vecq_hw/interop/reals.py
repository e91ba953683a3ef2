"""Reals that a source takes, as codes by the source's own rule."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.interop.chain import Quantizer
from vecq_hw.interop.report import EndReport, Report
from vecq_hw.layers import Input

Rule = Callable[[Input, npt.ArrayLike], IntArray]
REPORT = "report.json"
MOST_BYTES = 1 << 26
"""The most bytes of a report that is read."""


def source_rule(report: Report) -> Rule:
    """How reals become codes of the inputs of an imported network.

    Raises
    ------
    VecqError
        By the rule that is returned: the data hold NaN or infinite values.
    """
    ends = {end.name: end for end in report.inputs}

    def codes(source: Input, x: npt.ArrayLike) -> IntArray:
        reals = np.asarray(x)
        if not np.all(np.isfinite(reals)):
            raise VecqError(f"input '{source.name}': the data hold NaN or infinite values")
        found = input_quantizer(ends[source.name], source).codes(reals.astype(np.float32))
        return found.astype(source.format.dtype)

    return codes


def input_quantizer(end: EndReport, source: Input) -> Quantizer:
    """The source's first quantizer."""
    lo, hi = source.format.lo + end.zero_point, source.format.hi + end.zero_point
    signs = end.rounding == "SIGN"
    return Quantizer(
        scale=end.step, zero=end.zero_point, lo=lo, hi=hi,
        rounding="ROUND" if signs else end.rounding, clips_first=end.clips_first, signs=signs,
    )  # fmt: skip


def rule_beside(network: Path, digest: str) -> Rule | None:
    """The rule of the report beside an imported network's file; None where there is none of it."""
    path = network.with_name(REPORT)
    try:
        if not path.is_file() or path.stat().st_size > MOST_BYTES:
            return None
        report = Report.from_json(path.read_bytes())
    except (OSError, VecqError):
        return None
    # A file of ours has no rule of its own.
    return source_rule(report) if report.digest == digest and report.semantics != "vecq" else None
