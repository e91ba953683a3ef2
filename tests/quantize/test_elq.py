"""ELQ: portions, the two passes, the distance, against formulas in NumPy."""

import math

import numpy as np
import pytest
import torch

from vecq_hw.errors import VecqError
from vecq_hw.formats import MidRise, TwosComplement
from vecq_hw.quantize import Bwn, Elq, Twn

torch.set_num_threads(1)

PARTS = (0.0, 0.5, 0.75, 0.875, 1.0)


def weights(seed=0, *shape):
    return torch.randn(shape or (16, 5, 3), generator=torch.Generator().manual_seed(seed))


def moved(w, seed):
    with torch.no_grad():
        w.add_(0.3 * weights(seed, *w.shape))


@pytest.mark.parametrize("bits", [1, 2])
@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("order", ["magnitude", "error"])
def test_portions_are_chosen_in_order_and_fixed_for_good(bits, per_channel, order):
    w = weights().requires_grad_()
    quantizer = Elq(w, bits, per_channel, order=order)
    rule = (Bwn if bits == 1 else Twn)(w, bits, per_channel)
    assert quantizer.grid == (MidRise(1) if bits == 1 else TwosComplement(2))
    kept = torch.zeros(w.shape, dtype=torch.bool)
    for number, portion in enumerate(PARTS):
        moved(w, number)
        now, alpha = rule.integers(w.detach())
        codes = quantizer.fixed.clone()
        quantizer.advance(w, number / 5 + 0.01)
        chosen = quantizer.chosen.clone()
        assert int(chosen.sum()) == math.ceil(portion * w.numel())
        assert (chosen | ~kept).all()
        new = chosen & ~kept
        if portion:
            rank = w.detach().abs() if order == "magnitude" else -(w - now * alpha).detach().abs()
            assert portion == 1 or rank[new].min() >= rank[~chosen].max()
            assert torch.equal(quantizer.fixed[new], now[new].to(torch.int8))
            assert torch.equal(quantizer.fixed[kept], codes[kept])
            moved(w, 9 + number)  # alpha stays until the next portion
            values, step = quantizer.integers(w.detach())
            assert torch.equal(step, alpha)
            assert torch.equal(values[chosen], quantizer.fixed[chosen].to(w.dtype))
            assert torch.equal(values[~chosen], rule.integers(w.detach())[0][~chosen])
        kept = chosen
    codes = quantizer.codes(w)
    assert np.array_equal(codes.grid.values(codes.codes.numpy()), quantizer.fixed.numpy())
    before = quantizer(w).clone()
    moved(w, 20)
    assert torch.equal(quantizer(w), before)
    assert quantizer.penalty(w) == 0


@pytest.mark.parametrize("frozen", [True, False])
def test_passes_differ_in_what_is_not_chosen_and_free_weights_alone_move(frozen):
    w = weights(1).requires_grad_()
    quantizer = Elq(w, 2, frozen=frozen, portions=[0.5, 1])
    chosen = quantizer.chosen.clone()
    assert int(chosen.sum()) == w.numel() // 2  # from the first step on
    moved(w, 2)
    values, alpha = quantizer.integers(w.detach())
    assert torch.equal(values, Twn(w, 2, per_channel=True).integers(w.detach())[0]) != frozen
    quantized = values * alpha
    for relaxed in (False, True):
        quantizer.relaxed = relaxed
        used = quantizer(w)
        expected = torch.where(chosen, quantized, w.detach()) if relaxed else quantized
        assert torch.equal(used.detach(), expected)
        (gradient,) = torch.autograd.grad(used.sum(), w)
        assert torch.equal(gradient, (~chosen).float() if frozen else torch.ones_like(w))
    quantizer.relaxed = False
    distance = (w.detach() - quantized).double().square()
    wanted = 0.02 * float((distance[~chosen] if frozen else distance).sum())
    assert quantizer.penalty(w).item() == pytest.approx(wanted, rel=1e-5)
    (gradient,) = torch.autograd.grad(quantizer.penalty(w), w)
    slope = 0.04 * (w.detach() - quantized)
    torch.testing.assert_close(gradient, torch.where(chosen & frozen, 0.0, slope))
    assert Elq(w, 2, a2=0).penalty(w) is None


