"""Training that is stopped and continued, states that are forged, schedules, presets."""

import contextlib
import copy
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.train.test_fit import blobs
from vecq_hw import data
from vecq_hw.errors import VecqError
from vecq_hw.train import (
    PRESETS,
    ModelRecipe,
    Optimizer,
    SavedTraining,
    Settings,
    Training,
    build_model,
    load_checkpoint,
    load_training,
    run,
    save_checkpoint,
)

torch.set_num_threads(1)


def pictures(samples=48, shape=(1, 8, 8), classes=3):
    rng = np.random.default_rng(0)
    y = np.arange(2 * samples) % classes
    x = rng.random((2 * samples, *shape)) * 0.3
    x[np.arange(2 * samples), 0, y + 2] += 0.7
    return data.checked_dataset("pictures", x[:samples], y[:samples], x[samples:], y[samples:])


class WithDropout(nn.Sequential):
    """Everything that has a state or draws random numbers."""

    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Dropout(0.2),
            nn.Flatten(),
            nn.Linear(256, 3),
        )


RECIPE = ModelRecipe(model=f"{__file__}:WithDropout", shape=(1, 8, 8), classes=3)


def begun(settings):
    torch.manual_seed(5)
    return Training(RECIPE.build(), pictures(), settings)


def assert_equal(first, second):
    """Every leaf of two states, bit for bit."""
    assert type(first) is type(second)
    if isinstance(first, torch.Tensor):
        assert torch.equal(first, second)
    elif isinstance(first, dict):
        assert list(first) == list(second)
        for key in first:
            assert_equal(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_equal(one, other)
    else:
        assert first == second


def comparable(training):
    """Its whole state, without how long the epochs took."""
    state = training.state_dict()
    state["history"] = [row[:-1] for row in state["history"]]
    return state | {"model": dict(training.model.state_dict())}


@pytest.mark.parametrize("optimizer", list(Optimizer))
@pytest.mark.parametrize("milestones", [None, (1, 3)])
def test_two_epochs_and_two_more_are_four(tmp_path, optimizer, milestones):
    settings = Settings(
        epochs=4, batch_size=10, optimizer=optimizer, milestones=milestones, weight_decay=1e-3,
        padding=1, flip=True, learning_rate=0.01, seed=3,
    )  # fmt: skip
    whole = begun(settings)
    run(whole, progress=False)

    class Stopped(Exception):
        pass

    def stop(epoch):
        if epoch.number == 2:
            saved = SavedTraining(
                settings=settings, data="x", data_digest="", state=half.state_dict()
            )
            save_checkpoint(half.model, RECIPE, tmp_path / "half.pt", saved)
            raise Stopped

    half = begun(settings)
    with pytest.raises(Stopped):
        run(half, after_epoch=stop, progress=False)
    torch.manual_seed(99)  # what the next process draws otherwise
    model, recipe, saved = load_training(tmp_path / "half.pt", RECIPE.model)
    assert recipe == RECIPE
    assert saved.settings == settings
    again = Training(model, pictures(), saved.settings)
    again.load_state_dict(saved.state)
    assert len(again.history) == 2
    run(again, progress=False)
    assert_equal(comparable(again), comparable(whole))


def test_training_needs_no_longer_than_its_epochs():
    training = begun(Settings(epochs=1, batch_size=16))
    run(training, progress=False)
    assert training.finished
    state = copy.deepcopy(comparable(training))
    run(training, progress=False)
    assert_equal(comparable(training), state)


def rates(**settings):
    training = begun(Settings(batch_size=16, learning_rate=0.1, **settings))
    run(training, progress=False)
    return [epoch.learning_rate for epoch in training.history]


def test_schedules():
    assert rates(epochs=4, milestones=(1, 3)) == pytest.approx([0.1, 0.01, 0.01, 0.001])
    assert rates(epochs=4) == pytest.approx(
        [0.05 * (1 + np.cos(np.pi * part / 4)) for part in range(4)]
    )


def test_weight_decay_and_sgd_reach_the_optimizer():
    for optimizer, own in ((Optimizer.ADAM, "betas"), (Optimizer.SGD, "momentum")):
        training = begun(Settings(optimizer=optimizer, weight_decay=0.25))
        (group,) = training.state_dict()["optimizer"]["param_groups"]
        assert own in group
        assert group["weight_decay"] == 0.25


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight_decay": -1.0}, "weight decay is 0 to 1e30"),
        ({"padding": -1}, "padded with 0 pixels or more"),
        ({"milestones": (3, 2)}, "rising numbers between 0 and the 40 epochs, not 3, 2"),
        ({"milestones": (40,)}, "rising numbers"),
        ({"epochs": 0}, "at least one epoch"),
        ({"batch_size": 1}, "at least 2 samples"),
        ({"learning_rate": float("inf")}, "learning rate must be positive"),
    ],
)
def test_settings_out_of_range(settings, message):
    with pytest.raises(VecqError, match=message):
        Settings(**settings)


