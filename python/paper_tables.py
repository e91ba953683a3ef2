"""Write docs/results/table*.md, methods.md and their pictures from the results in docs/results.

    python python/paper_tables.py

Nothing is trained here.  The paper's figures stand beside ours; a row without a result says so.
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from benchmarks.method_goals import methods
from benchmarks.method_tables import pictures, table8
from benchmarks.results import NOT_RUN, accuracy, origins, result, svg, table
from benchmarks.salient_tables import table10, table11, table12
from vecq_hw.files import write_atomically
from vecq_hw.quantize import expected_orientation_loss, gaussian_lambda
from vecq_hw.train import PRESETS, build_model, model_size_bytes

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "docs" / "results"
CELLS = OUT / "rtl_area_cells.json"

PAPER_LAMBDA = {2: 0.9957, 3: 0.5860, 4: 0.3352, 5: 0.1881, 6: 0.1041, 7: 0.0569, 8: 0.0308}
PAPER_ACCURACY = {
    "lenet5": {
        "w32a32": 99.40, "w1a32": 99.34, "w2a32": 99.53, "w3a32": 99.48, "w4a32": 99.47,
        "w8a32": 99.48, "w2a8": 99.43, "w4a8": 99.53, "w8a8": 99.44,
    },
    "vgg_like": {
        "w32a32": 93.49, "w1a32": 90.39, "w2a32": 92.94, "w4a32": 93.27, "w2a8": 92.46,
        "w4a8": 93.37,
    },
}  # fmt: skip
"""What the paper states in its Table 5, in per cent; W1A8 is not in it."""
PAPER_TEXTS: dict[str, dict[str, float]] = {
    "imdb": {"w32a32": 84.98, "w2a8": 85.54, "w4a8": 86.24, "w8a8": 85.53},
    "thucnews-titles": {},
}
"""The accuracies of its Table 6, in per cent; its THUCNews are whole texts, ours are titles."""
LENET_ROWS = (
    "w32a32", "w1a32", "w2a32", "w3a32", "w4a32", "w8a32", "w1a8", "w2a8", "w4a8", "w8a8",
)  # fmt: skip
VGG_ROWS = ("w32a32", "w1a32", "w2a32", "w4a32", "w2a8", "w4a8")


def table1() -> str:
    """The best intervals for Gaussian weights, computed here and now."""
    rows = []
    for bits in range(1, 17):
        best = gaussian_lambda(bits)
        loss = expected_orientation_loss(best, bits)
        paper = PAPER_LAMBDA.get(bits, 6 / 2**bits if bits > 8 else None)
        rows.append(
            (
                str(bits),
                "any" if bits == 1 else f"{best:.6g}",
                "any" if paper is None else f"{paper:.4g}",
                f"{loss:.3e}",
                "" if paper is None else f"{expected_orientation_loss(paper, bits):.3e}",
            )
        )
    titles = ("bits", "lambda", "paper", "orientation loss", "at the paper's lambda")
    return (
        "# Table 1: the best interval lambda, in standard deviations, and Fig. 6\n\n"
        "[Lambda](../reference/glossary.md#lambda) is the distance between VecQ's levels. For"
        " weights of a Gaussian distribution the best one need not be trained:"
        " `vecq_hw.quantize.gaussian_lambda` computes it.\n\n"
        "The orientation loss is 1 − cos of the angle between the weights and their codes. Beyond"
        " 8 bits the paper takes 6 / 2^k, which clips at three standard deviations.\n\n"
        f"{table(titles, rows)}\n![Orientation loss over lambda for 1 to 8 bits](fig6.svg)\n"
    )


def figure6() -> bytes:
    """The orientation loss over lambda for 1 to 8 bits, the minima marked, as SVG."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    intervals = np.geomspace(0.01, 3, 160)
    for bits in range(1, 9):
        losses = [expected_orientation_loss(float(interval), bits) for interval in intervals]
        (line,) = axes.plot(intervals, losses, label=f"{bits} bits" if bits > 1 else "1 bit")
        if bits > 1:
            best = gaussian_lambda(bits)
            loss = expected_orientation_loss(best, bits)
            axes.plot(best, loss, "o", color=line.get_color())
    axes.set(xscale="log", yscale="log", xlabel="lambda, in standard deviations")
    axes.set(ylabel="orientation loss")
    axes.legend(fontsize="small")
    return svg(figure)