@pytest.mark.parametrize(
    ("a1", "of_loss", "of_relaxed"), [(0, 0, 1), (0.25, 0.25, 0.75), (1, 1, 0)]
)
def test_the_two_losses_mix_by_a1(a1, of_loss, of_relaxed):
    loss, relaxed = (torch.tensor(value, requires_grad=True) for value in (0.9, 0.4))
    total = Elq(weights(), 1, a1=a1).combined(loss, relaxed)
    assert total.item() == pytest.approx(0.4 + a1 * 0.5)
    gradients = torch.autograd.grad(total, (loss, relaxed), allow_unused=True)
    assert [float(value) for value in gradients] == pytest.approx([of_loss, of_relaxed])
    total = Elq(weights(), 1, a1=a1).combined(relaxed, loss)  # the quantized loss is the smaller
    assert total.item() == pytest.approx(0.9 + a1 * 0.5)


def test_alpha_follows_the_weights_until_codes_are_fixed():
    w = weights()
    quantizer = Elq(w, 1)
    moved(w, 3)
    assert torch.equal(quantizer.integers(w)[1], Bwn(w).integers(w)[1])
    assert not quantizer.alpha.any()
    free = Elq(w, 1, frozen=False, portions=[0.5, 1])
    moved(w, 4)
    assert torch.equal(free.integers(w)[1], Bwn(w).integers(w)[1])


def test_a_state_goes_on_where_it_was():
    w = weights()
    first = Elq(w, 2)
    first.advance(w, 0.45)
    other = Elq(weights(3), 2)
    other.load_state_dict(first.state_dict())
    moved(w, 5)
    other.advance(w, 0.5)  # of the same portion
    for progress in (0.55, 0.65, 0.85):
        for one in (first, other):
            one.advance(w, progress)
        assert torch.equal(first(w), other(w))
        assert torch.equal(first.chosen, other.chosen)
        moved(w, int(100 * progress))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_weights_of_any_kind(dtype):
    zero_row = weights(4, 6, 5)
    zero_row[2] = 0
    cases = [
        *(zero_row, torch.ones(6, 5), weights(5, 1, 7), weights(5, 7, 1), torch.ones(1, 1)),
        *(1e-15 * weights(6, 6, 5), 1e15 * weights(6, 6, 5), torch.eye(6)),
    ]
    for case in cases:
        for bits in (1, 2):
            for order in ("magnitude", "error"):
                w = case.to(dtype)
                quantizer = Elq(w, bits, order=order)
                for progress in np.linspace(0, 1, 11):
                    assert torch.isfinite(quantizer(w)).all()
                    assert quantizer(w).dtype == dtype
                    quantizer.advance(w, float(progress))
                assert quantizer.chosen.all()
                codes = quantizer.codes(w)
                steps = codes.step.reshape(-1, *[1] * (w.ndim - 1))
                real = torch.from_numpy(codes.grid.values(codes.codes.numpy())) * steps
                torch.testing.assert_close(real, quantizer(w).double())


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"a1": 1.5}, "a1 is 0 to 1, not 1.5"),
        ({"a1": math.nan}, "a1 is 0 to 1, not nan"),
        ({"a1": "1"}, "a1 is 0 to 1, not '1'"),
        ({"a2": -1}, "a2 is 0 to 1e+06, not -1"),
        ({"a2": 1e30}, "a2 is 0 to 1e+06, not 1e+30"),
        ({"order": "size"}, "order is one of magnitude, error, not 'size'"),
        ({"frozen": "yes"}, "frozen is True or False, not 'yes'"),
        ({"per_channel": 1}, "per_channel is True or False, not 1"),
        ({"portions": [0.5]}, "portions are portions from 0 to 1"),
        ({"bits": 3}, "weights of Elq have 1 to 2 bits, not 3"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, says):
    with pytest.raises(VecqError) as error:
        Elq(weights(), **{"bits": 2, **settings})
    assert says in str(error.value)
