"""hls4ml as a target of verification, and every layer of its C simulation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np

from vecq_hw.emit import hls4ml
from vecq_hw.emit.hls4ml_codes import words_name
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.interrupts import temporary_folder
from vecq_hw.layers import Flatten, Lookup
from vecq_hw.network import Network
from vecq_hw.simulate.ends import Given
from vecq_hw.simulate.reference import checked_inputs
from vecq_hw.toolchain import CXX, require
from vecq_hw.verify.hls import TOOLS, run
from vecq_hw.verify.target import Target

Result = TypeVar("Result")

FLOAT_BITS = 53
"""Wider integers do not come out of hls4ml whole, since it hands out float64."""

_STACK_BYTES = 1 << 30
"""hls4ml keeps all products of a layer on the stack: 4.2 million for the first dense layer of a
VGG, beyond the 8 MB that a program usually gets.  What is not used takes no memory."""


def trace(network: Network, inputs: Given, *, io_type: str | None = None) -> dict[str, IntArray]:
    """Every layer's integers from hls4ml's own C simulation, by name.

    Beside ``simulate(network, inputs, taps=names)`` this shows in which layer a difference begins.

    Parameters
    ----------
    inputs : int array of shape (N, C) or (N, H, W, C)
        Codes of the input format; of several inputs a mapping from the name of each.
    io_type : {"io_parallel", "io_stream"}, optional
        ``natural_io_type`` if left out.

    Returns
    -------
    dict from layer name to int64 array of shape (N, ...)

    Raises
    ------
    VecqError
        As ``hls4ml.convert``; or a tensor is wider than 53 bits.
    MissingToolError
        hls4ml or g++ is not installed.
    """
    for name, tensor in network.tensors.items():
        if tensor.format.magnitude > 1 << FLOAT_BITS:
            raise VecqError(
                f"network '{network.name}': tensor '{name}' reaches {tensor.format.magnitude};"
                f" hls4ml's trace is exact up to 2^{FLOAT_BITS}"
            )
    codes = checked_inputs(network, inputs)
    count = len(codes[network.inputs[0].name])
    require(CXX)
    names = hls4ml.node_names(network)
    with temporary_folder("vecq-hls4ml-") as folder:
        model = hls4ml.convert(network, output_dir=folder, io_type=io_type, trace=True)
        x = [np.ascontiguousarray(array, dtype=np.float64) for array in codes.values()]
        with hls4ml.quiet():
            _, traced = _with_room(lambda: model.trace(x if len(x) > 1 else x[0]))
    values = dict(codes)
    for layer in network.layers:
        match layer:  # hls4ml reshapes in place: there is nothing to trace
            case Flatten():
                found = values[layer.input]
            case Lookup():
                found = traced[words_name(names[layer.name])]
            case _:
                found = traced[names[layer.name]]
        shape = network.tensors[layer.name].shape
        values[layer.name] = np.asarray(found).reshape(count, *shape).astype(np.int64)
    return {layer.name: values[layer.name] for layer in network.layers}


def _with_room(work: Callable[[], Result]) -> Result:
    """What ``work`` returns, from a thread with room on its stack for hls4ml's arrays."""
    before = threading.stack_size(_STACK_BYTES)
    try:
        with ThreadPoolExecutor(max_workers=1) as pool:
            return pool.submit(work).result()
    finally:
        threading.stack_size(before)


TARGET = Target(
    name="hls4ml",
    unsupported=hls4ml.unsupported,
    emit=hls4ml.emit,
    run=run,
    takes_axis_bits=False,
    takes_fabric=False,
    tools=TOOLS,
)
