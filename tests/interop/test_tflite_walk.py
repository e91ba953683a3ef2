"""Small TFLite files, operator by operator, against their own executor in its three kinds."""

from __future__ import annotations

import numpy as np
import pytest

from tests.interop.tflite_models import Model, executed
from vecq_hw.errors import VecqError
from vecq_hw.interop.fixed_point import Semantics
from vecq_hw.interop.tflite_walk import import_tflite
from vecq_hw.layers import Conv2d
from vecq_hw.simulate import simulate
from vecq_hw.simulate.ends import output_arrays

pytest.importorskip("tflite")
judges = pytest.mark.parametrize("semantics", list(Semantics), ids=lambda one: one.value)

RELU, RELU_N1, RELU6 = 1, 2, 3


def seeds(count, *ordinary):
    """Numbers of cases; all but the ordinary ones are nightly."""
    night = [pytest.param(s, marks=pytest.mark.nightly) for s in range(count) if s not in ordinary]
    return pytest.mark.parametrize("seed", [*ordinary, *night])


CONV = {"StrideH": 1, "StrideW": 1, "DilationHFactor": 1, "DilationWFactor": 1, "Padding": 0}


def scale(rng, lo=0.01, hi=0.2):
    return float(np.float32(np.exp(rng.uniform(np.log(lo), np.log(hi)))))


def point(rng):
    return int(rng.integers(-128, 128))


def agree(data: bytes, semantics: Semantics, *inputs, count: int = 6, seed: int = 0):
    """The imported network gives what the executor gives; the import."""
    rng = np.random.default_rng(seed)
    imported = import_tflite(data, semantics.value, "model")
    given = inputs or [
        rng.integers(-128, 128, (count, *end.source_shape)) for end in imported.report.inputs
    ]
    wanted = executed(data, semantics.value, *given)
    codes = {
        end.name: (np.asarray(x, np.int64) - end.zero_point).reshape(len(x), *end.shape)
        for x, end in zip(given, imported.report.inputs, strict=True)
    }
    found = output_arrays(imported.network, simulate(imported.network, codes))
    for expected, end in zip(wanted, imported.report.outputs, strict=True):
        got = found[end.name].astype(int).reshape(len(expected), -1) + end.zero_point
        assert np.array_equal(got, expected.reshape(len(expected), -1).astype(int)), end.source
    return imported


