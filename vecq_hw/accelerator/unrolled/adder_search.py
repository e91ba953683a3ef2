"""A randomized search for an adder graph of few bits: spanning forest, then shared two-term sums.

One attempt: each output becomes plus or minus another one and a remainder, along a spanning forest
(Prim) whose edges cost the signed digits of the remainder and some noise.  In the remainders, the
sum of two shifted nodes that saves most becomes a node of its own, again and again (two-term common
subexpressions, as Hartley 1996 counts them), with noise on what a pattern saves.  What is left of
an output is joined in order of the bits that an adder would take.  Sums are shared among the inputs
of a block alone, so that the time of an attempt grows with the width and not with its square.

Cost is measured in the unsigned-offset form of
:mod:`vecq_hw.accelerator.unrolled.adder_graph`: the bits in which the two operands of an adder
overlap.  A flat graph, of few adders in a row, has short trees in its forest, and of terms the
shallow ones are joined first: that costs up to 4 % of the bits and saves up to half of the depth.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cache
from heapq import heapify, heappop, heappush
from itertools import combinations
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.unrolled.adder_graph import Adder, AdderGraph, Output
from vecq_hw.accelerator.unrolled.forest import Forest, spanning_forest
from vecq_hw.formats import IntArray, IntFormat

Digits = dict[int, int]
"""A linear form: the sign of each ``node * PLACES + shift``."""
PLACES = 64
"""More than the shifts of a node, of which there are fewer than half as many."""
LEFT = PLACES << 20
"""What the node of a pattern's first digit counts in its key: more than any other part of it."""
ZERO = PLACES // 2
"""Stands for a distance of 0 in the key of a pattern, as distances may be negative."""
WIDEST = 256
"""So many inputs, or terms of an output, are compared in pairs; more only block by block."""
ADDER = 3
"""Bits that an adder below a term costs where terms of a flat graph are joined."""


_Number = TypeVar("_Number", int, npt.NDArray[np.int64])


@dataclass(frozen=True, slots=True)
class Recipe:
    """What one attempt follows, luck apart.

    Attributes
    ----------
    forest : Forest
    chain : bool
        Whether 3 is written as 2 + 1 instead of 4 - 1.
    power : float
        0 counts the adders that a pattern saves, 1 their bits.
    noise : float
        How much luck weighs in the choice of patterns.
    flat : bool
        Whether adders in a row are avoided.
    """

    forest: Forest
    chain: bool
    power: float
    noise: float
    flat: bool = False


def draw_recipe(
    matrix: IntArray,
    generator: np.random.Generator,
    model: Recipe | None = None,
    *,
    flat: bool = False,
) -> Recipe:
    """A recipe for ``matrix``, of shape (outputs, inputs); near ``model`` if there is one."""
    known = model.forest if model else ()
    forest = spanning_forest(matrix.astype(np.int64), generator, known, flat=flat)
    chain, power = bool(generator.integers(2)), float(generator.uniform())
    if model is not None:
        chain, power = model.chain, (3 * model.power + power) / 4
    return Recipe(forest, chain, power, float(generator.uniform(0, 0.5)), flat)


