"""The comparison itself, on a target that evaluates plain Python integers."""

from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pytest

from tests import plain
from tests.test_network import IMAGE, conv, dense, network, rescale
from vecq_hw import storage
from vecq_hw.emit.project import Project, read_vectors
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Weights
from vecq_hw.passes.thresholds import with_thresholds
from vecq_hw.toolchain import Tool
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.junit import junit_xml
from vecq_hw.verify.target import Target, TargetError
from vecq_hw.verify.targets import TARGETS
from vecq_hw.verify.vectors import corner_vectors, random_vectors

NETWORK = network(dense(weights=Weights(codes=[[1, -2, 0], [-1, 1, 1]], grid=MidRise(2))))


def _unsupported(net):
    return "layer 'conv' (Conv2d)" if any(la.name == "conv" for la in net.layers) else None


def _emit(net, schedule, vectors):
    return Project({"digest.txt": storage.digest(net), **vectors.files()})


def _run(folder):
    assert (folder / "digest.txt").read_text() == storage.digest(NETWORK)
    rows = [
        plain.evaluate(NETWORK, x)["fc"]
        for x in read_vectors(folder / "vectors/inputs.txt").tolist()
    ]
    return np.array(rows, dtype=np.int64)


PLAIN = Target(
    name="plain",
    unsupported=_unsupported,
    emit=_emit,
    run=_run,
    takes_axis_bits=False,
    takes_fabric=False,
)


def _one_wrong(folder):
    got = _run(folder)
    got[3, 1] += 1
    return got


def _breaks(folder):
    raise TargetError("undefined reference to 'main'")


def check(tmp_path, *targets, net=NETWORK, inputs=None):
    x = random_vectors(net, 20) if inputs is None else inputs
    return verify(net, x, targets=targets, folder=tmp_path)


def test_a_target_that_agrees_passes(tmp_path):
    report = check(tmp_path, PLAIN)
    (row,) = report.rows
    assert report.passed
    assert (row.status, row.vectors, row.outputs, row.mismatches) == (Status.PASSED, 20, 40, 0)
    assert row.distinct_outputs > 10
    assert report.warnings == ()


def test_one_wrong_integer_fails_and_is_located(tmp_path):
    report = check(tmp_path, PLAIN, replace(PLAIN, name="wrong", run=_one_wrong))
    assert not report.passed
    good, bad = report.rows
    assert good.status is Status.PASSED
    assert (bad.status, bad.mismatches) == (Status.FAILED, 1)
    value = _run(tmp_path / "wrong")[3, 1]
    assert bad.message == f"layer 'fc', vector 3, index 1: expected {value}, actual {value + 1}"


def test_a_target_that_breaks_is_a_failure_with_its_last_words(tmp_path):
    report = check(tmp_path, PLAIN, replace(PLAIN, name="broken", run=_breaks))
    assert not report.passed
    assert report.rows[1].status is Status.ERROR
    assert "undefined reference" in report.rows[1].message


def test_too_few_outputs_are_an_error(tmp_path):
    report = check(tmp_path, replace(PLAIN, run=lambda folder: _run(folder)[:-1]))
    assert report.rows[0].status is Status.ERROR
    assert report.rows[0].message == "(20, 2) outputs are wanted, the target gave (19, 2)"


def test_unsupported_is_neither_pass_nor_failure_and_alone_it_does_not_pass(tmp_path):
    net = network(conv(), source=IMAGE)
    report = check(tmp_path, PLAIN, net=net)
    assert report.rows[0].status is Status.UNSUPPORTED
    assert report.rows[0].message == "unsupported: layer 'conv' (Conv2d)"
    assert not report.passed
    assert not (tmp_path / "plain").exists()


def test_an_output_that_never_changes_is_warned_of(tmp_path):
    report = check(tmp_path, PLAIN, inputs=np.zeros((4, 3), int))
    assert "2 of 2 outputs never change over these vectors (index 0, 1)" in report.warnings[0]


@pytest.mark.parametrize("as_thresholds", [False, True])
def test_saturated_outputs_are_counted(tmp_path, as_thresholds):
    net = network(dense(), rescale(mantissa=[0, 0], offset=[10**6, 16]))
    if as_thresholds:
        net = with_thresholds(net, 8)
    # Of the ends and of what lies beside them; both ends count.
    outputs = np.array([[255, 1], [0, 254], [0, 0], [128, 255], [2, 3], [254, 1]])
    target = replace(PLAIN, run=lambda folder: outputs)
    report = check(tmp_path, target, net=net, inputs=random_vectors(net, 6))
    assert report.rows[0].saturated == 5


def test_no_vectors_are_refused(tmp_path):
    with pytest.raises(VecqError, match="no input vectors"):
        check(tmp_path, PLAIN, inputs=np.zeros((0, 3), int))


