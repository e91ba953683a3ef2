"""Multipliers by numbers that a memory holds, as synthesis makes them: sums of shifted copies.

Copies are added three by three, and what is the same twice is made once, the sign's copies above
all.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

from vecq_hw.cost.contents import Keys

ADDER_TABLES = 1.55
"""Tables of four inputs for each function of three inputs, which end in fewer but wider sums."""
CHOICE_TABLES = 0.7
"""Tables in front of a copy's bit that is taken or not."""
_FIRST = 16
Word = list[int]


class _Functions:
    """Sums and carries of three bits, each made once.

    A bit is an even number, or that and 1 where it is inverted; 0 and 1 are constants.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], int] = {}

    def made(self, *key: object) -> int:
        return self.known.setdefault(key, (_FIRST << 16) + 2 * len(self.known))

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
                return self.made("sum", *plain) ^ inverted, self.made("carry", ones, *rest)


def product(left: int, factor: Keys) -> float:
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
    >>> [round(product(8, np.array(bits))) for bits in ([0, 1, 0], [1, 1, 1, 0], [2, 3, 4, 0])]
    [0, 22, 45]
    """
    bits = factor.tolist()
    while len(bits) > 1 and bits[-1] == bits[-2]:  # copies of the sign
        bits.pop()
    numbers = {0: 0, 1: 1}
    return _tables(left, tuple(numbers.setdefault(bit, len(numbers)) for bit in bits))


@lru_cache(maxsize=4096)
def _tables(left: int, factor: tuple[int, ...]) -> float:
    width, bits = left + len(factor), len(factor)
    functions, words, chosen = _Functions(), list[Word](), set[tuple[int, int]]()

    def taken(number: int, key: int) -> int:
        """A bit of the number where the factor's bit is 1."""
        if key > 1:
            chosen.add((number, key))
        return key and 2 * ((key << 8 | number) + 1)

    # A copy for each bit of the side that gives fewer of them.
    swapped = left < bits - factor.count(0)
    rows = left if swapped else bits
    for place in range(rows):
        if swapped:
            copy = [taken(place, factor[min(n, bits - 1)]) for n in range(width - place)]
        else:
            copy = [taken(min(n, left - 1), factor[place]) for n in range(width - place)]
        if not any(copy):
            continue
        word = [0] * place + copy
        if place == rows - 1:  # the sign's, which is taken off
            word = [bit ^ 1 for bit in word]
            words.append([1] + [0] * (width - 1))
        words.append(word)
    while len(words) > 2:
        joined = [functions.add(bits) for bits in zip(*words[:3], strict=True)]
        sums, carries = [[bit[n] for bit in joined] for n in (0, 1)]
        words = [*words[3:], sums, [0, *carries[:-1]]]
    inputs = left + len({bit for bit in factor if bit > 1})
    most = 0.7 * width * 2.0 ** min(max(inputs - 4, 0), 20)
    return min(ADDER_TABLES * len(functions.known) + CHOICE_TABLES * len(chosen), most)
