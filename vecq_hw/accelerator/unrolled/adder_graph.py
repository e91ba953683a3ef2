"""Adder graphs of a constant integer matrix, and their form in unsigned integers.

A node is an integer that a circuit computes: first the inputs, then one for each adder, in an order
in which operands come before their sums.  Nodes are named by their place in that order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray, IntFormat

Coefficients = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Adder:
    """``left * 2^left_shift ± right * 2^right_shift``."""

    left: int
    right: int
    left_shift: int
    right_shift: int
    subtract: bool


@dataclass(frozen=True, slots=True)
class Output:
    """``± node * 2^shift``, or 0 where ``node`` is None."""

    node: int | None
    shift: int = 0
    negative: bool = False


@dataclass(frozen=True, slots=True)
class AdderGraph:
    """Sums and differences of shifted integers: ``outputs = matrix @ inputs``.

    Attributes
    ----------
    inputs : tuple of IntFormat
        With the proven range of each input.
    adders : tuple of Adder
    outputs : tuple of Output
    """

    inputs: tuple[IntFormat, ...]
    adders: tuple[Adder, ...]
    outputs: tuple[Output, ...]

    def nodes(self, x: IntArray) -> Iterator[npt.NDArray[np.int64]]:
        """Every node's value; ``x`` has the shape (N, inputs), each value (N,)."""
        values: list[npt.NDArray[np.int64]] = list(x.astype(np.int64).T)
        yield from values
        for adder in self.adders:
            left = values[adder.left] << adder.left_shift
            right = values[adder.right] << adder.right_shift
            values.append(left - right if adder.subtract else left + right)
            yield values[-1]

    def __call__(self, x: IntArray) -> npt.NDArray[np.int64]:
        """The outputs, shape (N, outputs), of inputs of shape (N, inputs); exact in 63 bits."""
        return self._select(list(self.nodes(x)), len(x))

    def _select(self, values: list[npt.NDArray[np.int64]], rows: int) -> npt.NDArray[np.int64]:
        columns = [
            np.zeros(rows, np.int64)
            if output.node is None
            else (values[output.node] << output.shift) * (-1 if output.negative else 1)
            for output in self.outputs
        ]
        return np.stack(columns, axis=1) if columns else np.empty((rows, 0), np.int64)

    @property
    def matrix(self) -> Coefficients:
        """The matrix that the graph computes, shape (outputs, inputs)."""
        return self(np.eye(len(self.inputs), dtype=np.int64)).T


@dataclass(frozen=True, slots=True)
class Row:
    """``plain * 2^plain_shift + other * 2^other_shift`` on unsigned integers; one shift is 0.

    With ``complement``, ``other`` stands for ``~other`` over its own bits.
    """

    plain: int
    other: int
    plain_shift: int
    other_shift: int
    complement: bool


@dataclass(frozen=True, slots=True)
class Affine:
    """What an unsigned integer ``u`` stands for: ``sign * u * 2^shift + constant``.

    ``most`` is the greatest ``u`` that occurs.
    """

    sign: int
    shift: int
    constant: int
    most: int

    @property
    def bits(self) -> int:
        """Bits of ``u``, at least one."""
        return max(1, self.most.bit_length())


@dataclass(frozen=True)
class OffsetGraph:
    """An adder graph on unsigned integers: no sign extension, so no adder bits for it.

    Equal signs add; opposite signs add the complement of one operand, which shifts the result by a
    known constant.  Constants and signs travel beside the graph and end in :attr:`outputs`, from
    where the next bias, rescale or threshold takes them.

    Attributes
    ----------
    inputs : tuple of IntFormat
        A signed input enters with its sign bit inverted, which adds ``2^(bits-1)``.
    rows : tuple of Row
    nodes : tuple of Affine
        Of the inputs and of every row.
    outputs : tuple of (int or None, Affine)
        Node and meaning of each output; a node of None is the integer 0.
    """

    inputs: tuple[IntFormat, ...]
    rows: tuple[Row, ...]
    nodes: tuple[Affine, ...]
    outputs: tuple[tuple[int | None, Affine], ...]

    @cached_property
    def overlaps(self) -> tuple[int, ...]:
        """For each row the bits where both operands have a digit: one LUT each."""
        return tuple(
            overlap(
                self.nodes[row.plain].bits,
                self.nodes[row.other].bits,
                row.other_shift - row.plain_shift,
            )
            for row in self.rows
        )

    @property
    def cost(self) -> int:
        """Overlap bits of all rows: the LUTs that the matrix takes, to a few percent."""
        return sum(self.overlaps)

    @cached_property
    def depths(self) -> tuple[int, ...]:
        """For each node the longest chain of adders that leads to it; wires count nothing."""
        depths = [0] * len(self.inputs)
        for row, bits in zip(self.rows, self.overlaps, strict=True):
            depths.append(max(depths[row.plain], depths[row.other]) + (bits > 0))
        return tuple(depths)

    def raw(self, x: IntArray) -> npt.NDArray[np.int64]:
        """What the circuit computes: unsigned integers of shape (N, outputs)."""
        values = [
            column + (1 << (fmt.bits - 1) if fmt.signed else 0)
            for column, fmt in zip(x.astype(np.int64).T, self.inputs, strict=True)
        ]
        for row in self.rows:
            other = values[row.other]
            if row.complement:
                other = (1 << self.nodes[row.other].bits) - 1 - other
            values.append((values[row.plain] << row.plain_shift) + (other << row.other_shift))
        zero = np.zeros(len(x), np.int64)
        columns = [zero if node is None else values[node] for node, _ in self.outputs]
        return np.stack(columns, axis=1) if columns else np.empty((len(x), 0), np.int64)

    def __call__(self, x: IntArray) -> npt.NDArray[np.int64]:
        """The outputs, shape (N, outputs), of inputs of shape (N, inputs)."""
        meanings = [meaning for _, meaning in self.outputs]
        scale = np.array([m.sign << m.shift for m in meanings], np.int64)
        return self.raw(x) * scale + np.array([m.constant for m in meanings], np.int64)


