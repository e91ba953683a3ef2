"""Every form of a function that is taken, called, beside torch's own result."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.train.forms import arithmetic, layers, shapes
from vecq_hw.errors import VecqError
from vecq_hw.lower import lower
from vecq_hw.train import quantize_model
from vecq_hw.train.arithmetic import OPERATIONS
from vecq_hw.train.functions import FUNCTIONS, REFUSED
from vecq_hw.train.module_graph import module_graph

torch.set_num_threads(1)  # on small networks a second thread only waits

CASES = {**layers.CASES, **shapes.CASES, **arithmetic.CASES}


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def test_every_function_of_the_table_has_cases():
    taken = {key for key, make in FUNCTIONS.items() if make is not REFUSED}
    assert CASES.keys() == taken | OPERATIONS.keys()


@pytest.mark.parametrize("known", [False, True], ids=["", "shape known"])
@pytest.mark.parametrize(
    ("shape", "function"),
    [(shape, form) for shape, forms in CASES.values() for form in forms],
)
@pytest.mark.filterwarnings("ignore:.*upsample.*:UserWarning")
def test_the_module_computes_what_the_function_does(shape, function, known):
    if hasattr(function, "sized") and not known:
        with pytest.raises(VecqError, match="input_shape"):
            module_graph(Function(function))
        return
    torch.manual_seed(0)
    x = torch.randint(-9, 9, shape) / 4  # so that means of 16 are exact in any order
    graph = module_graph(Function(function), shape[1:] if known else None).eval()
    assert {node.op for node in graph.graph.nodes} <= {"placeholder", "call_module", "output"}
    for module in graph.modules():
        if hasattr(module, "inplace"):
            module.inplace = False
    expected = function(x.clone())
    found = graph(x)
    assert found.shape == expected.shape
    assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: F.avg_pool2d(x, x.shape[1]), "takes its kernel_size from a tensor"),
        (lambda x: F.avg_pool2d(x, x.shape[2:], divisor_override=3), "takes its kernel_size from"),
        (lambda x: F.avg_pool2d(x, 2, x.size(2)), "takes its stride from a tensor; give numbers"),
        (lambda x: F.avg_pool2d(F.max_pool2d(x, 2), x.shape[2:]), "takes its kernel_size from"),
        (lambda x: F.max_pool2d(x, x.shape[2:]), "takes its kernel_size from a tensor; give numb"),
        (lambda x: F.adaptive_avg_pool2d(x, x.shape[1:3]), "takes its output_size from a tensor"),
        (
            lambda x: F.adaptive_max_pool2d(x, 2, return_indices=True)[0],
            "not supported|return_indices=True",
        ),
        (lambda x: F.pad(x, (0, 0, 0, 0, 1, 0)), "rows and columns of an image alone"),
        (lambda x: F.interpolate(x, size=x.shape[2:]), "with a scale_factor alone; give that in"),
        (
            lambda x: F.interpolate(x, size=(12, 12)),
            "with a scale_factor alone; give that in place",
        ),
        (lambda x: F.interpolate(x, scale_factor=1.5), "scale_factor=1.5 is not supported"),
        (
            lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True),
            "only nearest, linear and bilinear",
        ),
        (lambda x: F.interpolate(x, scale_factor=2, mode="area"), "only nearest, linear and"),
        (
            lambda x: F.interpolate(x, scale_factor=2, mode="bicubic", antialias=True),
            "not supported with antialias=True",
        ),
        (lambda x: x.view(-1, x.shape[1] * x.shape[2]), "use torch.nn.Flatten"),
        (lambda x: x.view(x.size(1), -1), "use torch.nn.Flatten"),
        (lambda x: torch.flatten(x, x.size(2)), "takes its start_dim from a tensor; give numbers"),
        (lambda x: torch.add(x, x, alpha=2), "is supported with alpha=1 alone"),
        (lambda x: torch.cat([x, torch.zeros(1)], 1), "uses the tensor"),
        (lambda x: torch.cat([x, x], 2), "along dim=1, the channels"),
        (lambda x: x.transpose(2, 3), "for the axes 1 and 2 of"),
        (lambda x: x.permute(0, 2, 3, 1), r"for \(0, 2, 1\) alone"),
        (lambda x: x[:, 0], "where shapes are not known; give quantize_model the input_shape"),
        (lambda x: (x - torch.ones(1)) * 4, "which forward.. makes; give it to register_buffer"),
        (
            lambda x: F.max_pool2d(x, 1) / x,
            "'truediv' .* divides by a tensor, which integers do not",
        ),
        (lambda x: x / 0, "'truediv' .* divides by zero"),
        (lambda x: x * math.nan, "'mul' .* nan, which is neither a tensor nor a finite number"),
        (lambda x: x + x.shape[1], "'add' .* from a shape; give numbers"),
        (lambda x: torch.sub(x, x, alpha=2), "is supported with alpha=1 alone"),
        (lambda x: torch.div(x, 3, rounding_mode="floor"), "with a rounding_mode; leave it out"),
        (lambda x: x.relu().expand(3, 4, 4, 4), "where shapes are not known; give"),
        (lambda x: F.softmax(x, 0), "'softmax' .* as the last layer alone, along dim=1"),
        (lambda x: F.max_pool2d(F.softmax(x, 1), 2), "'softmax' .* as the last layer alone"),
        (lambda x: F.rrelu(x), "'rrelu' .* draws its slopes at random"),
        (lambda x: F.glu(x), "'glu' .* is not supported"),
        (lambda x: x.mean(1), "as torch.nn.AdaptiveAvgPool2d"),
        (lambda x: torch.clamp(x, max=6), r"use torch.nn.Hardtanh\(lowest, highest\)"),
        (lambda x: x.clamp(2, 1), "bounds that are not in order, 2 and 1"),
        (lambda x: x.relu().detach(), "cuts the gradient"),
        (lambda x: F.scaled_dot_product_attention(x, x, x), "attention, LSTM and GRU alone train"),
    ],
)
def test_forms_that_have_no_module_are_refused_by_name(function, message):
    with pytest.raises(VecqError, match=message):
        module_graph(Function(function))


def test_a_view_to_another_number_of_features_is_refused():
    twin = quantize_model(Function(lambda x: x.view(-1, 10)))
    with pytest.raises(VecqError, match="views samples of 20 features as 10"):
        twin(torch.ones(3, 20, 1, 1))
    twin(torch.ones(3, 10))
    with pytest.raises(VecqError, match="views samples of 20 features as 10"):
        lower(twin.eval(), (5, 2, 2))


def test_a_window_as_wide_as_high_takes_square_images_alone():
    twin = quantize_model(Function(lambda x: F.avg_pool2d(x, x.size(2))))
    with pytest.raises(VecqError, match="an image of 2 × 3; use"):
        twin(torch.ones(1, 1, 2, 3))
    twin(torch.ones(1, 1, 4, 4))
    twin.eval()
    assert lower(twin, (1, 4, 4)).tensors["avg_pool2d"].shape == (1, 1, 1)
    with pytest.raises(VecqError, match="an image of 4 × 5"):
        lower(twin, (1, 4, 5))
