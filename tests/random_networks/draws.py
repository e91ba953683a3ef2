"""Where choices come from, and what is drawn alone: formats, weights, rescales, tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, TypeVar

import numpy as np

from vecq_hw.formats import (
    CodeBook,
    Grid,
    IntFormat,
    MidRise,
    MiniFloat,
    TwosComplement,
)
from vecq_hw.layers import (
    BinaryBases,
    Lookup,
    ProductWeights,
    Rescale,
    Tensor,
    Weights,
)
from vecq_hw.schedule import (
    divisors,
)

ANY_GRID = (MidRise, TwosComplement, CodeBook, MiniFloat)
ANY_KIND = (*ANY_GRID, *ANY_GRID, ProductWeights, BinaryBases)
"""Kinds of weights: each weight by itself on a grid, or one of the other kinds."""

Option = TypeVar("Option")


class Draw(Protocol):
    """Where choices come from; the first option and the least integer are the simplest."""

    def integer(self, least: int, most: int) -> int:
        """Either end included."""

    def choice(self, options: Sequence[Option]) -> Option:
        """One of them."""


class Seeded:
    """Draws that follow from a seed."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def integer(self, least: int, most: int) -> int:
        return int(self._rng.integers(least, most, endpoint=True))

    def choice(self, options: Sequence[Option]) -> Option:
        return options[self._rng.integers(len(options))]


def chance(draw: Draw, one_in: int = 2) -> bool:
    return draw.integer(0, one_in - 1) == one_in - 1


def generator(draw: Draw) -> np.random.Generator:
    """For the contents of arrays, which are too many to be drawn one by one."""
    return np.random.default_rng(draw.integer(0, 2**32))


def pair(draw: Draw, least: int, most: int) -> tuple[int, int]:
    return draw.integer(least, most), draw.integer(least, most)


def random_format(draw: Draw, min_bits: int = 1, max_bits: int = 16) -> IntFormat:
    """Some formats have a range tighter than their bits."""
    bits, signed = draw.integer(min_bits, max_bits), chance(draw)
    full = IntFormat(bits, signed)
    if not chance(draw):
        return full
    lo = draw.integer(full.lo, full.hi)
    return IntFormat(bits, signed, lo, draw.integer(lo, full.hi))


def random_grid(draw: Draw, kinds: Sequence[type[Grid]] = ANY_GRID) -> Grid:
    """Code books hold small and very large values, in any order."""
    kind = draw.choice(kinds)
    if kind is CodeBook:
        most = draw.choice([1, 127, 2**31 - 1])
        size = 1 << draw.integer(1, 6)
        values = generator(draw).integers(-most, most, size, endpoint=True)
        return CodeBook(tuple(values.tolist()))
    if kind is MiniFloat:
        fraction, exponent = draw.integer(0, 3), draw.integer(1, 4)
        return MiniFloat(1 + exponent + fraction, fraction)
    bits = draw.choice([1, 2, 3, 4, 8, draw.integer(1, 16)])
    return MidRise(bits) if kind is MidRise else TwosComplement(bits)


def random_weights(draw: Draw, shape: tuple[int, ...], grid: Grid) -> Weights:
    """Extremes are frequent."""
    fmt = grid.code_format
    kind = draw.choice(["random", "random", "lowest", "highest"])
    if kind == "random":
        codes = generator(draw).integers(fmt.lo, fmt.hi, shape, endpoint=True)
    else:
        codes = np.full(shape, fmt.lo if kind == "lowest" else fmt.hi)
    return Weights(codes=codes, grid=grid, step=draw.choice([1.0, 0.5, 0.0371]))


