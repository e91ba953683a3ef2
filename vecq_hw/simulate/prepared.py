"""A network prepared for many tiles: kernels with their weights, in stages of one tile size."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import assert_never

import numpy as np

from vecq_hw import arithmetic
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import (
    Conv2d,
    Dense,
    Flatten,
    Layer,
    MacLayer,
    Rescale,
    Tensor,
    as_code_layer,
    as_mac_layer,
    as_recurrent_layer,
)
from vecq_hw.network import Network
from vecq_hw.passes.pooling import pool_before_rescale
from vecq_hw.simulate.engines import FEW_INPUTS, Array, EngineName
from vecq_hw.simulate.kernels import Kernel, fused_kernel, kernel_for

TILE_BYTES = 1 << 22
"""Largest intermediate of one tile of images, so that a thread works in its caches."""

VECTOR_ROWS = 256
"""Samples of one tile behind the last image: enough to use each weight often."""

Hook = Callable[[IntArray, Sequence[IntArray], int], IntArray]
"""``hook(result, sources, first)``: what goes on in place of a tensor's integers.

``result`` has the shape (N, ...), channels last, and holds a tensor of samples ``first`` to
``first + N``; of a Dense or Conv2d it holds the exact sums, before they wrap.  ``sources`` are the
tensors that the layer read.  All are int64.  Threads call it, tile by tile, in any order.
"""


@dataclass(frozen=True, slots=True, eq=False)
class KernelCall:
    """One layer: its kernel, what it reads, and the tensors that no later step of its stage needs.

    ``register`` is the format to which the result wraps, or None where it cannot leave it.
    """

    name: str
    kernel: Kernel
    sources: tuple[str, ...]
    spent: tuple[str, ...]
    register: IntFormat | None


@dataclass(frozen=True, slots=True, eq=False)
class TileStage:
    """Steps that run on tiles of one size, from the tensors ``takes`` to the tensors ``gives``."""

    steps: tuple[KernelCall, ...]
    takes: tuple[str, ...]
    gives: Mapping[str, Tensor]
    tile: int
    work: int
    """Multiplications for one sample."""

    def run(
        self, values: dict[str, Array], hooks: Mapping[str, Hook], first: int, samples: int
    ) -> None:
        """Run one tile; ``values`` begins with what the stage takes and ends with what it gives.

        Arrays have the shape (N, C), or (H, N, W, C) of images: rows come first.
        """
        for step in self.steps:
            sources = [values[name] for name in step.sources]
            result = step.kernel(sources)
            if not sources:
                result = _for_each_sample(result, samples)
            if step.name in hooks:
                plain = [_samples_first(source) for source in sources]
                result = hooked(hooks[step.name], result, plain, first)
            if step.register is not None:
                result = to_register(result, step.register)
            values[step.name] = result
            for name in step.spent:
                del values[name]


def hooked(hook: Hook, result: Array, sources: Sequence[IntArray], first: int) -> Array:
    """The result of a hook on a tensor as kernels hold it.

    ``result`` has the shape (N, C) or (H, N, W, C), the sources (N, ...).
    """
    changed = np.asarray(hook(_samples_first(result), sources, first), np.int64)
    return np.ascontiguousarray(rows_first(changed))


def rows_first(x: Array) -> Array:
    """(N, H, W, C) as kernels hold images: (H, N, W, C)."""
    return np.moveaxis(x, 0, 1) if x.ndim == 4 else x


def _samples_first(x: Array) -> IntArray:
    # The same exchange of the first two axes.
    result: IntArray = np.ascontiguousarray(rows_first(x)).astype(np.int64)
    return result


def _for_each_sample(x: Array, samples: int) -> Array:
    """A constant, which kernels hold as one sample, for so many."""
    axis = x.ndim // 4
    return np.broadcast_to(x, (*x.shape[:axis], samples, *x.shape[axis + 1 :]))


def to_register(x: Array, fmt: IntFormat) -> IntArray:
    """The low bits of ``x`` that a register of the format holds.

    ``x`` has any shape, which the result has.
    """
    values = x.astype(np.int64, copy=False)
    return arithmetic.wrap(values, fmt.bits) if fmt.signed else values & ((1 << fmt.bits) - 1)


@lru_cache(maxsize=4)
def prepare(
    network: Network, keep: frozenset[str], engine: EngineName, stored: bool
) -> tuple[TileStage, ...]:
    """The stages of a network; ``keep`` names the tensors that are wanted.

    The last few are remembered: a Network is immutable, and equal to itself alone.  ``stored``
    lets every tensor hold whatever its bits hold, and wraps every result to its register.
    """
    if engine == "float":  # the engine int8 rescales sooner than it pools sums
        network = pool_before_rescale(network, keep)
    ends = [i + 1 for i, layer in enumerate(network.layers) if isinstance(layer, Flatten)]
    cut = ends[-1] if ends else 0
    parts = [part for part in (network.layers[:cut], network.layers[cut:]) if part]
    stages: list[TileStage] = []
    for index, layers in enumerate(parts):
        later = {name for part in parts[index + 1 :] for la in part for name in la.inputs}
        wanted = keep | later
        made = {layer.name for layer in layers}
        read = {name for layer in layers for name in layer.inputs}
        stages.append(
            TileStage(
                steps=_steps(layers, network, wanted, engine, stored),
                takes=tuple(sorted(read - made)),
                gives={name: network.tensors[name] for name in sorted(made & wanted)},
                tile=_tile(layers, network),
                work=sum(_multiplications(layer, network) for layer in layers),
            )
        )
    return tuple(stages)


def _steps(
    layers: Sequence[Layer],
    network: Network,
    wanted: frozenset[str],
    engine: EngineName,
    stored: bool,
) -> tuple[KernelCall, ...]:
    fused: dict[str, tuple[MacLayer, Kernel]] = {}
    if engine == "int8" and not stored:
        fused = _fused(layers, network, wanted)
    begun = {layer.name for layer, _ in fused.values()}
    left = [layer for layer in layers if layer.name not in begun]
    sources = {
        layer.name: (fused[layer.name][0] if layer.name in fused else layer).inputs
        for layer in left
    }
    steps = []
    for place, layer in enumerate(left):
        ahead = {name for la in left[place + 1 :] for name in sources[la.name]}
        spent = {layer.name, *sources[layer.name]} - ahead - wanted
        if layer.name in fused:
            kernel = fused[layer.name][1]
        else:
            kernel = kernel_for(layer, network, engine, stored)
        register = _register(layer, network.tensors[layer.name], stored)
        steps.append(
            KernelCall(layer.name, kernel, sources[layer.name], tuple(sorted(spent)), register)
        )
    return tuple(steps)


def _fused(
    layers: Sequence[Layer], network: Network, wanted: frozenset[str]
) -> dict[str, tuple[MacLayer, Kernel]]:
    """From the name of each Rescale that is done in one go with the layer before it to both."""
    readers = Counter(name for layer in layers for name in layer.inputs)
    macs = {
        layer.name: layer
        for layer in map(as_mac_layer, layers)
        if layer is not None
        and layer.accumulator_bits is None
        and readers[layer.name] == 1
        and layer.name not in wanted
    }
    fused = {}
    for layer in layers:
        if isinstance(layer, Rescale) and layer.rows is None and layer.input in macs:
            kernel = fused_kernel(macs[layer.input], layer, network)
            if kernel is not None:
                fused[layer.name] = macs[layer.input], kernel
    return fused


def _register(layer: Layer, tensor: Tensor, stored: bool) -> IntFormat | None:
    mac = as_mac_layer(layer)
    if mac is not None and mac.accumulator_bits is not None:
        return tensor.format
    clamped = as_code_layer(layer) is not None
    return tensor.format if stored and not clamped else None


def _tile(layers: Sequence[Layer], network: Network) -> int:
    """How many samples keep the largest intermediate of an image layer within the budget."""
    largest = 0
    for layer in layers:
        mac = as_mac_layer(layer)
        match mac:
            case None | Dense():
                continue
            case Conv2d():
                height, width, outputs = network.tensors[mac.name].shape
                source = network.tensors[mac.input].shape
                across = (source[0] + mac.padding[0] + mac.padding[2]) * width
                row = mac.kernel[1] * source[2]
                few = row <= FEW_INPUTS
                whole = height * width * math.prod(mac.kernel) * source[2] if few else 0
                largest = max(largest, 4 * max(across * row, height * width * outputs, whole))
            case _:
                assert_never(mac)
    return max(1, min(VECTOR_ROWS, TILE_BYTES // largest)) if largest else VECTOR_ROWS


def _multiplications(layer: Layer, network: Network) -> int:
    if (recurrent := as_recurrent_layer(layer)) is not None:
        steps = network.tensors[recurrent.input].positions
        return steps * recurrent.product.weight_count
    mac = as_mac_layer(layer)
    return 0 if mac is None else network.tensors[mac.name].positions * mac.weight_count
