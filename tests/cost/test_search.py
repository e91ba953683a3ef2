"""Schedules chosen by their cost."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import networks
from tests.random_networks import Seeded, random_graph, random_schedule
from vecq_hw import schedule as schedules
from vecq_hw import storage
from vecq_hw.accelerator.balance import balance, keeps_pace
from vecq_hw.accelerator.plan import plan
from vecq_hw.cli import vecq
from vecq_hw.cost import fastest, fewest_luts, resources_of
from vecq_hw.cost.estimate import Known, fits
from vecq_hw.cost.pace import busiest
from vecq_hw.cost.search import suited
from vecq_hw.devices import device
from vecq_hw.errors import VecqError
from vecq_hw.schedule import check


@pytest.mark.parametrize("interval", [64, 512])
def test_fewest_luts_keep_the_pace_with_no_more_than_the_fewest_lanes(interval: int) -> None:
    network, family = networks.digits_mlp(), device("ecp5-25k").family
    found = fewest_luts(network, interval, family)
    check(network, found)
    assert keeps_pace(network, found, interval)
    lanes = suited(network, balance(network, interval), family)
    assert resources_of(network, found, family).luts <= resources_of(network, lanes, family).luts


@pytest.mark.parametrize("seed", range(6))
def test_cells_that_are_known_are_what_they_would_be_made_anew(seed: int) -> None:
    """Under each schedule, with what the schedules before it left."""
    draw = Seeded(seed)
    network, family, known = random_graph(draw, "graph"), device("ecp5-25k").family, Known()
    for index in range(8):
        made = replace(random_schedule(draw, network), axis_bits=(None, 32)[index % 2])
        taken = resources_of(network, made, family, known)
        assert taken == resources_of(network, made, family)


def test_where_dsp_blocks_are_few_the_smallest_layers_go_without() -> None:
    network, family = networks.digits_mlp(), device("ecp5-25k").family
    free = suited(network, balance(network, 64), family)
    taken = resources_of(network, free, family).dsps
    few = suited(network, balance(network, 64), family, dsps=taken - 1)
    check(network, few)
    assert 0 < resources_of(network, few, family).dsps < taken
    without = [name for name, fold in free.folds.items() if fold.dsp and not few.folds[name].dsp]
    kept = [name for name, fold in few.folds.items() if fold.dsp]
    assert max(free.folds[name].pe for name in without) <= min(free.folds[n].pe for n in kept)
    none = fewest_luts(network, 64, family, dsps=0)
    assert resources_of(network, none, family).dsps == 0


def test_the_fastest_fits_and_the_next_faster_one_does_not() -> None:
    network, small = networks.digits_mlp(), device("ice40-up5k")
    found = fastest(network, small)
    check(network, found)
    assert fits(resources_of(network, found, small.family), small)
    cycles = busiest(plan(network, found))
    wider = suited(network, balance(network, cycles * 9 // 10), small.family)
    assert not fits(resources_of(network, wider, small.family), small)


def test_what_fits_no_schedule_is_told_by_how_much() -> None:
    with pytest.raises(VecqError, match=r"does not fit ice40-lp1k: the smallest schedule takes"):
        fastest(networks.lenet5_classic(), device("ice40-lp1k"))


def test_the_command_writes_the_schedule_of_a_device(tmp_path: Path) -> None:
    path, out, told = (tmp_path / name for name in ("n.npz", "schedule.json", "told.json"))
    storage.save(networks.digits_mlp(), path)
    given = ["schedule", str(path), "--device", "ecp5-12k", "--out", str(out), "--json", str(told)]
    done = CliRunner().invoke(vecq, given)
    assert done.exit_code == 0, done.output
    tree = json.loads(told.read_text())
    assert tree["device"] == "ecp5-12k"
    assert tree["luts"] * 1.18 <= 24_288
    check(networks.digits_mlp(), schedules.load(out))
    alone = CliRunner().invoke(vecq, ["schedule", str(path)])
    assert isinstance(alone.exception, VecqError)
    assert "use --target-fps or --device" in str(alone.exception)
