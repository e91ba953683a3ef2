from __future__ import annotations

import json
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.simulate.dataflow.networks import residual
from tests.strategies import networks
from tests.test_network import dense, network, rescale
from vecq_hw import schedule
from vecq_hw.errors import VecqError
from vecq_hw.formats import TwosComplement
from vecq_hw.layers import Add, BinaryBases, Conv2d, ProductWeights, Weights
from vecq_hw.schedule import Fabric, Fold, FoldKind, Schedule

NETWORK = network(dense(shape=(4, 3)))
WRAPPING = network(replace(dense(shape=(4, 3)), accumulator_bits=5))
IMAGE = residual()[0]


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
        ({"fc": Fold(), "fc9": Fold()}, "folds 'fc9', which multiplies by no weights in 'n'"),
    ],
)
def test_an_illegal_fold_is_refused_with_the_legal_ones_named(folds, says):
    with pytest.raises(VecqError) as error:
        schedule.check(NETWORK, Schedule(folds=folds))
    assert says in str(error.value)


ALL_LANES = Fold(pe=4, simd=3, kind=FoldKind.UNROLLED)


@pytest.mark.parametrize(
    ("net", "name", "fold", "says"),
    [
        (NETWORK, "fc", replace(ALL_LANES, pe=2), "has all lanes, not 2 PE × 3 SIMD; use 4 × 3"),
        (NETWORK, "fc", replace(ALL_LANES, simd=1), "not 4 PE × 1 SIMD; use 4 × 3"),
        (WRAPPING, "fc", ALL_LANES, "'fc': an unrolled layer has no accumulator that could wrap"),
        (
            IMAGE,
            "conv",
            Fold(pe=2, simd=2, kind=FoldKind.UNROLLED),
            "'conv': a Conv2d cannot be unrolled",
        ),
    ],
)
def test_only_a_dense_with_all_lanes_is_unrolled(net, name, fold, says):
    with pytest.raises(VecqError) as error:
        schedule.check(net, Schedule(folds={name: fold}))
    assert says in str(error.value)


def test_only_binary_bases_pass_bit_by_bit():
    serial = Fold(pe=2, simd=3, kind=FoldKind.BIT_SERIAL)
    schedule.check(NETWORK, Schedule(folds={"fc": serial}))
    ternary = Weights(codes=np.zeros((4, 3), int), grid=TwosComplement(2))
    layer = replace(NETWORK.layers[0], weights=ternary)
    with pytest.raises(VecqError, match="'fc': a bit-serial layer takes odd weights"):
        schedule.check(replace(NETWORK, layers=(layer,)), Schedule(folds={"fc": serial}))


def test_a_dsp_multiplies_in_the_rescale_behind():
    fold = Fold(pe=2, simd=3, dsp=True)
    with pytest.raises(VecqError, match="'fc': no Rescale reads its sums; leave out dsp"):
        schedule.check(NETWORK, Schedule(folds={"fc": fold}))
    rescaled = replace(
        NETWORK,
        layers=(*NETWORK.layers, rescale(mantissa=[1] * 4, offset=[0] * 4)),
        outputs=("rescale",),
    )
    schedule.check(rescaled, Schedule(folds={"fc": fold}))
    apart = replace(
        NETWORK,
        layers=(
            *NETWORK.layers,
            Add(name="sum", inputs=("fc", "fc")),
            rescale(input="sum", mantissa=[1] * 4, offset=[0] * 4),
        ),
        outputs=("rescale",),
    )
    schedule.check(apart, Schedule(folds={"fc": fold}))
    with pytest.raises(VecqError, match="'fc': an unrolled layer multiplies by constants"):
        schedule.check(rescaled, Schedule(folds={"fc": replace(ALL_LANES, dsp=True)}))


def test_a_dense_with_all_lanes_may_be_unrolled():
    schedule.check(NETWORK, Schedule(folds={"fc": ALL_LANES}))


