"""A trained network for salient objects in HLS and in RTL, cycles included: concatenated skips."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.shares import nightly
from tests.train.test_models_salient import TINY
from vecq_hw import data
from vecq_hw.accelerator.plan import plan
from vecq_hw.lower import lower
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, default_schedule
from vecq_hw.simulate import network_inputs
from vecq_hw.simulate.dataflow.processes import Graph
from vecq_hw.train import Settings, Training, quantize_model
from vecq_hw.train.models_salient import salient_model
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import choose

pytestmark = [pytest.mark.needs_cxx, pytest.mark.needs_verilator]
torch.set_num_threads(1)

SIDE = 32


def squares(samples: int) -> data.Dataset:
    """A square of some tint, a fifth to half as wide as the image, on noise."""
    rng = np.random.default_rng(samples)
    x = rng.random((samples, 3, SIDE, SIDE)).astype(np.float32) * 0.6
    masks = np.zeros((samples, SIDE, SIDE), bool)
    for image, mask in zip(x, masks, strict=True):
        size = rng.integers(SIDE // 5, SIDE // 2)
        top, left = rng.integers(0, SIDE - size, 2)
        mask[top : top + size, left : left + size] = True
        image[:, mask] = image[:, mask] * 0.3 + rng.uniform(0.4, 0.7, (3, 1))
    return data.checked_dataset("squares", x, masks, x, masks)


def scheduled(network: Network) -> Schedule:
    """With FIFOs that hold a frame: the smallest ones take minutes to find at this size."""
    schedule = default_schedule(network)
    links = Graph(plan(network, schedule), 1).links
    depths = {name: 8 + link.planned.source.words for name, link in links.items()}
    return replace(schedule, fifo_depths=depths)


@pytest.mark.parametrize(
    ("name", "settings", "distinct"),
    [
        nightly("unet", Settings(epochs=6, batch_size=16, learning_rate=4e-3), 100, name="unet"),
        # Its map is enlarged four times each way: two images have 128 scores of their own.
        nightly("fpn", Settings(epochs=24, batch_size=8, learning_rate=4e-3), 64, name="fpn"),
        nightly(
            "linknet", Settings(epochs=24, batch_size=8, learning_rate=1e-2), 100, name="linknet"
        ),
    ],
)
def test_a_trained_network_on_every_target(
    name: str, settings: Settings, distinct: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    found = squares(128)
    twin = quantize_model(salient_model(name, TINY, found.shape, 2), 2, 8)
    training = Training(twin, found, settings)
    while not training.finished:
        training.run_epoch()
    assert training.history[-1].accuracy > 0.9
    network = lower(twin, found.shape, name=name)
    codes = network_inputs(network, found.x_test[:2])
    targets = choose(["hls", "hls-dpi", "rtl"])
    report = verify(network, codes, targets=targets, folder=tmp_path, schedule=scheduled(network))
    assert [row.name for row in report.rows] == [target.name for target in targets]
    for row in report.rows:
        assert row.status is Status.PASSED, row
        assert (row.outputs, row.mismatches) == (2 * SIDE * SIDE, 0)
        assert row.distinct_outputs > distinct
