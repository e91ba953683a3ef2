"""Maps of objects: what a network says of each pixel, from its integer scores."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.simulate.ends import output_arrays


def object_maps(
    network: Network, outputs: IntArray | Mapping[str, IntArray]
) -> npt.NDArray[np.float64]:
    """How likely each pixel belongs to the object, (N, H, W) in 0..1.

    Parameters
    ----------
    network : Network
        With one output of (H, W, 1) scores, whose sigmoid is the map, or of (H, W, 2): the rest
        and the object.
    outputs : int array of shape (N, H, W, 1 or 2)
        Of the simulator.

    Raises
    ------
    VecqError
        The network gives something else.
    """
    found = output_arrays(network, outputs)
    names = network.outputs
    shape = network.tensors[names[0]].shape
    if len(names) != 1 or len(shape) != 3 or shape[2] > 2:
        shapes = ", ".join(str(network.tensors[name].shape) for name in names)
        raise VecqError(
            f"network '{network.name}' gives {shapes}; one score of each pixel, (H, W, 1), or two"
            " are wanted for a map"
        )
    scores = found[names[0]][..., -1].astype(np.float64)
    if shape[2] == 2:
        scores -= found[names[0]][..., 0]
    # Of large scores the exponential may overflow to infinity, whose inverse is zero.
    with np.errstate(over="ignore"):
        result: npt.NDArray[np.float64] = 1 / (1 + np.exp(-scores * network.tensors[names[0]].step))
    return result