def test_settings_that_do_not_fit_data_or_device():
    model = build_model("mlp", (6,), 3)
    with pytest.raises(VecqError, match="only images are cropped"):
        Training(model, blobs(), Settings(flip=True))
    with pytest.raises(VecqError, match="not of a training of this model"):
        Training(model, blobs(), Settings()).load_state_dict(
            begun(Settings(optimizer=Optimizer.SGD)).state_dict() | {"random": None}
        )


def every_place(tree, where=()):
    """Each value within a state, by the keys that lead to it."""
    yield where
    if isinstance(tree, list | tuple):
        tree = dict(enumerate(tree))
    for key, value in tree.items() if isinstance(tree, dict) else ():
        yield from every_place(value, (*where, key))


def with_value(tree, where, value):
    if not where:
        return value
    key, *rest = where
    if isinstance(tree, dict):
        return {**tree, key: with_value(tree[key], rest, value)}
    return type(tree)(
        with_value(item, rest, value) if index == key else item for index, item in enumerate(tree)
    )


@pytest.mark.parametrize("optimizer", list(Optimizer))
def test_whatever_a_forged_state_holds_it_is_refused_or_trained_on_with(optimizer):
    """Each value of the state becomes each odd value; the next epoch may refuse numbers, too."""
    settings = Settings(epochs=2, batch_size=40, optimizer=optimizer, milestones=(1,))
    training = begun(settings)
    training.run_epoch()
    state, model = training.state_dict(), training.model.state_dict()
    odd = (None, "x", -1, 2**70, float("nan"), [], {}, torch.ones(2), torch.full((), torch.inf))
    states = [with_value(state, where, value) for where in every_place(state) for value in odd]
    reader, taken = begun(settings), [state]
    for forged in states:
        try:
            reader.load_state_dict(forged)
        except VecqError:
            continue
        taken.append(forged)
        reader = begun(settings)
    assert len(taken) < len(states) / 10
    for forged in taken[:: max(len(taken) // 6, 1)]:
        again = begun(settings)
        again.model.load_state_dict(model)
        again.load_state_dict(forged)
        with contextlib.suppress(VecqError):  # its numbers may lead nowhere
            again.run_epoch()


def test_presets_scale_their_milestones():
    preset = PRESETS["lenet5-mnist"]
    assert preset.settings_for(None).milestones == (35, 50)
    assert preset.settings_for(10).milestones == (6, 9)
    assert preset.settings_for(3).milestones is None  # 2 and 3: the second is the end
    assert preset.settings_for(1).milestones is None
    for preset in PRESETS.values():
        assert preset.settings_for(2).epochs == 2


def test_the_quarter_network_has_a_quarter_of_the_channels():
    whole, quarter = (
        [m for m in build_model(name, (3, 32, 32), 10).modules() if isinstance(m, nn.Conv2d)]
        for name in ("vgg_like", "vgg_like_quarter")
    )
    assert [m.out_channels for m in quarter] == [m.out_channels // 4 for m in whole]


def test_load_checkpoint_reads_a_checkpoint_of_training(tmp_path):
    training = begun(Settings(epochs=1, batch_size=16))
    run(training, progress=False)
    saved = SavedTraining(
        settings=training.settings, data="x", data_digest="", state=training.state_dict()
    )
    save_checkpoint(training.model, RECIPE, tmp_path / "c.pt", saved)
    model, _ = load_checkpoint(tmp_path / "c.pt", RECIPE.model)
    x = torch.from_numpy(pictures().x_test)
    assert torch.equal(model(x), training.model(x))


def test_the_example_of_the_guide_runs(capsys):
    page = Path(__file__).parents[2] / "docs" / "how-to" / "training.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    exec(code, {})
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == list("123")
