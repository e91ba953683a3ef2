"""SQ: what is drawn, how often, and that at 100 per cent there is nothing but the method below."""

import itertools
import math
from functools import partial

import numpy as np
import pytest
import torch

from vecq_hw.errors import VecqError
from vecq_hw.quantize import METHODS, Bwn, Inq, Lsq, Stochastic, Twn, Vecq
from vecq_hw.quantize.stages import portion_of
from vecq_hw.quantize.stochastic import Probability, draw, is_base, relative_errors

torch.set_num_threads(1)

BASES = {name: kind for name, kind in METHODS.items() if is_base(kind)}


def weights(seed=0, *shape):
    return torch.randn(shape or (16, 5, 3), generator=torch.Generator().manual_seed(seed))


def width(kind):
    return min(max(kind.BITS[0], 2), kind.BITS[-1])


@pytest.mark.parametrize("name", BASES)
@pytest.mark.parametrize("granularity", ["row", "element"])
def test_a_stage_keeps_its_part_of_the_rows_in_float_and_the_last_one_none(name, granularity):
    w, kind = weights().requires_grad_(), BASES[name]
    quantizer = Stochastic(w, width(kind), kind, granularity, stages=[0, 0.5, 0.55, 0.9, 1])
    count = len(w) if granularity == "row" else w.numel()
    seen = set()
    for number, stage in enumerate(quantizer.stages):
        quantizer.advance(w, number / 5)
        whole = quantizer.base(w)
        for _ in range(3):
            used = quantizer(w)
            apart = used != whole
            if granularity == "row":
                apart = apart.flatten(1).any(1)
                free = apart.view(-1, 1, 1)
            else:
                free = apart
            hidden = int((whole == w).sum())  # equal in float and on the grid
            assert 0 <= math.floor((1 - stage) * count + 1e-9) - int(apart.sum()) <= hidden
            assert torch.equal(used, torch.where(free, w, whole))
            seen.add((number, *apart.flatten().tolist()))
        quantizer.eval()
        assert torch.equal(quantizer(w), whole)
        quantizer.train()
    assert len(seen) > 2 + 3  # drawn anew in each step
    state = quantizer.random.state.clone()
    assert torch.equal(quantizer(w), quantizer.base(w))
    assert torch.equal(quantizer.random.state, state)  # the last stage draws nothing
    quantizer(w).sum().backward()
    assert (w.grad[w.detach().abs() < 1] != 0).all()
    codes, alone = quantizer.codes(w), quantizer.base.codes(w)
    assert torch.equal(codes.codes, alone.codes)
    assert torch.equal(codes.step, alone.step)
    assert quantizer.grid == alone.grid


def one_after_the_other(rates, count):
    """How likely each set of ``count`` is, drawn one by one in proportion to their rates."""
    found = {}
    for order in itertools.permutations(range(len(rates)), count):
        chance, rest = 1.0, sum(rates)
        for one in order:
            chance *= rates[one] / rest
            rest -= rates[one]
        key = frozenset(order)
        found[key] = found.get(key, 0.0) + chance
    return found


@pytest.mark.parametrize("probability", Probability)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_rows_are_drawn_one_after_the_other_by_their_errors(probability, count):
    errors = [0.1, 0.3, 0.7, 2.0]
    inverse = [1 / (e + 1e-7) for e in errors]
    rates, of_float = {
        Probability.ROULETTE: (errors, True),
        Probability.CONSTANT: ([1.0] * 4, True),
        Probability.LINEAR: (inverse, False),
        Probability.SIGMOID: ([1 / (1 + math.exp(-f)) for f in inverse], False),
    }[probability]
    expected = one_after_the_other(rates, count if of_float else 4 - count)
    generator = torch.Generator().manual_seed(3)
    draws, found = 800, {}
    for _ in range(draws):
        mask = draw(torch.tensor(errors), count, probability, generator)
        assert int(mask.sum()) == count
        key = frozenset((mask if of_float else ~mask).nonzero().flatten().tolist())
        found[key] = found.get(key, 0) + 1
    for key, chance in expected.items():
        error = math.sqrt(chance * (1 - chance) / draws)
        assert abs(found.get(key, 0) / draws - chance) < 4 * error + 1e-3


