"""Damaged and hostile TFLite files: one sentence each, in bounded time and memory."""

from __future__ import annotations

import os
import resource
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tflite

from tests.interop.tflite_models import Model
from vecq_hw.errors import VecqError
from vecq_hw.interop import import_bytes
from vecq_hw.interop.assembly import Assembly
from vecq_hw.interop.graph import Unsupported
from vecq_hw.interop.tflite_file import read

CONV = {
    "Padding": 0, "StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1,
    "FusedActivationFunction": 0,
}  # fmt: skip


class Small(Model):
    """A convolution and a dense layer; each part can be made otherwise."""

    def __init__(self, **changed) -> None:
        super().__init__()
        rng = np.random.default_rng(0)
        g: dict[str, Any] = {
            "shape": (1, 4, 4, 2), "scale": 0.1, "zero_point": 3, "weights": (3, 2, 2, 2),
            "scales": [0.01, 0.02, 0.03], "points": 0, "axis": 0, "bias": 3, "out": 0.2,
            "out_point": -5, "dtype": np.int8, "signature": None,
        }  # fmt: skip
        g.update(changed)
        self.x = self.tensor("x", g["shape"], g["scale"], g["zero_point"], dtype=g["dtype"],
                             signature=g["signature"])  # fmt: skip
        values = rng.integers(-127, 128, g["weights"]).astype(np.int8)
        self.w = self.constant("w", values, g["scales"], zero_point=g["points"], axis=g["axis"])
        self.b = self.constant("b", np.arange(g["bias"], dtype=np.int32))
        self.y = self.tensor("y", (*g["shape"][:3], 3), g["out"], g["out_point"])
        self.node("CONV_2D", [self.x, self.w, self.b], [self.y], **CONV)

    def data(self, **more) -> bytes:
        return self.file([self.x], [self.y], **more)


def test_a_whole_file_is_read_and_taken():
    graph = read(Small().data())
    assert [node.operator for node in graph.nodes] == ["CONV_2D"]
    assert graph.constants["w"].shape == (3, 2, 2, 2)
    assert graph.values["w"].quantization.scales.tolist() == pytest.approx([0.01, 0.02, 0.03])
    assert import_bytes(Small().data()).report.semantics == "ruy"


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"scale": 0.0}, "scale 0.0"),
        ({"scale": -1.0}, "scale -1.0"),
        ({"scale": np.nan}, "scale nan"),
        ({"scale": np.inf}, "scale inf"),
        ({"scales": [0.1, 0.1]}, "2 scales along axis 0"),
        ({"axis": 7}, "3 scales along axis 7"),
        ({"axis": 3, "scales": [0.1, 0.2]}, "axis 3"),
        ({"zero_point": 300}, "zero point 300"),
        ({"zero_point": -129}, "zero point -129"),
        ({"points": 1}, "zero point that is not 0"),
        ({"bias": 4}, "bias"),
        ({"shape": (2, 4, 4, 2)}, "batches of 2"),
        ({"dtype": np.int16}, "int16"),
        ({"dtype": np.float32}, "float32"),
        ({"scale": None}, "no scale"),
        ({"signature": (-1, -1, 4, 2)}, "sizes open"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(changed, sentence):
    with pytest.raises(VecqError, match=sentence) as caught:
        import_bytes(Small(**changed).data(), "model")
    assert "\n" not in str(caught.value)


def test_a_signalling_nan_is_a_scale_like_any_other_nan():
    """Conversions and comparisons of it warn, and warnings are errors here."""
    signalling = np.uint32(0x7FA00000).tobytes()
    data = Small().data().replace(np.float32(0.1).tobytes(), signalling)
    with pytest.raises(VecqError, match="has the scale nan"):
        import_bytes(data)


def test_a_result_of_another_shape_is_refused_before_its_codes_are_sought(monkeypatch):
    """To find the codes of thousands of channels takes hundreds of megabytes."""
    m = Model()
    x = m.tensor("x", (1, 4, 4, 2), 0.1, 3)
    y = m.tensor("y", (1, 3, 3, 2), 0.1, 3)
    window = {"FilterHeight": 2, "FilterWidth": 2, "StrideH": 2, "StrideW": 2, "Padding": 1}
    m.node("AVERAGE_POOL_2D", [x], [y], **window, FusedActivationFunction=0)
    monkeypatch.setattr(Assembly, "requantize", None)
    with pytest.raises(VecqError, match=r"makes the shape \(3, 3, 2\), but .* \(2, 2, 2\)"):
        import_bytes(m.file([x], [y]))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"version": 2}, "version is 2"),
        ({"identifier": b"TFL2"}, "nor|no TFLite|ONNX"),
        ({"subgraphs": 2}, "2 subgraphs"),
        ({"subgraphs": 0}, "0 subgraphs"),
    ],
)
def test_other_files_are_refused(more, sentence):
    with pytest.raises(VecqError, match=sentence):
        import_bytes(Small().data(**more))


