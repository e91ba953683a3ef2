"""ALQ: groups, bases, the three steps, pruning over layers, schedule, what is refused."""

import copy
import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.lower.weights import places, weights_at
from vecq_hw.quantize.alq import Alq
from vecq_hw.quantize.alq_groups import Grouping, Groups
from vecq_hw.quantize.alq_pruning import Bases, limits
from vecq_hw.quantize.alq_schedule import Phase, kept, schedule
from vecq_hw.quantize.binary_bases import (
    in_order,
    initial_bases,
    least_squares,
    nearest_sums,
    permuted,
    projected,
    signs,
    sums,
    values,
)
from vecq_hw.quantize.vecq import Vecq, gaussian_lambda
from vecq_hw.quantize.weights import root_mean_square

torch.set_num_threads(1)


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_initial_bases_are_signs_of_residuals_with_joint_least_squares():
    rows = drawn(7, 12)
    codes, coordinates = initial_bases(rows, 3)
    assert codes.dtype == torch.uint8
    for group, row in enumerate(rows.numpy()):
        residual, chosen = row, []
        for _ in range(3):
            chosen.append(np.where(residual >= 0, 1.0, -1.0))
            matrix = np.stack(chosen, 1)
            alpha = np.linalg.lstsq(matrix, row, rcond=None)[0]
            residual = row - matrix @ alpha
        turned = np.where(alpha < 0, -1, 1)
        assert np.allclose(coordinates[group], np.abs(alpha), rtol=1e-4)
        assert np.array_equal(signs(codes[group : group + 1], 3)[0].T, matrix * turned)


def test_no_base_is_looked_for_once_nothing_is_left():
    rows = torch.tensor([[2.0, -2, 2], [0, 0, 0], [3, 1, -3], [1e-20, 1e-20, 1e-20]])
    codes, coordinates = initial_bases(rows, 4)
    assert (coordinates > 0).sum(1).tolist() == [1, 0, 2, 1]
    torch.testing.assert_close(values(codes, coordinates), rows, rtol=2e-6, atol=0)


@pytest.mark.parametrize("count", range(1, 7))
def test_the_nearest_of_all_sums(count):
    coordinates, targets = drawn(9, count, seed=1).abs(), drawn(9, 40, seed=2) * 2
    codes = nearest_sums(targets, coordinates)
    every = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0], dtype=torch.float64)] * count)
    every = every.reshape(1 << count, count)
    distances = (targets.unsqueeze(2) - (coordinates @ every.T).unsqueeze(1)).abs()
    found = (targets - values(codes, coordinates)).abs()
    torch.testing.assert_close(found, distances.amin(2), rtol=1e-12, atol=1e-12)
    assert torch.equal(values(codes, coordinates), sums(coordinates).gather(1, codes.long()))


@pytest.mark.parametrize("bits", range(1, 7))
def test_fixed_coordinates_of_powers_of_two_are_the_codes_of_vecq(bits):
    w = drawn(20, 50, seed=3)
    w[0] = torch.arange(-25, 25) * 0.125
    coordinates = 2.0 ** torch.arange(bits, dtype=torch.float64) / 2
    least = -(1 << (bits - 1))
    vecq = Vecq(w, bits)
    wanted = vecq.codes(w)
    interval = root_mean_square(w.reshape(1, -1)) * gaussian_lambda(bits)
    codes = nearest_sums(w / interval, coordinates.expand(len(w), bits))
    assert torch.equal(codes.to(torch.int16) + least, wanted.codes)
    doubled = values(codes, 2 * coordinates.expand(len(w), bits))
    assert torch.equal(doubled, vecq.integers(w)[0])
    # Weights on the borders of intervals go up in both.
    borders = torch.arange(-40, 41, dtype=torch.float64).unsqueeze(0)
    codes = nearest_sums(borders, coordinates.expand(1, bits))
    assert torch.equal(codes.double() + least, borders.clamp(least, -least - 1))


