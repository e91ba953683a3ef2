"""Yosys' other front end reads the cells, with the block of ECP5 that their README gives."""

import re
from pathlib import Path

import pytest

from rtl_tests.formal import attempt
from vecq_hw import assets

CELLS = ["vecq_adder", "vecq_carry_adder", "vecq_pair_sums", "vecq_plane_sum"]


@pytest.mark.needs_yosys
def test_the_black_box_of_the_readme_serves_slang(tmp_path: Path) -> None:
    (box,) = re.findall(
        r"```systemverilog\n(.*?)```", (assets.rtl() / "README.md").read_text(), re.S
    )
    texts = {f"{cell}.sv": (assets.rtl() / f"{cell}.sv").read_text() for cell in CELLS}
    top = "vecq_carry_adder"

    def read(files: dict[str, str]) -> tuple[bool, str]:
        command = f"read_slang --top {top} -DSYNTHESIS {' '.join(files)}"
        return attempt(files, [command, "synth_ecp5 -top " + top])

    failed, output = read({**texts, "box.sv": box})
    assert not failed, output[-2000:]
    failed, output = read(texts)
    assert failed
    assert "CCU2C" in output
