from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import networks, random_inputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import (
    Add,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Flatten,
    Input,
    Lookup,
    MaxPool2d,
    Multiply,
    Rescale,
    Subtract,
    SumPool2d,
    Threshold,
    TopK,
    Upsample2d,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.passes.widths import wrap_accumulators
from vecq_hw.simulate import simulate

U8 = IntFormat(8, False)
X = Input(name="x", shape=(3,), format=U8)
IMAGE = Input(name="x", shape=(4, 4, 1), format=U8)


def dense(name="fc", source="x", shape=(2, 3), **changes):
    weights = Weights(codes=np.zeros(shape, int), grid=MidRise(2))
    return Dense(**{"name": name, "input": source, "weights": weights, **changes})


def conv(shape=(2, 3, 3, 1), **changes):
    weights = Weights(codes=np.zeros(shape, int), grid=MidRise(2))
    return Conv2d(**{"name": "conv", "input": "x", "weights": weights, **changes})


def rescale(**changes):
    fields = {"mantissa": [1, 1], "offset": [0, 0], "shift": 4, "format": U8}
    return Rescale(**{"name": "rescale", "input": "fc", **fields, **changes})


def lookup(table):
    return Lookup(name="map", input="x", table=table, format=IntFormat(4, True))


def constant(values, **changes):
    fields = {"name": "c", "format": IntFormat(8, True), **changes}
    return Constant(values=np.array(values, int), **fields)


def network(*layers, source=X, outputs=None):
    return Network(name="n", inputs=(source,), layers=layers, outputs=outputs or (layers[-1].name,))


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (lambda: network(dense(), dense()), "two layers are called 'fc'"),
        (lambda: network(dense(name="")), "a layer has an empty name"),
        (lambda: network(dense(source="y")), "layer 'fc' reads 'y', which no earlier layer makes"),
        (lambda: network(dense(), outputs=("z",)), "the output 'z' is made by no layer"),
        (lambda: network(dense(shape=(2, 4))), "the weights take 4 inputs, but 'x' has 3"),
        (lambda: network(dense(shape=(2, 3, 1))), "the weights have the shape (2, 3, 1)"),
        (lambda: network(dense(), source=IMAGE), "takes (C,); flatten the image first"),
        (lambda: network(dense(bias=[1])), "the bias has the shape (1,), not (2,)"),
        (lambda: network(dense(accumulator_bits=0)), "1 to 63 bits, not 0"),
        (
            lambda: network(dense(weights=Weights(codes=[[2, 0, 0]], grid=MidRise(2)))),
            "the codes 0..2 do not fit 2 bits (-2..1)",
        ),
        (
            lambda: network(dense(weights=Weights(codes=[[0] * 3], grid=MidRise(2), step=0.0))),
            "the weight step must be positive and finite",
        ),
        (lambda: network(conv(), source=X), "but takes (H, W, C)"),
        (lambda: network(conv(shape=(2, 3, 3, 2)), source=IMAGE), "the kernel takes 2 channels"),
        (lambda: network(conv(shape=(2, 5, 5, 1)), source=IMAGE), "(5, 5) does not fit the image"),
        (
            lambda: network(conv(stride=(0, 1)), source=IMAGE),
            "stride (0, 1) and dilation (1, 1) must be positive",
        ),
        (lambda: network(conv(dilation=(0, 1)), source=IMAGE), "dilation (0, 1) must be positive"),
        (lambda: network(conv(dilation=(2, 2)), source=IMAGE), "dilated (2, 2) does not fit"),
        (lambda: network(conv(groups=3), source=IMAGE), "3 groups do not divide 1 channels"),
        (
            lambda: network(Add(name="a", inputs=("x", "fc")), source=X),
            "layer 'a' reads 'fc', which no earlier layer makes",
        ),
        (lambda: network(Add(name="a", inputs=()), source=X), "layer 'a': it reads nothing"),
        (
            lambda: network(dense(shape=(3, 3)), Concat(name="a", inputs=("x", "fc"))),
            "'x' is u8, but 'fc' is s11[0..765]; one format is wanted",
        ),
        (
            lambda: network(constant([1, 2, 3], step=0.5), Add(name="a", inputs=("x", "c"))),
            "'x' has the step 1, but 'c' 0.5; one step is wanted",
        ),
        (
            lambda: network(constant([1, 2]), Subtract(name="a", inputs=("x", "c"))),
            "'x' has the shape (3,), but 'c' (2,)",
        ),
        (lambda: network(Subtract(name="a", inputs=("x",))), "it reads 1 tensors; two are wanted"),
        (
            lambda: network(Multiply(name="a", inputs=("x", "x", "x"))),
            "it reads 3 tensors; two are wanted",
        ),
        (
            lambda: network(constant([1]), Multiply(name="a", inputs=("x", "c"))),
            "'x' has the shape (3,), but 'c' (1,); the same or one value for each",
        ),
        (
            lambda: network(constant([[[1], [2]]]), Multiply(name="a", inputs=("c", "x"))),
            "'c' has the shape (1, 2, 1), but 'x' (3,); the same or one value",
        ),
        (
            lambda: network(
                Multiply(name="m0", inputs=("x", "x")),
                Multiply(name="m1", inputs=("m0", "m0")),
                Multiply(name="m2", inputs=("m1", "m1")),
            ),
            "1 to 63 bits",
        ),
        (lambda: network(constant([300])), "the values 300..300 leave -128..127 (s8)"),
        (lambda: network(constant([1], step=0.0)), "the step must be positive"),
        (lambda: network(constant([])), "sizes of at least 1, not (0,)"),
        (lambda: network(constant([[1]])), "the shape must be (C,) or (H, W, C)"),
        (
            lambda: network(constant([1]), Add(name="a", inputs=("c", "c"))),
            "layer 'a' reads constants alone",
        ),
        (lambda: network(dense(), constant([1])), "the output 'c' is a constant"),
        (
            lambda: network(rescale(input="x", mantissa=[[1] * 3], rows=[0, 0])),
            "the rows have the shape (2,), not (1,), a class for each position",
        ),
        (
            lambda: network(rescale(input="x", mantissa=[[1] * 3], offset=[[0] * 3], rows=[1])),
            "the classes of positions reach from 1 to 1, not from 0 to 0",
        ),
        (
            lambda: network(rescale(input="x", mantissa=[1] * 3, rows=[0])),
            "mantissa and offset have the shapes (3,) and",
        ),
        (
            lambda: network(dense(), rescale(step=0.5), Concat(name="c", inputs=("x", "rescale"))),
            "'x' has the step 1, but 'rescale' 0.5",
        ),
        (
            lambda: network(dense(), rescale(), Add(name="a", inputs=("x", "rescale"))),
            "'x' has the shape (3,), but 'rescale' (2,)",
        ),
        (
            lambda: network(Upsample2d(name="u", input="x", factor=(0, 1)), source=IMAGE),
            "the factors must be at least 1",
        ),
        (
            lambda: network(
                MaxPool2d(name="p", input="x", kernel=(2, 2), stride=(2, 2), padding=(2, 0)),
                source=IMAGE,
            ),
            "padding (2, 0, 2, 0) holds nothing of the image (",
        ),
        (lambda: network(dense(), rescale(mantissa=[1])), "mantissa and offset have the shapes"),
        (lambda: network(dense(), rescale(shift=0)), "the shift must be 1 to 62, not 0"),
        (lambda: network(dense(), rescale(shift=63)), "the shift must be 1 to 62, not 63"),
        (lambda: network(dense(), rescale(step=float("nan"))), "the step must be positive"),
        (
            lambda: network(dense(), rescale(mantissa=[1, 2**60])),
            "channel 1: accumulator * 1152921504606846976 + 0 leaves ±2^62",
        ),
        (lambda: network(dense(), source=replace(X, shape=(0,))), "with sizes of at least 1"),
        (lambda: network(dense(), source=replace(X, step=-1.0)), "step must be positive"),
        (lambda: network(conv(stride=(1, 2**63)), source=IMAGE), "and all below 2^31"),
        (lambda: network(conv(dilation=(2**31, 1)), source=IMAGE), "and all below 2^31"),
        (lambda: network(conv(padding=(0, 2**64)), source=IMAGE), "and all below 2^31"),
        (lambda: network(conv(padding=(2**20, 2**20)), source=IMAGE), "more than 2^31 - 1 pixels"),
        (
            lambda: network(Upsample2d(name="u", input="x", factor=(1, 2**63)), source=IMAGE),
            "below 2^31",
        ),
        (
            lambda: network(Upsample2d(name="u", input="x", factor=(2**20, 2**20)), source=IMAGE),
            "layer 'u': a tensor of the shape (4194304, 4194304, 1) holds more than 2^31 - 1",
        ),
        (
            lambda: network(dense(), source=replace(X, shape=(1 << 20, 1 << 20, 3))),
            "input 'x': a tensor of the shape (1048576, 1048576, 3) holds more than 2^31 - 1",
        ),
        (
            lambda: network(
                dense(weights=Weights(codes=[[0] * 3], grid=MidRise(2), step=1e-200)),
                source=replace(X, step=1e-200),
            ),
            "layer 'fc': the step must be positive and finite, not 0.0",
        ),
        (
            lambda: network(
                Threshold(
                    name="t",
                    input="x",
                    thresholds=[[2**63 - 1, -(2**63)]] * 3,  # their difference wraps to 1
                    falling=[0] * 3,
                    format=IntFormat(2, False, 0, 2),
                )
            ),
            "the thresholds of a channel must ascend",
        ),
        (
            lambda: network(
                lookup(np.zeros((1, 256), int)), source=replace(X, format=IntFormat(13, False))
            ),
            "layer 'map': it reads 13 bits; a table takes at most 12, so put a Rescale before it",
        ),
        (
            lambda: network(lookup(np.zeros((2, 256), int))),
            "layer 'map': the table has the shape (2, 256), not (1, 256) or (3, 256): an entry for",
        ),
        (
            lambda: network(lookup(np.full((3, 256), 8))),
            "layer 'map': the entries 8..8 leave -8..7 (s4)",
        ),
        (
            lambda: network(TopK(name="best", input="x", count=4)),
            "layer 'best': it gives 1 to 3 of so many channels, not 4",
        ),
    ],
)
def test_an_illegal_network_is_refused_in_one_sentence(build, says):
    with pytest.raises(VecqError) as error:
        build()
    assert says in str(error.value)


