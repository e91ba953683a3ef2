"""Searches from end to end, also such as are killed: each trial ends once."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vecq_hw import data, storage
from vecq_hw.errors import VecqError
from vecq_hw.schedule import load as load_schedule
from vecq_hw.search import Request, load, loop, resume, run, search
from vecq_hw.search.engine import Failure, Here
from vecq_hw.search.models import (
    activation_of,
    layers_with_activations,
    some_of,
    with_validation,
)
from vecq_hw.search.picture import svg
from vecq_hw.search.space import point_text
from vecq_hw.search.trial import integer_accuracy


@pytest.fixture(scope="session")
def request_(small: dict[str, str]) -> Request:
    return Request(
        device="ecp5-25k",
        target_fps=1e6,
        clock_mhz=100.0,
        trials=9,
        bits=(1, 2, 4),
        keep={"three": 8},
        optimizer="grid",
        epochs=3,
        final_epochs=4,
        verify="none",
        **small,
    )


@pytest.fixture(scope="session")
def quiet(request_: Request, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A search of the whole grid that nothing disturbed."""
    out = tmp_path_factory.mktemp("quiet") / "search"
    search(request_, out)
    return out


def numbers(out: Path) -> list[dict]:
    """The trials without what differs from run to run."""
    trials = load(out).tree()["trials"]
    return sorted(
        ({**one, "number": 0, "seconds": 0} for one in trials), key=lambda one: json.dumps(one)
    )


def front_numbers(out: Path) -> list[dict]:
    kept = ("weight_bits", "integer_accuracy", "luts", "frames_per_second", "validation_accuracy")
    return [{name: one[name] for name in kept} for one in load(out).tree()["front"]]


def test_a_grid_is_tried_whole_and_its_front_has_its_files(quiet: Path, request_: Request) -> None:
    result = load(quiet)
    assert [one.number for one in result.trials] == list(range(9))
    assert len({tuple(one.point.values()) for one in result.trials}) == 9
    assert all(one.whole for one in result.trials)
    dataset = data.load(request_.data)
    for one in result.tree()["front"]:
        network = storage.load(one["network"])
        schedule = load_schedule(one["schedule"])
        assert integer_accuracy(network, dataset) == one["integer_accuracy"]
        assert one["frames_per_second"] >= 1e6
        assert schedule.clock_mhz == 100.0
        for layer, bits in one["weight_bits"].items():
            found = next(mac for mac in network.products if mac.name == layer)
            assert found.weights.grid.code_format.bits == bits
        bits_file = json.loads(Path(one["bits_file"]).read_text())
        assert bits_file["three"]["weight"] == 8
    assert result.front
    assert not (quiet / "front" / "none").exists()


def test_a_search_that_ended_is_not_begun_again_and_going_on_changes_nothing(
    quiet: Path, request_: Request
) -> None:
    with pytest.raises(VecqError, match="--resume"):
        search(request_, quiet)
    before = load(quiet).tree()
    resume(quiet)
    assert load(quiet).tree() == before


