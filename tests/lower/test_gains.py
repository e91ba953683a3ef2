"""Gains that differ beyond measure, and other extremes of finite floats."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tests.lowered import check_codes, quantizer_codes, samples, trained_twin
from vecq_hw.errors import VecqError
from vecq_hw.layers import Rescale
from vecq_hw.lower import lower, prediction_differences
from vecq_hw.passes.precision import kept_mantissa_bits
from vecq_hw.quantize.tqt import Tqt
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train import quantize_model

torch.set_num_threads(1)

LAYERS = (nn.Linear(12, 8, bias=False), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3))


def set_step(quantizer, step):
    """Make the step of an activation quantizer a given one."""
    quantizer.peak.fill_(step * max(quantizer.format.hi, 1))
    quantizer.spread.fill_(1e30)


@pytest.mark.parametrize("bits", [1, 4, 8, 12])
@pytest.mark.parametrize("spread", [0, 7, 12, 24])
def test_no_code_differs_where_float32_computes_exactly(spread, bits):
    """Steps are powers of two and gains short; a channel's gain is up to 2^spread of another's."""
    torch.manual_seed(spread)
    twin = quantize_model(nn.Sequential(*LAYERS), 4, bits, method=Tqt)
    twin(torch.from_numpy(samples((12,), 64, True, 0)))
    twin.eval()
    norm, generator = twin.get_submodule("1"), np.random.default_rng(bits)
    gains = generator.integers(129, 256, 8) * 2.0 ** -np.linspace(14, 14 - spread, 8).round()
    gains *= generator.choice((-1, 1), 8)
    with torch.no_grad():
        norm.eps = 0.0
        norm.running_mean.zero_()
        norm.running_var.fill_(1)
        norm.weight.copy_(torch.from_numpy(gains))
        norm.bias.copy_(torch.from_numpy(generator.integers(-64, 64, 8) / 32))
        set_step(twin.get_submodule("input_quantizer"), 2.0**-3)
        set_step(twin.get_submodule("2"), 2.0**-5 if bits > 4 else 0.25)
    x = samples((12,), 200, True, 5)
    network = lower(twin)
    rescale = network.layers[1].name
    (_, (expected, _, _)), _ = quantizer_codes(twin, x)
    found = simulate(network, network_inputs(network, x), taps=[rescale])[rescale]
    assert np.array_equal(found, expected)
    assert len(np.unique(found)) >= min(2**bits, 4)


def test_a_dead_channel_takes_no_bits_of_the_others():
    alive = trained_twin(list(LAYERS), (12,), 2, 12)
    dead = trained_twin(list(LAYERS), (12,), 2, 12)
    with torch.no_grad():
        dead.get_submodule("1").running_var[3] = 0
    before, after = (next(iter(kept_mantissa_bits(lower(twin)).values())) for twin in (alive, dead))
    others = [channel for channel in range(8) if channel != 3]
    assert all(after[channel] >= before[channel] for channel in others)
    check_codes(dead, (12,), samples((12,), 200, False, 9))


def test_a_channel_that_is_clamped_everywhere_is_constant():
    twin = trained_twin(list(LAYERS), (12,), 2, 8)
    with torch.no_grad():
        # An offset of 2^48 output steps, which once left room for a shift of 13 only.
        twin.get_submodule("1").bias[3] = -float(twin.get_submodule("2").step) * 2.0**48
    rescale = lower(twin).layers[1]
    assert isinstance(rescale, Rescale)
    assert rescale.mantissa[3] == rescale.offset[3] == 0
    assert rescale.mantissa_bits.max() == 18


EXTREMES = [0.0, 1.0, -0.5, 1e-45, -1e-38, 1e-30, 1e-8, 3e8, -1e30, 3e38]


@settings(max_examples=60, deadline=None)
@given(
    weights=st.tuples(*[st.sampled_from([None, *EXTREMES])] * 2),
    biases=st.tuples(*[st.sampled_from([None, *EXTREMES])] * 2),
    norms=st.tuples(*[st.sampled_from([None, *EXTREMES])] * 4),
    alone=st.booleans(),
    bits=st.sampled_from([1, 2, 8]),
)
def test_extremes_of_floats_give_a_network_or_a_sentence(weights, biases, norms, alone, bits):
    twin = trained_twin([nn.Linear(6, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 3)], (6,),
                        bits, bits)  # fmt: skip
    norm = twin.get_submodule("1")
    changes = [
        *zip(
            (twin.get_submodule("0").weight, twin.get_submodule("3").weight), weights, strict=True
        ),
        *zip((twin.get_submodule("0").bias, twin.get_submodule("3").bias), biases, strict=True),
        *zip((norm.weight, norm.bias, norm.running_mean), norms[:3], strict=True),
        (norm.running_var, None if norms[3] is None else abs(norms[3])),
    ]
    with torch.no_grad():
        for tensor, value in changes:
            if value is not None:
                (tensor[:1] if alone else tensor).fill_(value)
    x = samples((6,), 50, False, 1)
    try:
        network = lower(twin)
    except VecqError as error:
        assert str(error).count("\n") == 0  # noqa: PT017
        return
    outputs = simulate(network, network_inputs(network, x))
    step = network.tensors[network.outputs[0]].step
    with torch.no_grad():
        wanted = twin(torch.from_numpy(x)).double().numpy()
    if np.isfinite(wanted).all():
        biased = np.abs(wanted).max()
        assert np.abs(outputs * step).max() <= 2 * biased + 4 * step


@pytest.mark.parametrize("tiny", [1e-20, 1e-17, 1e-16, 1e-15, 3e-15, 1e-14, 1e-10])
@pytest.mark.parametrize("bits", [1, 2, 8])  # narrow sums would have fraction bits for the bias
def test_tiny_last_weights_leave_the_decision_to_the_bias(tiny, bits):
    twin = trained_twin([nn.Linear(6, 4), nn.ReLU(), nn.Linear(4, 3)], (6,), min(bits, 2), bits)
    with torch.no_grad():
        twin.get_submodule("2").weight.mul_(tiny)
    network, x = lower(twin), samples((6,), 50, False, 1)
    assert prediction_differences(twin, network, x) == 0
    outputs = simulate(network, network_inputs(network, x))
    step = network.tensors[network.outputs[0]].step
    bias = twin.get_submodule("2").bias.detach().numpy()
    assert np.allclose(outputs * step, bias, rtol=1e-6, atol=0)