def test_weights_of_floats_and_of_too_wide_integers_are_refused():
    with pytest.raises(VecqError, match="an integer array is wanted, not one of type float64"):
        Weights(codes=np.zeros((2, 3)), grid=MidRise(2))
    with pytest.raises(VecqError, match="do not fit 16 bits"):
        Weights(codes=np.full((2, 3), 2**15), grid=MidRise(16))


def test_arrays_are_copies_and_read_only():
    codes = np.zeros((2, 3), int)
    weights = Weights(codes=codes, grid=MidRise(2))
    codes[0, 0] = 1
    assert weights.codes[0, 0] == 0
    with pytest.raises(ValueError, match="read-only"):
        weights.codes[0, 0] = 1


def test_the_product_limit_is_exact():
    """Rule 4: the greatest product may be 2^62 - 1 but not 2^62, the least may be -2^62."""
    one = Input(name="x", shape=(1,), format=IntFormat(1, False))
    first = dense(shape=(1, 1), weights=Weights(codes=[[0]], grid=MidRise(1)))
    for offset, fits in ((2**62 - 2, True), (2**62 - 1, False), (-(2**62), True)):
        layers = (first, rescale(mantissa=[1], offset=[offset]))
        if fits:
            network(*layers, source=one)
        else:
            with pytest.raises(VecqError, match="leaves"):
                network(*layers, source=one)


