"""The golden model: what an integer network computes, layer by layer, on NumPy.

A batch goes through in blocks, a block through the stages of the plan, a stage in tiles that two
threads share.  The working memory is that of one block and one tile a thread, whatever the batch.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from types import MappingProxyType
from typing import overload

import numpy as np
import numpy.typing as npt
from threadpoolctl import LibController, ThreadpoolController

from vecq_hw import arithmetic, exact_products
from vecq_hw.arguments import meant
from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntArray
from vecq_hw.layers import ArgMax, Conv2d, Dense, Input, TopK
from vecq_hw.network import Network
from vecq_hw.processes import cores
from vecq_hw.simulate.ends import (
    Given,
    by_name,
    input_names,
    one_or_all,
    output_arrays,
    sample_count,
)
from vecq_hw.simulate.engines import Array, EngineName
from vecq_hw.simulate.kernels import bound_of
from vecq_hw.simulate.prepared import Hook, TileStage, hooked, prepare, rows_first, to_register

BLOCK = 256
"""Samples that go through all layers before the next ones start."""

SMALL_WORK = 1 << 25
"""Multiplications of a block below which a second thread costs more than it saves."""

LARGEST_KEPT = 1 << 24
"""Bytes; no intermediate of a tile of several images is larger."""

_NO_HOOKS: Mapping[str, Hook] = MappingProxyType({})


@overload
def simulate(
    network: Network,
    inputs: npt.ArrayLike,
    *,
    engine: EngineName = ...,
    hooks: Mapping[str, Hook] = ...,
    progress: Callable[[int], object] | None = ...,
) -> IntArray: ...
@overload
def simulate(
    network: Network,
    inputs: Mapping[str, npt.ArrayLike],
    *,
    engine: EngineName = ...,
    hooks: Mapping[str, Hook] = ...,
    progress: Callable[[int], object] | None = ...,
) -> IntArray | dict[str, IntArray]: ...
@overload
def simulate(
    network: Network,
    inputs: Given,
    *,
    taps: Sequence[str],
    engine: EngineName = ...,
    hooks: Mapping[str, Hook] = ...,
    progress: Callable[[int], object] | None = ...,
) -> dict[str, IntArray]: ...
def simulate(
    network: Network,
    inputs: Given,
    *,
    taps: Sequence[str] | None = None,
    engine: EngineName = "float",
    hooks: Mapping[str, Hook] = _NO_HOOKS,
    progress: Callable[[int], object] | None = None,
) -> IntArray | dict[str, IntArray]:
    """Run ``network`` on a batch of integer inputs.

    Parameters
    ----------
    network : Network
    inputs : int array of shape (N, C) or (N, H, W, C)
        Codes of the input format.  Of a network with several inputs a mapping from the name of each
        to its array, all of N samples.
    taps : names of inputs and layers, optional
    engine : {"float", "int8"}
        ``float`` is NumPy's BLAS, exact at every width.  ``int8`` takes the dot products
        of bytes that torch brings: the same integers sooner, refused where a width does not fit.
    hooks : from names of inputs and layers to functions, optional
        Each may put other integers in place of its tensor's (:data:`plan.Hook`).  With hooks every
        tensor may hold whatever its bits hold, beyond its proven range, and sums wrap at the bits
        of their accumulator, as registers do.
    progress : function of the number of samples done so far, optional
        Called after each block of 256.

    Returns
    -------
    int array of shape (N, ...)
        The output; of a network with several outputs, and with ``taps``, a dictionary from each
        name to its integers.

    Raises
    ------
    VecqError
        The inputs have other names or another shape, are not integers, or leave their format; a tap
        or hook names no tensor; a layer is too wide for the engine.
    """
    names = list(network.outputs) if taps is None else list(taps)
    for name in (*names, *hooks):
        if name not in network.tensors:
            raise VecqError(
                f"network '{network.name}' has no tensor '{name}'; it has"
                f" {', '.join(network.tensors)}{meant(name, network.tensors)}"
            )
    x = checked_inputs(network, inputs)
    count = len(x[network.inputs[0].name])
    stages = prepare(network, frozenset([*names, *hooks]), engine, bool(hooks))
    collected: dict[str, IntArray] = {
        name: np.empty((count, *network.tensors[name].shape), network.tensors[name].format.dtype)
        for name in names
    }
    _keep_freed_memory()
    with _one_blas_thread():
        for start in range(0, count, BLOCK):
            end = min(start + BLOCK, count)
            values = {name: codes[start:end] for name, codes in x.items()}
            for source in network.inputs:
                _hook_input(source, values, hooks, start)
            for stage in stages:
                _run_stage(stage, network, values, hooks, start)
            for name in names:
                collected[name][start:end] = values[name]
            if progress is not None:
                progress(end)
    return one_or_all(collected) if taps is None else collected


@lru_cache(maxsize=1)
def _libraries() -> tuple[LibController, ...]:
    return tuple(lib for lib in ThreadpoolController().lib_controllers if lib.user_api == "blas")


@contextmanager
def _one_blas_thread() -> Iterator[None]:
    """NumPy's BLAS without threads, which would only wait for each other: ours call it alone.

    The library's own context manager does this too, in longer than a small network takes.
    """
    before = [library.get_num_threads() for library in _libraries()]
    try:
        for library in _libraries():
            library.set_num_threads(1)
        yield
    finally:
        for library, count in zip(_libraries(), before, strict=True):
            library.set_num_threads(count)


@lru_cache(maxsize=1)
def _keep_freed_memory() -> None:
    """Let the C library keep what one tile frees for the next.

    glibc returns to the system what exceeds twice the largest block it has seen freed; the page
    faults of new memory for every tile would cost up to a third of the time.
    """
    np.empty(LARGEST_KEPT, np.uint8)


@lru_cache(maxsize=1)
def _helper() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "simulate")


# A forked process has no such thread, and would wait for it for ever.
os.register_at_fork(after_in_child=_helper.cache_clear)


def _hook_input(
    source: Input, values: dict[str, IntArray], hooks: Mapping[str, Hook], first: int
) -> None:
    if source.name in hooks:
        x = rows_first(values[source.name])
        changed = to_register(hooked(hooks[source.name], x, [], first), source.format)
        values[source.name] = rows_first(changed)


def _run_stage(
    stage: TileStage,
    network: Network,
    values: dict[str, IntArray],
    hooks: Mapping[str, Hook],
    first: int,
) -> None:
    """One stage on one block: reads from ``values`` and adds to it, arrays of (N, ...)."""
    count = len(values[network.inputs[0].name])
    for name, tensor in stage.gives.items():
        values[name] = np.empty((count, *tensor.shape), tensor.format.dtype)
    helped = count * stage.work > SMALL_WORK and count > 1 and cores() > 1
    tile = min(stage.tile, -(-count // 2)) if helped else stage.tile
    starts = iter(range(0, count, tile))

    def work() -> None:
        for start in starts:  # shared: each takes the next one
            here = slice(start, start + tile)
            tensors: dict[str, Array] = {
                name: rows_first(values[name][here]) for name in stage.takes
            }
            stage.run(tensors, hooks, first + start, len(range(count)[here]))
            for name in stage.gives:
                values[name][here] = rows_first(tensors[name])

    other = _helper().submit(work) if helped else None
    try:
        work()
    finally:
        if other is not None:
            other.result()


@overload
def quantize_input(network: Network, x: FloatArray) -> IntArray: ...
@overload
def quantize_input(
    network: Network, x: Mapping[str, npt.ArrayLike]
) -> IntArray | dict[str, IntArray]: ...
def quantize_input(network: Network, x: Given) -> IntArray | dict[str, IntArray]:
    """Real inputs to codes of the network's input format; shape (N, C) or (N, H, W, C).

    Of a network with several inputs a mapping from the name of each to its array, and so is what is
    returned.
    """
    given = by_name(input_names(network), x, f"inputs of network '{network.name}'")
    codes = {source.name: quantized(source, given[source.name]) for source in network.inputs}
    return one_or_all(codes)


def quantized(source: Input, x: npt.ArrayLike) -> IntArray:
    """Real numbers to codes of one input; the shape stays.

    Raises
    ------
    VecqError
        The data hold NaN or infinite values.
    """
    x = np.asarray(x)
    if not np.all(np.isfinite(x)):
        raise VecqError(f"input '{source.name}': the data hold NaN or infinite values")
    codes = arithmetic.quantize(x.astype(np.float64), source.step, source.format)
    result: IntArray = codes.astype(source.format.dtype)
    return result


Classes = npt.NDArray[np.int64]


@overload
def predictions(network: Network, outputs: IntArray) -> Classes: ...
@overload
def predictions(
    network: Network, outputs: IntArray | Mapping[str, IntArray]
) -> Classes | dict[str, Classes]: ...
def predictions(
    network: Network, outputs: IntArray | Mapping[str, IntArray]
) -> Classes | dict[str, Classes]:
    """The class of each output vector; the lowest index wins a tie (rule 6).

    Where an ArgMax or a TopK makes an output, its (first) number is the class.  An output of one
    other number tells two classes apart: 1 where it is above zero.  Classes have
    the shape (N,); of several outputs a dictionary has them by the name of each.
    """
    decided = {layer.name for layer in network.layers if isinstance(layer, ArgMax | TopK)}
    return one_or_all(
        {
            name: _classes(array, name in decided)
            for name, array in output_arrays(network, outputs).items()
        }
    )


def _classes(output: IntArray, decided: bool) -> Classes:
    flat = output.reshape(len(output), -1)
    if flat.shape[1] == 1:
        found = flat[:, 0] if decided else flat[:, 0] > 0
    else:
        found = flat[:, 0] if decided else flat.argmax(axis=1)
    result: Classes = found.astype(np.int64)
    return result


def checked_inputs(network: Network, inputs: Given) -> dict[str, IntArray]:
    """The codes of each input by its name, refused where they do not fit the network.

    They have the shape (N, ...).
    """
    what = f"inputs of network '{network.name}'"
    given = by_name(input_names(network), inputs, what)
    codes = {source.name: checked_codes(source, given[source.name]) for source in network.inputs}
    sample_count(codes, what)
    return codes


def checked_codes(source: Input, inputs: npt.ArrayLike) -> IntArray:
    """``inputs`` in the input's own integer type, refused where they do not fit it.

    Raises
    ------
    VecqError
        They are no integers, of another shape than (N, *shape of the input), or outside of the
        input's format.
    """
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
    limits = np.iinfo(x.dtype)
    fits = source.format.contains(limits.min, limits.max)
    if x.size and not fits and not source.format.contains(int(x.min()), int(x.max())):
        raise VecqError(
            f"input '{source.name}': the codes {x.min()}..{x.max()} leave"
            f" {source.format.lo}..{source.format.hi} ({source.format!r})"
        )
    return x.astype(source.format.dtype, copy=False)


def engine(layer: Dense | Conv2d, network: Network) -> exact_products.Engine:
    """Which exact engine the layer's products take, chosen from the proven bound."""
    return exact_products.engine_for(bound_of(layer, network.tensors[layer.input].format))
