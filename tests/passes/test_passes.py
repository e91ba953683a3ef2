from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain
from tests.random_networks import Draw, Seeded, random_format, random_lookup, random_rescale
from tests.strategies import formats, graphs, networks, random_inputs, rescales
from tests.test_network import dense, network, rescale
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Constant, Input, Lookup, Tensor, Threshold
from vecq_hw.network import Network
from vecq_hw.passes.lookups import join_lookups
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


def between(draw: Draw, tensor: Tensor) -> tuple[list, Tensor]:
    """A rescale and a table that rises or falls in each channel."""
    rescale = random_rescale(draw, "rescale", "x", tensor, random_format(draw, 1, 5))
    codes = rescale.output(tensor)
    lookup = random_lookup(draw, "lookup", "rescale", codes)
    ordered = np.sort(lookup.table, axis=1)
    turned = np.array([draw.integer(0, 1) for _ in ordered], bool)
    table = np.where(turned[:, np.newaxis], ordered[:, ::-1], ordered)
    return [rescale, replace(lookup, table=table)], codes


@pytest.mark.parametrize("seed", range(60))
def test_a_monotone_table_and_its_rescale_are_thresholds(seed):
    draw = Seeded(seed)
    source = random_format(draw, 2, 9)
    tensor = Tensor(shape=(3,), format=source, step=1.0)
    layers, codes = between(draw, tensor)
    everything = np.arange(source.lo, source.hi + 1)[:, np.newaxis].repeat(3, axis=1)
    entry = Input(name="x", shape=(3,), format=source)
    both = Network(name="n", inputs=(entry,), layers=tuple(layers), outputs=("lookup",))
    wanted = simulate(both, everything)
    for counted in (with_thresholds(both, 8), join_lookups(both)):
        (layer,) = counted.layers
        assert layer.name == "lookup"
        assert np.array_equal(simulate(counted, everything), wanted)
    direct = Input(name="rescale", shape=(3,), format=codes.format)
    alone = Network(name="n", inputs=(direct,), layers=(layers[1],), outputs=("lookup",))
    counted = with_thresholds(alone, 8)
    assert isinstance(counted.layers[0], Threshold)
    everything = np.arange(codes.format.lo, codes.format.hi + 1)[:, np.newaxis].repeat(3, axis=1)
    assert np.array_equal(simulate(counted, everything), simulate(alone, everything))


def test_what_else_is_read_or_is_not_monotone_stays():
    entry = Input(name="x", shape=(2,), format=IntFormat(3, True))
    layer = rescale(input="x", mantissa=[9, -7], offset=[0, 5], shift=3, format=IntFormat(2, False))
    wavy = Lookup(name="map", input="rescale", table=[[0, 3, 1, 2]], format=IntFormat(2, False))
    read = Network(name="n", inputs=(entry,), layers=(layer, wavy), outputs=("map", "rescale"))
    assert [type(la) for la in with_thresholds(read).layers] == [Threshold, Lookup]
    assert len(join_lookups(read).layers) == 2
    wide = replace(layer, format=IntFormat(9, True))
    table = np.arange(512)[np.newaxis] % 4
    lookup = replace(wavy, table=table)
    large = Input(name="x", shape=(2,), format=IntFormat(13, True))
    kept = Network(name="n", inputs=(large,), layers=(wide, lookup), outputs=("map",))
    assert join_lookups(kept) is kept


@settings(max_examples=40, deadline=None)
@given(networks() | graphs(), st.integers(0, 2**32))
def test_joined_lookups_change_no_integer_of_a_network(net, seed):
    x = random_inputs(net, 3, seed)
    assert np.array_equal(simulate(join_lookups(net), x), simulate(net, x))


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
        ({"thresholds": np.zeros((1, 255), int)}, "or (1, 255) and (1,) for all"),
        ({"falling": np.array([0])}, "thresholds and falling have the shapes"),
    ],
)
def test_illegal_thresholds_are_refused(changes, says):
    fields = {"thresholds": np.zeros((2, 255), int), "falling": np.array([0, 0]), **changes}
    layer = Threshold(name="t", input="fc", format=IntFormat(8, False), **fields)
    with pytest.raises(VecqError, match=re.escape(says)):
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
