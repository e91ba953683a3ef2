"""SRQ and DropBits against their formulas with a number for each weight and point, by autograd."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import TwosComplement
from vecq_hw.quantize import DropBits, Lsq, Srq, noisy_grid, weight_method
from vecq_hw.quantize.learned import learned_step
from vecq_hw.quantize.noisy_grid import Gradient, Nested, noisy_weights

torch.set_num_threads(1)


def normal(seed, *shape, dtype=torch.float64):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def probabilities(w, step, noise, shares, widths):
    """The probability of each point of the last grid, (n, 2^b), and the points."""
    points = torch.arange(-(2.0 ** (widths[-1] - 1)), 2.0 ** (widths[-1] - 1), dtype=w.dtype)
    above = (step * (points + 0.5) - w[:, None]) / noise
    below = (step * (points - 0.5) - w[:, None]) / noise
    each = above.sigmoid() * below.neg().sigmoid() * -(below - above).expm1()
    held = [
        share * ((points >= -(2 ** (bits - 1))) & (points < 2 ** (bits - 1)))
        for share, bits in zip(shares, widths, strict=True)
    ]
    each = each * torch.stack(held).sum(0)
    return each / each.sum(1, keepdim=True), points


def straight_through(w, log_step, log_noise, shares, widths, gradient):
    """Multi-class straight-through, as the text has it."""
    step = log_step.exp()
    chances, points = probabilities(w, step, log_noise.exp(), shares, widths)
    taken = nn.functional.one_hot(chances.argmax(1), len(points)).to(w.dtype)
    passed = chances - chances.detach()
    taken = taken + (passed if gradient is Gradient.ALL else taken * passed)
    return (taken * points * step).sum(1)


WIDTHS = [(2,), (4,), (6,), (2, 3, 4), (2, 6)]


@pytest.mark.parametrize(
    ("widths", "gradient"), [*itertools.product(WIDTHS, (Gradient.ALL, Gradient.MAX))]
)
@pytest.mark.parametrize("sharpness", [1.0, 3.0, 7.0])
def test_gradients_are_those_of_all_the_probabilities(widths, gradient, sharpness, monkeypatch):
    monkeypatch.setattr(noisy_grid, "REACH", 40.0)
    w = torch.cat([normal(len(widths), 60), torch.tensor([3.5, -3.5])])  # beyond the grids, too
    log_step = torch.tensor(0.3 if widths[-1] < 5 else 0.1, dtype=w.dtype).log()
    log_noise = log_step - math.log(sharpness)
    shares = torch.rand(len(widths), generator=torch.Generator().manual_seed(1), dtype=w.dtype)
    results = []
    for function in (
        lambda *given: straight_through(*given, widths, gradient),
        lambda *given: noisy_weights(*given, Nested(widths, gradient)),
    ):
        given = [one.clone().requires_grad_() for one in (w, log_step, log_noise, shares)]
        out = function(*given)
        (out * normal(9, len(w))).sum().backward()
        results.append([out.detach(), *(one.grad for one in given)])
    for expected, got in zip(*results, strict=True):
        assert torch.allclose(got, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("gradient", [Gradient.ALL, Gradient.MAX])
@pytest.mark.parametrize("widths", [(2,), (2, 3, 4)])
def test_many_weights_pass_on_what_few_do(widths, gradient):
    w = 0.8 * normal(3, 40_000, dtype=torch.float32)
    log_step, log_noise = (torch.tensor(value).log() for value in (0.4, 0.15))
    shares = torch.tensor([0.5, 0.2, 0.3][: len(widths)])
    passed = []
    for parts in (1, 40):
        given = [one.clone().requires_grad_() for one in (w, log_step, log_noise, shares)]
        for part in given[0].chunk(parts):
            noisy_weights(part, *given[1:], Nested(widths, gradient)).sum().backward()
        passed.append([one.grad for one in given if one.grad is not None])
    of_w, *sums = [(whole - pieces).abs() for whole, pieces in zip(*passed, strict=True)]
    # Near the middle between two points, some weights are told to be on the other side.
    assert float(of_w.mean()) < 5e-3 * float(passed[1][0].abs().mean())
    assert all(float(one.max()) < 1e-3 * len(w) for one in sums)


def test_points_are_drawn_by_their_probabilities():
    shares, widths = torch.tensor([0.3, 0.2, 0.5]), (2, 3, 4)
    count = 100_000
    for place in (0.37, -2.2):
        given = (torch.tensor(0.2).log(), torch.tensor(0.15).log(), shares)
        nested = Nested(widths, Gradient.ALL, torch.Generator().manual_seed(1))
        drawn = noisy_weights(torch.full((count,), place), *given, nested) / 0.2
        seen = torch.bincount(drawn.round().long() + 8, minlength=16) / count
        expected, _ = probabilities(torch.tensor([place]).double(), 0.2, 0.15, shares, widths)
        assert float((seen - expected[0]).abs().max()) < 4 * 0.5 / math.sqrt(count)


def test_the_identity_is_that_of_a_learned_step():
    w, passed = normal(0, 5, 7), []
    quantizer = Srq(w, 3, gradient="identity")
    step = quantizer.log_step.detach().exp().requires_grad_()
    for function, scale in ((quantizer, quantizer.log_step), (None, step)):
        given = w.clone().requires_grad_()
        fmt = TwosComplement(3).code_format
        out = function(given) if function else learned_step(given, step, fmt, margin=0.5)
        (out * normal(1, 5, 7)).sum().backward()
        passed.append((out, given.grad, scale.grad))
    (out, of_w, of_log), (expected, expected_w, of_step) = passed
    assert torch.equal(out, expected)
    assert torch.equal(of_w, expected_w)
    assert torch.allclose(of_log, of_step * step)
    assert float(quantizer.log_noise.grad) == 0


@pytest.mark.parametrize("kind", [Srq, DropBits])
@pytest.mark.parametrize("bits", [2, 4, 16])
@pytest.mark.parametrize("gradient", ["all", "max"])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_weights_of_any_size(kind, bits, gradient, scale):
    for w in (normal(1, 3, 4), torch.ones(6), -torch.ones(1, 1), torch.tensor([[0.0, 0], [0, 1]])):
        w = (scale * w).float().requires_grad_()
        quantizer = kind(w, bits, gradient=gradient)
        out = quantizer(w)
        assert torch.isfinite(out).all()
        (out / scale).sum().backward()
        tensors = [w, *quantizer.parameters()]
        assert all(one.grad is None or torch.isfinite(one.grad).all() for one in tensors)
        assert torch.isfinite(quantizer.eval()(w)).all()


def test_weights_of_zeros_and_those_of_a_training_that_diverged_raise_nothing_yet():
    for w in (torch.zeros(3, 4), torch.full((70, 80), math.nan)):
        for kind in (Srq, DropBits):
            quantizer = kind(w, 3)
            given = w.clone().requires_grad_()
            quantizer(given).sum().backward()
            with pytest.raises(VecqError, match=r"all weights are zero|hold NaN"):
                quantizer.codes(w)


def test_the_staircase_is_nearly_straight_within_the_grid():
    w = normal(0, 3000, dtype=torch.float32).requires_grad_()
    quantizer = Srq(w, 16)
    quantizer(w).sum().backward()
    step = float(quantizer.log_step.detach().exp())
    inside = w.detach().abs() < 32_000 * step
    assert bool(((w.grad[inside] - 1).abs() < 0.05).all())
    assert int(inside.sum()) > 2990


@pytest.mark.parametrize(
    ("name", "bits", "options", "says"),
    [
        ("srq", 1, {}, "weights of Srq have 2 to 16 bits, not 1"),
        ("srq", 4, {"gradient": "some"}, "gradient is one of all, max, identity, not 'some'"),
        ("srq", 4, {"forward": 1}, "forward is one of nearest, sample, not 1"),
        ("dropbits", 4, {"gradient": "identity"}, "learn through the probabilities"),
        ("dropbits", 4, {"penalty": "weight"}, "penalty is one of bits, size, not 'weight'"),
        ("dropbits", 4, {"strength": -0.1}, "strength is 0 to 1e6, not -0.1"),
        ("dropbits", 4, {"strength": math.nan}, "strength is a number, not nan"),
        ("dropbits", 4, {"strength": "much"}, "strength is a number, not 'much'"),
        ("dropbits", 4, {"decide": 0.0}, "decide is above 0 and up to 1, not 0.0"),
        ("dropbits", 4, {"decide": 1.5}, "decide is above 0 and up to 1, not 1.5"),
        ("dropbits", 4, {"decide": True}, "decide is a number, not True"),
    ],
)
def test_bad_settings_are_refused(name, bits, options, says):
    with pytest.raises(VecqError) as error:
        weight_method(name, **options)(torch.ones(3, 3), bits)
    assert says in str(error.value)


def test_gates_are_drawn_once_for_each_step_and_count_by_their_probabilities():
    w = normal(0, 6, 5, dtype=torch.float32)
    quantizer = DropBits(w, 6)
    quantizer(w)
    noise = quantizer.noise.clone()
    quantizer(w)  # a layer that is called twice
    assert torch.equal(quantizer.noise, noise)
    seen = []
    for step in range(1000):
        seen.append(quantizer._drawn().detach())
        quantizer.advance(w, step / 2000)
    gates = torch.stack(seen)
    odds = np.exp(2.2)
    assert abs(float((gates > 0).double().mean()) - 1 / (1 + 11 ** (-2 / 3) / odds)) < 0.012
    assert abs(float((gates == 1).double().mean()) - 1 / (1 + 11 ** (2 / 3) / odds)) < 0.03
    expected = float(quantizer.penalty(w).detach())
    assert expected == pytest.approx(0.05 * 4 / (1 + 11 ** (-2 / 3) / odds))
    sized = DropBits(w, 6, penalty="size")
    assert float(sized.penalty(w).detach()) == pytest.approx(expected * 30 / 8192)


def test_widths_are_decided_once_and_the_step_fits_what_is_left():
    w = normal(0, 30, 20, dtype=torch.float32)
    quantizer = DropBits(w, 5, decide=0.5)
    assert quantizer.grid == TwosComplement(5)
    with torch.no_grad():
        quantizer.gates.copy_(torch.tensor([0.4, -0.1, 0.3]))  # bit 4 is dropped, so 5 is
    assert quantizer.codes(w).grid == TwosComplement(3)
    wide = float(quantizer.log_step.detach().exp())
    quantizer.advance(w, 0.49)
    assert int(quantizer.width) == 0
    quantizer.advance(w, 0.5)
    assert (int(quantizer.width), quantizer.grid) == (3, TwosComplement(3))
    narrow = float(quantizer.log_step.detach().exp())
    assert narrow == pytest.approx(float(Srq(w, 3).log_step.detach().exp()))
    assert narrow > 2 * wide
    sharpness = (quantizer.log_step - quantizer.log_noise).detach().exp()
    assert float(sharpness) == pytest.approx(3, rel=1e-5)
    with torch.no_grad():
        quantizer.gates.fill_(1.0)
        quantizer.log_step.add_(0.1)
    quantizer.advance(w, 1.0)
    assert quantizer.grid == TwosComplement(3)
    assert float(quantizer.log_step.detach().exp()) > narrow
    assert torch.equal(quantizer(w), quantizer.eval()(w))
    penalty = quantizer.penalty(w)
    assert (float(penalty.detach()), penalty.requires_grad) == (0.0, True)
    again = DropBits(w, 5)
    again.load_state_dict(quantizer.state_dict())
    for other in (again, copy.deepcopy(quantizer)):
        assert other.grid == TwosComplement(3)
        assert torch.equal(other(w), quantizer(w))


def test_two_bits_leave_nothing_to_drop():
    w = normal(0, 8, 4, dtype=torch.float32)
    quantizer, plain = DropBits(w, 2), Srq(w, 2)
    for one in (quantizer, plain):
        one(w.requires_grad_()).sum().backward()
    assert torch.equal(quantizer(w), plain(w))
    assert torch.equal(quantizer.log_step.grad, plain.log_step.grad)
    quantizer.advance(w, 1.0)
    assert quantizer.grid == TwosComplement(2)


def test_evaluation_takes_the_nearest_point():
    w = normal(0, 40, 50, dtype=torch.float32)
    drawn = Srq(w, 3, forward="sample")
    assert not torch.equal(drawn(w), drawn(w))
    assert torch.equal(drawn.eval()(w), Srq(w, 3)(w))
    assert isinstance(Lsq(w, 3).grid, type(drawn.grid))
