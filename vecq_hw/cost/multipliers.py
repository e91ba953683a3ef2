"""Multipliers without DSP blocks: of the cells in ``rtl/``, and those by what a memory holds.

The latter are left to synthesis: yosys (``maccmap``) stacks a copy for each bit of the shorter
side and adds them three by three, level by level, before it knows which of them are zeros: where
one is, the other two still give a sum and a carry.  What is the same twice is made once, the sign's
copies above all.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise

from vecq_hw.cost.contents import Keys, functions
from vecq_hw.cost.structure import Structure, log2

WIRED_TABLES = 0.87
"""Tables of four inputs for each sum or carry of wires; some are made together."""
CHOSEN_TABLES = 1.34
"""The same of bits that are taken or not: these become a table as wide as their inputs."""
LARGEST, GROWTH = 0.7, 2.4
"""Tables of a function of four inputs, and for each input more: of few inputs no sums are made."""
_KEY, _NUMBER, _IS_CHOSEN, _FIRST = 12, (1 << 10) - 1, 1 << 12, 1 << 24
_SUM, _CARRY = range(2)
Word = list[int]


class _Functions:
    """Sums and carries of three bits, each made once.

    A bit is an even number, or that and 1 where it is inverted; 0 and 1 are constants.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[int, ...], int] = {}

    def made(self, *key: int) -> int:
        return self.known.setdefault(key, _FIRST + 2 * len(self.known))

    def add(self, bits: tuple[int, int, int]) -> tuple[int, int]:
        """The sum and the carry of three bits."""
        ones = bits.count(1)
        rest = sorted(bit for bit in bits if bit > 1)
        for low, high in pairwise(rest):
            if low >> 1 == high >> 1:
                other = next((bit for bit in rest if bit not in (low, high)), ones)
                return (other, low) if low == high else (other ^ 1, other)
        match rest:
            case []:
                return ones & 1, ones >> 1
            case [bit]:
                return bit ^ (ones & 1), (0, bit, 1)[ones]
            case _:
                inverted = (sum(rest) + ones) & 1
                plain = [bit & ~1 for bit in rest]
                return self.made(_SUM, *plain) ^ inverted, self.made(_CARRY, ones, *rest)


def of_any(
    made: Structure,
    left: int,
    right: int,
    count: int = 1,
    factor: Keys | None = None,
    *,
    signed: bool = True,
) -> None:
    """The sums of ``vecq_table_multiplier``: of pairs of copies, and a tree of these.

    Parameters
    ----------
    left, right : int
        Bits of the signed numbers.
    signed : bool
        Whether the left one can be negative.
    factor : int64 array of shape (right,), optional
        The keys (:class:`vecq_hw.cost.contents.Contents`) of the right number's bits.  Where they
        choose, synthesis finds pairs that are zero, are one copy, or are the same twice.  Where
        they are chosen, one function of an equal bit is made, and none of a constant one.
    """
    row, bits = max(left, right), [*range(2, 2 + min(left, right))]
    copied = row + 2
    if factor is not None and left > right:
        bits = factor.tolist()
    elif factor is not None:
        copied = functions(factor)
    if left <= right:
        bits[-1] *= signed
    bits = [0] * (len(bits) % 2) + bits
    pairs = [*zip(bits[::2], bits[1::2], strict=True)]
    *others, (_, sign) = pairs
    each, widest = row + 2, row + len(bits) - (sign == 0)
    chains = {pair for pair in others if 0 not in pair}
    subtracted = sign != 0
    made.add(each, count * (len(chains) + subtracted), fronts=2 * copied, chosen=True)
    made.chained = max(made.chained, 1 + log2(len(pairs)))
    there, step = [pair != (0, 0) for pair in pairs], 2
    while len(there) > 1:
        there += [False] * (len(there) % 2)
        two = [*zip(there[::2], there[1::2], strict=True)]
        made.add(min(each + 2 * (step - 1), widest) - step, count * two.count((True, True)))
        there, step = [any(sums) for sums in two], 2 * step


def by_constant(made: Structure, bits: int, factor: int) -> None:
    """The sums of ``vecq_constant_multiplier``: a tree over the signed digits of a constant.

    Parameters
    ----------
    bits : int
        Of the signed number that is multiplied.
    """
    terms = [[digit] for digit in _digits(factor)]  # of each term its digits, the lowest first
    made.chained = max(made.chained, 1 + log2(len(terms)))
    copy, known = bits, set[tuple[tuple[int, int], ...]]()  # inverted and added once for all
    while len(terms) > 1:
        pairs = [*zip(terms[::2], terms[1::2], strict=False)]
        for low, high in pairs:
            off = [term for term in (low, high) if _is_off(term)]
            inverted = 0
            if len(off) == 1:
                inverted, copy = (copy, 0) if len(off[0]) == 1 else (_width(bits, off[0]), copy)
            step = 0 if off == [low] else high[0][0] - low[0][0]
            sign = 1 if len(off) < 2 else -1
            sums = tuple((place - low[0][0], sign * digit) for place, digit in low + high)
            if sums not in known:
                known.add(sums)
                made.add(_width(bits, low + high) - step, off=inverted)
        terms = [low + high for low, high in pairs] + terms[2 * len(pairs) :]
    if terms and _is_off(terms[0]):
        made.add(_width(bits, terms[0]))


