"""Train the reduced networks for salient objects and score them: the rows of Table 12's stand-in.

    python -m benchmarks.salient [--epochs N] [--images N] [ROW ...]

A row is a network and its bits, such as ``unet-w2a8`` or ``fpn-float``; without one all 16 are run.
Each is trained from the same first parameters on the same blended objects; the map of a row with
bits is that of the integer network.  Rows that are in docs/results/salient.json with the same
epochs and images are not run again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from benchmarks.origin import ROOT, origin
from vecq_hw.data.blended import BlendedObjects, read_blended_objects
from vecq_hw.data.saliency import saliency_scores
from vecq_hw.files import write_atomically
from vecq_hw.lower import lower
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import build_model, quantize_model

OUT = ROOT / "docs" / "results" / "salient.json"
NETWORKS = ("unet", "fpn", "linknet", "unetplusplus")
BITS = (None, 2, 4, 8)
BATCH, RATE = 32, 2e-3
TEST = 500
_PART = 50
"""Images that are simulated at a time."""


def row_name(network: str, bits: int | None) -> str:
    """As the command and the results name it."""
    return f"{network}-float" if bits is None else f"{network}-w{bits}a8"


ROWS = {row_name(network, bits): (network, bits) for network in NETWORKS for bits in BITS}


def trained(network: str, bits: int | None, data: BlendedObjects, epochs: int) -> nn.Module:
    """The network after ``epochs`` of Adam with binary cross-entropy of each pixel."""
    torch.manual_seed(0)
    model = build_model(f"{network}_reduced", data.x_train.shape[1:], 1)
    if bits is not None:
        model = quantize_model(model, bits, 8)
    x, masks = torch.from_numpy(data.x_train), torch.from_numpy(data.masks_train)
    steps = len(x) // BATCH
    optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    for epoch in range(epochs):
        total = 0.0
        for chosen in torch.randperm(len(x))[: steps * BATCH].split(BATCH):
            wanted = masks[chosen, None].float()
            loss = nn.functional.binary_cross_entropy_with_logits(model(x[chosen]), wanted)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += float(loss.detach())
        print(f"  epoch {epoch + 1} of {epochs}, loss {total / steps:.4f}", flush=True)
    return model.eval()


def float_map(model: nn.Module, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """What torch computes, (N, H, W) in 0..1."""
    with torch.no_grad():
        parts = [model(part).sigmoid()[:, 0] for part in torch.from_numpy(x).split(_PART)]
    result: npt.NDArray[np.float32] = torch.cat(parts).numpy()
    return result


def integer_map(model: nn.Module, x: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """What the integer network computes, (N, H, W) in 0..1."""
    network = lower(model, x.shape[1:])
    (name,) = network.outputs
    step = network.tensors[name].step
    parts = []
    for begin in range(0, len(x), _PART):
        scores = simulate(network, network_inputs(network, x[begin : begin + _PART]))
        parts.append(scores[..., 0] * step)
    return 1 / (1 + np.exp(-np.concatenate(parts)))


def measured(name: str, data: BlendedObjects, epochs: int) -> dict[str, Any]:
    """The scores of one row on the test images, and how it was trained."""
    network, bits = ROWS[name]
    begin = time.perf_counter()
    model = trained(network, bits, data, epochs)
    seconds = time.perf_counter() - begin
    found = float_map(model, data.x_test)
    result: dict[str, Any] = {"epochs": epochs, "images": len(data.x_train), "seconds": seconds}
    result["torch"] = asdict(saliency_scores(zip(found, data.masks_test, strict=True)))
    if bits is not None:
        integers = integer_map(model, data.x_test)
        result["integers"] = asdict(saliency_scores(zip(integers, data.masks_test, strict=True)))
        result["pixels_decided_otherwise"] = int(((integers > 0.5) != (found > 0.5)).sum())
    return result | origin()


def main() -> None:
    """Run the rows that are asked for and are not there yet; each is kept when it ends."""
    parser = argparse.ArgumentParser(description="Reduced networks for salient objects.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help="such as unet-w2a8; all if none")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=4000)
    options = parser.parse_args()
    for name in options.rows:
        if name not in ROWS:
            parser.error(f"there is no row '{name}'; {', '.join(ROWS)} are there")
    data = read_blended_objects(train=options.images, test=TEST)
    for name in options.rows or ROWS:
        kept = json.loads(OUT.read_text()) if OUT.exists() else {}
        same = {"epochs": options.epochs, "images": options.images}
        if name in kept and same.items() <= kept[name].items():
            continue
        print(name, flush=True)
        kept[name] = measured(name, data, options.epochs)
        write_atomically(OUT, (json.dumps(kept, indent=2, sort_keys=True) + "\n").encode())


if __name__ == "__main__":
    main()
