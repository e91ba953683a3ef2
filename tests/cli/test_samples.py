"""Where the samples of a command come from."""

from dataclasses import replace

import numpy as np
import pytest
from click.testing import CliRunner

from tests.data.test_readers import mnist
from tests.test_network import IMAGE, conv, network
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights


def test_every_command_that_takes_data_also_takes_their_folder():
    options = {
        name: {option: parameter for parameter in command.params for option in parameter.opts}
        for name, command in vecq.commands.items()
    }
    taking = [name for name, known in options.items() if "--data" in known]
    assert {"train", "simulate", "verify", "emit"} <= set(taking)
    for name in taking:
        assert options[name]["--data-dir"].help == options["train"]["--data-dir"].help


@pytest.fixture
def stored(tmp_path):
    codes = np.random.default_rng(0).integers(-2, 2, (3, 5, 4, 1))
    weights = Weights(codes=codes, grid=MidRise(2))
    path = tmp_path / "network.npz"
    storage.save(network(conv(weights=weights), source=replace(IMAGE, shape=(5, 4, 1))), path)
    return path


def test_named_data_are_found_where_the_option_says(tmp_path, monkeypatch, stored):
    monkeypatch.delenv("VECQ_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    mnist(tmp_path)
    arguments = ["simulate", str(stored), "--data", "mnist"]
    lost = CliRunner().invoke(vecq, [*arguments, "--data-dir", "elsewhere"])
    assert "data 'mnist' is not in 'elsewhere'; say with --data-dir" in str(lost.exception)
    found = CliRunner().invoke(vecq, [*arguments, "--data-dir", str(tmp_path)])
    assert found.exit_code == 0, found.output
    assert "integer accuracy" in found.output
    alone = CliRunner().invoke(vecq, ["simulate", str(stored), "--data-dir", "x"])
    assert "--data-dir says where a data set lies; give --data too" in alone.output
