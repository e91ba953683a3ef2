"""hls4ml's own reading of a QONNX file of ours: its C simulation's integers.

Two things stand between the file and hls4ml 1.3.  It wants images channels last, to which qonnx
converts the graph; and constants of channels, which that conversion gives the shape (1, 1, 1, C),
as (C,).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from vecq_hw.emit import hls4ml, qonnx
from vecq_hw.formats import IntArray
from vecq_hw.network import Network

PRECISION = "fixed<64,32>"
"""The precision of what the front end gives none of its own; the default's 16 bits are too few."""


def outputs(network: Network, inputs: IntArray) -> IntArray:
    """What hls4ml computes of the QONNX file of a network of one input: int64 (N, elements)."""
    from hls4ml.converters import convert_from_onnx_model
    from hls4ml.utils.config import config_from_onnx_model

    clean = readable(network)
    with tempfile.TemporaryDirectory() as folder, hls4ml.quiet():
        config = config_from_onnx_model(
            clean, granularity="name", backend="Vitis", default_precision=PRECISION
        )
        images = len(network.inputs[0].shape) == 3
        converted = convert_from_onnx_model(
            clean,
            hls_config=config,
            output_dir=str(Path(folder) / "project"),
            backend="Vitis",
            io_type="io_stream" if images else "io_parallel",
        )
        converted.compile()
        found = converted.predict(np.ascontiguousarray(inputs, np.float32))
    exact = np.asarray(found, np.float64).reshape(len(inputs), -1)
    return np.rint(exact).astype(np.int64)


def readable(network: Network) -> Any:
    """The model as hls4ml's front end takes it."""
    from onnx import numpy_helper
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.transformation.channels_last import ConvertToChannelsLastAndClean
    from qonnx.transformation.gemm_to_matmul import GemmToMatMul
    from qonnx.util.cleanup import cleanup_model

    model = ModelWrapper(qonnx.model(network).SerializeToString())
    for end in model.graph.input:
        model.set_tensor_shape(end.name, [1, *model.get_tensor_shape(end.name)[1:]])
    model = cleanup_model(model)
    if len(network.inputs[0].shape) == 3:
        model = model.transform(ConvertToChannelsLastAndClean(make_input_channels_last=True))
        model = model.transform(GemmToMatMul())
        model = cleanup_model(model)
        for tensor in list(model.graph.initializer):
            values = numpy_helper.to_array(tensor)
            if values.ndim == 4 and values.shape[:3] == (1, 1, 1):
                users = [n.op_type for n in model.graph.node if tensor.name in n.input]
                if set(users) <= {"Mul", "Add"}:
                    model.set_initializer(tensor.name, values.reshape(-1).copy())
    return model
