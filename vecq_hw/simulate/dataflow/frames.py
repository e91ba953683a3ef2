"""Frames through the streaming accelerator, to the cycle: latency, interval, stalls, deadlock."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from vecq_hw.accelerator.cells import Join, Plan
from vecq_hw.accelerator.plan import plan
from vecq_hw.accelerator.streams import Fork, Stream
from vecq_hw.arguments import meant
from vecq_hw.errors import VecqError
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, check
from vecq_hw.simulate.dataflow.processes import Graph, LinkBuffer, Pauses
from vecq_hw.simulate.dataflow.times import run

SEARCHED_FRAMES = 2
"""Frames back to back that show which depths are needed; each further one repeats the second."""
LEAST_FRAMES, MOST_FRAMES = 4, 256
"""Frames that :func:`simulate_pace` begins with, and after which it takes the pace as it is."""


class DeadlockError(VecqError):
    """The network stands still for ever; the message names the branch and the words it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DataflowRun:
    """When words moved; cycle 0 is the one that offers the first input word.

    Attributes
    ----------
    first_output : int
        Cycle in which the first output word is valid.
    frame_ends : sequence of int
        For each frame the cycle in which the last of its output words was taken.
    in_flight : int
        Frames that had begun to go in when the first had come out.
    busy : mapping
        Cycles a frame that the busiest cell of each layer works; a share of ``interval``, it is the
        layer's utilisation.
    spans : mapping
        For each layer and frame the cycle of its first word in and the one after its last word out.
    stored : mapping
        For each link the smallest depth with which all would have been the same.
    input_cycles, output_cycles : mapping
        For each input and output the cycle in which each word was taken.
    """

    first_output: int
    frame_ends: Sequence[int]
    in_flight: int
    busy: Mapping[str, int]
    spans: Mapping[str, Sequence[tuple[int, int]]]
    stored: Mapping[str, int]
    input_cycles: Mapping[str, Sequence[int]]
    output_cycles: Mapping[str, Sequence[int]]

    @property
    def total_cycles(self) -> int:
        """Until the last output word has been taken."""
        return self.frame_ends[-1] + 1

    @property
    def period(self) -> int | None:
        """After so many frames the cycles between the ends of frames repeat; None if not seen to.

        Where frames are shorter than the FIFOs of a branch, some come close together and others
        wait for the branch, in turns.  A turn has at most as many frames as are in flight, so
        that many repeat before it is believed.
        """
        ends = self.frame_ends
        between = [end - before for before, end in itertools.pairwise(ends)]
        for period in range(1, len(between) // 2 + 1):
            seen = between[-max(2 * period, self.in_flight) :]
            if len(seen) >= self.in_flight and seen[period:] == seen[:-period]:
                return period
        return None

    @property
    def interval(self) -> int | float:
        """Cycles a frame takes, on average over a period, or over the second half of the frames."""
        ends = self.frame_ends
        frames = self.period or len(ends) // 2
        cycles = ends[-1] - ends[-1 - frames]
        return cycles / frames if cycles % frames else cycles // frames

    @property
    def utilisation(self) -> dict[str, float]:
        """The share of its cycles that each layer works, 0 to 1."""
        return {name: cycles / self.interval for name, cycles in self.busy.items()}


def simulate_frames(
    network: Network,
    schedule: Schedule,
    depths: Mapping[str, int] | None = None,
    frames: int = 2,
    *,
    input_pauses: Pauses = (),
    output_pauses: Pauses = (),
) -> DataflowRun:
    """Send frames back to back through the accelerator that ``schedule`` makes of ``network``.

    The cells and their timing: :mod:`~vecq_hw.simulate.dataflow.recurrences`,
    :mod:`~vecq_hw.accelerator.units`; where they stand:
    :mod:`~vecq_hw.accelerator.plan`.  A network that ``emit.systemverilog`` takes behaves
    like its RTL to the cycle.

    Parameters
    ----------
    depths : mapping, optional
        Words of its producer that a link such as ``"conv1→add1"`` holds.  A link that is not named
        is as small as can be: a register stage, or a width converter.
    frames : int, at least 2
    input_pauses, output_pauses : sequence of bool, or mapping of them
        In which cycles the inputs begin no word and the outputs take none, none after their end:
        all of them, or each by its name in the plan.

    Raises
    ------
    DeadlockError
        A branch behind a fork is too small.
    VecqError
        The schedule does not fit, or a depth is too small or of a link that there is not.
    """
    if frames < 2:
        raise VecqError(f"{frames} frames were given; an interval takes at least 2")
    check(network, schedule)
    planned = plan(network, schedule)
    graph = Graph(planned, frames, input_pauses=input_pauses, output_pauses=output_pauses)
    given = dict(depths or {})
    set_depths(graph, given)
    run(graph.processes)
    if not is_complete(graph):
        check_depths(planned, given)
    return _measured(graph)


def simulate_pace(
    network: Network, schedule: Schedule, depths: Mapping[str, int] | None = None
) -> DataflowRun:
    """As :func:`simulate_frames`, of as many frames as show how many cycles one takes."""
    frames = LEAST_FRAMES
    while (result := simulate_frames(network, schedule, depths, frames)).period is None:
        if frames >= MOST_FRAMES:
            break
        frames *= 2
    return result


def set_depths(graph: Graph, depths: Mapping[str, int | None]) -> None:
    """Give links their depths; None is without limit.

    Raises
    ------
    VecqError
        The network has no stream of a name, or a depth is less than its stream needs.
    """
    for name, depth in depths.items():
        link = graph.links.get(name)
        if link is None:
            raise VecqError(
                f"network '{graph.plan.network.name}' has no stream '{name}'; it has"
                f" {', '.join(graph.links)}{meant(name, graph.links)}"
            )
        if depth is not None and depth < link.least:
            raise VecqError(f"stream '{name}': a depth of {depth}; at least {link.least} is wanted")
        link.set_depth(depth)


def is_complete(graph: Graph) -> bool:
    """Whether every word went in and came out.

    Where all windows lie in the padding, words come out of a network that stands still before them.
    """
    ends = (*graph.plan.inputs.values(), *graph.plan.outputs.values())
    return all(len(graph.channel(end).takes) == graph.frames * end.words for end in ends)


def grow_until_complete(graph: Graph, depths: dict[str, int]) -> None:
    """Where a graph of the worst case stands still, add words to its links, until it ends.

    The links that grow starve a join: they are full while the join waits for another operand
    (T. M. Parks, *Bounded Scheduling of Process Networks*, 1995: grow only what deadlocks).
    ``depths`` is updated.
    """
    while not is_complete(graph):
        for name in _starving(graph):
            depths[name] = depths.get(name, graph.links[name].least) + 1
            graph.links[name].set_depth(depths[name])
        run(graph.processes)


def _starving(graph: Graph) -> Iterator[str]:
    """The full links of the last join that waits for an operand; what follows it is idle.

    Each descends from a fork, on which the awaited operand depends too if there is such a join.  A
    full link with no fork before it holds up nothing but itself.
    """
    forks = _forks_before(graph.plan)
    for closed in (True, False):
        for cell in reversed(graph.plan.cells):
            if isinstance(cell, Join):
                reader = cell.layer.name
                links = {n: li for n, li in graph.links.items() if li.planned.reader == reader}
                awaited = [li for li in links.values() if li.buffer.target.offers.is_awaited]
                behind = [forks[link.planned.source.tensor] for link in awaited]
                full = [
                    name
                    for name, link in links.items()
                    if link.buffer.is_full
                    and (before := forks[link.planned.source.tensor])
                    and (any(before & other for other in behind) if closed else behind)
                ]
                if full:
                    yield from full
                    return


def _forks_before(planned: Plan) -> dict[str, frozenset[str]]:
    """For each tensor those, perhaps itself, that it descends from and several read."""
    network = planned.network
    parents = {layer.name: layer.inputs for layer in network.layers}
    forked = {cell.targets[0].tensor for cell in planned.cells if isinstance(cell, Fork)}
    found: dict[str, frozenset[str]] = {}
    for name in network.tensors:  # in the order of the layers
        before = frozenset[str]().union(*(found[parent] for parent in parents.get(name, ())))
        found[name] = before | {name} if name in forked else before
    return found


def check_depths(planned: Plan, depths: Mapping[str, int]) -> None:
    """Raise :class:`DeadlockError` where, with such depths, the plan can stand still for ever.

    The message names the branch and the words that it needs.
    """
    graph = Graph(planned, SEARCHED_FRAMES, worst_case=True)
    set_depths(graph, depths)
    run(graph.processes)
    if is_complete(graph):
        return
    first = next(_starving(graph))
    link = graph.links[first]
    needed = dict(depths)
    grow_until_complete(graph, needed)
    raise DeadlockError(
        f"network '{graph.plan.network.name}': the fork behind '{_common_source(graph.plan, link)}'"
        f" starves '{link.planned.reader}': its branch '{first}' needs {needed[first]} words, not"
        f" {depths.get(first, link.least)}"
    )


def _common_source(planned: Plan, link: LinkBuffer) -> str:
    """The last fork from which all operands of the link's join descend that have one before them.

    If they have none in common, the last one before the link.
    """
    forks, network = _forks_before(planned), planned.network
    inputs = {layer.name: layer.inputs for layer in network.layers}[link.planned.reader]
    common = frozenset.intersection(*(forks[name] for name in inputs if forks[name]))
    common = common or forks[link.planned.source.tensor]
    return [name for name in network.tensors if name in common][-1]


def end_of(graph: Graph, frame: int) -> int:
    """The cycle in which the last output word of a frame is taken."""
    return max(
        graph.channel(end).takes[(frame + 1) * end.words - 1] for end in graph.plan.outputs.values()
    )


def frames_under_way(graph: Graph) -> int:
    """How many frames had begun to go in when the first had come out."""
    ended = end_of(graph, 0)
    begun = (graph.channel(entry).takes[:: entry.words] for entry in graph.plan.inputs.values())
    return max(sum(cycle <= ended for cycle in cycles) for cycles in begun)


def _measured(graph: Graph) -> DataflowRun:
    frames, channel = graph.frames, graph.channel
    inputs, outputs = graph.plan.inputs, graph.plan.outputs
    last = [end_of(graph, frame) for frame in range(frames)]
    return DataflowRun(
        first_output=min(channel(end).offers[0] for end in outputs.values()),
        frame_ends=last,
        in_flight=frames_under_way(graph),
        busy=graph.plan.busy,
        spans={
            name: [_span(graph, *ends, frame) for frame in range(frames)]
            for name, ends in graph.spans.items()
        },
        stored={name: link.stored() for name, link in graph.links.items()},
        input_cycles={name: list(channel(entry).takes) for name, entry in inputs.items()},
        output_cycles={name: list(channel(end).takes) for name, end in outputs.items()},
    )


def _span(graph: Graph, entry: Stream, end: Stream, frame: int) -> tuple[int, int]:
    first = graph.channel(entry).takes[frame * entry.words]
    return first, graph.channel(end).takes[(frame + 1) * end.words - 1] + 1
