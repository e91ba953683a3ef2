from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain
from tests.strategies import formats, graphs, networks, random_inputs, rescales
from tests.test_network import dense, network, rescale
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Constant, Input, Tensor, Threshold
from vecq_hw.network import Network
from vecq_hw.passes.select import layer_network
from vecq_hw.passes.thresholds import thresholds_of, with_thresholds
from vecq_hw.simulate import simulate


@settings(max_examples=100, deadline=None)
@given(st.data(), formats(2, 9))
def test_thresholds_equal_the_rescale_on_every_accumulator(data, source):
    tensor = Tensor(shape=(3,), format=source, step=1.0)
    layer = data.draw(rescales("rescale", "x", tensor))
    everything = np.arange(source.lo, source.hi + 1)[:, np.newaxis].repeat(3, axis=1)
    entry = Input(name="x", shape=(3,), format=source)
    direct = Network(name="n", inputs=(entry,), layers=(layer,), outputs=("rescale",))
    counted = with_thresholds(direct, most_bits=8)
    assert isinstance(counted.layers[0], Threshold)
    expected = simulate(direct, everything)
    assert np.array_equal(simulate(counted, everything), expected)
    assert plain.evaluate(counted, everything[0].tolist())["rescale"] == expected[0].tolist()


def test_thresholds_that_no_accumulator_reaches_lie_outside_its_range():
    source = IntFormat(4, True)
    flat = rescale(mantissa=[1, -1, 0], offset=[0, 0, 64], shift=4, format=IntFormat(8, False))
    thresholds = thresholds_of(flat, source).thresholds
    assert thresholds[0, -1] == source.hi + 1
    assert thresholds[1, 0] == source.lo - 1
    assert sorted(set(thresholds[2].tolist())) == [source.lo, source.hi + 1]


@settings(max_examples=40, deadline=None)
@given(networks() | graphs(), st.integers(0, 2**32))
def test_thresholds_change_no_integer_of_a_network(net, seed):
    x = random_inputs(net, 3, seed)
    assert np.array_equal(simulate(with_thresholds(net), x), simulate(net, x))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"thresholds": np.zeros((2, 3), int)}, "thresholds and falling have the shapes"),
        ({"thresholds": np.tile([3, 2, 1, 0] + [0] * 251, (2, 1))}, "must ascend"),
        ({"falling": np.array([0, 2])}, "falling must be 0 or 1"),
    ],
)
def test_illegal_thresholds_are_refused(changes, says):
    fields = {"thresholds": np.zeros((2, 255), int), "falling": np.array([0, 0]), **changes}
    layer = Threshold(name="t", input="fc", format=IntFormat(8, False), **fields)
    with pytest.raises(VecqError, match=says):
        network(dense(), layer)


@settings(max_examples=40, deadline=None)
@given(networks() | graphs(), st.integers(0, 2**32))
def test_a_layer_alone_computes_what_it_computes_in_the_network(net, seed):
    x = random_inputs(net, 3, seed)
    taps = simulate(net, x, taps=list(net.tensors))
    for layer in net.layers:
        if isinstance(layer, Constant):
            with pytest.raises(VecqError, match="is a constant, which computes nothing"):
                layer_network(net, layer.name)
            continue
        alone = layer_network(net, layer.name)
        if len(alone.inputs) == 1:
            assert np.array_equal(
                simulate(alone, taps[alone.inputs[0].name]), taps[alone.outputs[0]]
            )
