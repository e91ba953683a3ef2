"""Projects that are built and run: what a change of one of their files brings."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import ODD_NAME
from tests.emit.systemverilog_networks import (
    mlp,
    schedule,
    vectors,
)
from vecq_hw.schedule import Fold, Schedule
from vecq_hw.toolchain import make_word
from vecq_hw.verify.rtl import TARGET
from vecq_hw.verify.target import TargetError


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was built and run, to copy from."""
    folder = tmp_path_factory.mktemp("rtl") / "project"
    network = mlp()
    expected = vectors(network)
    TARGET.emit(network, schedule(network), expected).write(folder)
    np.testing.assert_array_equal(TARGET.run(folder), expected.outputs)
    return folder


def tampered(built: Path, folder: Path, name: str, old: str, new: str) -> Path:
    """A copy of the project with one change."""
    copy = folder / "copy"
    shutil.copytree(built, copy)
    text = (copy / name).read_text()
    assert text.count(old) == 1
    (copy / name).write_text(text.replace(old, new))
    return copy


@pytest.mark.needs_verilator
def test_a_moved_project_runs_by_make_and_is_left_alone_by_the_environment(
    built: Path, tmp_path: Path, alone: dict[str, str]
) -> None:
    moved = tmp_path / ODD_NAME
    shutil.copytree(built, moved)
    (moved / "results" / "outputs.txt").unlink()
    done = subprocess.run(
        ["make", f"PYTHON={make_word(sys.executable)}"],
        cwd=moved,
        env=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (moved / "results/outputs.txt").read_text() == (
        moved / "vectors/outputs.txt"
    ).read_text()


@pytest.mark.needs_verilator
@pytest.mark.nightly  # as test_targets.py's controls
def test_a_flipped_weight_bit_is_seen(built: Path, tmp_path: Path) -> None:
    name = "rtl/fc2_weights.mem"
    lines = (built / name).read_text().splitlines(keepends=True)
    old = "".join(lines[:2])
    flipped = f"{int(lines[1], 16) ^ 1:x}\n"
    folder = tampered(built, tmp_path, name, old, lines[0] + flipped)
    assert np.any(TARGET.run(folder) != vectors(mlp()).outputs)


@pytest.mark.needs_verilator
@pytest.mark.nightly  # as test_targets.py's controls
def test_a_lost_carry_of_a_rescale_is_seen(built: Path, tmp_path: Path) -> None:
    old, new = "{product_q, 1'b1} + {offset_q, carry_q}", "{product_q, 1'b1} + {offset_q, 1'b0}"
    folder = tampered(built, tmp_path, "rtl/vecq_rescale.sv", old, new)
    assert np.any(TARGET.run(folder) != vectors(mlp()).outputs)


@pytest.mark.needs_verilator
@pytest.mark.nightly  # as test_targets.py's controls
def test_a_dropped_beat_is_seen(built: Path, tmp_path: Path) -> None:
    old, new = "push      = !hold_q && valid_i;", "push      = 1'b0;"
    folder = tampered(built, tmp_path, "rtl/vecq_pipeline_end.sv", old, new)
    with pytest.raises(TargetError, match=r"frame \d+, word \d+ \(\d+ words before\), cycle \d+"):
        TARGET.run(folder)


@pytest.mark.needs_verilator
def test_a_word_that_changes_while_it_waits_trips_an_assertion(tmp_path: Path) -> None:
    network, linked = mlp(), tmp_path / "linked"
    # Between layers of as many lanes stands a stream register; the second layer is the slower one.
    folds = {"fc1": Fold(pe=3, simd=2), "fc2": Fold(pe=1, simd=3)}
    TARGET.emit(network, Schedule(folds=folds), vectors(network)).write(linked)
    name, old = "rtl/vecq_stream_register.sv", "if (free) data_q"
    folder = tampered(linked, tmp_path, name, old, "data_q")
    with pytest.raises(TargetError, match=r"rules_out.*: the word changed before it was taken"):
        TARGET.run(folder)


@pytest.mark.needs_verilator
def test_a_lost_memory_is_a_target_error(built: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(built, folder)
    (folder / "rtl" / "fc2_bias.mem").unlink()
    with pytest.raises(TargetError, match=r"there is no memory file '\./fc2_bias\.mem'"):
        TARGET.run(folder)


@pytest.mark.needs_verilator
def test_right_outputs_at_a_wrong_pace_are_a_target_error(built: Path, tmp_path: Path) -> None:
    old = re.search(r'"interval": \d+', (built / "manifest.json").read_text())
    assert old is not None
    folder = tampered(built, tmp_path, "manifest.json", old[0], '"interval": 1')
    with pytest.raises(TargetError, match="frames_keep_the_stated_pace"):
        TARGET.run(folder)


@pytest.mark.needs_verilator
def test_a_broken_source_is_a_target_error(built: Path, tmp_path: Path) -> None:
    folder = tampered(built, tmp_path, "rtl/vecq_rom.sv", "endmodule", "endmodul")
    with pytest.raises(TargetError, match="syntax error"):
        TARGET.run(folder)


def test_the_network_is_not_trivial() -> None:
    network = mlp()
    outputs = vectors(network).outputs
    assert len(np.unique(outputs)) > 20
