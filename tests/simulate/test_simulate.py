from __future__ import annotations

import multiprocessing
import subprocess
import sys
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain
from tests.strategies import graphs, networks, random_inputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Add, Conv2d, Dense, Input, Layer, MaxPool2d, Rescale, SumPool2d, Weights
from vecq_hw.network import Network
from vecq_hw.passes.choices import with_argmax, with_topk
from vecq_hw.passes.pooling import pool_before_rescale
from vecq_hw.simulate import (
    predictions,
    prepared,
    quantize_input,
    reference,
    simulate,
)


@settings(max_examples=150, deadline=None)
@given(networks() | graphs(), st.integers(0, 2**32))
def test_simulator_equals_plain_python_integers(network, seed):
    x = random_inputs(network, 2, seed)
    taps = simulate(network, x, taps=list(network.tensors))
    for sample in range(len(x)):
        for name, expected in plain.evaluate(network, x[sample].tolist()).items():
            assert taps[name][sample].tolist() == expected, name
    assert np.array_equal(simulate(network, x), taps[network.outputs[0]])


@pytest.mark.parametrize("engine", ["float", "int8"])
@pytest.mark.parametrize(
    ("image", "kernel", "padding", "groups", "pads"),
    [
        # TFLite's SAME at stride 2: on 32 × 32, and on the spectrogram of keywords.
        ((32, 32, 4), (3, 3), (0, 0, 1, 1), 1, 7),
        ((49, 10, 1), (10, 4), (4, 1, 5, 1), 1, -128),
        ((32, 32, 4), (3, 3), (0, 0, 1, 1), 4, 127),
    ],
)
def test_one_more_below_and_beside_of_a_zero_point(engine, image, kernel, padding, groups, pads):
    rng = np.random.default_rng(0)
    codes = rng.integers(-2, 2, (4, *kernel, image[2] // groups))
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=codes, grid=MidRise(2)),
        stride=(2, 2),
        padding=padding,
        pad_code=pads,  # beyond what is proven of the codes
        groups=groups,
    )
    source = Input(name="x", shape=image, format=IntFormat(8, True, -100, 100))
    network = Network(name="same", inputs=(source,), layers=(conv,), outputs=("conv",))
    x = random_inputs(network, 1, 1)
    found = simulate(network, x, engine=engine)
    assert found.shape[1:3] == tuple(-(-size // 2) for size in image[:2])
    assert found[0].tolist() == plain.evaluate(network, x[0].tolist())["conv"]


def test_tiles_do_not_change_a_result(monkeypatch):
    rng = np.random.default_rng(0)
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=rng.integers(-2, 2, (4, 3, 3, 2)), grid=MidRise(2)),
    )
    source = Input(name="x", shape=(9, 9, 2), format=IntFormat(8, False))
    network = Network(name="tiles", inputs=(source,), layers=(conv,), outputs=("conv",))
    x = random_inputs(network, 37, 1)
    whole = simulate(network, x)
    monkeypatch.setattr(prepared, "TILE_BYTES", 1)
    prepared.prepare.cache_clear()
    assert np.array_equal(simulate(network, x), whole)


@pytest.mark.parametrize("count", [0, 1])
def test_batches_of_no_and_one_sample(count):
    network = _dense(inputs=3)
    assert simulate(network, np.zeros((count, 3), int)).shape == (count, 2)


def _dense(inputs: int, fmt: IntFormat = IntFormat(8, False), bits: int = 2) -> Network:  # noqa: B008
    codes = np.full((2, inputs), -(1 << (bits - 1)))
    dense = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=MidRise(bits)))
    source = Input(name="x", shape=(inputs,), format=fmt)
    return Network(name="dense", inputs=(source,), layers=(dense,), outputs=("fc",))


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((1, 3)), "integer codes are wanted, not float64"),
        (np.zeros((1, 4), int), "shape (N, 3) is wanted, not (1, 4)"),
        (np.zeros(3, int), "is wanted, not (3,)"),
        (np.full((1, 3), 256), "the codes 256..256 leave 0..255"),
        (np.full((1, 3), -1), "leave 0..255"),
    ],
)
def test_inputs_outside_their_format_are_refused(x, says):
    with pytest.raises(VecqError) as error:
        simulate(_dense(3), x)
    assert says in str(error.value)
    assert "input 'x'" in str(error.value)


def test_an_unknown_tap_names_those_that_exist():
    with pytest.raises(VecqError, match=r"no tensor 'fc9'; it has x, fc"):
        simulate(_dense(3), np.zeros((1, 3), int), taps=["fc9"])


def test_real_inputs_become_codes_and_nan_is_refused():
    network = _dense(3)
    assert quantize_input(network, np.array([[-1.0, 1.5, 1e9]])).tolist() == [[0, 2, 255]]
    with pytest.raises(VecqError, match="NaN or infinite"):
        quantize_input(network, np.array([[np.nan, 0, 0]]))