def test_least_squares_are_weighted_and_bear_equal_bases():
    targets, weights = drawn(5, 30, seed=4), drawn(5, 30, seed=5).abs() + 0.01
    codes, before = initial_bases(drawn(5, 30, seed=6), 3)
    found = least_squares(targets, codes, before, weights)
    for group in range(5):
        matrix = signs(codes[group : group + 1], 3)[0].double().T
        root = weights[group].sqrt().unsqueeze(1)
        wanted = torch.linalg.lstsq(root * matrix, root * targets[group].unsqueeze(1)).solution
        torch.testing.assert_close(found[group], wanted.squeeze(1), rtol=1e-4, atol=1e-5)
    equal = torch.full((1, 8), 3, dtype=torch.uint8)
    found = least_squares(
        torch.full((1, 8), 5.0), equal, torch.tensor([[1.0, 2.0]]), torch.ones(1, 8)
    )
    torch.testing.assert_close(found, torch.tensor([[2.0, 3.0]]), rtol=1e-4, atol=1e-4)


def test_bases_are_turned_put_in_order_and_projected():
    codes, coordinates = initial_bases(drawn(6, 10, seed=7), 3)
    before = values(codes, coordinates)
    changed = coordinates * torch.tensor([1.0, 0.0, -1.0], dtype=torch.float64)
    moments = drawn(2, 6, 3, seed=8)
    turned, positive, moved = in_order(codes, changed, moments)
    assert (positive[:, :2] > 0).all()
    assert (positive[:, 2] == 0).all()
    bases = signs(codes, 3).double()
    wanted = (bases[:, 0] * changed[:, :1]) + bases[:, 2] * changed[:, 2:]
    torch.testing.assert_close(values(turned, positive), wanted)
    assert torch.equal(moved, moments[:, :, [0, 2, 1]])
    order = torch.tensor([2, 0, 1]).expand(6, 3)
    again = permuted(codes, coordinates, order)
    torch.testing.assert_close(values(*again), before)
    rows = drawn(6, 10, seed=9)
    torch.testing.assert_close(projected(codes, rows, 3), (bases @ rows.unsqueeze(2)).squeeze(2))


def test_groups_of_weights():
    w = torch.arange(2 * 8 * 3 * 2).reshape(2, 8, 3, 2)
    rows = {
        name: Grouping(tuple(w.shape), Groups(name), 0) for name in ("pixel", "kernel", "filter")
    }
    assert torch.equal(rows["pixel"].rows(w)[1], w[0, :, 0, 1])
    assert torch.equal(rows["kernel"].rows(w)[9], w[1, 1].flatten())
    assert torch.equal(rows["filter"].rows(w)[1], w[1].flatten())
    parts = Grouping(tuple(w.shape), Groups.PIXEL, 4)
    assert torch.equal(parts.rows(w)[3], w[0, 4:, 0, 1])
    dense = Grouping((3, 12), Groups.KERNEL, 4)
    assert torch.equal(dense.rows(torch.arange(36).reshape(3, 12))[4], torch.arange(16, 20))
    for grouping in (*rows.values(), parts):
        assert torch.equal(grouping.weights(grouping.rows(w), w), w)
    few = Grouping((2, 7, 3, 2), Groups.AUTO, 0)
    assert (few.size, Grouping(tuple(w.shape), Groups.AUTO, 0).size) == (42, 8)


def layer(w, **options):
    """A quantizer and its weights, on the way to a gradient."""
    w = nn.Parameter(w.clone())
    return w, Alq(w, options.pop("bits", 2), **options)


def test_coordinates_move_as_of_amsgrad():
    w, quantizer = layer(drawn(4, 16), rounds=0)
    quantizer.advance(w, 0.95)
    assert quantizer.phase is Phase.COORDINATES
    alpha = nn.Parameter(quantizer.coordinates.clone())
    bases = signs(quantizer.bases, 2).double()
    optimizer = torch.optim.Adam([alpha], lr=0.003, amsgrad=True)
    for step in range(5):
        gradient = drawn(4, 16, seed=20 + step)
        w.grad = gradient
        quantizer.own_step(w, 0.003)
        alpha.grad = (bases @ gradient.unsqueeze(2)).squeeze(2)
        optimizer.step()
    torch.testing.assert_close(quantizer.coordinates, alpha.detach(), rtol=1e-9, atol=1e-9)
    assert torch.equal(w.detach(), values(quantizer.bases, quantizer.coordinates))


