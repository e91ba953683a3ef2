import numpy as np
import pytest
import torch

from vecq_hw import arithmetic
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.quantize import InputQuantizer, QuantizedReLU, SignedQuantizer, activation_step

torch.set_num_threads(1)  # on small networks a second thread only waits

# Best steps for the ReLU of N(0, 1), k = 1..8, found by direct minimization.
UNSIGNED_STEPS = [1.2240, 0.6508, 0.3534, 0.1932, 0.1055, 0.0573, 0.0309, 0.0165]


def normal(seed, *shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_steps_of_unsigned_grids():
    steps = [activation_step(IntFormat(bits, signed=False)) for bits in range(1, 9)]
    assert [round(step, 4) for step in steps] == UNSIGNED_STEPS


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_steps_are_the_best_ones_for_sampled_gaussians(signed, bits):
    fmt = IntFormat(bits, signed)
    x = np.random.default_rng(0).standard_normal(200_000)
    x = x if signed else np.maximum(x, 0)

    def error(step):
        return ((arithmetic.quantize(x, step, fmt) * step - x) ** 2).mean()

    best = activation_step(fmt)
    assert error(best) < min(error(1.08 * best), error(0.92 * best))


@pytest.mark.parametrize("kind", [QuantizedReLU, SignedQuantizer, InputQuantizer])
@pytest.mark.parametrize("bits", [1, 2, 5, 8, 16])
def test_codes_are_those_of_the_contract(kind, bits):
    quantizer = kind(bits)
    x = normal(bits, 40, 30) if kind is not InputQuantizer else normal(bits, 40, 30).abs()
    quantizer(x)
    quantizer.eval()
    values, step = quantizer(x).numpy(), quantizer.step.numpy()
    # The input is quantized in float64, as the integer network's is.
    wide = np.float64 if kind is InputQuantizer else np.float32
    codes = arithmetic.quantize(x.numpy().astype(wide), step.astype(wide), quantizer.format)
    assert codes.dtype == wide
    assert values.dtype == np.float32
    assert np.array_equal(values, (codes * step.astype(wide)).astype(np.float32))
    assert len(np.unique(codes)) > 1


@pytest.mark.parametrize("signed", [False, True])
def test_eight_bit_data_stay_exact(signed):
    levels = np.arange(-127, 128) / 127 if signed else np.arange(256) / 255
    x = torch.tensor(levels, dtype=torch.float32)
    quantizer = InputQuantizer(8)
    for _ in range(5):
        quantizer(x)
    codes = arithmetic.quantize(x.numpy(), quantizer.step.numpy(), quantizer.format)
    assert np.array_equal(codes, np.arange(len(levels)) - (127 if signed else 0))


def test_spread_does_not_depend_on_sparsity():
    dense, sparse = QuantizedReLU(4), QuantizedReLU(4)
    x = normal(0, 5000)
    dense(x)
    sparse(torch.cat([x, -normal(1, 20_000).abs()]))
    assert float(sparse.step) == pytest.approx(float(dense.step), rel=1e-6)
    positive = x[x > 0]
    assert float(dense.step) == pytest.approx(
        activation_step(IntFormat(4, signed=False)) * float(positive.square().mean().sqrt()),
        rel=1e-6,
    )


def test_first_batch_sets_the_average_and_later_ones_move_it_by_a_tenth():
    quantizer = SignedQuantizer(8)
    quantizer(torch.tensor([3.0, -4.0]))
    assert float(quantizer.peak) == 4.0
    assert float(quantizer.spread) == pytest.approx(12.5**0.5)
    quantizer(torch.tensor([-2.0, 2.0]))
    assert float(quantizer.peak) == pytest.approx(3.8)
    assert float(quantizer.spread) == pytest.approx(0.9 * 12.5**0.5 + 0.1 * 2.0)
    assert set(quantizer.state_dict()) == {"spread", "peak"}


def test_evaluation_freezes_the_step_and_a_batch_of_zeros_says_nothing():
    quantizer = QuantizedReLU(8)
    quantizer(normal(0, 100))
    step, spread = float(quantizer.step), float(quantizer.spread)
    quantizer(torch.zeros(100))
    assert float(quantizer.step) == step
    assert float(quantizer.spread) == spread
    quantizer.eval()
    quantizer(100 * normal(1, 100))
    assert float(quantizer.step) == step


def test_quantizer_without_data_gives_zeros_in_training_and_refuses_to_be_evaluated():
    quantizer = QuantizedReLU(8)
    assert torch.equal(quantizer(-torch.ones(3)), torch.zeros(3))
    with pytest.raises(VecqError, match="met no value but zero in training mode"):
        quantizer.eval()(torch.ones(3))


def test_input_becomes_signed_with_the_first_negative_value_and_stays_so():
    quantizer = InputQuantizer(8)
    quantizer(torch.tensor([0.0, 1.0]))
    assert repr(quantizer.format) == "u8"
    quantizer(torch.tensor([-0.5, 1.0]))
    assert repr(quantizer.format) == "s8"
    # The statistics start again: those of the positive entries meant something else.
    assert float(quantizer.spread) == pytest.approx((1.25 / 2) ** 0.5)
    quantizer(torch.tensor([0.0, 1.0]))
    assert repr(quantizer.format) == "s8"
    again = InputQuantizer(8)
    again.load_state_dict(quantizer.state_dict())
    assert repr(again.format) == "s8"
    assert again.step == quantizer.step


def test_evaluation_does_not_make_an_input_signed():
    quantizer = InputQuantizer(8)
    quantizer(torch.tensor([0.0, 1.0]))
    quantizer.eval()
    assert torch.equal(quantizer(torch.tensor([-1.0])), torch.zeros(1))
    assert repr(quantizer.format) == "u8"


@pytest.mark.parametrize(
    ("kind", "passing"),
    [
        # Step 1 with 2 bits: unsigned codes 0..3, signed ones -2..1.
        (QuantizedReLU, [False, False, False, True, True, True, False]),
        (SignedQuantizer, [False, True, True, True, False, False, False]),
    ],
)
def test_gradient_passes_where_nothing_was_clamped(kind, passing):
    quantizer = kind(2)
    quantizer(torch.tensor([1.0, -1.0]))
    step = 4.0
    quantizer.spread.fill_(step / activation_step(quantizer.format))
    quantizer.peak.fill_(1e6)
    quantizer.eval()
    x = step * torch.tensor([-3.0, -2.2, -0.2, 0.2, 1.9, 3.4, 3.6])
    x.requires_grad_()
    gradient = torch.arange(1.0, 8.0)
    quantizer(x).backward(gradient)
    assert torch.equal(x.grad, gradient * torch.tensor(passing))


@pytest.mark.parametrize("bits", [0, 17, 1.5, "8", False])
def test_bits_out_of_range_are_refused(bits):
    with pytest.raises(VecqError, match="1 to 16 bits"):
        QuantizedReLU(bits)
