"""What quantizers want of a training beside gradients; it goes on bit for bit, and on two ranks."""

import copy
import io
from functools import partial
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from vecq_hw import data
from vecq_hw.errors import VecqError
from vecq_hw.quantize import Alq, DropBits, Elq, Lsq, MinMax, RandomState, Stochastic, Vecq
from vecq_hw.train import Optimizer, Settings, Training, quantize_model

torch.set_num_threads(1)


class Moved(MinMax):
    """Moves its weights itself; the first of each row stays."""

    OWN_STEP = True
    rates: ClassVar[list[float]] = []

    def own_step(self, w, rate):
        type(self).rates.append(rate)
        kept = w.reshape(len(w), -1)[:, 0].clone()
        w -= rate * w.grad
        w.reshape(len(w), -1)[:, 0] = kept


class Scaled(Vecq):
    """A learned factor that moves at its own rate, another at the usual one, and a penalty."""

    LEARNING_RATE_SHARES: ClassVar = {"slow": 0.25}

    def __init__(self, w, bits):
        super().__init__(w, bits)
        self.slow, self.usual = nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(()))

    def forward(self, w):
        return super().forward(w) * self.slow * self.usual

    def penalty(self, w):
        return 0.5 * (w - 1).square().sum()


class Dropped(Vecq):
    """Rows at random are float while training."""

    def __init__(self, w, bits):
        super().__init__(w, bits)
        self.generator = RandomState(w)

    def forward(self, w):
        quantized = super().forward(w)
        if not self.training:
            return quantized
        free = torch.rand(len(w), generator=self.generator.generator()) < 0.5
        return torch.where(free.reshape(-1, *[1] * (w.ndim - 1)), w, quantized)


class Twice(Vecq):
    """Descends both losses, of which now the one and now the other is larger."""

    TWO_PASSES = True

    def forward(self, w):
        return 1.5 * w if self.relaxed else super().forward(w)

    def combined(self, loss, relaxed):
        return loss + 0.5 * (loss - relaxed).abs()


KINDS = {"moved": Moved, "scaled": Scaled, "dropped": Dropped, "twice": Twice, "alq": Alq}
KINDS["sq"] = partial(Stochastic, base=Lsq)
KINDS["elq"] = lambda w, _: Elq(w, 2, a1=0.4)
KINDS["dropbits"] = partial(DropBits, forward="sample", strength=0.3)
"""What :mod:`tests.train.distributed_worker` trains, too."""


def pictures():
    """Images of four classes."""
    rng = np.random.default_rng(3)
    y = np.arange(42) % 4
    x = rng.random((42, 2, 5, 5)) * 0.5
    x[np.arange(42), 0, y] += 1
    return data.checked_dataset("pictures", x, y, x, y)


def net(dropout=0.0):
    """With every kind of layer that has a quantizer of images."""
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.ConvTranspose2d(4, 6, 2, 2, groups=2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(dropout),
        nn.Linear(600, 4),
    )


def training(kind, epochs=4, dropout=0.0, **settings):
    """The training of a net whose weights a kind quantizes."""
    twin = quantize_model(net(dropout), 4, 8, method=kind)
    return Training(twin, pictures(), Settings(epochs=epochs, batch_size=16, **settings))


