from __future__ import annotations

import sys

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import graphs, networks, random_inputs
from vecq_hw import exact_products, storage
from vecq_hw.cli import vecq
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Conv2d, Dense, Input, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import bytes as byte_engine
from vecq_hw.simulate import kernels, simulate
from vecq_hw.simulate.prepared import prepare

BYTE = IntFormat(8, False)


def dense(inputs: int, fmt: IntFormat, bits: int) -> Network:
    """Outputs of the largest positive and the largest negative weights."""
    top = (1 << (bits - 1)) - 1
    codes = np.array([[top] * inputs, [-top - 1] * inputs])
    layer = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=MidRise(bits)))
    source = Input(name="x", shape=(inputs,), format=fmt)
    return Network(name="dense", inputs=(source,), layers=(layer,), outputs=("fc",))


def exact(network: Network, x: np.ndarray) -> np.ndarray:
    return x.astype(np.int64).dot(network.layers[0].weights.values.T.astype(np.int64))


def rescaled(layer: Dense | Conv2d, shape: tuple[int, ...], fmt: IntFormat, to: IntFormat):
    """The layer and a rescale of long mantissas of both signs, whose codes fill their range."""
    source = Input(name="x", shape=shape, format=fmt)
    alone = Network(name="alone", inputs=(source,), layers=(layer,), outputs=(layer.name,))
    sums = simulate(alone, random_inputs(alone, 20, 3)).reshape(-1, layer.outputs)
    rng = np.random.default_rng(5)
    scale = rng.choice([-1, 1], sums.shape[1]) * (to.hi - to.lo) / (4 * sums.std(axis=0) + 1)
    offset = (to.hi + to.lo) / 2 - scale * sums.mean(axis=0)
    rescale = Rescale(
        name="codes",
        input=layer.name,
        mantissa=np.rint(scale * 2.0**16).astype(np.int64),
        offset=np.rint(offset * 2.0**16).astype(np.int64),
        shift=16,
        format=to,
    )
    return Network(name="net", inputs=(source,), layers=(layer, rescale), outputs=("codes",))


def steps_of(network: Network) -> list[str]:
    stages = prepare(network, frozenset(network.outputs), "int8", False)
    return [step.name for stage in stages for step in stage.steps]


@settings(max_examples=80, deadline=None)
@given(networks() | graphs(), st.integers(0, 2**32))
def test_the_same_integers_or_a_refusal(network, seed):
    x = random_inputs(network, 3, seed)
    names = list(network.tensors)
    want = simulate(network, x, taps=names)
    try:
        got = simulate(network, x, engine="int8")  # rescales are done with the sums
        taps = simulate(network, x, taps=names, engine="int8")  # and not
    except VecqError as error:
        assert "engine int8" in str(error)  # noqa: PT017
        return
    assert np.array_equal(got, want[network.outputs[0]])
    for name in names:
        assert np.array_equal(taps[name], want[name]), name


@pytest.mark.parametrize("fmt", [BYTE, IntFormat(8, True), IntFormat(4, True), IntFormat(5, False)])
@pytest.mark.parametrize("to", [BYTE, IntFormat(8, True), IntFormat(4, False), IntFormat(3, True)])
@pytest.mark.parametrize(
    ("channels", "groups", "kernel", "stride", "padding", "dilation"),
    [
        (3, 1, (3, 3), (1, 1), (1, 1), (1, 1)),
        (16, 1, (3, 3), (2, 2), (1, 1), (1, 1)),
        (5, 1, (2, 1), (2, 1), (1, 3), (1, 3)),  # whole windows of padding
        (16, 16, (4, 4), (1, 2), (3, 1), (1, 1)),
        (8, 2, (3, 2), (1, 1), (0, 2), (2, 1)),
        (4, 1, (1, 1), (2, 2), (0, 0), (1, 1)),
    ],
)
def test_convolutions_end_in_their_rescale(
    fmt, to, channels, groups, kernel, stride, padding, dilation
):
    rng = np.random.default_rng(0)
    codes = rng.integers(-2, 2, (16, *kernel, channels // groups))
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=codes, grid=MidRise(2)),
        bias=rng.integers(-50, 50, 16) if stride == (1, 1) else None,
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )
    network = rescaled(conv, (7, 9, channels), fmt, to)
    assert steps_of(network) == ["codes"]
    x = random_inputs(network, 6, 1)
    want = simulate(network, x)
    assert len(np.unique(want)) > (to.hi - to.lo) // 2
    assert np.array_equal(simulate(network, x, engine="int8"), want)
    taps = simulate(network, x, engine="int8", taps=["conv", "codes"])
    assert np.array_equal(taps["conv"], simulate(network, x, taps=["conv"])["conv"])
    assert np.array_equal(taps["codes"], want)