def _digits(factor: int) -> list[tuple[int, int]]:
    """The places and signs of the canonical signed digits that are not 0, from the lowest one on.

    Examples
    --------
    >>> _digits(7), _digits(-3)
    ([(0, -1), (3, 1)], [(0, 1), (2, -1)])
    """
    found = []
    place = 0
    while factor:
        if factor & 1:
            digit = 2 - (factor & 3)
            found.append((place, digit))
            factor -= digit
        factor >>= 1
        place += 1
    return found


def _is_off(term: Sequence[tuple[int, int]]) -> bool:
    """Whether all of its digits are -1."""
    return all(digit < 0 for _, digit in term)


def _width(bits: int, term: Sequence[tuple[int, int]]) -> int:
    """The bits of a number times a term's digits."""
    value = sum(digit << place - term[0][0] for place, digit in term)
    return bits + log2(abs(value))


def by_constants(left: int, factor: Keys) -> float:
    """Tables of four inputs of a product, without its last sum, which is a carry chain.

    Parameters
    ----------
    left : int
        Bits of a signed number.
    factor : int64 array of shape (bits,)
        The keys (:class:`vecq_hw.cost.contents.Contents`) of a signed number's bits.

    Examples
    --------
    >>> import numpy as np
    >>> [round(by_constants(8, np.array(bits))) for bits in ([0, 1, 0], [1, 1, 1, 0], [2, 3, 4, 0])]
    [0, 38, 72]
    """
    if sorted(factor.tolist()) == [*[0] * (len(factor) - 1), 1] and not factor[-1]:
        return 0  # a power of two: synthesis shifts
    numbers = {0: 0, 1: 1}
    return _tables(left, tuple(numbers.setdefault(bit, len(numbers)) for bit in factor.tolist()))


@lru_cache(maxsize=4096)
def _tables(left: int, factor: tuple[int, ...]) -> float:
    columns = _columns(left, factor)
    bits = {bit & ~1 for column in columns for bit in column}
    chosen = {bit: (bit & _NUMBER, -(bit >> _KEY)) for bit in bits if bit >= _IS_CHOSEN}
    height = max(len(column) for column in columns)
    words = [[column[n] if n < len(column) else 0 for column in columns] for n in range(height)]
    functions = _Functions()
    while len(words) > 2:
        added, whole = list[Word](), len(words) // 3 * 3
        for first in range(0, whole, 3):
            joined = [functions.add(bits) for bits in zip(*words[first : first + 3], strict=True)]
            added += [[bit[0] for bit in joined], [0, *(bit[1] for bit in joined[:-1])]]
        words = added + words[whole:]
    found = 0.0
    for _, *operands in functions.known:
        wires = {bit & ~1 for bit in operands if bit > 1}
        read = {wire for bit in wires for wire in chosen.get(bit, (bit,))}
        if chosen.keys().isdisjoint(wires):
            found += WIRED_TABLES
        else:
            found += CHOSEN_TABLES * (1 << max(len(read) - 4, 0))
    inputs = left + len({bit for bit in factor if bit > 1})
    most: float = LARGEST * len(columns) * GROWTH ** min(max(inputs - 4, 0), 20)
    return min(found, most)


def _columns(left: int, factor: tuple[int, ...]) -> list[Word]:
    """The bits of each place of the copies; the last copy, of the sign, is taken off."""
    width, rows = left + len(factor), min(left, len(factor))
    swapped = left < len(factor)
    columns: list[Word] = [[] for _ in range(width)]
    for row in range(rows):
        off = row == rows - 1
        for place in range(row, width):
            if swapped:
                columns[place].append(_both(row, factor[min(place - row, len(factor) - 1)], off))
            else:
                bit = _both(min(place - row, left - 1), factor[row], 0)
                columns[place].append(bit ^ off if bit else 0)
    sign = _both(rows - 1, 1, 0) if swapped else _both(left, factor[-1], 0)
    columns[rows - 1].append(sign if swapped or factor[-1] > 1 else factor[-1])
    return [column[::-1] for column in columns]  # as yosys sorts them


def _both(number: int, key: int, inverted: int) -> int:
    """A bit of the number where the factor's bit is 1, or with ``inverted`` is 0."""
    if key > 1:
        return key << _KEY | inverted << 10 | 2 * (number + 1)
    return 2 * (number + 1) if key != inverted else 0
