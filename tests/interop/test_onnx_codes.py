"""Codes to codes, what is left to the host, and QONNX, against the executors of such files."""

from __future__ import annotations

import numpy as np
import pytest

from tests.interop.onnx_graphs import (
    QONNX,
    Model,
    by_network,
    by_onnxruntime,
    by_qonnx,
    imported,
)
from tests.interop.test_onnx_operators import CASES, STEP, conv, integers
from vecq_hw.errors import VecqError
from vecq_hw.interop import import_bytes

SCALE = 0.0371


def qlinear(m: Model, x: str, operator: str, weights: np.ndarray, scales, bias=None, **attributes):
    """QLinearConv or QLinearMatMul: codes to codes."""
    given = [x, m.constant(SCALE), m.constant(3, np.int8), m.constant(weights, np.int8)]
    given += [m.constant(scales), m.constant(np.zeros(np.shape(scales)), np.int8)]
    given += [m.constant(0.13), m.constant(-5, np.int8)]
    given += [] if bias is None else [m.constant(bias, np.int32)]
    return m(operator, *given, **attributes)


def test_codes_to_codes_equal_onnxruntime_whatever_the_scales():
    m = Model(3, 8, 6)
    q = m("QuantizeLinear", "x", m.constant(SCALE), m.constant(3, np.int8))
    scales = np.array([0.011, 0.02, 0.017, 0.009], np.float32)
    y = qlinear(m, q, "QLinearConv", integers(4, 3, 3, 3), scales, [9, -50, 3, 0], pads=[1] * 4)
    out = m.constant(0.13), m.constant(-5, np.int8)
    pooled = m("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2])
    flat = m("Flatten", pooled)
    given = (flat, *out, m.constant(integers(48, 5), np.int8), m.constant(0.05))
    given += (m.constant(0, np.int8), m.constant(0.4), m.constant(7, np.int8))
    z = m("QLinearMatMul", *given)
    gemm = (
        flat,
        *out,
        m.constant(integers(5, 48), np.int8),
    )
    gemm += (m.constant([0.05, 0.1, 0.02, 0.03, 1]),)
    gemm += (m.constant([0] * 5, np.int8), m.constant([1, 2, 3, -400, 5], np.int32))
    gemm += (m.constant(0.7), m.constant(7, np.int8))
    g = m("QGemm", *gemm, domain="com.microsoft", transB=1, alpha=1.0)
    add = (y, *out, q, m.constant(SCALE), m.constant(3, np.int8))
    w = m.constant(integers(3, 4, 1, 1), np.int8)
    back = m("QLinearConv", y, *out, w, m.constant(0.1), m.constant(0, np.int8), m.constant(0.1),
             m.constant(11, np.int8))  # fmt: skip
    add = (back, m.constant(0.1), m.constant(11, np.int8), q, m.constant(SCALE),
           m.constant(3, np.int8), m.constant(0.23), m.constant(-9, np.int8))  # fmt: skip
    s = m("QLinearAdd", *add, domain="com.microsoft")
    mean = m("QLinearGlobalAveragePool", y, *out, m.constant(0.07), m.constant(-2, np.int8),
             domain="com.microsoft")  # fmt: skip
    from onnx import TensorProto

    content = m.output(y, z, g, s, mean, kind=TensorProto.INT8)
    x = np.random.default_rng(1).uniform(-4, 4, (20, 3, 8, 6)).astype(np.float32)
    made = imported(content)
    for given_, wanted in zip(by_network(made, x), by_onnxruntime(content, x), strict=True):
        assert given_.shape == wanted.shape
        assert np.array_equal(given_, wanted), int((given_ != wanted).sum())


def test_what_follows_the_scores_is_left_to_the_host():
    m, outputs = CASES["what_is_left_to_the_host"]()
    chances = m("Softmax", outputs[0], axis=1)
    best = m("ArgMax", chances, axis=1)
    made = imported(m.output(chances, best))
    assert [text.split()[0] for text in made.report.dropped] == ["Softmax", "ArgMax"]
    assert made.network.outputs == (made.report.outputs[0].name,)


@pytest.mark.parametrize(
    "rounding", ["ROUND", "FLOOR", "CEIL", "UP", "DOWN", "HALF_UP", "HALF_DOWN"]
)
@pytest.mark.parametrize("signed", [0, 1])
def test_quantizers_of_qonnx(rounding: str, signed: int):
    m = Model(3, 8, 6, batch=2)
    x = m.quant("x", STEP, 6, zero=3 * signed, signed=signed, rounding_mode=rounding)
    w = m.quant(m.constant(integers(4, 3, 3, 3) / 8), 0.125, 4, signed=1, narrow=1)
    y = m("Conv", x, w)
    z = m.quant(y, 0.125, 4, zero=2, signed=signed, narrow=1, rounding_mode=rounding)
    content = m.output(z)
    x_ = np.random.default_rng(1).uniform(-2, 3, (2, 3, 8, 6)).astype(np.float32)
    (given,), (wanted,) = by_network(imported(content), x_), by_qonnx(content, x_)
    assert np.array_equal(given, wanted)


def test_bipolar_half_steps_thresholds_and_cut_bits():
    m = Model(3, 8, 6, batch=2)
    x = m.quant("x", STEP, 6, signed=1)
    half = m.quant(m.constant(np.random.default_rng(0).normal(0, 0.5, (4, 3, 3, 3))),
                   0.25, 2, zero=-0.5, signed=1)  # fmt: skip
    signs = m("BipolarQuant", m.constant(integers(5, 4, 1, 1)), m.constant(0.5), domain=QONNX)
    y = m("BipolarQuant", m("Conv", x, half, pads=[1] * 4), m.constant(1.0), domain=QONNX)
    y = m("Conv", y, signs, pads=[1] * 4)
    rows = np.sort(integers(5, 6, most=3), axis=1) / 2
    y = m("MultiThreshold", y, m.constant(rows), domain=QONNX, out_dtype="INT4", out_scale=0.5,
          out_bias=-1.5)  # fmt: skip
    y = m("AveragePool", y, kernel_shape=[2, 2], strides=[2, 2])
    y = m("Trunc", y, m.constant(0.125), m.constant(0.0), m.constant(6.0), m.constant(0.5),
          m.constant(4.0), domain=QONNX, rounding_mode="FLOOR", signed=1, narrow=0)  # fmt: skip
    content = m.output(y)
    x_ = np.random.default_rng(1).uniform(-2, 3, (2, 3, 8, 6)).astype(np.float32)
    made = imported(content)
    (given,), (wanted,) = by_network(made, x_), by_qonnx(content, x_)
    assert np.array_equal(given, wanted)
    kinds = [repr(layer.weights.grid) for layer in made.network.mac_layers]
    assert kinds == ["MidRise(bits=2)", "MidRise(bits=1)"]


def test_constants_are_folded_whatever_they_went_through():
    m = Model(4, batch=1)
    x = m.quant("x", STEP, 4)
    w = m.constant(integers(6, 2, most=3))
    w = m("Mul", m("Reshape", m("Cast", w, to=1), m.constant([3, 4], np.int64)), m.constant(0.25))
    w = m("Transpose", m.quant(w, 0.25, 3, signed=1), perm=[1, 0])
    y = m.quant(m("Add", m("MatMul", x, w), m("Neg", m.constant([0.5, 1, -2]))), 0.25, 5, signed=1)
    content = m.output(y)
    x_ = np.random.default_rng(1).uniform(-1, 1, (1, 4)).astype(np.float32)
    (given,), (wanted,) = by_network(imported(content), x_), by_qonnx(content, x_)
    assert np.array_equal(given, wanted)


def test_pixels_with_arithmetic_before_the_first_quantizer():
    from vecq_hw.formats import IntFormat
    from vecq_hw.interop import import_bytes

    m = Model(3, 4, 4)
    x = m("Sub", m("Mul", "x", m.constant(2.0)), m.constant(1.0))
    content = m.output(m.quantize(conv(m, m.quantize(x, 2.0**-6, 64)), 2.0**-3, 99))
    made = import_bytes(content, pixels=(IntFormat(8, signed=False), 2.0**-8))
    codes = np.random.default_rng(0).integers(0, 256, (3, 3, 4, 4))
    x_ = (codes / 256).astype(np.float32)
    (given,), (wanted,) = by_network(made, x_), by_onnxruntime(content, x_)
    assert np.array_equal(given, wanted)


def test_channels_of_different_steps_end_at_one():
    m = Model(6, batch=1)
    x = m.quant("x", STEP, 4)
    w = m.quant(m.constant(integers(3, 6) / 10), [[0.1], [0.03], [0.07]], 5, signed=1)
    y = m("Gemm", x, w, m.constant([0.3, -0.2, 0.01]), transB=1)
    content = m.output(y)
    made = imported(content)
    x_ = np.random.default_rng(1).uniform(0, 1, (1, 6)).astype(np.float32)
    (given,), (wanted,) = by_network(made, x_), by_qonnx(content, x_)
    assert np.abs(given - wanted).max() < 1e-5
    assert any("scales of their own" in note for note in made.report.notes)


@pytest.mark.parametrize(("operator", "count"), [("Neg", 2), ("Sub", 3), ("Sqrt", 3)])
def test_constants_have_as_many_operands_as_their_operator(operator: str, count: int):
    """A ufunc of NumPy would write to the operand beyond its own."""
    m = Model(3, 4, 4)
    one = m(operator, *[m.constant([[[2.0]]] * 3)] * count)
    with pytest.raises(VecqError, match=rf"{operator} .*has {count} inputs; \d are wanted"):
        import_bytes(m.output(m.quantize(m("Mul", m.quantize("x", 0.5), one), 0.25)))
