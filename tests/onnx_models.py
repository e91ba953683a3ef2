"""Models of the ONNX emitters, computed in this process."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.random_record import inputs_of
from vecq_hw.emit import onnx
from vecq_hw.formats import IntArray
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

KINDS = {f"tensor({name})": np.dtype(name) for name in ("uint8", "int8", "int32", "int64")}


def in_onnxruntime(model: Any, given: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """The outputs by their names in the model."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    content = model if isinstance(model, bytes) else model.SerializeToString()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    kinds = {end.name: KINDS[end.type] for end in session.get_inputs()}
    names = [end.name for end in session.get_outputs()]
    typed = {name: array.astype(kinds[name]) for name, array in given.items()}
    return dict(zip(names, session.run(names, typed), strict=True))


def in_qonnx(model: Any, given: Mapping[str, IntArray]) -> dict[str, IntArray]:
    """The outputs by their names in the model, from qonnx's executor."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.util.cleanup import cleanup_model

    wrapped = ModelWrapper(model)
    for name, array in given.items():
        wrapped.set_tensor_shape(name, list(array.shape))
    outputs = [end.name for end in wrapped.graph.output]
    clean = cleanup_model(wrapped)  # which gives the ends other names
    reals = [given[end.name].astype(np.float32) for end in model.graph.input]
    feeds = dict(zip((end.name for end in clean.graph.input), reals, strict=True))
    found = execute_onnx(clean, feeds)
    return {name: found[end.name] for name, end in zip(outputs, clean.graph.output, strict=True)}


def computed(
    network: Network, inputs: Mapping[str, IntArray], model: Any = None, execute: Any = None
) -> dict[str, IntArray]:
    """The outputs by their names in the network, int64, channels last."""
    inner, outer = onnx.end_names(network)
    given = {inner[name]: np.moveaxis(np.asarray(x), -1, 1) for name, x in inputs.items()}
    found = (execute or in_onnxruntime)(model or onnx.model(network), given)
    return {name: np.moveaxis(found[end], 1, -1).astype(np.int64) for name, end in outer.items()}


def differing(
    network: Network, seed: int = 0, count: int = 5, model: Any = None, execute: Any = None
) -> tuple[int, int]:
    """How many integers of all outputs were compared with the simulator's, and how many differ."""
    inputs = inputs_of(network, count, seed)
    alone = next(iter(inputs.values())) if len(inputs) == 1 else inputs
    expected = simulate(network, alone, taps=network.outputs)
    found = computed(network, inputs, model, execute)
    for name, array in expected.items():
        assert found[name].shape == array.shape, name
    compared = sum(array.size for array in expected.values())
    return compared, sum(int((found[n] != expected[n]).sum()) for n in expected)
