"""Recorded waves of a bench around the first word that is wrong, as a picture."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vecq_hw.bench.ports import End, load_ends
from vecq_hw.bench.runner import WAVES_FILE
from vecq_hw.bench.vectors import read_frames
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.report.figure import INK, LINE, SERIES, Figure, plot
from vecq_hw.report.gather import MANIFEST, Mismatch

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BEFORE, AFTER = 12, 4
"""Clock cycles that are drawn around the wrong word."""
MOST_LINKS = 4
"""Streams between layers that are drawn, the last ones before the output."""
LARGEST_BYTES = 1 << 28
"""The largest file that is read."""

Sample = dict[str, str | int]
"""The value of each signal in a cycle; a text where it is not known or has one bit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wave:
    """Cycles around a wrong word.

    Attributes
    ----------
    first : int
        The cycle, since the reset, of the first sample.
    at : int
        The cycle in which the wrong word was taken.
    samples : sequence of Sample
        What each signal was at the rising edge of the clock.
    expected, actual : int
        The word; None where one of its bits is not known.
    stream : str
        Whose word it is.
    """

    first: int
    at: int
    samples: Sequence[Sample]
    expected: int
    actual: int | None
    stream: str


def has_bench(project: Path) -> bool:
    """Whether a simulation of a project could record waves."""
    places = (project, project / "cosim")
    return any((place / "run.py").exists() and (place / "rtl").is_dir() for place in places)


def wave_command(project: Path) -> str:
    """What records the waves of a project."""
    cosim = " cosim" if (project / "cosim").is_dir() else ""
    return f"make -C {project}{cosim} WAVES=1"


def recorded(project: Path) -> Path | None:
    """The file of a project's waves, if there is one."""
    for folder in (project, project / "cosim"):
        if (folder / WAVES_FILE).exists():
            return folder / WAVES_FILE
    return None


def wave(project: Path, mismatch: Mismatch) -> Wave | None:
    """The cycles around the first wrong word of an output; None where no wave has a wrong word.

    Raises
    ------
    VecqError
        The file of waves is damaged.
    MissingToolError
        pyvcd is not installed.
    """
    file = recorded(project)
    if file is None:
        return None
    _, outputs = load_ends(project / MANIFEST)
    end = next((end for end in outputs if end.port.tensor == mismatch.output), None)
    if end is None:
        return None
    frames = read_frames(project / "vectors" / end.vectors)
    expected = [word for frame in frames for word in end.port.pack(frame)]
    return _around(_sampled(file), end, expected)


def _around(samples: Iterator[Sample], end: End, expected: Sequence[int]) -> Wave | None:
    stream = end.port.stream
    kept: deque[tuple[int, Sample]] = deque(maxlen=BEFORE + 1)
    cycle, taken = 0, 0
    for sample in samples:
        if sample.get("aresetn") != "1":
            cycle, taken = 0, 0
            kept.clear()
            continue
        kept.append((cycle, sample))
        if sample.get(f"{stream}_tvalid") == sample.get(f"{stream}_tready") == "1":
            actual = _number(sample[f"{stream}_tdata"])
            wanted = expected[taken % len(expected)]
            if actual != wanted:
                rest = [later for later, _ in zip(samples, range(AFTER), strict=False)]
                return Wave(
                    first=kept[0][0],
                    at=cycle,
                    samples=[one for _, one in kept] + rest,
                    expected=wanted,
                    actual=actual,
                    stream=stream,
                )
            taken += 1
        cycle += 1
    return None


def _number(value: str | int) -> int | None:
    """None where a bit is not known."""
    if isinstance(value, int):
        return value
    return int(value, 2) if set(value) <= {"0", "1"} else None