def test_argmax_takes_the_lowest_index_on_a_tie():
    network = _dense(3)
    ties = np.array([[3, 7, 7], [1, 1, 1]])
    assert predictions(network, ties).tolist() == [1, 0]
    decided = with_argmax(network)
    codes = np.random.default_rng(0).integers(0, 256, (200, 3))
    classes = simulate(decided, codes)
    assert classes.shape == (200, 1)
    scores = simulate(network, codes)
    assert predictions(decided, classes).tolist() == predictions(network, scores).tolist()
    tensor = decided.tensors["argmax"]
    assert (tensor.format.lo, tensor.format.hi, tensor.step) == (0, scores.shape[1] - 1, 1.0)
    with pytest.raises(VecqError, match="its output 'argmax' has one channel"):
        with_argmax(decided)


def test_topk_gives_the_best_first_and_the_lowest_index_of_equal_ones():
    network = Network(
        name="n",
        inputs=(Input(name="x", shape=(5,), format=IntFormat(3, True)),),
        layers=(),
        outputs=("x",),
    )
    ranked = with_topk(network, 4)
    codes = np.array([[1, 3, -4, 3, 1], [0, 0, 0, 0, 0], [-1, -2, -3, -4, 3]])
    assert simulate(ranked, codes).tolist() == [[1, 3, 0, 4], [0, 1, 2, 3], [4, 0, 1, 2]]
    assert predictions(ranked, simulate(ranked, codes)).tolist() == [1, 0, 4]
    tensor = ranked.tensors["topk"]
    assert (tensor.shape, tensor.format, tensor.step) == ((4,), IntFormat(3, False, 0, 4), 1.0)
    with pytest.raises(VecqError, match="has 5 channels; this topk takes 6 or more"):
        with_topk(network, 6)


def test_the_simulator_loads_no_torch():
    code = (
        "import sys, vecq_hw.storage; from vecq_hw.simulate import *;"
        "sys.exit(', '.join({'torch', 'sklearn', 'cocotb', 'scipy'} & sys.modules.keys()) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def pooled(mantissa: list[int], **pool) -> Network:
    rng = np.random.default_rng(0)
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=rng.integers(-2, 2, (3, 3, 3, 2)), grid=MidRise(2)),
        padding=(1, 1),
    )
    rescale = Rescale(
        name="codes",
        input="conv",
        mantissa=np.array(mantissa),
        offset=np.array([0, 100, -100]),
        shift=7,
        format=IntFormat(6, True),
    )
    last = MaxPool2d(name="pool", input="codes", **pool)
    source = Input(name="x", shape=(9, 8, 2), format=IntFormat(8, False))
    return Network(name="pooled", inputs=(source,), layers=(conv, rescale, last), outputs=("pool",))


@pytest.mark.parametrize("mantissa", [[1, 2, 5], [0, 2, 5], [1, -2, 5]])
@pytest.mark.parametrize(
    "pool",
    [
        {"kernel": (2, 2), "stride": (2, 2)},
        {"kernel": (3, 2), "stride": (1, 2), "padding": (1, 1)},
        {"kernel": (1, 3), "stride": (2, 3), "padding": (0, 1)},
    ],
)
def test_pooling_before_the_rescale_changes_no_integer(mantissa, pool):
    network = pooled(mantissa, **pool)
    moved = pool_before_rescale(network)
    assert isinstance(moved.layers[-1], MaxPool2d if min(mantissa) < 0 else Rescale)
    assert moved.tensors["pool"].shape == network.tensors["pool"].shape
    x = random_inputs(network, 4, 2)
    expected = [plain.evaluate(network, image.tolist())["pool"] for image in x]
    assert np.array_equal(simulate(network, x), expected)
    assert np.array_equal(simulate(network, x, taps=["codes", "pool"])["pool"], expected)


def test_a_rescale_that_others_want_stays_where_it_is():
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))
    both = replace(network, outputs=("codes",))
    for kept in (pool_before_rescale(network, ["codes"]), pool_before_rescale(both)):
        assert kept.layers == network.layers
    second = MaxPool2d(name="second", input="codes", kernel=(2, 2), stride=(2, 2))
    joined = Add(name="sum", inputs=("pool", "second"))
    branched = replace(network, layers=(*network.layers, second, joined), outputs=("sum",))
    assert pool_before_rescale(branched).layers == branched.layers
    x = random_inputs(network, 3, 1)
    assert np.array_equal(simulate(branched, x), 2 * simulate(network, x).astype(int))


def test_a_hook_on_pooled_codes_sees_the_codes():
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))
    x = random_inputs(network, 3, 1)
    got = simulate(network, x, hooks={"codes": lambda codes, _sources, _first: -codes - 1})
    codes = simulate(network, x, taps=["codes"])["codes"]
    windows = (-1 - codes[:, :8]).reshape(3, 4, 2, 4, 2, 3)
    assert np.array_equal(got, windows.max(axis=(2, 4)))


