"""hls4ml from a network: a ModelGraph whose every integer is that of the simulator."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecq_hw.emit.hls4ml_nodes import Node, integer, nodes, unsupported
from vecq_hw.emit.identifiers import identifiers
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.network import Network
from vecq_hw.toolchain import AP_TYPES

if TYPE_CHECKING:
    from hls4ml.model import ModelGraph

__all__ = ["convert", "unsupported"]

BACKENDS = ("Vitis", "Vivado", "Quartus", "Catapult")
IO_TYPES = ("io_parallel", "io_stream")
STRATEGIES = ("Latency", "Resource", "distributed_arithmetic")


def convert(
    network: Network,
    *,
    output_dir: str | Path,
    io_type: str | None = None,
    backend: str = "Vitis",
    strategy: str = "Latency",
    trace: bool = False,
) -> ModelGraph:
    for what, given, known in (
        ("back end", backend, BACKENDS),
        ("io_type", io_type, (None, *IO_TYPES)),
        ("strategy", strategy, STRATEGIES),
    ):
        if given not in known:
            raise VecqError(f"there is no {what} '{given}'; there are {', '.join(map(str, known))}")
    io_type = io_type or natural_io_type(network)
    reason = unsupported(network, io_type)
    if reason is not None:
        raise VecqError(f"network '{network.name}': hls4ml cannot express {reason}")
    with quiet():
        from hls4ml.model import ModelGraph
        from hls4ml.utils.config import create_config

        names = node_names(network)
        listed = [_input(network, names)]
        for layer in network.layers:
            listed += nodes(layer, network, names)
        config = create_config(
            output_dir=str(output_dir),
            project_name=top_name(network),
            backend=backend,
            io_type=io_type,
        )
        config["HLSConfig"] = {
            "Model": {
                "Precision": {"default": "fixed<16,6>"},
                "ReuseFactor": 1,
                "Strategy": strategy,
            },
            "LayerName": {
                node.attributes["name"]: {"Precision": dict(node.precision), "Trace": trace}
                for node in listed
            },
        }
        attributes = [dict(node.attributes) for node in listed]
        return ModelGraph.from_layer_list(
            config, attributes, outputs=[names[network.outputs[0]]]
        )


def natural_io_type(network: Network) -> str:
    images = any(len(tensor.shape) == 3 for tensor in network.tensors.values())
    return "io_stream" if images and unsupported(network, "io_stream") is None else "io_parallel"


def node_names(network: Network) -> dict[str, str]:
    names = [network.inputs[0].name, *(layer.name for layer in network.layers)]
    ids = identifiers(names)
    return {name: f"{plain}_codes" if not i else plain for i, (name, plain) in enumerate(ids.items())}


def top_name(network: Network) -> str:
    return identifiers([network.name])[network.name]


def _input(network: Network, names: dict[str, str]) -> Node:
    source = network.inputs[0]
    attributes = {"class_name": "InputLayer", "name": names[source.name]}
    attributes |= {"input_shape": list(source.shape)}
    return Node(attributes, {"result": integer(source.format)})


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
