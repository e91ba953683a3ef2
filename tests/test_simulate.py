from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain
from tests.strategies import graphs, networks, random_inputs
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.network import Conv2d, Dense, Input, Network, Weights
from vecq_hw.simulate import predictions, quantize_input, reference, simulate


@settings(max_examples=150, deadline=None)
@given(networks() | graphs(), st.integers(0, 2**32))
def test_simulator_equals_plain_python_integers(network, seed):
    x = random_inputs(network, 2, seed)
    taps = simulate(network, x, taps=list(network.tensors))
    for sample in range(len(x)):
        for name, expected in plain.evaluate(network, x[sample].tolist()).items():
            assert taps[name][sample].tolist() == expected, name
    assert np.array_equal(simulate(network, x), taps[network.outputs[0]])


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
    monkeypatch.setattr(reference, "TILE_BYTES", 1)
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
    assert predictions(np.array([[3, 7, 7], [1, 1, 1]])).tolist() == [1, 0]


def test_the_simulator_loads_no_torch():
    code = (
        "import vecq_hw.simulate, vecq_hw.storage, sys;"
        "sys.exit(', '.join({'torch', 'sklearn', 'cocotb', 'scipy'} & sys.modules.keys()) or None)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
