"""What every method in METHODS keeps, with its defaults; a new one is tested by being there."""

import copy
import io

import pytest
import torch

from tests.train.test_descent import bits_of, net, pictures
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.quantize import METHODS, weight_method
from vecq_hw.quantize.settings import method_settings
from vecq_hw.train import Settings, Training, quantize_model

torch.set_num_threads(1)

SHAPE = (2, 5, 5)
HOSTILE = {
    bool: (1, "yes", None),
    int: (-1, 0, 1 << 70, 10**5000, 1.5, True, torch.eye(3)),
    float: (-1.0, 0.0, 1e300, 10**400, float("nan"), float("inf"), "0.5"),
    str: ("", "\0", 5, "1" * 5000),
}
WRONG = {
    bool: (1, "yes", None),
    int: (1.5, True, "3"),
    float: (float("nan"), float("inf"), "0.5"),
    str: ("", 5),
}
"""What is of no setting of that kind, whatever its range."""


def width(name):
    """The bits of the codes: 4, or what the method has."""
    bits = METHODS[name].BITS
    return min(max(4, bits[0]), bits[-1])


def training(name):
    """The training of a small net with a Conv2d, a ConvTranspose2d and a Linear."""
    twin = quantize_model(net(0.2), width(name), 8, method=name, input_shape=SHAPE)
    return Training(twin, pictures(), Settings(epochs=4, batch_size=16, learning_rate=0.01))


@pytest.mark.parametrize("name", METHODS)
def test_trained_resumed_copied_and_lowered(name):
    data, whole = pictures(), training(name)
    for _ in range(2):
        whole.run_epoch()
    held = io.BytesIO()
    torch.save([whole.model.state_dict(), whole.state_dict()], held)
    held.seek(0)
    model, state = torch.load(held, weights_only=True)
    fresh = training(name).model
    fresh.load_state_dict(model)
    again = Training(fresh, data, whole.settings)
    again.load_state_dict(state)
    copied = copy.deepcopy(whole.model)
    assert bits_of(copied) == bits_of(whole.model)
    for _ in range(2):
        whole.run_epoch()
        again.run_epoch()
    assert bits_of(whole.model) == bits_of(again.model) != bits_of(copied)
    assert [epoch.loss for epoch in whole.history] == [epoch.loss for epoch in again.history]
    network = lower(whole.model, SHAPE)
    assert prediction_differences(whole.model, network, data.x_test) <= 2


@pytest.mark.parametrize("name", METHODS)
def test_gradients_have_the_shapes_of_what_they_move(name):
    twin = quantize_model(net(), width(name), None, method=name, input_shape=SHAPE)
    twin(torch.from_numpy(pictures().x_train)).square().mean().backward()
    for parameter in (twin.get_submodule(layer).weight for layer in ("0", "3", "7")):
        assert parameter.grad.shape == parameter.shape
        assert bool(torch.isfinite(parameter.grad).all())


@pytest.mark.parametrize("name", METHODS)
def test_hostile_settings_are_refused_or_taken_and_never_crash(name):
    w = torch.randn(4, 6, generator=torch.Generator().manual_seed(1))
    for option, one in method_settings(METHODS[name]).items():
        for value in HOSTILE.get(one.kind, (5, "both", None)):
            for given in (value, (value,), (value, value)):
                said = "one sentence"
                try:
                    quantizer = weight_method(name, **{option: given})(w, width(name))
                    assert quantizer(w).shape == w.shape
                except VecqError as error:
                    said = str(error)
                assert len(said.splitlines()) == 1
                assert len(said) < 400


@pytest.mark.parametrize("name", METHODS)
def test_settings_and_widths_that_a_method_does_not_have_are_refused(name):
    kind, w = METHODS[name], torch.ones(4, 6)
    with pytest.raises(VecqError, match=f"method '{name}' has no setting 'colour'"):
        weight_method(name, colour=1)
    for option, one in method_settings(kind).items():
        for value in WRONG.get(one.kind, (5, "both")):
            for given in (value, (value,), (value, value)):
                with pytest.raises(VecqError, match=f"method '{name}': {option} is "):
                    weight_method(name, **{option: given})
    for bits in (0, kind.BITS[0] - 1, kind.BITS[-1] + 1, 2.5, True, "2", None):
        with pytest.raises(VecqError, match=r"weights of \w+ have "):
            weight_method(name)(w, bits)
