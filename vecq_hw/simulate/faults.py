"""Random bit flips in weights, activations or accumulators: what a fault costs in accuracy.

Every register keeps its width: what a flip makes of a number wraps at the bits that hold it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, assert_never

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Conv2d, Dense, Embedding, Gru, Layer, Lookup, Lstm, as_code_layer
from vecq_hw.network import Network
from vecq_hw.simulate.ends import Given
from vecq_hw.simulate.engines import EngineName
from vecq_hw.simulate.prepared import Hook, to_register
from vecq_hw.simulate.reference import checked_inputs, simulate

Site = Literal["weights", "activations", "accumulators"]
_WITH_WEIGHTS = (Dense, Conv2d, Embedding, Lstm, Gru)


def simulate_with_faults(
    network: Network,
    inputs: Given,
    site: Site,
    count: int,
    seed: int,
    engine: EngineName = "float",
) -> IntArray | dict[str, IntArray]:
    """The outputs of ``network`` with ``count`` random bits flipped.

    Inputs and outputs have the shape (N, ...).

    Parameters
    ----------
    inputs : as :func:`simulate` takes them; it gives the outputs as that does
    site : {"weights", "activations", "accumulators"}
        Where: in stored codes, once for all samples; in the codes of the input and of every Rescale
        and Threshold; or in the sums of every Dense and Conv2d.  The bits are drawn over all of
        these, and over all samples, each as likely as any other and none twice.
    count : int
        Bits to flip, in all.
    seed : int
        The same seed flips the same bits.

    Raises
    ------
    VecqError
        There are fewer bits than ``count``, or the inputs do not fit the network.
    """
    codes = checked_inputs(network, inputs)
    if site == "weights":
        return simulate(flip_weights(network, count, seed), codes, engine=engine)
    samples = len(codes[network.inputs[0].name])
    hooks = fault_hooks(network, samples, site, count, seed)
    return simulate(network, codes, engine=engine, hooks=hooks)


def flip_weights(network: Network, count: int, seed: int) -> Network:
    """``network`` with ``count`` random bits of its stored weights flipped.

    Accumulators wrap at the widths proven for the faultless weights, and a Lookup has its nearest
    entry for other sums; those of a recurrent layer's state hold what the flipped weights make.
    """
    layers = [layer for layer in network.layers if isinstance(layer, _WITH_WEIGHTS)]
    sizes = {layer.name: layer.weights.stored_bits for layer in layers}
    flips = _draw(
        sizes, dict.fromkeys(sizes, 1), count, seed, f"weights of network '{network.name}'"
    )
    flipped: dict[str, Layer] = {}
    for layer in layers:
        places, _ = flips[layer.name]
        weights = layer.weights.flipped(places)
        match layer:
            case Dense() | Conv2d():
                bits = network.tensors[layer.name].format.bits
                flipped[layer.name] = replace(layer, weights=weights, accumulator_bits=bits)
            case Embedding() | Lstm() | Gru():
                flipped[layer.name] = replace(layer, weights=weights)
            case _:
                assert_never(layer)
    made: list[Layer] = []
    for kept in network.layers:
        if isinstance(kept, Lookup):
            made.append(_over_new_range(kept, network, made))
        else:
            made.append(flipped.get(kept.name, kept))
    return replace(network, layers=tuple(made))


def _over_new_range(layer: Lookup, network: Network, before: Sequence[Layer]) -> Lookup:
    """A Lookup behind layers whose sums have other ranges, with the nearest of its entries.

    That is what its memory holds for the bits of such a sum.
    """
    source = network.tensors[layer.input].format
    if layer.input in {entry.name for entry in network.inputs}:
        return layer
    part = replace(network, layers=tuple(before), outputs=(layer.input,))
    found = part.tensors[layer.input].format
    return replace(layer, table=layer.over(source, found))


def fault_hooks(
    network: Network, samples: int, site: Site, count: int, seed: int
) -> Mapping[str, Hook]:
    """Hooks for :func:`simulate` that flip ``count`` bits among ``samples`` samples.

    Arguments as in :func:`simulate_with_faults`, without the site "weights".
    """
    if site == "accumulators":
        names = [layer.name for layer in network.mac_layers]
    else:
        made = [layer.name for layer in network.layers if as_code_layer(layer) is not None]
        names = [source.name for source in network.inputs] + made
    tensors = {name: network.tensors[name] for name in names}
    sizes = {name: samples * int(np.prod(tensor.shape)) for name, tensor in tensors.items()}
    widths = {name: tensor.format.bits for name, tensor in tensors.items()}
    flips = _draw(sizes, widths, count, seed, f"{site} of network '{network.name}'")
    return {
        name: _flip(*flips[name], tensors[name].format) for name in names if flips[name][0].size
    }


def _flip(elements: IntArray, bits: IntArray, fmt: IntFormat) -> Hook:
    def hook(result: IntArray, _sources: Sequence[IntArray], first: int) -> IntArray:
        size = int(np.prod(result.shape[1:]))
        begin, end = np.searchsorted(elements, [first * size, (first + len(result)) * size])
        flat = result.reshape(-1).copy()
        np.bitwise_xor.at(flat, elements[begin:end] - first * size, np.int64(1) << bits[begin:end])
        return to_register(flat, fmt).reshape(result.shape)

    return hook


def _draw(
    sizes: Mapping[str, int], widths: Mapping[str, int], count: int, seed: int, where: str
) -> dict[str, tuple[IntArray, IntArray]]:
    """``count`` different bits over all tensors: of each its elements, ascending, and bits."""
    totals = np.array([0] + [sizes[name] * widths[name] for name in sizes], np.int64).cumsum()
    if not 0 <= count <= totals[-1]:
        raise VecqError(f"{count} faults in the {where}: 0 to {totals[-1]} bits can be flipped")
    drawn = np.random.default_rng(seed).choice(totals[-1], count, replace=False, shuffle=False)
    drawn = np.sort(drawn)
    ends = np.searchsorted(drawn, totals)
    flips = {}
    for index, name in enumerate(sizes):
        places = drawn[ends[index] : ends[index + 1]] - totals[index]
        flips[name] = (places // widths[name], places % widths[name])
    return flips