class Chain(Model):
    """A model whose tensors have random scales and zero points."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)
        self.scales: dict[int, float] = {}
        self.points: dict[int, int] = {}

    def codes(self, shape, like: int | None = None, s: float | None = None, z=None) -> int:
        s = scale(self.rng) if s is None else s
        z = point(self.rng) if z is None else z
        if like is not None:
            s, z = self.scales[like], self.points[like]
        made = self.tensor(f"t{len(self.tensors)}", (1, *shape), s, z)
        self.scales[made], self.points[made] = s, z
        return made

    def mac(self, operator, source, shape, weights, axis, activation=0, per_channel=True, bias=True,
            **fields):  # fmt: skip
        outputs = shape[-1]
        ws = self.rng.uniform(0.003, 0.03, outputs if per_channel else 1).astype(np.float32)
        w = self.constant(f"w{len(self.tensors)}", weights.astype(np.int8), ws, axis=axis)
        operands = [source, w]
        if bias:
            values = self.rng.integers(-3000, 3000, outputs).astype(np.int32)
            operands.append(
                self.constant(
                    f"b{len(self.tensors)}", values, (self.scales[source] * ws).astype(np.float32)
                )
            )
        inputs = np.prod(weights.shape) / outputs
        spread = float(np.sqrt(inputs) * 60 * 60 * self.scales[source] * ws.mean() / 60)
        made = self.codes(shape, s=float(np.float32(spread * self.rng.uniform(0.5, 2))))
        self.node(operator, operands, [made], FusedActivationFunction=activation, **fields)
        return made

    def draw(self, *shape):
        return self.rng.integers(-127, 128, shape)


@judges
@seeds(3, 0)
@pytest.mark.parametrize("per_channel", [True, False], ids=["channels", "tensor"])
def test_convolutions_pad_as_the_file_says(semantics, seed, per_channel):
    m = Chain(seed)
    x = m.codes((9, 7, 3))
    stride, dilation = ((1, 2), (2, 1))[seed % 2], ((1, 1), (2, 1))[seed == 2]
    stride = (1, 1) if dilation != (1, 1) else stride
    fields = CONV | {"StrideH": stride[0], "StrideW": stride[1], "DilationHFactor": dilation[0]}
    out = (-(-9 // stride[0]), -(-7 // stride[1]), 8)
    y = m.mac("CONV_2D", x, out, m.draw(8, 4, 2, 3), 0, seed, per_channel, **fields)
    h, w = -(-out[0] // 2), -(-out[1] // 2)
    strided = CONV | {"StrideH": 2, "StrideW": 2}
    y = m.mac("DEPTHWISE_CONV_2D", y, (h, w, 16), m.draw(1, 3, 3, 16), 3, 0, per_channel,
              DepthMultiplier=2, **strided)  # fmt: skip
    imported = agree(m.file([x], [y]), semantics, seed=seed)
    first, second = (one for one in imported.network.layers if isinstance(one, Conv2d))
    assert first.padding[2] >= first.padding[0]
    assert second.groups == 8


@judges
@pytest.mark.parametrize("case", ["phases", "spread", "valid", "apart"])
@pytest.mark.parametrize("bias", [True, False], ids=["bias", ""])
def test_transposed_convolutions(semantics, case, bias):
    """The output's shape, which the file gives, says how much is cut away."""
    m = Chain(17)
    x = m.codes((4, 5, 3))
    kernel, stride, padding, size = {
        "phases": ((2, 4), (2, 2), 0, (8, 10)),
        "spread": ((3, 3), (2, 2), 0, (7, 10)),
        "valid": ((3, 2), (2, 3), 1, (9, 14)),
        "apart": ((2, 2), (3, 3), 1, (11, 14)),
    }[case]
    scales = m.rng.uniform(0.003, 0.03, 6).astype(np.float32)
    w = m.constant("w", m.draw(6, *kernel, 3).astype(np.int8), scales)
    shape = m.constant("shape", np.array([1, *size, 6], np.int32))
    y = m.codes((*size, 6), s=float(np.float32(m.scales[x] * 4)))
    inputs = [shape, w, x]
    if bias:
        values = m.rng.integers(-3000, 3000, 6).astype(np.int32)
        inputs.append(m.constant("b", values, (m.scales[x] * scales).astype(np.float32)))
    fields = {"Padding": padding, "StrideH": stride[0], "StrideW": stride[1]}
    m.node("TRANSPOSE_CONV", inputs, [y], **fields)
    agree(m.file([x], [y]), semantics, count=20)


@judges
@pytest.mark.parametrize("activation", [0, RELU, RELU_N1, RELU6])
@pytest.mark.parametrize("per_channel", [True, False], ids=["channels", "tensor"])
def test_fully_connected_layers_with_every_activation(semantics, activation, per_channel):
    m = Chain(activation)
    x = m.codes((3, 2, 4))
    y = m.mac("FULLY_CONNECTED", x, (12,), m.draw(12, 24), 0, activation, per_channel)
    y = m.mac("FULLY_CONNECTED", y, (5,), m.draw(5, 12), 0, 0, per_channel, bias=False)
    agree(m.file([x], [y]), semantics, count=40)


