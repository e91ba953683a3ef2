"""The command line as users and scripts meet it: status, one sentence, nothing half-written."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from tests.test_network import IMAGE, conv, dense, network
from vecq_hw import cli, schedule, storage
from vecq_hw.cli.emit import emit
from vecq_hw.cli.schedules import ScheduleChoice
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights
from vecq_hw.schedule import Fabric
from vecq_hw.verify.targets import TARGETS

WEIGHTS = Weights(codes=[[1, -2, 0], [-1, 1, 1]], grid=MidRise(2))


def vecq(*arguments: object, cwd=None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "vecq_hw", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
    )


@pytest.fixture
def vecq_here(tmp_path, monkeypatch, capfd):
    """The command in this process, in ``tmp_path``: nothing is imported anew for each call."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["vecq", *map(str, arguments)])
        monkeypatch.setattr(cli, "interrupt_on_signals", lambda: None)
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert isinstance(stop.value.code, int)
        return subprocess.CompletedProcess(sys.argv, stop.value.code, *capfd.readouterr())

    return run


@pytest.fixture
def stored(tmp_path):
    path = tmp_path / "network.npz"
    storage.save(network(dense(weights=WEIGHTS)), path)
    return path


def test_every_kind_of_project_can_be_emitted():
    kinds = {target.emit: target.name for target in reversed(TARGETS)}  # hls-dpi's is that of hls
    (choice,) = (part.type for part in emit.params if part.name == "target")
    assert sorted(choice.choices) == sorted(kinds.values())


def without(code: str, modules: Sequence[str]) -> str:
    """What some code prints; none of the modules are loaded by it."""
    last = f"\nimport sys; sys.exit(str({set(modules)} & sys.modules.keys()))"
    result = subprocess.run(
        [sys.executable, "-c", code + last], capture_output=True, text=True, check=False
    )
    assert result.stderr.strip() == "set()"
    return result.stdout


def test_help_lists_the_commands_and_loads_nothing_heavy():
    code = (
        "import sys; sys.argv = ['vecq', '--help']\n"
        "from vecq_hw.cli import main\n"
        "try: main()\n"
        "except SystemExit as stop: assert not stop.code\n"
    )
    heavy = "torch numpy rich jinja2 cocotb onnx onnxruntime qonnx tflite".split()
    output = without(code, heavy)
    for command in ("demo", "doctor", "train", "lower", "show", "simulate", "emit", "verify"):
        assert f"\n  {command} " in output


def test_what_a_network_costs_is_said_without_what_simulates_one_and_draws():
    needless = ["vecq_hw.simulate.reference", "vecq_hw.cli.train", "rich", "scipy"]
    without("import vecq_hw.cli.cost, vecq_hw.cost", needless)


CORE = ["simulate.reference", "simulate.faults", "simulate.maps", "simulate.overflows"]


@pytest.mark.parametrize("module", [*CORE, "storage", "interop", "emit.onnx", "emit.qonnx"])
def test_the_core_loads_no_library_of_a_model_format(module):
    """Nor an executor of one, nor what trains: these come when a file is read."""
    libraries = "onnx qonnx onnxruntime tflite flatbuffers ai_edge_litert brevitas torch".split()
    without(f"import vecq_hw.{module}", libraries)


# Its only window lies in the padding.
BESIDE = conv((2, 1, 1, 1), stride=(9, 9), padding=(2, 2))


def test_doctor_finds_everything_here():
    result = vecq("doctor", "--json", "-")
    assert result.returncode == 0
    assert all(row["path"] for row in json.loads(result.stdout))


