"""ONNX and QONNX files that vecq wrote: the network itself comes back, of the same digest.

The file holds the network beside its graph.  It is taken at its word only where writing that
network down again gives the graph of the file, node by node and weight by weight; else the graph is
read as that of any other file.
"""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Iterator

import numpy as np

from vecq_hw import storage
from vecq_hw.emit import onnx, qonnx
from vecq_hw.emit.onnx.model import DIGEST, NETWORK
from vecq_hw.errors import VecqError
from vecq_hw.interop.assembly import Imported
from vecq_hw.interop.graph import Graph
from vecq_hw.interop.onnx_file import QONNX, read_onnx
from vecq_hw.interop.report import EndReport, Report, tensor_reports
from vecq_hw.layers import MaxPool2d, Rescale, SumPool2d, Upsample2d, as_recurrent_layer
from vecq_hw.network import Network

SEMANTICS = "vecq"
"""The semantics that a report names: reals become codes by rule 1 of the numeric contract."""
_SPARE = 1 << 16


def own_network(graph: Graph, size: int) -> Network | None:
    """The network of a file of ours of ``size`` bytes; None where the graph says something else."""
    if NETWORK not in graph.metadata:
        return None
    try:
        content = base64.b64decode(graph.metadata[NETWORK], validate=True)
        network = storage.from_bytes(content, "the network in the metadata")
    except (binascii.Error, ValueError, VecqError):
        return None
    if storage.digest(network) != graph.metadata.get(DIGEST):
        return None
    if not _in_proportion(network, max(size, _SPARE), len(graph.nodes)):
        return None
    return network if any(_same(graph, made) for made in _written(network, graph)) else None


def own_import(graph: Graph, network: Network) -> Imported:
    """The network with the report of an import."""
    inputs, outputs = onnx.end_names(network)

    def end(name: str, source: str) -> EndReport:
        tensor = network.tensors[name]
        shape = tensor.shape
        return EndReport(
            name=name,
            source=source,
            shape=shape,
            source_shape=(shape[-1], *shape[:-1]),
            format=repr(tensor.format),
            step=tensor.step,
        )

    report = Report(
        name=network.name,
        format=graph.format,
        semantics=SEMANTICS,
        digest=storage.digest(network),
        inputs=tuple(end(*names) for names in inputs.items()),
        outputs=tuple(end(*names) for names in outputs.items()),
        tensors=tensor_reports(network),
        requantizations=(),
        taps=(),
        dropped=(),
        notes=("vecq wrote this file; its graph is unchanged, and the network is the one it had",),
        weight_bits=sum(layer.weights.stored_bits for layer in network.mac_layers),
    )
    return Imported(network=network, report=report)


def _written(network: Network, graph: Graph) -> Iterator[Graph]:
    """What the emitters make of the network, in the format of the file."""
    if QONNX in graph.opsets:
        if qonnx.unsupported(network) is None:
            for half in (False, True):
                yield read_onnx(qonnx.model(network, zero_point_half=half).SerializeToString())
    elif onnx.unsupported(network) is None:
        yield read_onnx(onnx.model(network).SerializeToString())


def _same(graph: Graph, other: Graph) -> bool:
    """Whether two graphs compute the same by the same nodes."""
    alike = (graph.inputs, graph.outputs, graph.opsets) == (
        other.inputs,
        other.outputs,
        other.opsets,
    )
    if not alike or graph.constants.keys() != other.constants.keys():
        return False
    if len(graph.nodes) != len(other.nodes):
        return False
    for one, two in zip(graph.nodes, other.nodes, strict=True):
        said = (one.operator, one.domain, one.inputs, one.outputs)
        if said != (two.operator, two.domain, two.inputs, two.outputs):
            return False
        if repr(one.attributes) != repr(two.attributes):
            return False
    return all(
        values.dtype == other.constants[name].dtype
        and values.shape == other.constants[name].shape
        and np.array_equal(values, other.constants[name])
        for name, values in graph.constants.items()
    )


def _in_proportion(network: Network, size: int, nodes: int) -> bool:
    """Whether writing the network down takes no more room than the file, whatever it claims."""
    for layer in network.layers:
        if isinstance(layer, Rescale) and layer.rows is not None:
            if layer.rows.size * layer.channels > size:
                return False
        elif isinstance(layer, SumPool2d | MaxPool2d):
            channels = network.tensors[layer.input].channels
            if math.prod(layer.kernel) * channels > size:
                return False
        elif isinstance(layer, Upsample2d):
            if max(network.tensors[layer.name].shape) > size:
                return False
        else:
            recurrent = as_recurrent_layer(layer)
            if recurrent is not None and network.tensors[recurrent.input].shape[1] > nodes:
                return False
    return True