@pytest.mark.parametrize("straight", [True, False])
def test_bases_are_fitted_to_where_amsgrad_goes(straight):
    start = drawn(3, 20, seed=10)
    w, quantizer = layer(start, rounds=0 if straight else 1)
    if not straight:
        quantizer.advance(w, 0.31)
        assert quantizer.phase is Phase.BASES
    free = nn.Parameter(start.clone())
    optimizer = torch.optim.Adam([free], lr=0.05, amsgrad=True)
    for step in range(4):
        before = quantizer.coordinates.clone()
        if not straight:
            free.data.copy_(values(quantizer.bases, before))
        w.grad = free.grad = drawn(3, 20, seed=30 + step)
        quantizer.own_step(w, 0.05)
        optimizer.step()
        targets = free.detach()
        codes = nearest_sums(targets, before)
        vmax = optimizer.state[free]["max_exp_avg_sq"]
        h = (vmax / (1 - 0.999 ** (step + 1))).sqrt() + 1e-8
        wanted = in_order(codes, least_squares(targets, codes, before, h))
        torch.testing.assert_close(values(*wanted), values(quantizer.bases, quantizer.coordinates))
        torch.testing.assert_close(w.detach(), targets if straight else values(*wanted))


def test_the_least_important_bases_of_all_layers_go_but_no_outputs_last():
    layers = [drawn(4, 3, 2, seed=11).abs(), drawn(2, 1, 2, seed=12).abs() + 10, drawn(1, 1, 1)]
    left = limits([Bases(one, 1, 1.0) for one in layers], 9)
    every = sorted(float(x) for x in layers[0].flatten())
    wanted = (layers[0] > every[8]).sum(2)
    assert torch.equal(left[0], wanted)
    assert left[1].tolist() == [[2], [2]]
    assert left[2].tolist() == [[1]]
    for least in (1, 3):
        left = limits([Bases(one, 1, 1.0, least) for one in layers], 1000)
        assert left[0].sum(1).tolist() == [least] * 4
        assert left[1].tolist() == [[min(least, 2)]] * 2
        assert left[2].tolist() == [[1]]
    # A layer gives no more than its share, or than twice the part of all that goes.
    least = [layers[0] + 20, layers[1]]
    assert [int(one.sum()) for one in limits([Bases(one, 1, 0.01) for one in least], 7)] == [19, 2]
    assert [int(one.sum()) for one in limits([Bases(one, 1, 0.75) for one in least], 7)] == [19, 2]


@pytest.mark.parametrize("outputs", [8, 7, 3])
def test_outputs_of_a_block_keep_as_many_bases(outputs):
    importance = drawn(outputs, 5, 3, seed=13).abs()
    importance[1, 2, 1:] = math.inf
    left = limits([Bases(importance, 4, 1.0)], 21)[0]
    assert 0 < 15 * outputs - 2 - int(left.sum()) <= 21
    for start in range(0, outputs, 4):
        block = left[start : start + 4]
        most = block.amax(0)
        assert torch.equal(
            block,
            torch.minimum(most.expand_as(block), importance[start : start + 4].isfinite().sum(2)),
        )


def test_pruning_takes_the_part_that_is_due_over_all_layers():
    pairs = [
        layer(drawn(8, 40, seed=14), prune=0.5, rounds=2, part=8),
        layer(drawn(3, 9, seed=15), prune=0.5, rounds=2, part=3),
    ]
    quantizers = [quantizer for _, quantizer in pairs]
    start = sum(int((one.coordinates > 0).sum()) for one in quantizers)
    counts = []
    for number in range(1, 101):
        for seed, (w, quantizer) in enumerate(pairs):
            w.grad = drawn(*w.shape, seed=100 * number + seed)
            quantizer.own_step(w, 1e-4)
        Alq.advance_together(quantizers, number / 100)
        for w, quantizer in pairs:
            quantizer.advance(w, number / 100)
        counts.append(sum(int((one.coordinates > 0).sum()) for one in quantizers))
    assert counts[20] == start
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == math.ceil(start / 4)
    for quantizer in quantizers:
        assert bool(quantizer.coordinates.any())
        left = quantizer.coordinates == 0
        assert not bool((left[:, :-1] & ~left[:, 1:]).any())
        assert torch.equal(
            quantizer.coordinate_moments[:, left], torch.zeros(3, int(left.sum())).double()
        )


