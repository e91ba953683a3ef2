"""A trained network of two inputs and two outputs on every target."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from tests.lower.test_ends import SHAPES, Base, batch
from tests.shares import nightly
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.lower import lower
from vecq_hw.network import Network
from vecq_hw.train import quantize_model


@pytest.fixture(scope="module")
def network() -> Network:
    twin = quantize_model(Base(), 4, 8, input_shape=SHAPES).train()
    with torch.no_grad():
        twin(*batch(0))
    return lower(twin.eval(), SHAPES, name="two_ends")


@pytest.mark.parametrize("targets", ["hls", nightly("hls-dpi"), nightly("hls4ml"), nightly("rtl")])
@pytest.mark.needs_cxx
def test_the_command_verifies_every_output(
    network: Network, targets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    storage.save(network, "two.npz")
    np.savez("reals.npz", **{n: x.numpy() for n, x in zip(SHAPES, batch(1, 10), strict=True)})
    given = ["--targets", targets, "--reals", "reals.npz", "--json", "report.json"]
    done = CliRunner().invoke(vecq, ["verify", "two.npz", *given])
    assert done.exit_code == 0, done.output
    (row,) = json.loads(Path("report.json").read_text())["targets"]
    assert (row["status"], row["vectors"], row["mismatches"]) == ("passed", 20, 0)
    assert {name: part["outputs"] for name, part in row["by_output"].items()} == {
        "output_0": 60,
        "output_1": 80,
    }
    assert all(part["distinct_outputs"] > 10 for part in row["by_output"].values())
