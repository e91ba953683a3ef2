"""The bench of a top with the ports that Vitis HLS gives it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .accelerator import Bench
from .stream import Stream


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

    @property
    def streams(self) -> tuple[Stream, Stream]:
        """The input and the output stream."""
        return self._stream("s_axis"), self._stream("m_axis")

    def _stream(self, name: str) -> Stream:
        parts = ("valid", "ready", "data", "last")
        handles = {part: getattr(self.dut, f"{name}_T{part.upper()}") for part in parts}
        return Stream(name=name, clock=self.clock, **handles)