def table5() -> str:
    """Accuracy and size of our networks over the widths."""
    parts = [
        "# Table 5: accuracy and size\n",
        "A row has the [widths](../reference/glossary.md#w2a8) of weights and activations. 32 bits"
        " stand for float.\n",
        "Where activations have fewer bits, the accuracy is that of the"
        " [integer network](../reference/glossary.md#integer-network): the simulator computes all"
        " 10,000 test images. The float pass is what training itself computes for the same"
        " network. `differ` counts the images for which the two predict another class.\n",
        "Sizes are counted as the paper counts them, in MiB.\n",
    ]
    sets = (
        (
            "LeNet5 on MNIST", "lenet5-mnist-crops", "lenet5", "lenet5", (1, 28, 28), LENET_ROWS,
            "The paper trains for 55 epochs, and divides the learning rate by ten after 35 and 50."
            " Here that schedule is shortened in proportion to the epochs in the table. Images are"
            " padded by two pixels and cropped at random; the paper says nothing of this for"
            " MNIST.",
        ),
        (
            "LeNet5 on MNIST, without crops", "lenet5-mnist", "lenet5", "lenet5", (1, 28, 28),
            LENET_ROWS, "The images are as they are; all else is as above.",
        ),
        (
            "VGG-like of a quarter of the width on CIFAR-10", "vgg-quarter-cifar10",
            "vgg_like_quarter", "vgg_like", (3, 32, 32), VGG_ROWS,
            "This network has a sixteenth of the paper's multiplications, and it trained for far"
            " fewer than the paper's 300 epochs. So the rows compare with each other alone. The"
            " paper's column is of the whole network.",
        ),
    )  # fmt: skip
    for title, folder, model, paper_model, shape, names, note in sets:
        with torch.device("meta"):
            net = build_model(model, shape, 10)
        rows = []
        for name in names:
            weights, activations = name[1:].split("a")
            run = result(f"{folder}/{name}")
            paper = PAPER_ACCURACY[paper_model].get(name)
            rows.append(
                (
                    f"{weights}/{activations}",
                    f"{model_size_bytes(net, int(weights)) / 2**20:.2f}",
                    NOT_RUN if run is None else f"{accuracy(run):.2f}",
                    "" if paper is None else f"{paper:.2f}",
                    "" if run is None else f"{100 * run['qat_accuracy']:.2f}",
                    "" if run is None else str(run.get("prediction_differences", "")),
                    "" if run is None else str(run["epochs"]),
                )
            )
        titles = ("W/A bits", "MiB", "accuracy %", "paper %", "float pass %", "differ", "epochs")
        parts.append(f"\n## {title}\n\n{note}\n\n{table(titles, rows)}")
        parts.append(origins(f"{folder}/{name}" for name in names))
    return "\n".join(parts)


def table6() -> str:
    """Accuracy and size of the networks for texts."""
    parts = [
        "# Table 6: texts\n",
        "A row has the [widths](../reference/glossary.md#w2a8) of weights and activations. 32 bits"
        " stand for float.\n",
        "Where activations have fewer bits, so have the states of the LSTM; in the paper states"
        " and gates stay float. The accuracy then is that of the"
        " [integer network](../reference/glossary.md#integer-network), from the embedding to the"
        " scores: the simulator computes all test texts. The float pass is what training itself"
        " computes for the same network. `differ` counts the texts for which the two predict"
        " another class.\n",
        "Sizes are counted as the paper counts them, in MiB.\n",
    ]
    sets = (
        (
            "IMDB", "imdb", 2,
            "The network is 128E-64C5-MP4-70LSTM-1: an embedding of 128 values, 64 convolutions"
            " over 5 words, a maximum over 4 places, an LSTM of 70 units, and one score. It knows"
            " 20,000 words and reads the last 100 of a review. Every tenth review of the training"
            " set is held out for validation. The test set has 25,000 reviews.",
        ),
        (
            "Titles of THUCNews", "thucnews-titles", 10,
            "The network is 128E-128LSTM-128FC-10: an embedding of 128 values, an LSTM of 128"
            " units, a dense layer of 128 outputs, and ten scores. It knows 5,000 characters and"
            " reads the last 32 of a title. It is trained on 33,494 titles. The paper's row is of"
            " 65,000 whole texts of ten classes. That is another set, so its figures do not stand"
            " here.",
        ),
    )  # fmt: skip
    for title, folder, classes, note in sets:
        preset = PRESETS[f"lstm-{folder}"]
        with torch.device("meta"):
            net = build_model(preset.model, (100,), classes)
        rows = []
        names = ("w32a32", "w2a8", "w4a8", "w8a8")
        for name in names:
            weights, activations = name[1:].split("a")
            run = result(f"{folder}/{name}")
            validation = [] if run is None else run["validation_accuracies"]
            rows.append(
                (
                    f"{weights}/{activations}",
                    f"{model_size_bytes(net, int(weights)) / 2**20:.2f}",
                    NOT_RUN if run is None else f"{accuracy(run):.2f}",
                    f"{PAPER_TEXTS[folder].get(name, '')}",
                    "" if run is None else f"{100 * run['qat_accuracy']:.2f}",
                    "" if run is None else str(run.get("prediction_differences", "")),
                    "" if run is None else f"{100 * validation[-1]:.2f}",
                    "" if run is None else str(run["epochs"]),
                )
            )
        titles = (
            "W/A bits", "MiB", "accuracy %", "paper %", "float pass %", "differ", "validation %",
            "epochs",
        )  # fmt: skip
        parts.append(f"\n## {title}\n\n{note}\n\n{table(titles, rows)}")
        parts.append(origins(f"{folder}/{name}" for name in names))
    parts.append(lstm_sizes())
    return "\n".join(parts)