@pytest.mark.parametrize("fmt", [BYTE, IntFormat(8, True)])
@pytest.mark.parametrize("inputs", [97, 400])
def test_dense_layers_end_in_their_rescale(fmt, inputs, monkeypatch):
    codes = np.random.default_rng(0).integers(-2, 2, (48, inputs))
    layer = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=MidRise(2)))
    network = rescaled(layer, (inputs,), fmt, BYTE)
    assert steps_of(network) == ["codes"]
    x = random_inputs(network, 700, 1)
    assert np.array_equal(simulate(network, x, engine="int8"), simulate(network, x))
    monkeypatch.setattr(kernels, "FEW_WEIGHTS", codes.size)
    prepare.cache_clear()
    assert steps_of(network) == ["fc", "codes"]
    prepare.cache_clear()


def test_a_rescale_stays_apart_where_its_sums_wrap_or_no_line_is_proven(monkeypatch):
    codes = np.random.default_rng(0).integers(-2, 2, (48, 400))
    for bits, names in ((None, ["codes"]), (9, ["fc", "codes"])):
        layer = Dense(
            name="fc",
            input="x",
            weights=Weights(codes=codes, grid=MidRise(2)),
            accumulator_bits=bits,
        )
        network = rescaled(layer, (400,), BYTE, BYTE)
        assert steps_of(network) == names
        x = random_inputs(network, 9, 1)
        assert np.array_equal(simulate(network, x, engine="int8"), simulate(network, x))
    monkeypatch.setattr(byte_engine, "computes_lines", lambda: False)
    prepare.cache_clear()
    network = rescaled(Dense(name="fc", input="x", weights=layer.weights), (400,), BYTE, BYTE)
    assert steps_of(network) == ["fc", "codes"]
    wide = rescaled(network.layers[0], (400,), BYTE, IntFormat(12, False))
    assert steps_of(wide) == ["fc", "codes"]
    x = random_inputs(wide, 9, 1)
    assert np.array_equal(simulate(wide, x, engine="int8"), simulate(wide, x))


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 5, 6, 7])
@pytest.mark.parametrize("inputs", [1, 2, 3, 31, 64, 129, 600])
def test_sums_are_exact_at_the_extremes_of_both_operands(signed, bits, inputs, monkeypatch):
    monkeypatch.setattr(kernels, "FEW_WEIGHTS", 0)
    network = dense(inputs, IntFormat(8, signed), bits)
    fmt = network.inputs[0].format
    x = np.array([[fmt.hi] * inputs, [fmt.lo] * inputs, ([fmt.lo, fmt.hi] * inputs)[:inputs]])
    assert np.array_equal(simulate(network, x, engine="int8"), exact(network, x))


def test_sums_beyond_float32_are_done_in_floats():
    network = dense(1 << 14, BYTE, 7)
    x = random_inputs(network, 2, 0)
    x[0] = 255
    got = simulate(network, x, engine="int8")
    assert int(got.max()) > 1 << 24
    assert np.array_equal(got, exact(network, x))


def test_few_inputs_with_a_large_bias():
    layer = Dense(
        name="fc",
        input="x",
        weights=Weights(codes=np.array([[1] * 5000]), grid=MidRise(2)),
        bias=np.array([(1 << 24) + 1]),
    )
    source = Input(name="x", shape=(5000,), format=BYTE)
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("fc",))
    x = random_inputs(network, 3, 0)
    assert np.array_equal(simulate(network, x, engine="int8"), exact(network, x) + layer.bias)


