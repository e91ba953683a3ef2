"""The folded PE × SIMD unit of ``rtl/vecq_matrix_vector.sv``: its values in the order it adds.

An accumulator starts at the bias.  The inputs come ``simd`` at a time, for a convolution tap by tap
(down, across, channels); the adder tree of a processing element sums one such fold exactly, then
the accumulator takes that sum.  So an accumulator changes ``inputs / simd`` times, and what it
holds when it saturates depends on ``simd``.  ``pe`` says how many outputs are computed side by
side, which no sum depends on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw import arithmetic, exact_products
from vecq_hw.errors import VecqError
from vecq_hw.formats import MAX_BITS, IntArray, IntFormat
from vecq_hw.layers import (
    Add,
    ArgMax,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GatherSum,
    Gru,
    Input,
    Layer,
    Lookup,
    Lstm,
    MacLayer,
    MaxPool2d,
    Multiply,
    Permute,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Tensor,
    Threshold,
    TopK,
    Upsample2d,
    as_mac_layer,
)
from vecq_hw.network import Network
from vecq_hw.passes.widths import fitted
from vecq_hw.schedule import Fold, FoldKind, Schedule, check
from vecq_hw.simulate.ends import Given, one_or_all
from vecq_hw.simulate.mac_array.product import Operands, layer_alone, operands
from vecq_hw.simulate.reference import checked_inputs, simulate

TILE_BYTES = 1 << 25
"""Working set of the inputs of one tile of the batch."""


def saturating_outputs(
    layer: MacLayer,
    fold: Fold,
    x: npt.ArrayLike,
    bits: int,
    input_format: IntFormat | None = None,
) -> tuple[IntArray, int]:
    """What a folded unit computes whose accumulators saturate.

    Parameters
    ----------
    layer : Dense or Conv2d
        Its own ``accumulator_bits`` plays no part.
    fold : Fold
        Must divide the outputs and the inputs (the channels of a group).
    x : int array of shape (N, C) or (N, H, W, C), N at least 1
    bits : int
        Width of the signed accumulators, 1 to 63.
    input_format : IntFormat, optional
        Of ``x``; the narrowest that holds it if left out.

    Returns
    -------
    outputs : int array of shape (N, O) or (N, H, W, O)
    overflows : int
        Additions whose sum left the accumulator's range; a bias that does not fit counts as one
        for each output.

    Raises
    ------
    VecqError
        The fold, the width or the inputs do not fit the layer.
    """
    fmt = _accumulator(layer, bits)
    return _run(layer, fold, x, fmt, input_format, lambda sums: arithmetic.saturate(sums, fmt))


def wrapping_outputs(
    layer: MacLayer,
    fold: Fold,
    x: npt.ArrayLike,
    bits: int,
    input_format: IntFormat | None = None,
) -> tuple[IntArray, int]:
    """What a folded unit computes whose accumulators wrap; see :func:`saturating_outputs`.

    The outputs are the same for every fold: those of ``simulate`` with ``accumulator_bits=bits``.
    The number of overflows is not.

    ``x`` has the shape (N, C) or (N, H, W, C), and so have the outputs.
    """
    fmt = _accumulator(layer, bits)
    return _run(layer, fold, x, fmt, input_format, lambda sums: arithmetic.wrap(sums, bits))


def simulate_saturating(
    network: Network, schedule: Schedule, x: Given, bits: int
) -> tuple[IntArray | dict[str, IntArray], dict[str, int]]:
    """Run a network whose accumulators saturate, in the order in which the schedule adds.

    Every accumulator has ``bits`` bits, those proven to be narrower, too; they then saturate in
    passing at most.  All other layers compute what ``simulate`` computes.

    Parameters
    ----------
    network : Network
    schedule : Schedule
        The fold of every Dense and Conv2d.
    x : int array of shape (N, C) or (N, H, W, C), or a mapping of them
        As ``simulate`` takes it.
    bits : int
        Width of the signed accumulators, 1 to 63.

    Returns
    -------
    outputs : int array of shape (N, ...), or a dictionary of them
        As ``simulate`` gives it.
    overflows : dict
        By the name of each Dense and Conv2d, as in :func:`saturating_outputs`.

    Raises
    ------
    VecqError
        The schedule does not fit the network, the inputs do not fit its input, or a Rescale cannot
        take accumulators of this width (numeric contract, rule 4).
    """
    check(network, schedule)
    codes = checked_inputs(network, x)
    count, tile = len(codes[network.inputs[0].name]), _tile_size(network)
    counts = {layer.name: 0 for layer in network.mac_layers}
    parts = [
        _run_tile(
            network,
            schedule,
            {name: array[start : start + tile] for name, array in codes.items()},
            bits,
            counts,
        )
        for start in range(0, count, tile)
    ]
    if not parts:
        return simulate(network, codes), counts
    joined = {name: np.concatenate([part[name] for part in parts]) for name in network.outputs}
    return one_or_all(joined), counts


def _run_tile(
    network: Network,
    schedule: Schedule,
    x: Mapping[str, IntArray],
    bits: int,
    counts: dict[str, int],
) -> dict[str, IntArray]:
    """All tensors of some samples; the overflows are added to ``counts``."""
    values, samples = dict(x), len(x[network.inputs[0].name])
    # A saturated accumulator may leave the range proven for the exact one, so that the formats
    # behind it are derived anew.
    tensors = {source.name: network.tensors[source.name] for source in network.inputs}
    for layer in network.layers:
        given = [tensors[name] for name in layer.inputs]
        if given and not isinstance(layer, Lookup):
            layer = fitted(layer, network.tensors[layer.inputs[0]].format, given[0].format)
        if (mac := as_mac_layer(layer)) is not None:
            found, overflows = saturating_outputs(
                mac, schedule.folds[mac.name], values[mac.input], bits, given[0].format
            )
            counts[layer.name] += overflows
            exact = network.tensors[layer.name]
            tensor = Tensor(shape=exact.shape, format=IntFormat(bits, True), step=exact.step)
        else:
            read = [values[name] for name in layer.inputs]
            if isinstance(layer, Lookup):  # a number outside has the entry of the nearest inside
                given = [network.tensors[layer.input]]
                lo, hi = given[0].format.lo, given[0].format.hi
                read = [np.clip(read[0].astype(np.int64), lo, hi)]
            found = _exact(layer, read, given, samples)
            tensor = layer.output(*given)
        values[layer.name], tensors[layer.name] = found, tensor
    return values


def _exact(layer: Layer, values: list[IntArray], tensors: list[Tensor], samples: int) -> IntArray:
    """A layer without accumulators, as the reference computes it."""
    match layer:
        case Add():
            total: IntArray = np.sum([value.astype(np.int64) for value in values], axis=0)
            return total
        case Subtract():
            return values[0].astype(np.int64) - values[1].astype(np.int64)
        case Multiply():
            left, right = (value.astype(np.int64) for value in values)
            if right.ndim < left.ndim:
                right = right[:, np.newaxis, np.newaxis]
            return left * right
        case Concat():
            return np.concatenate(values, axis=-1)
        case Constant():
            return np.broadcast_to(layer.values, (samples, *layer.values.shape))
        case (
            Rescale()
            | Threshold()
            | Lookup()
            | MaxPool2d()
            | SumPool2d()
            | Flatten()
            | Upsample2d()
            | GatherSum()
            | Take()
            | Permute()
            | ArgMax()
            | Embedding()
            | Lstm()
            | Gru()
            | TopK()
        ):
            (tensor,) = tensors
            source = Input(
                name=layer.input, shape=tensor.shape, format=tensor.format, step=tensor.step
            )
            alone = Network(
                name=layer.name, inputs=(source,), layers=(layer,), outputs=(layer.name,)
            )
            return simulate(alone, values[0])
        case Dense() | Conv2d():
            raise AssertionError(f"{layer!r} has accumulators")
        case _:
            assert_never(layer)


def _accumulator(layer: MacLayer, bits: int) -> IntFormat:
    if not 1 <= bits <= MAX_BITS:
        raise VecqError(
            f"layer '{layer.name}': an accumulator has 1 to {MAX_BITS} bits, not {bits}"
        )
    return IntFormat(bits, signed=True)


def _run(
    layer: MacLayer,
    fold: Fold,
    x: npt.ArrayLike,
    fmt: IntFormat,
    input_format: IntFormat | None,
    narrow: Callable[[IntArray], IntArray],
) -> tuple[IntArray, int]:
    network, codes = layer_alone(layer, x, input_format)
    # Where the Rescale behind it multiplies plays no part here.
    check(network, Schedule(folds={layer.name: replace(fold, dsp=False)}))
    if fold.kind in (FoldKind.BIT_SERIAL, FoldKind.BASE_SERIAL):
        kind = fold.kind.value
        raise VecqError(
            f"layer '{layer.name}': no model of overflows knows the partial sums of a"
            f" {kind.replace('_', '-')} fold; leave out {kind}"
        )
    found = operands(layer, network, codes)
    values = layer.weights.values.reshape(layer.outputs, -1)
    read = layer.reads(network.tensors[layer.input].format)
    bound = exact_products.product_bound(values, read.magnitude)
    if bound >= 1 << 62:
        raise VecqError(
            f"layer '{layer.name}': its partial sums can reach {bound}; less than 2^62 is wanted"
        )
    # Where no order of addition can overflow, one fold is as good as many.
    safe = bound + int(np.abs(found.bias).max()) <= fmt.hi
    simd = found.x.shape[-1] if safe else fold.simd
    sums, overflows = _accumulate(found, simd, bound, narrow)
    outputs = sums.transpose(1, 0, 2).reshape(-1, *found.output.shape)
    return outputs.astype(fmt.dtype), overflows


def _accumulate(
    found: Operands, simd: int, bound: int, narrow: Callable[[IntArray], IntArray]
) -> tuple[IntArray, int]:
    """Sums of shape (G, M, O) and how many additions ``narrow`` had to change."""
    groups, positions, taps = found.x.shape
    start: IntArray = np.broadcast_to(
        found.bias[:, np.newaxis], (groups, positions, found.bias.shape[-1])
    )
    sums = narrow(start)
    overflows = int(np.count_nonzero(sums != start))
    for first in range(0, taps, simd):
        lanes = slice(first, first + simd)
        # Both terms lie within +-2^62, so that int64 holds their sum.
        total = sums + np.stack(
            [
                exact_products.exact_matmul(x[:, lanes], weights[lanes].T, bound)
                for x, weights in zip(found.x, found.weights, strict=True)
            ]
        )
        sums = narrow(total)
        overflows += int(np.count_nonzero(sums != total))
    return sums, overflows


def _tile_size(network: Network) -> int:
    """How many samples a tile takes so that the inputs of every output stay within the budget."""
    cells = [
        network.tensors[layer.name].positions * layer.inputs_of_one_output
        for layer in network.mac_layers
    ]
    return max(1, TILE_BYTES // (8 * max(cells, default=1024)))