def lstm_sizes() -> str:
    """What the LSTMs of both networks take, each as a cell alone, without DSPs."""
    record = json.loads(CELLS.read_text())
    found = [row for row in record["rows"] if row["cell"] == "states"]
    rows = [
        (
            row["what"].removeprefix("LSTM of "),
            row["family"],
            *(str(row[name]) for name in ("luts", "physical_luts", "flip_flops")),
            f"{row['block_rams_36k']:g}",
        )
        for row in found
    ]
    commands = "; ".join(dict.fromkeys(f"`{row['command']}`, {row['commit']}" for row in found))
    note = (
        "This is the [cell](../reference/cells.md) `vecq_lstm` alone: the sums over the state, the"
        " gates, the tables and the memories. Its weights are random. The cell computes one gate"
        " in each cycle, and it has the fewest [lanes](../reference/glossary.md#lane) with which"
        " the sums of a step take about as long as its gates. LUT positions are what silicon"
        " spends. Block RAM is counted in blocks of 36 kbit. The figures come from yosys"
        f" {record['yosys']} ({commands})."
    )
    titles = ("LSTM", "family", "LUT", "LUT positions", "FF", "block RAM")
    return f"\n## The LSTMs as circuits\n\n{note}\n\n{table(titles, rows)}"


def table9() -> str:
    """The best interval of trained weights beside the Gaussian one."""
    names = [f"{folder}/w32a32" for folder in ("lenet5-mnist", "vgg-quarter-cifar10")]
    bits = range(2, 9)
    rows = [("Gaussian", "", *(f"{gaussian_lambda(k):.4f}" for k in bits))]
    errors: list[list[float]] = []
    for name in names:
        run = result(name)
        found = None if run is None else run.get("best_intervals")
        if not found:
            rows.append((name, NOT_RUN, *[""] * len(bits)))
            continue
        best = [float(found["lambda"][str(k)]) for k in bits]
        errors.append([gaussian_lambda(k) - value for k, value in zip(bits, best, strict=True)])
        weights = f"{found['layer']}, {found['weights']}"
        rows.append((name, weights, *(f"{value:.3f}" for value in best)))
    if errors:
        means = [statistics.mean(column) for column in zip(*errors, strict=True)]
        rows.append(("mean error", "", *(f"{mean:+.4f}" for mean in means)))
    titles = ("network", "layer, weights", *(f"{k} bits" for k in bits))
    return (
        "# Table 9: the best lambda of trained weights\n\n"
        "The weights are those of the last convolution of each network, trained in float."
        " [Lambda](../reference/glossary.md#lambda) is in standard deviations of these weights. The"
        " best one was found by a search of (0, 3] in steps of 0.001. The error is the lambda for"
        f" Gaussian weights less the one found.\n\n{table(titles, rows)}{origins(names)}"
    )


def main() -> None:
    """Write every table."""
    makers = {"1": table1, "5": table5, "6": table6, "8": table8, "9": table9}
    makers |= {"10": table10, "11": table11, "12": table12}
    for name, make in makers.items():
        write_atomically(OUT / f"table{name}.md", make().encode())
    write_atomically(OUT / "methods.md", methods().encode())
    for name, picture in {"fig6": figure6(), **pictures()}.items():
        write_atomically(OUT / f"{name}.svg", picture)


if __name__ == "__main__":
    main()