@settings(max_examples=60, deadline=None)
@given(networks(max_layers=1), st.integers(0, 2**32))
def test_proven_ranges_hold_and_are_reached(net, seed):
    x = random_inputs(net, 4, seed)
    taps = simulate(net, x, taps=list(net.tensors))
    for name, tensor in net.tensors.items():
        assert taps[name].shape[1:] == tensor.shape
        assert tensor.format.contains(int(taps[name].min()), int(taps[name].max())), name


def test_the_accumulator_range_is_tight():
    weights = Weights(codes=[[1, -2, 0]], grid=MidRise(2))  # values 3, -3, 1
    layer = dense(weights=weights, bias=[10])
    assert layer.accumulator_range(IntFormat(8, False)) == (-3 * 255 + 10, 4 * 255 + 10)
    assert layer.accumulator_range(IntFormat(8, False, 2, 5)) == (4 * 2 - 15 + 10, 4 * 5 - 6 + 10)


def test_padding_lets_code_zero_into_the_range():
    weights = Weights(codes=np.zeros((1, 1, 1, 1), int), grid=MidRise(1))
    tight = IntFormat(8, False, 5, 9)
    padded = conv(weights=weights, padding=(1, 1))
    assert conv(weights=weights).accumulator_range(tight) == (5, 9)
    assert padded.accumulator_range(tight) == (0, 9)
    assert replace(padded, pad_code=11).accumulator_range(tight) == (5, 11)
    assert replace(padded, padding=(0, 0, 0, 2), pad_code=2).accumulator_range(tight) == (2, 9)
    assert conv(weights=weights, pad_code=11).accumulator_range(tight) == (5, 9)


def test_an_accumulator_beyond_int64_is_refused():
    wide = Input(name="x", shape=(1,), format=IntFormat(60, True))
    huge = dense(weights=Weights(codes=[[2**15 - 1]], grid=MidRise(16)))
    with pytest.raises(VecqError, match="layer 'fc': the accumulator would need more than 63 bits"):
        network(huge, source=wide)


def test_wrapping_takes_effect_only_where_it_is_narrower():
    wrapped = wrap_accumulators(network(dense()), 5)
    assert wrapped.tensors["fc"].format == IntFormat(5, True)
    exact = wrap_accumulators(network(dense()), 40)
    assert exact.tensors["fc"].format == network(dense()).tensors["fc"].format


