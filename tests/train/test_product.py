"""Product quantization in training: when layers get words, on what, what they learn, going on."""

import io

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.shares import nightly
from vecq_hw import data
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Dense, ProductWeights, Weights
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize import ProductQuantization, weight_method
from vecq_hw.train import Settings, Training, quantize_model
from vecq_hw.train.product import ProductStage, _moments, _products, assign_words

torch.set_num_threads(1)

METHOD = weight_method("pq", scalar_channels=2, iterations=6, distilled=True)


def pictures(samples=48):
    rng = np.random.default_rng(3)
    y = np.arange(samples) % 4
    x = rng.random((samples, 2, 6, 6)) * 0.5
    x[np.arange(samples), 0, y] += 1
    return data.checked_dataset("pictures", x, y, x, y)


def net():
    torch.manual_seed(5)
    return nn.Sequential(
        *(nn.Conv2d(2, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()),
        *(nn.Conv2d(8, 8, 3, groups=2), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Flatten(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 4)),
    )


def training(epochs=4, method=METHOD, **settings):
    twin = quantize_model(net(), 2, 8, method=method)
    return Training(twin, pictures(), Settings(epochs=epochs, batch_size=16, **settings))


def quantizers(model):
    return [m for m in model.modules() if isinstance(m, ProductQuantization)]


def held(model):
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


def test_layers_get_their_words_one_after_the_other_and_then_their_weights_stand_still():
    run = training(8)
    waiting, told = [], []
    run.tell = told.append
    for _ in range(8):
        run.run_epoch(lambda: waiting.append([q.waits for q in quantizers(run.model)]))
    # Of 24 steps, the first layer after a quarter, the last after half, the others between.
    first = [[row[layer] for row in waiting].index(False) + 1 for layer in range(4)]
    assert first == [6, 8, 10, 12]
    assert [text for text in told if ":" not in text] == [f"words of '{n}'" for n in (0, 3, 8, 10)]
    assert told[1] == "words of '0': 0 of 6"
    again = training(8)
    before = {}
    for epoch in range(8):
        again.run_epoch()
        weights = {name: p.detach().clone() for name, p in again.model.named_parameters()}
        if epoch > 3:
            for name, value in weights.items():
                if name.endswith(".weight") and value.ndim > 1:
                    assert torch.equal(value, before[name]), name
                else:  # words, biases, batch norms
                    assert not torch.equal(value, before[name]), name
        before = weights
    assert held(again.model) == held(run.model)


def test_with_start_0_words_come_before_the_first_step():
    run = training(2, weight_method("pq", scalar_channels=2, start=0.0, end=0.0))
    quantizer = quantizers(run.model)[0]
    before, seen = quantizer.waits, []
    run.run_epoch(lambda: seen.append(quantizer.waits))
    assert (before, seen) == (True, [False] * 3)
    only = Training(
        quantize_model(net(), 2, 8, method=METHOD), pictures(8), Settings(epochs=1, batch_size=8)
    )
    only.run_epoch()  # all of training is one step
    assert not any(one.waits for one in quantizers(only.model))


def test_the_moments_are_those_of_what_the_quantized_network_gives_a_layer():
    twin = quantize_model(net(), 2, 8, method=METHOD)
    x = torch.from_numpy(pictures().x_train)
    with torch.no_grad():
        twin(x)
        twin.eval()
        first, second = _products(twin)[:2]
        assign_words(twin, [first], x)
        named = dict(twin.named_modules())
        reached = nn.Sequential(*(named[name] for name in ("input_quantizer", "0", "1", "2")))(x)
        size = second.quantizer.block
        cut = reached.reshape(48, 8 // size, size, 36).permute(0, 1, 3, 2).reshape(-1, size)
        torch.testing.assert_close(_moments(twin, second, x), (cut.T @ cut).double() / len(cut))
        # Blocks of taps meet patches.
        taps = weight_method("pq", order="taps", block=9, scalar_channels=2)
        named["3"].quantizer = taps(named["3"].weight, 2)
        second = _products(twin)[1]
        cut = F.unfold(reached, 3).reshape(48, 8, 9, -1).permute(0, 1, 3, 2).reshape(-1, 9)
        torch.testing.assert_close(_moments(twin, second, x), (cut.T @ cut).double() / len(cut))


def test_from_then_on_the_network_learns_the_scores_of_the_one_that_it_was():
    run = training(4)
    run.run_epoch()
    stage = run._descent._products
    teacher = stage._teacher
    assert not teacher.training
    assert all(one.waits for one in quantizers(teacher))
    x, y = torch.from_numpy(pictures().x_train), torch.from_numpy(pictures().y_train)
    scores = run.model(x)
    expected = nn.KLDivLoss(reduction="batchmean")(
        F.log_softmax(scores, 1), F.softmax(teacher(x), 1)
    )
    torch.testing.assert_close(stage.loss(scores, x, y), expected)
    before = held(teacher)
    run.run_epoch()
    assert held(stage._teacher) == before
    labelled = training(4, weight_method("pq", scalar_channels=2))
    for _ in range(2):
        labelled.run_epoch()
    assert labelled.state_dict()["teacher"] is None
    labels = labelled._descent._products.loss(scores, x, y)
    torch.testing.assert_close(labels, F.cross_entropy(scores, y))
    fresh = training(4)._descent._products
    torch.testing.assert_close(fresh.loss(scores, x, y), F.cross_entropy(scores, y))


@pytest.mark.parametrize("stopped", [1, *map(nightly, (2, 3, 5))])
def test_training_goes_on_bit_for_bit(stopped):
    whole = training(8)
    for _ in range(stopped):
        whole.run_epoch()
    kept = io.BytesIO()
    torch.save([whole.model.state_dict(), whole.state_dict()], kept)
    kept.seek(0)
    model, state = torch.load(kept, weights_only=True)
    twin = quantize_model(net(), 2, 8, method=METHOD)
    twin.load_state_dict(model)
    again = Training(twin, pictures(), whole.settings)
    again.load_state_dict(state)
    for _ in range(8 - stopped):
        whole.run_epoch()
        again.run_epoch()
    assert held(whole.model) == held(again.model)
    assert [epoch.loss for epoch in whole.history] == [epoch.loss for epoch in again.history]
    torch.testing.assert_close(whole.state_dict()["teacher"], again.state_dict()["teacher"])


def test_a_state_without_a_teacher_of_this_model_is_refused():
    run = training(4)
    run.run_epoch()
    state = run.state_dict()
    assert state["teacher"] is not None
    for forged, says in (
        ({"0.weight": torch.ones(1)}, "its teacher has other parameters than the model"),
        (state["teacher"] | {"10.bias": torch.ones(5)}, r"its teacher's 10.bias is not"),
        ([1], "its teacher has other parameters"),
    ):
        with pytest.raises(VecqError, match=says):
            training(4).load_state_dict(state | {"teacher": forged})


def test_a_stop_in_the_search_leaves_no_hook():
    run = training(4, weight_method("pq", scalar_channels=2, start=0.0))

    def interrupt(text):
        raise KeyboardInterrupt

    run.tell = interrupt
    with pytest.raises(KeyboardInterrupt):
        run.run_epoch()
    assert not any(module._forward_pre_hooks for module in run.model.modules())
    assert all(one.waits for one in quantizers(run.model))
    calls = []
    named = dict(run.model.named_modules())
    hook = named["3"].register_forward_hook(lambda *_: calls.append(1) or 1 / 0)
    with pytest.raises(ZeroDivisionError), torch.no_grad():
        _moments(run.model.eval(), _products(run.model)[0], torch.rand(4, 2, 6, 6))
    hook.remove()
    assert not any(module._forward_pre_hooks for module in run.model.modules())


def test_words_reach_the_network_as_they_are_stored():
    run = training(3)
    for _ in range(3):
        run.run_epoch()
    network = lower(run.model, (2, 6, 6))
    layers = [layer for layer in network.layers if isinstance(layer, Conv2d | Dense)]
    assert [type(layer.weights) for layer in layers][:2] == [ProductWeights] * 2
    assert prediction_differences(run.model, network, pictures().x_test) <= 1
    for layer, quantizer in zip(layers, quantizers(run.model), strict=True):
        if isinstance(layer.weights, ProductWeights):
            assert len(layer.weights.book) == quantizer.words
            assert layer.weights.block == quantizer.block
    taps = training(1, weight_method("pq", order="taps", scalar_channels=2))
    taps.run_epoch()
    network = lower(taps.model, (2, 6, 6))
    layers = [layer for layer in network.layers if isinstance(layer, Conv2d)]
    assert [type(layer.weights) for layer in layers] == [Weights] * 2
    assert prediction_differences(taps.model, network, pictures().x_test) <= 1


def test_an_input_that_is_flattened_at_once_is_a_vector_and_has_words():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(72, 16), nn.ReLU(), nn.Linear(16, 4))
    twin = quantize_model(model, 1, 8, method="pq", input_shape=(2, 6, 6))
    assert [one.block for one in quantizers(twin)] == [4, 1]
    twin(torch.from_numpy(pictures().x_train))
    network = lower(twin.eval(), (2, 6, 6))
    assert [type(layer.weights) for layer in network.products] == [ProductWeights] * 2


def test_every_kind_of_layer_has_words():
    torch.manual_seed(0)

    class Every(nn.Module):
        def __init__(self):
            super().__init__()
            self.table = nn.Embedding(20, 8)
            self.conv = nn.Conv1d(8, 8, 3)
            self.up = nn.ConvTranspose1d(8, 8, 2, 2)
            self.lstm = nn.LSTM(8, 6, 2, batch_first=True, bidirectional=True)
            self.gru = nn.GRU(12, 5, batch_first=True)
            self.last = nn.Linear(5, 3)

        def forward(self, x):
            x = self.up(F.relu(self.conv(self.table(x).transpose(1, 2))))
            x = self.gru(self.lstm(x.transpose(1, 2))[0])[0]
            return self.last(x[:, -1])

    twin = quantize_model(Every(), 2, None, method=weight_method("pq", iterations=3, weighted=True))
    x = torch.randint(0, 20, (32, 9))
    stage = ProductStage(twin, x, 0, lambda text: None)
    stage.advance(0.3)
    assert 0 < sum(one.waits for one in quantizers(twin)) < len(quantizers(twin))
    stage.advance(1.0)
    found = quantizers(twin)
    assert len(found) == 1 + 1 + 1 + 8 + 2 + 1
    assert not any(one.waits for one in found)
    with torch.no_grad():
        assert torch.isfinite(twin(x)).all()
    assert stage.loss(twin(x), x, torch.zeros(32, dtype=torch.int64)).requires_grad