@pytest.mark.parametrize("count", [255, 256, 257, 600])
@pytest.mark.parametrize("engine", ["float", "int8"])
def test_blocks_and_threads_do_not_change_a_result(count, engine, monkeypatch):
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))
    x = random_inputs(network, count, 1)
    done = []
    monkeypatch.setattr(reference, "SMALL_WORK", 0)
    threaded = simulate(network, x, engine=engine, progress=done.append)
    monkeypatch.setattr(reference, "SMALL_WORK", 1 << 60)
    assert np.array_equal(threaded, simulate(network, x, engine=engine))
    parts = [simulate(network, part) for part in (x[:9], x[9:])]
    assert np.array_equal(threaded, np.concatenate(parts))
    assert done == [*range(256, count, 256), count]


def test_hooks_see_exact_sums_and_may_replace_them(monkeypatch):
    monkeypatch.setattr(prepared, "TILE_BYTES", 1)
    prepared.prepare.cache_clear()
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))
    x = random_inputs(network, 7, 1)
    sums = simulate(network, x, taps=["conv"])["conv"]
    seen = {}

    def hook(result, sources, first):
        assert result.dtype == np.int64
        assert np.array_equal(sources[0], x[first : first + len(result)])
        seen.update({first + index: sample.copy() for index, sample in enumerate(result)})
        return np.zeros_like(result)

    tensors = simulate(network, x, taps=["conv", "pool"], hooks={"conv": hook})
    assert np.array_equal([seen[index] for index in range(7)], sums)
    assert not tensors["conv"].any()
    rescale = network.layers[1]
    constant = (rescale.offset + 64) >> 7
    assert (tensors["pool"] == constant).all()


def test_a_hook_on_the_input_changes_what_every_layer_reads():
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))
    x = random_inputs(network, 5, 1)
    got = simulate(network, x, hooks={"x": lambda codes, _sources, _first: 255 - codes})
    assert np.array_equal(got, simulate(network, 255 - x))
    wrapped = simulate(network, x, hooks={"x": lambda codes, _sources, _first: codes + 256})
    assert np.array_equal(wrapped, simulate(network, x))


def test_an_error_in_a_thread_reaches_the_caller(monkeypatch):
    monkeypatch.setattr(reference, "SMALL_WORK", 0)
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))

    def fail(_result, _sources, _first):
        raise VecqError("no")

    for _ in range(3):  # the helping thread survives
        with pytest.raises(VecqError, match="no"):
            simulate(network, random_inputs(network, 300, 1), hooks={"conv": fail})


def test_memory_does_not_grow_with_the_batch():
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))
    peaks = []
    for count in (1024, 8192):
        x = random_inputs(network, count, 1).astype(np.uint8)
        simulate(network, x[:300])
        tracemalloc.start()
        outputs = simulate(network, x)
        peaks.append(tracemalloc.get_traced_memory()[1] - outputs.nbytes)
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0] + 8192 * 9 * 8 * 2  # the checked inputs are one copy


def test_a_forked_process_simulates_too():
    """The second thread stays behind in the parent; waiting for it would never end."""
    rng = np.random.default_rng(0)
    codes = rng.integers(-2, 2, (16, 3, 3, 16))
    conv = Conv2d(name="conv", input="x", weights=Weights(codes=codes, grid=MidRise(2)))
    source = Input(name="x", shape=(32, 32, 16), format=IntFormat(8, False))
    network = Network(name="fork", inputs=(source,), layers=(conv,), outputs=("conv",))
    x = random_inputs(network, 64, 1)
    expected = simulate(network, x)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        got = pool.apply_async(simulate, (network, x)).get(timeout=60)
    assert np.array_equal(got, expected)


def test_the_threads_of_blas_are_as_before():
    (library, *_) = reference._libraries()
    before = library.get_num_threads()
    library.set_num_threads(2)
    try:
        seen = []
        network = _dense(3)
        simulate(
            network,
            random_inputs(network, 2, 0),
            progress=lambda _: seen.append(library.get_num_threads()),
        )
        assert (seen, library.get_num_threads()) == ([1], 2)
    finally:
        library.set_num_threads(before)


@pytest.mark.parametrize("bits", [11, 12, 13, 14, 15, 27, 28, 29, 30, 31, 40])
def test_sums_at_the_edge_of_each_type(bits):
    source = Input(name="x", shape=(2, 2, 1), format=IntFormat(bits, False))
    pool = SumPool2d(name="pool", input="x", kernel=(2, 2), stride=(2, 2))
    add = Add(name="add", inputs=("x", "x"))
    layers: list[Layer] = [pool, add]
    for name in ("pool", "add"):
        # A reader sees the sums as they are held, before they are stored.
        layers.append(
            Rescale(
                name=f"half_{name}",
                input=name,
                mantissa=np.array([1]),
                offset=np.array([0]),
                shift=1,
                format=IntFormat(50, True),
            )
        )
    network = Network(name="sums", inputs=(source,), layers=tuple(layers), outputs=("half_pool",))
    x = np.full((1, 2, 2, 1), source.format.hi)
    halves = simulate(network, x, taps=["half_pool", "half_add"])
    assert halves["half_pool"].ravel().tolist() == [2 * source.format.hi]
    assert (halves["half_add"] == x).all()
