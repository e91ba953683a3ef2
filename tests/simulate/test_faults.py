from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain
from tests.strategies import graphs, networks, random_inputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Conv2d, Dense, Input, Lookup, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.passes.widths import wrap_accumulators
from vecq_hw.simulate import prepared, simulate, simulate_counting, simulate_with_faults
from vecq_hw.simulate.faults import flip_weights

SITES = ["weights", "activations", "accumulators"]


def small(samples: int = 5) -> tuple[Network, np.ndarray]:
    rng = np.random.default_rng(3)
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=rng.integers(-2, 2, (4, 3, 3, 2)), grid=MidRise(2)),
    )
    rescale = Rescale(
        name="codes",
        input="conv",
        mantissa=np.full(4, 3),
        offset=np.full(4, 40),
        shift=4,
        format=IntFormat(5, True),
    )
    source = Input(name="x", shape=(5, 5, 2), format=IntFormat(4, False))
    network = Network(name="small", inputs=(source,), layers=(conv, rescale), outputs=("codes",))
    return network, random_inputs(network, samples, 1)


def bits_apart(a: np.ndarray, b: np.ndarray, width: int) -> int:
    return int(np.bitwise_count(((a ^ b) & ((1 << width) - 1)).astype(np.uint64)).sum())


@pytest.mark.parametrize("count", [0, 1, 7, 144])
def test_weights_differ_in_exactly_so_many_bits(count):
    network, _ = small()
    before, after = (
        net.layers[0].weights.codes for net in (network, flip_weights(network, count, 5))
    )
    assert bits_apart(before.astype(np.int64), after.astype(np.int64), 2) == count


@pytest.mark.parametrize("count", [0, 1, 9, 300])
@pytest.mark.parametrize("tile", [1, 2, 1 << 22])
def test_accumulators_differ_in_exactly_so_many_bits_whatever_the_tiles(count, tile, monkeypatch):
    network, x = small()
    monkeypatch.setattr(prepared, "TILE_BYTES", tile)
    prepared.prepare.cache_clear()
    sums = Network(name="sums", inputs=network.inputs, layers=network.layers[:1], outputs=("conv",))
    bits = network.tensors["conv"].format.bits
    before = simulate(sums, x).astype(np.int64)
    after = simulate_with_faults(sums, x, "accumulators", count, 2).astype(np.int64)
    assert bits_apart(before, after, bits) == count
    assert after.min() >= -(1 << (bits - 1))
    assert after.max() < 1 << (bits - 1)


def test_every_bit_of_every_activation_flips():
    network, x = small()
    inputs, outputs = x.size * 4, x.shape[0] * 9 * 4 * 5
    got = simulate_with_faults(network, x, "activations", inputs + outputs, 0)
    complemented = [plain.evaluate(network, (15 - image).tolist())["codes"] for image in x]
    assert np.array_equal(got, -1 - np.array(complemented))


@pytest.mark.parametrize("site", SITES)
def test_the_seed_decides(site):
    network, x = small()
    first, again, other = (simulate_with_faults(network, x, site, 9, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first, simulate(network, x))


@settings(max_examples=40, deadline=None)
@given(networks() | graphs(), st.sampled_from(SITES), st.integers(0, 2**32))
def test_faulty_numbers_stay_in_their_registers(network, site, seed):
    x = random_inputs(network, 2, seed)
    macs = any(isinstance(layer, Dense | Conv2d) for layer in network.layers)
    got = simulate_with_faults(network, x, site, int(macs), seed)
    fmt = network.tensors[network.outputs[0]].format
    full = IntFormat(fmt.bits, fmt.signed)
    assert got.min() >= full.lo
    assert got.max() <= full.hi
    assert np.array_equal(simulate_with_faults(network, x, site, 0, seed), simulate(network, x))


def test_a_table_behind_flipped_weights_gives_its_nearest_entry():
    unit = IntFormat(1, False)
    dense = Dense(name="fc", input="x", weights=Weights(codes=[[1]], grid=MidRise(2)))
    table = Lookup(name="map", input="fc", table=[[0, 1, 2, 3]], format=IntFormat(2, False))
    source = Input(name="x", shape=(1,), format=unit)
    network = Network(name="n", inputs=(source,), layers=(dense, table), outputs=("map",))
    x = np.array([[0], [1]])
    seen = set()
    for seed in range(20):
        flipped = flip_weights(network, 1, seed)
        weight = int(flipped.layers[0].weights.values[0, 0])
        seen.add(weight)
        assert simulate(flipped, x).ravel().tolist() == [0, max(weight, 0)]
    assert seen == {1, -1}


@pytest.mark.parametrize("site", SITES)
def test_more_faults_than_bits_are_refused(site):
    network, x = small()
    with pytest.raises(VecqError, match=r"0 to \d+ bits can be flipped"):
        simulate_with_faults(network, x, site, 1 << 40, 0)


@settings(max_examples=60, deadline=None)
@given(networks() | graphs(), st.integers(2, 12), st.integers(0, 2**32))  # tables read 12 bits
def test_overflows_are_the_sums_that_do_not_fit(network, bits, seed):
    narrow = wrap_accumulators(network, bits)
    x = random_inputs(network, 2, seed)
    outputs, counts = simulate_counting(narrow, x)
    tensors = simulate(narrow, x, taps=list(narrow.tensors))
    assert np.array_equal(outputs, tensors[narrow.outputs[0]])
    macs = [layer for layer in narrow.layers if isinstance(layer, Dense | Conv2d)]
    assert counts.keys() == {layer.name for layer in macs}
    for layer in macs:
        alone = Network(
            name="exact",
            inputs=(
                Input(
                    name=layer.input,
                    shape=narrow.tensors[layer.input].shape,
                    format=narrow.tensors[layer.input].format,
                ),
            ),
            layers=(type(layer)(**{**_fields(layer), "accumulator_bits": None}),),
            outputs=(layer.name,),
        )
        exact = simulate(alone, tensors[layer.input])
        assert counts[layer.name] == np.count_nonzero(exact != tensors[layer.name])


def _fields(layer) -> dict:
    return {name: getattr(layer, name) for name in type(layer).__dataclass_fields__}
