"""Sums, differences, products and constants in forward(): trained and lowered."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from vecq_hw.emit.project import Vectors
from vecq_hw.errors import VecqError
from vecq_hw.layers import Add, Constant, Multiply, Rescale, Subtract
from vecq_hw.lower import dry_run, lower
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.simulate.dataflow import with_fifo_depths
from vecq_hw.train import quantize_model
from vecq_hw.verify.hls import TARGET as HLS
from vecq_hw.verify.rtl import TARGET as RTL

torch.set_num_threads(1)
CHANNELS, SIZE = 6, 5


class Body(nn.Module):
    """A convolution, what a test makes of its image, a convolution and a head."""

    def __init__(self, forward):
        super().__init__()
        torch.manual_seed(0)
        self.first = nn.Conv2d(3, CHANNELS, 3, padding=1)
        self.second = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.squeeze, self.excite = nn.Conv2d(CHANNELS, 4, 1), nn.Conv2d(4, CHANNELS, 1)
        self.small, self.large = nn.Linear(CHANNELS, 4), nn.Linear(4, CHANNELS)
        self.attention = nn.Conv2d(CHANNELS, 1, 1)
        self.gamma = nn.Parameter(torch.rand(CHANNELS, 1, 1) + 0.1)
        self.alpha = nn.Parameter(torch.tensor(0.3))
        self.places = nn.Parameter(torch.randn(1, CHANNELS, SIZE, SIZE))
        self.register_buffer("mask", (torch.rand(SIZE, SIZE) > 0.3).float())
        self.register_buffer("mean", torch.tensor([0.4, 0.5, 0.6]).view(1, 3, 1, 1))
        self.register_buffer("spread", torch.tensor([0.2, 0.3, 0.25]).view(1, 3, 1, 1))
        self.head = nn.Linear(CHANNELS, 4)
        self.body = forward

    def forward(self, x):
        x = self.body(self, x)
        return self.head(F.relu(self.second(x)).mean((2, 3)))


def gated(self, x):
    x = F.relu(self.first(x))
    scale = F.adaptive_avg_pool2d(x, 1)
    return torch.sigmoid(self.excite(F.relu(self.squeeze(scale)))) * x


def _vector(self, x):
    return torch.sigmoid(self.large(F.relu(self.small(x.mean((2, 3))))))


def gated_by_view(self, x):
    x = F.relu(self.first(x))
    b, c, _, _ = x.shape
    return x * _vector(self, x).view(b, c, 1, 1)


def gated_by_index(self, x):
    x = F.relu(self.first(x))
    return x * _vector(self, x)[:, :, None, None]


def gated_and_expanded(self, x):
    x = F.relu(self.first(x))
    b, c, _, _ = x.shape
    return x * _vector(self, x).view(b, c, 1, 1).expand_as(x)


def attended(self, x):
    x = F.relu(self.first(x))
    return x * torch.sigmoid(self.attention(x))


def difference(self, x):
    x = F.relu(self.first(x))
    return x - self.second(x)


def product(self, x):
    x = F.relu(self.first(x))
    return x * self.second(x)


def added_to_all_pixels(self, x):
    x = F.relu(self.first(x))
    return x + self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1))))


def scalars(self, x):
    x = 1 - (self.first(x) * 0.5 + 3)
    return F.relu(-x / 6 - 0.25)


def scaled_layer(self, x):
    x = F.relu(self.first(x))
    return x + self.gamma * self.second(x)


def from_zero(self, x):
    x = F.relu(self.first(x))
    return x + self.alpha * self.second(x)


def placed(self, x):
    return F.relu(self.first(x) + self.places)


def taken_from_places(self, x):
    return F.relu(self.places - self.first(x))


def masked(self, x):
    return F.relu(self.first(x)) * self.mask


def divided(self, x):
    return F.relu(self.first(x) / self.gamma)


def thousand_steps(self, x):
    return F.relu(self.first(x / 255))


def normalized(self, x):
    return F.relu(self.first((x - self.mean) / self.spread))


def centred(self, x):
    return F.relu(self.first(2 * x - 1))


FORMS = {
    gated: [Multiply],
    gated_by_view: [Multiply],
    gated_by_index: [Multiply],
    gated_and_expanded: [Multiply],
    attended: [Multiply],
    difference: [Subtract],
    product: [Multiply],
    added_to_all_pixels: [Add],
    scalars: [],
    scaled_layer: [Add],
    from_zero: [Add],
    placed: [Constant, Add],
    taken_from_places: [Constant, Subtract],
    masked: [Constant, Multiply],
    divided: [],
    thousand_steps: [],
    normalized: [],
    centred: [],
}


def quantized(form, x):
    twin = quantize_model(Body(form), 8, 8, input_shape=x.shape[1:])
    twin.train()
    with torch.no_grad():
        for _ in range(20):
            twin(x)
    return twin.eval()


def samples(form):
    x = torch.rand(40, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    return (x * 255).round() if form is thousand_steps else x


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.__name__)
def test_the_integers_are_those_of_training(form):
    x = samples(form)
    twin = quantized(form, x)
    network = lower(twin, tuple(x.shape[1:]))
    found = [
        type(la) for la in network.layers if isinstance(la, Add | Subtract | Multiply | Constant)
    ]
    assert found == FORMS[form]
    outputs = simulate(network, network_inputs(network, x.numpy()))
    real = outputs * network.tensors[network.outputs[0]].step
    with torch.no_grad():
        expected = twin(x).numpy()
    # The two differ where a float lies on the border of two codes.
    assert np.abs(real - expected).max() <= 0.01 * np.abs(expected).max()
    assert (real.argmax(1) == expected.argmax(1)).mean() >= 0.95


def test_a_factor_of_the_input_is_a_part_of_its_step():
    x = samples(thousand_steps)
    network = lower(quantized(thousand_steps, x), tuple(x.shape[1:]))
    assert network.inputs[0].step == pytest.approx(1, rel=1e-6)
    first = network.layers[:2]
    assert [type(layer).__name__ for layer in first] == ["Conv2d", "Rescale"]
    assert sum(isinstance(layer, Rescale) for layer in network.layers) == 3


def test_a_twin_of_products_can_be_tried_before_it_is_trained():
    twin = quantize_model(Body(gated), 2, 4, input_shape=(3, SIZE, SIZE))
    assert any(isinstance(la, Multiply) for la in dry_run(twin, samples(gated).numpy()).layers)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (lambda self, x: self.first(x) / self.places, "divides by a value for each position"),
        (lambda self, x: torch.cat([x.relu(), self.mean.expand_as(x)], 1), "support|'expand_as'"),
        (lambda self, x: self.first(x) * torch.ones(1), "register_buffer"),
    ],
)
def test_what_has_no_integers_is_refused(form, message):
    with pytest.raises(VecqError, match=message):
        quantized(form, samples(form))


class InvertedResidual(nn.Module):
    """A block of MobileNetV3: hard swish, depthwise, squeeze and excite, its input added."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.expand = nn.Sequential(nn.Conv2d(4, 8, 1, bias=False), nn.BatchNorm2d(8))
        depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
        self.depthwise = nn.Sequential(depthwise, nn.BatchNorm2d(8))
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.project = nn.Sequential(nn.Conv2d(8, 4, 1, bias=False), nn.BatchNorm2d(4))

    def forward(self, x):
        y = F.hardswish(self.depthwise(F.hardswish(self.expand(x))))
        scale = self.squeeze(F.adaptive_avg_pool2d(y, 1))
        y = F.hardsigmoid(self.excite(F.relu(scale))) * y
        return x + self.project(y)


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
def test_a_trained_block_of_mobilenet_is_the_same_in_hardware(tmp_path):
    x = torch.randn(30, 4, SIZE, SIZE, generator=torch.Generator().manual_seed(1))
    twin = quantize_model(InvertedResidual(), 4, 8, input_shape=(4, SIZE, SIZE)).train()
    with torch.no_grad():
        for _ in range(20):
            twin(x)
    network = lower(twin.eval(), (4, SIZE, SIZE))
    codes = network_inputs(network, x.numpy()[:6])
    expected = simulate(network, codes)
    schedule = with_fifo_depths(network, default_schedule(network, 4))
    for target in (HLS, RTL):
        folder = tmp_path / target.name
        vectors = Vectors(inputs=codes, outputs=expected)
        target.emit(network, schedule, vectors).write(folder)
        assert np.array_equal(target.run(folder), expected.reshape(len(codes), -1))
