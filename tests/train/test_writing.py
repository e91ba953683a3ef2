"""Ways of writing layers: alone, as subclasses, as functions, with effective weights."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm

from vecq_hw.errors import VecqError
from vecq_hw.lower import dry_run
from vecq_hw.train import LayerQuantization, quantize_model
from vecq_hw.train.module_graph import module_graph

torch.set_num_threads(1)  # on small networks a second thread only waits


class Absolute(nn.Module):
    def forward(self, weight):
        return weight.abs() + 0.1


NORMS = {
    "weight_norm": weight_norm,
    "spectral_norm": spectral_norm,
    "weight_norm, parametrized": parametrizations.weight_norm,
    "spectral_norm, parametrized": parametrizations.spectral_norm,
    "orthogonal": parametrizations.orthogonal,
    "own": lambda layer: parametrize.register_parametrization(layer, "weight", Absolute()),
    "pruned": lambda layer: prune.l1_unstructured(layer, "weight", 0.5),
    "pruned twice": lambda layer: prune.random_unstructured(
        prune.l1_unstructured(layer, "weight", 0.5), "weight", 2
    ),
    "pruned bias": lambda layer: prune.l1_unstructured(layer, "bias", 1),
}


@pytest.mark.parametrize("mode", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_effective_weights_are_parameters_of_the_twin(norm, mode):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3))
    NORMS[norm](model[0])
    model(torch.randn(5, 6))
    model.train(mode)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    graph = module_graph(model)
    x = torch.randn(5, 6)
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == [mode] * len([*model.modules()])
    model.eval()
    assert torch.equal(graph(x), model(x))
    model.load_state_dict(before)
    twin = quantize_model(model)
    names = [name for name, _ in twin.named_parameters()]
    assert sorted(names) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    twin.train()(x).sum().backward()
    assert twin.get_submodule("0").weight.grad is not None
    assert type(model[0]) is not nn.Linear or model[0]._forward_pre_hooks


@pytest.mark.parametrize(
    ("model", "shape", "name"),
    [
        (nn.Linear(4, 2), (4,), "linear"),
        (nn.Conv2d(3, 2, 3), (3, 5, 5), "conv2d"),
        (nn.ReLU(), (4,), "relu"),
        (nn.MaxPool2d(2), (2, 4, 4), "maxpool2d"),
        (nn.BatchNorm1d(4), (4,), "batchnorm1d"),
    ],
)
def test_a_layer_alone_is_a_model_and_has_the_name_of_its_kind(model, shape, name):
    model.eval()
    twin = quantize_model(model, 4, 8, input_shape=shape)
    assert name in dict(twin.named_modules())
    assert not twin.training
    x = torch.randn(6, *shape).numpy()
    network = dry_run(twin, x)
    assert network.inputs[0].shape == (shape if len(shape) == 1 else (*shape[1:], shape[0]))


def test_a_layer_alone_has_bits_by_its_name():
    twin = quantize_model(nn.Linear(4, 2), overrides={"linear": LayerQuantization(weight=7)})
    assert twin.linear.quantizer.bits == 7


class Three(nn.Conv2d):
    """A constructor of its own, and an attribute."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, 3, padding=1)
        self.note = "three"

    def extra_repr(self):
        return "three"

    def count(self):
        return self.out_channels


class Deeper(Three):
    pass


class Bent(nn.ReLU6):
    pass


class Batch(nn.BatchNorm2d):
    """A default of its own."""

    def __init__(self, channels):
        super().__init__(channels, eps=0.1)


class Written(nn.Linear):
    """Its parent's forward, written out."""

    def forward(self, x):
        return F.linear(x, self.weight, self.bias)


class Turned(nn.Conv2d):
    """A method that the parent's forward calls is another."""

    def _conv_forward(self, x, weight, bias):
        return F.conv2d(x, -weight, bias, self.stride, self.padding, self.dilation, self.groups)


class Standard(nn.Conv2d):
    """Standardized weights."""

    def forward(self, x):
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (weight.flatten(1).std(1).view(-1, 1, 1, 1) + 1e-5)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding)


class Normed(nn.BatchNorm2d):
    """Its parent's forward, written out."""

    def forward(self, x):
        if x.dim() != 4:
            raise ValueError("images are wanted")
        return F.batch_norm(
            x,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum,
            self.eps,
        )


class Subclasses(nn.Module):
    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.ModuleList(layers)
        self.named = nn.ModuleDict({"pool": nn.MaxPool2d(2), "last": Written(16, 3)})

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.named["last"](self.named["pool"](x).flatten(1))


IMAGE = (3, 4, 4)


