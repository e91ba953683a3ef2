"""The golden model: what an integer network computes, layer by layer, on NumPy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, assert_never, overload

import numpy as np
import numpy.typing as npt

from vecq_hw import arithmetic
from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntArray
from vecq_hw.network import (
    Add,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Input,
    Layer,
    MaxPool2d,
    Network,
    Rescale,
    SumPool2d,
    Threshold,
    Upsample2d,
    layer_inputs,
)

TILE_BYTES = 1 << 25
"""Working set of one tile of the batch: columns of this size still lie in the outer caches."""


@overload
def simulate(network: Network, inputs: npt.ArrayLike) -> IntArray: ...
@overload
def simulate(
    network: Network, inputs: npt.ArrayLike, *, taps: Sequence[str]
) -> dict[str, IntArray]: ...
def simulate(
    network: Network, inputs: npt.ArrayLike, *, taps: Sequence[str] | None = None
) -> IntArray | dict[str, IntArray]:
    """Run ``network`` on a batch of integer inputs.

    Parameters
    ----------
    network : Network with one input and one output
    inputs : int array of shape (N, C) or (N, H, W, C)
        Codes of the input format.
    taps : names of inputs and layers, optional

    Returns
    -------
    int array of shape (N, ...)
        The outputs, or with ``taps`` a dictionary from each tapped name to its integers.

    Raises
    ------
    VecqError
        The inputs have another shape, are not integers, or leave the input's format.
    """
    if len(network.inputs) != 1 or len(network.outputs) != 1:
        raise VecqError(f"network '{network.name}': one input and one output are supported")
    names = list(network.outputs) if taps is None else list(taps)
    for name in names:
        if name not in network.tensors:
            raise VecqError(
                f"network '{network.name}' has no tensor '{name}'; it has"
                f" {', '.join(network.tensors)}"
            )
    x = checked_codes(network.inputs[0], inputs)
    collected: dict[str, IntArray] = {
        name: np.empty((len(x), *network.tensors[name].shape), _dtype(network, name))
        for name in names
    }
    tile = _tile_size(network)
    for start in range(0, len(x), tile):
        values: dict[str, IntArray] = {network.inputs[0].name: x[start : start + tile]}
        for layer in network.layers:
            result = _run(layer, [values[name] for name in layer_inputs(layer)], network)
            values[layer.name] = result.astype(_dtype(network, layer.name), copy=False)
        for name in names:
            collected[name][start : start + tile] = values[name]
    return collected[network.outputs[0]] if taps is None else collected


def quantize_input(network: Network, x: FloatArray) -> IntArray:
    """Real inputs to codes of the network's input format; shape (N, C) or (N, H, W, C)."""
    source = network.inputs[0]
    x = np.asarray(x)
    if not np.all(np.isfinite(x)):
        raise VecqError(f"input '{source.name}': the data hold NaN or infinite values")
    codes = arithmetic.quantize(x.astype(np.float64), source.step, source.format)
    result: IntArray = codes.astype(source.format.dtype)
    return result


def predictions(outputs: IntArray) -> npt.NDArray[np.int64]:
    """The class of each output vector; the lowest index wins a tie (rule 6)."""
    result: npt.NDArray[np.int64] = outputs.reshape(len(outputs), -1).argmax(axis=1)
    return result


def checked_codes(source: Input, inputs: npt.ArrayLike) -> IntArray:
    """``inputs`` in the input's own integer type, refused where they do not fit it."""
    x = np.asarray(inputs)
    if x.dtype.kind not in "iu":
        raise VecqError(
            f"input '{source.name}': integer codes are wanted, not {x.dtype};"
            " quantize_input turns real data into codes"
        )
    if x.shape[1:] != source.shape or x.ndim == 0:
        raise VecqError(
            f"input '{source.name}': the shape (N, {', '.join(map(str, source.shape))}) is wanted,"
            f" not {x.shape}"
        )
    if x.size and not source.format.contains(int(x.min()), int(x.max())):
        raise VecqError(
            f"input '{source.name}': the codes {x.min()}..{x.max()} leave"
            f" {source.format.lo}..{source.format.hi} ({source.format!r})"
        )
    return x.astype(source.format.dtype)


def engine(layer: Dense | Conv2d, network: Network) -> arithmetic.Engine:
    """Which exact engine the layer's products take, chosen from the proven bound."""
    return arithmetic.engine_for(_bound(layer, network))


def _bound(layer: Dense | Conv2d, network: Network) -> int:
    flat = layer.weights.values.reshape(len(layer.weights.codes), -1)
    return arithmetic.product_bound(flat, network.tensors[layer.input].format.magnitude)


def _dtype(network: Network, name: str) -> np.dtype[np.integer]:
    return network.tensors[name].format.dtype


def _tile_size(network: Network) -> int:
    """How many samples a tile takes so that its largest intermediate stays within the budget."""
    largest = 1
    for layer in network.layers:
        cells = int(np.prod(network.tensors[layer.name].shape)) * 8
        if isinstance(layer, Conv2d):
            height, width, _ = network.tensors[layer.name].shape
            cells = max(cells, height * width * layer.weights.codes[0].size * 4)
        largest = max(largest, cells)
    return max(1, TILE_BYTES // largest)


def _run(layer: Layer, sources: Sequence[IntArray], network: Network) -> IntArray:
    x = sources[0]
    match layer:
        case Dense():
            return _accumulate(layer, x[:, np.newaxis], network)
        case Conv2d():
            bound = _bound(layer, network)
            floats: npt.NDArray[Any] = x
            if arithmetic.engine_for(bound) is arithmetic.Engine.FLOAT32:
                floats = x.astype(np.float32)
            windows = arithmetic.columns(
                floats, layer.kernel, layer.stride, layer.padding, layer.dilation
            )
            rows = windows.reshape(-1, layer.kernel[0] * layer.kernel[1], windows.shape[-1])
            return _accumulate(layer, rows, network).reshape(*windows.shape[:3], -1)
        case Rescale():
            return arithmetic.rescale(x, layer.mantissa, layer.offset, layer.shift, layer.format)
        case Threshold():
            return arithmetic.count_thresholds(x, layer.thresholds, layer.falling, layer.format.lo)
        case MaxPool2d():
            return arithmetic.max_pool(x, layer.kernel, layer.stride, layer.padding)
        case SumPool2d():
            return arithmetic.sum_pool(x, layer.kernel, layer.stride, layer.padding)
        case Flatten():
            return x.reshape(len(x), -1)
        case Upsample2d():
            return x.repeat(layer.factor[0], axis=1).repeat(layer.factor[1], axis=2)
        case Add():
            total: IntArray = np.sum([source.astype(np.int64) for source in sources], axis=0)
            return total
        case Concat():
            return np.concatenate(sources, axis=-1)
        case _:
            assert_never(layer)


def _accumulate(layer: Dense | Conv2d, rows: npt.NDArray[Any], network: Network) -> IntArray:
    """``rows`` has the shape (rows, taps, channels)."""
    values = layer.weights.values
    weights = values.reshape(len(values), -1, values.shape[-1])
    groups = layer.groups if isinstance(layer, Conv2d) else 1
    total = arithmetic.grouped_matmul(rows, weights, _bound(layer, network), groups)
    if layer.bias is not None:
        total += layer.bias
    if layer.accumulator_bits is not None:
        total = arithmetic.wrap(total, network.tensors[layer.name].format.bits)
    return total
