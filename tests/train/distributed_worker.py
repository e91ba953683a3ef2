"""What each process of test_distributed.py does; torchrun starts it."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from tests.train.test_descent import KINDS
from vecq_hw import cli, data
from vecq_hw.quantize import METHODS, weight_method
from vecq_hw.train import Optimizer, Settings, Training, quantize_model, run
from vecq_hw.train.distributed import process_group, rank_and_size

CASES = tuple(dict.fromkeys(("float", "free", *KINDS, *METHODS)))
"""Every method is among them; 'free' is of a network without batch norms."""

FEW_BITS = [name for name, kind in METHODS.items() if kind.BITS[-1] <= 2 and name not in KINDS]
"""Methods by which a weight that moves a little takes another of two or three values.

Adam makes whole steps of gradients that are rounding alone, so these are trained by SGD."""


def pictures(samples=45, classes=3):
    """Images with negative values among the last samples only."""
    rng = np.random.default_rng(0)
    y = np.arange(samples) % classes
    x = rng.random((samples, 1, 8, 8)) * 0.3
    x[np.arange(samples), 0, y + 2] += 0.7
    x[-3:] -= 0.2
    return data.checked_dataset("pictures", x, y, x, y)


def net(case):
    """A small network, quantized unless it is 'float'."""
    torch.manual_seed(1)
    norms = (nn.Identity(), nn.Identity())
    if case != "free":
        norms = (nn.BatchNorm2d(4), nn.BatchNorm1d(12, momentum=None))
    # The gradient of a bias before a batch norm is nothing but rounding.
    bias = case == "free"
    modules = (
        *(nn.Conv2d(1, 4, 3, padding=1, bias=bias), norms[0], nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(64, 12, bias), norms[1], nn.ReLU(), nn.Linear(12, 3)),
    )
    model = nn.Sequential(*(m for m in modules if not isinstance(m, nn.Identity)))
    match case:
        case "float":
            return model
        case "vecq" | "free":  # of many steps, as those below
            return quantize_model(model, 8, 12)
        case "esb":
            return quantize_model(model, 5, 5, method="esb", activation_method="esb")
        case "pq":  # of one layer from the third step on, of the other from the fifth
            method = weight_method("pq", block=4, words=8, least_blocks=0, scalar_bits=12)
            return quantize_model(model, 3, None, method=method)
    # Many small steps, so that what is rounded otherwise shows little.
    method = KINDS[case] if case in KINDS else METHODS[case]
    most = getattr(method, "BITS", range(17))[-1]  # a partial tells none
    return quantize_model(model, min(12, most), None, method=method)


def trained(case):
    """The training, which looks at parts of 5 and 4 samples on two ranks."""
    settings = Settings(epochs=2, batch_size=9, learning_rate=2e-3, padding=1, flip=True, seed=4)
    if case in FEW_BITS:
        settings = replace(settings, optimizer=Optimizer.SGD, learning_rate=0.02)
    training = Training(net(case), pictures(), settings)
    run(training, progress=False)
    return training


def main(folder):
    """Each case, then the command."""
    torch.set_num_threads(1)
    with process_group(torch.device("cpu")):
        rank, size = rank_and_size()
        assert size == 2
        for case in CASES:
            training = trained(case)
            content = {
                "state": training.model.state_dict(),
                "losses": [epoch.loss for epoch in training.history],
                "accuracies": [epoch.accuracy for epoch in training.history],
                "kinds": [type(module).__name__ for module in training.model.modules()],
            }
            torch.save(content, Path(folder) / f"{case}{rank}.pt")
        sys.argv = ["vecq", "train", "--epochs", "2", "--threads", "1", "--out", f"{folder}/out"]
        cli.main()


if __name__ == "__main__":
    main(sys.argv[1])
