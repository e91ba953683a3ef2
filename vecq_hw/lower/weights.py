"""The codes of a quantizer as the weights of a layer, in the order in which the network has them.

Layers turn an array of places, as they would turn the weights themselves; one function here makes
weights of it.
"""

from __future__ import annotations

import math
from typing import assert_never

import numpy as np
import torch

from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, Grid, IntArray, IntFormat, MidRise, TwosComplement
from vecq_hw.layers import AnyWeights, BinaryBases, ProductWeights, Weights
from vecq_hw.lower.values import Doubles, doubles
from vecq_hw.quantize import BaseCodes, ProductCodes, ScalarCodes, WeightCodes
from vecq_hw.quantize.weights import codes_of

_MOST_BITS = 16


def places(shape: tuple[int, ...]) -> IntArray:
    """The number of each weight of a tensor, of that shape."""
    return np.arange(math.prod(shape)).reshape(shape)


def steps_of(codes: WeightCodes) -> tuple[float, Doubles]:
    """The largest step, which is that of the layer, and the part of it that each output has.

    The parts are a scalar, or of shape (O,).
    """
    steps = doubles(codes.step)
    step = float(steps.max())
    return step, steps / step


def weights_at(codes: WeightCodes, taken: IntArray) -> AnyWeights:
    """The weights of a layer.

    Parameters
    ----------
    codes : WeightCodes
    taken : int array of shape (O, C) or (O, KH, KW, C)
        Of :func:`places`, which weight of torch's tensor stands at each place.

    Returns
    -------
    AnyWeights
        Of the kind of the codes where blocks stay whole and channels of a block side by side, else
        the same values on the narrowest grid.  Channels of a group of bases may stand in any order,
        and its parts apart where that still takes fewer bits than the values.
    """
    step, _ = steps_of(codes)
    match codes:
        case ScalarCodes():
            found = _array(codes.codes).reshape(-1)[taken]
            return Weights(codes=found, grid=codes.grid, step=step)
        case ProductCodes():
            indices, book = _array(codes.indices), _array(codes.book)
            blocks = _whole_blocks(indices.shape, book.shape[1], taken)
            if blocks is None:
                words = codes.grid.values(book)[indices]
                return _by_values(np.moveaxis(words, -1, 2).reshape(-1)[taken], step)
            chosen = indices.reshape(-1)[blocks]
            return ProductWeights(indices=chosen, book=book, grid=codes.grid, step=step)
        case BaseCodes():
            return _bases_at(codes, taken, step)
        case _:
            assert_never(codes)


def _whole_blocks(shape: tuple[int, ...], block: int, taken: IntArray) -> IntArray | None:
    """Which block stands where, (O, ..., C / block); None where not all blocks are whole.

    Parameters
    ----------
    shape : (O, C / block, ...)
        Of the blocks in torch's layout.
    """
    if taken.shape[-1] % block:
        return None
    outputs, blocks, *taps = shape
    # Of each weight of torch's tensor, its number among (block, channel of the block).
    numbers = np.arange(math.prod(shape) * block).reshape(outputs, blocks, *taps, block)
    numbers = np.moveaxis(numbers, -1, 2).reshape(-1)[taken]
    parts = numbers.reshape(*taken.shape[:-1], -1, block)
    if (parts != parts[..., :1] + np.arange(block)).any() or (parts[..., 0] % block).any():
        return None
    result: IntArray = parts[..., 0] // block
    return result


def _bases_at(codes: BaseCodes, taken: IntArray, step: float) -> BinaryBases | Weights:
    """Groups of bases where their channels stand, cut into runs of which each has one sum.

    Groups side by side that have all their coordinates in common become one.
    """
    bases, coordinates = _array(codes.bases), _array(codes.coordinates)
    *shape, most, size = bases.shape
    # Of each weight, the number of its group and its place there.
    group, channel = np.broadcast_arrays(
        np.arange(math.prod(shape)).reshape(*shape, 1), np.arange(size)
    )
    group = np.moveaxis(group, -1, 2).reshape(-1)[taken]
    channel = np.moveaxis(channel, -1, 2).reshape(-1)[taken]
    factors = coordinates.reshape(-1, most)[group]
    differ = factors[..., 1:, :] != factors[..., :-1, :]
    borders = np.flatnonzero(differ.any(axis=(*range(taken.ndim - 1), -1))) + 1
    run = math.gcd(taken.shape[-1], *borders.tolist())
    found = bases.reshape(-1, most, size)[group, :, channel]
    of_runs = found.reshape(*taken.shape[:-1], -1, run, most).swapaxes(-1, -2)
    whole = BinaryBases(bases=of_runs, coordinates=factors[..., ::run, :], step=step)
    if run % size == 0:
        return whole
    plain = _by_values(whole.values, step)
    return whole if whole.stored_bits < plain.stored_bits else plain


def _by_values(found: IntArray, step: float) -> Weights:
    """Weights of integers of the layer's shape."""
    grid = narrowest_grid(found)
    codes = codes_of(torch.from_numpy(found.astype(np.float64)), grid).numpy()
    return Weights(codes=codes, grid=grid, step=step)


def narrowest_grid(values: IntArray) -> Grid:
    """The grid of the fewest bits that has all of these integers; of two, the plainer one.

    ``values`` has any shape.

    Raises
    ------
    VecqError
        None of at most 16 bits has them.

    Examples
    --------
    >>> narrowest_grid(np.array([-3, -1, 3])), narrowest_grid(np.array([-8, 0]))
    (MidRise(bits=2), CodeBook(levels=(-8, 0)))
    >>> narrowest_grid(np.array([-4, 3, 0, 1, 2]))
    TwosComplement(bits=3)
    """
    levels = np.unique(values)
    least, most = int(levels[0]), int(levels[-1])
    bits = max(IntFormat.covering(least, most).bits, 2)
    grids: list[Grid] = []
    if (levels % 2 == 1).all() and bits - 1 <= _MOST_BITS:
        grids.append(MidRise(bits - 1))
    if bits <= _MOST_BITS:
        grids.append(TwosComplement(bits))
    index_bits = max((len(levels) - 1).bit_length(), 1)
    if index_bits < _MOST_BITS:
        spare = [int(levels[-1])] * ((1 << index_bits) - len(levels))
        grids.append(CodeBook((*map(int, levels), *spare)))
    if not grids:
        raise VecqError(
            f"its weights are the integers {least}..{most}, which no grid of {_MOST_BITS} bits has"
        )
    return min(grids, key=lambda grid: grid.bits)


def _array(tensor: torch.Tensor) -> IntArray:
    result: IntArray = tensor.detach().cpu().numpy()
    return result
