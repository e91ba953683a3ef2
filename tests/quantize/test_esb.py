"""ESB: levels, nearest levels, scales, settings, and the small floats of QONNX."""

import math

import numpy as np
import pytest
import torch

from vecq_hw.errors import VecqError
from vecq_hw.formats import MiniFloat
from vecq_hw.quantize import Esb, Twn, esb_scale
from vecq_hw.quantize.distributions import best_scale
from vecq_hw.quantize.esb import default_fraction, nearest_levels, positive_levels

torch.set_num_threads(1)

SCALES = {
    (2, 0): 1.2240,
    **{(3, 0): 0.5181, (3, 1): 1.3015},
    **{(4, 0): 0.0655, (4, 1): 0.4871, (4, 2): 1.4136},
    **{(5, 1): 0.0766, (5, 2): 0.4828, (5, 3): 1.5460},
    **{(6, 2): 0.0406, (6, 3): 0.4997, (6, 4): 1.6878},
    **{(7, 3): 0.0409, (7, 4): 0.5247, (7, 5): 1.8324},
    **{(8, 4): 0.0412, (8, 5): 0.5527, (8, 6): 1.9757},
    **{(9, 5): 0.0416, (9, 6): 0.5816, (9, 7): 2.1156},
}
"""The authors' table, three entries corrected."""
FAULTS = {(4, 0): 0.0381, (5, 1): 0.0391, (9, 7): 1.9757}
"""What the authors' table has there."""


def weights(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (6, 5, 3), generator=generator, dtype=dtype)


def all_levels(bits, fraction):
    """From the definition: j, and (2^k + j) 2^n for n up to 2^e - 2."""
    one, powers = 1 << fraction, (1 << (bits - 1 - fraction)) - 1
    positive = [*range(one), *((one + j) << n for n in range(powers) for j in range(one))]
    return sorted({sign * level for level in positive for sign in (1, -1)})


def nearest(x, levels):
    """The higher one of two levels equally near, in float64."""
    levels = np.array(levels, np.float64)
    return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, x, side="right")]


def expected_error(scale, bits, fraction):
    """The error for a standard Gaussian, by a fine sum over its density."""
    x = np.linspace(-9, 9, 20001)
    density = np.exp(-(x**2) / 2)
    lost = np.square(x - scale * nearest(x / scale, all_levels(bits, fraction)))
    return (density * lost).sum() / density.sum()


@pytest.mark.parametrize("setting", SCALES)
def test_a_weight_goes_to_the_nearest_level_and_of_two_to_the_higher(setting):
    bits, fraction = setting
    levels, grid = all_levels(bits, fraction), MiniFloat(bits, fraction)
    assert len(levels) == 2**bits - 1
    assert positive_levels(grid).tolist() == [level for level in levels if level >= 0]
    ties = (np.array(levels[1:]) + levels[:-1]) / 2
    near = np.concatenate([ties * (1 + 1e-12), ties * (1 - 1e-12)])
    dense = np.linspace(1.5 * levels[0], 1.5 * levels[-1], 20001)
    small = np.random.default_rng(bits).normal(size=2000) * (2 << fraction)
    x = np.concatenate([ties, near, levels, dense, small, [0.0, 1e300, -1e300]])
    assert np.array_equal(nearest_levels(torch.from_numpy(x), grid).numpy(), nearest(x, levels))
    single = np.concatenate([ties, levels, small]).astype(np.float32)
    found = nearest_levels(torch.from_numpy(single), grid).numpy()
    assert np.array_equal(found, nearest(single.astype(np.float64), levels))


@pytest.mark.parametrize(("setting", "scale"), SCALES.items())
def test_scales_are_the_authors_table_but_for_its_three_faults(setting, scale):
    assert round(esb_scale(*setting), 4) == scale
    step = scale / 2 ** setting[1]
    least = min(expected_error(step * part, *setting) for part in np.geomspace(0.2, 6, 60))
    assert expected_error(step, *setting) <= 1.0001 * least


@pytest.mark.parametrize(("setting", "printed"), FAULTS.items())
def test_the_three_entries_of_the_authors_table_lose_more(setting, printed):
    unit = 2 ** setting[1]
    ours, theirs = (expected_error(a / unit, *setting) for a in (SCALES[setting], printed))
    assert ours < theirs


def test_the_default_fraction_loses_least():
    for bits in range(2, 10):
        fractions = [fraction for width, fraction in SCALES if width == bits]
        lost = {k: expected_error(SCALES[bits, k] / 2**k, bits, k) for k in fractions}
        assert min(lost, key=lost.get) == default_fraction(bits)
        assert Esb(weights(), bits).grid == MiniFloat(bits, default_fraction(bits))


def test_alpha_is_that_of_the_spread_or_of_least_squares():
    w = weights(40, 50) + 0.3
    rms, deviation = w.square().mean().sqrt(), w.std(correction=0)
    for spread, size in (("rms", rms), ("std", deviation)):
        alpha = size * esb_scale(4, 1) / 2
        plain = Esb(w, 4, fraction=1, spread=spread, rescale=False)
        expected = torch.from_numpy(nearest((w / alpha).double().numpy(), all_levels(4, 1))).float()
        assert torch.allclose(plain(w), expected * alpha, rtol=1e-5)
        driven = Esb(w, 4, fraction=1, spread=spread)(w)
        best = (expected * w).sum() / expected.square().sum()
        assert torch.allclose(driven, expected * best, rtol=1e-5)
        assert (w - driven).square().sum() <= (w - plain(w)).square().sum()
    # Another scale for each output; a row of zeros stays zero.
    rows = torch.stack([w[0], torch.zeros(50), 9 * w[1]])
    quantizer = Esb(rows, 5, per_channel=True)
    alone = torch.stack([Esb(rows[:1], 5)(rows[0]), torch.zeros(50), Esb(rows, 5)(rows[2])])
    assert torch.allclose(quantizer(rows), alone, rtol=1e-5)
    assert quantizer.codes(rows).step.tolist()[1] == 0


