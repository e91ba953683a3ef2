"""Networks with several inputs and outputs, in the simulator and in all that runs it."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import plain, strategies
from tests.random_networks import Seeded, random_ends
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Add, ArgMax, Conv2d, Dense, Input, Rescale
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import (
    network_inputs,
    predictions,
    quantize_input,
    simulate,
    simulate_counting,
    simulate_with_faults,
)
from vecq_hw.simulate.ends import output_arrays
from vecq_hw.simulate.mac_array import simulate_saturating
from vecq_hw.simulate.reference import checked_inputs
from vecq_hw.verify.vectors import random_vectors

U8 = IntFormat(8, signed=False)


def two_by_two() -> Network:
    """Inputs ``a`` and ``b``; outputs ``scores`` and their class, from the sum of both."""
    return Network(
        name="two",
        inputs=(
            Input(name="a", shape=(3,), format=U8, step=0.5),
            Input(name="b", shape=(3,), format=U8, step=0.5),
        ),
        layers=(Add(name="scores", inputs=("a", "b")), ArgMax(name="class", input="scores")),
        outputs=("scores", "class"),
    )


X = {"a": np.array([[1, 2, 3], [9, 0, 0]]), "b": np.array([[0, 2, 0], [0, 0, 9]])}
SCORES, CLASSES = [[1, 4, 3], [9, 0, 9]], [1, 0]


@settings(max_examples=60, deadline=None)
@given(strategies.several_ends(), st.integers(0, 2**32), st.integers(0, 40))
def test_every_output_is_that_of_plain_python(network, seed, count):
    x = checked_inputs(network, random_vectors(network, count, seed))
    got = output_arrays(network, simulate(network, x))
    assert list(got) == list(network.outputs)
    for index in range(min(count, 2)):
        one = plain.evaluate(network, {name: codes[index].tolist() for name, codes in x.items()})
        for name, found in got.items():
            assert found[index].tolist() == one[name]


@pytest.mark.parametrize("seed", range(12))
def test_what_runs_the_simulator_takes_and_gives_every_end(seed):
    network = random_ends(Seeded(seed))
    x = checked_inputs(network, random_vectors(network, 300, seed))
    wanted = output_arrays(network, simulate(network, x))
    counted, _ = simulate_counting(network, x)
    faultless = simulate_with_faults(network, x, "activations", 0, seed)
    for name, expected in wanted.items():
        assert np.array_equal(output_arrays(network, counted)[name], expected)
        assert np.array_equal(output_arrays(network, faultless)[name], expected)


def test_accumulators_saturate_in_networks_of_several_ends():
    compared = 0
    for seed in range(40):
        network = random_ends(Seeded(seed))
        layers = [
            replace(layer, accumulator_bits=None) if isinstance(layer, Dense | Conv2d) else layer
            for layer in network.layers
        ]
        network = replace(network, layers=tuple(layers))
        x = random_vectors(network, 20, seed)
        bits = max([network.tensors[layer.name].format.bits for layer in network.mac_layers] or [9])
        try:
            found, overflows = simulate_saturating(network, default_schedule(network), x, bits)
        except VecqError as error:  # such wide sums leave a Rescale no room
            if "leaves ±2^62" not in str(error):
                raise
            continue
        compared += 1
        assert not any(overflows.values())
        for name, expected in output_arrays(network, simulate(network, x)).items():
            assert np.array_equal(output_arrays(network, found)[name], expected)
    assert compared > 20


def test_hooks_and_faults_reach_every_input():
    network, zeros = two_by_two(), {"a": np.zeros((4, 3), int), "b": np.zeros((4, 3), int)}
    seen = {}

    def ones(result, _sources, first):
        seen[first] = result.shape
        return result + 1

    taps = simulate(network, zeros, taps=["a", "b", "scores"], hooks={"b": ones})
    assert (taps["a"].any(), taps["b"].min(), taps["scores"].min()) == (False, 1, 1)
    flipped = simulate_with_faults(network, zeros, "activations", 2 * 4 * 3 * 8, 0)
    assert (output_arrays(network, flipped)["scores"] == 2 * 255).all()


def test_real_numbers_become_codes_and_outputs_classes_by_name():
    network, reals = two_by_two(), {name: codes / 2 for name, codes in X.items()}
    for convert in (network_inputs, quantize_input):
        codes = convert(network, reals)
        assert {name: array.tolist() for name, array in codes.items()} == {
            name: array.tolist() for name, array in X.items()
        }
    pair = network_inputs(network, (reals["a"], reals["b"]))
    outputs = simulate(network, pair)
    assert {name: array.ravel().tolist() for name, array in outputs.items()} == {
        "scores": np.ravel(SCORES).tolist(),
        "class": CLASSES,
    }
    found = predictions(network, outputs)
    assert {name: classes.tolist() for name, classes in found.items()} == {
        "scores": CLASSES,
        "class": CLASSES,
    }


@pytest.mark.parametrize(
    ("x", "says"),
    [
        ({"a": X["a"]}, "inputs of network 'two': arrays of 'a', 'b' are wanted, not of 'a'"),
        (X | {"c": X["a"]}, "arrays of 'a', 'b' are wanted, not of 'a', 'b', 'c'"),
        (X["a"], "inputs of network 'two': one array for each of 'a', 'b' is wanted, by its name"),
        (X | {"b": X["b"][:1]}, "equal numbers of samples are wanted, not of 'a' 2, 'b' 1"),
        (X | {"b": X["b"][:, :2]}, "input 'b': the shape (N, 3) is wanted, not (2, 2)"),
        (X | {"b": X["b"] - 1}, "input 'b': the codes -1..8 leave 0..255 (u8)"),
    ],
)
def test_inputs_that_do_not_fit_are_named(x, says):
    with pytest.raises(VecqError, match=re.escape(says)):
        simulate(two_by_two(), x)


def test_a_network_is_refused_where_an_end_says_nothing():
    network = two_by_two()
    with pytest.raises(VecqError, match="the output 'scores' is named twice; name each tensor"):
        replace(network, outputs=("scores", "class", "scores"))
    with pytest.raises(VecqError, match="no output depends on the input 'b'; leave it out"):
        replace(network, outputs=("a",))
    passed = replace(network, outputs=("b", "scores"))
    assert np.array_equal(simulate(passed, X)["b"], X["b"])


def test_the_command_reads_and_writes_an_array_for_each_end(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    storage.save(two_by_two(), "two.npz")
    np.savez("x.npz", **X)
    np.savez("reals.npz", **{name: codes / 2 for name, codes in X.items()})
    np.save("one.npy", X["a"])

    def run(*arguments):
        return CliRunner().invoke(vecq, ["simulate", "two.npz", *arguments])

    for source in (["--inputs", "x.npz"], ["--reals", "reals.npz"]):
        done = run(*source, "--out", "y.npz", "--json", "y.json")
        assert done.exit_code == 0, done.output
        with np.load("y.npz") as found:
            assert found["scores"].tolist() == SCORES
            assert found["class"].ravel().tolist() == CLASSES
    done = run("--inputs", "x.npz", "--trace", "trace")
    assert sorted(path.stem for path in (tmp_path / "trace").glob("*.npy")) == sorted(
        two_by_two().tensors
    )
    assert "'one.npy': inputs of network 'two': one array for each of 'a', 'b'" in str(
        run("--inputs", "one.npy").exception
    )
    assert "has the inputs 'a', 'b'; give --inputs or --reals" in str(
        run("--data", "digits").exception
    )


def test_a_single_input_may_come_by_its_name_too():
    source = Input(name="x", shape=(2,), format=U8)
    ones = np.ones(2, int)
    layer = Rescale(name="r", input="x", mantissa=ones, offset=ones, shift=1, format=U8)
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("r",))
    x = np.array([[4, 6]])
    assert np.array_equal(simulate(network, {"x": x}), simulate(network, x))
    both = replace(network, outputs=("r", "x"))
    assert list(simulate(both, x)) == ["r", "x"]
    assert not any(isinstance(layer, Dense) for layer in both.layers)
