"""The streaming accelerator cycle by cycle: when words move, whatever their values."""

from vecq_hw.simulate.dataflow.fifo import fifo_depths, with_fifo_depths
from vecq_hw.simulate.dataflow.frames import (
    DataflowRun,
    DeadlockError,
    check_depths,
    simulate_frames,
    simulate_pace,
)

__all__ = [
    "DataflowRun",
    "DeadlockError",
    "check_depths",
    "fifo_depths",
    "simulate_frames",
    "simulate_pace",
    "with_fifo_depths",
]