def test_corner_vectors_hold_every_extreme():
    net = network(dense(shape=(2, 4)), source=replace(IMAGE, shape=(4,), format=IntFormat(4, True)))
    assert corner_vectors(net).tolist() == [
        [0, 0, 0, 0],
        [-8, -8, -8, -8],
        [7, 7, 7, 7],
        [-8, 7, -8, 7],
        [7, -8, 7, -8],
    ]
    odd = corner_vectors(network(dense()))
    assert odd[3:].tolist() == [[0, 255, 0], [255, 0, 255]]


def test_random_vectors_are_seeded_and_reach_both_ends():
    net = network(dense(), source=replace(IMAGE, shape=(3,), format=IntFormat(2, True)))
    x = random_vectors(net, 50, seed=3)
    assert np.array_equal(x, random_vectors(net, 50, seed=3))
    assert (x.min(), x.max()) == (-2, 1)


def test_junit_counts_what_happened(tmp_path):
    broken = replace(PLAIN, name="broken", run=_breaks)
    wrong = replace(PLAIN, name="wrong", run=_one_wrong)
    skipped = replace(PLAIN, name="skipped", unsupported=lambda net: "layer 'x'\x00 (Odd)")
    report = check(tmp_path, PLAIN, wrong, broken, skipped)
    suite = ElementTree.fromstring(junit_xml(report, "n").split("\n", 1)[1])
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert [case.get("name") for case in suite] == ["plain", "wrong", "broken", "skipped"]
    assert "expected" in suite[1][0].get("message")


def _refuses(net, schedule, vectors):
    raise VecqError("layer 'fc': words over 4,096 bits")


def _stumbles(net, schedule, vectors):
    raise AssertionError


def _no_room(folder):
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("broken", "status", "says"),
    [
        ({"emit": _refuses}, Status.UNSUPPORTED, "unsupported: layer 'fc': words over 4,096 bits"),
        (
            {"emit": _stumbles},
            Status.ERROR,
            "itself, AssertionError (test_verify.py",
        ),
        ({"run": _no_room}, Status.ERROR, "No space left on device"),
        ({"run": _breaks}, Status.ERROR, "undefined reference"),
    ],
)
def test_what_one_target_refuses_or_breaks_leaves_the_others(tmp_path, broken, status, says):
    target = replace(PLAIN, name="broken", **broken)
    report = check(tmp_path, target, PLAIN)
    assert [row.status for row in report.rows] == [status, Status.PASSED]
    assert says in report.rows[0].message
    assert report.passed == (status is Status.UNSUPPORTED)


def test_a_file_of_the_user_stops_its_target_alone(tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other/digest.txt").write_text("mine")
    other = replace(PLAIN, name="other")
    report = check(tmp_path, other, PLAIN)
    assert [row.status for row in report.rows] == [Status.ERROR, Status.PASSED]
    assert "digest.txt' was not written by vecq" in report.rows[0].message
    assert (tmp_path / "other/digest.txt").read_text() == "mine"


def test_a_missing_tool_is_said_before_any_target_runs(tmp_path):
    absent = Tool(name="vivado", purpose="synthesis", find=lambda: None, install="pip install x")
    with pytest.raises(MissingToolError, match="vivado is missing"):
        check(tmp_path, PLAIN, replace(PLAIN, name="other", tools=(absent,)))
    assert list(tmp_path.iterdir()) == []
    # One that does not take the network needs no tools.
    net = network(conv(), source=IMAGE)
    report = check(tmp_path, replace(PLAIN, tools=(absent,)), net=net)
    assert not report.compared


def test_every_target_names_its_tools():
    for target in TARGETS:
        needed = {"onnx", target.name} if "onnx" in target.name else {"g++", "make"}
        assert {tool.name for tool in target.tools} >= needed, target.name


def test_the_progress_names_target_and_step_and_how_many_remain(tmp_path):
    steps = []
    x = random_vectors(NETWORK, 2)
    refuses = replace(PLAIN, name="picky", unsupported=lambda network: "no")
    targets = [PLAIN, refuses, replace(PLAIN, name="other")]
    verify(NETWORK, x, targets=targets, folder=tmp_path, progress=steps.append)
    assert steps == [
        "simulating 2 vectors",
        "plain (1 of 2): writing the project",
        "plain (1 of 2): building and running",
        "other (2 of 2): writing the project",
        "other (2 of 2): building and running",
    ]


def test_an_output_that_is_the_input_is_compared(tmp_path):
    alone = replace(NETWORK, layers=(), outputs=(NETWORK.inputs[0].name,))
    same = replace(
        PLAIN,
        emit=lambda net, schedule, vectors: Project(vectors.files()),
        run=lambda folder: read_vectors(folder / "vectors/inputs.txt"),
    )
    (row,) = check(tmp_path, same, net=alone).rows
    assert (row.status, row.outputs, row.saturated) == (Status.PASSED, 60, 0)
