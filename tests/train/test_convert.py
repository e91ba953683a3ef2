import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import QuantizedReLU, SignedQuantizer, vecq
from vecq_hw.train import cnn, mlp, quantize_model

torch.set_num_threads(1)  # on small networks a second thread only waits


def kinds(model):
    """The modules in execution order, as 'name:type'."""
    return [
        f"{node.target}:{type(model.get_submodule(node.target)).__name__}"
        for node in model.graph.nodes
        if node.op == "call_module"
    ]


class Functional(nn.Module):
    def __init__(self, style):
        super().__init__()
        self.style = style
        self.conv1 = nn.Conv2d(1, 4, 3, padding=1)
        self.conv2 = nn.Conv2d(4, 6, 3, padding=1)
        self.drop = nn.Dropout2d()
        self.fc1 = nn.Linear(6 * 2 * 2, 12)
        self.fc2 = nn.Linear(12, 3)

    def forward(self, x):
        if self.style == "example":
            x = F.relu(F.max_pool2d(self.conv1(x), 2))
            x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2))
            x = x.view(-1, 24)
            x = F.relu(self.fc1(x))
            x = F.dropout(x, training=self.training)
        elif self.style == "methods":
            x = F.max_pool2d(self.conv1(x).relu(), kernel_size=2, stride=2)
            x = torch.max_pool2d(self.conv2(x).relu_(), (2, 2))
            x = self.fc1(x.view(x.size(0), -1)).relu()
        else:
            x = F.max_pool2d(torch.relu(self.conv1(x)), 2)
            x = F.max_pool2d(F.relu(self.conv2(x), inplace=True), 2)
            x = torch.relu(self.fc1(torch.flatten(x, 1) if self.style == "a" else self.shaped(x)))
        return self.fc2(x)

    def shaped(self, x):
        return x.reshape(x.shape[0], -1) if self.style == "b" else x.flatten(start_dim=1)


class Shared(nn.Module):
    """One ReLU and one pool for all layers, blocks within blocks."""

    def __init__(self):
        super().__init__()
        self.block = nn.Sequential(nn.Linear(5, 4), nn.BatchNorm1d(4))
        self.act = nn.ReLU()
        self.head = nn.ModuleDict({"fc": nn.Linear(4, 4), "last": nn.Linear(4, 2)})

    def forward(self, x):
        x = self.act(self.block(x))
        return self.head["last"](self.act(self.head["fc"](x)))


def test_quantizers_stand_where_integers_are_read():
    assert kinds(quantize_model(cnn((1, 8, 8), 10))) == [
        "input_quantizer:InputQuantizer",
        "conv1:QuantizedConv2d",
        "bn1:BatchNorm2d",
        "pool1:MaxPool2d",  # a pool before the quantizer of what it pools
        "relu1:QuantizedReLU",
        "conv2:QuantizedConv2d",
        "bn2:BatchNorm2d",
        "pool2:MaxPool2d",
        "relu2:QuantizedReLU",
        "flatten:Flatten",
        "fc:QuantizedLinear",
    ]


def test_signed_quantizers_stand_where_no_relu_is():
    model = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4), nn.Linear(4, 3),
        nn.BatchNorm1d(3), nn.Identity(),
    )  # fmt: skip
    twin = quantize_model(model, 2, 5)
    assert kinds(twin) == [
        "input_quantizer:InputQuantizer",
        "0:QuantizedConv2d",
        "0_quantizer:SignedQuantizer",
        "1:MaxPool2d",
        "2:Flatten",
        "3:QuantizedLinear",
        "3_quantizer:SignedQuantizer",
        "4:QuantizedLinear",
        "5:BatchNorm1d",
        "6:Identity",
        "output_quantizer:SignedQuantizer",
    ]
    bits = {n: m.bits for n, m in twin.named_modules() if isinstance(m, SignedQuantizer)}
    assert bits == {"0_quantizer": 5, "3_quantizer": 5, "output_quantizer": 16}


