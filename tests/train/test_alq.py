"""ALQ in training and lowering: layers of every kind, schedule, what goes on bit for bit."""

import io
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from tests.lower.test_sequences import Reader, calibrated, gru, last, lstm, outputs
from tests.lowered import check_codes, samples, trained_twin
from tests.train.test_descent import bits_of, pictures, training
from vecq_hw.data import Dataset
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize import Alq
from vecq_hw.quantize.alq_schedule import Phase
from vecq_hw.train import Settings, Training, calibrate, quantize_model
from vecq_hw.train.quantized_parameters import quantized_parameters

torch.set_num_threads(1)

IMAGE = (8, 6, 6)
FORMS = {
    "pixel": ([nn.Conv2d(8, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5)], {}),
    "kernel": ([nn.Conv2d(8, 4, 3), nn.ReLU()], {"groups": "kernel"}),
    "filter": ([nn.Conv2d(8, 4, 3), nn.ReLU()], {"groups": "filter"}),
    "parts": ([nn.Conv2d(8, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 2)], {"part": 4}),
    "depthwise": ([nn.Conv2d(8, 16, 3, groups=8), nn.ReLU(), nn.Conv2d(16, 4, 1)], {}),
    "transposed": ([nn.ConvTranspose2d(8, 6, 2, 2), nn.ReLU(), nn.Conv2d(6, 3, 2)], {}),
    "dense": ([nn.Flatten(), nn.Linear(288, 16), nn.ReLU(), nn.Linear(16, 4)], {"part": 4}),
}


@pytest.mark.parametrize("form", FORMS)
def test_lowered_integers_are_those_of_training(form):
    layers, options = FORMS[form]
    twin = trained_twin(layers, IMAGE, 3, 8, method=partial(Alq, **options))
    for one in quantized_parameters(twin):
        one.parameter.grad = torch.randn_like(one.parameter)
        one.own_step(0.01)
    x = samples(IMAGE, 60, False, 99)
    if form == "transposed":  # a pixel shuffle comes before the codes
        assert prediction_differences(twin, lower(twin, IMAGE), x) <= 2
    else:
        check_codes(twin, IMAGE, x)


@pytest.mark.parametrize("kind", [lstm, gru])
def test_recurrent_layers_and_tables(kind):
    torch.manual_seed(0)
    x = np.random.default_rng(0).normal(0, 1, (40, 6, 4)).astype(np.float32)
    twin = calibrated(Reader(kind(), last, 5), x, method=Alq)
    with torch.no_grad():
        wanted = twin(torch.as_tensor(x)).numpy()
    error = np.abs(outputs(lower(twin, x.shape[1:]), x) - wanted)
    assert (error > 1e-3).mean() < 0.02
    assert wanted.std() > 0.01
    words = np.random.default_rng(1).integers(0, 9, (40, 5))
    text = nn.Sequential(nn.Embedding(9, 4), Reader(kind(), last, 5))
    twin = calibrated(text, words, method=Alq)
    assert prediction_differences(twin, lower(twin, (5,)), words) <= 1
    training = Training(twin, _texts(words), Settings(epochs=3, batch_size=10))
    for _ in range(3):
        training.run_epoch()
    assert len(quantized_parameters(twin)) == 4
    assert prediction_differences(twin, lower(twin, (5,)), words) <= 1


def _texts(words):
    y = words[:, 0] % 3
    return Dataset(name="texts", classes=3, x_train=words, y_train=y, x_test=words, y_test=y)


@pytest.mark.parametrize("epochs", [1, 3, 5])
def test_training_goes_on_bit_for_bit_in_every_phase(epochs):
    kind = partial(Alq, rounds=1, prune=0.5)
    whole = training(kind, epochs=7)
    for _ in range(epochs):
        whole.run_epoch()
    held = io.BytesIO()
    torch.save([whole.model.state_dict(), whole.state_dict()], held)
    held.seek(0)
    again = training(kind, epochs=7)
    model, state = torch.load(held, weights_only=True)
    again.model.load_state_dict(model)
    again = Training(again.model, pictures(), again.settings)
    again.load_state_dict(state)
    while not whole.finished:
        whole.run_epoch()
        again.run_epoch()
    assert bits_of(whole.model) == bits_of(again.model)


def test_the_phases_of_a_training():
    run = training(partial(Alq, rounds=1, prune=0.5), epochs=20)
    quantizers = [one.quantizer for one in quantized_parameters(run.model)]
    start, seen = sum(int(one.clock[2]) for one in quantizers), []
    run.run_epoch(lambda: None)
    while not run.finished:
        run.run_epoch(lambda: seen.append(quantizers[0].phase))
    wanted = [Phase.STRAIGHT, Phase.BASES, Phase.COORDINATES, Phase.PRUNING]
    assert list(dict.fromkeys(seen)) == wanted
    assert seen[-1] is Phase.COORDINATES
    assert sum(int((one.coordinates > 0).sum()) for one in quantizers) == -(-start // 2)
    assert prediction_differences(run.model, lower(run.model, (2, 5, 5)), pictures().x_test) <= 1


def test_mixed_precision_computes_with_whole_coordinates():
    run = training(Alq, epochs=2, mixed_precision=True)
    run.run_epoch()
    quantizer = run.model.get_submodule("7").quantizer
    weight = run.model.get_submodule("7").weight
    with torch.no_grad():
        plain = quantizer(weight)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(quantizer(weight), plain)


def test_interrupted_training_leaves_a_whole_model():
    run = training(partial(Alq, rounds=1), epochs=2)

    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run_epoch(interrupt)
    assert prediction_differences(run.model, lower(run.model, (2, 5, 5)), pictures().x_test) <= 1


def test_calibration_keeps_all_bases():
    model = nn.Sequential(nn.Linear(8, 12), nn.ReLU(), nn.Linear(12, 3))
    twin = calibrate(model, [torch.rand(30, 8)], method=Alq, weight_bits=3).model
    assert bool((twin.get_submodule("0").quantizer.coordinates > 0).all())
    lower(twin)


def test_parts_that_do_not_fill_a_row_name_the_layer():
    with pytest.raises(VecqError, match=r"layer '0': parts of 3 channels do not fill the 8"):
        quantize_model(nn.Sequential(nn.Linear(8, 4)), 2, 8, method=partial(Alq, part=3))
