"""Widths and methods, of a model and of single layers, and which are refused."""

from functools import partial

import numpy as np
import pytest
import torch

from vecq_hw.errors import VecqError
from vecq_hw.quantize import Lsq, Vecq, weight_method
from vecq_hw.train import LayerQuantization, cnn, mlp, quantize_model

torch.set_num_threads(1)


def test_overrides():
    twin = quantize_model(
        cnn((1, 8, 8), 10),
        2,
        4,
        overrides={
            "conv1": LayerQuantization(weight=8, activation=6),
            "fc": LayerQuantization(weight=5),
            "input": LayerQuantization(activation=8),
        },
    )
    assert [twin.conv1.quantizer.bits, twin.conv2.quantizer.bits, twin.fc.quantizer.bits] == [
        8,
        2,
        5,
    ]
    assert [twin.input_quantizer.bits, twin.relu1.bits, twin.relu2.bits] == [8, 6, 4]


def test_a_layer_may_have_a_method_of_its_own():
    twin = quantize_model(
        cnn((1, 8, 8), 10),
        4,
        overrides={
            "conv1": LayerQuantization(method="lsq", weight=3),
            "fc": LayerQuantization(method="vecq", options={"per_channel": True}),
        },
        method=weight_method("vecq", interval="search"),
    )
    quantizers = [twin.conv1.quantizer, twin.conv2.quantizer, twin.fc.quantizer]
    assert [type(one) for one in quantizers] == [Lsq, Vecq, Vecq]
    assert [one.bits for one in quantizers] == [3, 4, 4]
    assert [one.interval.value for one in quantizers[1:]] == ["search", "exact"]
    assert quantizers[2].per_channel


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"conv_1": LayerQuantization()}, "no layer with weights 'conv_1'; did you mean 'conv1'"),
        ({"xyz": LayerQuantization()}, "no layer with weights 'xyz'; there are conv1, conv2, fc"),
        ({"bn1": LayerQuantization()}, "no layer with weights 'bn1'"),
        (
            {"conv1": LayerQuantization(weight=17)},
            "layer 'conv1': weights have 1 to 16 bits, not 17",
        ),
        (
            {"fc": LayerQuantization(activation=0)},
            "layer 'fc': activations have 1 to 16 bits, not 0",
        ),
        ({"fc": LayerQuantization(weight=2.5)}, "layer 'fc': weights have 1 to 16 bits, not 2.5"),
        ({0: LayerQuantization()}, "layers are named by text, such as '0', not 0"),
        (
            [LayerQuantization()],
            "overrides are a mapping from names of layers to LayerQuantization, not",
        ),
        ("fc", "overrides are a mapping from names of layers to LayerQuantization, not 'fc'"),
        (
            {"fc": LayerQuantization(method="lsk")},
            "'fc': there is no method 'lsk' for",
        ),
        ({"fc": LayerQuantization(method=Vecq)}, "'fc': there is no method '<class"),
        (
            {"fc": LayerQuantization(method="lsq", options={"step": 1})},
            "'fc': method 'lsq' has no setting 'step'",
        ),
        ({"fc": LayerQuantization(options={"per_channel": True})}, "'fc': it has options of a"),
        ({"fc": LayerQuantization(method="vecq", options=[1])}, "'fc': options are a mapping"),
        ({"input": LayerQuantization(method="vecq")}, "'input': the network's inputs have no"),
        ({"fc": LayerQuantization(method="bwn")}, "layer 'fc': weights of Bwn have 1 bit, not"),
        ({"fc": 8}, r"'fc' has 8 where LayerQuantization\(\.\.\.\) is wanted"),
    ],
)
def test_bad_overrides(overrides, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(cnn((1, 8, 8), 10), overrides=overrides)


def test_bad_bits():
    with pytest.raises(VecqError, match="weights have 1 to 16 bits, not 0"):
        quantize_model(mlp(4, 2), weight_bits=0)
    with pytest.raises(VecqError, match="activations have 1 to 16 bits, not 20"):
        quantize_model(mlp(4, 2), activation_bits=20)


@pytest.mark.parametrize("kind", [np.int64, np.uint8, torch.tensor])
def test_bits_are_whole_numbers_of_any_kind(kind):
    override = {"fc3": LayerQuantization(weight=kind(3), activation=kind(4))}
    twin = quantize_model(mlp(4, 2), kind(2), kind(8), override, bias_bits=kind(4))
    bits = [twin.fc1.quantizer.bits, twin.relu1.bits, twin.fc3.quantizer.bits]
    assert bits == [2, 8, 3]
    assert all(type(value) is int for value in bits)
    assert twin.fc3.bias_quantizer.bits == 4


@pytest.mark.parametrize("bits", [2.0, "2", True, None, [2]])
def test_bits_of_another_kind_are_refused(bits):
    with pytest.raises(VecqError, match="weights have 1 to 16 bits, not"):
        quantize_model(mlp(4, 2), weight_bits=bits)
    with pytest.raises(VecqError, match="weights have 1 to 16 bits, not"):
        quantize_model(mlp(4, 2), bias_bits="none" if bits is None else bits)
    if bits is not None:
        with pytest.raises(VecqError, match="activations have 1 to 16 bits, not"):
            quantize_model(mlp(4, 2), activation_bits=bits)


def test_a_method_is_given_by_name_too():
    assert isinstance(quantize_model(mlp(4, 2), method="lsq").fc1.quantizer, Lsq)


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ("lqs", "there is no method 'lqs' for weights; did you mean 'lsq'"),
        (None, "a method is one of vecq, bwn, .*, not None"),
        (Vecq(torch.ones(2, 2), 2), "a method is one of vecq, bwn, .*, not Vecq"),
        (partial(Vecq, foo=1), "layer 'fc1': the method cannot be called with weights and bits"),
        (lambda w: w, "layer 'fc1': the method cannot be called with weights and bits"),
        (lambda w, bits: w, "layer 'fc1': the method gives Parameter; a WeightQuantizer is wanted"),
        (partial(Vecq, interval="best"), "interval is one of paper, exact, search, not 'best'"),
    ],
)
def test_what_is_no_method_is_refused(method, message):
    with pytest.raises(VecqError, match=message):
        quantize_model(mlp(4, 2), method=method)
