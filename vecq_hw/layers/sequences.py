"""Layers of sequences: a sequence of L steps of C channels is an image (1, L, C).

The rules of the recurrent layers are those of ``vecq_hw.arithmetic``; what of them holds for all
targets, tables and formats, is the numeric contract's.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers.codes import LONGEST_SHIFT, PRODUCT_LIMIT
from vecq_hw.layers.mac import Dense
from vecq_hw.layers.tensor import OfOneTensor, Tensor, dimension_problems, frozen
from vecq_hw.layers.weights import AnyWeights

STATE = IntFormat(8, True, -127, 127)
"""The format of the outputs of a recurrent layer, which are also the state that it multiplies."""
STATE_STEP = 2.0**-7
GATE_STEP = 2.0**-4
"""The step of what a gate's table is asked for, a signed code of 8 bits."""
CANDIDATE_SHIFT = 7
"""How much finer than a gate's the step of a Gru's state part is: ``2^-11``."""
RESET_SHIFT = 15
"""``2^-19``, the step of reset gate times state part, is so much finer than a gate's."""
LARGEST_RESET = 255 << 15
"""The largest product of a reset gate and its part of the state."""

Range = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Embedding(OfOneTensor):
    """Indices (L,) to the rows that they name, (1, L, E).

    Attributes
    ----------
    weights : AnyWeights, of shape (V, E)
        The output holds their values, at their step.
    """

    name: str
    input: str
    weights: AnyWeights

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the rows' values."""
        return Tensor(
            shape=(1, source.channels, self.weights.shape[1]),
            format=self.weights.value_format,
            step=self.weights.step,
        )

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 1)
        yield from Dense(name=self.name, input=self.input, weights=self.weights).weight_problems(2)
        rows = self.weights.shape[0]
        if source.format.lo < 0 or source.format.hi >= rows:
            yield (
                f"'{self.input}' holds {source.format.lo}..{source.format.hi}, but the table has"
                f" the rows 0..{rows - 1}"
            )

    def __repr__(self) -> str:
        rows, channels = self.weights.shape
        return f"Embedding({self.name}: {rows}→{channels}, {self.weights!r})"