@judges
@pytest.mark.parametrize("operator", ["FULLY_CONNECTED", "CONV_2D"])
def test_weights_of_four_bits(semantics, operator):
    """XNNPACK leaves the convolution to the built-in kernel."""
    m = Chain(13)
    dense = operator == "FULLY_CONNECTED"
    x = m.codes((15,) if dense else (4, 4, 3))
    weights = m.rng.integers(-8, 8, (5, 15) if dense else (5, 3, 3, 3))
    scales = m.rng.uniform(0.02, 0.1, 5).astype(np.float32)
    w = m.int4("w", weights, scales)
    b = m.constant("b", m.rng.integers(-300, 300, 5).astype(np.int32), m.scales[x] * scales)
    y = m.codes((5,) if dense else (4, 4, 5), s=float(np.float32(m.scales[x] * 0.06 * 9)))
    m.node(operator, [x, w, b], [y], FusedActivationFunction=0, **({} if dense else CONV))
    data = m.file([x], [y])
    if dense and semantics is Semantics.XNNPACK:
        with pytest.raises(VecqError, match="4-bit weights"):
            import_tflite(data, "xnnpack")
        return
    made = agree(data, semantics, count=20)
    assert made.network.mac_layers[0].weights.bits == 4


@judges
def test_a_dense_layer_at_each_position(semantics):
    m = Chain(3)
    x = m.codes((4, 5, 6))
    y = m.mac("FULLY_CONNECTED", x, (4, 5, 7), m.draw(7, 6), 0, KeepNumDims=True)
    agree(m.file([x], [y]), semantics)


@judges
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
@seeds(4, 3)
def test_sums_and_products_of_two_scales(semantics, operator, seed):
    """Both inputs take every code, so that all pairs are met."""
    m = Chain(seed)
    first, second = (m.codes((256, 256, 1)) for _ in range(2))
    if seed == 3:  # ties
        m = Chain(seed)
        first, second = m.codes((256, 256, 1), s=0.125, z=3), m.codes((256, 256, 1), s=0.25, z=-9)
    s = max(m.scales.values()) * (2 if seed % 2 else 0.7)
    s = m.scales[first] * m.scales[second] * 90 if operator == "MUL" else s
    s = {"MUL": 0.5}.get(operator, 0.5) if seed == 3 else s
    y = m.codes((256, 256, 1), s=float(np.float32(s)))
    m.node(operator, [first, second], [y], FusedActivationFunction=(0, RELU, RELU6)[seed % 3])
    a, b = np.meshgrid(np.arange(-128, 128), np.arange(-128, 128))
    agree(m.file([first, second], [y]), semantics, a[None, :, :, None], b[None, :, :, None])


@judges
@pytest.mark.parametrize("operator", ["ADD", "SUB", "MUL"])
@pytest.mark.parametrize("first", [True, False], ids=["constant first", "constant second"])
def test_arithmetic_with_a_constant(semantics, operator, first):
    m = Chain(4)
    x = m.codes((16, 16, 5))
    c = m.constant("c", m.draw(5).astype(np.int8), 0.03, zero_point=11)
    y = m.codes((16, 16, 5), s=float(np.float32(m.scales[x] * (1.7 if operator != "MUL" else 2.9))))
    m.node(operator, [c, x] if first else [x, c], [y], FusedActivationFunction=0)
    x_all = np.resize(np.arange(-128, 128), (1, 16, 16, 5))
    agree(m.file([x], [y]), semantics, x_all)


@judges
def test_a_tensor_added_to_itself(semantics):
    m = Chain(5)
    x = m.codes((256,))
    y = m.codes((256,), s=float(np.float32(m.scales[x] * 2)))
    m.node("ADD", [x, x], [y], FusedActivationFunction=0)
    agree(m.file([x], [y]), semantics, np.arange(-128, 128)[None])


@judges
def test_gates_multiply_each_channel(semantics):
    m = Chain(6)
    x, gate = m.codes((4, 4, 6)), m.codes((1, 1, 6))
    y = m.codes((4, 4, 6), s=float(np.float32(m.scales[x] * m.scales[gate] * 90)))
    m.node("MUL", [x, gate], [y], FusedActivationFunction=0)
    agree(m.file([x, gate], [y]), semantics)


