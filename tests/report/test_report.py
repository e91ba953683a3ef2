"""``vecq report`` and ``vecq compare``: what their pages say, and that they are sound pages."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch.nn import functional

from tests.report.pages import check, table, text, texts
from vecq_hw import data, storage
from vecq_hw.cli import vecq
from vecq_hw.errors import VecqError
from vecq_hw.report import compare, report
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.train.checkpoint import read_state
from vecq_hw.verify import onnx as onnx_target


def run(*arguments: object) -> str:
    result = CliRunner().invoke(vecq, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("report") / "trained"
    run("train", "--preset", "cnn-digits", "--epochs", 2, "--out", out)
    return out


@pytest.fixture(scope="module")
def page(trained) -> str:
    return report(trained).html


@pytest.fixture(scope="module")
def verified(trained, tmp_path_factory) -> Path:
    """Verified by the executor of the ONNX file, the target without a compiler."""
    out = tmp_path_factory.mktemp("report") / "verified"
    run("verify", trained / "network.npz", "--targets", "onnx", "--samples", 4, "--out", out)
    return out


def test_the_page_of_a_training_is_sound(page):
    root = check(page)
    assert texts(root, "h1") == ["cnn: report"]
    sections = ["Network", "Training", "Weights", "Sums and activations", "Cycles"]
    assert texts(root, "h2")[:5] == sections
    assert len(re.findall("<svg", page)) == 1 + 1 + 3 * 3 + 3 + 2 + 1


def test_its_figures_are_those_of_the_files(trained, page):
    root = check(page)
    metrics = json.loads((trained / "metrics.json").read_text())
    shown = texts(root, "dd")
    assert f"{100 * metrics['integer_accuracy']:.2f} %" in shown
    assert any(one.startswith("16.0 times smaller 1,508 bytes of 24,128") for one in shown)
    network = storage.load(trained / "network.npz")
    rows = {row[0]: row for row in table(root, "Every layer")[1:]}
    assert list(rows) == list(network.tensors)
    assert rows["conv2"][4:6] == ["4,608", "2"]
    commands = texts(root, "code")
    assert commands[0].startswith("vecq train --preset cnn-digits --epochs 2 --out ")
    sums = {row[0]: row for row in table(root, "Sums on 64 test samples of digits")[1:]}
    low, high = network.mac_layers[0].accumulator_range(network.inputs[0].format)
    assert sums["conv1"][2] == f"{low:,} .. {high:,}"


def test_the_loss_against_floats_is_that_of_the_tensors(trained, page):
    """Beside plain PyTorch on the parameters of the checkpoint, which no quantizer touches."""
    rows = {row[0]: row[1:] for row in table(check(page), "Signal to quantization noise")[1:]}
    assert {"conv1", "pool1", "pool2", "fc"} <= set(rows)
    network = storage.load(trained / "network.npz")
    _, state = read_state(trained / "checkpoint.pt")
    x = data.load("digits").x_test[:64]
    integers = simulate(network, network_inputs(network, x), taps=["conv1"])["conv1"]
    real = integers * network.tensors["conv1"].step
    weight = state["conv1.weight"].double()
    exact = functional.conv2d(torch.as_tensor(x).double(), weight, padding=1).numpy()
    wanted = np.moveaxis(exact, 1, -1)
    noise = 10 * np.log10(np.square(wanted).sum() / np.square(wanted - real).sum())
    assert rows["conv1"] == ["conv1", f"{noise:.1f}"]
    assert all(0 < float(row[1]) < 60 for row in rows.values())


def test_the_chosen_lambda_is_marked_on_the_curve(page):
    found = re.findall(r"<title[^>]*>(Orientation loss of .*?)</title>", page)
    assert len(found) == 3
    for alt in found:
        assert "the chosen lambda 0.996 leaves 0.0" in alt
        least, left = (float(n) for n in re.findall(r"0\.\d{4}", alt)[:2])
        assert least <= left < 2 * least


def test_the_page_of_a_verification_begins_with_the_verdict(verified):
    root = check(report(verified).html)
    (verdict,) = (one for one in texts(root, "p") if one.startswith("Equal."))
    assert verdict == "Equal. All 90 integers that onnx computed are those of the simulator."
    rows = table(root, "Every target against the simulator")
    assert rows[1][:5] == ["onnx", "passed", "9", "90", "0"]
    assert texts(root, "code")[0].startswith("vecq verify ")
    assert table(root, "Sums on 9 vectors of the project 'onnx'")


def test_mismatches_are_listed_with_layer_index_expected_and_actual(
    verified, tmp_path, monkeypatch
):
    out = tmp_path / "failed"
    given = onnx_target.TARGET

    def wrong(folder):
        outputs = given.run(folder)
        outputs[3, 7] += 5
        outputs[8, 0] -= 1
        return outputs

    monkeypatch.setattr("vecq_hw.verify.targets.choose", lambda names: (replace(given, run=wrong),))
    network = verified / "network.npz"
    arguments = ["verify", str(network), "--samples", "4", "--out", str(out)]
    assert CliRunner().invoke(vecq, arguments, standalone_mode=False).return_value == 1
    root = check(report(out).html)
    (verdict,) = (one for one in texts(root, "p") if one.startswith("Failed."))
    assert "onnx computed 2 of 90 integers otherwise than the simulator" in verdict
    expected = np.loadtxt(out / "onnx" / "vectors" / "outputs.txt", dtype=np.int64)
    assert table(root, "The first of 2 integers that differ")[1:] == [
        ["fc", "3", "7", f"{expected[3, 7]:,}", f"{expected[3, 7] + 5:,}"],
        ["fc", "8", "0", f"{expected[8, 0]:,}", f"{expected[8, 0] - 1:,}"],
    ]


def test_results_side_by_side_have_a_pareto_front(trained, verified, tmp_path):
    wider = tmp_path / "wider"
    run("train", "--preset", "mlp-digits", "--weight-bits", 4, "--epochs", 1, "--out", wider)
    root = check(compare([trained, wider, verified]).html)
    rows = {row[0]: row[1:] for row in table(root, "Size, clock and frames")}
    assert rows["Figure"] == ["trained", "wider", "verified"]
    assert rows["Verdict"] == ["Not verified yet", "Not verified yet", "Equal"]
    assert rows["Bits of the weights"] == ["2", "4", "2"]
    points = table(root, "The points of the plot")[1:]
    # What was verified is the network that was trained, and so has its accuracy.
    assert [row[0] for row in points] == ["trained", "wider", "verified"]
    assert points[0][1:] == points[2][1:]
    assert "yes" in {row[3] for row in points}


def test_names_of_networks_are_text_and_nothing_else(verified, tmp_path):
    """Neither a network's name nor a command becomes a part of the page."""
    place = tmp_path / "odd"
    shutil.copytree(verified, place)
    tree = json.loads((place / "verification.json").read_text())
    tree["command"] = "vecq <script>alert(1)</script> $x_1$ &amp; \"'"
    tree["targets"][0]["name"] = "<img src=x onerror=alert(1)>"
    (place / "verification.json").write_text(json.dumps(tree))
    network = storage.load(place / "network.npz")
    storage.save(replace(network, name="a<b>$\\frac{1}{2}$"), place / "network.npz")
    shutil.rmtree(place / "onnx")
    root = check(report(place).html)
    assert texts(root, "h1") == ["a<b>$\\frac{1}{2}$: report"]
    assert texts(root, "code")[0] == tree["command"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("metrics.json", "{"),
        ("metrics.json", "[1]"),
        ("metrics.json", '{"integer_accuracy": "high"}'),
        ("metrics.json", '{"integer_accuracy": NaN}'),
        ("metrics.json", "[" * 100_000),
        ("train.csv", "epoch,loss\n1,much\n"),
        ("train.csv", "nothing\n1\n"),
        ("verification.json", '{"passed": 1}'),
        ("verification.json", '{"passed": true, "targets": [3]}'),
        ("network.npz", "no archive"),
        ("schedule.json", "{"),
        ("checkpoint.pt", "no checkpoint"),
    ],
)
def test_a_damaged_file_is_one_sentence(trained, tmp_path, name, content):
    place = tmp_path / "damaged"
    shutil.copytree(trained, place)
    (place / name).write_text(content)
    with pytest.raises(VecqError) as caught:
        report(place)
    said = str(caught.value)
    assert name in said
    assert "\n" not in said


