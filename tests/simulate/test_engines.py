from __future__ import annotations

import numpy as np
import pytest

from tests.strategies import random_inputs
from vecq_hw import arithmetic, exact_products
from vecq_hw.exact_products import Engine
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Conv2d, Dense, Input, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.simulate.reference import engine


def dense(inputs: int, fmt: IntFormat, bits: int, bias: int = 0) -> Network:
    """Outputs of the largest positive and the largest negative weights."""
    top = (1 << (bits - 1)) - 1
    codes = np.array([[top] * inputs, [-top - 1] * inputs])
    layer = Dense(
        name="fc",
        input="x",
        weights=Weights(codes=codes, grid=MidRise(bits)),
        bias=np.array([bias, -bias]) if bias else None,
    )
    source = Input(name="x", shape=(inputs,), format=fmt)
    return Network(name="dense", inputs=(source,), layers=(layer,), outputs=("fc",))


def expected(network: Network, x: np.ndarray) -> np.ndarray:
    layer = network.layers[0]
    product = x.astype(object) @ layer.weights.values.T.astype(object)
    return product + (0 if layer.bias is None else layer.bias.astype(object))


@pytest.mark.parametrize(
    ("hi", "bias", "taken"),
    [
        (2**23, 0, Engine.FLOAT32),
        (2**23 + 1, 0, Engine.FLOAT64),
        (2**23, 1, Engine.FLOAT64),
        (2**52, 0, Engine.FLOAT64),
        (2**52 + 1, 0, Engine.LIMBS),
        (2**52, 1, Engine.LIMBS),
        (2**60 - 1, 0, Engine.LIMBS),
        (2**61 - 1, 0, Engine.LIMBS),
    ],
)
def test_sums_are_exact_on_both_sides_of_every_edge(hi, bias, taken):
    # Two inputs of weights +-1: the bound is twice the input's magnitude, plus the bias.
    network = dense(2, IntFormat(63, True, -hi + 1, hi), bits=1, bias=bias)
    assert engine(network.layers[0], network) is taken
    x = np.array([[hi, hi], [-hi + 1, -hi + 1], [hi, hi - 1], [1, hi], [hi, -hi + 1]])
    assert np.array_equal(simulate(network, x), expected(network, x))


def test_wide_weights_shorten_the_limbs():
    inputs, bits = 300, 16
    network = dense(inputs, IntFormat(37, True), bits)
    assert engine(network.layers[0], network) is Engine.LIMBS
    x = random_inputs(network, 5, 0)
    x[0], x[1] = network.inputs[0].format.hi, network.inputs[0].format.lo
    assert np.array_equal(simulate(network, x), expected(network, x))


@pytest.mark.parametrize("bits", [8, 20, 40])
@pytest.mark.parametrize("outputs", [6, 12])
def test_depthwise_at_every_width(bits, outputs):
    rng = np.random.default_rng(bits)
    channels = 6
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=rng.integers(-8, 8, (outputs, 3, 2, 1)), grid=MidRise(4)),
        stride=(2, 1),
        padding=(1, 1),
        dilation=(1, 2),
        groups=channels,
    )
    source = Input(name="x", shape=(7, 6, channels), format=IntFormat(bits, True))
    network = Network(name="depthwise", inputs=(source,), layers=(conv,), outputs=("conv",))
    x = random_inputs(network, 3, 1)
    windows = exact_products.columns(x, (3, 2), (2, 1), (1, 1, 1, 1), (1, 2))
    per_output = np.repeat(windows, outputs // channels, axis=-1)
    sums = np.einsum("nhwijo,oij->nhwo", per_output, conv.weights.values[..., 0].astype(np.int64))
    assert np.array_equal(simulate(network, x), sums)


@pytest.mark.parametrize("name", ["float", "int8"])
@pytest.mark.parametrize("stride", [(1, 1), (2, 1), (2, 2)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1), (2, 2)])
def test_wide_kernels_are_summed_row_by_row(name, stride, dilation):
    rng = np.random.default_rng(0)
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=rng.integers(-8, 8, (5, 3, 3, 48)), grid=MidRise(4)),
        stride=stride,
        padding=(1, 2),
        dilation=dilation,
    )
    source = Input(name="x", shape=(8, 7, 48), format=IntFormat(6, False))
    network = Network(name="wide", inputs=(source,), layers=(conv,), outputs=("conv",))
    x = random_inputs(network, 3, 1)
    windows = exact_products.columns(x, (3, 3), stride, (1, 2, 1, 2), dilation)
    sums = np.einsum("nhwijc,oijc->nhwo", windows, conv.weights.values.astype(np.int64))
    assert np.array_equal(simulate(network, x, engine=name), sums)


def test_a_hook_beyond_the_proven_range_is_still_multiplied_exactly():
    # Proven 0..1 would let float32 carry sums of 2^25.
    network = dense(512, IntFormat(16, False, 0, 1), bits=1)
    assert engine(network.layers[0], network) is Engine.FLOAT32
    x = np.ones((1, 512), int)
    large = np.full((1, 512), 65535)
    large[0, 0] = 65534
    got = simulate(network, x, hooks={"x": lambda *_: large})
    bits = network.tensors["fc"].format.bits
    exact = expected(network, large).astype(np.int64)
    assert np.array_equal(got, arithmetic.wrap(exact, bits))


@pytest.mark.parametrize("name", ["float", "int8"])
@pytest.mark.parametrize(("groups", "inputs", "outputs"), [(2, 3, 4), (3, 2, 1), (2, 20, 3)])
def test_each_group_reads_its_own_channels(name, groups, inputs, outputs):
    rng = np.random.default_rng(groups)
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(
            codes=rng.integers(-8, 8, (groups * outputs, 2, 3, inputs)), grid=MidRise(4)
        ),
        groups=groups,
    )
    source = Input(name="x", shape=(5, 6, groups * inputs), format=IntFormat(6, False))
    network = Network(name="groups", inputs=(source,), layers=(conv,), outputs=("conv",))
    x = random_inputs(network, 3, 1)
    got = simulate(network, x, engine=name)
    values = conv.weights.values.astype(np.int64)
    for group in range(groups):
        channels = slice(group * inputs, (group + 1) * inputs)
        of_group = slice(group * outputs, (group + 1) * outputs)
        windows = exact_products.columns(x[..., channels], (2, 3), (1, 1), (0,) * 4, (1, 1))
        sums = np.einsum("nhwijc,oijc->nhwo", windows, values[of_group])
        assert np.array_equal(got[..., of_group], sums)
