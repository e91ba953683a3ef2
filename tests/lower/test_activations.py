"""Functions other than ReLU on real digits: training and integers agree."""

import pytest
import torch

from benchmarks.activations import FUNCTIONS, measured
from tests.shares import nightly

torch.set_num_threads(1)  # on small networks a second thread only waits


@pytest.mark.parametrize(
    ("function", "epochs"),
    [("Hardswish", 1), *(nightly(name, None) for name in FUNCTIONS)],
)
def test_training_and_integers_agree(function, epochs):
    found = measured(function, epochs)
    assert found["tables"] == 2
    assert found["different_predictions"] <= 2
    assert found["integer_right"] > (0.5 if epochs else 0.95)
    assert epochs or abs(found["integer_right"] - found["float_right"]) < 0.02
