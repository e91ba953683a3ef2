"""Functions of each value by itself: however they are written, trained and lowered as tables."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.errors import HostWarning, VecqError
from vecq_hw.layers import Dense, Lookup, Rescale
from vecq_hw.lower import lower
from vecq_hw.quantize import CurveInput
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import quantize_model
from vecq_hw.train.curves import CURVES, Curve

MODULES = [
    *(kind() for kind in CURVES if kind is not nn.Threshold),
    *(nn.Threshold(0.2, -0.5), nn.GELU("tanh"), nn.ELU(0.3), nn.LeakyReLU(0.2), nn.PReLU(6)),
]
WRITTEN = {
    "F": [
        *(F.leaky_relu, F.sigmoid, F.tanh, F.hardswish, F.hardsigmoid, F.silu, F.gelu, F.elu),
        *(F.selu, F.celu, F.softplus, F.softsign, F.mish, F.logsigmoid, F.hardshrink),
        *(F.softshrink, F.tanhshrink, lambda x: F.threshold(x, 0.2, -0.5)),
        lambda x: F.gelu(x, approximate="tanh"),
        lambda x: F.elu(x, 0.3),
        lambda x: F.leaky_relu(x, negative_slope=0.2),
    ],
    "torch": [torch.sigmoid, torch.tanh, torch.selu, torch.exp, torch.abs, torch.square, torch.erf],
    "method": [
        *(lambda x: x.sigmoid(), lambda x: x.tanh(), lambda x: x.sigmoid_(), lambda x: x.abs()),
        *(lambda x: x**2, lambda x: x.pow(3)),
    ],
    "composed": [
        lambda x: x * torch.sigmoid(x),
        lambda x: torch.sigmoid(1.702 * x) * x,
        lambda x: x * F.relu6(x + 3) / 6,
        lambda x: F.relu6(x + 3) / 6,
        lambda x: x * F.hardtanh(x + 3, 0.0, 6.0) / 6,
        lambda x: x * torch.tanh(F.softplus(x)),
        lambda x: 0.5 * x * (1 + torch.tanh(0.7978845608 * (x + 0.044715 * x**3))),
        lambda x: x * 0.5 * (1.0 + torch.erf(x / 1.41421)),
        lambda x: x / (1 + x.abs()),
        lambda x: torch.log(1 + torch.exp(x)),
        lambda x: -torch.tanh(-x) + 1,
        lambda x: x * x,
        lambda x: 2 / (x.relu() + 1),
    ],
}


class Between(nn.Module):
    """A function between two layers."""

    def __init__(self, function):
        super().__init__()
        self.first, self.last = nn.Linear(5, 6), nn.Linear(6, 4)
        self.function = function

    def forward(self, x):
        return self.last(self.function(self.first(x)))


def twin_of(model, bits=8):
    """Trained for a few batches, and samples with many corners."""
    torch.manual_seed(0)
    twin = quantize_model(model, 4, bits).train()
    x = torch.randn(256, 5) * torch.tensor([0.1, 1, 3, 1, 1])
    twin(x)
    return twin.eval(), x


def assert_tables(model, *, lookups=1, tables=1):
    """What a table gives for each code is what evaluation makes of that code, bit by bit."""
    twin, x = twin_of(model)
    network = lower(twin, (5,))
    found = [layer for layer in network.layers if isinstance(layer, Lookup)]
    assert len(found) == lookups
    assert len(found[0].table) == tables
    curves = [name for name, module in twin.named_modules() if isinstance(module, Curve)]
    assert len(curves) == lookups
    values = {}
    for name, module in twin.named_modules():
        module.register_forward_hook(lambda m, i, o, name=name: values.update({name: o}))
    twin(x)
    makers = [node for node in twin.graph.nodes if str(node.target) in curves]
    before, after = makers[0].args[0], next(iter(makers[0].users))
    lookup = found[0]
    source = network.tensors[lookup.input]
    codes = torch.round(values[str(before.target)] / source.step).long().numpy()
    wanted = torch.round(values[str(after.target)].double() / lookup.step).long().numpy()
    rows = np.zeros(6, int) if tables == 1 else np.arange(6)
    assert np.array_equal(lookup.table[rows, codes - source.format.lo], wanted)
    outputs = simulate(network, network_inputs(network, x.numpy()))
    assert (outputs.argmax(1) != twin(x).argmax(1).numpy()).sum() <= 1
    return network


@pytest.mark.parametrize("module", MODULES, ids=repr)
def test_every_module_is_a_table(module):
    own = isinstance(module, nn.PReLU) and module.num_parameters > 1
    if own:
        with torch.no_grad():
            module.weight.copy_(torch.linspace(-0.5, 0.8, 6))
    assert_tables(Between(module), tables=6 if own else 1)


@pytest.mark.parametrize(
    "function",
    [
        pytest.param(function, id=f"{kind} {place}")
        for kind, functions in WRITTEN.items()
        for place, function in enumerate(functions)
    ],
)
def test_every_way_of_writing_is_a_table(function):
    assert_tables(Between(function))


def test_the_table_of_a_trained_slope_keeps_its_name_and_learns():
    twin = quantize_model(Between(nn.PReLU(6)), 4, 8).train()
    assert "function.weight" in twin.state_dict()
    twin(torch.randn(64, 5)).square().sum().backward()
    assert twin.get_parameter("function.weight").grad.abs().sum() > 0


@pytest.mark.parametrize("slopes", [1, 6])
def test_slopes_that_are_parameters_of_the_model(slopes):
    class Model(Between):
        def __init__(self):
            super().__init__(None)
            self.slope = nn.Parameter(torch.linspace(0.1, 0.7, slopes))

        def forward(self, x):
            return self.last(F.prelu(self.first(x), self.slope))

    assert_tables(Model(), tables=slopes)


def test_slopes_behind_a_flatten_follow_its_order():
    torch.manual_seed(0)
    slopes = nn.PReLU(24)
    slopes.weight.data.uniform_(-1, 2)
    model = nn.Sequential(nn.Conv2d(1, 6, 3), nn.Flatten(), slopes, nn.Linear(24, 4))
    twin = quantize_model(model, 8, 8).train()
    x = torch.randn(64, 1, 4, 4)
    twin(x)
    network = lower(twin.eval(), (1, 4, 4))
    outputs = simulate(network, network_inputs(network, x.numpy()))
    assert np.array_equal(outputs.argmax(1), twin(x).argmax(1).numpy())
    real = outputs * network.tensors[network.outputs[0]].step
    assert np.abs(real - twin(x).detach().numpy()).max() < 0.02 * np.abs(real).max()


def each_step(steps):
    """Batch norm with a line for each step of a sequence (N, L, C), or row of an image."""
    norm = nn.BatchNorm1d(steps)
    norm.weight.data.copy_(torch.linspace(-1, 2, steps))
    norm.bias.data.copy_(torch.linspace(1, -1, steps))
    return norm


def slopes(steps):
    module = nn.PReLU(steps)
    module.weight.data.copy_(torch.linspace(-1, 1, steps))
    return module


@pytest.mark.parametrize("steps", [4, 6])  # the channels, and any other number
@pytest.mark.parametrize(
    "made",
    [
        lambda steps: [slopes(steps)],
        lambda steps: [slopes(steps), each_step(steps)],
        lambda steps: [nn.SiLU(), each_step(steps)],
    ],
    ids=["slopes", "slopes and norm", "norm"],
)
@pytest.mark.parametrize("shape", [(), (5,)], ids=["sequence", "image"])
def test_a_table_for_each_step_where_the_channels_are_last(made, steps, shape):
    torch.manual_seed(0)
    middle = made(steps)
    if shape and isinstance(middle[-1], nn.BatchNorm1d):
        norm = nn.BatchNorm2d(steps)
        norm.load_state_dict(middle[-1].state_dict())
        middle[-1] = norm
    model = nn.Sequential(nn.Linear(3, 6), *middle, nn.Linear(6, 2), nn.Flatten()).double()
    twin = quantize_model(model, 8, 8, input_shape=(steps, *shape, 3)).train()
    x = torch.randn(32, steps, *shape, 3, dtype=torch.float64)
    twin(x)
    network = lower(twin.eval(), (steps, *shape, 3), mantissa_bits=32)
    outputs = simulate(network, network_inputs(network, x.float().numpy()))
    (name,) = network.outputs
    wanted = twin(x.float().double()).detach().numpy() / network.tensors[name].step
    assert np.array_equal(outputs, np.rint(wanted))


def test_a_line_for_each_step_of_channels_with_biases_is_refused():
    model = nn.Sequential(nn.Linear(3, 6), each_step(4), nn.ReLU(), nn.Linear(6, 2), nn.Flatten())
    twin = quantize_model(model, 8, 8, input_shape=(4, 3)).train()
    twin(torch.randn(32, 4, 3))
    with pytest.raises(VecqError, match=r"layer '1' computes along another axis.*an activation"):
        lower(twin.eval(), (4, 3))


def test_a_batch_norm_behind_a_function_makes_a_table_for_each_channel():
    norm = nn.BatchNorm1d(6)
    norm.weight.data.copy_(torch.linspace(-1, 2, 6))
    network = lower(twin_of(nn.Sequential(nn.Linear(5, 6), nn.SiLU(), norm, nn.Linear(6, 3)))[0])
    assert [type(layer) for layer in network.layers][:3] == [Dense, Rescale, Lookup]
    assert len(network.layers[2].table) == 6


def test_a_function_of_codes_needs_no_rescale():
    model = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Tanh(), nn.Linear(6, 4))
    network = lower(twin_of(model)[0])
    assert [type(la) for la in network.layers][:4] == [Dense, Rescale, Lookup, Dense]
    two = nn.Sequential(nn.Tanh(), nn.Linear(5, 6), nn.SiLU(), nn.Dropout(0.1), nn.Linear(6, 4))
    kinds = [type(layer) for layer in lower(twin_of(two)[0], (5,)).layers]
    assert kinds[:4] == [Lookup, Dense, Rescale, Lookup]


def test_the_codes_before_a_function_end_where_it_saturates():
    steps = {}
    for module in (nn.Tanh(), nn.Hardsigmoid(), nn.Sigmoid(), nn.SiLU()):
        twin = quantize_model(nn.Sequential(nn.Linear(5, 6), module, nn.Linear(6, 4)), 4, 8).train()
        twin(100 * torch.randn(64, 5))
        quantizer = next(m for m in twin.modules() if isinstance(m, CurveInput))
        steps[type(module)] = float(quantizer.step) * 127
    assert 2.5 < steps[nn.Tanh] < 4
    assert 2.9 < steps[nn.Hardsigmoid] <= 3.1
    assert 5 < steps[nn.Sigmoid] < 8
    assert steps[nn.SiLU] > 20


@pytest.mark.parametrize(
    ("end", "word"),
    [
        (nn.Softmax(1), "the largest score is the most probable class"),
        (lambda x: F.log_softmax(x, dim=1), "the largest score is the most probable class"),
        (nn.Sigmoid(), "a probability of 0.5 is the score 0"),
        (lambda x: x.sigmoid(), "a probability of 0.5 is the score 0"),
    ],
)
def test_probabilities_at_the_end_are_left_to_the_host_with_a_word(end, word):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.end = nn.Linear(5, 4), end

        def forward(self, x):
            return self.end(self.body(x))

    twin, x = twin_of(Model())
    with pytest.warns(HostWarning, match=f"is left to the host: .* before it; {word}"):
        network = lower(twin)
    scores = simulate(network, network_inputs(network, x.numpy()))
    assert np.array_equal(scores.argmax(1), twin(x).argmax(1).numpy())


@pytest.mark.parametrize("function", [torch.log, torch.sqrt, torch.reciprocal, lambda x: 1 / x])
def test_a_function_without_a_value_for_what_it_may_read_is_refused(function):
    with pytest.raises(VecqError, match=r"has no value for some of the numbers .*; clamp them"):
        quantize_model(Between(function), 4, 8)


def test_a_function_of_what_is_never_negative():
    assert_tables(Between(lambda x: torch.sqrt(torch.relu(x) + 0.5)))


def test_a_function_that_is_not_finite_far_out_is_refused_when_it_is_lowered():
    model = Between(lambda x: torch.exp(torch.exp(x / 2)))
    twin, _ = twin_of(model)
    for module in twin.modules():
        if isinstance(module, CurveInput):
            module.spread.fill_(1e3)
            module.peak.fill_(1e3)
    with pytest.raises(VecqError, match=r"is not finite between -.* and .*; clamp that before it"):
        lower(twin, (5,))
