"""What a graph of operations leaves out of a forward pass: put right, or refused by name."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.checkpoint import checkpoint

from vecq_hw.errors import VecqError
from vecq_hw.train import quantize_model
from vecq_hw.train.module_graph import module_graph

torch.set_num_threads(1)  # on small networks a second thread only waits


class Forward(nn.Module):
    """A model whose forward() is a function of it and of its input."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.second = nn.Linear(4, 4), nn.Linear(4, 4)
        self.relu, self.drop = nn.ReLU(inplace=True), nn.Dropout(0.5)
        self.function, self.calls, self.seen = function, 0, []
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x):
        return self.function(self, x)


X = torch.linspace(-2, 2, 20).reshape(5, 4)


def in_both_modes(model, x):
    """The outputs in training, from a fixed seed, and in evaluation."""
    torch.manual_seed(1)
    model.train()
    outputs = [model(x.clone())]
    model.eval()
    return [*outputs, model(x.clone())]


def if_training_drop(m, x):
    x = m.fc(x)
    if m.training:
        x = F.dropout(x, 0.3)
    return m.second(x)


def if_training_module(m, x):
    x = m.fc(x)
    return m.second(m.drop(x) if m.training else x)


def changed_below(m, x):
    x = m.fc(x)
    activated = m.relu(x)  # in place: x has changed, too
    return m.second(activated) + x


def changed_by_function(m, x):
    x = m.fc(x)
    F.relu(x, inplace=True)
    return m.second(x) + x


def added_in_place(m, x):
    x = m.fc(x)
    kept = x
    x += m.second(x)
    return kept + x


def in_place_twice(m, x):
    x = m.fc(x)
    x.relu_()
    x.add_(m.second(x))
    return m.second2(x) if hasattr(m, "second2") else x.relu() + x


def asks_for_a_tensor(m, x):
    x = m.fc(x)
    return m.second(x).relu() if isinstance(x, torch.Tensor) else x


def asks_for_a_sequence(m, x):
    return m.fc(x) if isinstance(x, list | torch.Tensor) else m.second(x)


@pytest.mark.parametrize(
    "function",
    [
        lambda m, x: F.dropout(m.fc(x), training=m.training),
        lambda m, x: F.dropout(m.fc(x), 0.2, m.training, inplace=True),
        lambda m, x: torch.dropout(m.fc(x), 0.2, m.training),
        lambda m, x: F.dropout(m.fc(x), training=False),
        lambda m, x: m.second(m.relu(F.dropout(m.fc(x), 0.5, m.drop.training))),
        if_training_drop,
        if_training_module,
        changed_below,
        changed_by_function,
        added_in_place,
        in_place_twice,
        asks_for_a_tensor,
        asks_for_a_sequence,
        lambda m, x: checkpoint(m.fc, x, use_reentrant=False),
    ],
)
def test_both_modes_compute_what_the_model_does(function):
    model = Forward(function)
    graph = module_graph(model)
    for module in graph.modules():
        if hasattr(module, "inplace"):
            module.inplace = False  # as the quantizers are that take their places
    expected, found = in_both_modes(model, X), in_both_modes(graph, X)
    assert all(map(torch.equal, expected, found))


def branches(m, x):
    return m.second(m.fc(x)) if m.training else m.fc(x)


def auxiliary(m, x):
    return (m.fc(x), m.second(x)) if m.training else m.fc(x)


def counts(m, x):
    m.calls += 1
    return m.fc(x)


def remembers(m, x):
    m.last = x
    return m.fc(x)


def appends(m, x):
    m.seen.append(1)
    return m.fc(x)


def counts_in_a_buffer(m, x):
    m.count += 1
    return m.fc(x)


def averages_in_a_buffer(m, x):
    m.count.mul_(0.9).add_(x.mean())
    return m.fc(x)


def asks_a_buffer(m, x):
    return m.fc(x) if m.count > 3 else m.second(x)


def standardizes(m, x):
    m.fc.weight.data = m.fc.weight / 2
    return m.fc(x)


def scales_aside(m, x):
    _ = m.fc.weight * 2
    return m.fc(x)


def clips(m, x):
    for parameter in m.fc.parameters():
        parameter.data.clamp_(-0.01, 0.01)
    return m.fc(x)


def freezes(m, x):
    m.fc.requires_grad_(False)
    return m.fc(x)


def freezes_one(m, x):
    m.fc.weight.requires_grad = False
    return m.fc(x)


def stands_still(m, x):
    m.drop.eval()
    return m.fc(m.drop(x))


def frozen_part(m, x):
    with torch.no_grad():
        x = m.fc(x)
    return m.second(x)


def asks_for_gradients(m, x):
    return m.fc(x) if torch.is_grad_enabled() else m.second(x)


def casts(m, x):
    with torch.autocast("cpu", torch.bfloat16):
        return m.fc(x)


