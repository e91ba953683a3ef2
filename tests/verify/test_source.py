"""The executor of an imported file as a target: its own integers, and what is said of others."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.interop.test_tflite_walk import Chain
from vecq_hw import storage
from vecq_hw.errors import VecqError
from vecq_hw.interop import Imported, import_bytes
from vecq_hw.simulate import simulate
from vecq_hw.verify.compare import Row, Status, verify
from vecq_hw.verify.source import difference, source_outputs, source_target
from vecq_hw.verify.vectors import random_vectors, with_corners

pytest.importorskip("tflite")
pytest.importorskip("ai_edge_litert")
pytest.importorskip("qonnx")


def kept(content: bytes, folder: Path, semantics: str | None = None) -> tuple[Imported, Path]:
    """An import as the command leaves it, beside its file."""
    made = import_bytes(content, "model", None, semantics)
    storage.save(made.network, folder / "network.npz")
    (folder / "report.json").write_bytes(made.report.to_json())
    (folder / "model").write_bytes(content)
    return made, folder / "network.npz"


def judged(content: bytes, folder: Path, semantics: str | None = None, count: int = 100) -> Row:
    made, place = kept(content, folder, semantics)
    target = source_target(folder / "model", made.network, place)
    inputs = with_corners(made.network, random_vectors(made.network, count))
    return verify(made.network, inputs, targets=[target], folder=folder / "out").rows[0]


def tflite_file(tail: bool = True) -> bytes:
    """A convolution and a dense layer, whose logits a Softmax follows."""
    m = Chain(1)
    x = m.codes((6, 5, 2))
    fields = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": 0}
    y = m.mac("CONV_2D", x, (6, 5, 4), m.draw(4, 3, 3, 2), 0, 1, **fields)
    y = m.mac("FULLY_CONNECTED", y, (7,), m.draw(7, 120), 0, per_channel=False)
    if not tail:
        return m.file([x], [y])
    end = m.codes((7,), s=1 / 256, z=-128)
    m.node("SOFTMAX", [y], [end], Beta=1.0)
    return m.file([x], [end])


@pytest.mark.parametrize("zero", [-128, -127])
def test_codes_that_their_type_cannot_hold_with_the_zero_point(zero):
    m = Chain(1)
    x = m.codes((40,), s=1 / 255, z=zero)
    y = m.mac("FULLY_CONNECTED", x, (7,), m.draw(7, 40), 0, per_channel=False)
    content = m.file([x], [y])
    made = import_bytes(content, "model", None, "ruy")
    codes = np.random.default_rng(0).integers(0, 128, (20, 40)).astype(np.int8)
    codes = codes.astype(np.uint8) if zero == -128 else codes
    (end,) = made.network.inputs
    (given,) = source_outputs(content, made.network, made.report, {end.name: codes}).values()
    assert np.array_equal(given, simulate(made.network, codes))


@pytest.mark.parametrize("semantics", ["ruy", "xnnpack", "reference"])
def test_a_tflite_file_up_to_its_logits(tmp_path, semantics):
    row = judged(tflite_file(), tmp_path, semantics)
    assert (row.status, row.vectors, row.mismatches) == (Status.PASSED, 105, 0), row.message
    assert row.distinct_outputs > 20


def test_another_semantics_is_found_to_differ(tmp_path):
    """The report decides which kernels run: those of another one give other codes."""
    made, place = kept(tflite_file(), tmp_path, "reference")
    report = (tmp_path / "report.json").read_text()
    (tmp_path / "report.json").write_text(report.replace('"reference"', '"ruy"'))
    target = source_target(tmp_path / "model", made.network, place)
    inputs = random_vectors(made.network, 400)
    (row,) = verify(made.network, inputs, targets=[target], folder=tmp_path / "out").rows
    assert row.status is Status.FAILED
    assert "expected" in row.message


def onnx_file(kind: str) -> bytes:
    """A QLinearConv with signed weights, or a matrix product between Quant nodes."""
    from onnx import helper, numpy_helper

    rng = np.random.default_rng(0)
    tensor, domains = helper.make_tensor_value_info, [helper.make_opsetid("", 13)]
    if kind == "QLinearConv":
        arrays = {
            "s": np.float32(0.02), "z": np.uint8(7), "w": rng.choice([-128, 127], (5, 3, 2, 2)),
            "ws": np.full(5, 0.01, np.float32), "wz": np.zeros(5, np.int8),
            "ys": np.float32(3.1), "yz": np.uint8(120), "b": rng.integers(-900, 900, 5),
        }  # fmt: skip
        arrays["w"], arrays["b"] = arrays["w"].astype(np.int8), arrays["b"].astype(np.int32)
        names = ["x", "s", "z", "w", "ws", "wz", "ys", "yz", "b"]
        nodes = [helper.make_node("QLinearConv", names, ["y"], name="conv")]
        ends = tensor("x", 2, ["N", 3, 5, 4]), tensor("y", 2, ["N", 5, 4, 3])
    else:
        arrays = {
            "xs": np.float32(0.125), "xz": np.float32(0), "bits": np.float32(4),
            "w": rng.normal(0, 1, (6, 5)).astype(np.float32), "ws": np.float32(0.3),
        }  # fmt: skip
        fields = {"domain": "qonnx.custom_op.general", "narrow": 0, "rounding_mode": "ROUND"}
        nodes = [
            helper.make_node("Quant", ["x", "xs", "xz", "bits"], ["q"], signed=0, **fields),
            helper.make_node("Quant", ["w", "ws", "xz", "bits"], ["v"], signed=1, **fields),
            helper.make_node("MatMul", ["q", "v"], ["m"]),
            helper.make_node("Softmax", ["m"], ["y"], name="tail"),
        ]
        domains.append(helper.make_opsetid("qonnx.custom_op.general", 1))
        ends = tensor("x", 1, [1, 6]), tensor("y", 1, [1, 5])
    constants = [numpy_helper.from_array(np.asarray(a), name) for name, a in arrays.items()]
    graph = helper.make_graph(nodes, "g", [ends[0]], [ends[1]], constants)
    model = helper.make_model(graph, opset_imports=domains, ir_version=8)
    content: bytes = model.SerializeToString()
    return content


@pytest.mark.parametrize("kind", ["QLinearConv", "Quant"])
def test_onnx_and_qonnx_files(tmp_path, kind):
    row = judged(onnx_file(kind), tmp_path)
    assert (row.status, row.vectors, row.mismatches) == (Status.PASSED, 105, 0), row.message
    assert row.distinct_outputs > 10


def test_weights_of_another_sign_than_the_codes_become_unsigned():
    """Pairs of such products saturate in 16 bits on some processors; here at 255 * 127 twice."""
    import onnx

    from vecq_hw.verify import source_onnx

    model = onnx.ModelProto.FromString(onnx_file("QLinearConv"))
    changed = source_onnx._of_one_signedness(model)
    tensors = {t.name: onnx.numpy_helper.to_array(t) for t in changed.graph.initializer}
    weights, zeros = (tensors[changed.graph.node[0].input[i]] for i in (3, 5))
    assert weights.dtype == zeros.dtype == np.uint8
    assert np.array_equal(weights.astype(int) - 128, tensors["w"])
    assert (zeros == 128).all()


def test_the_command_counts_codes_and_names_ties(tmp_path):
    _, place = kept(tflite_file(), tmp_path, "ruy")
    command = [sys.executable, "-m", "vecq_hw", "verify", str(place), "--targets", "source"]
    command += ["--source", str(tmp_path / "model"), "--samples", "20"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "0 of 175 codes differ" in result.stdout


def test_the_sentence_of_a_difference():
    made = import_bytes(tflite_file(), "model")
    (name,) = made.network.outputs
    ours = np.array([[5, 4, 0], [5, 4, 0], [1, 2, 3]])
    theirs = np.array([[5, 5, 0], [4, 6, 0], [1, 2, 3]])
    (same,) = difference(made.network, {name: ours}, {name: ours})
    assert same.endswith("0 of 9 codes differ")
    (said,) = difference(made.network, {name: ours}, {name: theirs})
    assert said.endswith(
        "3 of 9 codes differ, by at most 2; the largest is another one on 1 of 3 samples,"
        " 0 of them ties"
    )
    tied = np.array([[5, 4, 0], [5, 4, 0], [1, 3, 3]])
    (said,) = difference(made.network, {name: ours}, {name: tied})
    assert said.endswith("on 1 of 3 samples, 1 of them ties")


def test_what_does_not_fit_is_said_in_a_sentence(tmp_path):
    made, place = kept(tflite_file(False), tmp_path, "ruy")
    other = import_bytes(tflite_file(), "other", None, "xnnpack").network
    with pytest.raises(VecqError, match="is the report of another network"):
        source_target(tmp_path / "model", other, place)
    (tmp_path / "wrong").write_bytes(b"no such format")
    with pytest.raises(VecqError, match="is no TFLite file, but the network was imported from one"):
        source_target(tmp_path / "wrong", made.network, place)
    (tmp_path / "report.json").unlink()
    with pytest.raises(VecqError, match="needs the report that vecq import wrote"):
        source_target(tmp_path / "model", made.network, place)
    assert simulate(made.network, random_vectors(made.network, 1)).shape == (1, 7)
