"""A network as a model of standard ONNX operators whose every integer is the simulator's."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw import __version__, storage
from vecq_hw.emit.identifiers import identifiers
from vecq_hw.emit.onnx import codes, orders, sequences, windows
from vecq_hw.emit.onnx.writer import DType, Operation, Writer, carrier
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
    Layer,
    Lookup,
    Lstm,
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
)
from vecq_hw.network import Network, needed_layers

if TYPE_CHECKING:
    import onnx

OPSET, IR_VERSION = 13, 8
"""Both are old enough for every runtime of today; the library's own defaults are not."""
BATCH = "samples"
"""The symbolic first axis of inputs and outputs."""
DIGEST, NETWORK = "vecq_digest", "vecq_network"
"""Keys of ``metadata_props``: the digest of the network, and the network in base64."""


def unsupported(network: Network) -> str | None:
    """Why standard ONNX cannot express ``network`` exactly, or None."""
    for layer in network.layers:
        if isinstance(layer, GatherSum):
            reason = orders.gather_sum_reason(layer, network.tensors[layer.input])
            if reason is not None:
                return f"layer '{layer.name}' ({reason})"
    return None


def end_names(network: Network) -> tuple[dict[str, str], dict[str, str]]:
    """What the inputs and the outputs are called in the model, by their names in the network."""
    inputs = [source.name for source in network.inputs]
    names = identifiers([*inputs, *(layer.name for layer in network.layers)])
    outputs = {name: names[name] for name in network.outputs}
    # An input that is an output, too, is two tensors.
    doubled = {name: f"{names[name]}_output" for name in outputs if name in inputs}
    return {name: names[name] for name in inputs}, outputs | doubled


def model(network: Network) -> onnx.ModelProto:
    """``network`` as an ONNX model: codes in, codes out, images (N, C, H, W).

    The integers of each end have the smallest type of uint8, int8, int32 and int64 that holds its
    range.  Beside the digest the metadata hold the network itself, from which an import that finds
    the graph unchanged gives the equal network back.
    """
    inputs, outputs = end_names(network)
    w = Writer()
    values: dict[str, str] = {}
    for source in network.inputs:
        w.reserve(inputs[source.name], carrier(source.format))
        values[source.name] = inputs[source.name]
    for name, output in outputs.items():
        w.reserve(output, carrier(network.tensors[name].format))
    plain = identifiers(layer.name for layer in network.layers)
    constants = {layer.name for layer in network.layers if isinstance(layer, Constant)}
    for layer in needed_layers(network):
        w.prefix = plain[layer.name]
        sources = [network.tensors[name] for name in layer.inputs]
        given = [values[name] for name in layer.inputs]
        among = {values[name] for name in layer.inputs if name in constants}
        values[layer.name] = layer_operations(w, layer, given, sources, among)
    finish(w, network, values, outputs)
    return proto(network, w.operations, w.constants, w.types, inputs, outputs)


def finish(
    w: Writer, network: Network, values: Mapping[str, str], outputs: Mapping[str, str]
) -> None:
    """Name the tensors that are outputs."""
    inputs = {values[source.name] for source in network.inputs}
    of = [values[name] for name in outputs]
    for name, output in outputs.items():
        tensor = values[name]
        w.end(tensor, output, own=tensor not in inputs and of.count(tensor) == 1)


def layer_operations(
    w: Writer, layer: Layer, given: list[str], sources: list[Tensor], constants: set[str]
) -> str:
    """The operations of one layer."""
    match layer:
        case Dense() | Conv2d():
            return windows.sums(w, given[0], layer, sources[0])
        case MaxPool2d():
            return windows.max_pool(w, given[0], layer, sources[0])
        case SumPool2d():
            return windows.sum_pool(w, given[0], layer, sources[0])
        case Rescale():
            return codes.rescale(w, given[0], layer, sources[0])
        case Threshold():
            return codes.threshold(w, given[0], layer, sources[0])
        case Lookup():
            return codes.lookup(w, given[0], layer, sources[0])
        case Flatten():
            return orders.flatten(w, given[0], sources[0])
        case Upsample2d():
            return orders.upsample(w, given[0], layer, sources[0])
        case GatherSum():
            return orders.gather_sum(w, given[0], layer, sources[0])
        case Take():
            return orders.take(w, given[0], layer, sources[0])
        case Permute():
            return orders.permute(w, given[0], layer, sources[0])
        case Add() | Subtract() | Multiply():
            return orders.join(w, given, layer, sources)
        case Concat():
            return orders.concat(w, given, layer, sources, constants)
        case Constant():
            return orders.constant(w, layer)
        case ArgMax() | TopK():
            return orders.choice(w, given[0], layer, sources[0])
        case Embedding():
            return sequences.embedding(w, given[0], layer, sources[0])
        case Lstm() | Gru():
            return sequences.recurrent(w, given[0], layer, sources[0])
        case _:
            assert_never(layer)


def proto(
    network: Network,
    operations: Sequence[Operation],
    constants: Mapping[str, npt.NDArray[Any]],
    types: Mapping[str, DType],
    inputs: Mapping[str, str],
    outputs: Mapping[str, str],
    domains: Mapping[str, int] | None = None,
) -> onnx.ModelProto:
    """The library's model of a graph; further domains of operators with their versions.

    Constants have any shape.
    """
    from onnx import helper, numpy_helper

    def end(tensor: str, name: str) -> onnx.ValueInfoProto:
        shape = network.tensors[tensor].shape
        kind = helper.np_dtype_to_tensor_dtype(types[name])
        return helper.make_tensor_value_info(name, kind, [BATCH, shape[-1], *shape[:-1]])

    def attributes(operation: Operation) -> dict[str, Any]:
        return {
            key: helper.np_dtype_to_tensor_dtype(value) if isinstance(value, np.dtype) else value
            for key, value in operation.attributes.items()
        }

    nodes = [
        helper.make_node(
            operation.operator,
            list(operation.inputs),
            list(operation.outputs),
            name=operation.outputs[-1],
            domain=operation.domain,
            **attributes(operation),
        )
        for operation in operations
    ]
    graph = helper.make_graph(
        nodes,
        identifiers([network.name])[network.name],
        [end(tensor, name) for tensor, name in inputs.items()],
        [end(tensor, name) for tensor, name in outputs.items()],
        [numpy_helper.from_array(values, name) for name, values in constants.items()],
    )
    versions = {"": OPSET, **(domains or {})}
    made = helper.make_model(
        graph,
        opset_imports=[helper.make_opsetid(domain, number) for domain, number in versions.items()],
        ir_version=IR_VERSION,
        producer_name="vecq-hw",
        producer_version=__version__,
    )
    stored = base64.b64encode(storage.to_bytes(network)).decode()
    helper.set_model_props(made, {DIGEST: storage.digest(network), NETWORK: stored})
    return made