def test_flatten_and_pool_read_codes():
    flattened = quantize_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2)))
    assert kinds(flattened)[2:4] == ["0_quantizer:SignedQuantizer", "1:Flatten"]
    pooled = quantize_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(2), nn.Conv2d(2, 2, 1)))
    assert kinds(pooled)[2:4] == ["0_quantizer:SignedQuantizer", "1:MaxPool2d"]


def test_batch_norm_behind_relu_gets_a_quantizer_of_its_own():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    assert kinds(quantize_model(model))[2:5] == [
        "1:QuantizedReLU",
        "2:BatchNorm1d",
        "0_quantizer:SignedQuantizer",
    ]


@pytest.mark.parametrize("style", ["example", "methods", "a", "b", "c"])
def test_functions_and_methods_become_modules(style):
    torch.manual_seed(0)
    model = Functional(style).eval()
    twin = quantize_model(model, weight_bits=16, activation_bits=16)
    flatten = "FlattenTo" if style == "example" else "Flatten"  # a view checks what it is given
    assert [kind.split(":")[1] for kind in kinds(twin) if "Dropout" not in kind] == [
        "InputQuantizer",
        *["QuantizedConv2d", "MaxPool2d", "QuantizedReLU"] * 2,
        *[flatten, "QuantizedLinear", "QuantizedReLU", "QuantizedLinear"],
    ]
    x = torch.rand(6, 1, 8, 8)
    # Statistics without dropout, to compare with the float model.
    for module in twin.modules():
        if not isinstance(module, nn.Dropout | nn.Dropout2d):
            module.training = True
    twin(x)
    twin.eval()
    assert torch.allclose(twin(x), model(x), atol=2e-3)
    names = {name for name, _ in model.named_parameters()}
    assert {name for name, _ in twin.named_parameters()} == names


def test_each_call_of_a_shared_relu_gets_its_own_statistics():
    torch.manual_seed(0)
    twin = quantize_model(Shared())
    twin(torch.randn(8, 5))
    relus = {n: m for n, m in twin.named_modules() if isinstance(m, QuantizedReLU)}
    assert set(relus) == {"act", "act_2"}
    assert relus["act"].step != relus["act_2"].step
    assert "block.0.weight" in twin.state_dict()
    assert "head.fc.weight" in twin.state_dict()


def test_the_given_model_is_left_alone():
    model = mlp(6, 3).eval()
    before = copy.deepcopy(model.state_dict())
    state = torch.get_rng_state()
    twin = quantize_model(model)
    assert torch.equal(torch.get_rng_state(), state)
    assert not twin.training
    twin.train()
    loss = twin(torch.randn(9, 6)).sum()
    loss.backward()
    torch.optim.SGD(twin.parameters(), 0.1).step()
    assert not model.training
    assert all(p.grad is None for p in model.parameters())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert [type(m).__name__ for m in model][:2] == ["Flatten", "Linear"]


def test_forward_uses_the_codes_of_vecq():
    torch.manual_seed(0)
    twin = quantize_model(nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2)), 3)
    x = torch.rand(7, 5)
    twin(x)
    twin.eval()
    first = twin.get_submodule("0")
    codes, alpha = vecq(first.weight, 3)
    read = twin.input_quantizer(x)
    expected = F.linear(read, (codes.float() + 0.5) * alpha, first.bias)
    assert torch.equal(first(read), expected)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), "layer 'fc2': the weights hold NaN or infinite values"),
        (float("inf"), "layer 'fc2': the weights hold NaN or infinite values"),
        (0.0, "layer 'fc2': all weights are zero"),
    ],
)
def test_weights_without_a_direction(value, message):
    model = mlp(4, 2)
    with torch.no_grad():
        model.fc2.weight.mul_(0).add_(value)
    with pytest.raises(VecqError, match=message):
        quantize_model(model)


