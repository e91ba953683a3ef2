"""Schedules for a pace: reached, and with no lane to spare."""

from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import strategies
from tests.simulate.dataflow.networks import resnet8
from vecq_hw import schedule, storage
from vecq_hw.accelerator import balance, plan
from vecq_hw.cli import vecq
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Concat, Conv2d, Dense, Input, Layer, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, Schedule, foldable, streaming_folds
from vecq_hw.simulate.dataflow import simulate_frames


def busy(net, folds):
    planned = plan(net, folds)
    return {name: stream.words for name, stream in planned.inputs.items()} | planned.busy


@settings(max_examples=50, deadline=None)
@given(st.one_of(strategies.networks(), strategies.graphs()), st.integers(1, 2000))
def test_no_layer_is_slower_than_asked_or_one_cannot_be_faster(net, interval):
    fastest = {
        layer.name: Fold(pe=foldable(layer)[0], simd=foldable(layer)[1])
        for layer in net.layers
        if isinstance(layer, Dense | Conv2d)
    }
    possible = max(busy(net, Schedule(folds=fastest)).values(), default=0) <= interval
    try:
        folds = balance(net, interval)
    except VecqError:
        assert not possible
        return
    assert list(schedule.problems(net, folds)) == []
    assert max(busy(net, folds).values(), default=0) <= interval


@settings(max_examples=20, deadline=None)
@given(st.one_of(strategies.networks(), strategies.graphs()), st.integers(10, 2000))
def test_no_single_layer_could_have_fewer_lanes(net, interval):
    try:
        folds = balance(net, interval)
    except VecqError:
        return
    for layer in net.layers:
        if not isinstance(layer, Dense | Conv2d):
            continue
        used = folds.folds[layer.name]
        for fold in streaming_folds(layer):
            if (fold.pe * fold.simd, fold.pe) < (used.pe * used.simd, used.pe):
                changed = Schedule(folds={**folds.folds, layer.name: fold})
                assert max(busy(net, changed).values()) > interval


def grouped(outputs: int, stride: int, *behind: Layer) -> Network:
    """A 1x1 convolution with as many groups as outputs, and a Rescale."""
    fmt = IntFormat(2, signed=False)
    codes = np.zeros((outputs, 1, 1, 4 // outputs), int)
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=codes, grid=MidRise(1)),
        groups=outputs,
        stride=(stride, stride),
    )
    ones = np.ones(outputs, int)
    rescale = Rescale(name="r", input="conv", mantissa=ones, offset=0 * ones, shift=1, format=fmt)
    layers = (conv, rescale, *behind)
    source = Input(name="x", shape=(6, 6, 4), format=fmt)
    return Network(name="n", inputs=(source,), layers=layers, outputs=(layers[-1].name,))


def test_a_join_widens_the_cheaper_end_of_a_convolution():
    net = grouped(2, 1, Concat(name="join", inputs=("x", "r")))
    assert balance(net, 36 * 5).folds == {"conv": Fold(pe=1, simd=2)}


def test_a_depthwise_convolution_takes_the_image_in_with_the_groups_that_it_spans():
    net = grouped(4, 2)
    assert balance(net, 36 * 2).folds == {"conv": Fold(pe=2, simd=1)}


def test_resnet8_is_balanced():
    net = resnet8()
    interval = 10_000
    folds = balance(net, interval)
    run = simulate_frames(net, folds, dict.fromkeys(plan(net, folds).links))
    assert run.interval <= interval
    # The same pace with one number of lanes for all takes more of them.
    lanes = sum(fold.pe * fold.simd for fold in folds.folds.values())
    uniform = next(
        alike
        for most in range(1, 65)
        for alike in [schedule.default_schedule(net, most)]
        if max(busy(net, alike).values()) <= interval
    )
    assert lanes < sum(fold.pe * fold.simd for fold in uniform.folds.values())


def test_what_cannot_be_is_refused_with_the_layer_and_the_least():
    with pytest.raises(VecqError, match=r"takes \d+ cycles per frame with all the lanes"):
        balance(resnet8(), 10)


def test_the_command_prints_the_table_and_writes_what_others_take(tmp_path):
    net = resnet8()
    storage.save(net, tmp_path / "net.npz")
    out = tmp_path / "schedule.json"
    command = ["schedule", str(tmp_path / "net.npz"), "--target-fps", "10000", "--out", str(out)]
    result = CliRunner().invoke(vecq, command)
    assert result.exit_code == 0, result.output
    assert "frames a second at 100 MHz" in result.output
    assert "utilisation" in result.output
    assert schedule.load(out) == balance(net, 10_000)
    tree = json.loads(CliRunner().invoke(vecq, [*command, "--json", "-"]).stdout)
    assert tree["fps"] >= 10_000
    assert {row["layer"] for row in tree["layers"]} == set(schedule.load(out).folds)


def test_more_frames_than_cycles_is_one_sentence(tmp_path):
    storage.save(resnet8(), tmp_path / "net.npz")
    command = ["schedule", str(tmp_path / "net.npz"), "--target-fps", "2e8"]
    result = CliRunner().invoke(vecq, command)
    assert isinstance(result.exception, VecqError)
    assert "more than the 1e+08 cycles of a second" in str(result.exception)
