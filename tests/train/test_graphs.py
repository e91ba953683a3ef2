"""Where quantizers stand in models with branches, and the layers that only train."""

import pytest
import torch
from torch import nn

from tests.train.test_convert import Function, kinds
from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer, QuantizedHardtanh, SignedQuantizer, Vecq, vecq
from vecq_hw.train import (
    LayerQuantization,
    ModelRecipe,
    build_model,
    load_checkpoint,
    quantize_model,
    save_checkpoint,
)
from vecq_hw.train.quantized_layers import QuantizedEmbedding, QuantizedLSTM

torch.set_num_threads(1)  # on small networks a second thread only waits


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second, self.last = (nn.Linear(4, 4) for _ in range(3))

    def forward(self, x):
        x = self.first(x)
        return self.last(x + self.second(x))


def quantizers(twin):
    return {n: m for n, m in twin.named_modules() if isinstance(m, ActivationQuantizer)}


def test_operands_of_a_sum_share_a_quantizer():
    twin = quantize_model(Residual(), 2, 6, {"second": LayerQuantization(activation=8)})
    # What the layer between reads has 6 bits; the operands have those of the widest.
    assert kinds(twin) == [
        "input_quantizer:InputQuantizer",
        "first:QuantizedLinear",
        "add_quantizer:SignedQuantizer",
        "first_quantizer:SignedQuantizer",
        "second:QuantizedLinear",
        "add_quantizer:SignedQuantizer",
        "add:Add",
        "second_quantizer:SignedQuantizer",
        "last:QuantizedLinear",
    ]
    assert [twin.first_quantizer.bits, twin.add_quantizer.bits] == [6, 8]
    same = quantize_model(Residual(), 2, 6)
    assert kinds(same) == [
        "input_quantizer:InputQuantizer",
        "first:QuantizedLinear",
        "first_quantizer:SignedQuantizer",
        "second:QuantizedLinear",
        "first_quantizer:SignedQuantizer",
        "add:Add",
        "second_quantizer:SignedQuantizer",
        "last:QuantizedLinear",
    ]
    assert same.first_quantizer.spread.shape == (2,)
    assert same.second_quantizer.spread.shape == ()


@pytest.mark.parametrize("bits", [2, 8])  # the spread decides with 2 bits, the peak with 8
def test_the_larger_operand_of_a_shared_quantizer_counts(bits):
    quantizer = SignedQuantizer(bits)
    quantizer.share(2)
    small, large = torch.linspace(-1, 1, 50), torch.linspace(-8, 8, 50)
    quantizer(large, 1)
    alone = float(quantizer.step)
    quantizer(small, 0)
    assert float(quantizer.step) == alone
    quantizer(20 * large, 0)
    assert float(quantizer.step) > alone
    assert quantizer.peak.tolist() == pytest.approx([0.9 * 1 + 0.1 * 160, 8.0])


def test_gradients_reach_both_operands():
    torch.manual_seed(0)
    twin = quantize_model(Residual(), 4, 8)
    twin(torch.randn(64, 4)).square().sum().backward()
    for name in ("first", "second", "last"):
        assert twin.get_submodule(name).weight.grad.abs().sum() > 0


def test_quantizers_of_a_shared_step_come_back_from_a_checkpoint(tmp_path):
    torch.manual_seed(0)
    recipe = ModelRecipe(model="resnet8", shape=(3, 8, 8), classes=10)
    model = recipe.build()
    x = torch.rand(8, 3, 8, 8)
    model(x)
    save_checkpoint(model, recipe, tmp_path / "model.pt")
    loaded, _ = load_checkpoint(tmp_path / "model.pt")
    assert torch.equal(loaded(x), model.eval()(x))


def test_weights_only():
    torch.manual_seed(0)
    model = build_model("cnn", (1, 8, 8), 3)
    twin = quantize_model(model, 3, None, {"fc": LayerQuantization(weight=5)})
    assert not quantizers(twin)
    assert [twin.conv1.quantizer.bits, twin.conv2.quantizer.bits, twin.fc.quantizer.bits] == [
        3,
        3,
        5,
    ]
    with torch.no_grad():
        for name, bits in (("conv1", 3), ("conv2", 3), ("fc", 5)):
            layer = model.get_submodule(name)
            codes, alpha = vecq(layer.weight, bits)
            layer.weight.copy_((codes + 0.5) * alpha)
    x = torch.rand(5, 1, 8, 8)
    assert torch.allclose(twin.eval()(x), model.eval()(x), atol=1e-5)
    with pytest.raises(VecqError, match="'fc' has 4-bit activations, but those of the model are"):
        quantize_model(model, 3, None, {"fc": LayerQuantization(activation=4)})


def test_weights_only_checkpoint(tmp_path):
    recipe = ModelRecipe(model="mlp", shape=(6,), classes=3, activation_bits=None)
    save_checkpoint(recipe.build(), recipe, tmp_path / "model.pt")
    _, loaded = load_checkpoint(tmp_path / "model.pt")
    assert loaded.activation_bits is None