def test_two_bits_are_ternary():
    """TWN's scale behind another threshold: 0.612 root mean squares in place of 0.7 mean sizes."""
    w = weights(30, 40)
    codes, grid, step = Esb(w, 2).codes(w)
    threshold = esb_scale(2, 0) / 2 * w.square().mean().sqrt()
    large = w.abs() >= threshold
    ternary = w.sign() * large
    assert torch.equal(torch.from_numpy(grid.values(codes.numpy())), ternary.int())
    alpha = w.abs()[large].mean()
    assert float(step) == pytest.approx(float(alpha), rel=1e-6)
    # Where both thresholds part the weights alike, so do both methods.
    parted = torch.tensor([[0.1, -0.1, 2.0, -2.0, 2.2, 0.0]])
    assert torch.equal(Esb(parted, 2)(parted), Twn(parted, 2)(parted))


def float_quant(x, scale, exponent_bits, mantissa_bits):
    """QONNX's FloatQuant with subnormals, without infinities and NaN, of bias 1.

    As its documentation has it: ``e = max(floor(log2 |x / scale|), 1 - bias)``, rounding to whole
    multiples of ``2^(e - mantissa_bits)``, half to even, and saturation at the largest value.
    """
    bias, x = 1, x / scale
    with np.errstate(divide="ignore"):
        exponent = np.maximum(np.floor(np.log2(np.abs(x))), 1 - bias)
    unit = 2.0 ** (exponent - mantissa_bits)
    largest = 2.0 ** (2**exponent_bits - 1 - bias) * (2 - 2.0**-mantissa_bits)
    return np.clip(np.round(x / unit) * unit, -largest, largest) * scale


@pytest.mark.parametrize(
    "setting", [(3, 1), (4, 1), (5, 2), (6, 2), (6, 3), (7, 3), (8, 4), (8, 5)]
)
def test_the_grid_is_that_of_small_floats_in_qonnx(setting):
    bits, fraction = setting
    x, scale = weights(5000, seed=bits, dtype=torch.float64), 0.25
    ours = nearest_levels(x / scale * 2**fraction, MiniFloat(bits, fraction)) * scale / 2**fraction
    assert np.array_equal(
        ours.numpy(), float_quant(x.numpy(), scale, bits - 1 - fraction, fraction)
    )


@pytest.mark.parametrize(
    ("bits", "settings", "says"),
    [
        (1, {}, "weights of Esb have 2 to 15 bits, not 1"),
        (16, {}, "weights of Esb have 2 to 15 bits, not 16"),
        (4, {"fraction": 3}, "weights of Esb of 4 bits have 0 to 2 fraction bits, not 3"),
        (4, {"fraction": -1}, "0 to 2 fraction bits, not -1"),
        (4, {"fraction": True}, "0 to 2 fraction bits, not True"),
        (4, {"fraction": 1.5}, "0 to 2 fraction bits, not 1.5"),
        (4, {"fraction": math.nan}, "0 to 2 fraction bits, not nan"),
        (4, {"fraction": "1"}, "0 to 2 fraction bits, not '1'"),
        (7, {"fraction": 0}, "a small float of 7 bits, 0 of them fraction, reaches beyond"),
        (4, {"spread": "mean"}, "spread is one of rms, std, not 'mean'"),
        (4, {"rescale": 1}, "rescale is True or False, not 1"),
    ],
)
def test_bad_settings_are_refused(bits, settings, says):
    with pytest.raises(VecqError) as error:
        Esb(weights(), bits, **settings)
    assert says in str(error.value)


@pytest.mark.parametrize("settings", [{}, {"per_channel": True}, {"spread": "std"}])
@pytest.mark.parametrize("bits", [2, 3, 4, 9, 15])
def test_weights_of_every_kind(bits, settings):
    kinds = {
        "all equal": torch.full((3, 4), 0.7),
        "one weight": torch.tensor([[-0.3]]),
        "tiny": weights() * 1e-18,
        "huge": weights() * 1e17,
        "doubles": weights(dtype=torch.float64),
        "one outlier": torch.cat([weights(1, 99) * 1e-6, torch.ones(1, 1)], 1),
    }
    for kind, w in kinds.items():
        quantizer = Esb(w, bits, **settings)
        codes, grid, step = quantizer.codes(w)
        used = quantizer(w)
        assert bool(torch.isfinite(used).all()), kind
        assert used.dtype == w.dtype
        values = torch.from_numpy(grid.values(codes.numpy())).double()
        exported = values * (step.reshape(-1, *[1] * (w.ndim - 1)) if step.ndim else step)
        assert torch.allclose(exported, used.double(), rtol=1e-6, atol=0), kind
        assert bool(values.any())


def test_the_scale_is_the_best_of_several_stationary_ones():
    # Of powers of two with many exponents a second one lies about a factor of two away.
    levels = (0.0, *(2.0**n for n in range(7)))
    assert best_scale(levels) == pytest.approx(0.0655, abs=5e-5)
