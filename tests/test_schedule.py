from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import networks
from tests.test_network import dense, network
from vecq_hw import schedule
from vecq_hw.errors import VecqError
from vecq_hw.schedule import Fold, Schedule

NETWORK = network(dense(shape=(4, 3)))


@settings(max_examples=40, deadline=None)
@given(networks(), st.integers(1, 64))
def test_the_default_schedule_is_always_legal(net, lanes):
    folds = schedule.default_schedule(net, lanes)
    assert list(schedule.problems(net, folds)) == []
    assert all(fold.pe <= lanes and fold.simd <= lanes for fold in folds.folds.values())


@pytest.mark.parametrize(
    ("folds", "says"),
    [
        ({"fc": Fold(pe=3)}, "layer 'fc': 4 outputs do not fold onto 3 lanes; use 1, 2, 4"),
        ({"fc": Fold(simd=2)}, "layer 'fc': 3 inputs do not fold onto 2 lanes; use 1, 3"),
        ({"fc": Fold(pe=0)}, "do not fold onto 0 lanes"),
        ({}, "layer 'fc' has no fold"),
        ({"fc": Fold(), "fc9": Fold()}, "folds 'fc9', which is no Dense or Conv2d of 'n'"),
    ],
)
def test_an_illegal_fold_is_refused_with_the_legal_ones_named(folds, says):
    with pytest.raises(VecqError) as error:
        schedule.check(NETWORK, Schedule(folds=folds))
    assert says in str(error.value)


@given(st.integers(1, 2000))
def test_divisors(number):
    assert schedule.divisors(number) == [d for d in range(1, number + 1) if number % d == 0]


def test_json_round_trip(tmp_path):
    folds = Schedule(folds={"fc": Fold(pe=2, simd=3)})
    path = tmp_path / "schedule.json"
    path.write_text(schedule.to_json(folds))
    assert schedule.load(path) == folds


@pytest.mark.parametrize(
    "text", ["", "[]", '{"fc": 3}', '{"fc": {"PE": 3}}', '{"fc": {"pe": "8"}}']
)
def test_a_malformed_schedule_is_refused(tmp_path, text):
    path = tmp_path / "schedule.json"
    path.write_text(text)
    with pytest.raises(VecqError, match="is no schedule"):
        schedule.load(path)
    with pytest.raises(VecqError, match="cannot be read"):
        schedule.load(tmp_path / "absent.json")