def bits_of(model):
    """The bytes of all that a model holds."""
    return {name: value.numpy().tobytes() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", KINDS)
def test_training_goes_on_bit_for_bit(name):
    whole = training(KINDS[name], dropout=0.3)
    whole.run_epoch()
    held = io.BytesIO()
    torch.save([whole.model.state_dict(), whole.state_dict()], held)
    held.seek(0)
    again = training(KINDS[name], dropout=0.3)
    model, state = torch.load(held, weights_only=True)
    again.model.load_state_dict(model)
    again = Training(again.model, pictures(), again.settings)
    again.load_state_dict(state)
    copied = copy.deepcopy(whole.model)
    for _ in range(3):
        whole.run_epoch()
        again.run_epoch()
    assert bits_of(whole.model) == bits_of(again.model) != bits_of(copied)
    assert [epoch.loss for epoch in whole.history] == [epoch.loss for epoch in again.history]


def test_a_quantizer_moves_its_weights_itself():
    Moved.rates.clear()
    run = training(Moved, optimizer=Optimizer.SGD, learning_rate=0.1, weight_decay=0.5)
    named = dict(run.model.named_parameters())
    before = {name: value.detach().clone() for name, value in named.items()}
    run.run_epoch()
    assert Moved.rates[:3] == [0.1] * 3
    assert len({*Moved.rates}) == 3  # three steps an epoch, with 42 samples
    state = run.state_dict()["optimizer"]
    assert len(state["param_groups"][0]["params"]) == len(named) - 3
    for name, value in named.items():
        changed = value.detach() != before[name]
        if "weight" in name and value.ndim > 1:
            if name == "3.weight":  # in a transposed convolution the kernels are turned round
                assert not bool(changed[[0, 2], :, -1, -1].any())
            else:
                assert not bool(changed.reshape(len(value), -1)[:, 0].any())
            assert float(changed.float().mean()) > 0.5
        else:
            assert bool(changed.any())


def test_a_frozen_layer_is_not_moved():
    twin = quantize_model(net(), 4, 8, method=Moved)
    twin.get_submodule("7").weight.requires_grad_(False)
    before = twin.get_submodule("7").weight.clone()
    Training(twin, pictures(), Settings(epochs=1, batch_size=16)).run_epoch()
    assert torch.equal(twin.get_submodule("7").weight, before)


def test_parameters_of_a_quantizer_move_at_their_share_and_do_not_decay():
    run = training(Scaled, optimizer=Optimizer.SGD, learning_rate=1.0, weight_decay=0.5)
    groups = run.state_dict()["optimizer"]["param_groups"]
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1, 0.5), (0.25, 0)]
    run = training(Scaled, learning_rate=1e-2)
    groups = run.state_dict()["optimizer"]["param_groups"]
    assert [(group["lr"], len(group["params"])) for group in groups] == [(0.01, 11), (0.0025, 3)]
    run.run_epoch()
    groups = run.state_dict()["optimizer"]["param_groups"]
    assert groups[1]["lr"] == pytest.approx(groups[0]["lr"] / 4)
    forged = run.state_dict()
    forged["optimizer"]["param_groups"][1]["initial_lr"] = 3.0
    with pytest.raises(VecqError, match="initial_lr"):
        training(Scaled, learning_rate=1e-2).load_state_dict(forged)


def test_penalties_pull():
    run = training(Scaled, epochs=20, learning_rate=0.05)
    losses = [run.run_epoch().loss for _ in range(20)]
    assert losses[-1] < losses[0] / 4
    weights = run.model.get_submodule("7").weight.detach()
    assert float((weights - 1).abs().mean()) < 0.2


def test_draws_are_those_of_the_training_alone():
    first, second = training(Dropped), training(Dropped)
    for run in (first, second):
        torch.rand(len(run.history) + 3)
        run.run_epoch()
    assert bits_of(first.model) == bits_of(second.model)
    states = [
        module.state.tolist() for module in first.model.modules() if isinstance(module, RandomState)
    ]
    assert len({state[0] for state in states}) == 3
    assert [state[1:] for state in states] == [[0, 3]] * 3
    other = training(Dropped, seed=7)
    assert other.model.get_submodule("0").quantizer.generator.state[1] == 7
    first.model.eval()
    with torch.no_grad():
        first.model(torch.rand(3, 2, 5, 5))
    assert bits_of(first.model) == bits_of(second.model.eval())


def test_the_second_pass_changes_nothing_but_the_gradients():
    both, one = training(Twice, dropout=0.5), training(Vecq, dropout=0.5)
    seen = []
    both.model.register_forward_hook(lambda *_: seen.append(bits_of(both.model)))
    x, y = torch.from_numpy(both._x.numpy()[:16]), both._y[:16]
    for run in (both, one):
        torch.manual_seed(3)
        run.model.train()
        run._descent.step(x, y, 16, 0.1)
    assert len(seen) == 2
    assert seen[0] == seen[1]
    state, other = both.model.state_dict(), one.model.state_dict()
    for name in state:  # averages of batch norms and steps of activations
        if not name.endswith(("weight", "bias")):
            assert torch.equal(state[name], other[name]), name
    assert not torch.equal(state["7.weight"], other["7.weight"])
    assert not any(getattr(module, "relaxed", False) for module in both.model.modules())


def test_a_second_pass_that_is_cut_short_leaves_nothing_relaxed():
    run = training(Twice)
    calls = []

    def interrupt(*_):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt

    run.model.get_submodule("7").register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        run.run_epoch()
    for module in run.model.modules():
        assert not getattr(module, "relaxed", False)
        assert getattr(module, "follows", True)
        assert getattr(module, "track_running_stats", True)