@given(st.integers(1, 2000))
def test_divisors(number):
    assert schedule.divisors(number) == [d for d in range(1, number + 1) if number % d == 0]


def test_json_round_trip(tmp_path):
    serial = Fold(pe=2, simd=3, kind=FoldKind.BIT_SERIAL)
    whole = Schedule(
        folds={"fc": serial, "fc2": ALL_LANES, "version": Fold(dsp=True)},
        fabric=Fabric.ECP5,
        axis_bits=64,
        fifo_depths={"fc→fc2": 5},
        clock_mhz=187.5,
    )
    path = tmp_path / "schedule.json"
    for written in (whole, Schedule(), Schedule(folds={"version": Fold()})):
        path.write_text(schedule.to_json(written))
        assert schedule.load(path) == written
    keys = set(json.loads(schedule.to_json(whole)))
    assert keys == {"version", *(field.name for field in fields(Schedule))}


def test_folds_alone_are_a_schedule(tmp_path):
    path = tmp_path / "schedule.json"
    path.write_text('{"fc": {"pe": 2}, "version": {"pe": 4, "kind": "bit_serial"}}')
    folds = {"fc": Fold(pe=2), "version": Fold(pe=4, kind=FoldKind.BIT_SERIAL)}
    assert schedule.load(path) == Schedule(folds=folds)
    path.write_text('{"a": {"unrolled": true}, "b": {"bit_serial": true, "unrolled": false}}')
    folds = {"a": Fold(kind=FoldKind.UNROLLED), "b": Fold(kind=FoldKind.BIT_SERIAL)}
    assert schedule.load(path) == Schedule(folds=folds)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no JSON"),
        ('{"fc": {"pe": 8,}}', "line 1 column"),
        ("[" * 5000, "is no JSON"),
        ("[]", "is wanted, not []"),
        ('{"fc": 3}', 'layer \'fc\': an entry such as {"pe": 8, "simd": 16} is wanted, not 3'),
        ('{"fc": {"PE": 3}}', "layer 'fc': there is no 'PE' in it; did you mean 'pe'?"),
        ('{"fc": {"smid": 3}}', "layer 'fc': there is no 'smid' in it; did you mean 'simd'?"),
        ('{"fc": {"x": 3}}', "there is no 'x' in it; there are pe, simd, kind"),
        ('{"fc": {"pe": "8"}}', "layer 'fc': 'pe' is \"8\"; a whole number is wanted"),
        ('{"fc": {"pe": 8.0}}', "'pe' is 8.0; a whole number is wanted"),
        ('{"fc": {"pe": true}}', "'pe' is true; a whole number is wanted"),
        ('{"fc": {"simd": null}}', "'simd' is null; a whole number is wanted"),
        ('{"fc": {"unrolled": 1}}', "'unrolled' is 1; true or false is wanted"),
        ('{"fc": {"bit_serial": "yes"}}', "'bit_serial' is \"yes\"; true or false is wanted"),
        ('{"fc": {"kind": "serial"}}', "layer 'fc': kind is 'serial'; did you mean 'bit_serial'?"),
        ('{"fc": {"unrolled": true, "bit_serial": true}}', "'fc' has several kinds"),
        (
            '{"version": 2, "folds": {}}',
            "has the format version 2; this vecq reads up to 1",
        ),
        ('{"version": 1}', "'folds' is missing"),
        ('{"version": 1, "folds": {}, "fabrics": 1}', "did you mean 'fabric'?"),
        ('{"version": 1, "folds": {}, "fabric": "ecp4"}', "fabric is 'ecp4'; did you mean 'ecp5'?"),
        ('{"version": 1, "folds": {}, "fifo_depths": {"a→b": 2.0}}', "FIFO 'a→b': 2.0; a whole"),
        ('{"version": 1, "folds": {}, "clock_mhz": -1}', "'clock_mhz' is -1; a positive number"),
        ('{"version": 1, "folds": {}, "axis_bits": "8"}', "a whole number or null is wanted"),
        ('{"fc": {"pe": 2, "pe": 4}}', "'pe' is there twice"),
        ('{"fc": {"pe": 2}, "fc": {"pe": 4}}', "'fc' is there twice"),
    ],
)
def test_a_malformed_schedule_is_refused_by_its_entry(tmp_path, text, says):
    path = tmp_path / "schedule.json"
    path.write_text(text)
    with pytest.raises(VecqError) as error:
        schedule.load(path)
    assert str(path) in str(error.value)
    assert says in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