def test_errors_are_those_of_the_paper():
    w = weights(2, 6, 4, 3)
    quantized = Vecq(w, 2)(w)
    rows, whole = w.reshape(6, -1).numpy(), quantized.reshape(6, -1).numpy()
    expected = np.abs(rows - whole).sum(1) / np.abs(rows).sum(1)
    np.testing.assert_allclose(relative_errors(w, quantized, True), expected, rtol=1e-6)
    each = np.abs(rows - whole).ravel() / np.abs(rows).ravel()
    np.testing.assert_allclose(relative_errors(w, quantized, False), each, rtol=1e-5)


def test_draws_follow_the_state_and_nothing_else():
    w = weights()
    first = Stochastic(w, 2)
    torch.manual_seed(5)
    other = Stochastic(weights(1), 2)
    other.load_state_dict(first.state_dict())
    used = [first(w) for _ in range(3)]
    torch.manual_seed(6)
    assert all(torch.equal(other(w), one) for one in used)
    first.advance(w, 0.6)
    other.load_state_dict(first.state_dict())
    assert int((other(w) == w).flatten(1).all(1).sum()) == 2  # of 16: 1/8


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("granularity", ["row", "element"])
@pytest.mark.parametrize("probability", Probability)
def test_weights_of_any_kind_are_drawn(dtype, granularity, probability):
    zero_row = weights(4, 6, 5)
    zero_row[2] = 0
    cases = [
        *(zero_row, torch.ones(6, 5), weights(5, 1, 7), weights(5, 7, 1), torch.ones(1, 1)),
        *(1e-15 * weights(6, 6, 5), 1e15 * weights(6, 6, 5), torch.eye(6)),
    ]
    make = partial(Stochastic, granularity=granularity, probability=probability)
    for base, bits in ((Vecq, 2), (partial(Vecq, per_channel=True), 4), (Bwn, 1), (Twn, 2)):
        for case in cases:
            w = case.to(dtype).clone().requires_grad_()
            quantizer = make(w, bits, base)
            used = quantizer(w)
            assert used.dtype == dtype
            assert torch.isfinite(used).all()
            count = len(w) if granularity == "row" else w.numel()
            free = (used == w).flatten(1).all(1) if granularity == "row" else used == w
            assert int(free.sum()) >= count // 2
            used.sum().backward()
            assert torch.equal(w.grad, torch.ones_like(w))


def test_portions_are_those_of_the_decimal_number():
    assert [portion_of(10, part) for part in (0.0, 0.1, 0.7, 0.9, 1.0)] == [0, 1, 7, 9, 10]
    assert [portion_of(3, part) for part in (1e-9, 0.5, 1 / 3, 0.875)] == [1, 2, 1, 3]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"base": Inq}, "a method without a schedule of its own, not from Inq"),
        ({"base": Stochastic}, "a method without a schedule of its own, not from Stochastic"),
        ({"base": Bwn}, "weights of Bwn have 1 bit, not 2"),
        ({"granularity": "filter"}, "granularity is one of row, element, not 'filter'"),
        ({"probability": 1}, "probability is one of roulette, constant, linear, sigmoid, not 1"),
        ({"stages": []}, "stages are portions from 0 to 1 that never fall and end with 1, 1 to"),
        ({"stages": "1.0"}, "never fall and end with 1, not '1.0'"),
        ({"stages": 0.5}, "never fall and end with 1, not 0.5"),
        ({"stages": [0.5]}, "never fall and end with 1, not 0.5"),
        ({"stages": [0.75, 0.5, 1]}, "never fall and end with 1, not 0.75, 0.5, 1"),
        ({"stages": [-0.5, 1]}, "not -0.5, 1"),
        ({"stages": [0.5, 1.5]}, "not 0.5, 1.5"),
        ({"stages": [math.nan, 1]}, "not nan"),
        ({"stages": ["0.5", 1]}, "not '0.5'"),
        ({"stages": [True]}, "not True"),
        ({"stages": [1.0] * 1001}, "1 to 1000 of them, not 1001"),
    ],
)
def test_settings_that_mean_nothing_are_refused(settings, says):
    with pytest.raises(VecqError) as error:
        Stochastic(weights(), 2, **settings)
    assert says in str(error.value)


def test_a_learned_scale_gets_the_gradient_of_the_quantized_rows():
    w = weights()
    quantizer = Stochastic(w, 3, Lsq)
    free = (quantizer(w) == w).flatten(1).all(1)
    state = quantizer.random.state
    state[2] -= 1
    quantizer(w).sum().backward()
    alone = Lsq(w, 3)
    alone(w)[~free].sum().backward()
    torch.testing.assert_close(quantizer.base.step.grad, alone.step.grad)