def test_an_open_batch_is_one_sample():
    made = import_bytes(Small(signature=(-1, 4, 4, 2)).data())
    assert made.network.inputs[0].shape == (4, 4, 2)


def test_scales_that_leave_the_range_of_floats_are_refused():
    m = Model()
    x, y = m.tensor("x", (1, 4), 3e38), m.tensor("y", (1, 4), 1e-38)
    m.node("HARD_SWISH", [x], [y])
    with pytest.raises(Unsupported, match="leave the range of floats"):
        import_bytes(m.file([x], [y]))


def test_windows_over_a_vector_are_refused():
    m = Model()
    x, y = m.tensor("x", (1, 4), 0.1), m.tensor("y", (1, 4), 0.1)
    m.node("MAX_POOL_2D", [x], [y], Padding=0, StrideH=1, StrideW=1, FilterHeight=1, FilterWidth=1,
           FusedActivationFunction=0)  # fmt: skip
    with pytest.raises(Unsupported, match="an image is wanted"):
        import_bytes(m.file([x], [y]))


def test_every_node_that_cannot_be_taken_is_named():
    m = Small()
    a = m.tensor("a", (1, 4, 4, 3), 0.2, -5)
    b = m.tensor("b", (1, 4, 4, 3), 0.2, -5)
    c = m.tensor("c", (1, 4, 4, 3), 0.3, 1)
    m.node("ELU", [m.y], [a])
    m.node("RELU", [a], [b])
    m.node("LOG_SOFTMAX", [b], [c])
    d = m.tensor("d\n'; drop", (1, 4, 4, 3), 0.3, 9)
    m.node("MAX_POOL_2D", [c], [d], Padding=1, StrideH=1, StrideW=1, FilterHeight=1, FilterWidth=1,
           FusedActivationFunction=0)  # fmt: skip
    with pytest.raises(Unsupported) as caught:
        import_bytes(m.file([m.x], [d]))
    refused = caught.value.refusals
    assert [one.operator for one in refused] == ["ELU", "LOG_SOFTMAX", "MAX_POOL_2D"]
    assert "zero point 1" in refused[2].reason
    assert "\n" not in str(caught.value)


def test_names_do_not_reach_layers_as_they_are():
    m = Model()
    x = m.tensor('in"put\n', (1, 2), 0.1)
    w = m.constant("w", np.ones((2, 2), np.int8), 0.1)
    y = m.tensor("` $(x); module", (1, 2), 0.1)
    m.node("FULLY_CONNECTED", [x, w], [y], FusedActivationFunction=0)
    made = import_bytes(m.file([x], [y]))
    names = [one.name for one in (*made.network.inputs, *made.network.layers)]
    assert all(name.replace("_", "").replace(".", "").replace("-", "").isalnum() for name in names)


@pytest.mark.parametrize("content", [b"", b"TFL3", b"....TFL3", b"....TFL3" + bytes(100)])
def test_short_files(content):
    with pytest.raises(VecqError):
        read(content)


def test_offsets_that_lead_back_end_soon():
    """Every offset of a file in turn points to itself, to the start, or far beyond the end."""
    data = Small().data()
    for place in range(8, len(data) - 4, 12):
        for value in (0, len(data) - place - 4, 0x7FFFFFF0, 0xFFFFFFFF):
            changed = bytearray(data)
            changed[place : place + 4] = struct.pack("<I", value)
            _attempt(bytes(changed))


