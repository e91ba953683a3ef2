"""The dataflow model against cells that are clocked one by one; FIFO depths; deadlock."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.simulate.dataflow.clocked import Machine
from tests.simulate.dataflow.networks import (
    branched,
    branched_networks,
    constant_first,
    late_branch,
    rescale,
    residual,
    resnet8,
    weights,
)
from vecq_hw.accelerator.cells import MatrixVector, SerialRescale, Unrolled
from vecq_hw.accelerator.plan import plan
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Add, Conv2d, Dense, Input, ProductWeights
from vecq_hw.network import Network
from vecq_hw.passes.thresholds import with_thresholds
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate.dataflow import (
    DeadlockError,
    check_depths,
    fifo_depths,
    simulate_frames,
    simulate_pace,
)
from vecq_hw.simulate.mac_array.closed_forms import cycles_bit_serial
from vecq_hw.simulate.mac_array.product import ArraySize, matrix_product

U4 = IntFormat(4, signed=False)


def pauses(seed: int) -> list[bool]:
    """Stretches of full speed, coin tosses, rare words; sometimes none at all."""
    generator = random.Random(seed)
    if seed % 3 == 0:
        return []

    def pattern():
        while True:
            likelihood = generator.choice((0.0, 0.3, 0.9))
            for _ in range(generator.randrange(1, 40)):
                yield generator.random() < likelihood

    return list(islice(pattern(), 400))


def clocked(network, schedule, depths, frames=2, input_pauses=(), output_pauses=()):
    return Machine(network, schedule, depths, frames, input_pauses, output_pauses).run()


def modelled(network, schedule, depths, frames=2, input_pauses=(), output_pauses=()):
    run = simulate_frames(
        network, schedule, depths, frames, input_pauses=input_pauses, output_pauses=output_pauses
    )
    return list(run.input_cycles.values()), list(run.output_cycles.values())


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_every_word_of_a_graph_moves_as_in_the_clocked_cells(data):
    kinds = (
        strategies.graphs(),
        strategies.networks(),
        strategies.several_ends(),
        strategies.sequences(),
    )
    network = data.draw(st.one_of(*kinds))
    if data.draw(st.booleans()):
        network = with_thresholds(network)
    schedule = data.draw(strategies.schedules(network))
    planned = plan(network, schedule)
    ends = [
        {name: pauses(data.draw(st.integers(0, 1000))) for name in names}
        for names in (planned.inputs, planned.outputs)
    ]
    depths = {}
    try:
        expected_to_stop = False
        found = modelled(network, schedule, depths, 3, *ends)
    except DeadlockError:
        expected_to_stop = True
    assert (clocked(network, schedule, depths, 3, *ends) is None) == expected_to_stop
    if expected_to_stop:
        depths = fifo_depths(network, schedule)
        found = modelled(network, schedule, depths, 3, *ends)
    assert found == clocked(network, schedule, depths, 3, *ends)


@pytest.mark.parametrize(("bits", "pe"), [(1, 4), (2, 1), (2, 4), (3, 2), (4, 8)])
def test_a_bit_serial_fold_takes_the_cycles_of_the_bit_serial_array(bits, pe):
    # One row of it, a position, and a column for each PE; it takes a tap a cycle, as one lane does.
    layer = Conv2d(name="conv", input="x", weights=weights(8, 3, 3, 2, bits=bits), padding=(1, 1))
    source = Input(name="x", shape=(4, 5, 2), format=U4)
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("conv",))
    product = matrix_product(layer, network.tensors["x"])
    filled = 1 + pe  # cycles until the last column has begun and its sums have left
    cycles = cycles_bit_serial(product, ArraySize(rows=1, columns=pe)) - filled
    folds = {"conv": Fold(pe=pe, kind=FoldKind.BIT_SERIAL)}
    assert plan(network, Schedule(folds=folds)).busy["conv"] == cycles


@pytest.mark.parametrize(("words", "depth"), [(4, 11), (16, 17)])
def test_sums_that_leave_in_turns_wait_for_a_serial_rescale_in_a_fifo(words, depth):
    book = np.arange(2 * words).reshape(words, 2) - words
    indices = np.arange(8 * 12).reshape(8, 12) % words
    blocks = ProductWeights(indices=indices, book=book)
    layers = (Dense(name="fc", input="x", weights=blocks), rescale("r", "fc", 8, U4))
    source = Input(name="x", shape=(24,), format=U4)
    network = Network(name="n", inputs=(source,), layers=layers, outputs=("r",))
    schedule = Schedule(folds={"fc": Fold(simd=2, kind=FoldKind.PARTIAL_SUMS)})
    units = [cell for cell in plan(network, schedule).cells if isinstance(cell, MatrixVector)]
    assert [cell.unit.depth for cell in units] == [depth]
    depths = fifo_depths(network, schedule)
    # A word leaves it while three come.
    assert depths["fc→r"] in (5, 6)
    run = simulate_frames(network, schedule, depths, frames=3)
    assert run.interval == 8 * 12
    assert simulate_frames(network, schedule, {}, frames=3).interval > run.interval
    for ends in ((), (pauses(1), pauses(2))):
        found = modelled(network, schedule, depths, 3, *ends)
        assert found == clocked(network, schedule, depths, 3, *ends)


@pytest.mark.parametrize(("shift", "serial"), [(10, True), (3, True), (1, True), (1, False)])
def test_a_rescale_is_serial_unless_its_aligned_sums_are_too_wide(shift, serial):
    one = rescale("r", "fc", 4, U4)
    # Constants of 55 bits, and 8 mantissa bits: 7 zeros behind them are one too many.
    offset = one.offset if serial else one.offset + (1 << 54)
    layers = (
        Dense(name="fc", input="x", weights=weights(4, 24)),
        replace(one, mantissa=np.array([100, -3, 0, 127]), offset=offset, shift=shift),
    )
    source = Input(name="x", shape=(24,), format=U4)
    network = Network(name="n", inputs=(source,), layers=layers, outputs=("r",))
    schedule = Schedule(folds={"fc": Fold(simd=2)})
    cells = plan(network, schedule).cells
    assert any(isinstance(cell, SerialRescale) for cell in cells) == serial
    for ends in ((), (pauses(1), pauses(2))):
        found = modelled(network, schedule, {}, 3, *ends)
        assert found == clocked(network, schedule, {}, 3, *ends)


@pytest.mark.parametrize("outputs", [("r1",), ("r1", "fc"), ("sum",)])
def test_an_unrolled_layer_takes_the_rescale_that_alone_reads_it(outputs):
    source = Input(name="x", shape=(6,), format=U4)
    layers = [Dense(name="fc", input="x", weights=weights(4, 6)), rescale("r1", "fc", 4, U4)]
    if outputs == ("sum",):
        layers += [rescale("r2", "fc", 4, U4), Add(name="sum", inputs=("r1", "r2"))]
    network = Network(name="n", inputs=(source,), layers=tuple(layers), outputs=outputs)
    schedule = Schedule(folds={"fc": Fold(pe=4, simd=6, kind=FoldKind.UNROLLED)})
    absorbed = [
        cell.rescale for cell in plan(network, schedule).cells if isinstance(cell, Unrolled)
    ]
    assert absorbed == ([network.layers[1]] if outputs == ("r1",) else [None])
    for ends in ((), (pauses(1), pauses(2))):
        found = modelled(network, schedule, {}, 40, *ends)
        assert found == clocked(network, schedule, {}, 40, *ends)
    run = simulate_frames(network, schedule)
    assert (run.interval, run.busy["fc"]) == (1, 1)


def test_a_branch_that_is_too_small_is_named_with_the_words_that_it_needs():
    network, schedule = residual()
    with pytest.raises(DeadlockError) as error:
        simulate_frames(network, schedule)
    needed = 0
    while clocked(network, schedule, {"scaled→add": needed}) is None:
        needed += 1
    assert str(error.value) == (
        "network 'residual': the fork behind 'scaled' starves 'add': its branch 'scaled→add'"
        f" needs {needed} words, not 2"
    )
    simulate_frames(network, schedule, {"scaled→add": needed})
    with pytest.raises(DeadlockError, match=f"needs {needed} words, not {needed - 1}"):
        simulate_frames(network, schedule, {"scaled→add": needed - 1})


def test_an_input_that_waits_for_a_branch_that_is_too_small_is_not_blamed():
    network, schedule = residual()
    other = Input(name="y", shape=(6, 6, 2), format=U4)
    last = Add(name="joined", inputs=("y", "add"))
    network = Network(
        name="two",
        inputs=(*network.inputs, other),
        layers=(*network.layers, last),
        outputs=("joined",),
    )
    with pytest.raises(DeadlockError) as error:
        simulate_frames(network, schedule)
    needed = 0
    while clocked(network, schedule, {"scaled→add": needed}) is None:
        needed += 1
    assert str(error.value) == (
        "network 'two': the fork behind 'scaled' starves 'add': its branch 'scaled→add'"
        f" needs {needed} words, not 2"
    )


def test_a_constant_goes_out_only_when_the_frame_has_begun():
    network = constant_first("leading")
    schedule = default_schedule(network, 1)
    late = [True] * 20
    found = modelled(network, schedule, {}, 2, late)
    assert found == clocked(network, schedule, {}, 2, late)
    (entered,), (left,) = found
    assert entered[0] == 20 < left[0]


def no_later(words, ideal) -> bool:
    return all(
        now <= limit
        for ends in zip(words, ideal, strict=True)
        for now, limit in zip(*ends, strict=True)
    )


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_branches_meet_again_whatever_pauses(data):
    """Neither the search, nor the model, nor the cells stand still at the depths that it finds."""
    network = data.draw(branched_networks())
    schedule = data.draw(strategies.schedules(network))
    depths = fifo_depths(network, schedule)
    check_depths(plan(network, schedule), depths)
    ends = [pauses(data.draw(st.integers(0, 1000))) for _ in range(2)]
    run = clocked(network, schedule, depths, 3, *ends)
    assert run is not None
    assert modelled(network, schedule, depths, 3, *ends) == run


def test_a_fork_lets_its_quick_readers_go_on_while_it_waits_for_a_slow_one():
    network = branched((1, 2, 3), ("r", "", "1r"))
    schedule = default_schedule(network, 1)
    depths = {"x→join": 5, "branch2_1→join": 4}
    assert modelled(network, schedule, depths) == clocked(network, schedule, depths)


@pytest.mark.nightly
def test_resnet8_runs_at_the_pace_of_its_slowest_layer():
    network = resnet8()
    schedule = default_schedule(network)
    depths = fifo_depths(network, schedule)
    run = simulate_frames(network, schedule, depths, frames=3)
    # 32 x 32 positions of 3 x 3 x 16 inputs and 16 outputs on 8 x 8 lanes
    assert run.interval == 32 * 32 * 9 * 2 * 2 == run.busy["stage0_conv1"]
    assert run.utilisation["stage0_conv1"] == 1
    assert {name for name, depth in depths.items() if depth > 2} == {
        "stem_relu→stage0_add",
        "stage1_scale0→stage1_add",
        "stage2_scale0→stage2_add",
    }
    assert {name: run.stored[name] for name in depths if depths[name] > 2} == {
        name: depth for name, depth in depths.items() if depth > 2
    }
    first, last = run.spans["dense"][0]
    assert 0 < first < last <= run.total_cycles


def test_frames_that_come_in_turns_have_a_mean_interval():
    network, schedule = late_branch()
    depths = dict.fromkeys(fifo_depths(network, schedule), 2)
    run = simulate_pace(network, schedule, depths)
    assert len(set(np.diff(run.frame_ends).tolist())) > 1
    ends = simulate_frames(network, schedule, depths, frames=8 * run.period + 1).frame_ends
    assert ends[-1] - ends[run.period] == 7 * run.period * run.interval
    assert run.utilisation["late"] == run.busy["late"] / run.interval
