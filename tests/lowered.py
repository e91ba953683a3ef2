"""Quantized models that have seen data, and the comparison of their codes with a network's."""

import numpy as np
import torch
from torch import nn

from vecq_hw.layers import Add, Conv2d, Dense, Flatten, Lookup, OrderLayer, Rescale, SumPool2d
from vecq_hw.lower import lower
from vecq_hw.lower.rescale import TOLERANCE
from vecq_hw.quantize import ActivationQuantizer
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import quantize_model
from vecq_hw.train.windows import MAX_POOLS

TIE = TOLERANCE + 1e-3
"""How near to a tie, in steps, a code may go either way."""


def samples(shape, count, signed, seed):
    x = np.random.default_rng(seed).normal(size=(count, *shape)).astype(np.float32)
    return x if signed else np.abs(x)


def trained_twin(
    model, shape, weight_bits, activation_bits, signed=False, seed=0, overrides=None, **settings
):
    """A quantized model whose batch norms and quantizers have seen data; some gammas negative.

    ``settings`` are further ones of ``quantize_model``.
    """
    torch.manual_seed(seed)
    model = nn.Sequential(*model) if isinstance(model, list) else model
    for module in model.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    twin = quantize_model(model, weight_bits, activation_bits, overrides, **settings)
    with torch.no_grad():
        for step in range(8):
            twin(torch.from_numpy(samples(shape, 64, signed, seed + step)))
    return twin.eval()


def quantizer_codes(twin, x):
    """The codes that each quantizer of the model gives, channels-last, in execution order.

    With them come where its input lay on a tie, as far as mantissas can tell, and its levels, if
    not all integers are; the codes are then numbers of levels.
    """
    collected = []

    def hook(module, inputs, output):
        codes = torch.round(output / module.step).numpy().astype(np.int64)
        steps = (inputs[0] / module.step).double().numpy() + 0.5
        ties = np.abs(steps - np.round(steps)) < TIE
        if module.levels is not None:
            assert np.isin(codes, module.levels).all()
            codes = np.searchsorted(module.levels, codes)
            edges = module.levels[1:] + module.levels[:-1]
            halves = np.clip(2 * (steps - 0.5), edges[0] - 1, edges[-1] + 1)
            ties = np.abs(halves[..., np.newaxis] - edges).min(axis=-1) < TIE
        collected.append((np.moveaxis(codes, 1, -1), np.moveaxis(ties, 1, -1), module.levels))

    hooks = [
        module.register_forward_hook(hook)
        for module in twin.modules()
        if isinstance(module, ActivationQuantizer)
    ]
    with torch.no_grad():
        outputs = twin(torch.from_numpy(x)).numpy()
    for handle in hooks:
        handle.remove()
    return collected, np.moveaxis(outputs, 1, -1)


def pools_before(twin):
    """How many max-pools stand before each quantizer, for it alone, in execution order."""
    counts = []
    for node in twin.graph.nodes:
        if node.op == "call_module" and isinstance(
            twin.get_submodule(node.target), ActivationQuantizer
        ):
            count, source = 0, node.args[0]
            while (
                source.op == "call_module"
                and isinstance(twin.get_submodule(source.target), MAX_POOLS)
                and len(source.users) == 1
            ):
                count, source = count + 1, source.args[0]
            counts.append(count)
    return counts


def image_order(network):
    """Torch's position of each element of the image that the network flattens, if it does."""
    for layer in network.layers:
        if isinstance(layer, Flatten):
            height, width, channels = network.tensors[layer.input].shape
            order = np.arange(height * width * channels).reshape(channels, height, width)
            return order.transpose(1, 2, 0).reshape(-1)
    return None


