"""Product codes and base codes of hand-made quantizers: lowered, computed, verified."""

import numpy as np
import pytest
import torch
from torch import nn

from tests import plain
from tests.lowered import check_codes, samples, trained_twin
from tests.shares import nightly
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, MidRise, TwosComplement
from vecq_hw.layers import (
    BinaryBases,
    Conv2d,
    Dense,
    Embedding,
    Lstm,
    ProductWeights,
    Weights,
)
from vecq_hw.lower import lower
from vecq_hw.lower.weights import narrowest_grid, places, weights_at
from vecq_hw.quantize import BaseCodes, ProductCodes, WeightQuantizer
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import Settings, Training, quantize_model
from vecq_hw.verify import compare, targets

torch.set_num_threads(1)

BOOK = [[-5, 3], [2, 2], [-1, -4], [6, 0]]


class Blocks(WeightQuantizer):
    """What both kinds have in common: blocks of two channels, or of one where they are odd."""

    BLOCKS = True

    def __init__(self, w, bits, per_channel=False):
        super().__init__(w, bits, per_channel)
        self.block = 1 if w.shape[1] % 2 else 2

    def blocks(self, w):
        """(O, C / d, ..., d)."""
        return w.unflatten(1, (-1, self.block)).movedim(2, -1)

    def unblocked(self, blocks, w):
        """As w."""
        return blocks.movedim(-1, 2).reshape(w.shape)

    def step(self, w):
        """One, or one an output."""
        if not self.per_channel:
            return w.detach().abs().mean() / 3
        return w.detach().abs().flatten(1).mean(1).clamp(min=1e-3) / 3

    def integers(self, w):
        step = self.step(w)
        codes = self.codes(w)
        step = step.reshape(-1, *[1] * (w.ndim - 1)) if self.per_channel else step
        return self.unblocked(self.values(codes), w).to(w.dtype), step


class Words(Blocks):
    """The nearest word of a book that is fixed."""

    def book(self):
        """(K, d)."""
        return torch.tensor(BOOK, dtype=torch.int16)[:, : self.block].contiguous()

    def values(self, codes):
        """(O, C / d, ..., d)."""
        return codes.book[codes.indices]

    def codes(self, w):
        w = w.detach()
        step = self.step(w)
        scaled = w / step.reshape(-1, *[1] * (w.ndim - 1))
        distances = (self.blocks(scaled)[..., None, :] - self.book()).square().sum(-1)
        return ProductCodes(distances.argmin(-1), self.book(), TwosComplement(4), step.double())


class Bases(Blocks):
    """Signs three times, and signs of what is left, where that is much."""

    def values(self, codes):
        """(O, C / d, ..., d)."""
        signs = 2 * codes.bases.to(torch.int64) - 1
        return (signs * codes.coordinates[..., None]).sum(-2)

    def codes(self, w):
        w = w.detach()
        step = self.step(w)
        blocks = self.blocks(w / step.reshape(-1, *[1] * (w.ndim - 1)))
        first = blocks >= 0
        left = blocks - torch.where(first, 3.0, -3.0)
        bases = torch.stack([left >= 0, first], -2).to(torch.uint8)
        much = (left.square().mean(-1) > 1).to(torch.int16)
        coordinates = torch.stack([much, torch.full_like(much, 3)], -1)
        return BaseCodes(bases, coordinates, step.double())


KINDS = {"words": Words, "bases": Bases}
COMPACT = {"words": ProductWeights, "bases": BinaryBases}
IMAGE = (2, 6, 6)


LAYERS = [
    *(nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()),
    *(nn.Conv2d(4, 4, 3, groups=2, stride=2, padding=1), nn.ReLU()),
    *(nn.Conv2d(4, 4, 3, groups=4, padding=1), nn.ReLU()),
    *(nn.Flatten(), nn.Linear(36, 6), nn.ReLU(), nn.Linear(6, 5)),
]
TRANSPOSED = [
    *(nn.ConvTranspose2d(2, 4, 2, 2), nn.ReLU(), nn.ConvTranspose2d(4, 4, 3), nn.ReLU()),
    *(nn.ConvTranspose2d(4, 4, 2, 2, groups=2), nn.ReLU(), nn.MaxPool2d(7)),
    *(nn.Flatten(), nn.Linear(64, 5)),
]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_layers_hold_them_compactly_and_compute_what_was_trained(kind, per_channel):
    def method(w, bits):
        return KINDS[kind](w, bits, per_channel)

    twin = trained_twin(LAYERS, IMAGE, 4, 8, method=method, input_shape=IMAGE)
    x = samples(IMAGE, 60, False, 9)
    network = check_codes(twin, IMAGE, x, clean_part=0.2)
    check_kinds(network, kind, 5)
    taps = [one.name for one in network.layers]
    given = network_inputs(network, x[:2])
    computed = simulate(network, given, taps=taps)
    for index in range(2):
        values = plain.evaluate(network, given[index].tolist())
        for name in taps:
            assert computed[name][index].tolist() == values[name], name


def check_kinds(network, kind, count):
    """So many layers have weights, all of the compact kind."""
    found = [type(one.weights) for one in network.layers if hasattr(one, "weights")]
    assert found == [COMPACT[kind]] * count


def check_outputs(twin, network, x):
    """The network's outputs are about the model's."""
    step = network.tensors[network.outputs[0]].step
    with torch.no_grad():
        wanted = twin(torch.from_numpy(x)).numpy()
    got = simulate(network, network_inputs(network, x)) * step
    assert np.abs(got - wanted).max() < 0.05 * np.abs(wanted).max()


