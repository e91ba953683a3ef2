"""Each method against its paper's formulas, in NumPy or by hand, and what it lowers to."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from tests.lowered import check_codes, samples, trained_twin
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, MidRise, TwosComplement
from vecq_hw.lower import lower
from vecq_hw.lower.weights import places, weights_at
from vecq_hw.quantize import (
    METHODS,
    BaseCodes,
    Bwn,
    Dorefa,
    Inq,
    Lsq,
    MinMax,
    MuL2q,
    ProductCodes,
    ScalarCodes,
    Tqt,
    Ttq,
    Twn,
    Vecq,
    WeightQuantizer,
    gaussian_lambda,
    vecq,
    weight_method,
)
from vecq_hw.quantize.weights import codes_of
from vecq_hw.train import quantize_model
from vecq_hw.train.quantized_parameters import advance

torch.set_num_threads(1)

IMAGE = (2, 8, 6)
LAYERS = [
    *(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2)),
    *(nn.Flatten(), nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 5)),
]
BITS = {"bwn": [1], "twn": [2], "ttq": [2], "inq": [2, 3, 5], "dorefa": [1, 3, 8], "alq": [1, 2, 4]}
BITS["elq"] = [1, 2]
CASES = [(name, bits) for name in METHODS for bits in BITS.get(name, [2, 4, 8])]


def weights(seed=0, *shape):
    return torch.randn(shape or (6, 5, 3), generator=torch.Generator().manual_seed(seed))


def real(quantizer, w):
    """What the integer network multiplies with."""
    codes = quantizer.codes(w)
    channels_last = weights_at(codes, np.moveaxis(places(tuple(w.shape)), 1, -1))
    values, step = torch.from_numpy(channels_last.values).movedim(-1, 1).double(), codes.step
    return values * (step.reshape(-1, *[1] * (w.ndim - 1)) if step.ndim else step)


@pytest.mark.parametrize(("name", "bits"), CASES)
def test_training_computes_with_the_exported_codes(name, bits):
    w = weights()
    quantizer = METHODS[name](w, bits)
    quantizer.advance(w, 1.0)
    exported, used = real(quantizer, w), quantizer(w).detach().double()
    # TTQ's second scale is off by up to 1/128 of the first; all others by float32 alone.
    tolerance = 1 / 128 if name == "ttq" else 1e-6
    assert (exported - used).abs().max() <= tolerance * used.abs().max()
    found = quantizer.codes(w)
    assert found.step.dtype == torch.float64
    assert found.step.shape == ((6,) if quantizer.per_channel else ())
    match found:
        case ScalarCodes():
            assert (found.grid.bits, found.codes.dtype) == (bits, torch.int16)
        case ProductCodes():
            assert (found.grid.bits, found.book.dtype) == (8, torch.int16)
        case BaseCodes():
            assert (found.bases.shape[-2], found.coordinates.dtype) == (bits, torch.int16)


@pytest.mark.parametrize(
    ("name", "bits", "options"),
    [(*case, {}) for case in CASES]
    + [(*case, {"per_channel": True}) for case in CASES if case[0] in ("vecq", "twn", "minmax")]
    + [("bwn", 1, {"per_channel": False}), ("vecq", 3, {"interval": "search"})],
)
def test_lowered_integers_are_the_codes_of_training(name, bits, options):
    method = weight_method(name, **options)
    twin = trained_twin(LAYERS, IMAGE, bits, 8, True, method=method)
    advance(twin, 1.0)
    if name == "ttq":  # equal scales are a code book without an error
        for module in twin.modules():
            if isinstance(module, Ttq):
                module.negative.data.copy_(module.positive.data / 2)
    with torch.no_grad():
        twin.train()
        for seed in range(4):
            twin(torch.from_numpy(samples(IMAGE, 64, True, seed)))
    check_codes(twin.eval(), IMAGE, samples(IMAGE, 300, True, 99))


def test_bwn():
    w = weights()
    assert torch.equal(Bwn(w)(w), w.sign() * w.abs().mean((1, 2), keepdim=True))
    assert torch.allclose(Bwn(w)(w), Vecq(w, 1, per_channel=True)(w))
    assert Bwn(w).grid == MidRise(1)


def test_twn():
    w = weights()
    threshold = 0.7 * w.abs().mean()
    alpha = w.abs()[w.abs() > threshold].mean()
    expected = torch.where(w > threshold, alpha, torch.where(w < -threshold, -alpha, 0.0))
    assert torch.allclose(Twn(w, 2)(w), expected)
    assert set(Twn(w, 2).codes(w).codes.unique().tolist()) == {-1, 0, 1}


def test_dorefa():
    w = weights()
    bent = np.tanh(w.double().numpy())
    unit = bent / (2 * np.abs(bent).max()) + 0.5
    for bits in (2, 5):
        steps = 2**bits - 1
        expected = 2 * np.floor(unit * steps + 0.5) / steps - 1
        assert np.allclose(Dorefa(w, bits)(w).numpy(), expected, atol=1e-6)
    assert torch.equal(Dorefa(w, 1)(w), w.sign() * w.abs().mean())
    # The gradient is that of the tanh over its maximum.
    w.requires_grad_()
    largest = w.detach().tanh().abs().amax()
    Dorefa(w, 3)(w)[0, 0, 0].backward()
    slope = float((1 - w.detach()[0, 0, 0].tanh() ** 2) / largest)
    assert float(w.grad[0, 0, 0]) == pytest.approx(slope, rel=1e-5)


def test_minmax():
    w = weights()
    codes, grid, step = MinMax(w, 4).codes(w)
    assert float(step) == pytest.approx(float(w.abs().max()) / 7, rel=1e-6)
    assert int(codes.abs().max()) == 7
    assert grid == TwosComplement(4)
    assert np.array_equal(codes, np.floor(w.numpy() / np.float32(step) + 0.5))


def test_mul2q():
    w = weights() + 0.4
    for bits in (1, 3):
        step = w.std(correction=0) * (
            gaussian_lambda(bits) if bits > 1 else 2 * (2 / math.pi) ** 0.5
        )
        for beta, quantizer in ((0.0, MuL2q(w, bits)), (w.mean(), MuL2q(w, bits, mean=True))):
            codes = torch.floor((w - beta) / step).clamp(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
            assert torch.allclose(quantizer(w), (codes + 0.5) * step + beta)


def test_mul2q_with_its_mean_is_refused_by_lowering():
    twin = trained_twin(LAYERS, IMAGE, 2, 8, method=weight_method("mul2q", mean=True))
    with pytest.raises(VecqError, match=r"layer '0': its weights have the mean .*\(mul2q\)"):
        lower(twin, IMAGE)


@pytest.mark.parametrize("bits", [2, 3, 8])
def test_lsq(bits):
    w = weights().requires_grad_()
    quantizer = Lsq(w, bits)
    lo, hi = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    assert quantizer.step.item() == pytest.approx(
        2 * float(w.detach().abs().mean()) / math.sqrt(hi)
    )
    gradient = weights(1)
    quantizer(w).backward(gradient)
    v = w.detach().double() / quantizer.step.item()
    rounded = torch.floor(v + 0.5)
    of_step = torch.where(v <= lo, float(lo), torch.where(v >= hi, float(hi), rounded - v))
    expected = float((gradient * of_step).sum()) / math.sqrt(w.numel() * hi)
    assert float(quantizer.step.grad) == pytest.approx(expected, rel=1e-4)
    assert torch.equal(w.grad, gradient * ((v > lo) & (v < hi)))


@pytest.mark.parametrize("bits", [2, 4])
def test_tqt(bits):
    w = weights().requires_grad_()
    quantizer = Tqt(w, bits)
    threshold = 3 * float(w.detach().std(correction=0))
    assert 2 ** quantizer.log2_threshold.item() == pytest.approx(threshold, rel=1e-5)
    step = 2.0 ** math.ceil(math.log2(threshold)) / 2 ** (bits - 1)
    assert float(quantizer.codes(w).step) == step
    gradient = weights(1)
    quantizer(w).backward(gradient)
    v, lo, hi = w.detach() / step, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    rounded = torch.floor(v + 0.5)
    of_step = torch.where(rounded < lo, lo, torch.where(rounded > hi, hi, rounded - v))
    expected = float((gradient * of_step).sum()) * step * math.log(2)
    assert float(quantizer.log2_threshold.grad) == pytest.approx(expected, rel=1e-4)
    assert torch.equal(w.grad, gradient * ((rounded >= lo) & (rounded <= hi)))


def test_the_power_of_two_of_tqt_is_fixed_at_half_of_training():
    w = weights()
    quantizer = Tqt(w, 4)
    bound = math.ceil(quantizer.log2_threshold.item())
    for number in range(50):  # to and fro over a power of two, mostly below it
        with torch.no_grad():
            quantizer.log2_threshold.fill_(bound + (0.01 if number % 5 == 0 else -0.01))
        quantizer.advance(w, number / 100)
    with torch.no_grad():
        quantizer.log2_threshold.fill_(bound + 0.01)
    assert float(quantizer.codes(w).step) == 2.0 ** (bound + 1 - 3)
    quantizer.advance(w, 0.5)
    for progress in (0.5, 0.9, 1.0):
        quantizer.advance(w, progress)
        assert float(quantizer.codes(w).step) == 2.0 ** (bound - 3)
    quantizer(w).sum().backward()
    assert float(quantizer.log2_threshold.grad) == 0
    again = Tqt(weights(1), 4)
    again.load_state_dict(quantizer.state_dict())
    assert float(again.codes(w).step) == 2.0 ** (bound - 3)


def test_ttq():
    w = (weights() / 8).requires_grad_()  # so that the unit is far from 1
    quantizer = Ttq(w)
    threshold = 0.05 * w.detach().abs().max()
    above, below = w.detach() > threshold, w.detach() < -threshold
    unit = quantizer.unit.item()
    assert quantizer.positive.item() + quantizer.negative.item() == pytest.approx(2)
    assert quantizer.positive.item() * unit == pytest.approx(w[above].mean().item())
    assert quantizer.negative.item() * unit == pytest.approx(-w[below].mean().item())
    with torch.no_grad():
        quantizer.negative.fill_(0.25)
    gradient = weights(1)
    quantizer(w).backward(gradient)
    of_positive, of_negative = float(gradient[above].sum()), -float(gradient[below].sum())
    assert float(quantizer.positive.grad) / unit == pytest.approx(of_positive, abs=1e-5)
    assert float(quantizer.negative.grad) / unit == pytest.approx(of_negative, abs=1e-5)
    scale = torch.where(above, quantizer.positive, torch.where(below, 0.25, 1.0))
    assert torch.allclose(w.grad, gradient * scale)


@pytest.mark.parametrize(
    ("scales", "integers"),
    [((1.0, 1.0), (1, 1)), ((0.5, 1.0), (1, 2)), ((3.0, -1.0), (3, -1)), ((0.0, 2.0), (0, 1))],
)
def test_simple_ratios_of_ttqs_scales_are_exact(scales, integers):
    quantizer = Ttq(weights())
    quantizer.positive.data.fill_(scales[0])
    quantizer.negative.data.fill_(scales[1])
    quantizer.unit.fill_(0.125)
    positive, negative, step = quantizer.integer_scales()
    assert (positive, negative) == integers
    assert (8 * positive * step, 8 * negative * step) == scales


def test_ttqs_code_book_is_within_its_stated_error():
    quantizer, rng = Ttq(weights()), np.random.default_rng(0)
    quantizer.unit.fill_(1.0)
    for scales in rng.uniform(-1, 1, (200, 2)):
        quantizer.positive.data.fill_(scales[0])
        quantizer.negative.data.fill_(scales[1])
        positive, negative, step = quantizer.integer_scales()
        error = max(abs(positive * step - scales[0]), abs(negative * step - scales[1]))
        assert error <= np.abs(scales).max() / 128 * (1 + 1e-6)
        assert max(abs(positive), abs(negative)) <= 127
    quantizer.positive.data.fill_(math.nan)
    with pytest.raises(VecqError, match="scales of its TTQ weights"):
        quantizer.codes(weights())


@pytest.mark.parametrize("bits", [2, 3, 5])
def test_inq(bits):
    w = weights(3, 40, 30)
    quantizer = Inq(w, bits)
    top = math.floor(math.log2(4 * float(w.abs().max()) / 3))
    powers = [2.0**n for n in range(top - 2 ** (bits - 2) + 1, top + 1)]
    assert sorted({*quantizer.grid.levels}) == sorted(
        {0, *(int(s * p / powers[0]) for p in powers for s in (-1, 1))}
    )
    quantizer.advance(w, 1.0)
    levels = [0.0, *powers]

    def nearest(x):  # Eq. 4: from (a + b) / 2 up to 3 b / 2, b; the last power takes the rest
        for a, b in itertools.pairwise(levels):
            if (a + b) / 2 <= abs(x) < 3 * b / 2:
                return math.copysign(b, x)
        return 0.0 if abs(x) < levels[1] / 2 else math.copysign(levels[-1], x)

    expected = [nearest(x) for x in w.reshape(-1).tolist()]
    assert quantizer(w).reshape(-1).tolist() == expected
    assert torch.equal(real(quantizer, w).float(), quantizer(w))


def test_inq_fixes_the_largest_weights_first_and_for_good():
    w = weights(3, 40, 30).requires_grad_()
    quantizer = Inq(w, 5)
    assert torch.equal(quantizer(w), w)
    kept = torch.zeros(w.shape, dtype=torch.bool)
    for progress, portion in (
        (0.19, 0),
        (0.2, 0.5),
        (0.4, 0.75),
        (0.59, 0.75),
        (0.6, 0.875),
        (0.8, 1),
    ):
        before = quantizer(w).detach()
        quantizer.advance(w, progress)
        fixed = ~quantizer.fixed.isnan()
        assert fixed.float().mean() == portion
        if portion < 1:
            rest = w.detach().abs()
            newly = fixed & ~kept
            assert not newly.any() or rest[newly].min() >= rest[~fixed].max()
        after = quantizer(w)
        assert torch.equal(after[kept], before[kept])
        w.grad = None
        after.sum().backward()
        assert torch.equal(w.grad, (~fixed).float())
        with torch.no_grad():
            w.add_(0.3 * weights(int(100 * progress), 40, 30))
        kept = fixed
    again = Inq(weights(9, 40, 30), 5)
    again.load_state_dict(quantizer.state_dict())
    assert torch.equal(again(w), quantizer(w))


def test_every_method_but_inq_passes_gradients_to_all_weights_within_its_range():
    for name, kind in METHODS.items():
        if name == "pq":  # gradients are those of words, later
            continue
        w = weights(4).requires_grad_()
        quantizer = kind(w, BITS.get(name, [4])[-1])
        quantizer(w).sum().backward()
        inside = w.detach().abs() < 1
        assert (w.grad[inside] != 0).all()
        for parameter in quantizer.parameters():
            assert parameter.grad is not None
            assert torch.isfinite(parameter.grad).all()


@pytest.mark.parametrize(
    ("kind", "bits", "says"),
    [
        (Bwn, 2, "weights of Bwn have 1 bit, not 2"),
        (Twn, 3, "weights of Twn have 2 bits, not 3"),
        (Inq, 7, "weights of Inq have 2 to 6 bits, not 7"),
        (Lsq, 1, "weights of Lsq have 2 to 16 bits, not 1"),
        (MuL2q, 9, "weights of MuL2q have 1 to 8 bits, not 9"),
        (Vecq, True, "weights of Vecq have 1 to 16 bits, not True"),
    ],
)
def test_bits_that_a_method_does_not_have_are_refused(kind, bits, says):
    with pytest.raises(VecqError, match=says):
        kind(weights(), bits)
    with pytest.raises(VecqError, match="layer '0': weights of Twn have 2 bits, not 3"):
        quantize_model(nn.Sequential(nn.Linear(3, 2)), 3, method=Twn)


@pytest.mark.parametrize("value", [0.0, -0.5, math.nan])
def test_a_step_that_training_made_unusable_is_refused(value):
    w = weights()
    quantizer = Lsq(w, 4)
    quantizer.step.data.fill_(value)
    with pytest.raises(VecqError, match="training made a step of its Lsq weights"):
        quantizer.codes(w)


def test_weights_without_a_direction_are_refused():
    for kind in METHODS.values():
        quantizer = kind(weights(), 1 if kind is Bwn else 2)
        with pytest.raises(VecqError, match="all weights are zero"):
            quantizer.codes(torch.zeros(6, 5, 3))


def test_codes_of_refuses_nothing_but_values_off_the_grid():
    assert codes_of(torch.tensor([5.0, -1.0]), CodeBook((5, 0, -1, 5))).tolist() == [0, 2]
    with pytest.raises(AssertionError, match="off the grid"):
        codes_of(torch.tensor([2.0]), MidRise(2))


def test_the_interface_is_abstract():
    quantizer = WeightQuantizer(weights(), 2)
    for missing in (lambda: quantizer.grid, lambda: quantizer.integers(weights())):
        with pytest.raises(NotImplementedError):
            missing()


@pytest.mark.parametrize("w", [[1.0, 2.0], torch.tensor([1, 2]), torch.ones(2, device="meta")])
def test_weights_are_floats_with_values(w):
    with pytest.raises(VecqError, match=r"weights are a tensor of floats|on the device 'meta'"):
        vecq(w, 2)