def random_product(draw: Draw, shape: tuple[int, ...]) -> ProductWeights:
    """Blocks of any length that divides the channels; large books and very small ones."""
    grid, rng = random_grid(draw, (MidRise, TwosComplement)), generator(draw)
    block = draw.choice(divisors(shape[-1]))
    words, fmt = 1 << draw.choice([1, 2, 4, draw.integer(1, 7)]), grid.code_format
    return ProductWeights(
        indices=rng.integers(0, words, (*shape[:-1], shape[-1] // block)),
        book=rng.integers(fmt.lo, fmt.hi, (words, block), endpoint=True),
        grid=grid,
        step=draw.choice([1.0, 0.5, 0.0371]),
    )


def random_bases(draw: Draw, shape: tuple[int, ...]) -> BinaryBases:
    """Up to four bases for each group of channels; some, or all of them, pruned."""
    rng, group = generator(draw), draw.choice(divisors(shape[-1]))
    groups = (*shape[:-1], shape[-1] // group, draw.integer(1, 4))
    limit = draw.choice([1, 15, 127])
    coordinates = rng.integers(-limit if chance(draw, 4) else 0, limit, groups, endpoint=True)
    coordinates[rng.random(groups) < draw.choice([0.0, 0.4, 0.9])] = 0
    return BinaryBases(bases=rng.integers(0, 2, (*groups, group)), coordinates=coordinates)


def random_rescale(
    draw: Draw, name: str, source: str, tensor: Tensor, fmt: IntFormat | None = None
) -> Rescale:
    """A rescale that keeps most of the range, with mantissas of both signs and zero.

    Some have a shift for each channel: gains that differ, or equal gains more or less precise.
    """
    channels, fmt = tensor.shape[-1], fmt or random_format(draw, 1, 8)
    rng = generator(draw)
    # Rule 4: with an offset as large as the product, the sum stays below 2^62.
    fitting = max(62 - tensor.format.magnitude.bit_length(), 1)
    limit = (1 << (min(draw.integer(1, 18), fitting) - 1)) - 1
    mantissa = rng.integers(-limit - 1, limit + 1, channels)
    reach = max(tensor.format.magnitude * (limit + 1), 1)
    shift = draw.integer(1, 62)
    if draw.integer(0, 3):  # mostly a shift that lets something of the value through
        shift = min(max(reach.bit_length() - fmt.bits, 1), 62)
    room = min(reach, (1 << 61) - 1)
    offset = rng.integers(-room, room + 1, channels)
    layer = Rescale(
        name=name, input=source, mantissa=mantissa, offset=offset, shift=shift, format=fmt
    )
    return own_shifts(layer, tensor.format, rng) if chance(draw) else layer


def random_lookup(draw: Draw, name: str, source: str, tensor: Tensor) -> Lookup:
    """Any function of the codes, or one for each channel."""
    fmt, own = random_format(draw, 1, 8), chance(draw)
    shape = (tensor.channels if own else 1, tensor.format.hi - tensor.format.lo + 1)
    table = generator(draw).integers(fmt.lo, fmt.hi, shape, endpoint=True)
    return Lookup(name=name, input=source, table=table, format=fmt)


def random_rows(draw: Draw, layer: Rescale, positions: int) -> Rescale:
    """The rescale with classes of positions: the lines of each go to other channels."""
    classes = draw.integer(1, 4)
    mantissa, offset = (
        np.stack([np.roll(values, turn) for turn in range(classes)])
        for values in (layer.mantissa, layer.offset)
    )
    rows = generator(draw).integers(0, classes, positions)
    return replace(layer, mantissa=mantissa, offset=offset, rows=rows)


def own_shifts(layer: Rescale, source: IntFormat, rng: np.random.Generator) -> Rescale:
    """The rescale with a longer shift for some channels, as far as rule 4 lets it.

    Their offsets keep their real values; their mantissas too, or their gains become smaller.
    """
    columns = layer.mantissa.tolist(), layer.offset.tolist(), layer.shifts.tolist()
    drawn = []
    for m, b, s in zip(*columns, strict=True):
        more, gain = int(rng.integers(0, 25)), int(rng.integers(2))
        ends = [abs(end * (m << more * gain) + (b << more)) for end in (source.lo, source.hi)]
        fits = s + more <= 62 and max(ends) < 1 << 62 and abs(m) << more * gain < 1 << 31
        fits = fits and abs(b) << more < 1 << 62
        drawn.append((m << more * gain, b << more, s + more) if fits else (m, b, s))
    mantissa, offset, shift = (np.array(column) for column in zip(*drawn, strict=True))
    return replace(layer, mantissa=mantissa, offset=offset, shift=shift)
