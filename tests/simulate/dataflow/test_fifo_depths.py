"""The smallest FIFO depths at which nothing is late, and depths that do not suffice."""

from __future__ import annotations

from time import process_time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.simulate.dataflow.clocked import Machine
from tests.simulate.dataflow.networks import (
    branched,
    branched_networks,
    convolution,
    late_branch,
    rescale,
    residual,
    unet,
)
from tests.simulate.dataflow.test_dataflow import clocked, no_later, pauses
from vecq_hw.accelerator.plan import plan
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Input
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule
from vecq_hw.simulate.dataflow import (
    DeadlockError,
    check_depths,
    fifo,
    fifo_depths,
    simulate_frames,
    simulate_pace,
    times,
)

U4 = IntFormat(4, signed=False)


def stands_still(network, schedule, depths, frames=2) -> bool:
    """Whether the clocked cells do, where each pipeline holds as little as it can."""
    return Machine(network, schedule, depths, frames, one_stage=True).run() is None


@settings(max_examples=20, deadline=None)
@given(st.data())
def test_no_depth_can_be_smaller_and_none_costs_a_cycle(data):
    network = data.draw(st.one_of(branched_networks(), strategies.graphs()))
    schedule = data.draw(strategies.schedules(network))
    depths = fifo_depths(network, schedule)
    # So many frames that each FIFO can be full, with the words in the registers beside it.
    links = plan(network, schedule).links
    needed = (-(-(depth + 4) // links[n].source.words) for n, depth in depths.items())
    frames = max([2, *needed])
    _, ideal = clocked(network, schedule, dict.fromkeys(depths, 10**6), frames)
    _, found = clocked(network, schedule, depths, frames)
    assert no_later(found, ideal)
    assert not stands_still(network, schedule, depths, frames=3)
    for name, depth in depths.items():
        smaller = depths | {name: depth - 1}
        try:
            late = any(is_late(network, schedule, smaller, frames << more) for more in range(5))
        except DeadlockError:
            continue
        except VecqError as error:
            assert "at least" in str(error)  # noqa: PT017
            continue
        assert late or stands_still(network, schedule, smaller)


def is_late(network, schedule, depths, frames) -> bool:
    """Whether a word of so many frames is; it may be one of the last of them."""
    ideal = simulate_frames(network, schedule, dict.fromkeys(depths, 10**6), frames)
    run = simulate_frames(network, schedule, depths, frames)
    return not no_later(run.output_cycles.values(), ideal.output_cycles.values())


@pytest.mark.parametrize(
    ("shape", "branches", "folds"),
    [
        (
            (1, 1, 3),
            ("rr", "rr", "1r1r", "r"),
            {
                "branch2_0": Fold(pe=3, simd=1, kind=FoldKind.BIT_SERIAL),
                "branch2_2": Fold(pe=1, simd=1),
            },
        ),
        (
            (1, 2, 3),
            ("r", "1r1r"),
            {
                "branch1_0": Fold(pe=3, simd=1, dsp=True),
                "branch1_2": Fold(pe=3, simd=3, kind=FoldKind.BIT_SERIAL, dsp=True),
            },
        ),
    ],
)
def test_no_frame_is_late_however_many_are_sent(shape, branches, folds):
    """Short frames are late only behind as many as all cells of a branch hold together."""
    network, schedule = branched(shape, branches), Schedule(folds=folds)
    assert not is_late(network, schedule, fifo_depths(network, schedule), 32)


def test_a_quick_output_does_not_ask_for_ever_more_words():
    """It would be frames ahead of a slow one soon, if the FIFO before this were deep enough."""
    layers = (rescale("quick", "x", 2), convolution("slow", "x", 2, 4, 3))
    source = Input(name="x", shape=(3, 3, 2), format=U4)
    network = Network(name="two", inputs=(source,), layers=layers, outputs=("quick", "slow"))
    schedule = Schedule(folds={"slow": Fold(pe=1, simd=1)})
    depths = fifo_depths(network, schedule)
    assert depths["x→slow"] < 2 * 9
    slow = [
        simulate_frames(network, schedule, given, 16).output_cycles["output 1"]
        for given in (depths, dict.fromkeys(depths, 10**6))
    ]
    assert slow[0] == slow[1]


def test_depths_that_suffice_only_without_pauses_are_refused():
    network = branched((2, 3, 4), ("3r", "r", "r"))
    schedule = default_schedule(network, 2)
    depths = {"branch1_0→join": 4, "branch2_0→join": 7}
    simulate_frames(network, schedule, depths, 3)
    with pytest.raises(DeadlockError, match="its branch 'branch1_0→join' needs 6 words, not 4"):
        check_depths(plan(network, schedule), depths)
    ends = pauses(1), pauses(2)
    assert clocked(network, schedule, depths, 3, *ends) is None


def test_a_skip_is_not_searched_word_by_word(monkeypatch):
    """Two skips, one within the other, grow together until the network no longer stands still."""
    runs = []
    monkeypatch.setattr(fifo, "run", lambda given: (runs.append(given), times.run(given)))
    network = unet(8)
    depths = fifo_depths(network, default_schedule(network))
    assert (depths["down2b_relu→join2"], depths["down1b_relu→join1"]) == (14, 113)
    assert len(runs) < 30


@pytest.mark.nightly
def test_depths_of_a_u_net_are_found_soon():
    network = unet(32)
    before = process_time()
    depths = fifo_depths(network, default_schedule(network))
    assert (depths["down2b_relu→join2"], depths["down1b_relu→join1"]) == (105, 749)
    assert process_time() - before < 60


def test_depths_that_do_not_fit_are_refused():
    network, schedule = residual()
    with pytest.raises(VecqError, match="has no stream 'x→y'; it has scaled→conv, branch→add"):
        simulate_frames(network, schedule, {"x→y": 3})
    with pytest.raises(VecqError, match="a depth of 1; at least 2 is wanted"):
        simulate_frames(network, schedule, {"scaled→add": 1})
    with pytest.raises(VecqError, match="1 frames were given"):
        simulate_frames(network, schedule, frames=1)
    with pytest.raises(VecqError, match="use 1, 2"):
        fifo_depths(network, Schedule(folds={"conv": Fold(pe=3, simd=1)}))


def test_branches_of_short_frames_hold_as_many_as_their_neighbour_is_late():
    network, schedule = late_branch()
    run = simulate_pace(network, schedule, fifo_depths(network, schedule))
    free = simulate_frames(network, schedule, dict.fromkeys(run.stored), frames=64)
    assert (run.interval, run.period) == (free.interval, free.period) == (1, 1)
