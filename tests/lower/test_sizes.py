"""Stored bits of networks and of models without one."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from tests.lower.test_weight_kinds import IMAGE, KINDS, samples, trained_twin
from vecq_hw.cli.training import sizes_without_network
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower
from vecq_hw.lower.sizes import stored_bits, stored_bits_of_model
from vecq_hw.quantize import weight_method
from vecq_hw.train import LayerQuantization, ModelRecipe, quantize_model

MODEL = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)]


@pytest.mark.parametrize("kind", [*KINDS, "vecq"])
def test_a_model_and_its_network_store_as_many_bits(kind):
    method = KINDS.get(kind, kind)
    twin = trained_twin(MODEL, IMAGE, 3, 8, method=method, input_shape=IMAGE)
    found = stored_bits(lower(twin, IMAGE))
    assert found == stored_bits_of_model(twin)
    if kind == "vecq":
        assert found == (3.0, {"0": 3.0, "3": 3.0})
    if kind == "words":  # an index of two bits for each pair, and a book of 4 × 2 × 4 bits
        assert found.by_layer == {"0": 1 + round(32 / 72, 4), "3": 1 + 32 / 320}
        assert found.per_weight == round((72 + 320 + 64) / (72 + 320), 4)


def test_widths_by_layer_and_weights_that_are_shared():
    class Twice(nn.Module):
        """One layer called twice, and another."""

        def __init__(self):
            super().__init__()
            self.fc1, self.fc2, self.relu = nn.Linear(4, 4), nn.Linear(4, 2), nn.ReLU()

        def forward(self, x):
            return self.fc2(self.relu(self.fc1(self.relu(self.fc1(x)))))

    twin = quantize_model(Twice(), 4, 8, {"fc2": LayerQuantization(weight=1)})
    with torch.no_grad():
        twin(torch.from_numpy(samples((4,), 30, False, 1)))
    found = stored_bits(lower(twin.eval()))
    assert found.per_weight == round((16 * 4 + 8) / 24, 4)
    assert sorted(found.by_layer.values()) == [1, 4, 4]


def test_models_without_a_network():
    model = nn.Sequential(nn.Linear(4, 3))
    twin = quantize_model(model, 4, None, method=weight_method("mul2q", mean=True))
    with pytest.raises(VecqError, match="no step divides both"):
        stored_bits_of_model(twin)
    recipe = ModelRecipe(model="mlp", shape=(4,), classes=3, activation_bits=None)
    none = sizes_without_network(twin, recipe)
    assert none == {"stored_bits_per_weight": None, "bits_by_layer": None}
    twin = quantize_model(model, 4, None)
    own = sizes_without_network(twin, recipe)
    assert own == {"stored_bits_per_weight": 4.0, "bits_by_layer": {"0": 4.0}}
    floats = sizes_without_network(model, replace(recipe, weight_bits=None))
    assert floats == {"stored_bits_per_weight": 32.0, "bits_by_layer": {}}
