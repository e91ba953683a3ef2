"""The order in which the parts of a netlist can be computed, those of one kind together."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from vecq_hw.errors import VecqError
from vecq_hw.netlist.model import Bit


class Part(NamedTuple):
    """A part, the nets that it reads and drives, and its kind: one operation for all of a kind."""

    kind: tuple[int, ...]
    what: Any
    inputs: Sequence[Bit]
    outputs: Sequence[Bit]


def in_order(
    top: str, parts: Sequence[Part], known: dict[Bit, int]
) -> Iterator[tuple[tuple[int, ...], list[Any]]]:
    """All parts of a kind that are ready, the lowest kind first: dear ones wait for many.

    The nets of what is handed out must be in ``known`` before the next is asked for.

    Parameters
    ----------
    top : str
        Name of the netlist's top module, for messages.
    known : dict
        The row of each net whose value is there already; nets that nothing drives get row 0.

    Raises
    ------
    VecqError
        A part depends on itself without a register between.
    """
    driven = {net for part in parts for net in part.outputs}
    waiting: dict[Bit, list[int]] = defaultdict(list)
    missing, ready = [], defaultdict[tuple[int, ...], list[int]](list)
    for index, part in enumerate(parts):
        nets = {net for net in part.inputs if net in driven and net not in known}
        missing.append(len(nets))
        for net in nets:
            waiting[net].append(index)
        if not nets:
            ready[part.kind].append(index)
        for net in part.inputs:  # what nothing drives reads as 0, as an x does
            if net not in driven:
                known.setdefault(net, 0)
    left = len(parts)
    while ready:
        kind = min(ready)
        chosen = ready.pop(kind)
        left -= len(chosen)
        yield kind, [parts[index].what for index in chosen]
        for index in chosen:
            for net in parts[index].outputs:
                for reader in waiting.pop(net, ()):
                    missing[reader] -= 1
                    if not missing[reader]:
                        ready[parts[reader].kind].append(reader)
    if left:
        net = next(net for net in waiting if not isinstance(net, str))
        raise VecqError(
            f"netlist of '{top}': net {net} depends on itself without a register between, so the"
            " netlist cannot be simulated"
        )
