"""Whole networks, a folder each where the bench runs: outputs, pace, reset in mid-frame."""

from pathlib import Path
from typing import Any

import cocotb

from vecq_hw.bench.accelerator import Accelerator, Bench

TOPS = sorted(path.parent.name for path in Path.cwd().glob("*/manifest.json"))


def bench(dut: Any, top: str) -> Bench:
    """The bench of a top by its own manifest."""
    folder = Path.cwd() / top
    accelerator = Accelerator.load(folder / "manifest.json")
    return Bench(dut, accelerator, folder / "vectors", f"{top}_")


@cocotb.test()
@cocotb.parametrize(top=TOPS)
async def outputs_are_those_of_the_network(dut: Any, top: str) -> None:
    await bench(dut, top).compare_vectors(Path("results") / top / "outputs.txt")


@cocotb.test()
@cocotb.parametrize(top=TOPS)
async def reset_in_mid_frame_recovers(dut: Any, top: str) -> None:
    await bench(dut, top).recover_from_reset()


@cocotb.test()
@cocotb.parametrize(top=TOPS)
async def frames_keep_the_stated_pace(dut: Any, top: str) -> None:
    await bench(dut, top).keep_pace()
