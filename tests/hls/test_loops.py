"""Loops in the form that Vitis HLS documents for one pipeline of II = 1; no tool is at hand."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest

from vecq_hw import assets

_LOOP = re.compile(r"(?P<label>\w+):\s*(?://[^\n]*)?\s*for \((?P<head>[^{]*)\) \{", re.DOTALL)
DRAINED = {"rows"}
"""Whose body is emptied between its iterations on purpose: see ``sliding_window``."""


def without_comments(text: str) -> str:
    return re.sub(r"//[^\n]*", "", text)


def between_loops(text: str) -> dict[str, str]:
    """For each loop that holds another: what stands between the two heads, by its label."""
    found = list(_LOOP.finditer(text))
    result = {}
    for outer, inner in pairwise(found):
        between = text[outer.end() : inner.start()]
        if "#pragma HLS PIPELINE" not in between and between.count("}") <= between.count("{"):
            result[outer["label"]] = between.strip()
    return result


@pytest.mark.parametrize("name", ["matrix_vector", "window_reduction", "upsample2d", "rescale"])
def test_loops_that_are_pipelined_together_are_a_perfect_nest(name: str) -> None:
    text = without_comments((assets.hls_include() / "vecq" / f"{name}.hpp").read_text())
    gaps = between_loops(text)
    assert "positions" in gaps or name == "upsample2d"
    nests = {label: gap for label, gap in gaps.items() if "UNROLL" not in gap}
    assert set(nests.values()) == {""}


def test_every_loop_is_pipelined_or_unrolled_or_holds_loops_alone() -> None:
    for header in (assets.hls_include() / "vecq").glob("*.hpp"):
        if header.stem == "testbench":
            continue
        text = without_comments(header.read_text())
        gaps = between_loops(text)
        for loop in _LOOP.finditer(text):
            begins = text[loop.end() :].lstrip()
            pipelined = begins.startswith(("#pragma HLS PIPELINE II = 1", "#pragma HLS UNROLL"))
            assert pipelined or loop["label"] in {*gaps, *DRAINED}, f"{header.stem} {loop[0]}"


def test_what_a_pool_keeps_is_read_late_enough() -> None:
    text = (assets.hls_include() / "vecq" / "window_reduction.hpp").read_text()
    registers, memory = re.findall(r"\nvoid reduce_in_.*?\n}\n", text, re.DOTALL)
    assert "ARRAY_PARTITION variable = kept type = complete" in registers
    assert "direction = RAW distance = folds" in memory
    assert "constexpr int register_folds = 3;" in text