@pytest.mark.parametrize(
    "layers",
    [
        (Three(3, 4), Bent()),
        (Deeper(3, 4), Batch(4), nn.ReLU()),
        (Turned(3, 4, 3, padding=1), Normed(4), Bent()),
        (Standard(3, 4, 3, padding=1), nn.ReLU()),
    ],
)
def test_subclasses_compute_what_they_do(layers):
    torch.manual_seed(0)
    model = Subclasses(*layers)
    x = torch.randn(7, *IMAGE)
    model(x)
    graph = module_graph(model, IMAGE)
    for one in (model, graph):
        one.train()
    assert torch.allclose(graph(x), model(x), atol=1e-6)
    for one in (model, graph):
        one.eval()  # with the statistics of that batch
    assert torch.allclose(graph(x), model(x), atol=1e-6)
    twin = quantize_model(model, 4, 8, input_shape=IMAGE)
    plain = {"layers.0.weight", "layers.0.bias", "named.last.weight", "named.last.bias"}
    found = {name for name, _ in twin.named_parameters()}
    assert len(found) == len([*model.parameters()])
    assert isinstance(layers[0], Standard | Turned) or plain <= found
    assert len(dry_run(twin, x.numpy()).mac_layers) == 2


class Own(nn.Module):
    """A function of it and of its input, with parameters of its own."""

    def __init__(self, function):
        super().__init__()
        torch.manual_seed(0)
        self.function = function
        self.matrix = nn.Parameter(torch.randn(3, 6))
        self.turned = nn.Parameter(torch.randn(6, 3))
        self.bias = nn.Parameter(torch.randn(3))
        self.kernel = nn.Parameter(torch.randn(4, 1, 3, 2))
        self.line = nn.Parameter(torch.randn(4, 2, 3))
        self.several = nn.ParameterList([torch.randn(3, 6), torch.randn(3)])
        self.by_name = nn.ParameterDict({"matrix": torch.randn(3, 6), "bias": torch.randn(3)})
        self.register_buffer("fixed", torch.randn(3, 6))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("variance", torch.ones(2))
        self.inner = nn.Linear(6, 6)

    def forward(self, x):
        return self.function(self, x)


def batch_norm(m, x):
    return F.batch_norm(x, m.mean, m.variance, None, m.bias[:2], m.training, eps=1e-3)


@pytest.mark.parametrize(
    ("function", "shape", "names"),
    [
        (lambda m, x: F.linear(x, m.matrix), (6,), ["linear.weight"]),
        (lambda m, x: F.linear(x, m.matrix, m.bias), (6,), ["linear.weight", "linear.bias"]),
        (lambda m, x: F.linear(input=x, bias=m.bias, weight=m.fixed), (6,), ["linear.weight"] * 2),
        (lambda m, x: F.linear(x, m.inner.weight, m.inner.bias), (6,), ["inner.weight"] * 2),
        (lambda m, x: m.inner(F.linear(x, m.inner.weight, m.inner.bias)), (6,), ["inner"] * 2),
        (lambda m, x: x @ m.turned, (6,), ["matmul.weight"]),
        (lambda m, x: x @ m.matrix.t(), (6,), ["matmul.weight"]),
        (lambda m, x: torch.matmul(x, m.matrix.T), (6,), ["matmul.weight"]),
        (lambda m, x: torch.mm(x, m.matrix.transpose(0, 1)), (6,), ["mm.weight"]),
        (lambda m, x: F.linear(x, m.matrix * m.bias.view(3, 1)), (6,), ["linear.weight"]),
        (lambda m, x: F.linear(x, m.matrix[:2], m.bias[:2]), (6,), ["linear.weight"] * 2),
        (lambda m, x: F.conv2d(x, m.kernel, groups=2, padding=1), (2, 5, 5), ["conv2d.weight"]),
        (lambda m, x: torch.conv2d(x, m.kernel, None, (2, 1), 0, 1, 2), (2, 5, 5), ["conv2d"]),
        (lambda m, x: F.conv2d(x, m.kernel, stride=[2], groups=2), (2, 5, 5), ["conv2d"]),
        (lambda m, x: F.conv1d(x, m.line, m.kernel[:, 0, 0, 0], 2, 1), (2, 9), ["conv1d"] * 2),
        (lambda m, x: F.linear(x, m.several[0], m.several[1]), (6,), ["linear"] * 2),
        (lambda m, x: F.linear(x, m.by_name["matrix"]), (6,), ["linear"]),
        (batch_norm, (2, 5, 5), ["batch_norm.weight", "batch_norm.bias"]),
    ],
)
def test_functions_of_parameters_are_layers(function, shape, names):
    model = Own(function)
    x = torch.randn(5, *shape)
    graph = module_graph(model, shape)
    assert {node.op for node in graph.graph.nodes} <= {"placeholder", "call_module", "output"}
    found = [name for name, _ in graph.named_parameters()]
    assert len(found) == len(names)
    assert all(
        name.startswith(start.split(".")[0]) for name, start in zip(found, names, strict=True)
    )
    for mode in (True, False):
        assert torch.allclose(graph.train(mode)(x), model.train(mode)(x), atol=1e-6)
    assert torch.equal(model.mean, Own(function).mean) == (function is not batch_norm)
    trained = [parameter.requires_grad for parameter in graph.parameters()]
    own = {"fixed"} & set(function.__code__.co_names)
    assert all(trained) == (not own and function is not batch_norm)  # which has no weight to train
    quantize_model(model, 4, 8, input_shape=shape).train()(x)