class Recurrent(OfOneTensor):
    """A layer whose gates read, beside its input, what it made in the step before.

    Its input holds the exact sums of the gates over the step's channels, which a Conv2d of one
    pixel makes, and its ``weights`` multiply the state.
    """

    __slots__ = ()
    name: str
    weights: AnyWeights
    mantissa_x: IntArray
    mantissa_h: IntArray
    offset: IntArray
    shift: int
    sequence: bool

    @property
    @abstractmethod
    def gates(self) -> int:
        """How many each element has."""

    @property
    def elements(self) -> int:
        """H."""
        return self.weights.shape[-1]

    @property
    def product(self) -> Dense:
        """The product of weights and state: a Dense of the layer's name, which reads its output."""
        return Dense(name=self.name, input=self.name, weights=self.weights)

    @property
    def state_sums(self) -> IntFormat:
        """The proven format of the product's sums."""
        return self.product.accumulator_format(STATE)

    def output(self, source: Tensor) -> Tensor:
        """The tensor of its state, of each step or of the last one."""
        steps = (1, source.shape[1]) if self.sequence else ()
        return Tensor(shape=(*steps, self.elements), format=STATE, step=STATE_STEP)

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from dimension_problems(source, 3)
        yield from self.product.weight_problems(2)
        shape = self.weights.shape
        if len(shape) != 2 or not all(shape):
            return
        if shape[0] != self.gates * self.elements:
            yield (
                f"the weights have the shape {shape}; {self.gates} rows are wanted for each"
                " column, one for each gate of an element"
            )
            return
        if source.shape[0] != 1 or source.channels != shape[0]:
            yield (
                f"it takes a sequence of the shape (1, L, {shape[0]}), but '{self.input}' has"
                f" {source.shape}"
            )
            return
        yield from self._constant_problems()

    def _constant_problems(self) -> Iterator[str]:
        wanted = (self.gates * self.elements,)
        for name in ("mantissa_x", "mantissa_h", "offset"):
            if getattr(self, name).shape != wanted:
                yield f"{name} has the shape {getattr(self, name).shape}, not {wanted}"

    def _row_ranges(self) -> list[Range]:
        """The least and the greatest sum of each row over all states."""
        reach = np.abs(self.weights.values.astype(np.int64)).sum(axis=1) * STATE.hi
        return [(-most, most) for most in reach.tolist()]

    def __repr__(self) -> str:
        ending = ", all steps" if self.sequence else ""
        size = f"{self.elements} elements, {self.weights!r}{ending}"
        return f"{type(self).__name__}({self.name}: {size})"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Lstm(Recurrent):
    """A long short-term memory: (1, L, 4 H) to (H,), or with ``sequence`` to (1, L, H).

    Channel ``4 j + k`` of its input, row ``4 j + k`` of its weights and entry ``4 j + k`` of its
    constants belong to element j: k counts the gates i, f, g, o, in PyTorch's order.

    Attributes
    ----------
    weights : AnyWeights, of shape (4 H, H)
        Of the state.
    mantissa_x, mantissa_h, offset : int64 arrays of shape (4 H,)
        Of the input's sums and of the state's; ``arithmetic.gate_codes``.
    shift : int
        1..62.
    sequence : bool
        Whether the state of each step goes out, or that of the last one alone.
    """

    name: str
    input: str
    weights: AnyWeights
    mantissa_x: IntArray
    mantissa_h: IntArray
    offset: IntArray
    shift: int
    sequence: bool = False

    def __post_init__(self) -> None:
        for name in ("mantissa_x", "mantissa_h", "offset"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))

    @property
    def gates(self) -> int:
        """Input, forget, candidate, output."""
        return 4

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        found = [*Recurrent.problems(self, source)]
        yield from found
        if found:
            return
        if not 1 <= self.shift <= LONGEST_SHIFT:
            yield f"the shift must be 1 to {LONGEST_SHIFT}, not {self.shift}"
            return
        rows = enumerate(gate_ranges(self, source.format))
        yield from _limit_problems((f"channel {row}: a gate's sum", ends) for row, ends in rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Gru(Recurrent):
    """A gated recurrent unit: (1, L, 3 H) to (H,), or with ``sequence`` to (1, L, H).

    Channel ``3 j + k`` of its input, row ``3 j + k`` of its weights and entry ``3 j + k`` of its
    constants belong to element j: k counts the gates r, z, n, in PyTorch's order.

    Attributes
    ----------
    weights : AnyWeights, of shape (3 H, H)
        Of the state.
    mantissa_x, mantissa_h, offset : int64 arrays of shape (3 H,)
        Of the input's sums and of the state's; ``arithmetic.gate_codes``.  The mantissa of a
        candidate's state part serves a step that is 2^7 finer, by a shift that is 7 shorter.
    state_offset : int64 array of shape (H,)
        Of the candidates' state parts, which the reset gates multiply.
    shift : int
        15..62.
    sequence : bool
        Whether the state of each step goes out, or that of the last one alone.
    """

    name: str
    input: str
    weights: AnyWeights
    mantissa_x: IntArray
    mantissa_h: IntArray
    offset: IntArray
    state_offset: IntArray
    shift: int
    sequence: bool = False

    def __post_init__(self) -> None:
        for name in ("mantissa_x", "mantissa_h", "offset", "state_offset"):
            object.__setattr__(self, name, frozen(getattr(self, name), np.int64))

    @property
    def gates(self) -> int:
        """Reset, update, candidate."""
        return 3

    def problems(self, source: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        found = [*Recurrent.problems(self, source)]
        if self.state_offset.shape != (self.elements,):
            found.append(
                f"state_offset has the shape {self.state_offset.shape}, not ({self.elements},)"
            )
        if not RESET_SHIFT <= self.shift <= LONGEST_SHIFT:
            found.append(f"the shift must be {RESET_SHIFT} to {LONGEST_SHIFT}, not {self.shift}")
        yield from found
        if found:
            return
        rows = enumerate(gate_ranges(self, source.format))
        yield from _limit_problems((f"channel {row}: a gate's sum", ends) for row, ends in rows)
        parts = enumerate(candidate_ranges(self))
        yield from _limit_problems((f"element {j}: the state part", ends) for j, ends in parts)


def gate_ranges(layer: Lstm | Gru, source: IntFormat) -> list[Range]:
    """For each gate the range of what its rounding shift takes, but for the half; Python integers.

    Of a Gru's candidates the state part counts as what the reset gate leaves of it.
    """
    candidates = layer.gates - 1 if isinstance(layer, Gru) else layer.gates
    lines = zip(
        layer.mantissa_x.tolist(),
        layer.mantissa_h.tolist(),
        layer.offset.tolist(),
        layer._row_ranges(),
        strict=True,
    )
    found = []
    for row, (m, n, b, ends) in enumerate(lines):
        least, most = _line(m, (source.lo, source.hi))
        if row % layer.gates == candidates:
            reach = LARGEST_RESET << (layer.shift - RESET_SHIFT)
            found.append((least - reach + b, most + reach + b))
        else:
            low, high = _line(n, ends)
            found.append((least + low + b, most + high + b))
    return found


def candidate_ranges(layer: Gru) -> list[Range]:
    """For each element the range of its candidate's state part before the shift."""
    lines = zip(
        layer.mantissa_h[2::3].tolist(),
        layer.state_offset.tolist(),
        layer._row_ranges()[2::3],
        strict=True,
    )
    return [tuple(end + b for end in _line(m, ends)) for m, b, ends in lines]


def _line(mantissa: int, ends: Range) -> Range:
    low, high = sorted((mantissa * ends[0], mantissa * ends[1]))
    return low, high


def _limit_problems(ranges: Iterator[tuple[str, Range]]) -> Iterator[str]:
    for what, (least, most) in ranges:
        if least < -PRODUCT_LIMIT or most >= PRODUCT_LIMIT:
            yield f"{what} leaves ±2^62; shorten the mantissas and the shift"
            return
