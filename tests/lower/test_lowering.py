import numpy as np
import pytest
import torch
from torch import nn

from tests.lowered import check_codes, image_order, quantizer_codes, samples, trained_twin
from tests.shares import nightly
from vecq_hw import storage
from vecq_hw.errors import VecqError
from vecq_hw.layers import Conv2d, Dense, Flatten, Rescale, Take
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.passes.precision import kept_mantissa_bits
from vecq_hw.quantize import vecq
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import LayerQuantization, mlp, quantize_model

torch.set_num_threads(1)  # on small networks a second thread only waits

IMAGE = (2, 8, 6)


def block(inputs, outputs, bias=False):
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs)]


NETS = {
    "batch norm before relu": (
        (12,),
        [nn.Linear(12, 16), nn.BatchNorm1d(16, eps=0.1), nn.ReLU(), nn.Linear(16, 5)],
    ),
    "batch norm after relu": (
        (12,),
        [nn.Linear(12, 16), nn.ReLU(), nn.BatchNorm1d(16), nn.Linear(16, 5)],
    ),
    "batch norm on both sides": (
        (12,),
        [nn.Linear(12, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.BatchNorm1d(16), nn.Linear(16, 5)],
    ),
    "batch norm of the input": ((12,), [nn.BatchNorm1d(12), nn.Linear(12, 5)]),
    "two batch norms": ((12,), [nn.Linear(12, 9), *[nn.BatchNorm1d(9)] * 1, nn.BatchNorm1d(9)]),
    "no relu": ((12,), [nn.Linear(12, 16), nn.Linear(16, 5)]),
    "ends in relu": ((12,), [nn.Linear(12, 16, bias=False), nn.ReLU()]),
    "ends in batch norm": (
        (12,),
        [nn.Linear(12, 16), nn.ReLU(), nn.Linear(16, 5), nn.BatchNorm1d(5)],
    ),
    "image without bias": (
        IMAGE,
        [*block(2, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(60, 5, bias=False)],
    ),
    "image with bias": (
        IMAGE,
        [
            *block(2, 5, bias=True), nn.ReLU(), nn.Conv2d(5, 4, (3, 2), stride=(2, 1)),
            nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(60, 5),
        ],
    ),
    "pool before relu": (
        IMAGE,
        [nn.Conv2d(2, 5, 3), nn.MaxPool2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(30, 5)],
    ),
    "pool of sums": (
        IMAGE,
        [nn.Conv2d(2, 5, 3), nn.MaxPool2d(3, 2, 1), nn.Flatten(), nn.Linear(30, 5)],
    ),
    "batch norm after flatten": (
        IMAGE,
        [nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.BatchNorm1d(72), nn.Linear(72, 5)],
    ),
    "relu and batch norm after flatten": (
        IMAGE,
        [
            nn.Conv2d(2, 3, 3, stride=2), nn.Flatten(), nn.BatchNorm1d(18), nn.ReLU(),
            nn.Linear(18, 5), nn.BatchNorm1d(5),
        ],
    ),
    "image flattened at once": (
        IMAGE,
        [nn.Flatten(), nn.Linear(96, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Linear(9, 5)],
    ),
    "pool of the input": (IMAGE, [nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 5)]),
    "fully convolutional": (IMAGE, [*block(2, 4), nn.ReLU(), nn.Conv2d(4, 5, 1)]),
}  # fmt: skip


@pytest.mark.parametrize(
    ("weight_bits", "activation_bits", "signed"),
    [(2, 8, False), (2, 8, True), (1, 8, True), (3, 4, False), (8, 8, True), (4, 1, False)],
)
@pytest.mark.parametrize("name", NETS)
def test_integers_equal_the_codes_of_training(name, weight_bits, activation_bits, signed):
    shape, layers = NETS[name]
    twin = trained_twin(layers, shape, weight_bits, activation_bits, signed)
    check_codes(twin, shape, samples(shape, 400, signed, seed=99))


@pytest.mark.parametrize("bits", [3, *map(nightly, (2, 4, 8))])
@pytest.mark.parametrize("name", NETS)
def test_integers_equal_the_levels_of_training(name, bits):
    if bits > 3 and name in ("batch norm after relu", "batch norm on both sides"):
        return  # one table for two quantizers, of which the first has no tensor of its own
    shape, layers = NETS[name]
    overrides = {"input": LayerQuantization(activation=8)}
    twin = trained_twin(layers, shape, 3, bits, True, 0, overrides, activation_method="esb")
    check_codes(twin, shape, samples(shape, 400, True, seed=99))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_input_codes_agree_on_ties(bits):
    x = np.linspace(0, 1, 17, dtype=np.float32).repeat(4).reshape(-1, 4)
    twin = quantize_model(nn.Sequential(nn.Linear(4, 3)), 2, bits)
    twin(torch.from_numpy(x))
    network = lower(twin.eval())
    ((codes, _, _),), _ = quantizer_codes(twin, x)
    assert np.array_equal(network_inputs(network, x), codes)


@pytest.mark.parametrize("bits", [1, 2, 3, 8, 16])
def test_codes_and_scale_are_those_of_the_forward_pass(bits):
    twin = trained_twin(NETS["image with bias"][1], IMAGE, bits, 8)
    network = lower(twin, IMAGE)
    first, second, last = (la for la in network.layers if isinstance(la, Conv2d | Dense))
    for layer, name in ((first, "0"), (second, "3")):
        codes, alpha = vecq(twin.get_submodule(name).weight, bits)
        assert np.array_equal(layer.weights.codes, codes.permute(0, 2, 3, 1))
        assert layer.weights.step == float(alpha) / 2
        assert layer.bias is None
    codes, alpha = vecq(twin.get_submodule("7").weight, bits)
    assert np.array_equal(last.weights.codes, codes.numpy()[:, image_order(network)])
    bias = twin.get_submodule("7").bias.detach().double().numpy()
    unit = network.tensors[last.name].step
    assert unit == network.tensors[last.input].step * float(alpha) / 2
    if network.tensors[last.name].format.bits >= 16:
        assert np.array_equal(last.bias, np.round(bias / unit))
        return
    # Sums of fewer bits are shifted left, and take the bias in the finer units.
    assert last.bias is None
    closing = network.layers[-1]
    finer = network.tensors[closing.name].step
    assert unit / finer == 2 ** (closing.mantissa[0].item().bit_length() - 2) >= 2
    assert np.array_equal(closing.offset, 2 * np.round(bias / finer))


def test_names_shapes_and_formats():
    layers = NETS["pool of sums"][1]
    network = lower(trained_twin(layers, IMAGE, 2, 4, True), IMAGE, name="nets")
    assert [layer.name for layer in network.layers] == [
        "0",
        "0_rescale",
        "1",
        "2",
        "3",
        "3_rescale",
    ]
    assert network.name == "nets"
    assert network.inputs[0].shape == (8, 6, 2)
    assert repr(network.tensors["input"].format) == "s4"
    assert repr(network.tensors["0_rescale"].format) == "s4"
    twice = lower(trained_twin(NETS["batch norm on both sides"][1], (12,), 2, 8))
    assert [layer.name for layer in twice.layers] == [
        "0",
        "0_rescale",
        "0_rescale_2",
        "4",
        "4_rescale",
    ]
    last = lower(trained_twin(NETS["ends in batch norm"][1], (12,), 2, 8))
    assert repr(last.tensors[last.outputs[0]].format) == "s16"


def test_a_flatten_of_the_input_is_left_to_network_inputs():
    network = lower(trained_twin(NETS["image flattened at once"][1], IMAGE, 2, 8), IMAGE)
    assert network.inputs[0].shape == (96,)
    assert not any(isinstance(layer, Flatten) for layer in network.layers)


def test_layers_of_any_name():
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.input = nn.Linear(4, 4)
            self.input_rescale = nn.Linear(4, 2)

        def forward(self, x):
            return self.input_rescale(torch.relu(self.input(x)))

    twin = quantize_model(Odd())
    twin(torch.rand(20, 4))
    names = [layer.name for layer in lower(twin.eval()).layers]
    assert names == ["input_2", "input_2_rescale", "input_rescale", "input_rescale_rescale"]


def test_mixed_bits():
    bits = {
        "0": LayerQuantization(weight=8, activation=3),
        "3": LayerQuantization(weight=1),
        "input": LayerQuantization(activation=6),
    }
    network = lower(trained_twin(NETS["image with bias"][1], IMAGE, 4, 7, overrides=bits), IMAGE)
    widths = [la.weights.grid.bits for la in network.layers if isinstance(la, Conv2d | Dense)]
    assert widths == [8, 1, 4]
    formats = [network.tensors[name].format.bits for name in ("input", "0_rescale", "3_rescale")]
    assert formats == [6, 3, 7]


def test_lowering_twice_gives_the_same_network_and_it_can_be_stored(tmp_path):
    twin = trained_twin(NETS["image without bias"][1], IMAGE, 3, 8)
    network = lower(twin, IMAGE)
    assert storage.digest(lower(twin.train(), IMAGE)) == storage.digest(network)
    storage.save(network, tmp_path / "network.npz")
    assert storage.digest(storage.load(tmp_path / "network.npz")) == storage.digest(network)


def test_prediction_differences_counts_them():
    twin = trained_twin(NETS["image with bias"][1], IMAGE, 2, 8)
    network = lower(twin, IMAGE)
    x = samples(IMAGE, 300, False, seed=5)
    assert prediction_differences(twin, network, x) <= 1
    predicted = simulate(network, network_inputs(network, x)).argmax(axis=1)
    with torch.no_grad():
        twin.get_submodule("7").bias[0] += 1e6
    assert prediction_differences(twin, network, x) == (predicted != 0).sum()


@pytest.mark.parametrize("mantissa_bits", [4, 8, 18, 24])
def test_mantissas_fill_their_bits(mantissa_bits):
    network = lower(
        trained_twin(NETS["image without bias"][1], IMAGE, 2, 8), IMAGE, "n", mantissa_bits
    )
    (rescale,) = (la for la in network.layers if isinstance(la, Rescale))
    assert max(abs(rescale.mantissa)).item().bit_length() == mantissa_bits - 1
    (bits,) = kept_mantissa_bits(network).values()
    assert max(bits) == mantissa_bits


def test_channel_without_a_factor():
    twin = trained_twin([nn.Linear(6, 3), nn.BatchNorm1d(3), nn.ReLU()], (6,), 2, 8)
    with torch.no_grad():
        twin.get_submodule("1").weight[1] = 0
    network = lower(twin)
    x = samples((6,), 50, False, 1)
    outputs = simulate(network, network_inputs(network, x))
    assert len(np.unique(outputs[:, 1])) == 1
    assert len(np.unique(outputs[:, 0])) > 1


def untrained():
    return quantize_model(mlp(4, 2))


def poisoned(name, attribute, value):
    layers = [nn.Linear(4, 3), nn.BatchNorm1d(3), nn.ReLU(), nn.Linear(3, 2)]
    twin = trained_twin(layers, (4,), 2, 8)
    with torch.no_grad():
        getattr(twin.get_submodule(name), attribute).fill_(value)
    return twin


@pytest.mark.parametrize(
    ("make", "shape", "message"),
    [
        (lambda: mlp(4, 2), None, "a model from quantize_model is wanted, not Sequential"),
        (untrained, None, "the model has no statistics: in training mode it has met no finite"),
        (lambda: poisoned("0", "weight", float("nan")), None, "layer '0': the weights hold NaN"),
        (lambda: poisoned("0", "weight", 0.0), None, "layer '0': all weights are zero"),
        (lambda: poisoned("0", "bias", float("inf")), None, "layer '0': its bias holds NaN"),
        (lambda: poisoned("1", "running_var", -1.0), None, "layer '1': its scale holds NaN"),
        (lambda: poisoned("1", "bias", float("nan")), None, "layer '1': its shift holds NaN"),
        (
            lambda: poisoned("2", "spread", 0.0),
            None,
            "'2' has met nothing but zeros, .* died",
        ),
        (lambda: poisoned("2", "spread", float("nan")), None, "'2' has met NaN or infinite values"),
    ],
)
def test_what_cannot_be_lowered(make, shape, message):
    with pytest.raises(VecqError, match=message):
        lower(make(), shape)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (None, r"give input_shape=\(C, H, W\)"),
        ((2, 8, 6, 1), r"input_shape must be \(C,\), \(C, L\) or \(C, H, W\), not \(2, 8, 6, 1\)"),
        ((2, 0, 6), "input_shape (must be|is the shape)"),
        ((3, 8, 6), "layer '0': the kernel takes 2 channels, but 'input' has 3"),
        ((2, 8, 8), "layer '5': the weights take 60 inputs, but '4' has 80"),
        ((2, 1, 1), r"layer '3': the kernel \(2, 2\) does not fit the image \(1, 1\)"),
        ((96,), "takes .H, W, C"),
    ],
)
def test_shapes_that_do_not_fit(shape, message):
    twin = trained_twin(NETS["image without bias"][1], IMAGE, 2, 8)
    with pytest.raises(VecqError, match=message):
        lower(twin, shape)