def test_editors_of_every_kind_write_schedules(tmp_path, encoding):
    path = tmp_path / "schedule.json"
    path.write_text('{"fc": {"pe": 2}}', encoding=encoding)
    assert schedule.load(path) == Schedule(folds={"fc": Fold(pe=2)})


def test_a_schedule_that_is_not_there(tmp_path):
    with pytest.raises(VecqError, match="cannot be read"):
        schedule.load(tmp_path / "absent.json")


def test_books_and_bases_have_units_of_their_own():
    book = ProductWeights(indices=np.zeros((4, 2), int), book=np.zeros((2, 3), int))
    bases = BinaryBases(bases=np.ones((4, 2, 1, 3), int), coordinates=np.ones((4, 2, 1), int))
    grouped = BinaryBases(
        bases=np.ones((4, 1, 1, 1, 1, 3), int), coordinates=np.ones((4, 1, 1, 1, 1), int)
    )
    dense, entry = NETWORK.layers[0], replace(NETWORK.inputs[0], shape=(6,))
    nets = [
        replace(NETWORK, inputs=(entry,), layers=(replace(dense, weights=weights),))
        for weights in (book, bases)
    ]
    conv = Conv2d(name="fc", input=entry.name, weights=grouped, groups=2)
    image = replace(entry, shape=(1, 1, 6))
    nets.append(replace(NETWORK, inputs=(image,), layers=(conv,)))
    blocks = ProductWeights(indices=np.zeros((4, 1, 1, 1), int), book=book.book)
    conv = replace(conv, weights=blocks)
    nets.append(replace(NETWORK, inputs=(image,), layers=(conv,)))
    kinds = FoldKind.CODE_BOOK, FoldKind.BASE_SERIAL, FoldKind.PARTIAL_SUMS
    book_fold, base_fold, sum_fold = (Fold(pe=2, simd=3, kind=kind) for kind in kinds)
    schedule.check(nets[0], Schedule(folds={"fc": book_fold}))
    schedule.check(nets[0], Schedule(folds={"fc": replace(book_fold, simd=6)}))
    schedule.check(nets[0], Schedule(folds={"fc": replace(sum_fold, simd=6)}))
    schedule.check(nets[1], Schedule(folds={"fc": base_fold}))
    schedule.check(nets[3], Schedule(folds={"fc": sum_fold}))
    for net, fold, says in (
        (nets[0], replace(book_fold, simd=2), "2 SIMD lanes neither divide the 3 weights"),
        (nets[1], book_fold, "a code book takes ProductWeights, not BinaryBases; use another"),
        (nets[0], base_fold, "takes BinaryBases, not ProductWeights; use another kind"),
        (nets[1], replace(base_fold, simd=2), "2 SIMD lanes do not divide the 3 inputs"),
        (nets[2], replace(base_fold, pe=4), "the 4 PEs of a base-serial fold lie within the 2"),
        (nets[0], replace(sum_fold, simd=2), "the 2 SIMD lanes of a fold with partial sums are no"),
        (nets[1], sum_fold, "partial sums takes ProductWeights, not BinaryBases; use another kind"),
        (
            nets[3],
            replace(sum_fold, pe=4),
            "the 4 PEs of a fold with partial sums lie within the 2",
        ),
    ):
        with pytest.raises(VecqError, match=says):
            schedule.check(net, Schedule(folds={"fc": fold}))