def test_doctor_names_what_is_missing(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    result = vecq("doctor")
    assert result.returncode == 1
    assert "MISSING g++" in result.stdout
    assert "apt-get install g++" in result.stdout


def test_show_prints_layers_and_digest(stored):
    tree = json.loads(vecq("show", stored, "--json", "-").stdout)
    assert tree["digest"] == storage.digest(storage.load(stored))
    assert [row["name"] for row in tree["tensors"]] == ["x", "fc"]
    assert "float32 BLAS" in vecq("show", stored).stdout


def test_simulate_writes_the_outputs(stored, tmp_path):
    np.save(tmp_path / "x.npy", np.array([[1, 2, 3], [255, 0, 255]]))
    result = vecq("simulate", stored, "--inputs", tmp_path / "x.npy", "--out", tmp_path / "y.npy")
    assert result.returncode == 0, result.stderr
    # values 3, -3, 1 and -1, 3, 3
    assert np.load(tmp_path / "y.npy").tolist() == [[0, 14], [1020, 510]]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["show", "absent.npz"], "'absent.npz': there is no such file"),
        (["simulate", "{network}"], "give --data, --inputs or --reals"),
        (["simulate", "{network}", "--inputs", "{network}"], "arrays of 'x' are wanted, not of"),
        (["simulate", "{network}", "--inputs", "wide.npy"], "the codes 256..256 leave 0..255"),
        (["simulate", "{network}", "--data", "faces"], "faces"),
        (["verify", "{network}", "--targets", "vivado"], "there is no target 'vivado'"),
        (["verify", "{network}", "--schedule", "fold.json"], "3 inputs do not fold onto 2 lanes"),
        (["emit", "hls", "{network}", "--schedule", "fold.json"], "do not fold onto 2 lanes"),
        (["emit", "rtl", "{network}", "--layer", "fc9"], "fc9"),
        (["emit", "hls", "{network}", "--fabric", "ecp5"], "leave it out with hls"),
        (["emit", "hls4ml", "{network}", "--fabric", "ecp5"], "leave it out with hls4ml"),
        (["emit", "hls4ml", "{network}", "--axis-bits", 64], "leave it out with hls4ml"),
        (["emit", "rtl", "{image}"], "layer 'conv' (no window of it reaches the image)"),
        (["emit", "verilog", "{network}"], "'verilog' is not one of"),
        (["emit", "hls", "{network}", "--out", "file/below"], "cannot be written"),
        (["train", "--weight-bits", "17"], "17"),
        (["train", "--data", "absent.npz"], "absent.npz"),
        (["train", "--data", "bad.npz"], "bad.npz"),
        (["train", "--model", "absent.py:net"], "absent.py"),
        (["train", "--model", "transformer"], "transformer"),
        (["train", "--out", "file/below"], "file/below"),
        (["lower", "{network}"], "network.npz"),
        (["nonsense"], "No such command"),
    ],
)
def test_a_mistake_gives_one_sentence_status_2_and_leaves_nothing(
    tmp_path, stored, vecq_here, arguments, says
):
    image = tmp_path / "image.npz"
    storage.save(network(BESIDE, source=IMAGE), image)
    np.save(tmp_path / "wide.npy", np.full((1, 3), 256))
    np.savez(tmp_path / "bad.npz", x_train=np.zeros((3, 2)))
    (tmp_path / "file").write_text("not a folder")
    (tmp_path / "fold.json").write_text('{"fc": {"pe": 1, "simd": 2}}')
    before = sorted(p.name for p in tmp_path.rglob("*"))
    names = {"{network}": stored, "{image}": image}
    result = vecq_here(*(names.get(a, a) for a in arguments))
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    sentence = [line for line in result.stderr.splitlines() if line.lower().startswith("error")]
    assert len(sentence) == 1
    assert sorted(p.name for p in tmp_path.rglob("*")) == before


MODELS = """
import torch
from torch import nn

def _linear(value):
    layer = nn.Linear(64, 10)
    with torch.no_grad():
        layer.weight.fill_(value)
    return nn.Sequential(nn.Flatten(), layer)

def nan(): return _linear(float("nan"))
def infinite(): return _linear(float("inf"))
def zero(): return _linear(0.0)
def softmax(): return nn.Sequential(nn.Flatten(), nn.Softmax(1), nn.Linear(64, 10))
def narrow(): return nn.Sequential(nn.Flatten(), nn.Linear(63, 10))
def broken(): raise RuntimeError("no luck")
def nothing(): return None
"""


@pytest.mark.parametrize(
    ("function", "says"),
    [
        ("nan", "layer '1'"),
        ("infinite", "layer '1'"),
        ("zero", "layer '1'"),
        ("softmax", "Softmax"),
        ("narrow", "63"),
        ("broken", "RuntimeError: no luck"),
        ("nothing", "returned NoneType"),
        ("absent", "has no function 'absent'"),
    ],
)
def test_a_faulty_model_is_refused_by_name(tmp_path, vecq_here, function, says):
    (tmp_path / "models.py").write_text(MODELS)
    result = vecq_here("train", "--model", f"models.py:{function}", "--epochs", 1)
    assert result.returncode == 2, result.stderr
    assert says in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "trained").exists()


