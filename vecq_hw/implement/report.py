"""What an implementation came to: area by layer, clock of every seed, whether it fits."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from vecq_hw.devices import Device
from vecq_hw.implement.place import Timing
from vecq_hw.netlist.counts import Counts


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All that one implementation tells.

    Attributes
    ----------
    layers : mapping of str to Counts
        What each layer takes; what lies between and around them is in ``total`` alone.
    total : Counts
        Of the accelerator with its few-pin top.
    cycles, latency_cycles : float
        From frame to frame, and until the first output word.
    timings : mapping of int to Timing
        By seed; empty where nothing was placed.
    over : sequence of str
        By how much the device is too small.
    advice : sequence of str
        Which schedule would fit, and what costs more than half of the device.
    files : mapping of str to str
        What was written, relative to the folder.
    """

    name: str
    digest: str
    device: Device
    clock_mhz: float
    layers: Mapping[str, Counts]
    total: Counts
    cycles: float
    latency_cycles: int
    timings: Mapping[int, Timing]
    over: Sequence[str] = ()
    advice: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)

    @property
    def fits(self) -> bool:
        """Whether the device is large enough."""
        return not self.over

    @property
    def fmax_all(self) -> list[float]:
        """What each seed reached, in MHz."""
        return [timing.fmax_mhz for timing in self.timings.values()]

    @property
    def fmax_mhz(self) -> float | None:
        """The median of the seeds."""
        return statistics.median(self.fmax_all) if self.timings else None

    @property
    def median_seed(self) -> int | None:
        """The seed whose clock is nearest to the median."""
        middle = self.fmax_mhz
        if middle is None:
            return None
        return min(self.timings, key=lambda seed: abs(self.timings[seed].fmax_mhz - middle))

    @property
    def best_seed(self) -> int | None:
        """The seed with the fastest clock."""
        return max(self.timings, key=lambda seed: self.timings[seed].fmax_mhz, default=None)

    @property
    def frames_per_second(self) -> float | None:
        """At the median clock."""
        return None if self.fmax_mhz is None else self.fmax_mhz * 1e6 / self.cycles

    def to_json(self) -> dict[str, Any]:
        """For scripts; ``luts`` are positions of tables, those that carry chains take included."""
        best = self.best_seed
        return {
            "name": self.name,
            "digest": self.digest,
            "device": self.device.name,
            "part": self.device.part,
            **_counts(self.total),
            "cycles": self.cycles,
            "latency_cycles": self.latency_cycles,
            "clock_mhz": self.clock_mhz,
            "fmax_mhz": self.fmax_mhz,
            "fmax_best": max(self.fmax_all, default=None),
            "fmax_worst": min(self.fmax_all, default=None),
            "fmax_all": self.fmax_all,
            "seeds": list(self.timings),
            "slack_ns": None
            if self.fmax_mhz is None
            else round(1e3 / self.clock_mhz - 1e3 / self.fmax_mhz, 3),
            "frames_per_second": self.frames_per_second,
            "fits": self.fits,
            "over": list(self.over),
            "advice": list(self.advice),
            "used": {} if best is None else dict(self.timings[best].used),
            "critical_path": []
            if self.median_seed is None
            else [asdict(step) for step in self.timings[self.median_seed].path],
            "layers": [{"name": name, **_counts(own)} for name, own in self.layers.items()],
            "files": dict(self.files),
        }


def _counts(counts: Counts) -> dict[str, float]:
    return {
        "luts": counts.positions,
        "luts_of_logic": counts.luts,
        "ffs": counts.flip_flops,
        "carries": counts.carries,
        "brams": counts.block_rams,
        "dsps": counts.dsps,
    }