def test_scores_of_maps_are_figures_at_the_head(trained, tmp_path):
    place = tmp_path / "maps"
    shutil.copytree(trained, place)
    tree = json.loads((place / "metrics.json").read_text())
    tree["integer_scores"] = {"mae": 0.125, "max_f": 0.5}
    (place / "metrics.json").write_text(json.dumps(tree))
    shown = {fact["name"]: fact["value"] for fact in report(place).summary["facts"]}
    assert shown["Maps, integers: mean absolute error"] == "0.1250"
    assert shown["Maps, integers: F-measure"] == "0.5000"


def test_a_folder_of_nothing_known_is_refused(tmp_path, trained):
    with pytest.raises(VecqError, match="holds nothing that can be reported"):
        report(tmp_path)
    with pytest.raises(VecqError, match="does not exist"):
        report(tmp_path / "nowhere")
    with pytest.raises(VecqError, match="is a file"):
        report(trained / "network.npz")
    with pytest.raises(VecqError, match="two or more"):
        compare([trained])
    with pytest.raises(VecqError, match="given twice"):
        compare([trained, trained])


def test_the_command_writes_a_page_and_no_other_file(verified, tmp_path):
    out = tmp_path / "page.html"
    assert f"page: {out}" in run(
        "report", verified, "--out", out, "--json", tmp_path / "summary.json"
    )
    check(out.read_text())
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["page"] == str(out)
    assert summary["verdict"]["good"] is True
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == [".vecq", "page.html", "summary.json"]


def test_a_training_that_has_not_ended_has_a_page(trained, tmp_path):
    place = tmp_path / "stopped"
    shutil.copytree(trained, place)
    for name in ("metrics.json", "network.npz"):
        (place / name).unlink()
    root = check(report(place).html)
    assert any("stopped after 2 epochs" in one for one in texts(root, "p"))
    assert text(root)
