"""The outputs of a network that ends in sums with a bias: numeric contract, rule 6."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import PRODUCT_LIMIT, Conv2d, Dense, Layer, Rescale, Tensor, as_mac_layer
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.rescale import rescale_constants
from vecq_hw.lower.values import Value

OUTPUT_BITS = 16
"""Sums of at least so many bits take a bias in whole units; below, a unit is too coarse for it."""

MOST_FRACTION_BITS = 16
"""So many more the order of the biases may ask for."""

WIDEST_BIAS = 1 << 60
"""In accumulator units; beyond it no accumulator holds both."""

_COARSE_BITS = 32


@dataclass(frozen=True, slots=True)
class Outputs:
    """The tensors of outputs and of scores, whose sums have got their biases."""

    builder: Builder
    known: dict[int, tuple[Value, str]] = field(default_factory=dict)
    """By the identity of their value, which stays alive here."""

    def finished(self, value: Value, alone: bool) -> str:
        """The tensor of an output; sums get their bias (rule 6).

        Parameters
        ----------
        alone : bool
            Whether nothing else reads the sums, so that they may have the bias in them.
        """
        if (found := self.known.get(id(value))) is not None:
            return found[1]
        builder, given = self.builder, value
        value = builder.in_order(value.owner, value)
        if value.offset.any():
            value = replace(value, tensor=_with_bias(builder, value, alone))
        tensor = builder.moved(value).tensor
        self.known[id(given)] = given, tensor
        return tensor


def _with_bias(builder: Builder, value: Value, alone: bool) -> str:
    last = next((layer for layer in builder.layers if layer.name == value.tensor), None)
    name = builder.free(f"{value.owner}_rescale")
    layer = biased(name, last if alone else None, value, builder.tensors[value.tensor])
    if layer.name == name:
        return builder.add(layer)
    builder.layers = [layer if old is last else old for old in builder.layers]
    return layer.name


def biased(name: str, last: Layer | None, value: Value, sums: Tensor) -> Dense | Conv2d | Rescale:
    """The layer that gives ``value`` its offset: ``last`` with a bias, or a Rescale behind it.

    Wide sums take the bias in their own units.  Of narrow ones a unit is a large part of what sets
    two outputs apart, so a Rescale called ``name`` shifts the sums left and adds the bias in the
    finer units: as many bits as make 16 of them, and more where two outputs would compare otherwise
    than with their real biases.  A bias that no accumulator holds makes the units coarser.

    Parameters
    ----------
    last : Layer or None
        The one that makes the sums.
    sums : Tensor
        What it makes.

    Raises
    ------
    VecqError
        The outputs have different scales.
    """
    if (value.scale != value.scale[0]).any():
        raise VecqError(f"layer '{name}': the model's outputs have different scales; end it in a"
                        " layer that gives them one")  # fmt: skip
    with np.errstate(over="ignore"):
        bias = value.offset / value.scale
    largest = np.abs(bias).max()
    if not largest < WIDEST_BIAS:
        return _coarse(name, value, sums)
    fraction = 0
    if sums.format.bits < OUTPUT_BITS:
        # Twice the sums and biases in these units stay within the products of a Rescale.
        _, whole_bits = math.frexp(float(largest) + sums.format.magnitude + 1)
        room = max(PRODUCT_LIMIT.bit_length() - 2 - whole_bits, 0)
        fraction = fraction_bits(bias, OUTPUT_BITS - sums.format.bits, room)
    offset = _rounded(bias, fraction)
    mac = None if last is None else as_mac_layer(last)
    if not fraction and mac is not None:
        return replace(mac, bias=offset)
    lo, hi = sums.format.lo << fraction, sums.format.hi << fraction
    return Rescale(
        name=name,
        input=value.tensor,
        mantissa=np.full(len(offset), 2 << fraction, np.int64),
        offset=2 * offset,
        shift=1,
        format=IntFormat.covering(lo + int(offset.min()), hi + int(offset.max())),
        step=sums.step / (1 << fraction),
    )


def fraction_bits(bias: npt.NDArray[np.float64], least: int, most: int = 62) -> int:
    """The fewest fraction bits from ``least`` on that keep every comparison of two outputs.

    ``most`` is how many there is room for, and has the last word.

    ``sum_i + bias_i >= sum_j + bias_j`` for any integer sums is decided by the order of what the
    biases have behind the point.

    ``bias`` has the shape (O,).

    Examples
    --------
    >>> fraction_bits(np.array([0.5, 0.501, -1.0]), 0), fraction_bits(np.array([1.0, 4.0]), 0)
    (9, 0)
    """
    whole = np.floor(bias)
    order = np.argsort(bias - whole, kind="stable")
    differ = np.diff((bias - whole)[order]) > 0
    for bits in range(least, min(least + MOST_FRACTION_BITS, most)):
        behind = _rounded(bias, bits) - (whole.astype(np.int64) << bits)
        gaps = np.diff(behind[order])
        if ((gaps > 0) == differ).all() and np.ptp(behind) < 1 << bits:
            return bits
    return min(least + MOST_FRACTION_BITS, most)


def _rounded(bias: npt.NDArray[np.float64], fraction: int) -> npt.NDArray[np.int64]:
    units: npt.NDArray[np.int64] = np.rint(np.ldexp(bias, fraction)).astype(np.int64)
    return units


def _coarse(name: str, value: Value, sums: Tensor) -> Rescale:
    """A Rescale whose largest output fills 32 bits."""
    reach = float(np.abs(value.offset).max()) + float(value.scale[0]) * sums.format.magnitude
    fmt = IntFormat(_COARSE_BITS, signed=True)
    step = reach / fmt.hi
    constants = rescale_constants(
        (value.scale / step).tolist(), (value.offset / step).tolist(), sums.format, 18, fmt
    )
    return Rescale(
        name=name,
        input=value.tensor,
        mantissa=np.array(constants.mantissa, np.int64),
        offset=np.array(constants.offset, np.int64),
        shift=np.array(constants.shift, np.int64),
        format=fmt,
        step=step,
    )