@pytest.mark.parametrize("target", ["hls", "rtl"])
def test_a_missing_tool_is_named_with_its_remedy(stored, tmp_path, monkeypatch, target):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = sorted(tmp_path.iterdir())
    result = vecq("verify", stored, "--targets", target, "--samples", 3)
    assert result.returncode == 2, result.stderr
    assert "is missing" in result.stderr
    assert "apt-get install" in result.stderr
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.needs_cxx
def test_verify_passes_and_reports_for_scripts(stored, tmp_path):
    result = vecq(
        "verify", stored, "--targets", "hls", "--samples", 20,
        "--json", tmp_path / "rows.json", "--junit", tmp_path / "rows.xml",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (row,) = json.loads((tmp_path / "rows.json").read_text())["targets"]
    assert (row["name"], row["vectors"], row["outputs"], row["mismatches"]) == ("hls", 25, 50, 0)
    assert 'tests="1"' in (tmp_path / "rows.xml").read_text()


def test_options_change_what_the_schedule_file_says(tmp_path):
    net, file = network(dense(weights=WEIGHTS)), tmp_path / "schedule.json"
    file.write_text('{"version": 1, "folds": {"fc": {"pe": 2}}, "fabric": "ecp5", "axis_bits": 32}')

    def chosen(**options):
        given = {"file": file, "lanes": 8, "fabric": None, "axis_bits": None} | options
        return ScheduleChoice(**given).schedule(net)

    assert chosen() == schedule.load(file)
    assert chosen(fabric="lut6", axis_bits=64) == replace(
        schedule.load(file), fabric=Fabric.LUT6, axis_bits=64
    )
    assert chosen(file=None, lanes=2) == schedule.default_schedule(net, 2)


@pytest.mark.nightly
@pytest.mark.needs_verilator
def test_any_fabric_and_width_is_verified(stored, tmp_path):
    options = ("--fabric", "ecp5", "--axis-bits", 32, "--samples", 3, "--out", tmp_path / "p")
    result = vecq("verify", stored, "--targets", "rtl", *options)
    assert result.returncode == 0, result.stdout + result.stderr
    tops = [path.read_text() for path in (tmp_path / "p" / "rtl" / "rtl").glob("*.sv")]
    assert any(".QuadRows(1'b1)" in text for text in tops)


def test_a_run_in_which_nothing_was_compared_fails(tmp_path):
    storage.save(network(BESIDE, source=IMAGE), tmp_path / "image.npz")
    result = vecq("verify", tmp_path / "image.npz", "--targets", "rtl", "--out", tmp_path / "p")
    assert result.returncode == 3
    assert "nothing was compared" in result.stderr
    assert not (tmp_path / "p").exists()
    assert "unsupported: layer 'conv' (no window of it reaches the image)" in result.stdout


@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
@pytest.mark.nightly  # the wheel runs the demo for each change
@pytest.mark.parametrize("model", ["mlp", "cnn"])
def test_the_demo_runs_on_a_terminal_and_sums_up(tmp_path, model):
    """Spinners and progress bars are shown there, and must not get in each other's way."""
    options = ["--model", model, "--epochs", "3", "--out", "demo"]
    command = [sys.executable, "-m", "vecq_hw", "demo", *options]
    leader, follower = pty.openpty()
    with subprocess.Popen(command, cwd=tmp_path, stdout=follower, stderr=follower) as process:
        os.close(follower)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal is gone once the command ends
            while chunk := os.read(leader, 65536):
                shown += chunk
    os.close(leader)
    assert process.returncode == 0, shown.decode()
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())[model]
    rows = {row["name"]: row for row in summary["targets"]}
    assert all(row["vectors"] == 602 and row["mismatches"] == 0 for row in rows.values())
    assert {"hls", "rtl"} <= rows.keys()
    for key in ("float_accuracy", "qat_accuracy", "integer_accuracy"):
        assert summary[key] > 0.8
    assert summary["prediction_differences"] <= 1
    stored = storage.load(tmp_path / "demo" / model / "network.npz")
    assert storage.digest(stored) == summary["network_digest"]