def _sampled(file: Path) -> Iterator[Sample]:
    """All signals of the outermost module that has a clock, at each of its rising edges."""
    try:
        from vcd.reader import TokenKind, VCDParseError, tokenize
    except ImportError:
        raise MissingToolError(
            "waves need pyvcd; install it with: pip install 'vecq-hw[report]'"
        ) from None
    names: dict[str, list[str]] = {}
    values: Sample = {}
    before: Sample = {}
    clock = "0"
    try:
        if file.stat().st_size > LARGEST_BYTES:
            raise VecqError(
                f"'{file}' is larger than {LARGEST_BYTES:,} bytes; verify fewer samples"
            )
        # Verilator calls its outermost scope by a keyword, which the reader does not take.
        content = file.read_bytes().replace(b"$scope module $rootio", b"$scope module rootio", 1)
        with io.BytesIO(content) as stream:
            for token in tokenize(stream):
                match token.kind:
                    case TokenKind.VAR:
                        names.setdefault(token.var.id_code, []).append(token.var.reference)
                    case TokenKind.CHANGE_TIME:
                        # What was before the edge is what registers and the bench saw at it.
                        if clock == "0" and values.get("aclk") == "1":
                            yield before
                        clock = str(values.get("aclk", "0"))
                        before = dict(values)
                    case TokenKind.CHANGE_SCALAR:
                        change = token.scalar_change
                        values.update(dict.fromkeys(names.get(change.id_code, ()), change.value))
                    case TokenKind.CHANGE_VECTOR:
                        vector = token.vector_change
                        values.update(dict.fromkeys(names.get(vector.id_code, ()), vector.value))
                    case _:
                        pass
    except (VCDParseError, ValueError, OSError) as error:
        raise VecqError(f"'{file}' is damaged ({error}); record it again") from None


def _hexadecimal(word: int | None) -> str:
    return "unknown" if word is None else f"{word:x}"


def picture(place: int, found: Wave) -> Figure:
    """The output's handshake and the streams before it, with the wrong word marked."""
    signals = _signals(found)
    alt = (
        f"Waves of {len(signals)} signals over {len(found.samples)} clock cycles: in cycle"
        f" {found.at} after the reset {found.stream} hands over {_hexadecimal(found.actual)} where"
        f" {_hexadecimal(found.expected)} is expected."
    )
    with plot(f"wave-{place}", alt, 0.9 + 0.33 * len(signals)) as made:
        axes = made.axes
        count = len(found.samples)
        edges = [found.first + step for step in range(count + 1)]
        wrong = found.at
        axes.axvspan(wrong, wrong + 1, color=SERIES[1], alpha=0.3, lw=0)
        for row, name in enumerate(signals):
            values = [sample.get(name, "x") for sample in found.samples]
            base = -row
            if name.endswith("_tdata"):
                _bus(axes, edges, values, base)
                continue
            levels = [base + 0.7 * (value == "1") for value in values]
            axes.step(edges, [*levels, levels[-1]], where="post", color=SERIES[0])
        axes.set_yticks([0.35 - row for row in range(len(signals))], signals)
        axes.set_xlim(edges[0], edges[-1])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("clock cycle since the reset")
    caption = (
        f"The first wrong word: cycle {found.at}, expected {_hexadecimal(found.expected)}, actual"
        f" {_hexadecimal(found.actual)}. Each signal is as the rising edge of the clock saw it."
    )
    return Figure(svg=made.svg, caption=caption)


def _signals(found: Wave) -> list[str]:
    """The output's signals, and the handshakes of the last streams before it."""
    known = found.samples[0]
    ends = [f"{found.stream}_{part}" for part in ("tdata", "tvalid", "tready", "tlast")]
    links = [
        name.removesuffix("_valid")
        for name in known
        if name.endswith("_valid") and name.removesuffix("_valid") + "_ready" in known
    ]
    handshakes = [f"{link}_{part}" for link in links[-MOST_LINKS:] for part in ("valid", "ready")]
    return [name for name in (*handshakes, *ends) if name in known]


def _bus(axes: Axes, edges: Sequence[int], values: Sequence[str | int], base: float) -> None:
    """Boxes of equal values, those that are wide enough with the last digits in them."""
    start = 0
    for stop in range(1, len(values) + 1):
        if stop < len(values) and values[stop] == values[start]:
            continue
        left, width = edges[start], edges[stop] - edges[start]
        axes.broken_barh([(left, width)], (base, 0.7), facecolor="none", edgecolor=LINE)
        if width >= 3:
            shown = _hexadecimal(_number(values[start]))
            text = shown if len(shown) <= 2 * width - 2 else f"…{shown[-(2 * width - 3) :]}"
            axes.text(left + width / 2, base + 0.35, text, ha="center", va="center", color=INK)
        start = stop
