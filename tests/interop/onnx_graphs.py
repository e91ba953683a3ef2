"""Small ONNX models, node by node, and what their own executors say of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from vecq_hw.interop import Imported, import_bytes
from vecq_hw.interop.reals import source_rule
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.simulate.ends import output_arrays

QONNX = "qonnx.custom_op.general"


class Model:
    """A graph that grows: a call adds an operator and gives the name of its first output."""

    def __init__(self, *shape: int, batch: int | str = "N", kind: int = TensorProto.FLOAT) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs = [helper.make_tensor_value_info("x", kind, [batch, *shape])]
        self.outputs: list[Any] = []
        self.opset = 17

    def constant(self, values: object, dtype: object = np.float32) -> str:
        name = f"c{len(self.constants)}"
        array = np.asarray(values, dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def __call__(self, operator: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"t{len(self.nodes)}_{index}" for index in range(outputs)]
        domain = attributes.pop("domain", "")
        name = attributes.pop("name", f"{operator}_{len(self.nodes)}")
        self.nodes.append(
            helper.make_node(operator, inputs, names, name=name, domain=domain, **attributes)
        )
        return names[0]

    def quantize(self, x: str, scale: float, zero: int = 0, dtype: object = np.uint8) -> str:
        """QuantizeLinear and DequantizeLinear."""
        s, z = self.constant(scale), self.constant(zero, dtype)
        return self("DequantizeLinear", self("QuantizeLinear", x, s, z), s, z)

    def weights(self, values: np.ndarray, scale: object, axis: int = 0, zero: int = 0) -> str:
        """Integers that are stored as int8, or as uint8 with a zero point, and dequantized."""
        kind = np.uint8 if zero else np.int8
        stored = self.constant(values + zero, kind)
        point = np.full(np.shape(scale), zero)
        return self("DequantizeLinear", stored, self.constant(scale), self.constant(point, kind),
                    axis=axis)  # fmt: skip

    def quant(self, x: str, scale: object, bits: float, zero: float = 0, **attributes: Any) -> str:
        """Quant of QONNX."""
        chosen = {"signed": 0, "narrow": 0, "rounding_mode": "ROUND"} | attributes
        given = (self.constant(scale), self.constant(zero), self.constant(bits))
        return self("Quant", x, *given, domain=QONNX, **chosen)

    def output(self, *names: str, kind: int = TensorProto.FLOAT) -> bytes:
        """The model whose outputs these are."""
        self.outputs = [helper.make_tensor_value_info(name, kind, None) for name in names]
        graph = helper.make_graph(self.nodes, "model", self.inputs, self.outputs, self.constants)
        domains = [helper.make_opsetid("", self.opset), helper.make_opsetid(QONNX, 2),
                   helper.make_opsetid("com.microsoft", 1)]  # fmt: skip
        made = helper.make_model(graph, opset_imports=domains, ir_version=8)
        content: bytes = made.SerializeToString()
        return content


def by_onnxruntime(content: bytes, x: np.ndarray) -> list[np.ndarray]:
    """What onnxruntime gives without changing the graph."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(content, options, ["CPUExecutionProvider"])
    return session.run(None, {"x": x})


def by_qonnx(content: bytes, x: np.ndarray) -> list[np.ndarray]:
    """What qonnx's executor gives."""
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.core.onnx_exec import execute_onnx
    from qonnx.transformation.infer_shapes import InferShapes

    made = onnx.load_model_from_string(content)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_value = len(x)
    wrapper = ModelWrapper(made).transform(InferShapes())
    found = execute_onnx(wrapper, {"x": x})
    return [found[output.name] for output in made.graph.output]


def by_network(made: Imported, x: np.ndarray) -> list[np.ndarray]:
    """What the imported network gives, in the file's numbers and order of axes."""
    network, report = made.network, made.report
    codes = network_inputs(network, x, source_rule(report))
    arrays = output_arrays(network, simulate(network, codes))
    found = []
    for end in report.outputs:
        array = arrays[end.name].astype(np.int64)
        sizes = end.source_shape
        if array.ndim == 4 and len(sizes) == 3 and (*sizes[1:], sizes[0]) == array.shape[1:]:
            array = array.transpose(0, 3, 1, 2)
        elif array.ndim == 4 and len(sizes) == 2:
            array = array[:, 0].swapaxes(1, 2)
        array = array.reshape(len(array), *sizes)
        found.append(array + end.zero_point if end.kind == "codes" else array * end.step)
    return found


def imported(content: bytes) -> Imported:
    """The network, with what a file's report must have."""
    made = import_bytes(content)
    assert made.report.from_json(made.report.to_json()) == made.report
    return made
