"""Models of sequences and texts: the integer network computes what the quantized model does."""

import numpy as np
import pytest
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.layers import Gru, Lstm, Permute
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize.methods import weight_method
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import build_model, quantize_model


class Reader(nn.Module):
    """A recurrent layer, what is read of its results, and a Linear."""

    def __init__(self, layer, read, features):
        super().__init__()
        self.layer, self.read, self.fc = layer, read, nn.Linear(features, 3)

    def forward(self, x):
        return self.fc(self.read(self.layer(x)))


def lstm(inputs=4, hidden=5, **settings):
    return nn.LSTM(inputs, hidden, batch_first=True, **settings)


def gru(inputs=4, hidden=5, **settings):
    return nn.GRU(inputs, hidden, batch_first=True, **settings)


def last(results):
    return results[0][:, -1]


def unpacked(results):
    outputs, (_hidden, _cells) = results
    return outputs[:, -1]


def each(results):
    return results[0]


FORMS = {
    "last step": lambda: Reader(lstm(), last, 5),
    "unpacked": lambda: Reader(lstm(), unpacked, 5),
    "hidden": lambda: Reader(lstm(), lambda r: r[1][0][-1], 5),
    "hidden of one": lambda: Reader(lstm(), lambda r: r[1][0].squeeze(0), 5),
    "two layers": lambda: Reader(lstm(num_layers=2, dropout=0.3), last, 5),
    "hidden of two": lambda: Reader(lstm(num_layers=2), lambda r: r[1][0][1], 5),
    "both directions": lambda: Reader(lstm(bidirectional=True), last, 10),
    "both, two layers": lambda: Reader(gru(num_layers=2, bidirectional=True), last, 10),
    "each step": lambda: Reader(lstm(), each, 5),
    "no bias": lambda: Reader(gru(bias=False), last, 5),
    "gru": lambda: Reader(gru(), last, 5),
    "gru hidden": lambda: Reader(gru(), lambda r: r[1][-1], 5),
    "gru each step": lambda: Reader(gru(), each, 5),
    "flattened": lambda: nn.Sequential(Reader(gru(), each, 5), nn.Flatten(), nn.Linear(18, 3)),
    "mean": lambda: Reader(gru(), lambda r: r[0].mean(1), 5),
    "as many steps as channels": lambda: Reader(gru(6), last, 5),
}


def calibrated(model, x, **settings):
    twin = quantize_model(model, 4, 8, input_shape=x.shape[1:], **settings)
    with torch.no_grad():
        twin.train()(torch.as_tensor(x))
    return twin.eval()


def outputs(network, x):
    found = simulate(network, network_inputs(network, x))
    real = found * network.tensors[network.outputs[0]].step
    return real[:, 0] if real.ndim == 4 else real


@pytest.mark.parametrize("form", FORMS)
def test_recurrent_layers_compute_what_their_twins_do(form: str) -> None:
    torch.manual_seed(0)
    channels = 6 if "as many" in form else 4
    x = np.random.default_rng(0).normal(0, 1, (60, 6, channels)).astype(np.float32)
    twin = calibrated(FORMS[form](), x)
    network = lower(twin, x.shape[1:])
    with torch.no_grad():
        wanted = twin(torch.as_tensor(x)).numpy()
    error = np.abs(outputs(network, x) - wanted)
    # A code that a mantissa's rounding moves is rare, and moves the states by little.
    assert (error > 1e-3).mean() < 0.02
    assert error.max() < 0.05
    assert wanted.std() > 0.05
    assert any(isinstance(layer, Lstm | Gru) for layer in network.layers)
    assert ("as many" in form) == any(isinstance(layer, Permute) for layer in network.layers)


@pytest.mark.parametrize(("name", "steps"), [("imdb", 20), ("thucnews", 9)])
def test_the_papers_networks_for_texts_lower_whole(name: str, steps: int) -> None:
    torch.manual_seed(0)
    model = build_model(name, (steps,), 3)
    words = model.get_parameter("embedding.weight").shape[0]
    rng = np.random.default_rng(0)
    x = rng.integers(0, words, (40, steps))
    twin = calibrated(model, x)
    network = lower(twin, (steps,))
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds[0] == "Embedding"
    assert "Lstm" in kinds
    assert network.inputs[0].step == 1.0
    assert network.inputs[0].format.hi == words - 1
    with torch.no_grad():
        wanted = twin(torch.as_tensor(x)).numpy()
    # Equal, but for words of which torch puts a code on the other side of an edge; some scores tie.
    differing = (np.abs(outputs(network, x) - wanted) > 1e-4).any(axis=1)
    assert differing.sum() <= 2
    assert wanted.std() > 5e-3


@pytest.mark.parametrize("kind", [lstm, gru])
def test_gradients_are_those_of_the_true_functions(kind) -> None:
    torch.manual_seed(1)
    layer, x = kind(3, 4), torch.randn(6, 5, 3)
    twin = quantize_model(nn.Sequential(Reader(layer, last, 4)), 8, 8)
    twin.train()(x).sum().backward()
    recurrent = twin.get_submodule("0.layer")
    found = recurrent.get_parameter("weight_ih_l0").grad
    model = Reader(layer, last, 4)
    model.load_state_dict(
        {
            name.removeprefix("0."): value
            for name, value in twin.state_dict().items()
            if "quantizer" not in name
        }
    )
    model(x).sum().backward()
    wanted = model.layer.weight_ih_l0.grad
    similarity = torch.nn.functional.cosine_similarity(found.flatten(), wanted.flatten(), dim=0)
    assert similarity > 0.98


@pytest.mark.parametrize("kind", [lstm, gru])
def test_a_trained_classifier_keeps_its_predictions(kind) -> None:
    # Which of three positions held the largest value: the state must remember.
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (600, 4, 2)).astype(np.float32)
    y = x[:, :3, 0].argmax(1)
    twin = quantize_model(Reader(kind(2, 10), last, 10), 4, 8, input_shape=(4, 2))
    optimizer = torch.optim.Adam(twin.parameters(), lr=0.05)
    for _ in range(8):
        for start in range(0, 600, 100):
            optimizer.zero_grad()
            scores = twin.train()(torch.as_tensor(x[start : start + 100]))
            nn.functional.cross_entropy(scores, torch.as_tensor(y[start : start + 100])).backward()
            optimizer.step()
    network = lower(twin.eval(), (4, 2))
    differ = prediction_differences(twin, network, x)
    right = (outputs(network, x).argmax(1) == y).mean()
    assert right > 0.7
    assert differ <= 2


def test_what_is_no_sequence_is_refused() -> None:
    with pytest.raises(VecqError, match="its states are read"):
        quantize_model(Reader(lstm(), lambda r: r[1][1][-1], 5))
    with pytest.raises(VecqError, match="its states are read"):
        quantize_model(Reader(lstm(bidirectional=True), lambda r: r[1][0][-1], 5))
    table = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(12, 2))
    words = np.arange(12).reshape(4, 3) % 9
    own = calibrated(table, words, method=weight_method("vecq", per_channel=True))
    with pytest.raises(VecqError, match="the rows of the table have steps of their own"):
        lower(own, (3,))
    with pytest.raises(VecqError, match=r"give input_shape=\(L,\)"):
        lower(calibrated(table, words))
