"""The bench of a top with the ports that Vitis HLS gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .accelerator import Bench
from .ports import Port
from .stream import StreamSignals


@dataclass(frozen=True, slots=True)
class VitisBench(Bench):
    """:class:`Bench` with ``ap_clk``, ``ap_rst_n`` and ``s_axis_TDATA``, ``s_axis_TVALID``, …"""

    @property
    def clock(self) -> Any:
        """Handle of the clock."""
        return self.dut.ap_clk

    @property
    def reset_n(self) -> Any:
        """Handle of the reset, active low."""
        return self.dut.ap_rst_n

    def stream(self, port: Port) -> StreamSignals:
        """The stream of an end."""
        parts = ["valid", "ready", "data", "last", *(["keep"] if port.keep else [])]
        handles = {part: getattr(self.dut, f"{port.stream}_T{part.upper()}") for part in parts}
        return StreamSignals(name=port.stream, clock=self.clock, keeps=port.keeps, **handles)
