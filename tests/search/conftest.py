from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

MODEL = """
from collections import OrderedDict
from torch import nn

def model():
    return nn.Sequential(OrderedDict(
        one=nn.Linear(8, 16), relu=nn.ReLU(), two=nn.Linear(16, 12), last=nn.ReLU(),
        three=nn.Linear(12, 4)))
"""


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A data set and a model for which a trial takes a fraction of a second, as Request's."""
    place: Path = tmp_path_factory.mktemp("small")
    random = np.random.default_rng(0)
    centres = random.normal(size=(4, 8))
    labels = random.integers(0, 4, 480)
    x = (centres[labels] + random.normal(size=(480, 8))).astype(np.float32)
    np.savez(
        place / "data.npz",
        x_train=x[:360],
        y_train=labels[:360],
        x_test=x[360:],
        y_test=labels[360:],
    )
    (place / "model.py").write_text(MODEL)
    return {"data": str(place / "data.npz"), "model": f"{place / 'model.py'}:model"}