def test_each_trial_ends_once_when_the_process_is_killed(
    quiet: Path, request_: Request, tmp_path: Path
) -> None:
    out = tmp_path / "killed"
    program = (
        "import json, sys\n"
        "from vecq_hw.search import Request, search\n"
        "search(Request.of(json.loads(sys.argv[1])), sys.argv[2],"
        " tell=lambda text: print(text, flush=True))\n"
    )
    tree = json.dumps(request_.tree())
    process = subprocess.Popen(
        [sys.executable, "-c", program, tree, str(out)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("trial 2"):
            time.sleep(0.05)  # somewhere in the trial after it
            break
    process.kill()
    process.wait()
    process.stdout.close()
    ended = load(out).trials
    assert 3 <= len(ended) < 9
    resume(out)
    assert [one.number for one in load(out).trials] == list(range(9))
    assert load(out).trials[: len(ended)] == ended
    assert numbers(out) == numbers(quiet)
    assert front_numbers(out) == front_numbers(quiet)


def test_a_trial_that_raises_is_told_and_the_others_go_on(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempted: list[str] = []
    whole = Here.next_done

    def breaks(self: Here) -> tuple[int, object]:
        number, came = whole(self)
        attempted.append(str(number))
        return (number, Failure("the moon was full")) if number == 1 else (number, came)

    monkeypatch.setattr(Here, "next_done", breaks)
    search(replace(request_, trials=3), tmp_path / "out")
    trials = load(tmp_path / "out").tree()["trials"]
    assert [one["state"] for one in trials] == ["finished", "failed", "finished"]
    assert trials[1]["sentence"] == "the moon was full"
    assert "luts" not in trials[1]


def test_an_interrupted_search_goes_on(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        calls = iter(range(100))

        def stops(*arguments: object) -> object:
            if next(calls) == 2:
                raise KeyboardInterrupt
            return Failure("as if")

        patch.setattr(loop, "evaluate_point", stops)
        with pytest.raises(KeyboardInterrupt):
            search(replace(request_, trials=4), out)
    resume(out)
    trials = load(out).trials
    assert [one.number for one in trials] == [0, 1, 2, 3]
    assert [one.whole for one in trials] == [False, False, True, True]


def test_a_search_that_goes_on_does_not_measure_sensitivities_again(
    request_: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    asked = replace(request_, trials=7, optimizer="nsga2", bits=(1, 2))
    told: list[str] = []
    with monkeypatch.context() as patch:
        calls = iter(range(100))

        def stops(*arguments: object) -> object:
            if next(calls) == 3:
                raise KeyboardInterrupt
            return Failure("as if")

        patch.setattr(loop, "evaluate_point", stops)
        with pytest.raises(KeyboardInterrupt):
            search(asked, out, tell=told.append)
        assert told.count("measuring how sensitive each layer is") == 1
        patch.setattr(loop, "evaluate_point", lambda *arguments: Failure("as if"))
        resume(out, tell=told.append)
    assert told.count("measuring how sensitive each layer is") == 1
    assert len(load(out).trials) == 7


def test_two_searches_share_a_storage(request_: Request, tmp_path: Path) -> None:
    """What one has tried the other does not try again."""
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    asked = replace(request_, trials=2)
    search(asked, tmp_path / "first", storage=url)
    lines: list[str] = []
    search(replace(asked, trials=3), tmp_path / "second", storage=url, tell=lines.append)
    assert sum(line.startswith("trial") for line in lines) <= 1
    assert len(load(tmp_path / "first").trials) == len(load(tmp_path / "second").trials)


def test_the_validation_split_has_no_test_sample_and_every_class(request_: Request) -> None:
    dataset = data.load(request_.data)
    split = with_validation(dataset, 3)
    assert len(split.x_train) + len(split.x_test) == len(dataset.x_train)
    both = np.concatenate([split.x_train, split.x_test])
    assert {row.tobytes() for row in both} == {row.tobytes() for row in dataset.x_train}
    assert set(split.y_train) == set(range(dataset.classes))
    assert not np.array_equal(split.x_test, with_validation(dataset, 4).x_test)


def test_samples_of_a_trial_are_drawn_from_its_training_samples(request_: Request) -> None:
    split = with_validation(data.load(request_.data), 3)
    few = some_of(split, 20, 3)
    assert len(few.x_train) == 20
    assert {*few.y_train.tolist()} == {*split.y_train.tolist()}
    rows = {row.tobytes() for row in split.x_train}
    assert len({row.tobytes() for row in few.x_train} & rows) == 20
    assert some_of(split, 20, 3).x_train.tobytes() == few.x_train.tobytes()
    assert some_of(split, 10**6, 3) is split is some_of(split, None, 3)
    assert np.array_equal(few.x_test, split.x_test)


def test_the_layer_that_ends_the_network_has_no_activation_to_choose(request_: Request) -> None:
    wide = replace(request_, activation_bits=(2, 8))
    dataset = data.load(request_.data)
    assert layers_with_activations(wide, dataset) == ["one", "two"]
    layers = ["one", "two", "three"]
    found = [activation_of(str(request_.model), dataset, layers, name) for name in layers]
    assert found == [["relu"], ["last"], []]


@pytest.mark.parametrize(
    ("wishes", "words"),
    [
        (
            {"device": "ice40-lp8k", "target_fps": 1e8},
            [
                "--device ice40-lp8k",
                "--target-fps 1e+08",
                "nearest feasible rate is ",
                "smallest device",
            ],
        ),
        ({"max_luts": 50}, ["--max-luts 50", "--target-fps", "look-up tables", "no lower rate"]),
        ({"methods": ("twn",)}, ["--keep three=8", "--methods twn"]),
        ({"keep": {"four": 8}}, ["'four'"]),
    ],
)
def test_what_cannot_be_is_refused_before_any_training(
    request_: Request,
    tmp_path: Path,
    wishes: dict,
    words: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(run, "trained_float", lambda *_: pytest.fail("it was trained"))
    with pytest.raises(VecqError) as error:
        search(replace(request_, **wishes), tmp_path / "out")
    assert [word for word in words if word not in str(error.value)] == [], str(error.value)
    assert not (tmp_path / "out").exists()
    rate = re.search(r"nearest feasible rate is (\S+) frames", str(error.value))
    if rate is not None:
        slower = replace(request_, **wishes | {"target_fps": 0.99 * float(rate[1])})
        with pytest.raises(pytest.fail.Exception, match="it was trained"):
            search(slower, tmp_path / "slower")


def test_trials_are_warm_and_hopeless_ones_end_early(request_: Request, tmp_path: Path) -> None:
    asked = replace(
        request_,
        trials=14,
        optimizer="nsga2",
        keep={},
        bits=tuple(range(1, 9)),
        activation_bits=(3, 8),
    )
    search(asked, tmp_path / "out")
    result = load(tmp_path / "out")
    tree = result.tree()["trials"]
    assert [one["uniform"] for one in tree[:8]] == list(range(1, 9))
    assert all(one.whole for one in result.trials[:8])  # what all else is compared with
    assert point_text(result.trials[8].point) == "W4:A3 W4:A3 W4"  # then a pair, then mixtures
    assert len(tree) == 14
    early = [one for one in tree if one["integer_accuracy"] is None]
    assert all("stopped after" in one["sentence"] and one["epochs"] < 3 for one in early)
    assert early


def test_learned_widths_are_tried_and_drawn(request_: Request, tmp_path: Path) -> None:
    wishes = replace(request_, methods=("vecq", "dropbits"), bits=(2, 4), trials=3)
    search(replace(wishes, optimizer="random"), tmp_path / "out")
    result = load(tmp_path / "out")
    tried = {point_text(one.point): one for one in result.trials}
    assert tried["W4:dropbits W4:dropbits W8:dropbits"].whole
    assert b"dropbits" in svg(result)  # in the comment beside its glyphs


def test_the_command_line_goes_on_and_prints_commands_that_work(
    small: dict[str, str], tmp_path: Path
) -> None:
    from click.testing import CliRunner

    from vecq_hw.cli import vecq

    out = str(tmp_path / "out")
    begin = (
        f"search --data {small['data']} --model {small['model']} --device ecp5-25k --clock-mhz 100"
        f" --target-fps 1e5 --bits 1..2 --optimizer grid --trials 2 --epochs 1 --final-epochs 1"
        f" --verify none --out {out}"
    )
    run = CliRunner()
    assert run.invoke(vecq, begin.split()).exit_code == 0
    assert "--target-fps cannot" in str(
        run.invoke(vecq, ["search", "--resume", out, "--target-fps", "5"]).exception
    )
    shown = run.invoke(vecq, ["search", "--show", out, "--plot", "--json", "-"])
    assert shown.exit_code == 0, shown.exception
    tree = json.loads(shown.stdout)
    assert [one["state"] for one in tree["trials"]] == ["finished"] * 2
    point = tree["front"][0]
    assert Path(point["network"]).exists()
    assert Path(point["schedule"]).exists()
    assert point["verify"] in shown.output or point["verify"] in shown.stderr
    emitted = run.invoke(vecq, point["emit"].split()[1:])
    assert emitted.exit_code == 0, emitted.output
    page = (tmp_path / "out" / "front.html").read_text()
    assert "<svg" in page
    assert point["network"] in page
    assert (tmp_path / "out" / "front.svg").stat().st_size > 1000
