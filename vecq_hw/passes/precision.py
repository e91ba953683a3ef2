"""What the mantissas of a network's Rescale layers hold."""

from __future__ import annotations

from vecq_hw.layers import Rescale
from vecq_hw.network import Network


def kept_mantissa_bits(network: Network) -> dict[str, list[int]]:
    """For each Rescale, how many bits each channel's mantissa has, sign included.

    Where a Rescale has rows, those of the first class come first.

    0 of a channel that is constant.  A channel with few bits has a small gain beside those that
    share its shift; lowering lets it lose at most 1/64 of an output unit by that.
    """
    return {
        layer.name: layer.mantissa_bits.ravel().tolist()
        for layer in network.layers
        if isinstance(layer, Rescale)
    }


def in_words(bits: list[int]) -> str:
    """``12..18 bits, 2 constant``.

    Examples
    --------
    >>> in_words([18, 12, 0]), in_words([18]), in_words([0])
    ('12..18, 1 constant', '18', '1 constant')
    """
    moving = sorted({count for count in bits if count})
    ends = "..".join(map(str, dict.fromkeys((moving[0], moving[-1])))) if moving else ""
    constant = bits.count(0)
    return ", ".join(filter(None, [ends, f"{constant} constant" if constant else ""]))