def test_repr_is_short_and_flatten_is_free():
    net = network(
        Flatten(name="flat", input="x"), dense(source="flat", shape=(2, 16)), source=IMAGE
    )
    assert "Dense(fc: 16→2, 2-bit)" in repr(net)
    x = random_inputs(net, 2, 0)
    assert np.array_equal(simulate(net, x, taps=["flat"])["flat"], x.reshape(2, 16))


def test_sums_keep_the_sign_of_their_format_and_stay_tight():
    pool = SumPool2d(name="p", input="x", kernel=(2, 2), stride=(2, 2))
    assert network(pool, source=IMAGE).tensors["p"].format == IntFormat(10, False, 0, 1020)
    tight = replace(IMAGE, format=IntFormat(8, True, -100, -3))
    assert network(pool, source=tight).tensors["p"].format == IntFormat(10, True, -400, -12)
    padded = replace(pool, padding=(1, 1))
    assert network(padded, source=tight).tensors["p"].format == IntFormat(10, True, -400, 0)
    total = Add(name="a", inputs=("x", "x"))
    assert network(total, source=IMAGE).tensors["a"].format == IntFormat(9, False, 0, 510)


@pytest.mark.parametrize(
    ("build", "says"),
    [
        (
            lambda: network(conv(stride=2), source=IMAGE),
            r"'conv'.stride is 2, but tuple\[int",
        ),
        (lambda: network(conv(padding=(1,)), source=IMAGE), r"'conv'.padding has 1 items; 4 are"),
        (
            lambda: network(conv(dilation=(1.0, 1.0)), source=IMAGE),
            r"dilation\[0\] is 1.0, but",
        ),
        (
            lambda: network(conv(groups="1"), source=IMAGE),
            "'conv'.groups is '1', but int is",
        ),
        (
            lambda: network(dense(weights=np.zeros((2, 3)))),
            "weights is array.* but Weights or ProductWeights or BinaryBases is",
        ),
        (lambda: network(dense(source=None)), "'fc'.input is None, but str is wanted"),
        (
            lambda: network(dense(accumulator_bits=20.5)),
            "accumulator_bits is 20.5, but int or",
        ),
        (lambda: network(dense(), rescale(format=8)), "'rescale'.format is 8, but IntFormat is"),
        (lambda: network(dense(), rescale(shift=None)), "an integer array is wanted"),
        (lambda: network(Add(name="sum", inputs="x")), r"'sum'.inputs is 'x', but tuple\[str"),
        (lambda: network(X), "layer 'x' is Input.* is wanted"),
        (lambda: Network(name="n", inputs=X, layers=(), outputs=()), "has a tuple of inputs, not"),
        (
            lambda: Network(name=5, inputs=(X,), layers=(), outputs=()),
            "of a network is 5, but",
        ),
        (lambda: MidRise("2"), "weights have 1 to 16 bits, not '2'"),
        (lambda: IntFormat(8.0, True), "an integer format has 1 to 63 bits, not 8.0"),
        (lambda: IntFormat(8, True, -1.5), "ends of an integer format are whole numbers, not -1.5"),
    ],
)
def test_fields_of_other_kinds_are_refused_in_a_sentence(build, says):
    with pytest.raises(VecqError, match=says):
        build()


def test_whole_numbers_of_any_kind_are_taken():
    made = network(conv(stride=(np.int64(2), np.uint8(2))), source=IMAGE)
    assert made.tensors["conv"].shape == (1, 1, 2)
    assert IntFormat(np.int64(63), True, np.int64(-5)).lo == -5
    assert MidRise(np.uint8(16)).value_format.hi == 65535


@pytest.mark.parametrize(
    ("rows", "lines", "classes"),
    [
        ([0, 1, 1, 0], [[3, 5], [7, 9]], 2),
        ([2, 0, 2, 2], [[3, 5], [7, 9], [3, 6]], 2),
        ([2, 1, 0, 2], [[3, 5], [3, 5], [4, 4]], 2),
        ([1, 1, 1, 1], [[3, 5], [7, 9]], 1),
        ([0, 1, 2, 1], [[3, 5], [3, 5], [3, 5]], 1),
    ],
)
def test_classes_that_no_position_has_and_those_alike_are_left_out(rows, lines, classes):
    image = Input(name="x", shape=(2, 2, 2), format=U8)
    layer = rescale(input="x", mantissa=lines, offset=np.array(lines) * 8, rows=rows)
    used = layer.of_used_classes()
    assert used.classes == classes
    assert (used is layer) == (classes == len(lines))
    assert (used.rows is None) == (classes == 1)
    x = np.random.default_rng(0).integers(0, 256, (20, 2, 2, 2))
    expected, found = (simulate(network(one, source=image), x) for one in (layer, used))
    assert (found == expected).all()
