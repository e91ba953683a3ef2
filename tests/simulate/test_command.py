"""The command ``vecq simulate``: traces, overflows, faults, and options that do not fit."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from tests.simulate.test_simulate import pooled
from tests.strategies import random_inputs
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.passes.widths import wrap_accumulators
from vecq_hw.schedule import Fold, Schedule, default_schedule, to_json
from vecq_hw.simulate import mac_array, simulate, simulate_counting, simulate_with_faults


@pytest.fixture
def saved(tmp_path):
    network = pooled([1, 2, 5], kernel=(2, 2), stride=(2, 2))
    x = random_inputs(network, 6, 1)
    storage.save(network, tmp_path / "net.npz")
    np.save(tmp_path / "x.npy", x)
    return network, x, tmp_path


def _vecq(folder, *arguments: str):
    command = ["simulate", str(folder / "net.npz"), "--inputs", str(folder / "x.npy"), *arguments]
    return CliRunner().invoke(vecq, command)


@pytest.mark.parametrize("engine", ["float", "int8"])
def test_the_command_traces_every_tensor(saved, engine):
    network, x, folder = saved
    result = _vecq(folder, "--trace", str(folder / "t"), "--engine", engine)
    assert result.exit_code == 0, result.output
    tensors = simulate(network, x, taps=list(network.tensors))
    assert {path.stem for path in (folder / "t").glob("*.npy")} == set(tensors)
    for name, values in tensors.items():
        assert np.array_equal(np.load(folder / "t" / f"{name}.npy"), values)


def test_the_command_traces_the_taps_alone(saved):
    _, _, folder = saved
    assert _vecq(folder, "--trace", str(folder / "t"), "--taps", "conv,codes").exit_code == 0
    assert {path.name for path in (folder / "t").glob("*.npy")} == {"conv.npy", "codes.npy"}
    assert "give --trace too" in _vecq(folder, "--taps", "conv").output


def test_the_command_counts_overflows(saved):
    network, x, folder = saved
    result = _vecq(folder, "--accumulator-bits", "10", "--out", str(folder / "y.npy"))
    narrow = wrap_accumulators(network, 10)
    outputs, counts = simulate_counting(narrow, x)
    assert counts["conv"] > 0
    assert result.output.splitlines()[-1].split() == ["conv", str(counts["conv"])]
    assert np.array_equal(np.load(folder / "y.npy"), outputs)


def test_the_command_saturates_in_the_order_of_the_schedule(saved):
    network, x, folder = saved
    narrow = ("--accumulator-bits", "10", "--overflow", "saturate", "--out", str(folder / "y.npy"))
    for lanes in (None, Fold(pe=3, simd=1)):
        schedule = default_schedule(network) if lanes is None else Schedule(folds={"conv": lanes})
        (folder / "s.json").write_text(to_json(schedule))
        chosen = () if lanes is None else ("--schedule", str(folder / "s.json"))
        result = _vecq(folder, *narrow, *chosen)
        outputs, counts = mac_array.simulate_saturating(network, schedule, x, 10)
        assert result.output.splitlines()[-1].split() == ["conv", str(counts["conv"])]
        assert np.array_equal(np.load(folder / "y.npy"), outputs)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--overflow", "saturate"),
        ("--accumulator-bits", "9", "--schedule", "s.json"),
        ("--accumulator-bits", "9", "--overflow", "saturate", "--engine", "int8"),
        ("--accumulator-bits", "9", "--faults", "1"),
    ],
)
def test_options_that_do_not_go_together_are_refused(saved, arguments):
    result = _vecq(saved[2], *arguments)
    assert result.exit_code == 2
    assert "--" in result.output.splitlines()[-1]


@pytest.mark.parametrize("site", ["weights", "activations", "accumulators"])
def test_the_command_injects_faults(saved, site):
    network, x, folder = saved
    arguments = ("--faults", "9", "--fault-site", site, "--seed", "4")
    assert _vecq(folder, *arguments, "--out", str(folder / "y.npy")).exit_code == 0
    expected = simulate_with_faults(network, x, site, 9, 4)
    assert np.array_equal(np.load(folder / "y.npy"), expected)
    assert not np.array_equal(expected, simulate(network, x))
