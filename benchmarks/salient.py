"""Train the reduced networks for salient objects and score them: the rows of Table 12's stand-in.

    python -m benchmarks.salient [--images N] [ROW ...]

A row is a network and its bits, such as ``unet-w2a8`` or ``fpn-float``; without one all 16 are run.
The four rows of a network begin alike, with ``FLOAT_EPOCHS`` epochs in float, and each goes on for
``TUNING_EPOCHS`` with its bits, the float row in float: all have seen the same images equally
often, in the same order.  The map of a row with bits is that of the integer network.  Rows that are
in docs/results/salient.json with the same numbers are not run again.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.origin import ROOT, origin
from vecq_hw.data import Dataset
from vecq_hw.data.readers import read_blended_objects
from vecq_hw.data.saliency import saliency_scores
from vecq_hw.files import write_atomically
from vecq_hw.lower import lower
from vecq_hw.simulate import network_inputs, object_maps, simulate
from vecq_hw.train import build_model, predict_maps, quantize_model

OUT = ROOT / "docs" / "results" / "salient.json"
NETWORKS = ("unet", "fpn", "linknet", "unetplusplus")
BITS = (None, 2, 4, 8)
BATCH = 16
FLOAT_EPOCHS, FLOAT_RATE = 4, 2e-3
TUNING_EPOCHS, TUNING_RATE = 2, 1e-3
IMAGES = 3000
TEST = 500


def row_name(network: str, bits: int | None) -> str:
    """As the command and the results name it."""
    return f"{network}-float" if bits is None else f"{network}-w{bits}a8"


ROWS = {row_name(network, bits): (network, bits) for network in NETWORKS for bits in BITS}


def begun(network: str, data: Dataset) -> nn.Module:
    """The float network that the four rows begin with."""
    torch.manual_seed(0)
    model = build_model(f"{network}_reduced", data.x_train.shape[1:], 1)
    return trained(model, data, FLOAT_EPOCHS, FLOAT_RATE)


def trained(model: nn.Module, data: Dataset, epochs: int, rate: float) -> nn.Module:
    """The model after ``epochs`` of Adam with binary cross-entropy of each pixel."""
    torch.manual_seed(1)
    # The channels of a pixel side by side: a step takes a quarter less on a CPU.
    model.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    x, masks = torch.from_numpy(data.x_train), torch.from_numpy(data.y_train)
    steps = len(x) // BATCH
    optimizer = torch.optim.Adam(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x))[: steps * BATCH].split(BATCH):
            given = x[chosen].contiguous(memory_format=torch.channels_last)
            wanted = masks[chosen, None].float()
            loss = nn.functional.binary_cross_entropy_with_logits(model(given), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"  epoch {epoch + 1} of {epochs}, loss {total / steps:.4f}", flush=True)
    return model.eval()


def integer_map(model: nn.Module, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """What the integer network computes, (N, H, W) in 0..1."""
    network = lower(model, x.shape[1:])
    return object_maps(network, simulate(network, network_inputs(network, x)))


def measured(name: str, begin: nn.Module, data: Dataset) -> dict[str, Any]:
    """The scores of one row on the test images, and how it was trained."""
    _, bits = ROWS[name]
    clock = time.process_time()
    model = copy.deepcopy(begin) if bits is None else quantize_model(begin, bits, 8)
    model = trained(model, data, TUNING_EPOCHS, TUNING_RATE)
    seconds = time.process_time() - clock
    found = predict_maps(model, data.x_test)
    result: dict[str, Any] = protocol(len(data.x_train)) | {"tuning_cpu_seconds": round(seconds, 1)}
    result["torch"] = asdict(saliency_scores(zip(found, data.y_test, strict=True)))
    if bits is not None:
        integers = integer_map(model, data.x_test)
        result["integers"] = asdict(saliency_scores(zip(integers, data.y_test, strict=True)))
        result["pixels_decided_otherwise"] = int(((integers > 0.5) != (found > 0.5)).sum())
    return result | origin()


def protocol(images: int) -> dict[str, int]:
    """What rows must have alike to be compared."""
    return {
        "float_epochs": FLOAT_EPOCHS,
        "tuning_epochs": TUNING_EPOCHS,
        "images": images,
        "test_images": TEST,
    }


def main() -> None:
    """Run the rows that are asked for and are not there yet; each is kept when it ends."""
    parser = argparse.ArgumentParser(description="Reduced networks for salient objects.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="such as unet-w2a8; all if none")
    parser.add_argument("--images", type=int, default=IMAGES)
    options = parser.parse_args()
    for name in options.rows:
        if name not in ROWS:
            parser.error(f"there is no row '{name}'; {', '.join(ROWS)} are there")
    data = read_blended_objects(train=options.images, test=TEST)
    beginnings: dict[str, nn.Module] = {}
    for name in options.rows or ROWS:
        kept = json.loads(OUT.read_text()) if OUT.exists() else {}
        if name in kept and protocol(options.images).items() <= kept[name].items():
            continue
        network, _ = ROWS[name]
        if network not in beginnings:
            print(f"{network}: float", flush=True)
            beginnings = {network: begun(network, data)}
        print(name, flush=True)
        kept[name] = measured(name, beginnings[network], data)
        write_atomically(OUT, (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main()