class Branching(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class TwoInputs(nn.Module):
    def forward(self, x, y):
        return x


class NumberBesides(nn.Module):
    def forward(self, x):
        return x, 0.5


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.fc = nn.Linear(4, 4)
        self.function = function

    def forward(self, x):
        return self.function(self.fc(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.Linear(4, 4), nn.GLU()), r"layer '1' \(GLU\) is not supported"),
        (nn.Sequential(nn.RNN(4, 4)), r"layer '0' \(RNN\) is not supported"),
        (nn.Sequential(nn.LogSoftmax(1), nn.Linear(4, 4)), "'0' .* the last layer alone"),
        (Function(lambda x: F.log_softmax(x, 1).relu()), "'log_softmax' .* the last layer alone"),
        (Function(lambda x: x // 2), "the operation 'floordiv'"),
        (Function(lambda x: x.view(2, -1)), "'view' .* use torch.nn.Flatten"),
        (Function(lambda x: x.view(x.size(1), -1)), "'view' .* use torch.nn.Flatten"),
        (Function(lambda x: x.mean(1)), "the operation 'mean'"),
        (Function(lambda x: F.linear(x, torch.ones(4, 4))), "use the module of torch.nn"),
        (nn.Sequential(nn.Flatten(0)), "use start_dim=1"),
        (nn.Sequential(nn.BatchNorm1d(4, track_running_stats=False)), "no running statistics"),
        (Branching(), "cannot be traced .* not branch on values"),
        (TwoInputs(), "takes 'y', which its output does not depend on; leave it out"),
        (NumberBesides(), "returns 0.5 as 'output_1'; it must return one tensor, or a tuple"),
        (lambda x: x, "a torch.nn.Module is wanted, not function"),
    ],
)
def test_what_cannot_be_quantized_is_named(model, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(model)


@pytest.mark.parametrize("activation_bits", [8, None])
def test_a_quantized_model_is_not_quantized_again(activation_bits):
    with pytest.raises(VecqError, match="quantized already"):
        quantize_model(quantize_model(mlp(4, 2), activation_bits=activation_bits))


class Keyword(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x):
        return self.fc(input=x)


def test_layers_are_called_by_keyword_too():
    assert kinds(quantize_model(Keyword()))[1:] == ["fc:QuantizedLinear"]


def test_padding_in_words():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, (3, 5), padding="same"), nn.Conv2d(3, 2, 3, padding="valid")
    )
    twin = quantize_model(model, 16, 16)
    x = torch.randn(2, 2, 7, 9)
    twin(x)
    assert torch.allclose(twin.eval()(x), model(x), atol=2e-3)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(2, 3, (2, 4), padding="same", dilation=(3, 1)),
        nn.Conv2d(2, 3, 3, padding=(2, 1), padding_mode="reflect"),
        nn.Conv2d(2, 3, 4, padding="same", padding_mode="circular"),
        nn.Conv2d(2, 3, 3, stride=2, padding=1, padding_mode="replicate"),
    ],
)
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
def test_padding_that_stands_for_itself(layer):
    torch.manual_seed(0)
    model = nn.Sequential(layer, nn.Identity(), nn.Conv2d(3, 2, 1))
    twin = quantize_model(model, 16, 16)
    x = torch.randn(2, 2, 7, 9)
    twin(x)
    assert torch.allclose(twin.eval()(x), model(x), atol=2e-3)


def test_model_in_double_precision():
    torch.manual_seed(0)
    twin = quantize_model(mlp(4, 2).double(), 2, 8)
    x = torch.randn(8, 4, dtype=torch.float64)
    assert twin(x).dtype == torch.float64
    assert twin.relu1.step.dtype == torch.float64
    assert np.isfinite(twin.eval()(x).detach().numpy()).all()


def test_the_state_of_a_float_model_is_refused_by_its_twin():
    model = mlp(4, 2)
    twin = quantize_model(model)
    for one in (twin, copy.deepcopy(twin)):
        with pytest.raises(VecqError, match=r"state is that of a float model.*quantize that"):
            one.load_state_dict(model.state_dict())
        one.load_state_dict(quantize_model(model).state_dict())
    # Without quantizers of activations VecQ has no values of its own.
    quantize_model(model, activation_bits=None).load_state_dict(model.state_dict())
