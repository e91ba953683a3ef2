"""From the arrays that data sets hold to the integers that a network takes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.simulate.reference import quantize_input


def network_inputs(network: Network, x: npt.ArrayLike) -> IntArray:
    """Real samples as a data set holds them, as codes of the network's input.

    Parameters
    ----------
    network : Network with one input
    x : array of shape (N, C), (N, C, L) or (N, C, H, W)
        Channels first.  A sequence (C, L) is an image of height 1.  A network that takes vectors
        gets them flattened in that order, as torch.nn.Flatten does it.

    Returns
    -------
    int array of shape (N, C) or (N, H, W, C)
        What :func:`simulate` takes.

    Raises
    ------
    VecqError
        The samples have another shape, are no real numbers, or hold NaN or infinite values.
    """
    source = network.inputs[0]
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
            samples, wanted = samples[:, :, np.newaxis], (channels, width)
        fits = samples.shape[1:] == (channels, height, width)
        arranged = samples.transpose(0, 2, 3, 1) if fits else samples
    if not fits:
        raise VecqError(
            f"input '{source.name}': samples of the shape {wanted} are wanted, not"
            f" {np.shape(x)[1:]}"
        )
    return quantize_input(network, np.ascontiguousarray(arranged))
