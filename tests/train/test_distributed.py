"""Two processes under torchrun compute what one does with the whole batch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.train import distributed_worker
from vecq_hw import storage
from vecq_hw.train import load_training


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranks")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", "-m", "tests.train.distributed_worker", str(path)),
        ],
        cwd=root,
        env=os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return path


@pytest.mark.parametrize("case", distributed_worker.CASES)
def test_ranks_agree_and_equal_one_process(folder, case):
    torch.set_num_threads(1)
    first, second = (torch.load(folder / f"{case}{rank}.pt") for rank in (0, 1))
    assert first["state"].keys() == second["state"].keys()
    for name, value in first["state"].items():
        assert torch.equal(value, second["state"][name]), name
    assert first["losses"] == second["losses"]
    assert first["accuracies"] == second["accuracies"]
    whole = distributed_worker.trained(case)
    # Sums are rounded in another order; where that moves a value over the edge of a code, it shows.
    tolerance = 1e-5 if case == "float" else 1e-3
    losses = [epoch.loss for epoch in whole.history]
    assert first["losses"] == pytest.approx(losses, rel=tolerance)
    assert first["accuracies"] == pytest.approx([epoch.accuracy for epoch in whole.history])
    for name, value in whole.model.state_dict().items():
        torch.testing.assert_close(first["state"][name], value, rtol=tolerance, atol=tolerance * 5)
    assert first["kinds"] == [type(module).__name__ for module in whole.model.modules()]


def test_the_command_under_torchrun_writes_once(folder):
    metrics = json.loads((folder / "out" / "metrics.json").read_text())
    assert metrics["epochs"] == 2
    network = storage.load(folder / "out" / "network.npz")
    assert storage.digest(network) == metrics["network_digest"]
    model, _, saved = load_training(folder / "out" / "checkpoint.pt")
    assert len(saved.state["history"]) == 2
    assert not any(name.startswith("module.") for name in model.state_dict())
