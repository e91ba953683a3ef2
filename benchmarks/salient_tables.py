"""Tables 10 to 12: salient object detection, the paper's figures beside what stands in for them."""

from __future__ import annotations

import json
from typing import Any

import torch
from torch import nn

from benchmarks.results import NOT_RUN, table
from benchmarks.salient import (
    BITS,
    FLOAT_EPOCHS,
    NETWORKS,
    OUT,
    TEST,
    TUNING_EPOCHS,
    row_name,
)
from vecq_hw.train import build_model, model_size_bytes

TITLES = {"unet": "U-Net", "fpn": "FPN", "linknet": "LinkNet", "unetplusplus": "UNet++"}
PAPER_SIZES = {
    "unet": (64, 36.54, 139.37, 9.05),
    "fpn": (67, 28.67, 109.38, 7.20),
    "linknet": (69, 28.78, 109.80, 7.24),
    "unetplusplus": (76, 37.70, 143.81, 9.35),
}
"""Convolutions, millions of parameters, MiB with weights of 32 and of 2 bits."""
PAPER_SETS = {
    "ECSSD": 1000, "HKU-IS": 4000, "DUTs": 15572, "DUT-OMRON": 5168, "MSRA10K": 10000,
    "THUR15K": 6233,
}  # fmt: skip


def table10() -> str:
    """The data sets, none of which is here."""
    rows = [(name, str(images), NOT_RUN) for name, images in PAPER_SETS.items()]
    rows.append(("blended objects", "any number", f"{TEST} to test on"))
    return (
        "# Table 10: data sets for salient object detection\n\n"
        "None of the paper's sets may be passed on, and none was found where it may be read. So"
        " nothing was measured on them. Objects of MNIST that are blended onto photographs of"
        " CIFAR-10 (`vecq_hw.data.blended`) stand in. Their masks are exact, but their scores do"
        f" not compare with the paper's.\n\n{table(('data set', 'images', 'here'), rows)}"
    )


def table11() -> str:
    """The sizes of the networks on ResNet-50, computed here and now."""
    rows = []
    for name in NETWORKS:
        with torch.device("meta"):
            model = build_model(f"{name}_resnet50", (3, 224, 224), 1)
        kinds = nn.Conv2d | nn.ConvTranspose2d
        ours = (
            sum(isinstance(module, kinds) for module in model.modules()),
            model_size_bytes(model, 32) / 4e6,
            model_size_bytes(model, 32) / 2**20,
            model_size_bytes(model, 2) / 2**20,
        )
        for title, numbers in ((TITLES[name], ours), ("paper", PAPER_SIZES[name])):
            rows.append((title, str(numbers[0]), *(f"{number:.2f}" for number in numbers[1:])))
    titles = ("network", "convolutions", "parameters (M)", "MiB", "MiB at 2 bits")
    return (
        "# Table 11: the networks on ResNet-50\n\n"
        "These are the sizes of four networks that find salient objects, each of which begins with"
        " a ResNet-50. Batch norms are counted as the paper counts them: four float numbers for"
        f" each channel, also where weights have 2 bits.\n\n{table(titles, rows)}"
    )


def table12() -> str:
    """The scores of the reduced networks on blended objects."""
    kept: dict[str, Any] = json.loads(OUT.read_text()) if OUT.exists() else {}
    rows = []
    for network in NETWORKS:
        for bits in BITS:
            name = row_name(network, bits)
            weights = "float" if bits is None else f"W{bits}/A8"
            if name not in kept:
                rows.append((TITLES[network], weights, NOT_RUN, *[""] * 7))
                continue
            run = kept[name]
            scores = run["torch" if bits is None else "integers"]
            names = ("mae", "max_f", "s_measure", "adaptive_e", "max_e")
            other = run.get("pixels_decided_otherwise", "")
            rows.append(
                (
                    TITLES[network],
                    weights,
                    *(f"{scores[key]:.3f}" for key in names),
                    str(other),
                    f"{run['float_epochs']} + {run['tuning_epochs']}",
                    str(run["images"]),
                )
            )
    titles = (
        *("network", "bits", "MAE", "max F", "S", "E", "max E"),
        *("pixels that differ", "epochs", "images"),
    )
    return (
        "# Table 12: scores of salient object detection\n\n"
        "The networks are reduced ones (`unet_reduced` and so on) for images of 64 × 64 pixels."
        " They are trained and tested on blended objects, with which the paper's figures do not"
        " compare. `python -m benchmarks.salient` runs the rows.\n\n"
        f"The four rows of a network begin with the same {FLOAT_EPOCHS} epochs in float."
        f" {TUNING_EPOCHS} more epochs follow with the bits of the row; the float row goes on in"
        f" float. {TEST} other images test them. With bits, the scores are those of the"
        " [integer network](../reference/glossary.md#integer-network). A pixel differs where the"
        " integer network and the float pass of training decide otherwise. E is taken at twice the"
        f" mean of each map, as in the paper.\n\n{table(titles, rows)}"
    )