def in_layout_of(network, tap, codes):
    """The codes of torch where the network has flattened them otherwise."""
    order, shape = image_order(network), network.tensors[tap].shape
    if codes.ndim == 3:  # a sequence is an image of height 1
        codes = codes[:, np.newaxis]
    if codes.ndim == 4 and len(shape) == 1:  # the network takes images already flattened
        return np.moveaxis(codes, -1, 1).reshape(len(codes), -1)
    return codes[:, order] if order is not None and shape == order.shape else codes


def behind_moves(network, tap, codes):
    """The layer that has moved what ``tap`` makes to where torch has it.

    A transposed convolution gives its phases as channels, which are rescaled before they are moved.
    """
    image = network.tensors[tap].is_image and codes.ndim == 4
    while image and network.tensors[tap].shape != codes.shape[1:]:
        (reader,) = [la for la in network.layers if tap in la.inputs]
        assert isinstance(reader, OrderLayer)
        tap = reader.name
    return tap


def check_codes(twin, shape, x, clean_part=0.5):
    """The network lowered from ``twin``, whose codes on ``x`` are those of its quantizers."""
    network = lower(twin, shape)
    sums = {la.name for la in network.layers if isinstance(la, Dense | Conv2d | SumPool2d | Add)}
    for layer in network.layers:  # what multiplies, pools, flattens or joins reads codes
        assert isinstance(layer, Rescale | Lookup) or sums.isdisjoint(layer.inputs)
    expected, outputs = quantizer_codes(twin, x)
    layers = [layer.name for layer in network.layers]
    # What makes the codes of a quantizer: a Rescale, or the table behind it.
    found = {layer.input for layer in network.layers if isinstance(layer, Lookup)}
    rescales = [
        layer.name
        for layer in network.layers
        if isinstance(layer, Rescale | Lookup) and layer.name not in found
    ]
    pools = pools_before(twin)
    if len(rescales) == len(pools):  # the last one adds the bias to sums of few bits (rule 6)
        assert (network.layers[-1].name,) == network.outputs == (rescales.pop(),)
    assert len(rescales) + 1 == len(expected) == len(pools)
    # The network pools codes where the model quantizes what is pooled.
    names = ["input"] + [
        layers[layers.index(name) + count] for name, count in zip(rescales, pools[1:], strict=True)
    ]
    names = [
        behind_moves(network, name, codes)
        for name, (codes, _, _) in zip(names, expected, strict=True)
    ]
    images = x[:, :, np.newaxis] if x.ndim == 3 and len(network.inputs[0].shape) == 3 else x
    taps = simulate(network, network_inputs(network, images), taps=[*names, *network.outputs])
    # Where torch is one code off by a tie, everything behind it may be; such samples are left out.
    clean = np.ones(len(x), bool)
    for tap, (codes, ties, levels) in zip(names, expected, strict=True):
        codes, ties = in_layout_of(network, tap, codes), in_layout_of(network, tap, ties)
        given = taps[tap].astype(np.int64)
        if levels is not None:
            assert np.isin(given, levels).all()
            given = np.searchsorted(levels, given)
        difference = np.abs(given - codes)[clean]
        assert difference.max() <= (0 if tap == "input" else 1)
        # A code of 16 bits is as fine as the 18-bit mantissas.
        fine = network.tensors[tap].format.bits == 16
        assert (difference != 0).mean() <= (0.2 if fine else 5e-3)
        assert fine or not (difference[~ties[clean]] != 0).any()
        clean[clean] &= (difference == 0).reshape(len(difference), -1).all(axis=1)
    assert clean.mean() > clean_part or network.tensors[names[-1]].format.bits == 16
    output = network.tensors[network.outputs[0]]
    if outputs.ndim == 3:
        outputs = outputs[:, np.newaxis]
    difference = np.abs(taps[network.outputs[0]] * output.step - outputs)[clean]
    # Rule 6: the bias of the last layer is rounded to whole units of the output.  Of outputs of 26
    # bits a unit is as fine as what torch rounds.
    assert difference.max() <= 0.6 * output.step + 2 * np.spacing(np.abs(outputs).max())
    return network
