"""Waves around the first wrong word, from a recording made with a library's writer."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from vcd import VCDWriter

from tests.report.pages import check
from tests.test_network import dense, network
from vecq_hw.bench.ports import Port
from vecq_hw.bench.runner import WAVES_FILE
from vecq_hw.bench.vectors import frames_text
from vecq_hw.emit.project import Project
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.report import report
from vecq_hw.report.gather import Mismatch
from vecq_hw.report.waves import BEFORE, picture, wave, wave_command
from vecq_hw.schedule import default_schedule
from vecq_hw.verify import rtl
from vecq_hw.verify.compare import verify
from vecq_hw.verify.files import record
from vecq_hw.verify.vectors import random_vectors

PORT = Port(
    stream="m_axis", tensor="fc", shape=(4,), bits=6, signed=True, lo=-32, hi=31, step=1.0,
    lanes=2, slot_bits=6, word_bits=16,
)  # fmt: skip
FRAMES = [[1, -2, 3, -4], [5, 6, 7, 8], [-32, 31, 0, 9]]


def project(folder: Path, frames: list[list[int]], pause: int = 2) -> Path:
    """A project whose bench took the words of ``frames``, each after ``pause`` idle cycles."""
    (folder / "vectors").mkdir(parents=True)
    (folder / "results").mkdir()
    (folder / "vectors" / "outputs.txt").write_text(frames_text(FRAMES))
    tree = {"input": replace(PORT, stream="s_axis").to_json(), "output": PORT.to_json()}
    (folder / "manifest.json").write_text(json.dumps(tree))
    words = [word for frame in frames for word in PORT.pack(frame)]
    # The bench resets once more in between; what was taken before does not count.
    cycles = [(0, 0, 0, 0)] * 3 + [(1, 1, 1, words[0])] + [(0, 0, 0, 0)] * 2
    for word in words:
        cycles += [(1, 0, 1, 0)] * pause + [(1, 1, 0, word), (1, 1, 1, word)]
    with (folder / WAVES_FILE).open("w") as file, VCDWriter(file, timescale="1 ps") as writer:
        names = {"aclk": 1, "aresetn": 1, "m_axis_tvalid": 1, "m_axis_tready": 1}
        signals = {n: writer.register_var("rootio", n, "wire", size=s) for n, s in names.items()}
        data = writer.register_var("rootio", "m_axis_tdata", "wire", size=16)
        # Registers show what is of the next cycle in the very instant of the rising edge.
        for cycle, (*bits, word) in enumerate(cycles):
            edge = max(10 * cycle - 5, 0)
            writer.change(signals["aclk"], edge, cycle and 1)
            for name, value in zip(list(names)[1:], bits, strict=True):
                writer.change(signals[name], edge, value)
            writer.change(data, edge, word)
            writer.change(signals["aclk"], 10 * cycle, 0)
        writer.change(signals["aclk"], 10 * len(cycles) - 5, 1)
        writer.change(signals["aclk"], 10 * len(cycles), 0)
    return folder


MISMATCH = Mismatch(output="fc", vector=1, index=2, expected=7, actual=6)


def test_the_wrong_word_is_found_where_it_was_taken(tmp_path):
    wrong = [FRAMES[0], [5, 6, 6, 8], FRAMES[2]]
    found = wave(project(tmp_path / "rtl", wrong), MISMATCH)
    assert found is not None
    # Words 0, 1, 2 before it, two pauses and one cycle of waiting in front of each.
    assert found.at == 3 * 4 + 3
    assert (found.expected, found.actual) == (PORT.pack([7, 8])[0], PORT.pack([6, 8])[0])
    assert found.first == found.at - BEFORE
    marked = found.samples[found.at - found.first]
    assert marked["m_axis_tdata"] == found.actual
    assert (marked["m_axis_tvalid"], marked["m_axis_tready"]) == ("1", "1")
    made = picture(0, found)
    assert f"in cycle {found.at} after the reset m_axis hands over {found.actual:x}" in made.svg
    assert {"m_axis_tdata", "m_axis_tvalid", "m_axis_tready"} <= set(
        re.findall(r">([^<>]+)</text>", made.svg)
    )


def test_waves_without_a_wrong_word_or_of_another_output_are_none(tmp_path):
    right = project(tmp_path / "rtl", FRAMES)
    assert wave(right, MISMATCH) is None
    assert wave(right, replace(MISMATCH, output="other")) is None
    assert wave(tmp_path, MISMATCH) is None


def test_damaged_waves_are_one_sentence(tmp_path):
    place = project(tmp_path / "rtl", FRAMES)
    (place / WAVES_FILE).write_text("$scope $scope $end\n")
    with pytest.raises(VecqError, match=r"waves\.vcd' is damaged"):
        wave(place, MISMATCH)


@pytest.mark.nightly
@pytest.mark.needs_verilator
def test_the_waves_of_a_broken_memory_are_in_the_page(tmp_path, monkeypatch):
    """A bit of a weight is turned; the page shows the word that it spoils, as Verilator saw it."""
    net = network(dense())

    def broken(*given: object) -> Project:
        files = dict(rtl.emit(*given).files)
        name = next(name for name in files if name.endswith("_weights.mem"))
        head, *lines = str(files[name]).splitlines()
        lines[0] = f"{int(lines[0], 16) ^ 1:0{len(lines[0])}x}"
        return Project(files | {name: "\n".join([head, *lines, ""])})

    place = tmp_path / "verified"
    schedule = default_schedule(net)
    for waves in ("", "1"):
        monkeypatch.setenv("WAVES", waves)
        target = replace(rtl.TARGET, emit=broken)
        done = verify(
            net, random_vectors(net, 4), targets=[target], folder=place, schedule=schedule
        )
        (row,) = done.rows
        assert row.mismatches, row.message
        with Folder(place, force=True) as folder:
            for name, (kind, content) in record(net, schedule, done.to_json()).items():
                folder.write(name, content, kind)
        page = report(place).html
        check(page)
        assert (wave_command(place / "rtl") in page) == (not waves)
        assert ("The first wrong word: cycle" in page) == bool(waves)