def overlap(plain_bits: int, other_bits: int, shift: int) -> int:
    """Bit positions that two unsigned integers share, the second ``shift`` places higher.

    Examples
    --------
    >>> overlap(8, 8, 3), overlap(8, 8, -3), overlap(8, 8, 8)
    (5, 5, 0)
    """
    return max(0, min(plain_bits, other_bits + shift) - max(0, shift))


def offset_form(graph: AdderGraph) -> OffsetGraph:
    """The graph on unsigned integers.

    Ranges are exact: a node is a linear form of the inputs, and inputs take every value of their
    proven range.
    """
    builder = _OffsetBuilder(graph)
    for index, adder in enumerate(graph.adders):
        builder.add(adder, len(graph.inputs) + index)
    outputs: list[tuple[int | None, Affine]] = []
    for output in graph.outputs:
        if output.node is None:
            outputs.append((None, Affine(1, 0, 0, 0)))
            continue
        node, sign = builder.nodes[output.node], -1 if output.negative else 1
        meaning = Affine(
            node.sign * sign,
            node.shift + output.shift,
            sign * (node.constant << output.shift),
            node.most,
        )
        outputs.append((output.node, meaning))
    return OffsetGraph(graph.inputs, tuple(builder.rows), tuple(builder.nodes), tuple(outputs))


class _OffsetBuilder:
    def __init__(self, graph: AdderGraph) -> None:
        self.nodes: list[Affine] = []
        self.rows: list[Row] = []
        identity = np.eye(len(graph.inputs), dtype=np.int64)
        lo = np.array([fmt.lo for fmt in graph.inputs], np.int64)
        hi = np.array([fmt.hi for fmt in graph.inputs], np.int64)
        # Of every node the least and the greatest real value.
        self.ranges: list[tuple[int, int]] = []
        for form in graph.nodes(identity):
            added = np.maximum(form, 0)
            taken = form - added
            self.ranges.append((int(added @ lo + taken @ hi), int(added @ hi + taken @ lo)))
        for fmt in graph.inputs:
            bias = 1 << (fmt.bits - 1) if fmt.signed else 0
            self.nodes.append(Affine(1, 0, -bias, fmt.hi + bias))

    def add(self, adder: Adder, index: int) -> None:
        operands = [
            self._operand(adder.left, adder.left_shift, 1),
            self._operand(adder.right, adder.right_shift, -1 if adder.subtract else 1),
        ]
        shift = min(shift for _, _, shift, _ in operands)
        constant = sum(constant for *_, constant in operands)
        complement = operands[0][1] != operands[1][1]
        if complement:
            # The higher operand is inverted, so that the lowest bits remain wires.
            operands.sort(key=lambda operand: (operand[2], self.nodes[operand[0]].bits))
        (plain, sign, plain_shift, _), (other, _, other_shift, _) = operands
        if complement:
            constant -= sign * (((1 << self.nodes[other].bits) - 1) << other_shift)
        least, most = self.ranges[index]
        extreme = most if sign > 0 else least
        reach = sign * (extreme - constant) >> shift  # a multiple of 2^shift
        self.nodes.append(Affine(sign, shift, constant, reach))
        self.rows.append(Row(plain, other, plain_shift - shift, other_shift - shift, complement))

    def _operand(self, node: int, shift: int, sign: int) -> tuple[int, int, int, int]:
        """Node, sign, shift and constant of a shifted node."""
        known = self.nodes[node]
        return node, sign * known.sign, known.shift + shift, sign * (known.constant << shift)
