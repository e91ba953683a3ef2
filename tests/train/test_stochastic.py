"""SQ and ELQ in training: their schedules, their equal ends, every kind of layer, the integers."""

import copy
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tests.lowered import check_codes, samples
from tests.train.test_methods import blobs, mlp
from vecq_hw import data, storage
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize import METHODS, Elq, Stochastic, Twn
from vecq_hw.quantize.stochastic import is_base
from vecq_hw.train import Settings, Training, evaluate, fit, quantize_model

torch.set_num_threads(1)

BASES = [name for name, kind in METHODS.items() if is_base(kind)]


@pytest.mark.parametrize("name", BASES)
def test_sq_at_all_of_the_weights_is_its_base_bit_for_bit(name):
    kind = METHODS[name]
    bits, dataset = min(max(kind.BITS[0], 2), kind.BITS[-1]), blobs()
    by_rows = partial(Stochastic, base=kind, stages=[1.0])
    alone, *drawn = (
        quantize_model(mlp(), bits, 8, method=method)
        for method in (kind, by_rows, partial(by_rows, granularity="element"))
    )
    for twin in (alone, *drawn):
        fit(twin, dataset, epochs=2, batch_size=32, learning_rate=0.02, progress=False)
    x = torch.from_numpy(dataset.x_test)
    for twin in drawn:
        state = twin.state_dict()
        for key, value in alone.state_dict().items():
            assert torch.equal(value, state[key.replace(".quantizer.", ".quantizer.base.")]), key
        assert torch.equal(twin(x), alone(x))
        assert storage.digest(lower(twin)) == storage.digest(lower(alone))


def test_stages_are_equal_parts_of_training():
    twin = quantize_model(mlp(), 2, 8, method=Stochastic)
    training = Training(twin, blobs(), Settings(epochs=4, batch_size=15))
    quantizer = twin.get_submodule("0").quantizer
    seen, drawn = [], []

    def look():
        seen.append(int(quantizer.stage))
        drawn.append(int(quantizer.random.state[2]))

    for _ in range(4):
        training.run_epoch(look)
    # Eight steps an epoch; the step that ends a part enters the next.
    assert seen == [0] * 7 + [1] * 8 + [2] * 8 + [3] * 9
    # Of 12 rows 6, 3 and 1 stay float; in the last part, none, and none is drawn.
    assert drawn == [*range(1, 25), *[24] * 8]


@pytest.mark.parametrize(
    ("method", "bits"),
    [
        (partial(Stochastic, base=Twn, granularity="element", probability="linear"), 2),
        (Elq, 1),
        (partial(Elq, a1=0.5, order="error", per_channel=False), 2),
        (partial(Elq, frozen=False), 2),
    ],
)
def test_both_train_lower_and_predict_alike(method, bits):
    dataset = blobs()
    twin = quantize_model(mlp(), bits, 8, method=method)
    losses = fit(twin, dataset, epochs=20, batch_size=32, learning_rate=0.02, progress=False)
    assert losses[-1] < losses[0]
    assert evaluate(twin, dataset.x_test, dataset.y_test) > 0.9
    assert prediction_differences(twin, lower(twin), dataset.x_test) <= 1


def layers():
    """With every kind of convolution."""
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1, groups=4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 2, 2, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6 * 12 * 8, 2),
    )


@pytest.mark.parametrize("method", [Stochastic, Elq])
def test_convolutions_of_every_kind(method):
    x = samples((2, 6, 4), 60, False, 3)
    means = x.mean(axis=(1, 2, 3))
    y = (means > np.median(means)).astype(int)
    dataset = data.checked_dataset("images", x, y, x, y)
    for model in (layers(), layers().double()):
        twin = quantize_model(model, 2, 8, method=method)
        twin.eval()
        kind = next(twin.parameters()).dtype
        if kind == torch.float64:
            twin.train()
            twin(torch.from_numpy(x).double()).sum().backward()
            assert torch.isfinite(twin.get_submodule("0").weight.grad).all()
            continue
        fit(twin, dataset, epochs=4, batch_size=20, progress=False)
        check_codes(twin, (2, 6, 4), x)
        copied = copy.deepcopy(twin)
        assert torch.equal(copied(torch.from_numpy(x)), twin(torch.from_numpy(x)))


class Words(nn.Module):
    """An embedding, both kinds of recurrent layers and a Conv1d."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.convolution = nn.Conv1d(6, 6, 3, padding=1)
        self.lstm = nn.LSTM(6, 5, batch_first=True)
        self.gru = nn.GRU(5, 4, batch_first=True)
        self.last = nn.Linear(4, 3)

    def forward(self, x):
        x = self.embedding(x).transpose(1, 2)
        x = torch.relu(self.convolution(x)).transpose(1, 2)
        x, _ = self.lstm(x)
        x, _ = self.gru(x)
        return self.last(x[:, -1])


@pytest.mark.parametrize("method", [Stochastic, partial(Elq, per_channel=False)])
def test_sequences(method):
    torch.manual_seed(1)
    twin = quantize_model(Words(), 2, 8, method=method)
    x = torch.randint(0, 11, (40, 7))
    y = x.sum(1) % 3
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.01)
    twin.train()
    for _ in range(4):
        optimizer.zero_grad()
        nn.functional.cross_entropy(twin(x), y).backward()
        optimizer.step()
    table = twin.get_submodule("embedding")
    used = table.quantizer(table.weight)
    if method is Stochastic:  # of eleven rows, five
        assert int((used == table.weight).all(1).sum()) == 5
    twin.eval()
    network = lower(twin, (7,))
    assert prediction_differences(twin, network, x.numpy()) <= 1