@pytest.mark.parametrize(
    ("network", "says"),
    [
        (dense(3, IntFormat(9, False), 2), "inputs of up to 8 bits, not u9"),
        (dense(3, BYTE, 8), "weights of up to 7 bits"),
    ],
)
def test_what_does_not_fit_is_refused(network, says):
    x = np.zeros((1, *network.inputs[0].shape), int)
    with pytest.raises(VecqError, match="layer 'fc'") as error:
        simulate(network, x, engine="int8")
    assert says in str(error.value)


def wide(kind, fmt: IntFormat = BYTE) -> Network:
    """A layer of 7-bit weights at their ends."""
    codes = np.random.default_rng(0)
    if kind == "dense":
        shape = codes.choice([-64, 63], (40, 200))
        layer = Dense(name="mac", input="x", weights=Weights(codes=shape, grid=MidRise(7)))
        return rescaled(layer, (200,), fmt, BYTE)
    inputs, outputs, kernel, groups = kind
    shape = codes.choice([-64, 63], (outputs, *kernel, inputs // groups))
    weights = Weights(codes=shape, grid=MidRise(7))
    padding = (kernel[0] // 2, kernel[1] // 2)
    conv = Conv2d(name="mac", input="x", weights=weights, padding=padding, groups=groups)
    return rescaled(conv, (6, 7, inputs), fmt, BYTE)


WIDE = {
    "dense": None,
    (3, 8, (3, 3), 1): None,
    (32, 8, (1, 1), 1): None,
    (16, 8, (3, 3), 1): 2,
    (32, 6, (1, 3), 2): 2,
    (16, 16, (3, 3), 16): 1,  # its products make no pairs
    (16, 32, (3, 3), 16): None,
}


@pytest.mark.parametrize("fmt", [BYTE, IntFormat(8, True), IntFormat(7, True), IntFormat(4, False)])
@pytest.mark.parametrize("kind", WIDE)
@pytest.mark.parametrize("saturates", [False, True])
def test_wide_weights_are_exact_on_machines_that_saturate(kind, fmt, saturates, monkeypatch):
    """Such a machine adds up halves of the weights, which this one can do as well."""
    if saturates:
        monkeypatch.setattr(byte_engine, "pairs_are_exact", lambda: False)
        monkeypatch.setattr(byte_engine, "depthwise_is_exact", lambda: True)
    prepare.cache_clear()
    network = wide(kind, fmt)
    parts = byte_engine.in_parts(network.layers[0], fmt)
    if saturates and fmt.bits > 4:
        assert parts == WIDE[kind]
        assert (byte_engine.byte_product(network.layers[0], fmt) is None) == (parts is None)
    x = random_inputs(network, 4, 0)
    x[0], x[1] = fmt.hi, fmt.lo
    want = simulate(network, x, taps=["mac", "codes"])
    got = simulate(network, x, taps=["mac", "codes"], engine="int8")
    assert np.array_equal(got["mac"], want["mac"])
    assert np.array_equal(simulate(network, x, engine="int8"), want["codes"])
    prepare.cache_clear()


def test_results_one_pixel_wide_of_single_channels_are_right():
    """At a stride across, of which the library reads beyond the image."""
    rng = np.random.default_rng(0)
    for groups, outputs, kernel, stride, dilation, (height, width) in (
        (4, 12, (3, 2), (1, 2), (2, 1), (9, 3)),
        (3, 12, (3, 3), (1, 2), (1, 1), (5, 4)),
        (8, 16, (2, 2), (1, 2), (2, 1), (7, 3)),
        (8, 32, (1, 2), (1, 3), (1, 1), (4, 3)),
        (1, 4, (3, 2), (1, 2), (2, 1), (10, 3)),
        (4, 4, (3, 2), (1, 2), (2, 1), (9, 3)),
    ):
        codes = rng.integers(-2, 2, (outputs, *kernel, 1))
        layer = Conv2d(
            name="mac", input="x", weights=Weights(codes=codes, grid=MidRise(2)),
            stride=stride, dilation=dilation, groups=groups,
        )  # fmt: skip
        source = Input(name="x", shape=(height, width, groups), format=BYTE)
        network = Network(name="net", inputs=(source,), layers=(layer,), outputs=("mac",))
        x = random_inputs(network, 40, 1)
        assert np.array_equal(simulate(network, x, engine="int8"), simulate(network, x))


@pytest.mark.parametrize("limit", [64, 100, 127])
def test_shares_of_weights_fit_a_pair_and_add_up_to_them(limit):
    values = np.arange(-limit, limit + 1)[np.newaxis]
    shares = byte_engine._split(values, 2).reshape(2, -1)
    assert np.array_equal(shares.sum(axis=0), values[0])
    assert 2 * 255 * np.abs(shares).max() < 1 << 15


def test_depthwise_products_that_saturate_are_done_in_floats(monkeypatch):
    monkeypatch.setattr(byte_engine, "pairs_are_exact", lambda: False)
    monkeypatch.setattr(byte_engine, "depthwise_is_exact", lambda: False)
    network = wide((16, 16, (3, 3), 16))
    assert byte_engine.in_parts(network.layers[0], BYTE) is None


def test_show_names_the_layers_that_are_left_to_floats(monkeypatch, tmp_path):
    monkeypatch.setattr(byte_engine, "pairs_are_exact", lambda: False)
    path = tmp_path / "network.npz"
    for kind, named in (("dense", True), ((16, 8, (3, 3), 1), False)):
        storage.save(wide(kind), path)
        shown = CliRunner().invoke(vecq, ["show", str(path)], catch_exceptions=False).output
        assert ("engine int8 computes 'mac' in floats" in shown) == named
    monkeypatch.setattr(byte_engine, "pairs_are_exact", lambda: True)
    storage.save(wide("dense"), path)
    assert "int8" not in CliRunner().invoke(vecq, ["show", str(path)]).output


def test_the_probes_know_a_library_that_does_otherwise(monkeypatch):
    def saturating(weights, _line, _codes):
        """Adds pairs of products in 16 bits, as x86 does without VNNI."""

        def run(x):
            products = x[:, np.newaxis].astype(int) * weights
            pairs = products.reshape(*products.shape[:2], -1, 2).sum(axis=-1)
            return pairs.clip(-(1 << 15), (1 << 15) - 1).sum(axis=-1)

        return run

    def addend_first(weights, line, _codes):
        factor, addend = line

        def run(x):
            sums = exact_products.exact_matmul(x, weights, 1 << 24).astype(np.float32)
            return (sums + addend / factor) * factor

        return run

    monkeypatch.setattr(byte_engine, "_dense", saturating)
    assert not byte_engine.pairs_are_exact.__wrapped__()
    monkeypatch.undo()
    monkeypatch.setattr(byte_engine, "_convolved", lambda x, weights, groups: 0 * weights)
    assert not byte_engine.pairs_are_exact.__wrapped__()
    assert not byte_engine.depthwise_is_exact.__wrapped__()
    monkeypatch.setattr(byte_engine, "_dense", addend_first)
    assert not byte_engine.computes_lines.__wrapped__()
    monkeypatch.undo()
    assert byte_engine.computes_lines.__wrapped__()
    assert byte_engine.depthwise_is_exact.__wrapped__()


def test_without_torch_the_engine_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    byte_engine._torch.cache_clear()
    with pytest.raises(MissingToolError, match="the engine int8 needs torch"):
        simulate(dense(5000, BYTE, 2), np.zeros((1, 5000), int), engine="int8")


def test_read_only_images_and_the_threads_of_torch():
    import torch

    conv = Conv2d(
        name="conv", input="x", weights=Weights(codes=np.ones((2, 1, 1, 3), int), grid=MidRise(2))
    )
    network = rescaled(conv, (4, 4, 3), BYTE, BYTE)
    x = random_inputs(network, 5, 0).astype(np.uint8)
    x.setflags(write=False)
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        got = simulate(network, x, engine="int8")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(got, simulate(network, x))