def test_small_layers_are_not_emptied():
    small = layer(drawn(6, 9, seed=18) * 1e-3, rounds=1, prune=0.5)  # the loss needs it least
    large = layer(drawn(90, 30, seed=19), rounds=1, prune=0.5, part=10)
    for number in range(1, 101):
        for seed, (w, quantizer) in enumerate((small, large)):
            w.grad = drawn(*w.shape, seed=100 * number + seed)
            quantizer.own_step(w, 1e-6)
        Alq.advance_together([small[1], large[1]], number / 100)
        for w, quantizer in (small, large):
            quantizer.advance(w, number / 100)
    assert (small[1].coordinates > 0).sum(1).tolist() == [1] * 6
    assert int((large[1].coordinates > 0).sum()) == 270


def test_an_output_keeps_a_part_of_its_bases():
    w, quantizer = layer(drawn(5, 40, seed=18), rounds=1, prune=0.5, part=2, bits=1)
    w.data[3] *= 1e-3  # the loss needs it least
    quantizer.coordinates[60:80] *= 1e-3
    for number in range(1, 101):
        w.grad = torch.zeros_like(w)
        quantizer.own_step(w, 0.0)
        Alq.advance_together([quantizer], number / 100)
        quantizer.advance(w, number / 100)
    left = (quantizer.coordinates > 0).reshape(5, 20).sum(1).tolist()
    assert sum(left) == 50
    assert min(left) == left[3] == 5  # a quarter, where half of all are left


def test_what_is_left_of_two_bases_is_one_or_two():
    w, quantizer = layer(drawn(40, 12, seed=18), prune=0.15)
    for number in range(1, 101):
        w.grad = drawn(40, 12, seed=number)
        quantizer.own_step(w, 0.001)
        Alq.advance_together([quantizer], number / 100)
        quantizer.advance(w, number / 100)
    assert (quantizer.coordinates > 0).sum(1).unique().tolist() == [1, 2]
    assert int((quantizer.coordinates > 0).sum()) == math.ceil(80 * 0.85**2)


def test_from_one_base_all_but_the_end_is_straight():
    w = drawn(4, 16)
    one, two = Alq(w, 1).schedule, Alq(w, 2).schedule
    assert [part.phase for part in one] == [Phase.STRAIGHT, Phase.COORDINATES]
    assert two == schedule(2)
    assert Alq(w, 1, rounds=2).schedule == two


def test_a_single_base_of_each_output_stays():
    w, quantizer = layer(drawn(10, 32, seed=18), bits=1, prune=0.9, rounds=2)
    for number in range(1, 41):
        w.grad = drawn(10, 32, seed=number)
        quantizer.own_step(w, 0.01)
        Alq.advance_together([quantizer], number / 40)
        quantizer.advance(w, number / 40)
    assert bool((quantizer.coordinates > 0).all())


def test_pruning_asks_the_loss():
    w, quantizer = layer(drawn(6, 10, seed=16), rounds=1, top_k=1.0, part=5)
    quantizer.advance(
        w, next(part.start for part in quantizer.schedule if part.phase is Phase.PRUNING)
    )
    w.grad = drawn(6, 10, seed=17)
    w.grad[5] = 0  # the loss does not look at the last output
    quantizer.own_step(w, 0.0)
    quantizer._keep(
        limits([Bases(quantizer._importance().reshape(6, 2, 2), 1, 1.0)], 3)[0].reshape(-1)
    )
    assert (quantizer.coordinates > 0).reshape(6, 4).sum(1).tolist() == [4, 4, 4, 4, 4, 1]