@judges
@pytest.mark.parametrize("z", [-128, 0, 77])
@pytest.mark.parametrize("kernel", [(2, 2), (5, 3)])
def test_pools(semantics, z, kernel):
    m = Chain(7)
    x = m.codes((10, 9, 3), z=z)
    h, w = 10 // kernel[0], 9 // kernel[1]
    fields = {"FilterHeight": kernel[0], "FilterWidth": kernel[1],
              "StrideH": kernel[0], "StrideW": kernel[1]}  # fmt: skip
    y = m.codes((h, w, 3), like=x)
    m.node("AVERAGE_POOL_2D", [x], [y], Padding=1, FusedActivationFunction=RELU, **fields)
    p = m.codes((-(-10 // 2), -(-9 // 2), 3), like=x)
    m.node("MAX_POOL_2D", [x], [p], Padding=0, FusedActivationFunction=RELU6, StrideH=2, StrideW=2,
           FilterHeight=3, FilterWidth=3)  # fmt: skip
    agree(m.file([x], [y, p]), semantics, count=30)


@judges
@seeds(4, 0, 3)
def test_means(semantics, seed):
    m = Chain(seed)
    height, width = (5, 7, 4, 1)[seed], (7, 7, 4, 3)[seed]
    ratio = (2.0, 1.0, 4.0, 0.37)[seed]  # ties in all but the last
    x = m.codes((height, width, 400))
    y = m.codes((400,), s=float(np.float32(m.scales[x] * ratio)))
    m.node("MEAN", [x, m.constant("axes", np.array([1, 2], np.int32))], [y], KeepDims=False)
    rng = np.random.default_rng(seed)
    base = rng.integers(-128, 128, (20, 1, 1, 400))
    x_all = np.clip(base + rng.integers(-9, 10, (20, height, width, 400)), -128, 127)
    agree(m.file([x], [y]), semantics, x_all)


@judges
@seeds(8, 0, 3)
@pytest.mark.parametrize(
    "operator",
    ["QUANTIZE", "RELU", "RELU6", "RELU_N1_TO_1", "LEAKY_RELU", "HARD_SWISH", "LOGISTIC", "TANH"],
)
def test_functions_of_a_code(semantics, operator, seed):
    """Every code; behind it a sum, so that a logistic is no end that is left out."""
    m = Chain(seed)
    ratio = (1.3, 0.21, 2.0, 8.0, 0.5, 3.1, 1.0, 0.9)[seed]
    x = m.codes((256,))
    fixed = {"LOGISTIC": (1 / 256, -128), "TANH": (1 / 128, 0)}.get(operator)
    s, z = fixed or (float(np.float32(m.scales[x] / ratio)), None)
    y = m.codes((256,), s=s, z=z)
    m.node(operator, [x], [y], **({"Alpha": 0.1 + 0.03 * seed} if operator == "LEAKY_RELU" else {}))
    last = m.codes((256,), s=s, z=0)
    m.node("ADD", [y, m.constant("zero", np.zeros(1, np.int8), s)], [last],
           FusedActivationFunction=0)  # fmt: skip
    agree(m.file([x], [last]), semantics, np.arange(-128, 128)[None])


@judges
def test_codes_that_only_move(semantics):
    """Padding, joins, slices, blocks, resizes; each result is an output of its own."""
    m = Chain(8)
    x = m.codes((6, 4, 8))

    def moved(operator, shape, *operands, **fields):
        y = m.codes(shape, like=x)
        m.node(operator, [x, *operands], [y], **fields)
        return y

    def ints(*values):
        array = np.array(values, np.int32)
        return m.constant(f"c{len(m.tensors)}", array)

    pads = [[0, 0], [1, 2], [0, 3], [0, 0]]
    outputs = [
        moved("PAD", (9, 7, 8), ints(*pads)),
        moved("PAD", (6, 4, 11), ints([0, 0], [0, 0], [0, 0], [1, 2])),
        moved("RESHAPE", (24, 8), ints(1, 24, 8)),
        moved("STRIDED_SLICE", (6, 2, 3), ints(0, 0, 0, 1), ints(1, 6, 4, 7), ints(1, 1, 2, 2),
              BeginMask=0, EndMask=0, EllipsisMask=0, NewAxisMask=0, ShrinkAxisMask=0),
        moved("SLICE", (6, 4, 3), ints(0, 0, 0, 2), ints(1, 6, 4, 3)),
        moved("TRANSPOSE", (8, 6, 4), ints(0, 3, 1, 2)),
        moved("RESIZE_NEAREST_NEIGHBOR", (12, 12, 8), ints(12, 12)),
        moved("RESIZE_NEAREST_NEIGHBOR", (9, 5, 8), ints(9, 5), HalfPixelCenters=True),
        moved("RESIZE_NEAREST_NEIGHBOR", (9, 7, 8), ints(9, 7), AlignCorners=True),
        moved("CONCATENATION", (6, 4, 16), x, Axis=3, FusedActivationFunction=0),
    ]  # fmt: skip
    one, two = m.codes((6, 4, 4), like=x), m.codes((6, 4, 4), like=x)
    m.node("SPLIT", [ints(3), x], [one, two], NumSplits=2)
    agree(m.file([x], [*outputs, one, two]), semantics, count=2)


@judges
def test_padding_before_a_convolution_is_its_own(semantics):
    m = Chain(9)
    x = m.codes((6, 6, 3))
    y = m.codes((8, 8, 3), like=x)
    pads = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)
    m.node("PAD", [x, m.constant("p", pads)], [y])
    fields = CONV | {"Padding": 1, "StrideH": 2, "StrideW": 2}
    z = m.mac("CONV_2D", y, (3, 3, 5), m.draw(5, 3, 3, 3), 0, **fields)
    imported = agree(m.file([x], [z]), semantics)
    (conv,) = (one for one in imported.network.layers if isinstance(one, Conv2d))
    assert conv.padding == (1, 1, 1, 1)
    assert len(imported.network.layers) == 2


@judges
def test_reals_at_both_ends_are_codes_within(semantics):
    m = Chain(10)
    x = m.tensor("reals", (1, 4), dtype=np.float32)
    q = m.codes((4,))
    m.node("QUANTIZE", [x], [q])
    y = m.mac("FULLY_CONNECTED", q, (3,), m.draw(3, 4), 0)
    out = m.tensor("out", (1, 3), dtype=np.float32)
    m.node("DEQUANTIZE", [y], [out])
    data = m.file([x], [out])
    imported = import_tflite(data, semantics.value, "model")
    (end,), (last,) = imported.report.inputs, imported.report.outputs
    assert (end.kind, last.kind) == ("reals", "reals")
    reals = np.random.default_rng(0).normal(0, 40 * end.step, (50, 4)).astype(np.float32)
    wanted = executed(data, semantics.value, reals)[0]
    scaled = reals / np.float32(end.step)
    codes = np.clip(np.rint(scaled) + end.zero_point, -128, 127).astype(int) - end.zero_point
    found = np.asarray(simulate(imported.network, codes)).astype(int).reshape(50, 3)
    assert np.array_equal((found * np.float32(last.step)).astype(np.float32), wanted)


def test_what_is_left_to_the_host_is_told():
    m = Chain(11)
    x = m.codes((5,))
    y = m.mac("FULLY_CONNECTED", x, (4,), m.draw(4, 5), 0)
    s = m.codes((4,), s=1 / 256, z=-128)
    m.node("SOFTMAX", [y], [s], Beta=1.0)
    report = import_tflite(m.file([x], [s])).report
    assert report.dropped == (f"SOFTMAX t{s}",)
    assert report.outputs[0].source == f"t{y}"
    assert report.semantics == "ruy"
