"""Networks with branches and the layers that came with them: lowered codes equal the trained."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.lowered import check_codes, samples, trained_twin
from vecq_hw.errors import VecqError
from vecq_hw.layers import Add, Concat, Conv2d, Rescale, SumPool2d, Upsample2d
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import quantize_model

torch.set_num_threads(1)  # on small networks a second thread only waits

IMAGE = (3, 8, 6)


def normed(inputs, outputs, kernel=3, stride=1, groups=1):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    )


class BasicBlock(nn.Module):
    """As torchvision writes it: one ReLU for both uses, ``+=``, a projection."""

    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        same = inputs == outputs and stride == 1
        self.downsample = None if same else normed(inputs, outputs, 1, stride)

    def forward(self, x):
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion=2):
        super().__init__()
        hidden = inputs * expansion
        self.same = inputs == outputs and stride == 1
        self.conv = nn.Sequential(
            normed(inputs, hidden, 1), nn.ReLU6(inplace=True),
            normed(hidden, hidden, 3, stride, hidden), nn.ReLU6(inplace=True),
            normed(hidden, outputs, 1),
        )  # fmt: skip

    def forward(self, x):
        return x + self.conv(x) if self.same else self.conv(x)


class Residual(nn.Module):
    """``x + inner(x)``, or another join of the two."""

    def __init__(self, inner, join=torch.add):
        super().__init__()
        self.inner, self.join = inner, join

    def forward(self, x):
        return self.join(x, self.inner(x))


class Pooled(nn.Module):
    def forward(self, x):
        return torch.flatten(F.adaptive_avg_pool2d(x, 1), 1)


class Forked(nn.Module):
    """A max-pool of sums that an activation reads and a convolution too."""

    def __init__(self):
        super().__init__()
        self.conv, self.pool, self.relu = nn.Conv2d(3, 4, 3), nn.MaxPool2d(2), nn.ReLU()
        self.last = nn.Conv2d(4, 4, 1)

    def forward(self, x):
        x = self.pool(self.conv(x))
        return self.relu(x) + self.last(x)


def cat(x, y):
    return torch.cat([x, y], dim=1)


STEM = [normed(3, 4), nn.ReLU()]
UP = nn.Upsample(scale_factor=2)
HEAD = [Pooled(), nn.Linear(4, 5)]
NETS = {
    "basic blocks": lambda: [
        *STEM, BasicBlock(4, 4, 1), BasicBlock(4, 6, 2), BasicBlock(6, 6, 1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5),
    ],
    "inverted residuals": lambda: [
        normed(3, 4, 3, 2), nn.ReLU6(), InvertedResidual(4, 6, 1), InvertedResidual(6, 6, 1),
        InvertedResidual(6, 6, 1), normed(6, 8, 1), nn.ReLU6(), Pooled(), nn.Dropout(0.2),
        nn.Linear(8, 5),
    ],
    "pre-activation": lambda: [
        nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3, padding=1),
        Residual(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))),
        Residual(nn.Sequential(nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1))),
        nn.BatchNorm2d(4), nn.ReLU(), *HEAD,
    ],
    "sum of activations": lambda: [
        *STEM, Residual(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())), nn.Conv2d(4, 2, 1),
    ],
    "sum with the input": lambda: [Residual(nn.Conv2d(3, 3, 1)), nn.Flatten(), nn.Linear(144, 5)],
    "ends in a sum": lambda: [nn.Linear(12, 5), nn.ReLU(), Residual(nn.Linear(5, 5))],
    "dense block": lambda: [
        *STEM, Residual(nn.Sequential(normed(4, 3), nn.ReLU()), cat),
        Residual(nn.Sequential(normed(7, 3), nn.ReLU()), cat), nn.Conv2d(10, 2, 3),
    ],
    "concat of signed and unsigned": lambda: [
        *STEM, Residual(nn.Conv2d(4, 2, 1), cat), nn.Conv2d(6, 2, 1),
    ],
    "concat of pooled vectors": lambda: [
        *STEM, nn.MaxPool2d(2), nn.Flatten(),
        Residual(nn.Sequential(nn.Linear(48, 7), nn.ReLU()), cat), nn.Linear(55, 5),
    ],
    "up and down": lambda: [
        *STEM, Residual(nn.Sequential(nn.MaxPool2d(2), normed(4, 4), nn.ReLU(), UP), cat),
        nn.Conv2d(8, 2, 1),
    ],
    "forked": lambda: [Forked(), nn.Conv2d(4, 2, 1)],
    "upsampled sums": lambda: [nn.Conv2d(3, 2, 3), nn.Upsample(scale_factor=(2, 3)), nn.ReLU()],
    "hardtanh": lambda: [
        normed(3, 4), nn.Hardtanh(-0.7, 1.1), nn.MaxPool2d(2, 1), nn.Conv2d(4, 3, 1),
    ],
    "relu6 of sums, pooled": lambda: [nn.Conv2d(3, 4, 3), nn.ReLU6(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(24, 5)],
    "average with padding": lambda: [*STEM, nn.AvgPool2d(3, 2, 1), nn.Conv2d(4, 2, 1)],
    "average of signed": lambda: [nn.Conv2d(3, 4, 1), nn.AvgPool2d((2, 3)), nn.ReLU(), nn.Flatten(),
        nn.Linear(32, 5)],
    "ends in an average": lambda: [*STEM, nn.Conv2d(4, 5, 1), nn.AdaptiveAvgPool2d(1)],
    "average without padding, hanging": lambda: [
        *STEM, nn.AvgPool2d(3, 2, 1, ceil_mode=True, count_include_pad=False), nn.BatchNorm2d(4),
        nn.Conv2d(4, 2, 1),
    ],
    "average with padding, hanging": lambda: [
        *STEM, nn.AvgPool2d((2, 3), 2, (1, 0), ceil_mode=True), nn.Conv2d(4, 2, 1),
    ],
    "average by another number": lambda: [
        *STEM, nn.AvgPool2d(2, 2, divisor_override=3), nn.Conv2d(4, 2, 1),
    ],
    "adaptive averages": lambda: [
        *STEM, nn.AdaptiveAvgPool2d((4, None)), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d((2, 1)),
        nn.Flatten(), nn.Linear(8, 3),
    ],
    "adaptive maximum": lambda: [
        *STEM, nn.AdaptiveMaxPool2d((4, 2)), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.AdaptiveMaxPool2d(1),
        nn.Flatten(), nn.Linear(4, 3),
    ],
    "hanging, dilated maximum": lambda: [
        normed(3, 4), nn.Hardtanh(-0.7, 1.1), nn.MaxPool2d(2, 2, 1, ceil_mode=True),
        nn.Conv2d(4, 3, 1), nn.ReLU(), nn.MaxPool2d(2, 1, 1, dilation=2), nn.Conv2d(3, 2, 1),
    ],
    "same of even kernels": lambda: [
        nn.Conv2d(3, 4, (2, 4), padding="same"), nn.BatchNorm2d(4), nn.ReLU(),
        nn.Conv2d(4, 2, 2, padding="same", dilation=3),
    ],
    "zeros around": lambda: [
        nn.ZeroPad2d((0, 1, 2, 0)), normed(3, 4), nn.ReLU(), nn.ZeroPad2d((1, 0, 0, 2)),
        nn.AvgPool2d(3, 2, 1, count_include_pad=False), nn.Conv2d(4, 4, 1), nn.ReLU(),
        nn.ZeroPad2d(1), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1),
    ],
    "every border": lambda: [
        nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), nn.ReLU(), nn.ReplicationPad2d(1),
        nn.Conv2d(4, 2, 3, padding="same", padding_mode="circular"), nn.ReLU(),
        nn.ZeroPad2d((-1, 1, 0, -1)), nn.Conv2d(2, 2, 1),
    ],
    "groups and dilation": lambda: [
        nn.Conv2d(3, 6, 3, padding="same", dilation=2, groups=3), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 4, 3, padding=(2, 1), dilation=(2, 1), groups=2), nn.ReLU(),
        nn.Conv2d(4, 4, 3, stride=2, groups=4), nn.Flatten(), nn.Linear(24, 5),
    ],
}  # fmt: skip
SEQUENCES = {
    "sequence of every pool": lambda: [
        nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(3, 6, 4, padding="same"), nn.ReLU(),
        nn.AvgPool1d(3, 2, 1, count_include_pad=False), nn.Conv1d(6, 4, 1), nn.ReLU(),
        nn.AdaptiveMaxPool1d(3), nn.Conv1d(4, 4, 1), nn.ReLU(), nn.ReflectionPad1d(1),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3),
    ],
    "sequence": lambda: [
        nn.Conv1d(3, 6, 5, padding=2, groups=3), nn.BatchNorm1d(6), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(6, 4, 3, stride=2, dilation=2, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2),
        nn.Flatten(), nn.Linear(16, 5),
    ],
}  # fmt: skip


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "signed"), [(2, 8, False), (4, 4, True), (1, 2, True)]
)
@pytest.mark.parametrize("name", [*NETS, *SEQUENCES])
def test_integers_equal_the_codes_of_training(name, weight_bits, activation_bits, signed):
    shape = (3, 12) if name in SEQUENCES else (12,) if name == "ends in a sum" else IMAGE
    layers = (NETS | SEQUENCES)[name]()
    twin = trained_twin(layers, shape, weight_bits, activation_bits, signed)
    check_codes(twin, shape, samples(shape, 100, signed, seed=99))


def test_what_is_padded_with_a_value_is_the_code_of_the_next_quantizer():
    layers = [
        nn.ConstantPad2d((1, 2, 0, 1), -0.4), nn.Conv2d(3, 4, 3), nn.ReLU(),
        nn.ConstantPad2d(1, 0.3), nn.Conv2d(4, 2, 3, padding=1), nn.ConstantPad2d(1, 0.2),
        nn.ReLU(), nn.Conv2d(2, 4, 2), nn.ReLU(), nn.ConstantPad2d(1, 0.5), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(144, 3),
    ]  # fmt: skip
    twin = trained_twin(layers, IMAGE, 4, 8, signed=True)
    network = lower(twin, IMAGE)
    x = samples(IMAGE, 60, True, 3)
    with torch.no_grad():
        want = twin(torch.from_numpy(x)).numpy()
    output = network.tensors[network.outputs[0]]
    got = simulate(network, network_inputs(network, x)) * output.step
    assert (np.abs(got - want) <= 0.6 * output.step).all(axis=1).mean() > 0.8
    kinds = [type(layer).__name__ for layer in network.layers]
    convolutions = [layer for layer in network.layers if isinstance(layer, Conv2d)]
    assert [layer.pad_code != 0 for layer in convolutions] == [True, False, True]
    assert convolutions[0].padding == (0, 1, 1, 2)
    assert kinds.count("Take") == 2  # around a convolution that pads with 0, and before a maximum


def rescales(layers, shape=IMAGE):
    network = lower(trained_twin(layers, shape, 2, 8), shape)
    return network, [layer for layer in network.layers if isinstance(layer, Rescale)]


def test_a_chain_of_residuals_rescales_each_tensor_once():
    network, made = rescales(NETS["inverted residuals"]())
    assert [layer.inputs for layer in network.layers if isinstance(layer, Add)] == [
        ("2.conv.4.0_rescale", "3.conv.4.0_rescale"),
        ("add_rescale", "4.conv.4.0_rescale"),
    ]
    # One behind each convolution, each sum, the average and the last sums; none in between.
    convolutions = sum(isinstance(layer, Conv2d) for layer in network.layers)
    assert len(made) == convolutions + 2 + 1 + 1


def test_unsigned_codes_become_signed_for_a_sum_with_signed_ones():
    network, _ = rescales([*STEM, Residual(nn.Conv2d(4, 4, 1))])
    (join,) = (layer for layer in network.layers if isinstance(layer, Add))
    assert [repr(network.tensors[name].format) for name in join.inputs] == ["s8", "s8"]
    assert repr(network.tensors["0.0_rescale"].format) == "u8"
    assert join.inputs == ("0.0_rescale_2", "2.inner_rescale")


def test_activations_that_are_joined_have_one_step_from_the_start():
    network, made = rescales(NETS["dense block"]())
    joins = [layer for layer in network.layers if isinstance(layer, Concat)]
    assert len(made) == 3
    assert {layer.step for layer in made} == {network.tensors[joins[-1].name].step}
    assert repr(network.tensors[joins[-1].name].format) == "u8"


def test_an_average_is_a_sum_and_the_next_rescale():
    network, _ = rescales(NETS["average with padding"]())
    kinds = [type(layer).__name__ for layer in network.layers]
    assert kinds == ["Conv2d", "Rescale", "SumPool2d", "Rescale", "Conv2d", "Rescale"]
    pool = next(layer for layer in network.layers if isinstance(layer, SumPool2d))
    assert (pool.kernel, pool.stride, pool.padding) == ((3, 3), (2, 2), (1, 1, 1, 1))
    # What averages unsigned codes stays unsigned.
    assert repr(network.tensors["0.0_rescale_2"].format) == "u8"
    ends, _ = rescales(NETS["ends in an average"]())
    assert repr(ends.tensors[ends.outputs[0]].format) == "s16"


def test_relu6_and_hardtanh_clamp_at_their_bounds():
    for bounds, letter in (((0.0, 0.5), "u"), ((-0.3, 0.5), "s")):
        twin = trained_twin([normed(3, 4), nn.Hardtanh(*bounds)], IMAGE, 2, 8, True)
        quantizer = twin.get_submodule("1")
        with torch.no_grad():
            quantizer.spread.mul_(3)
            quantizer.peak.mul_(3)
        step = float(quantizer.step)
        network = lower(twin, IMAGE)
        fmt = network.tensors[network.outputs[0]].format
        assert (fmt.lo, fmt.hi) == tuple(round(bound / step) for bound in bounds)
        assert repr(fmt) == f"{letter}8[{fmt.lo}..{fmt.hi}]"
        assert fmt.hi < 127


def test_upsampling_and_sequences():
    network, _ = rescales(NETS["upsampled sums"]())
    (layer,) = (layer for layer in network.layers if isinstance(layer, Upsample2d))
    assert layer.factor == (2, 3)
    twin = trained_twin(SEQUENCES["sequence"](), (3, 12), 2, 8)
    network = lower(twin, (3, 12))
    assert network.inputs[0].shape == (1, 12, 3)
    x = samples((3, 12), 40, False, 7)
    assert prediction_differences(twin, network, x) <= 1
    with torch.no_grad():
        twin.get_submodule("8").bias[0] += 1e6
    assert prediction_differences(twin, network, x) > 1


class Mixed(nn.Module):
    """A flattened image and a vector, joined."""

    def __init__(self, join):
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3)
        self.fc = nn.Linear(144, 48)
        self.last = nn.Linear(48 if join is torch.add else 96, 5)
        self.join = join

    def forward(self, x):
        image = torch.flatten(self.conv(x), 1)
        return self.last(self.join(image, self.fc(torch.flatten(x, 1))))


def test_flattened_images_in_joins():
    twin = trained_twin(Mixed(torch.add), IMAGE, 2, 8)
    with pytest.raises(VecqError, match="layer 'add' adds a flattened image to something in anot"):
        lower(twin, IMAGE)


@pytest.mark.parametrize("signed", [False, True])
def test_concat_of_a_flattened_image_and_a_vector(signed):
    class Side(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1)
            self.fc, self.last = nn.Linear(2, 7), nn.Linear(55, 5)

        def forward(self, x):
            x = self.conv(x)
            vector = self.fc(torch.flatten(self.pool(x), 1))
            return self.last(torch.cat((vector, torch.flatten(x, 1)), 1))

    twin = trained_twin(Side(), IMAGE, 2, 8, signed)
    network = lower(twin, IMAGE)
    x = samples(IMAGE, 60, signed, 5)
    outputs = simulate(network, network_inputs(network, x))
    expected = twin(torch.from_numpy(x)).detach().numpy()
    assert np.abs(outputs * network.tensors[network.outputs[0]].step - expected).max() < 0.02


def test_float_activations_have_no_integers():
    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    with pytest.raises(VecqError, match=r"activations are float \(activation_bits=None\), so it"):
        lower(quantize_model(model, 2, None))
