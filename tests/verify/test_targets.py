"""Every target on real digits at every width, and proof that a broken target is found."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from tests.shares import nightly
from vecq_hw import data
from vecq_hw.emit.project import Project
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Dense, Input, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import network_inputs
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.hls import TARGET as HLS
from vecq_hw.verify.rtl import TARGET as RTL
from vecq_hw.verify.targets import TARGETS
from vecq_hw.verify.vectors import corner_vectors, random_vectors

pytestmark = [pytest.mark.needs_cxx, pytest.mark.needs_verilator]


@pytest.mark.parametrize("weight_bits", [*map(nightly, (1, 2, 3, 4, 8))])
def test_every_target_equals_the_simulator_on_real_digits(tmp_path, weight_bits):
    import torch

    from vecq_hw.lower import lower
    from vecq_hw.train import build_model, fit, quantize_model

    digits = data.load("digits")
    torch.manual_seed(0)
    model = quantize_model(build_model("mlp", digits.shape, digits.classes), weight_bits, 8)
    fit(model, digits, epochs=8, progress=False)
    network = lower(model, digits.shape)
    codes = network_inputs(network, digits.x_test)
    inputs = np.concatenate([codes, corner_vectors(network)])
    report = verify(network, inputs, targets=TARGETS, folder=tmp_path)
    assert report.warnings == ()
    for row in report.rows:
        assert (row.status, row.vectors, row.mismatches) == (Status.PASSED, 602, 0), row.message
        assert row.distinct_outputs > 100


def _network() -> Network:
    rng = np.random.default_rng(7)
    codes = [rng.integers(-2, 2, shape) for shape in ((6, 8), (4, 6))]
    layers = (
        Dense(name="fc1", input="x", weights=Weights(codes=codes[0], grid=MidRise(2))),
        Rescale(
            name="fc1_rescale",
            input="fc1",
            mantissa=rng.integers(500, 900, 6),
            offset=rng.integers(-9000, 9000, 6),
            shift=14,
            format=IntFormat(8, False),
        ),
        Dense(name="fc2", input="fc1_rescale", weights=Weights(codes=codes[1], grid=MidRise(2))),
    )
    source = Input(name="x", shape=(8,), format=IntFormat(8, False))
    return Network(name="control", inputs=(source,), layers=layers, outputs=("fc2",))


Edit = Callable[[str], str]


def _substitute(pattern: str, replacement: str) -> Edit:
    def edit(text: str) -> str:
        changed, count = re.subn(pattern, replacement, text, count=1, flags=re.MULTILINE)
        assert count == 1, pattern
        return changed

    return edit


def _flip_first_word(text: str) -> str:
    """The lowest bit of the first hexadecimal word, whatever stands before it."""
    found = re.search(r"^(?:.*\{)?\s*(?:0x)?([0-9a-f]+)(?=[,\n}])", text, flags=re.MULTILINE)
    assert found is not None
    digit = f"{int(found[1][-1], 16) ^ 1:x}"
    return text[: found.end(1) - 1] + digit + text[found.end(1) :]


def _drop_the_third_beat(text: str) -> str:
    """The register behind a pipeline swallows the third word that it takes."""
    text = text.replace("= !hold_q && valid_i;", "= !hold_q && valid_i && beats_q != 2'd2;")
    counter = (
        "  logic [1:0] beats_q;\n"
        "  always_ff @(posedge clk_i) begin\n"
        "    if (!rst_ni) beats_q <= '0;\n"
        "    else if (valid_i && !hold_q && beats_q != 2'd3) beats_q <= beats_q + 2'd1;\n"
        "  end\n"
    )
    return text.replace("  assign push", f"{counter}\n  assign push", 1)


CONTROLS = {
    "hls, a flipped weight bit": (HLS, r"fc2_parameters\.hpp", _flip_first_word, "failed"),
    "hls, a wrong rounding constant": (
        HLS,
        r"rescale\.hpp",
        _substitute(r"std::int64_t\{1\} << \(shift - 1\)", "std::int64_t{0}"),
        "failed",
    ),
    "hls, a dropped word": (
        HLS,
        r"src/control\.cpp",
        _substitute(r"^(\s*)(vecq::read_axis.*)$", r"\1\2 control_x_stream.read();"),
        "error",
    ),
    "rtl, a flipped weight bit": (RTL, r"fc2_weights\.mem", _flip_first_word, "failed"),
    "rtl, a lost carry of a rounded sum": (
        RTL,
        r"vecq_rescale\.sv",
        _substitute(r"\{offset_q, carry_q\}", "{offset_q, 1'b0}"),
        "failed",
    ),
    "rtl, a dropped beat": (
        RTL,
        r"vecq_pipeline_end\.sv",
        _drop_the_third_beat,
        "error",
    ),
}


@pytest.mark.parametrize("control", CONTROLS)
def test_a_broken_target_is_found_and_located(tmp_path, control):
    target, file, edit, outcome = CONTROLS[control]
    network = _network()

    def tampered(*arguments: object) -> Project:
        files = dict(target.emit(*arguments).files)
        (name,) = [name for name in files if re.search(f"{file}$", name)]
        changed = edit(files[name])
        assert changed != files[name]
        return Project({**files, name: changed})

    inputs = np.concatenate([random_vectors(network, 20), corner_vectors(network)])
    report = verify(
        network, inputs, targets=[replace(target, emit=tampered)], folder=tmp_path / "project"
    )
    (row,) = report.rows
    assert not report.passed
    assert row.status.value == outcome, row.message
    if outcome == "failed":
        assert re.fullmatch(
            r"layer 'fc2', vector \d+, index \d+: expected -?\d+, actual -?\d+", row.message
        )
    else:
        assert re.search(r"frame|word|stream|vector", row.message), row.message
