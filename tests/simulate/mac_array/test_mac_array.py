"""The systolic arrays: the integers of the simulator, and the closed forms of what they take."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import MID_RISE, networks, random_inputs, weights
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise, TwosComplement
from vecq_hw.layers import Conv2d, Dense, Input, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.simulate.mac_array import (
    ArrayKind,
    ArraySize,
    array_cost,
    bit_serial,
    cycles_bit_serial,
    cycles_output_stationary,
    cycles_weight_stationary,
    matrix_product,
    network_costs,
    output_stationary,
    weight_stationary,
)

RUN = {
    ArrayKind.WEIGHT_STATIONARY: weight_stationary,
    ArrayKind.OUTPUT_STATIONARY: output_stationary,
    ArrayKind.BIT_SERIAL: bit_serial,
}
CYCLES = {
    ArrayKind.WEIGHT_STATIONARY: cycles_weight_stationary,
    ArrayKind.OUTPUT_STATIONARY: cycles_output_stationary,
    ArrayKind.BIT_SERIAL: cycles_bit_serial,
}
kinds = pytest.mark.parametrize("kind", list(ArrayKind), ids=lambda kind: kind.value)
sizes = st.builds(ArraySize, rows=st.integers(1, 7), columns=st.integers(1, 7))


@st.composite
def single_layers(draw) -> Network:
    """One Dense or Conv2d of every kind: strides, padding, dilation, groups, bias, wrapping."""
    bits = draw(st.integers(1, 4) | st.integers(1, 16))
    bits_in = draw(st.integers(1, 8))
    source_format = IntFormat(bits_in, draw(st.booleans()))
    wrap = draw(st.sampled_from([None, None, 7]))
    dense, biased = draw(st.booleans()), draw(st.booleans())
    few = st.integers(1, 3)
    groups = 1 if dense else draw(few)
    outputs = groups * draw(st.integers(1, 12 if dense else 4))
    bias = np.arange(outputs) * 37 - 100 if biased else None
    if dense:
        shape = (draw(st.integers(1, 20)),)
        taken = draw(weights((outputs, *shape), MidRise(bits)))
        layer = Dense(name="y", input="x", weights=taken, bias=bias, accumulator_bits=wrap)
    else:
        channels, kernel = draw(few), draw(st.tuples(few, few))
        shape = (draw(st.integers(3, 5)), draw(st.integers(3, 5)), groups * channels)
        pair = st.tuples(st.integers(1, 2), st.integers(1, 2))
        layer = Conv2d(
            name="y",
            input="x",
            weights=draw(weights((outputs, *kernel, channels), MidRise(bits))),
            bias=bias,
            stride=draw(pair),
            dilation=draw(pair) if max(kernel) < 3 else (1, 1),
            padding=draw(st.tuples(*[st.integers(0, 2)] * 4)),
            pad_code=draw(st.sampled_from([0, source_format.lo, source_format.hi])),
            groups=groups,
            accumulator_bits=wrap,
        )
    source = Input(name="x", shape=shape, format=source_format)
    return Network(name="one", inputs=(source,), layers=(layer,), outputs=("y",))


@kinds
@settings(max_examples=60, deadline=None)
@given(single_layers(), sizes, st.integers(1, 3), st.integers(0, 2**32))
def test_an_array_gives_the_simulators_integers_at_the_cost_of_the_closed_form(
    kind, network, array, samples, seed
):
    layer, x = network.layers[0], random_inputs(network, samples, seed)
    run = RUN[kind](layer, x, array, network.inputs[0].format)
    expected = simulate(network, x)
    assert run.outputs.dtype == expected.dtype
    assert np.array_equal(run.outputs, expected)
    product = matrix_product(layer, network.tensors["x"], samples)
    assert run.cost == array_cost(kind, product, array)
    assert run.cycles == CYCLES[kind](product, array)
    assert run.cost.macs == samples * math.prod(expected.shape[1:]) * layer.inputs_of_one_output
    assert 0 < run.utilisation <= 1


@kinds
def test_a_layer_of_hand_counted_cycles(kind):
    """One tile of 2×2: 2 positions, 2 taps, 2 outputs, 2 bits, 4-bit inputs, no bias."""
    layer = Dense(
        name="y",
        input="x",
        weights=Weights(codes=np.array([[0, 1], [-1, -2]]), grid=MidRise(2)),
    )
    x = np.array([[1, 2], [3, 15]])
    run = RUN[kind](layer, x, ArraySize(rows=2, columns=2), IntFormat(4, False))
    assert run.outputs.tolist() == [[1 + 6, -1 - 6], [3 + 45, -3 - 45]]
    # Rows and columns of the last element are 2 behind; 2 words to load or to drain, 1 to write.
    words = 4 if kind is ArrayKind.BIT_SERIAL else 2
    assert run.cycles == words + 2 + 2 + 1
    assert run.utilisation == 4 * words / (4 * run.cycles)
    passes = words // 2
    # Accumulators have 7 bits (±15 * 4).  Each of the 4 activations crosses 2 columns a pass.
    assert run.traffic.register.activations == 4 * 2 * passes * 4 // 8
    assert run.traffic.buffer.activations == 4 * passes * 4 // 8
    assert run.traffic.buffer.weights == 1
    assert run.traffic.buffer.sums == math.ceil(4 * 7 / 8)
    assert (run.traffic.external.activations, run.traffic.external.sums) == (2, 4)
    if kind is ArrayKind.WEIGHT_STATIONARY:
        # Row 0 keeps and swaps, row 1 has one hop more; 2 columns.  8 sums pass.
        assert run.traffic.register.weights == math.ceil((2 + 3) * 2 * 2 / 8)
        assert run.traffic.register.sums == 8 * 7 // 8
    else:
        assert run.traffic.register.weights == 4 * 2 * passes * (2 // passes) // 8
        # Each addition, each result register, and 2 + 1 hops out of each column.
        assert run.traffic.register.sums == math.ceil((8 * passes + 4 + 6) * 7 / 8)


@kinds
def test_a_stream_as_long_as_the_array_keeps_it_busy(kind):
    """Loading and draining hide behind the work: full tiles one behind the other, no gap."""
    rng = np.random.default_rng(0)
    taken = Weights(codes=rng.integers(-1, 1, (16, 64)), grid=MidRise(1))
    layer = Dense(name="y", input="x", weights=taken)
    run = RUN[kind](layer, rng.integers(0, 16, (64, 64)), ArraySize(rows=8, columns=4))
    tiles = 32
    assert run.cycles == tiles * 64 + 2 * 8 + 4 - 1
    assert run.utilisation == tiles * 64 / run.cycles


def test_the_narrowest_format_is_taken_for_inputs_without_one():
    layer = Dense(
        name="y", input="x", weights=Weights(codes=np.zeros((1, 8), int), grid=MidRise(1))
    )
    few, many = (
        weight_stationary(layer, np.full((1, 8), most), ArraySize(rows=8, columns=1)).traffic
        for most in (1, 255)
    )
    assert few.buffer.activations == 1
    assert many.buffer.activations == 8


def test_the_bit_serial_array_refuses_codes_that_are_no_binary_bases():
    taken = Weights(codes=np.array([[0, 1]]), grid=TwosComplement(2))
    layer = Dense(name="y", input="x", weights=taken)
    with pytest.raises(VecqError, match=r"layer 'y': .* takes the mid-rise grid .* TwosComplement"):
        bit_serial(layer, np.ones((1, 2), int), ArraySize(rows=1, columns=1))


@settings(max_examples=25, deadline=None)
@given(networks(kinds=MID_RISE), sizes)
def test_the_costs_of_a_network_are_those_of_its_layers(network, array):
    x = random_inputs(network, 1, 0)
    for kind, run in RUN.items():
        costs = network_costs(network, kind, array)
        layers = [la for la in network.layers if isinstance(la, Dense | Conv2d)]
        assert list(costs) == [layer.name for layer in layers]
        taps = simulate(network, x, taps=[name for la in layers for name in (la.input, la.name)])
        layer = layers[-1]
        source = network.tensors[layer.input].format
        found = run(layer, taps[layer.input], array, source)
        assert found.cost == costs[layer.name]
        assert np.array_equal(found.outputs, taps[layer.name])


@kinds
@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((1, 3)), "integers of the shape (N, C) or (N, H, W, C)"),
        (np.zeros((0, 3), int), "N at least 1"),
        (np.zeros((1, 4), int), "take 3 inputs, but 'x' has 4"),
        (np.zeros((1, 2, 2, 3), int), "flatten the image first"),
        (np.full((1, 3), 16), "the codes 16..16 leave 0..15"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(kind, x, says):
    layer = Dense(
        name="y", input="x", weights=Weights(codes=np.zeros((2, 3), int), grid=MidRise(1))
    )
    with pytest.raises(VecqError) as error:
        RUN[kind](layer, x, ArraySize(rows=2, columns=2), IntFormat(4, False))
    assert says in str(error.value)


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (1, 0), (-3, 2)])
def test_an_array_without_elements_is_refused(rows, columns):
    with pytest.raises(VecqError, match="at least 1 row and 1 column"):
        ArraySize(rows=rows, columns=columns)


@kinds
def test_a_bias_is_fetched_once_and_read_once_a_tile(kind):
    """Accumulators of 8 bits, so that each sum is a byte."""
    taken = Weights(codes=np.array([[0, 1, -2], [-1, -2, 1]]), grid=MidRise(2))
    plain, biased = (
        Dense(name="y", input="x", weights=taken, bias=bias, accumulator_bits=8)
        for bias in (None, np.array([100, -100]))
    )
    x, array, source = np.full((5, 3), 9), ArraySize(rows=2, columns=2), IntFormat(6, False)
    without, with_bias = (RUN[kind](layer, x, array, source).traffic for layer in (plain, biased))
    assert with_bias.external.sums - without.external.sums == 2
    tiles = 1 if kind is ArrayKind.WEIGHT_STATIONARY else 3  # of positions
    assert with_bias.buffer.sums - without.buffer.sums == 2 * tiles
    assert with_bias.register == without.register