@pytest.mark.parametrize("rounds", [0, 1, 3, 100])
def test_the_schedule_fills_training(rounds):
    parts = schedule(rounds)
    assert parts[0].start == 0
    assert parts[-1].end == 1
    assert all(a.end == b.start and a.start < a.end for a, b in itertools.pairwise(parts))
    assert sum(part.phase is Phase.PRUNING for part in parts) == rounds
    assert kept(parts, 0.4, 0.0) == 1
    assert kept(parts, 0.4, 1.0) == pytest.approx(0.6**rounds)


HOSTILE = {
    "groups": ("row", 1, None),
    "part": (-1, 3, 1.5, "4", True, 1 << 40),
    "rounds": (-1, 101, 2.0, "3"),
    "prune": (-0.1, 1, 1.5, math.nan, math.inf, "half", None),
    "top_k": (0, -1, 1.1, math.nan, "x"),
    "block": (0, -2, 1.5, "2"),
}


@pytest.mark.parametrize(("name", "given"), [(n, g) for n, many in HOSTILE.items() for g in many])
def test_settings_that_mean_nothing_are_refused(name, given):
    with pytest.raises(VecqError) as error:
        Alq(drawn(4, 8), 2, **{name: given})
    assert str(error.value).count(". ") == 0


@pytest.mark.parametrize("bits", [0, 7, 2.5, "2", True])
def test_bases_to_start_from(bits):
    with pytest.raises(VecqError, match="weights of Alq have 1 to 6 bits, not"):
        Alq(drawn(4, 8), bits)


STRANGE = {
    "equal": torch.ones(3, 8),
    "one": torch.tensor([[0.3]]),
    "row": drawn(1, 9).float(),
    "zero row": torch.cat([torch.zeros(1, 6), drawn(2, 6).float()]),
    "tiny": drawn(3, 8).float() * 1e-18,
    "huge": drawn(3, 8).float() * 1e18,
    "images": drawn(4, 1, 3, 3).float(),
    "sequences": drawn(4, 8, 3).float(),
}


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("name", STRANGE)
def test_strange_weights_train(name, double):
    start = STRANGE[name].double() if double else STRANGE[name]
    w, quantizer = layer(start, bits=3, prune=0.5)
    first = quantizer(w)
    assert first.dtype == start.dtype
    assert first.shape == start.shape
    (first * drawn(*start.shape).to(start)).sum().backward()
    assert torch.equal(w.grad, drawn(*start.shape).to(start))
    size = float(start.abs().amax())
    for number in range(1, 41):
        w.grad = drawn(*start.shape, seed=number).to(start)
        quantizer.own_step(w, 0.01 * size)
        Alq.advance_together([quantizer], number / 40)
        quantizer.advance(w, number / 40)
        assert torch.isfinite(quantizer(w)).all()
        assert torch.isfinite(w).all()
        assert bool(quantizer(w).any())
    taken = np.moveaxis(places(tuple(start.shape)), 1, -1)
    lowered = weights_at(quantizer.codes(w), taken if start.ndim != 3 else taken[:, np.newaxis])
    values_ = np.moveaxis(lowered.values.reshape(taken.shape), -1, 1)
    assert np.allclose(values_ * lowered.step, quantizer(w).detach().numpy(), rtol=1e-6, atol=0)
    again = copy.deepcopy(quantizer)
    assert torch.equal(again(w), quantizer(w))
    fresh = Alq(nn.Parameter(start.clone()), 3, prune=0.5)
    fresh.load_state_dict(quantizer.state_dict())
    assert torch.equal(fresh(w), quantizer(w))
    assert fresh.phase is quantizer.phase
    w.grad = None
    quantizer.own_step(w, 1.0)


def test_bases_that_never_moved_are_not_pruned():
    w, quantizer = layer(drawn(4, 16))
    before = quantizer(w)
    for progress in (0.5, 1.0):
        Alq.advance_together([quantizer], progress)
        quantizer.advance(w, progress)
    assert torch.equal(quantizer(w), before)
    Alq.advance_together([], 0.5)