@pytest.mark.parametrize("kind", KINDS)
def test_transposed_convolutions_hold_them_compactly(kind):
    twin = trained_twin(TRANSPOSED, IMAGE, 4, 8, method=KINDS[kind], input_shape=IMAGE)
    network = lower(twin, IMAGE)
    check_kinds(network, kind, 4)
    check_outputs(twin, network, samples(IMAGE, 60, False, 9))


@pytest.mark.parametrize("kind", KINDS)
def test_sequences_hold_them_compactly(kind):
    torch.manual_seed(0)

    class Net(nn.Module):
        """Words, a convolution of steps, states."""

        def __init__(self):
            super().__init__()
            self.table, self.conv = nn.Embedding(9, 4), nn.Conv1d(4, 6, 3)
            self.relu, self.lstm = nn.ReLU(), nn.LSTM(6, 4, batch_first=True)
            self.end = nn.Linear(4, 3)

        def forward(self, words):
            x = self.relu(self.conv(self.table(words).transpose(1, 2)))
            return self.end(self.lstm(x.transpose(1, 2))[0][:, -1])

    twin = quantize_model(Net(), 4, 8, method=KINDS[kind])
    words = torch.randint(0, 9, (20, 7))
    with torch.no_grad():
        twin(words)
    network = lower(twin.eval(), (7,))
    found = {type(one) for one in network.layers if hasattr(one, "weights")}
    assert found == {Embedding, Conv2d, Lstm, Dense}
    check_kinds(network, kind, 5)
    check_outputs(twin, network, words.numpy())


@pytest.mark.parametrize("kind", KINDS)
def test_blocks_that_a_layer_cannot_hold_are_lowered_by_values(kind):
    # Without shapes nothing is known of the pixels behind a Flatten, so blocks lie along them.
    model = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)]
    twin = trained_twin(model, IMAGE, 4, 8, method=KINDS[kind])
    network = check_codes(twin, IMAGE, samples(IMAGE, 60, False, 9))
    weights = [one.weights for one in network.layers if isinstance(one, Dense | Conv2d)]
    assert [type(one) for one in weights] == [COMPACT[kind], Weights]
    levels = len(np.unique(weights[1].values))
    assert weights[1].bits == (levels - 1).bit_length()


@pytest.mark.needs_cxx
@pytest.mark.parametrize("kind", ["words", nightly("bases")])
def test_the_cxx_computes_them(tmp_path, kind, monkeypatch):
    monkeypatch.setenv("CXXFLAGS", "-O0")
    verified(tmp_path, kind, "hls")


@pytest.mark.nightly
@pytest.mark.needs_verilator
@pytest.mark.parametrize("kind", KINDS)
def test_the_systemverilog_computes_them(tmp_path, kind):
    verified(tmp_path, kind, "rtl")


def verified(folder, kind, target):
    """A small network through a target."""
    model = [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)]
    twin = trained_twin(model, IMAGE, 4, 4, method=KINDS[kind], input_shape=IMAGE)
    network = lower(twin, IMAGE)
    check_kinds(network, kind, 2)
    x = network_inputs(network, samples(IMAGE, 12, False, 3))
    report = compare.verify(network, x, targets=targets.choose([target]), folder=folder)
    assert [(row.status.value, row.mismatches) for row in report.rows] == [("passed", 0)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_advances_them(kind):
    from tests.train.test_descent import net, pictures

    twin = quantize_model(net(), 4, 8, method=KINDS[kind], input_shape=(2, 5, 5))
    assert twin.get_submodule("7").pixels == 100
    run = Training(twin, pictures(), Settings(epochs=2, batch_size=16))
    losses = [run.run_epoch().loss for _ in range(2)]
    assert losses[1] < losses[0]


@pytest.mark.parametrize(
    ("values", "grid"),
    [
        ([0, 0], CodeBook((0, 0))),
        ([-1, 1], MidRise(1)),
        ([-7, -5, -3, -1, 1, 3, 5, 7], MidRise(3)),
        ([-2, -1, 0, 1], TwosComplement(2)),
        ([-2, 0, 1, 40], CodeBook((-2, 0, 1, 40))),
        ([-2, 0, 40], CodeBook((-2, 0, 40, 40))),
    ],
)
def test_the_narrowest_grid(values, grid):
    assert narrowest_grid(np.array(values)) == grid


def test_values_that_no_grid_has_are_refused():
    with pytest.raises(VecqError, match=r"the integers 0\.\.79998, which no grid of 16 bits has"):
        narrowest_grid(np.arange(40_000) * 2)


def test_blocks_stay_whole_or_are_no_blocks():
    codes = ProductCodes(
        torch.tensor([[0, 1], [3, 2]]), torch.tensor(BOOK, dtype=torch.int16), MidRise(4),
        torch.tensor(0.5, dtype=torch.float64),
    )  # fmt: skip
    taken = places((2, 4))
    assert weights_at(codes, taken[::-1]).indices.tolist() == [[3, 2], [0, 1]]
    assert weights_at(codes, taken[:, [2, 3, 0, 1]]).indices.tolist() == [[1, 0], [2, 3]]
    for order in ([1, 0, 2, 3], [1, 2, 3, 0], [0, 2, 1, 3]):
        weights = weights_at(codes, taken[:, order])
        assert type(weights) is Weights
        assert weights.values.tolist() == weights_at(codes, taken).values[:, order].tolist()
        assert weights.step == 0.5