def test_a_function_called_twice_on_the_same_parameters_is_one_layer():
    def twice(m, x):
        return m.inner(F.relu(F.linear(F.relu(m.inner(x)), m.inner.weight, m.inner.bias)))

    twin = quantize_model(Own(twice), 4, 8, input_shape=(6,))
    assert [name for name, _ in twin.named_parameters()] == ["inner.weight", "inner.bias"]


def test_an_embedding_as_a_function():
    model = Own(lambda m, x: F.embedding(x, m.matrix, padding_idx=0))
    words = torch.tensor([[0, 2, 1]])
    for shape in (None, (3,)):
        assert torch.equal(module_graph(model, shape)(words), model(words))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda m, x: F.linear(x, x), "other tensors than the model's parameters; use the module"),
        (lambda m, x: F.linear(x, torch.ones(3, 6)), "other tensors than the model's parameters"),
        (
            lambda m, x: x @ x,
            "'matmul' .* as a function of other tensors than the model's parameters",
        ),
        (
            lambda m, x: F.batch_norm(x, m.mean, m.variance, training=True),
            "statistics of the batch in evaluation, too; give it training=self.training",
        ),
        (lambda m, x: F.batch_norm(x, m.mean, m.variance), "keeps its statistics in training, too"),
        (
            lambda m, x: F.batch_norm(x, None, None, training=m.training),
            "keeps no running statistics",
        ),
    ],
)
def test_functions_of_other_tensors_are_refused(function, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(Own(function))


class Words(nn.Module):
    """Indices that forward() makes integers, as of samples that a loader gives as others."""

    def __init__(self, cast):
        super().__init__()
        self.table, self.fc, self.cast = nn.Embedding(9, 4), nn.Linear(4, 2), cast

    def forward(self, x):
        return self.fc(self.table(self.cast(x))[:, -1])


@pytest.mark.parametrize("shape", [None, (5,)])
@pytest.mark.parametrize(
    "cast", [lambda x: x, lambda x: x.long(), lambda x: x.to(torch.int64), lambda x: x.int()]
)
def test_words_may_be_made_integers(cast, shape):
    model, words = Words(cast), torch.randint(9, (6, 5))
    assert torch.equal(module_graph(model, shape)(words), model(words))
    assert quantize_model(model, input_shape=shape).train()(words).shape == (6, 2)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (torch.jit.script, "layer 'inner' .* is compiled; put what was"),
        (lambda layer: torch.jit.trace(layer, torch.ones(1, 6)), "'inner' .* is compiled"),
        pytest.param(torch.compile, "'inner' .* is compiled", marks=pytest.mark.nightly),
        (nn.DataParallel, "'inner' .* wraps a layer; put its .module"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_compiled_and_wrapped_layers_are_refused_by_name(wrap, message):
    model = Own(lambda m, x: m.inner(x))
    model.inner = wrap(model.inner)
    with pytest.raises(VecqError, match=message):
        quantize_model(model, input_shape=(6,))


class Recurrent(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.lstm, self.read = nn.LSTM(4, 3, batch_first=True), read
        self.fc = nn.Linear(3, 2)

    def forward(self, x):
        return self.fc(self.read(self.lstm, x)[0][:, -1])


def zeros(lstm, x):
    state = torch.zeros(1, x.size(0), lstm.hidden_size)
    return lstm(x, (state, torch.zeros(1, len(x), 3, device=x.device)))


def new_zeros(lstm, x):
    return lstm(x, (x.new_zeros(1, x.shape[0], 3), x.new_zeros(1, x.shape[0], 3)))


@pytest.mark.parametrize(
    "read",
    [
        lambda lstm, x: lstm(x, None),
        lambda lstm, x: lstm(input=x, hx=None),
        zeros,
        new_zeros,
    ],
)
def test_an_lstm_that_begins_with_zeros(read):
    twin = quantize_model(Recurrent(read), 4, 8, input_shape=(5, 4))
    assert twin.train()(torch.randn(6, 5, 4)).shape == (6, 2)


def test_an_lstm_that_begins_with_something_else_is_refused():
    def ones(lstm, x):
        return lstm(x, (torch.ones(1, len(x), 3), torch.zeros(1, len(x), 3)))

    with pytest.raises(VecqError, match=r"'lstm' \(LSTM\) begins with states that are not zero"):
        quantize_model(Recurrent(ones), input_shape=(5, 4))


def test_lazy_layers_after_a_first_batch():
    model = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))
    x = torch.randn(3, 2, 5, 5)
    model(x)
    assert torch.equal(module_graph(model, (2, 5, 5))(x), model(x))