def skips_at_random(m, x):
    return m.second(m.fc(x)) if random.random() < 0.5 else m.fc(x)


def skips_at_numpy(m, x):
    return m.second(m.fc(x)) if np.random.rand() < 0.5 else m.fc(x)  # noqa: NPY002


def skips_at_torch(m, x):
    return m.second(m.fc(x)) if torch.rand(()) < 0.5 else m.fc(x)


def changed_through_a_view(m, x):
    x = m.fc(x)
    flat = x.view(x.size(0), -1)
    x.relu_()
    return m.second(flat)


def looks_aside(m, x):
    x = m.fc(x)
    x.mean()
    return x


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(_context, x):
        return x

    @staticmethod
    def backward(_context, gradient):
        return -gradient


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (branches, r"not compute the same in evaluation as in training \(see 'second'\)"),
        (auxiliary, "not compute the same in evaluation as in training"),
        (asks_for_gradients, "not compute the same in evaluation as in training"),
        (lambda m, x: F.dropout(m.fc(x)), "'dropout' drops values in evaluation, too"),
        (lambda m, x: F.dropout(m.fc(x), 0.5, not m.training), "drops values in evaluation, too"),
        (counts, "forward\\(\\) sets the attribute 'calls'"),
        (remembers, "forward\\(\\) sets the attribute 'last'"),
        (appends, "forward\\(\\) sets the attribute 'seen'"),
        (counts_in_a_buffer, "forward\\(\\) sets 'count'"),
        (averages_in_a_buffer, "changes 'count' in place"),
        (asks_a_buffer, "cannot be traced .* not branch on values"),
        (standardizes, "forward\\(\\) sets 'data' of 'fc_weight'"),
        (scales_aside, "computes 'mul', which its output does not depend on"),
        (clips, "forward\\(\\) sets 'weight' of layer 'fc'"),
        (freezes, "forward\\(\\) sets 'weight' of layer 'fc'"),
        (freezes_one, "forward\\(\\) sets 'requires_grad' of 'fc_weight'"),
        (stands_still, "sets the mode of layer 'drop'"),
        (frozen_part, "a part under torch.no_grad"),
        (casts, "a part under torch.no_grad\\(\\), autocast"),
        (skips_at_random, "draws random numbers"),
        (skips_at_numpy, "draws random numbers"),
        (skips_at_torch, "draws random numbers"),
        (changed_through_a_view, "'relu_' changes in place what 'second' reads through 'view'"),
        (looks_aside, "computes 'mean', which its output does not depend on"),
        (lambda m, x: Reversal.apply(m.fc(x)), "calls Reversal, a torch.autograd.Function"),
        (lambda m, x: checkpoint(m.fc, x, use_reentrant=True), "calls CheckpointFunction"),
    ],
)
def test_what_a_graph_would_leave_out_is_refused(function, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(Forward(function))


def hooked(register, hook=lambda *arguments: None):
    def prepare(model):
        getattr(model.fc, register)(hook)

    return prepare


class OwnCall(nn.Sequential):
    def __call__(self, x):
        return super().__call__(2 * x)


class OwnTrain(nn.Sequential):
    def train(self, mode=True):
        super().train(mode)
        self[1].eval()
        return self


class OwnLinear(nn.Linear):
    def forward(self, x):
        return super().forward(x).cumsum(1)


def own_forward(model):
    model.forward = lambda x: model.fc(x)


def own_forward_of_a_layer(model):
    model.fc.forward = lambda x: 2 * x


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (hooked("register_forward_hook"), r"layer 'fc' \(Linear\) has a forward hook"),
        (hooked("register_forward_pre_hook"), r"layer 'fc' \(Linear\) has a forward pre-hook"),
        (hooked("register_full_backward_hook"), "has a backward hook"),
        (hooked("register_full_backward_pre_hook"), "has a backward pre-hook"),
        (lambda model: model.register_forward_hook(print), "the model has a forward hook"),
        (lambda model: model.fc.weight.register_hook(print), "'fc.weight' has a gradient hook"),
        (own_forward, r"the model has a forward\(\) of its own"),
        (own_forward_of_a_layer, r"'fc' \(Linear\) has a forward\(\) of its own"),
        (lambda model: model.half(), "'fc.weight' is of the type float16; .* call float()"),
        (lambda model: model.bfloat16(), "'fc.weight' is of the type bfloat16"),
        (lambda model: model.second.double(), "'fc.weight' is torch.float32 on cpu and 'second"),
        (lambda model: model.to("meta"), "'fc.weight' lies on the device 'meta'"),
    ],
)
def test_what_is_not_in_forward_is_refused(prepare, message):
    model = Forward(lambda m, x: m.second(m.fc(x)))
    prepare(model)
    with pytest.raises(VecqError, match=message):
        quantize_model(model)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (OwnCall(nn.Linear(4, 4)), "OwnCall overrides __call__"),
        (OwnTrain(nn.Linear(4, 4), nn.BatchNorm1d(4)), r"the model overrides train\(\)"),
        (nn.Sequential(nn.LazyLinear(4)), "'0.weight' has no shape yet"),
        (nn.RNN(4, 4), r"the model \(RNN\) is not supported; of recurrent layers and attention"),
        (nn.DataParallel(nn.Sequential(nn.Linear(4, 4))), "is wrapped in DataParallel; quantize"),
        (
            nn.Sequential(OwnLinear(4, 4)),
            r"layer '0' \(OwnLinear\) is a subclass of Linear, .*; use torch.nn.Linear itself",
        ),
    ],
)
def test_models_that_are_not_traced(model, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(model)


class Sequence(nn.Module):
    def __init__(self, layer, read):
        super().__init__()
        self.layer, self.read = layer, read

    def forward(self, x):
        return self.read(self.layer, x)


def outputs_alone(layer, x):
    outputs, _ = layer(x)
    return outputs[:, -1]


def outputs_of_pairs(layer, x):
    outputs, (_hidden, _cells) = layer(x)
    return outputs[:, -1]


@pytest.mark.parametrize(
    ("layer", "read"),
    [
        (nn.RNN(4, 4, batch_first=True), outputs_alone),
        (nn.MultiheadAttention(4, 2), lambda layer, x: layer(x, x, x)[0]),
        (nn.TransformerEncoderLayer(4, 2), lambda layer, x: layer(x)),
        (nn.GRUCell(4, 4), lambda layer, x: layer(x)),
    ],
)
def test_recurrent_layers_and_attention_are_refused_by_their_names(layer, read):
    name = type(layer).__name__
    message = rf"layer 'layer' \({name}\) is not supported; of recurrent layers and attention, LSTM"
    with pytest.raises(VecqError, match=message):
        quantize_model(Sequence(layer, read))


@pytest.mark.parametrize("read", [outputs_alone, outputs_of_pairs])
def test_an_lstm_whose_states_are_taken_apart_and_left(read):
    torch.manual_seed(0)
    twin = quantize_model(Sequence(nn.LSTM(4, 3, batch_first=True), read), 16, 16)
    assert twin(torch.ones(2, 5, 4)).shape == (2, 3)


@pytest.mark.parametrize(
    "compiled", [torch.jit.script, pytest.param(torch.compile, marks=pytest.mark.nightly)]
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_compiled_models_are_refused(compiled):
    model = compiled(nn.Sequential(nn.Linear(4, 4)))
    with pytest.raises(VecqError, match="the model is compiled; quantize what was compiled"):
        quantize_model(model)


def test_global_hooks_are_refused():
    handle = nn.modules.module.register_module_forward_hook(lambda *arguments: None)
    try:
        with pytest.raises(VecqError, match="global forward hooks"):
            quantize_model(nn.Sequential(nn.Linear(4, 4)))
    finally:
        handle.remove()


class Optional(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.fc, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x, *rest, mask=None, deep=True, **settings):
        x = self.fc(x)
        if mask is not None or rest or settings:
            x = x + mask
        return self.second(x.relu()) if deep else x


def test_arguments_with_defaults_have_these():
    model = Optional()
    graph = module_graph(model)
    assert torch.equal(graph(X), model(X))
    with pytest.raises(TypeError):
        graph(X, mask=X)


def test_shared_weights_stay_shared():
    model = Forward(lambda m, x: m.second(F.relu(m.fc(x))))
    model.second.weight = model.fc.weight
    twin = quantize_model(model)
    assert twin.fc.weight is twin.second.weight is not model.fc.weight
    twin(X).sum().backward()
    with torch.no_grad():
        twin.fc.weight.add_(1.0)
    assert torch.equal(twin.second.weight, twin.fc.weight)


def test_layers_that_stand_still_do_so_in_the_twin():
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))
    model[1].eval()
    model[0].weight.requires_grad_(False)
    twin = quantize_model(model)
    assert twin.training
    assert not twin.get_submodule("1").training
    assert twin.get_submodule("2").training  # its quantizer follows the data
    assert [p.requires_grad for _, p in twin.named_parameters()] == [False, *[True] * 5]
    before = twin.get_submodule("1").running_mean.clone()
    twin(X)
    assert torch.equal(twin.get_submodule("1").running_mean, before)


def test_the_users_model_and_python_are_left_as_they_were():
    model = Forward(asks_for_a_tensor)
    model.drop.eval()
    apply = torch.autograd.Function.__dict__["apply"]
    quantize_model(model)
    assert model.training
    assert not model.drop.training
    assert torch.autograd.Function.__dict__["apply"] is apply
    assert "isinstance" not in globals()
