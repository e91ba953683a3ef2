"""The folded unit: saturation in the order of the array, wrapping in any order."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain
from tests.strategies import graphs, networks, random_inputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise, TwosComplement
from vecq_hw.layers import Conv2d, Dense, Input, Lookup, ProductWeights, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.passes.widths import fitted, wrap_accumulators
from vecq_hw.schedule import (
    Fold,
    FoldKind,
    Schedule,
    default_schedule,
    streaming_folds,
)
from vecq_hw.simulate import simulate
from vecq_hw.simulate.mac_array import (
    folded,
    saturating_outputs,
    simulate_saturating,
    wrapping_outputs,
)


def _mac_layers(network):
    return [la for la in network.layers if isinstance(la, Dense | Conv2d)]


@st.composite
def _schedules(draw, network):
    return Schedule(
        folds={
            layer.name: draw(st.sampled_from(streaming_folds(layer)))
            for layer in _mac_layers(network)
        }
    )


@settings(max_examples=75, deadline=None)
@given(st.data(), networks() | graphs(), st.integers(1, 20), st.integers(0, 2**32))
def test_saturation_equals_plain_python_integers_in_the_arrays_order(data, network, bits, seed):
    schedule = data.draw(_schedules(network))
    x = random_inputs(network, 2, seed)
    values = simulate(network, x, taps=list(network.tensors))
    for layer in _mac_layers(network):
        fold, source = schedule.folds[layer.name], network.tensors[layer.input].format
        found, overflows = saturating_outputs(layer, fold, values[layer.input], bits, source)
        expected, count = _saturating(layer, fold.simd, values[layer.input], bits)
        assert found.reshape(-1).tolist() == expected
        assert overflows == count


@settings(max_examples=75, deadline=None)
@given(st.data(), networks() | graphs(), st.integers(1, 30), st.integers(0, 2**32))
def test_wrapping_is_the_simulators_for_every_fold(data, network, bits, seed):
    schedule = data.draw(_schedules(network))
    if any(isinstance(layer, Lookup) for layer in network.layers):
        bits = min(bits, 12)  # a table reads no more
    network = wrap_accumulators(network, bits)
    x = random_inputs(network, 2, seed)
    values = simulate(network, x, taps=list(network.tensors))
    for layer in _mac_layers(network):
        fold, source = schedule.folds[layer.name], network.tensors[layer.input].format
        found, overflows = wrapping_outputs(layer, fold, values[layer.input], bits, source)
        assert np.array_equal(found, values[layer.name])
        magnitudes = np.abs(layer.weights.values).reshape(layer.outputs, -1)
        reach = magnitudes.sum(axis=1).max() * layer.reads(source).magnitude
        reach += 0 if layer.bias is None else np.abs(layer.bias).max()
        if reach < 1 << (bits - 1):
            assert overflows == 0


@settings(max_examples=60, deadline=None)
@given(st.data(), networks() | graphs(), st.integers(2, 16), st.integers(0, 2**32))
def test_a_network_saturates_layer_after_layer(data, network, bits, seed):
    schedule = data.draw(_schedules(network))
    x = random_inputs(network, 3, seed)
    found, counts = simulate_saturating(network, schedule, x, bits)
    assert list(counts) == [layer.name for layer in _mac_layers(network)]
    total = dict.fromkeys(counts, 0)
    for sample, expected in zip(x, found, strict=True):
        values = {network.inputs[0].name: np.asarray(sample)}
        formats = {network.inputs[0].name: network.inputs[0].format}
        for layer in network.layers:
            read = [replace(network.tensors[name], format=formats[name]) for name in layer.inputs]
            if read and not isinstance(layer, Lookup):  # plain Python takes the nearest entry
                proven = network.tensors[layer.inputs[0]].format
                layer = fitted(layer, proven, read[0].format)
            formats[layer.name] = IntFormat(bits, True)
            if not isinstance(layer, Dense | Conv2d):
                formats[layer.name] = layer.output(*read).format
            if isinstance(layer, Dense | Conv2d):
                given_x = values[layer.input][np.newaxis]
                simd = schedule.folds[layer.name].simd
                sums, overflows = _saturating(layer, simd, given_x, bits)
                shape = network.tensors[layer.name].shape
                values[layer.name] = np.array(sums).reshape(shape)
                total[layer.name] += overflows
            else:
                sources = [values[name].tolist() for name in layer.inputs]
                shape = network.tensors[layer.name].shape
                values[layer.name] = np.array(plain._run(layer, sources, shape, network))
        assert np.array_equal(expected, values[network.outputs[0]])
    assert counts == total


def _saturating(layer, simd, x, bits):
    """Plain Python integers, one addition after the other."""
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    outputs, count = [], 0
    for sample in x.tolist():
        for window in _windows(layer, sample):
            for output, row in enumerate(plain.values(layer.weights)):
                total = 0 if layer.bias is None else int(layer.bias[output])
                count += not lo <= total <= hi
                total = min(max(total, lo), hi)
                flat = np.array(row).ravel().tolist()
                terms = [v * a for v, a in zip(flat, window(output))]  # noqa: B905
                for start in range(0, len(terms), simd):
                    total += sum(terms[start : start + simd])
                    count += not lo <= total <= hi
                    total = min(max(total, lo), hi)
                outputs.append(total)
    return outputs, count


def _windows(layer, image):
    """For each position a function from an output to its inputs in the order of the folds."""
    if isinstance(layer, Dense):
        yield lambda output: image
        return
    height, width = len(image), len(image[0])
    taken = layer.weights.shape[-1]
    reach = [d * (k - 1) for d, k in zip(layer.dilation, layer.kernel, strict=True)]
    rows = range(0, height + layer.padding[0] + layer.padding[2] - reach[0], layer.stride[0])
    columns = range(0, width + layer.padding[1] + layer.padding[3] - reach[1], layer.stride[1])
    for top, left in product(rows, columns):

        def window(output, top=top, left=left):
            first = output // (layer.outputs // layer.groups) * taken
            for i, j in product(range(layer.kernel[0]), range(layer.kernel[1])):
                r = top + i * layer.dilation[0] - layer.padding[0]
                s = left + j * layer.dilation[1] - layer.padding[1]
                inside = 0 <= r < height and 0 <= s < width
                padded = [layer.pad_code] * taken
                yield from image[r][s][first : first + taken] if inside else padded

        yield window


def _dense(codes, bias=None, bits=4):
    taken = Weights(codes=np.array(codes), grid=MidRise(bits))
    return Dense(name="fc", input="x", weights=taken, bias=bias)


def test_the_order_of_the_folds_decides_what_saturates():
    layer = _dense([[1, 1, -2, -2]])  # 3 3 -3 -3
    x = np.array([[2, 2, 2, 2]])
    found = {
        simd: saturating_outputs(layer, Fold(simd=simd), x, 4, IntFormat(2, False))
        for simd in (1, 2, 4)
    }
    # 0 6 7 1 -5; 0 7 -5; 0 0
    assert {simd: (int(y[0, 0]), n) for simd, (y, n) in found.items()} == {
        1: (-5, 1),
        2: (-5, 1),
        4: (0, 0),
    }


def test_a_bias_that_does_not_fit_counts_for_each_output():
    layer = _dense([[0], [0]], bias=np.array([100, -100]))
    found, count = saturating_outputs(layer, Fold(), np.zeros((3, 1), int), 6)
    assert found.tolist() == [[31, -32]] * 3
    assert count == 6


@pytest.mark.parametrize("bits", [0, 64])
def test_accumulators_of_impossible_width_are_refused(bits):
    with pytest.raises(VecqError, match=f"1 to 63 bits, not {bits}"):
        saturating_outputs(_dense([[0]]), Fold(), np.zeros((1, 1), int), bits)


def test_folds_that_do_not_divide_are_refused():
    with pytest.raises(VecqError, match=r"3 inputs do not fold onto 2 lanes; use 1, 3"):
        saturating_outputs(_dense([[0] * 3]), Fold(simd=2), np.zeros((1, 3), int), 8)
    with pytest.raises(VecqError, match="has no fold in the schedule"):
        simulate_saturating(_network(), Schedule(), np.zeros((1, 3), int), 8)


def test_sums_that_are_looked_up_saturate_as_those_of_products():
    rng = np.random.default_rng(0)
    book = rng.integers(-8, 8, (4, 2))
    weights = ProductWeights(indices=rng.integers(0, 4, (6, 4)), book=book, grid=TwosComplement(4))
    layer, x = Dense(name="fc", input="x", weights=weights), rng.integers(-8, 8, (20, 8))
    kinds = FoldKind.PARTIAL_SUMS, FoldKind.STREAMING
    for simd in (2, 4, 8):
        folds = (Fold(pe=2, simd=simd, kind=kind) for kind in kinds)
        (sums, counted), (wanted, count) = (saturating_outputs(layer, fold, x, 7) for fold in folds)
        assert np.array_equal(sums, wanted)
        assert counted == count > 0


def test_bit_serial_folds_are_refused():
    with pytest.raises(VecqError, match="partial sums of a bit-serial fold"):
        saturating_outputs(
            _dense([[0] * 3]), Fold(kind=FoldKind.BIT_SERIAL), np.zeros((1, 3), int), 8
        )


def test_sums_beyond_int64_are_refused():
    source = IntFormat(60, True, 1 << 58, (1 << 58) + 1)
    layer = _dense([[7, 7, -8, -8]])
    with pytest.raises(VecqError, match="less than 2\\^62 is wanted"):
        saturating_outputs(layer, Fold(), np.full((1, 4), 1 << 58), 63, source)


def _network():
    layer = _dense([[1, -2, 3], [-8, 7, 0]])
    source = Input(name="x", shape=(3,), format=IntFormat(8, False))
    rescale = Rescale(
        name="r",
        input="fc",
        mantissa=np.array([1 << 17] * 2),
        offset=np.array([0, 0]),
        shift=20,
        format=IntFormat(8, False),
    )
    return Network(name="n", inputs=(source,), layers=(layer, rescale), outputs=("r",))


def test_wide_accumulators_change_nothing_and_tiles_neither(monkeypatch):
    network, x = _network(), random_inputs(_network(), 40, 0)
    schedule = default_schedule(network)
    found, counts = simulate_saturating(network, schedule, x, 32)
    assert np.array_equal(found, simulate(network, x))
    assert found.dtype == np.uint8
    assert counts == {"fc": 0}
    narrow, overflows = simulate_saturating(network, Schedule(folds={"fc": Fold()}), x, 9)
    assert overflows["fc"] > 0
    monkeypatch.setattr(folded, "TILE_BYTES", 1)
    again = simulate_saturating(network, Schedule(folds={"fc": Fold()}), x, 9)
    assert np.array_equal(again[0], narrow)
    assert again[1] == overflows


def test_where_a_rescale_multiplies_changes_no_sum():
    network, x = _network(), random_inputs(_network(), 40, 0)
    found = [
        simulate_saturating(network, Schedule(folds={"fc": Fold(dsp=dsp)}), x, 9)
        for dsp in (False, True)
    ]
    assert np.array_equal(found[0][0], found[1][0])
    assert found[0][1] == found[1][1]
    assert found[0][1]["fc"] > 0


def test_no_samples_give_no_outputs():
    found, counts = simulate_saturating(
        _network(), default_schedule(_network()), np.zeros((0, 3), int), 8
    )
    assert found.shape == (0, 2)
    assert counts == {"fc": 0}


def test_a_rescale_that_cannot_take_the_width_is_refused():
    network = _network()
    wide = replace(network.layers[1], mantissa=np.array([1 << 40] * 2))
    network = replace(network, layers=(network.layers[0], wide))
    with pytest.raises(VecqError, match=r"leaves ±2\^62"):
        simulate_saturating(network, default_schedule(network), np.zeros((1, 3), int), 40)
