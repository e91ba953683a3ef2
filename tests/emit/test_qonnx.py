"""QONNX: what qonnx's executor and hls4ml's front end make of it, lines and ties."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from tests.hls_networks import Builder, mlp
from tests.onnx_models import computed, differing, in_qonnx
from tests.random_networks import random_pair
from tests.random_record import MAKERS
from vecq_hw import storage
from vecq_hw.emit import qonnx as emitter
from vecq_hw.emit.quant_lines import holds, line_of
from vecq_hw.formats import IntFormat, TwosComplement
from vecq_hw.layers import Dense, Input, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import thresholds_of
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.qonnx import TARGET
from vecq_hw.verify.vectors import random_vectors

pytest.importorskip("qonnx")

U8, S8, S12 = IntFormat(8, signed=False), IntFormat(8, signed=True), IntFormat(12, signed=True)
# Those of the first seeds that QONNX can express.
TAKEN = [
    seed
    for seed in range(40)
    if emitter.unsupported(random_pair(MAKERS[seed % len(MAKERS)], "net", seed)[0]) is None
][:16]


@pytest.mark.parametrize("seed", TAKEN)
def test_random_networks(seed):
    network, _ = random_pair(MAKERS[seed % len(MAKERS)], "net", seed)
    compared, wrong = differing(network, seed, model=emitter.model(network), execute=in_qonnx)
    assert compared
    assert wrong == 0


def _rescale(mantissa, offset, shift, fmt=S8):
    return Rescale(name="y", input="x", mantissa=mantissa, offset=offset, shift=shift, format=fmt)


def _on_all(layer):
    source = Input(name="x", shape=(layer.channels,), format=S12)
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("y",))
    x = np.repeat(np.arange(-2048, 2048)[:, np.newaxis], layer.channels, axis=1)
    model = emitter.model(network)
    found = computed(network, {"x": x}, model, in_qonnx)["y"]
    assert np.array_equal(found, simulate(network, x))
    return {node.op_type for node in model.graph.node}


def test_a_line_without_ties_is_taken_as_it_is():
    layer = _rescale([76, -40], [2, 1001], 10)
    line = line_of(layer, S12)
    assert np.array_equal(line.factor, np.array([76, -40], np.float32) / 1024)
    assert np.array_equal(line.addend, np.array([2, 1001], np.float32) / 1024)
    assert "MultiThreshold" not in _on_all(layer)


def test_a_line_with_ties_gets_another_offset():
    """Half up against half to even: acc / 16 ties at every 16th accumulator."""
    layer = _rescale([1, -3], [0, 16], 4)
    source = S12
    own = replace_line(layer)
    assert not holds(own, thresholds_of(layer, source), source)
    line = line_of(layer, source)
    assert line is not None
    assert not np.array_equal(line.addend, own.addend)
    assert "MultiThreshold" not in _on_all(layer)


def replace_line(layer):
    """``m 2^-s`` and ``b 2^-s`` themselves."""
    line = line_of(_rescale([77], [1], 10), S12)
    scale = 2.0**-layer.shift
    return replace(
        line,
        factor=(layer.mantissa * scale).astype(np.float32),
        addend=(layer.offset * scale).astype(np.float32),
    )


def test_what_no_line_meets_is_thresholds():
    """Ten bits: no other line is sought, and the ties stay."""
    layer = _rescale([1], [0], 1, IntFormat(10, True))
    assert line_of(layer, S12) is None
    assert "MultiThreshold" in _on_all(layer)


@pytest.mark.parametrize("shift", [1, np.array([3, 1])])
def test_wide_codes_that_no_sum_rounds_are_a_line(shift):
    """What lowering puts behind a last layer, so that its bias has more digits than its sums."""
    unit = 1 << np.asarray(shift)
    given = unit * np.array([[32, -5], [-2815, 1049]])
    layer = _rescale(*given, shift, IntFormat(19, True))
    assert "MultiThreshold" not in _on_all(layer)
    clamped = replace(layer, format=IntFormat(14, True, -3000, 7000))
    assert "Clip" in _on_all(clamped)


@pytest.mark.parametrize(
    ("mantissa", "offset"),
    [
        pytest.param([65, 64], [2, 0], id="a half"),
        pytest.param([64, 64], [1, 0], id="an offset of a half"),
        pytest.param([2 << 14, 2], [0, 2], id="sums of more than 24 bits"),
    ],
)
def test_other_wide_codes_are_refused(mantissa, offset):
    layer = _rescale(mantissa, offset, 1, IntFormat(20, True))
    source = Input(name="x", shape=(2,), format=S12)
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("y",))
    assert "a line more only where" in emitter.unsupported(network)


def test_a_clamp_tighter_than_its_bits():
    nodes = _on_all(_rescale([77, -41], [1, 1001], 10, IntFormat(8, True, -100, 90)))
    assert "Clip" in nodes
    assert "Clip" not in _on_all(_rescale([77, -41], [1, 1001], 10, IntFormat(8, True, -127, 127)))
    assert "Clip" in _on_all(_rescale([77, -41], [1, 1001], 10, IntFormat(1, True)))


@pytest.mark.parametrize("bits", [1, 2, 5])
def test_the_zero_point_of_minus_a_half(bits):
    network = Builder("net", (6, 5, 2), S8).conv(3, bits, (2, 2)).rescale(U8).flatten()
    network = network.dense(4, bits).network()
    model = emitter.model(network, zero_point_half=True)
    assert differing(network, count=20, model=model, execute=in_qonnx) == (80, 0)
    default = emitter.model(network)
    zero = {node.input[2] for node in model.graph.node if node.op_type == "Quant"}
    assert len(zero) == (1 if bits == 1 else 2)
    assert differing(network, count=20, model=default, execute=in_qonnx) == (80, 0)


def test_refusals_name_the_layer():
    codes = np.full((2, 200), 127)
    layer = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=TwosComplement(8)))
    source = Input(name="x", shape=(200,), format=IntFormat(10, False))
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("fc",))
    assert emitter.unsupported(network) == (
        "layer 'fc' (Dense, reaches 25984200, and float32 holds integers up to 2^24)"
    )
    narrow = replace(source, format=IntFormat(9, False))
    assert emitter.unsupported(replace(network, inputs=(narrow,))) is None


def test_it_is_a_target_and_the_command_writes_its_project(tmp_path):
    network = mlp("net", 2).network()
    x = random_vectors(network, 1100)
    (row,) = verify(network, x, targets=[TARGET], folder=tmp_path / "out").rows
    assert (row.status, row.outputs, row.mismatches) == (Status.PASSED, 11000, 0), row.message
    storage.save(network, tmp_path / "network.npz")
    command = [sys.executable, "-m", "vecq_hw", "emit", "qonnx", "network.npz", "--out", "project"]
    command += ["--zero-point-half"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    command[4] = "onnx"
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "--zero-point-half is of qonnx; leave it out with onnx" in result.stderr
    assert result.returncode == 2


def test_a_changed_weight_changes_what_is_computed():
    from onnx import numpy_helper

    network = mlp("net", 2).network()
    model = emitter.model(network)
    *_, weights = [t for t in model.graph.initializer if t.name.endswith("weights")]
    values = numpy_helper.to_array(weights) + 2
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    assert differing(network, model=model, execute=in_qonnx)[1] > 0