def test_mantissa_bits_out_of_range():
    with pytest.raises(VecqError, match="mantissas have 4 to 32 bits, not 3"):
        lower(trained_twin(NETS["no relu"][1], (12,), 2, 8), mantissa_bits=3)


def test_a_flattened_image_is_an_output_in_the_order_of_torch():
    twin = trained_twin([nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten()], IMAGE, 2, 8)
    network = lower(twin, IMAGE)
    assert isinstance(network.layers[-1], Take)
    x = torch.randn(16, *IMAGE)
    scale = network.tensors[network.outputs[0]].step
    codes = simulate(network, network_inputs(network, x.numpy())) * scale
    assert np.allclose(codes, twin(x).detach().numpy(), atol=1e-6)


def test_inputs_of_another_shape():
    network = lower(trained_twin(NETS["image without bias"][1], IMAGE, 2, 8), IMAGE)
    with pytest.raises(
        VecqError, match=r"samples of the shape \(2, 8, 6\) are wanted, not \(8, 6, 2\)"
    ):
        network_inputs(network, np.zeros((4, 8, 6, 2)))
    vector = lower(trained_twin(NETS["image flattened at once"][1], IMAGE, 2, 8))
    assert network_inputs(vector, np.zeros((4, *IMAGE))).shape == (4, 96)
    with pytest.raises(VecqError, match=r"samples of the shape \(96,\) are wanted, not \(95,\)"):
        network_inputs(vector, np.zeros((4, 95)))
    with pytest.raises(VecqError, match="NaN"):
        network_inputs(vector, np.full((4, 96), np.nan))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"input_shape": 20}, r"input_shape is the shape of a sample, such as .* not 20"),
        ({"input_shape": "20"}, r"input_shape is the shape of a sample, .* not '20'"),
        ({"input_shape": (8.5,)}, "input_shape is the shape of a sample, .* not 8.5"),
        ({"input_shape": (0,)}, r"input_shape is the shape of a sample, .* not 0"),
        ({"name": 5}, "a network is named by text, not 5"),
        ({"name": ""}, "a network is named by text, not ''"),
        ({"mantissa_bits": 18.0}, "mantissas have 4 to 32 bits, not 18.0"),
        ({"mantissa_bits": 33}, "mantissas have 4 to 32 bits, not 33"),
    ],
)
def test_arguments_of_other_kinds_are_refused(arguments, says):
    twin = trained_twin([nn.Linear(8, 3)], (8,), 2, 8)
    with pytest.raises(VecqError, match=says):
        lower(twin, **arguments)
    assert lower(twin, [np.int64(8)], "net", np.int64(18)).name == "net"


def test_a_model_cast_to_half_is_refused():
    twin = trained_twin([nn.Linear(8, 3)], (8,), 2, 8)
    with pytest.raises(VecqError, match=r"is of the type float16; .* call float\(\)"):
        lower(twin.half())
