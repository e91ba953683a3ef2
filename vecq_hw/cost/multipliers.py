"""Multipliers by a number that never changes, as synthesis makes them: sums of shifted copies.

Copies are added three by three, and what is the same twice is made once, the sign's copies above
all.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise

ADDER_TABLES = 1.65
"""Tables of four inputs for each function of three inputs, which end in fewer but wider sums."""
_FIRST = 16
Word = list[int]


class _Functions:
    """Sums and carries of three bits, each made once.

    A bit is an even number, or that and 1 where it is inverted; 0 and 1 are constants.
    """

    def __init__(self) -> None:
        self.known: dict[tuple[object, ...], int] = {}

    def made(self, *key: object) -> int:
        return self.known.setdefault(key, _FIRST << 10 | 2 * len(self.known))

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


@lru_cache(maxsize=4096)
def tables(left: int, constant: int) -> float:
    """Tables of four inputs of a product of a signed number of ``left`` bits with ``constant``.

    Without the last sum, which is a carry chain.

    Examples
    --------
    >>> [round(tables(8, constant)) for constant in (0, 4, 6, 7, 255)]
    [0, 0, 0, 23, 158]
    """
    bits = max(constant, ~constant).bit_length() + 1
    width = left + bits
    functions, words = _Functions(), list[Word]()
    for place in range(bits):
        if constant >> place & 1:
            word = [0] * place + [2 * min(n + 1, left) for n in range(width - place)]
            if place == bits - 1:  # of a negative number, whose last copy is taken off
                word = [bit ^ 1 for bit in word]
                words.append([1] + [0] * (width - 1))
            words.append(word)
    while len(words) > 2:
        joined = [functions.add(bits) for bits in zip(*words[:3], strict=True)]
        sums, carries = [[bit[n] for bit in joined] for n in (0, 1)]
        words = [*words[3:], sums, [0, *carries[:-1]]]
    most = width * 2.0 ** max(left - 4, 0)
    return min(ADDER_TABLES * len(functions.known), 0.7 * most)