def test_hardtanh_passes_gradients_inside_its_bounds():
    quantizer = QuantizedHardtanh(8, -1.0, 2.0)
    assert quantizer.signed
    x = torch.tensor([-3.0, -0.5, 0.0, 1.5, 2.5], requires_grad=True)
    y = quantizer(x)
    y.sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 1, 0]
    # The largest value seen is the bound, not what lies behind it.
    assert float(quantizer.peak) == 2.0
    assert (quantizer.format.lo, quantizer.format.hi) == (-63, 127)  # half rounds up


def test_lstm_computes_with_quantized_matrices():
    torch.manual_seed(0)
    lstm = nn.LSTM(5, 4, num_layers=2, batch_first=True, bidirectional=True)
    twin = QuantizedLSTM(lstm, Vecq, 3)
    x = torch.randn(3, 7, 5)
    outputs = twin(x)
    with torch.no_grad():
        for name, parameter in lstm.named_parameters():
            if name.startswith("weight"):
                codes, alpha = vecq(parameter, 3)
                parameter.copy_((codes + 0.5) * alpha)
    assert torch.allclose(outputs, lstm(x)[0], atol=1e-5)
    assert outputs.requires_grad


def test_embedding_looks_up_quantized_words():
    table = nn.Embedding(9, 4, padding_idx=0)
    codes, alpha = vecq(table.weight, 2)
    found = QuantizedEmbedding(table, Vecq(table.weight, 2))(torch.tensor([[3, 0]]))
    assert torch.equal(found[0], ((codes.float() + 0.5) * alpha)[[3, 0]])


def test_gradients_of_an_embedding_keep_their_scale_by_frequency():
    table = nn.Embedding(5, 3, scale_grad_by_freq=True)
    twin = quantize_model(nn.Sequential(table))
    words = torch.tensor([[1, 1, 1, 2]])
    twin(words).sum().backward()
    table(words).sum().backward()
    assert torch.equal(twin.get_submodule("0").weight.grad, table.weight.grad)


def test_rows_and_states_are_codes_without_quantizers():
    assert kinds(quantize_model(build_model("imdb", (20,), 1))) == [
        "embedding:QuantizedEmbedding",
        "dropout:Dropout",
        "transpose:Transpose",
        "conv:QuantizedConv1d",
        "pool:MaxPool1d",
        "relu:QuantizedReLU",
        "transpose_1:Transpose",
        "lstm:QuantizedLSTM",
        "getitem_2:LastStep",
        "fc:QuantizedLinear",
    ]


class Sequence(nn.Module):
    def __init__(self, read, **settings):
        super().__init__()
        self.lstm = nn.LSTM(4, 4, **{"batch_first": True, **settings})
        self.read = read

    def forward(self, x):
        return self.read(self.lstm(x))


class Joined(nn.Module):
    def __init__(self, join):
        super().__init__()
        self.fc, self.join = nn.Linear(4, 4), join

    def forward(self, x):
        return self.join(x, self.fc(x))


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (nn.Sequential(nn.AdaptiveMaxPool2d(2, return_indices=True)), "return_indices is not"),
        (nn.Sequential(nn.MaxPool2d(2, return_indices=True)), "return_indices is not supported"),
        (nn.Sequential(nn.LPPool2d(2, 2)), r"'pow.*' \(pow\) is not supported|LPPool2d"),
        (nn.Sequential(nn.FractionalMaxPool2d(2, 2)), "FractionalMaxPool2d"),
        (
            nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)),
            "only nearest, linear and bilinear with",
        ),
        (nn.Sequential(nn.Upsample(size=4)), "only nearest, linear and bilinear with a scale"),
        (nn.Sequential(nn.Upsample(scale_factor=1.5)), "scale_factor=1.5 .* use whole numbers"),
        (Joined(lambda x, y: torch.cat([x, y], 2)), "'cat' .* dim=1, the channels"),
        (Joined(lambda x, y: torch.add(x, y, alpha=2)), r"the operation 'add' \(add\)"),
        (Joined(lambda x, y: x / y), r"the operation 'truediv' \(truediv\) divides by a tensor"),
        (nn.Sequential(nn.LSTM(4, 4)), r"'0' \(LSTM\) gives a pair; use its first element"),
        (Sequence(lambda pair: pair[1][0]), r"its states are read; read its outputs"),
        (Sequence(lambda pair: pair[0], batch_first=False), "only batch_first=True"),
        (Sequence(lambda pair: pair[0][:, 0]), r"the operation 'getitem_1' \(getitem\)"),
        (nn.Sequential(nn.Embedding(4, 4, max_norm=1.0)), "max_norm and sparse"),
        (Function(lambda x: x.transpose(0, 1)), r"the operation 'transpose' \(transpose\)"),
    ],
)
def test_what_cannot_be_quantized_is_named(model, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(model)
