import pytest
import torch
from torch import nn

from tests.lowered import check_codes, samples
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower
from vecq_hw.train import build_model, model_size_bytes, parameter_count, quantize_model

torch.set_num_threads(1)  # on small networks a second thread only waits

MNIST, CIFAR, IMAGENET = ((1, 28, 28), 10), ((3, 32, 32), 10), ((3, 224, 224), 1000)
BITS = (32, 1, 2, 3, 4, 5, 6, 7, 8)
PAPER = {
    # Tables 5 and 6 in units of 2^20 bytes, at the bits above; None where none is printed.
    "lenet5": (*MNIST, 1_663_370, (6.35, 0.21, 0.41, 0.60, 0.80, 1.00, 1.20, 1.40, 1.60)),
    "vgg_like": (*CIFAR, 5_350_986, (20.44, 0.67, 1.31, 1.94, 2.58, 3.22, 3.86, 4.49, 5.13)),
    "alexnet_bn": (
        *IMAGENET, 50_844_008, (194.10, 6.21, 12.27, 18.33, 24.39, 30.45, 36.51, 42.57, 48.63)
    ),
    # The paper prints 2.68 for 2 bits: two digits were swapped around, or one mistyped (2.85).
    "resnet18": (*IMAGENET, 11_684_008, (44.63, 1.45, 2.85, 4.24, 5.63, 7.02, 8.42, 9.81, 11.20)),
    "mobilenet_v2": (*IMAGENET, 3_470_760, (13.50, 0.67, 1.09, 1.50, 1.92, 2.33, 2.74, 3.16, 3.57)),
    "imdb": ((400,), 1, 2_638_895, (10.07, None, 0.63, None, 1.26, None, None, None, 2.52)),
    "thucnews": ((400,), 10, 789_386, (3.01, None, 0.19, None, 0.38, None, None, None, 0.75)),
}  # fmt: skip


@pytest.mark.parametrize("name", PAPER)
def test_sizes_are_those_of_the_paper(name):
    shape, classes, count, sizes = PAPER[name]
    with torch.device("meta"):
        model = build_model(name, shape, classes)
    assert parameter_count(model) == count
    for bits, size in zip(BITS, sizes, strict=True):
        assert size is None or round(model_size_bytes(model, bits) / 2**20, 2) == size


@pytest.mark.parametrize(
    ("name", "convolutions", "depthwise", "norms", "dense", "millions"),
    [
        ("alexnet_bn", 5, 0, 7, 3, 50.88),
        ("resnet18", 21, 0, 19, 1, 11.70),
        ("mobilenet_v2", 35, 17, 52, 1, 3.54),
    ],
)
def test_layers_are_those_of_table_4(name, convolutions, depthwise, norms, dense, millions):
    with torch.device("meta"):
        model = build_model(name, *IMAGENET)
    modules = list(model.modules())
    convs = [module for module in modules if isinstance(module, nn.Conv2d)]
    assert sum(conv.groups == 1 for conv in convs) == convolutions
    assert sum(conv.groups == conv.in_channels > 1 for conv in convs) == depthwise
    assert sum(isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) for module in modules) == norms
    assert sum(isinstance(module, nn.Linear) for module in modules) == dense
    # Batch norms included, which is what 32-bit sizes are made of.
    assert round(model_size_bytes(model, 32) / 4e6, 2) == millions
