"""From the arrays that data sets hold to the integers that a network takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import overload

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import Input
from vecq_hw.network import Network
from vecq_hw.simulate.ends import Given, by_name, input_names, one_or_all, sample_count
from vecq_hw.simulate.reference import quantized

Rule = Callable[[Input, npt.ArrayLike], IntArray]
"""How reals become codes of an input."""


@overload
def network_inputs(network: Network, x: npt.ArrayLike, rule: Rule = ...) -> IntArray: ...
@overload
def network_inputs(
    network: Network, x: Mapping[str, npt.ArrayLike], rule: Rule = ...
) -> IntArray | dict[str, IntArray]: ...
def network_inputs(
    network: Network, x: Given, rule: Rule = quantized
) -> IntArray | dict[str, IntArray]:
    """Real samples as a data set holds them, as codes of the network's inputs.

    Parameters
    ----------
    network : Network
    x : array of shape (N, C), (N, C, L), (N, L, C) or (N, C, H, W)
        Channels first.  A sequence (C, L) is an image of height 1; so is (L, C), unless both are
        equal.  A network that takes vectors
        gets them flattened in that order, as torch.nn.Flatten does it.  Of a network with several
        inputs a mapping from the name of each to its array, or a tuple of them in their order.
    rule : function of an input and its samples, optional
        How reals become codes; rule 1 of the numeric contract if left out.

    Returns
    -------
    int array of shape (N, C) or (N, H, W, C)
        What :func:`simulate` takes; of several inputs a dictionary.

    Raises
    ------
    VecqError
        The samples have another shape, are no real numbers, or hold NaN or infinite values.
    """
    what = f"inputs of network '{network.name}'"
    given = by_name(input_names(network), x, what)
    codes = {source.name: _codes(source, given[source.name], rule) for source in network.inputs}
    sample_count(codes, what)
    return one_or_all(codes)


def _codes(source: Input, x: npt.ArrayLike, rule: Rule) -> IntArray:
    try:
        samples = np.asarray(x)
    except (TypeError, ValueError, RuntimeError) as error:  # rows of several lengths, say
        reason = str(error).splitlines()[0]
        raise VecqError(f"input '{source.name}': the samples are no array ({reason})") from None
    if samples.dtype.kind not in "biuf":
        raise VecqError(f"input '{source.name}': real numbers are wanted, not {samples.dtype}")
    wanted = source.shape
    if len(source.shape) == 1:
        fits = samples.ndim >= 2 and samples[0:1].size == source.shape[0] * len(samples[0:1])
        arranged = samples.reshape(len(samples), *wanted) if fits else samples
    else:
        height, width, channels = source.shape
        wanted = (channels, height, width)
        if samples.ndim == 3 and height == 1:
            if samples.shape[1:] == (width, channels) != (channels, width):
                samples = samples.swapaxes(1, 2)
            samples, wanted = samples[:, :, np.newaxis], (channels, width)
        fits = samples.shape[1:] == (channels, height, width)
        arranged = samples.transpose(0, 2, 3, 1) if fits else samples
    if not fits:
        raise VecqError(
            f"input '{source.name}': samples of the shape {wanted} are wanted, not"
            f" {np.shape(x)[1:]}"
        )
    return rule(source, np.ascontiguousarray(arranged))
