"""What a cell is made of on any family of devices: sums, tables, memories, registers.

A form (:mod:`vecq_hw.cost.forms`) counts these from a cell's text in ``rtl/``; a family
(:mod:`vecq_hw.cost.fabric`) says what each of them takes.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from vecq_hw.cost.contents import Contents, drawn, functions

LEAST_CHAIN = 4
"""Bits of a counter up to which any of its bits is a function of all, without carries."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Carry chains of ``bits`` each, so many of them.

    Attributes
    ----------
    fronts : float
        Functions in front of each, which a table of six inputs holds together with its sum.
    off : int
        Bits of an operand that is subtracted, which not every carry cell inverts.
    compared : bool
        Whether only the sign of a difference is read.
    chosen : bool
        Whether ``vecq_carry_adder`` has its choice of operand inside the carry cells of ECP5.
    """

    bits: int
    count: int = 1
    fronts: float = 0
    chosen: bool = False
    compared: bool = False
    off: int = 0


@dataclass(frozen=True, slots=True)
class Memory:
    """``words`` of ``bits``; what is read goes through a register.

    Attributes
    ----------
    most_in_luts : int or None
        Of a memory that is only read: up to so many words it is made of tables.  None: it is
        written, too.
    ports : int
        That read it.
    stages : int
        Registers behind it, the one of the read included; one of them lies in a block RAM.
    registers : int
        Of ``vecq_rom`` besides: behind a block, and at the address of a memory in tables.
    first, of : int
        A memory of constants is read from bit ``first`` of words of ``of`` bits on, without those
        that never change.  Of one that is written ``of`` are the bits of a word, 0 as many as
        are read.
    places : tuple of int
        Which of these bits are read, where they are not ``bits`` beside each other.
    functions : int
        How many different columns are read from a memory of constants.
    used : int
        Words of a memory of constants beside those that all have the same.
    repeated : int
        Of the bits of a memory that is written, how many another one holds, too: made of
        flip-flops these are there once.
    checked : bool
        Whether a word that is written and read in the same cycle is read as it was, for which a
        block RAM needs logic beside it.
    """

    words: int
    bits: int
    most_in_luts: int | None = None
    ports: int = 1
    stages: int = 1
    registers: int = 0
    first: int = 0
    of: int = 0
    places: tuple[int, ...] = ()
    functions: int = 0
    used: int = 0
    repeated: int = 0
    checked: bool = False


@dataclass(frozen=True, slots=True)
class Product:
    """``count`` multipliers of ``left`` by ``right`` bits.

    Attributes
    ----------
    dsp : bool or None
        Whether they are wanted in DSP blocks; None leaves it to synthesis.
    tables : float or None
        Tables of four inputs of all of them without DSP blocks; None: as many as of any numbers.
    """

    left: int
    right: int
    count: int = 1
    dsp: bool | None = None
    tables: float | None = None


@dataclass(slots=True)
class Structure:
    """A cell's parts.

    Attributes
    ----------
    kind : str
        Which constants of the fit are its own.
    tables : Counter
        Functions by their number of inputs; those with more than the family's tables have are made
        of several.
    flat : Counter
        The same of functions that synthesis makes flat, as they would be too slow as trees.
    choices : Counter
        Multiplexers of one bit by the numbers of their ways.
    control : int
        Bits of counters and flags, each with its register and the logic that says when it changes.
    registers : int
        Without those behind memories.
    delays : Counter
        Bits that pass through so many registers in a row, which are not in ``registers``.
    counted : float
        Tables of four inputs that were counted as such.
    fronts : int
        Tables of four inputs in front of sums, each of which a table of six inputs holds together
        with its sum.
    chained : int
        Carry chains one behind the other between two registers.
    by_memory : tuple of Structure, optional
        What is there besides where memories of few words are made of tables, and where of
        flip-flops, of which synthesis drops each that nothing reads.
    """

    kind: str
    sums: list[Sum] = field(default_factory=list)
    tables: Counter[int] = field(default_factory=Counter)
    flat: Counter[int] = field(default_factory=Counter)
    choices: Counter[int] = field(default_factory=Counter)
    memories: list[Memory] = field(default_factory=list)
    products: list[Product] = field(default_factory=list)
    control: int = 0
    registers: int = 0
    delays: Counter[int] = field(default_factory=Counter)
    counted: float = 0.0
    fronts: int = 0
    chained: int = 1
    by_memory: tuple[Structure, Structure] | None = None

    def add(
        self, bits: int, count: int = 1, fronts: float = 0, *, chosen: bool = False, off: int = 0
    ) -> None:
        """Sums or differences."""
        if bits > 0 and count > 0:
            self.sums.append(Sum(bits, count, fronts, chosen, off=off))

    def compare(self, bits: int, count: int = 1, *, inverted: bool = False) -> None:
        """Comparisons, perhaps with a constant; perhaps a table inverts each bit in front."""
        if bits > 0 and count > 0:
            self.sums.append(Sum(bits, count, bits * inverted, compared=True))

    def choose(self, ways: int, bits: int) -> None:
        """A multiplexer by a binary number, of ``bits`` functions."""
        if ways > 1 and bits > 0:
            self.choices[ways] += bits

    def table(self, inputs: int, count: int) -> None:
        """Functions of so many inputs."""
        if inputs > 1 and count > 0:
            self.tables[inputs] += count

    def spend(self, tables: float) -> None:
        """Tables of four inputs, already counted."""
        self.counted += tables

    def register(self, bits: int) -> None:
        """Flip-flops whose inputs are counted elsewhere."""
        self.registers += bits

    def delay(self, stages: int, bits: int) -> None:
        """Registers in a row, of which none but the last one is read by anything else."""
        if stages > 1:
            self.delays[stages] += bits
        else:
            self.registers += stages * bits

    def count(self, most: int) -> None:
        """A counter of ``most`` values; what adds to it is a carry chain, if it has many bits."""
        bits = bits_of(most)
        self.control += bits
        if bits > LEAST_CHAIN:
            self.add(bits)

    def rom(
        self,
        words: int,
        bits: int,
        *,
        found: Contents | None = None,
        most_in_luts: int = 64,
        ports: int = 1,
        stages: int = 1,
        registers: int = 0,
        first: int = 0,
        used: int = 0,
    ) -> None:
        """A memory of constants, read through registers; a narrow one is no waste of a block.

        Of what is stored, if it is told, ``bits`` are read from bit ``first`` on.  Words
        beyond ``used`` ones have all the same; where no multiplexers join tables, that saves some.
        """
        most = 64 if most_in_luts < 64 and bits < 17 else most_in_luts
        if found is None:
            different = drawn(words, bits)
            memory = Memory(words, bits, most, ports, stages, registers, of=bits)
        else:
            kept, read = found.keys.reshape(-1) > 1, found.read[first : first + bits]
            different = functions(found.part(first, bits)[read])
            places = np.cumsum(kept)[first : first + bits][read] - 1
            memory = Memory(words, len(places), most, ports, stages, registers, of=int(kept.sum()))
            memory = replace(memory, first=int(kept[:first].sum()), places=tuple(places.tolist()))
        self.memories.append(replace(memory, functions=different, used=used or words))

    def ram(
        self,
        words: int,
        bits: int,
        *,
        stages: int = 1,
        checked: bool = False,
        places: Iterable[int] = (),
        of: int = 0,
        repeated: int = 0,
    ) -> None:
        """A memory that is written and read, through registers.

        If ``places`` tells which, ``bits`` are read of words of ``of`` bits; ``repeated`` of them
        are read of another memory, too.
        """
        if words > 1 and bits > 0:
            at = tuple(map(int, places))
            memory = Memory(words, bits, stages=stages, checked=checked, places=at, of=of)
            self.memories.append(replace(memory, repeated=repeated))
        else:
            self.registers += stages * bits

    def multiply(
        self,
        left: int,
        right: int,
        count: int = 1,
        *,
        dsp: bool | None = None,
        tables: float | None = None,
    ) -> None:
        """Multipliers."""
        self.products.append(Product(left, right, count, dsp, tables))

    def joined(self, other: Structure) -> Structure:
        """The parts of both."""
        return replace(
            self,
            sums=self.sums + other.sums,
            tables=self.tables + other.tables,
            flat=self.flat + other.flat,
            choices=self.choices + other.choices,
            memories=self.memories + other.memories,
            products=self.products + other.products,
            control=self.control + other.control,
            registers=self.registers + other.registers,
            delays=self.delays + other.delays,
            counted=self.counted + other.counted,
            fronts=self.fronts + other.fronts,
        )


def pipeline_end(made: Structure, bits: int, room: int) -> None:
    """``vecq_pipeline_end``: room for so many words behind a pipeline; of none there is nothing."""
    if room:
        made.register(room * bits)
        made.control += 1 + room
    if room > 1:
        made.table(3, bits)


def bits_of(most: int) -> int:
    """The bits of a number from 0 to ``most - 1``; at least one."""
    return max((most - 1).bit_length(), 1)


def log2(number: int) -> int:
    """Rounded up."""
    return (number - 1).bit_length() if number > 1 else 0


def halves(number: int) -> int:
    """Half of it, rounded up."""
    return math.ceil(number / 2)