def _attempt(data: bytes) -> bool:
    """Whether a file is taken; nothing but our own error may come of it."""
    sentence = ""
    try:
        import_bytes(data)
    except VecqError as error:
        sentence = str(error) or "\n"
    assert "\n" not in sentence
    return not sentence


def _flipped(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with 1 to 5 other bytes; some are moved to a plausible small number."""
    changed = bytearray(data)
    for place in rng.integers(0, len(data), rng.integers(1, 6)):
        changed[place] = rng.choice([0, 1, 4, 127, 128, 255, int(rng.integers(256))])
    if rng.random() < 0.1:
        return bytes(changed[: rng.integers(8, len(data))])
    return bytes(changed)


def _fuzz(count: int, seed: int) -> int:
    rng = np.random.default_rng(seed)
    files = [Small().data(), _various()]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    taken = sum(_attempt(_flipped(files[index % len(files)], rng)) for index in range(count))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 19  # KiB
    return taken


def _various() -> bytes:
    """Small tensors through many operators."""
    m = Model()
    x = m.tensor("x", (1, 4, 4, 2), 0.1, 3)

    def after(operator, source, shape, *operands, scale=0.1, point=3, **fields):
        y = m.tensor(f"t{len(m.tensors)}", (1, *shape), scale, point)
        m.node(operator, [source, *operands], [y], **fields)
        return y

    def ints(*values):
        return m.constant(f"c{len(m.tensors)}", np.array(values, np.int32))

    y = after("PAD", x, (6, 5, 2), ints([0, 0], [1, 1], [0, 1], [0, 0]))
    y = after("MAX_POOL_2D", y, (3, 3, 2), Padding=0, StrideH=2, StrideW=2, FilterHeight=2,
              FilterWidth=2, FusedActivationFunction=1)  # fmt: skip
    y = after("ADD", y, (3, 3, 2), y, scale=0.15, FusedActivationFunction=0)
    y = after("RESIZE_NEAREST_NEIGHBOR", y, (6, 6, 2), ints(6, 6), scale=0.15)
    y = after("TRANSPOSE", y, (6, 6, 2), ints(0, 2, 1, 3), scale=0.15)
    y = after("MEAN", y, (2,), ints(1, 2), KeepDims=False)
    y = after("LEAKY_RELU", y, (2,), Alpha=0.2)
    return m.file([x], [y])


def test_flipped_bytes_give_one_sentence_or_a_network():
    taken = _fuzz(300, seed=0)
    assert 0 < taken < 300


@pytest.mark.nightly
def test_many_flipped_bytes():
    _fuzz(int(os.environ.get("VECQ_FUZZ", "100000")), seed=1)


@pytest.mark.nightly
@pytest.mark.skipif("VECQ_MODELS" not in os.environ, reason="VECQ_MODELS names no folder")
def test_flipped_bytes_of_real_files():
    folder = Path(os.environ["VECQ_MODELS"])
    rng = np.random.default_rng(2)
    for path in sorted(folder.glob("tflm_*.tflite")):
        data = path.read_bytes()
        for _ in range(500):
            _attempt(_flipped(data, rng))


def test_a_vector_that_many_tensors_share_is_not_read_forever():
    """A thousand tensors with the scales of one long vector; the reader stops."""
    m = Model()
    long = 4000
    builder = m.builder
    scales = builder.CreateNumpyVector(np.full(long, 0.1, np.float32))
    points = builder.CreateNumpyVector(np.zeros(long, np.int64))
    for index in range(1000):
        named = builder.CreateString(f"t{index}")
        tflite.QuantizationParametersStart(builder)
        tflite.QuantizationParametersAddScale(builder, scales)
        tflite.QuantizationParametersAddZeroPoint(builder, points)
        quantization = tflite.QuantizationParametersEnd(builder)
        shape = builder.CreateNumpyVector(np.array([long], np.int32))
        tflite.TensorStart(builder)
        tflite.TensorAddShape(builder, shape)
        tflite.TensorAddType(builder, tflite.TensorType.INT8)
        tflite.TensorAddName(builder, named)
        tflite.TensorAddQuantization(builder, quantization)
        m.tensors.append(tflite.TensorEnd(builder))
    m.node("RELU", [0], [1])
    with pytest.raises(VecqError, match="more than the file holds"):
        read(m.file([0], [1]))
