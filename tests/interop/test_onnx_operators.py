"""Every operator of ONNX and QONNX that is taken, against the executors of such files.

Scales are powers of two, so that sums in float32 are exact and every number must be equal.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.interop.onnx_graphs import (
    Model,
    by_network,
    by_onnxruntime,
    imported,
)

STEP = 2.0**-5


def integers(*shape: int, most: int = 7) -> np.ndarray:
    return np.random.default_rng(sum(shape)).integers(-most, most + 1, shape)


def image(m: Model, zero: int = 0, scale: float = STEP) -> str:
    return m.quantize("x", scale, zero)


CASES: dict[str, Callable[[], tuple[Model, tuple[str, ...]]]] = {}


def case(function: Callable[[Model], str | tuple[str, ...]]):
    """A model on an input of 3 channels, 8 by 6."""

    def make() -> tuple[Model, tuple[str, ...]]:
        m = Model(3, 8, 6)
        made = function(m)
        return m, made if isinstance(made, tuple) else (made,)

    CASES[function.__name__] = make
    return function


def conv(m: Model, x: str, out: int = 4, taken: int = 3, kernel: int = 3, **attributes) -> str:
    weights = m.weights(integers(out, taken, kernel, kernel), STEP)
    return m("Conv", x, weights, **attributes)


@case
def extrema_of_three_constants(m):
    few = [m.constant([[[1.0]], [[5.0]], [[2.0]]]), m.constant(3.0), m.constant([[[4.0]]] * 3)]
    factors = m("Min", m("Max", *few), m.constant(4.5), m.constant(64.0))
    return m.quantize(m("Mul", image(m), factors), 0.5)


@case
def conv_with_asymmetric_pads_stride_and_dilation(m):
    y = conv(m, image(m, 3), pads=[0, 2, 1, 0], strides=[2, 1], dilations=[1, 2])
    return m.quantize(y, 2.0**-3, 128)


@case
def conv_in_groups_with_a_scale_for_each_channel(m):
    scales = 2.0 ** np.array([-5, -6, -4, -5, -7, -5])
    y = m("Conv", image(m), m.weights(integers(6, 1, 3, 3), scales), group=3, pads=[1] * 4)
    return m.quantize(y, 2.0**-4, 7)


@case
def conv_with_weights_that_have_a_zero_point(m):
    y = m("Conv", image(m), m.weights(integers(4, 3, 2, 2), STEP, zero=131))
    return m.quantize(y, 2.0**-3, 100)


@case
def codes_that_are_cast_and_zero_points_that_are_filled(m):
    """As torch.onnx writes modules of torch.ao."""
    scale, zero = m.constant(STEP), m.constant(3, np.uint8)
    codes = m("Cast", m("QuantizeLinear", "x", scale, zero), to=2)
    points = m("Cast", m("ConstantOfShape", m.constant([4], np.int64)), to=3)
    stored, scales = m.constant(integers(4, 3, 3, 3), np.int8), m.constant([STEP] * 4)
    weights = m("DequantizeLinear", stored, scales, points, axis=0)
    y = m("Conv", m("DequantizeLinear", codes, scale, zero), weights)
    return m.quantize(y, 2.0**-3, 100)


@case
def conv_with_same_padding_above(m):
    return m.quantize(conv(m, image(m), auto_pad="SAME_UPPER", strides=[3, 2]), 2.0**-3, 100)


@case
def conv_with_same_padding_below(m):
    return m.quantize(conv(m, image(m), auto_pad="SAME_LOWER", strides=[3, 2]), 2.0**-3, 100)


@case
def batch_norm_whose_slopes_have_both_signs(m):
    y = conv(m, image(m))
    numbers = (
        [1.0, -1.5, 0.5, -0.25],
        [0.5, 1.0, -1.0, 2.0],
        [0.25, -0.5, 0, 1.0],
        [1, 4, 0.25, 1],
    )
    given = [m.constant(one) for one in numbers]
    return m.quantize(m("Relu", m("BatchNormalization", y, *given, epsilon=0.0)), 2.0**-3)


@case
def real_bias_and_constants_of_channels(m):
    weights, bias = m.weights(integers(4, 3, 1, 1), STEP), m.constant([0.5, -0.25, 0, 1])
    y = m("Conv", image(m), weights, bias)
    y = m("Mul", y, m.constant(np.reshape([1.0, 2, -1, 0.5], (1, 4, 1, 1))))
    y = m("Sub", m.constant(np.reshape([1.0, 2, 3, 4], (4, 1, 1))), y)
    y = m("Div", m("Add", y, m.constant(0.125)), m.constant(2.0))
    return m.quantize(m("Clip", y, m.constant(-1.0), m.constant(3.0)), 2.0**-4, 60)


@case
def slopes_below_zero(m):
    y = m("LeakyRelu", conv(m, image(m)), alpha=0.25)
    y = m.quantize(y, 2.0**-4, 40)
    y = m("PRelu", y, m.constant(np.reshape([0.5, 0, 1, 0.25], (4, 1, 1))))
    return m.quantize(y, 2.0**-3, 20)


@case
def sum_of_one_step(m):
    a = m.quantize(conv(m, image(m)), 2.0**-3, 9)
    b = m.quantize(conv(m, image(m), kernel=3), 2.0**-3, 90)
    return m.quantize(m("Relu", m("Add", a, b)), 2.0**-2, 3)


@case
def sum_and_difference_of_two_steps(m):
    a = m.quantize(conv(m, image(m)), 2.0**-3, 9)
    b = m.quantize(m("Relu", conv(m, image(m))), 2.0**-5)
    total = m.quantize(m("Relu", m("Add", a, b)), 2.0**-2, 3)
    return total, m.quantize(m("Sub", b, a), 2.0**-2, 99)


@case
def concatenation_of_one_step_and_of_two(m):
    a, b = m.quantize(conv(m, image(m)), 2.0**-3, 9), m.quantize(conv(m, image(m)), 2.0**-3, 70)
    c = m.quantize(conv(m, image(m), out=2), 2.0**-4, 100)
    one = m.quantize(m("Concat", a, b, axis=1), 2.0**-2, 4)
    return one, m.quantize(m("Concat", a, c, axis=1), 2.0**-2, 50)


@case
def max_pool_of_codes_and_of_what_becomes_codes(m):
    x = m("MaxPool", image(m, 5), kernel_shape=[2, 2], strides=[2, 2], pads=[1, 0, 1, 0])
    y = m("Relu", m("MaxPool", conv(m, x, kernel=2), kernel_shape=[2, 2], ceil_mode=1))
    return m.quantize(y, 2.0**-3)


@case
def max_pool_behind_slopes_that_fall(m):
    y = m("Mul", conv(m, image(m)), m.constant(np.reshape([1.0, -1, 2, -0.5], (4, 1, 1))))
    y = m("Add", m("MaxPool", y, kernel_shape=[2, 2], strides=[2, 2]), m.constant(0.25))
    return m.quantize(y, 2.0**-3, 100)


@case
def average_pools(m):
    x = image(m)
    a = m("AveragePool", x, kernel_shape=[2, 2], strides=[2, 2])
    b = m("AveragePool", x, kernel_shape=[2, 4], pads=[1, 0, 1, 0], count_include_pad=1)
    c = m("GlobalAveragePool", m.quantize(b, STEP))
    return m.quantize(a, STEP), m.quantize(b, STEP, 2), m.quantize(c, 2.0**-7)


@case
def mean_over_the_image_and_a_dense_layer(m):
    x = m("AveragePool", image(m), kernel_shape=[8, 2], strides=[8, 2])
    y = m("ReduceMean", m.quantize(m("Pad", x, m.constant([0, 0, 0, 0, 0, 0, 0, 1], np.int64)),
                                   STEP), axes=[2, 3], keepdims=0)  # fmt: skip
    y = m("Gemm", m.quantize(y, STEP), m.weights(integers(3, 5), STEP, axis=1))
    return m.quantize(y, 2.0**-3, 100)


@case
def padding_by_zeros_edges_and_mirrors(m):
    pads = m.constant([0, 0, 1, 2, 0, 0, 0, 1], np.int64)
    x = image(m)
    found = [m("Pad", x, pads, mode=mode) for mode in ("constant", "edge", "reflect")]
    return tuple(m.quantize(conv(m, one), 2.0**-3, 100) for one in found)


@case
def resizing_to_the_nearest(m):
    scales = m.constant([1, 1, 2, 3])
    floor = m("Resize", image(m), "", scales, mode="nearest", nearest_mode="floor",
              coordinate_transformation_mode="asymmetric")  # fmt: skip
    return m.quantize(conv(m, floor), 2.0**-3, 99), m.quantize(
        conv(m, m("Resize", image(m), "", scales, mode="nearest")), 2.0**-3, 99
    )


@case
def dense_behind_a_flatten(m):
    x = m("Flatten", m.quantize(m("Relu", conv(m, image(m), strides=[2, 2])), 2.0**-4))
    y = m("MatMul", x, m("Transpose", m.weights(integers(5, 24), STEP), perm=[1, 0]))
    y = m.quantize(m("Relu", m("Add", y, m.constant([0.5, 1, -1, 0, 2]))), 2.0**-3)
    bias = m("DequantizeLinear", m.constant([5, -7], np.int32), m.constant(2.0**-8),
             m.constant(0, np.int32))  # fmt: skip
    return m.quantize(m("Gemm", y, m.weights(integers(2, 5), STEP), bias, transB=1), 2.0**-5, 80)


@case
def flattened_before_its_quantizer(m):
    y = m("Flatten", m("Relu", conv(m, image(m), strides=[2, 2])))
    y = m("Gemm", m.quantize(y, 2.0**-4), m.weights(integers(24, 2), STEP, axis=1))
    return m.quantize(y, 2.0**-2, 77)


@case
def shape_idiom_of_exporters(m):
    x = m.quantize(m("Relu", conv(m, image(m), strides=[2, 2])), 2.0**-4)
    first = m("Gather", m("Shape", x), m.constant(0, np.int64), axis=0)
    first = m("Unsqueeze", first, m.constant([0], np.int64))
    shape = m("Concat", first, m.constant([-1], np.int64), axis=0)
    return m.quantize(m("MatMul", m("Reshape", x, shape), m.weights(integers(24, 3), STEP)),
                      2.0**-2, 90)  # fmt: skip


@case
def channels_last_and_tokens(m):
    x = m("Transpose", image(m), perm=[0, 2, 3, 1])
    y = m("MatMul", x, m.weights(integers(3, 5), STEP))
    y = m.quantize(m("Add", y, m.constant([0.5, 0, 1, -1, 2])), 2.0**-3, 90)
    tokens = m("Reshape", y, m.constant([0, 48, 5], np.int64))
    z = m.quantize(m("MatMul", tokens, m.weights(integers(5, 2), STEP)), 2.0**-2, 90)
    back = m("Transpose", z, perm=[0, 2, 1])
    return m.quantize(m("Conv", back, m.weights(integers(3, 2, 3), STEP), pads=[1, 1]), 2.0**-7, 99)


@case
def a_vector_becomes_an_image(m):
    x = m("Flatten", image(m))
    x = m("Reshape", x, m.constant([-1, 4, 6, 6], np.int64))
    return m.quantize(conv(m, x, taken=4), 2.0**-3, 99)


@case
def axes_of_size_one_come_and_go(m):
    x = m("GlobalAveragePool", m("AveragePool", image(m), kernel_shape=[1, 3]))
    x = m("Squeeze", m.quantize(x, STEP), m.constant([2, 3], np.int64))
    x = m("Unsqueeze", x, m.constant([2, 3], np.int64))
    return m.quantize(conv(m, x, kernel=1), 2.0**-6, 99)


@case
def a_gate_for_each_channel(m):
    x = m.quantize(m("Relu", conv(m, image(m))), 2.0**-4)
    gate = m("GlobalAveragePool", m("Pad", x, m.constant([0, 0, 0, 0, 0, 0, 2, 0], np.int64)))
    gate = m.quantize(m("HardSigmoid", m.quantize(gate, 2.0**-5), alpha=0.25, beta=0.5), 2.0**-8)
    return m.quantize(m("Mul", x, gate), 2.0**-5)


@case
def functions_of_a_code(m):
    x = m.quantize(conv(m, image(m)), 2.0**-3, 100)
    y = m.quantize(m("Abs", x), 2.0**-4)
    z = m.quantize(m("Mul", m("Relu", m("Floor", x)), m.constant(0.5)), 2.0**-4)
    return y, z


@case
def what_is_left_to_the_host(m):
    x = m("Flatten", image(m))
    return m.quantize(m("MatMul", x, m.weights(integers(144, 3), STEP)), 2.0**-2, 90)


@case
def codes_of_fewer_bits(m):
    s, z = m.constant(STEP), m.constant(2, np.uint8)
    q = m("QuantizeLinear", "x", s, z)
    q = m("Clip", q, m.constant(0, np.uint8), m.constant(15, np.uint8))
    y = conv(m, m("DequantizeLinear", q, s, z))
    s, z = m.constant(0.25), m.constant(-3, np.int8)
    q = m("Clip", m("QuantizeLinear", y, s, z), m.constant(-8, np.int8), m.constant(7, np.int8))
    return m("DequantizeLinear", q, s, z)


@pytest.mark.parametrize("name", CASES)
def test_dequantized_models_equal_onnxruntime(name: str):
    m, outputs = CASES[name]()
    content = m.output(*outputs)
    x = np.random.default_rng(1).uniform(-2, 6, (5, 3, 8, 6)).astype(np.float32)
    made = imported(content)
    for given, wanted in zip(by_network(made, x), by_onnxruntime(content, x), strict=True):
        assert given.shape == wanted.shape
        assert np.array_equal(given, wanted), int((given != wanted).sum())
        assert len(np.unique(wanted)) > 3