def follow(
    recipe: Recipe,
    matrix: IntArray,
    inputs: tuple[IntFormat, ...],
    generator: np.random.Generator,
) -> AdderGraph:
    """One random graph of ``matrix``, of shape (outputs, inputs)."""
    forms = []
    for output, parent, sign in recipe.forest:
        row = matrix[output].tolist()
        if parent is not None:
            base = matrix[parent].tolist()
            row = [value - sign * known for value, known in zip(row, base, strict=True)]
        forms.append(
            {
                node * PLACES + shift: digit
                for node, value in enumerate(row)
                if value
                for shift, digit in signed_digits(value, recipe.chain)
            }
        )
    maker = _Maker(inputs, ADDER if recipe.flat else 0)
    for block in blocks(len(inputs)):
        codes = range(block.start * PLACES, block.stop * PLACES)
        parts = [{code: form.pop(code) for code in list(form) if code in codes} for form in forms]
        _share(parts, maker, recipe.power, recipe.noise, generator)
        for form, part in zip(forms, parts, strict=True):
            form.update(part)
    outputs: list[Output] = [Output(None)] * len(matrix)
    for form, (output, parent, sign) in zip(forms, recipe.forest, strict=True):
        terms = [(code // PLACES, code % PLACES, digit) for code, digit in form.items()]
        if parent is not None and (known := outputs[parent]).node is not None:
            terms.append((known.node, known.shift, -sign if known.negative else sign))
        if terms:
            node, shift, digit = maker.join(terms)
            outputs[output] = Output(node, shift, digit < 0)
    return AdderGraph(inputs, tuple(maker.adders), tuple(outputs))


def blocks(size: int) -> list[range]:
    """As few blocks of at most ``WIDEST`` as hold so many, of almost one size.

    Examples
    --------
    >>> blocks(256), blocks(300)
    ([range(0, 256)], [range(0, 150), range(150, 300)])
    """
    count = -(-size // WIDEST)
    return [range(size * i // count, size * (i + 1) // count) for i in range(count)]


@cache
def signed_digits(value: int, chain: bool = False) -> tuple[tuple[int, int], ...]:
    """Shifts and signs of the canonical signed digits; ``chain`` writes 3 as 2 + 1, not 4 - 1.

    Examples
    --------
    >>> signed_digits(7), signed_digits(-3), signed_digits(3, chain=True)
    (((0, -1), (3, 1)), ((0, 1), (2, -1)), ((0, 1), (1, 1)))
    """
    sign, rest, shift, digits = 1 if value > 0 else -1, abs(value), 0, []
    while rest:
        if rest & 1:
            digit = 1 if rest & 3 == 1 or (chain and rest & 7 == 3) else -1
            digits.append((shift, sign * digit))
            rest -= digit
        rest >>= 1
        shift += 1
    return tuple(digits)


class _Maker:
    """Appends adders and knows the bits of every node in unsigned-offset form.

    A term is as dear as ``adder`` bits for each adder in a row below it.
    """

    def __init__(self, inputs: tuple[IntFormat, ...], adder: int) -> None:
        self.first = len(inputs)
        self.adder = adder
        self.depths = [0] * len(inputs)
        self.adders: list[Adder] = []
        self.most = [fmt.hi + (1 << (fmt.bits - 1)) * fmt.signed for fmt in inputs]
        self.bits = [max(1, most.bit_length()) for most in self.most]

    def add(self, left: int, right: int, distance: int, subtract: bool) -> int:
        """The node ``left ± right * 2^distance``, over a common power of two."""
        low, high = max(0, -distance), max(0, distance)
        self.adders.append(Adder(left, right, low, high, subtract))
        mosts = [self.most[left] << low, self.most[right] << high]
        if subtract:
            inverted = int(high > low)
            mosts[inverted] = ((1 << self.bits[(left, right)[inverted]]) - 1) << max(low, high)
        self.most.append(sum(mosts))
        bits = self.bits
        shared = min(bits[left] + low, bits[right] + high) > max(low, high)
        self.depths.append(max(self.depths[left], self.depths[right]) + shared)
        bits.append(self.most[-1].bit_length())
        return self.first + len(self.adders) - 1

    def join(self, terms: list[tuple[int, int, int]]) -> tuple[int, int, int]:
        """Add the terms (node, shift, sign), cheapest pair first; many of them by blocks."""
        bits, depths = self.bits, self.depths
        while len(terms) > WIDEST:
            # Terms that end at one height overlap least beyond their own bits.
            ordered = sorted(terms, key=lambda term: (term[1] + bits[term[0]], term))
            terms = [self.join(ordered[block.start : block.stop]) for block in blocks(len(terms))]

        def price(a: tuple[int, int, int], b: tuple[int, int, int]) -> tuple[int, int]:
            top_a, top_b = a[1] + bits[a[0]], b[1] + bits[b[0]]
            shared = max(0, min(top_a, top_b) - max(a[1], b[1]))
            deeper = max(depths[a[0]], depths[b[0]])
            return shared + self.adder * deeper, max(top_a, top_b)

        # Of the cheapest pairs the first is taken; terms go by number, as two may be equal.
        pairs = combinations(enumerate(terms), 2)
        prices = [(*price(a, b), at, i, j) for at, ((i, a), (j, b)) in enumerate(pairs)]
        heapify(prices)
        left, made = dict(enumerate(terms)), len(prices)
        while len(left) > 1:
            *_, i, j = heappop(prices)
            if i not in left or j not in left:
                continue
            a, b = left.pop(i), left.pop(j)
            node = self.add(a[0], b[0], b[1] - a[1], a[2] != b[2])
            joined = (node, min(a[1], b[1]), a[2])
            new = len(terms) + made
            for other, term in left.items():
                heappush(prices, (*price(term, joined), made, other, new))
                made += 1
            left[new] = joined
        (last,) = left.values()
        return last


def _begun(x: _Number) -> _Number:
    """The key of a pattern, but for its second digit y and its signs: ``2 * (this + y) + differ``.

    A pattern is two digits x < y.  Its key is one number, the same for all common shifts and signs
    of the two: node of x, node of y, distance of their shifts from x to y, and whether their signs
    differ, as the digits of a number of the bases LEFT, PLACES and 2.
    """
    return x // PLACES * LEFT - x % PLACES + ZERO


def _unpacked(key: _Number) -> tuple[_Number, _Number, _Number, _Number]:
    """Node of x, node of y, distance, and whether the signs differ, of the key of a pattern."""
    pair, differ = key // 2, key % 2
    return pair // LEFT, pair % LEFT // PLACES, pair % PLACES - ZERO, differ


class _Patterns:
    """How often each pattern of two digits occurs, and what it is worth; see :func:`_begun`."""

    def __init__(self, power: float, noise: float, generator: np.random.Generator) -> None:
        self.place: dict[int, int] = {}
        self.keys: list[int] = []
        self.counts = array("i", bytes(4 << 12))
        self.values = np.zeros(1 << 12)
        self.valued = 0
        self.power, self.noise, self.generator = power, noise, generator

    def begin(self, keys: list[int], counts: IntArray) -> None:
        """The first patterns, and how often each occurs."""
        self.keys, self.place = keys, dict(zip(keys, range(len(keys)), strict=True))
        self.values = np.zeros(max(len(keys), len(self.values)))
        self.counts = array("i", bytes(4 * len(self.values)))
        np.frombuffer(self.counts, np.int32)[: len(keys)] = counts

    def new(self, key: int) -> int:
        """The place of a pattern not seen before."""
        place = self.place[key] = len(self.keys)
        self.keys.append(key)
        if place == len(self.counts):
            self.counts = self.counts + array("i", bytes(4 * place))
            self.values = np.concatenate([self.values, np.zeros(place)])
        return place

    def best(self, bits: list[int]) -> int | None:
        """The key of the pattern that saves most, or None where none occurs twice."""
        known, total = self.valued, len(self.keys)
        if total > known:
            left, right, distance, _ = _unpacked(np.array(self.keys[known:], np.int64))
            sizes = np.array(bits)
            top = np.minimum(sizes[left], sizes[right] + distance)
            shared = np.maximum(top - np.maximum(distance, 0), 0.5)
            luck = 1 + self.noise * self.generator.uniform(size=total - known)
            self.values[known:total] = shared**self.power * luck
            self.valued = total
        counts = np.frombuffer(self.counts, np.int32, total)
        often = np.flatnonzero(counts >= 2)
        if not often.size:
            return None
        scores = (counts[often] + (self.power / 2 - 1)) * self.values[often]
        first = int(np.argmax(scores))
        return self.keys[often[first]] if scores[first] > 0 else None

    def drop(self, key: int) -> None:
        """Never choose this pattern again."""
        self.values[self.place[key]] = 0


def _share(
    forms: list[Digits], maker: _Maker, power: float, noise: float, generator: np.random.Generator
) -> None:
    """Replace patterns that occur twice and more by nodes, in place."""
    patterns = _Patterns(power, noise, generator)
    _count_all(forms, patterns)
    holders: dict[int, set[int]] = {}
    for column, form in enumerate(forms):
        for code in form:
            holders.setdefault(code // PLACES, set()).add(column)
    while (key := patterns.best(maker.bits)) is not None:
        left, right, distance, differ = _unpacked(key)
        found = _occurrences(forms, holders, left, right, distance, 1 - 2 * differ)
        if len(found) < 2:
            patterns.drop(key)
            continue
        node = maker.add(left, right, distance, bool(differ))
        holders[node] = set()
        for column, x, y in found:
            form = forms[column]
            sign = form[x]
            _remove(form, x, patterns)
            _remove(form, y, patterns)
            _insert(form, node * PLACES + min(x % PLACES, y % PLACES), sign, patterns)
            holders[node].add(column)


def _occurrences(
    forms: list[Digits],
    holders: dict[int, set[int]],
    left: int,
    right: int,
    distance: int,
    product: int,
) -> list[tuple[int, int, int]]:
    """Where the pattern stands, no digit used twice: (form, left digit, right digit)."""
    found = []
    step = (right - left) * PLACES + distance
    for column in sorted(holders[left] & holders[right]):
        form, used = forms[column], set()
        for x in range(left * PLACES, (left + 1) * PLACES):
            if x in form and x not in used:
                y = x + step
                if y // PLACES == right and form.get(y) == product * form[x] and y not in used:
                    found.append((column, x, y))
                    used |= {x, y}
    return found


def _count_all(forms: list[Digits], patterns: _Patterns) -> None:
    """Count the patterns of the first forms at once."""
    parts = []
    for form in forms:
        codes = np.array(sorted(form), np.int64)
        signs = np.array([form[code] for code in codes.tolist()], np.int64)
        first, second = np.triu_indices(len(codes), 1)
        x, y = codes[first], codes[second]
        parts.append(2 * (_begun(x) + y) + (signs[first] != signs[second]))
    keys, counts = np.unique(np.concatenate(parts), return_counts=True)
    patterns.begin(keys.tolist(), counts)


def _remove(form: Digits, code: int, patterns: _Patterns) -> None:
    sign = form.pop(code)
    place, counts = patterns.place, patterns.counts
    begun = _begun(code)
    for other, digit in form.items():
        if other > code:
            key = 2 * (begun + other) + (digit != sign)
        else:  # as _begun(other), which is not called here for its time
            key = 2 * (other // PLACES * LEFT - other % PLACES + ZERO + code) + (digit != sign)
        counts[place[key]] -= 1


def _insert(form: Digits, code: int, sign: int, patterns: _Patterns) -> None:
    get, new = patterns.place.get, patterns.new
    begun = _begun(code)
    for other, digit in form.items():
        if other > code:
            key = 2 * (begun + other) + (digit != sign)
        else:  # as in _remove
            key = 2 * (other // PLACES * LEFT - other % PLACES + ZERO + code) + (digit != sign)
        place = get(key)
        if place is None:
            place = new(key)
        patterns.counts[place] += 1
    form[code] = sign
