"""What a netlist of UltraScale+ computes, words of any width in and out, many samples at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.netlist.families import XCUP
from vecq_hw.netlist.model import Netlist
from vecq_hw.netlist.simulate import RUNS, Simulator, Words
from vecq_hw.netlist.simulators import simulator_of


def packed(values: IntArray, widths: Sequence[int]) -> list[int]:
    """Each row as one vector: two's complement of the widths, the first element lowest.

    Examples
    --------
    >>> packed(np.array([[1, -1], [2, 0]]), (3, 2))
    [25, 2]
    """
    places = [0, *accumulate(widths)]
    return [
        sum((v % (1 << w)) << p for v, w, p in zip(row, widths, places, strict=False))
        for row in values.tolist()
    ]


def evaluate(netlist: Netlist, words: Sequence[int]) -> list[int]:
    """The only output of a netlist without registers, for each word of its only input.

    Parameters
    ----------
    words : sequence of int
        One for each sample, unsigned.

    Returns
    -------
    list of int
        The output vectors, unsigned.
    """
    (outputs,) = clocked(netlist, [words])
    return outputs


def clocked(netlist: Netlist, cycles: Iterable[Sequence[int]]) -> Iterator[list[int]]:
    """What comes out in each cycle.

    Parameters
    ----------
    netlist : Netlist
        Beside its clock it has one input, and one output.
    cycles : iterable of sequence of int
        The word of each sample in this cycle, as many samples in each.
    """
    ports = netlist.ports.values()
    source = max((port for port in ports if port.direction == "input"), key=lambda p: len(p.bits))
    (target,) = (port for port in ports if port.direction == "output")
    simulator: Simulator | None = None
    for words in cycles:
        if simulator is None:
            simulator = simulator_of(netlist, XCUP, -(-len(words) // RUNS))
        simulator.set(source.name, _bits(words, len(source.bits)))
        simulator.settle()
        yield _words(simulator.get(target.name), len(words))
        simulator.clock()


def _bits(words: Sequence[int], bits: int) -> Words:
    """Each bit of all samples together: (bits, words of samples)."""
    size, runs = -(-bits // 8), -(-len(words) // RUNS) * RUNS
    data = np.zeros((runs, size), np.uint8)
    content = b"".join(word.to_bytes(size, "little") for word in words)
    data[: len(words)] = np.frombuffer(content, np.uint8).reshape(-1, size)
    matrix = np.unpackbits(data, axis=1, bitorder="little", count=bits)
    turned = np.ascontiguousarray(matrix.T)
    return np.packbits(turned, axis=1, bitorder="little").view(np.uint64)


def _words(values: Words, samples: int) -> list[int]:
    """The word of each sample, the inverse."""
    matrix = np.unpackbits(values.view(np.uint8), axis=1, bitorder="little", count=samples)
    rows = np.packbits(matrix.T, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in rows]
