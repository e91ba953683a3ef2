"""Whole networks, a folder each where the bench runs: outputs, pace, reset in mid-frame."""

import importlib.util
from pathlib import Path
from typing import Any

import cocotb

from vecq_hw.bench.accelerator import Bench

TOPS = sorted(path.parent.name for path in Path.cwd().glob("*/manifest.json"))


def bench(dut: Any, top: str) -> Bench:
    """The generated bench's own description of its top."""
    folder = Path.cwd() / top
    spec = importlib.util.spec_from_file_location(f"bench_{top}", folder / f"bench_{top}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return Bench(dut, module.ACCELERATOR, folder / "vectors", f"{top}_")


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
