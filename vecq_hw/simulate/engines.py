"""Exact matrix products of integers: on floating-point BLAS, or on integer dot products."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from vecq_hw import arithmetic
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import IntArray, IntFormat

Array = npt.NDArray[Any]
EngineName = Literal["float", "int8"]
"""``float``: BLAS, exact at every width.  ``int8``: onnxruntime's dot products of bytes."""


FEW_INPUTS = 32
"""Up to here a product moves more than it multiplies, and floats are as fast as bytes."""


class Product(Protocol):
    """``rows @ weights.T`` for one fixed matrix of weights, every sum exact.

    Attributes
    ----------
    operand, result : dtype
        Of the rows that it takes and of the sums that it gives.
    least_part : int
        From so many inputs on, a sum of products over parts of the inputs costs little more than
        one product over all.
    """

    operand: np.dtype[Any]
    result: np.dtype[Any]
    least_part: int

    def __call__(self, rows: Array, out: Array) -> None:
        """``rows`` (positions, inputs) to ``out`` (positions, O), both in C order."""


class FloatProduct:
    """BLAS in float32 or float64, where the bound says that no partial sum leaves the mantissa."""

    least_part = FEW_INPUTS + 1

    def __init__(self, weights: IntArray, kind: type[np.floating]) -> None:
        self.operand = self.result = np.dtype(kind)
        self._weights = np.ascontiguousarray(weights.T, dtype=kind)

    def __call__(self, rows: Array, out: Array) -> None:
        """See :class:`Product`; BLAS takes rows in Fortran order too."""
        np.matmul(rows, self._weights, out=out)


class LimbProduct:
    """Above 2^53: limbs on float64 BLAS (``arithmetic.exact_matmul``)."""

    least_part = 1 << 62
    operand = result = np.dtype(np.int64)

    def __init__(self, weights: IntArray, bound: int) -> None:
        self._weights, self._bound = weights, bound

    def __call__(self, rows: Array, out: Array) -> None:
        """See :class:`Product`."""
        out[...] = arithmetic.exact_matmul(rows, self._weights, self._bound)


class ByteProduct:
    """onnxruntime's MatMulInteger: bytes by bytes into int32, where :func:`check_bytes` passes."""

    least_part = 128
    result = np.dtype(np.int32)

    def __init__(self, weights: IntArray, signed: bool) -> None:
        self.operand = np.dtype(np.int8 if signed else np.uint8)
        self._session = _session(weights.astype(np.int8), signed)
        self._local = threading.local()

    def __call__(self, rows: Array, out: Array) -> None:
        """See :class:`Product`."""
        binding = getattr(self._local, "binding", None)
        if binding is None:
            binding = self._local.binding = self._session.io_binding()
        binding.bind_input("x", "cpu", 0, self.operand, rows.shape, rows.ctypes.data)
        binding.bind_output("y", "cpu", 0, np.int32, out.shape, out.ctypes.data)
        self._session.run_with_iobinding(binding)


def check_bytes(where: str, weights: IntArray, source: IntFormat, bound: int) -> None:
    """Refuse what the engine int8 cannot multiply exactly on this machine.

    Without VNNI, x86 adds two products of bytes in 16 bits and saturates.  Products whose pairs fit
    16 bits are exact on any machine; wider ones are taken where a probe at the extremes is exact.

    Raises
    ------
    VecqError
        Inputs or weights wider than 8 bits, sums wider than 32, or a machine that saturates.
    """
    if source.bits > 8:
        raise VecqError(
            f"{where}: the engine int8 takes inputs of up to 8 bits, not {source!r};"
            " the engine float takes any"
        )
    largest = int(np.abs(weights).max())
    if largest > 127:
        raise VecqError(
            f"{where}: the engine int8 takes weights of up to 7 bits (values up to 127), here"
            f" they reach {largest}; the engine float takes any"
        )
    if bound >= 1 << 31:
        raise VecqError(f"{where}: the sums reach {bound}, beyond the 32 bits of engine int8")
    # Signed inputs are moved to 0..255 inside the library.
    unsigned = source.hi + 128 if source.signed else source.hi
    if 2 * unsigned * largest >= 1 << 15 and not pairs_are_exact(source.signed):
        raise VecqError(
            f"{where}: this machine's 8-bit dot products saturate at {source!r} by {largest};"
            " use the engine float"
        )


def product_for(
    where: str, weights: IntArray, source: IntFormat, bound: int, engine: EngineName
) -> Product:
    """The product that is exact for these weights and inputs.

    Parameters
    ----------
    where : str
        Begins a refusal.
    weights : int array of shape (O, inputs)
    source : IntFormat
        Of the inputs.
    bound : int
        Of every partial sum, ``arithmetic.product_bound``.
    engine : {"float", "int8"}
    """
    if engine == "int8":
        check_bytes(where, weights, source, bound)
        if weights.shape[1] > FEW_INPUTS:
            return ByteProduct(weights, source.signed)
    match arithmetic.engine_for(bound):
        case arithmetic.Engine.FLOAT32:
            return FloatProduct(weights, np.float32)
        case arithmetic.Engine.FLOAT64:
            return FloatProduct(weights, np.float64)
        case arithmetic.Engine.LIMBS:
            return LimbProduct(weights, bound)


@lru_cache
def pairs_are_exact(signed: bool) -> bool:
    """Whether 8-bit dot products on this machine are exact at the extremes of both operands."""
    inputs = (-128, 127) if signed else (0, 255)
    x = np.array([[a] * 64 for a in inputs] + [list(inputs) * 32])
    weights = np.array([[w] * 64 for w in (-127, 127)] * 8 + [[127, -127] * 32])
    session = _session(weights.astype(np.int8), signed)
    (got,) = session.run(None, {"x": x.astype(np.int8 if signed else np.uint8)})
    return np.array_equal(got, x @ weights.T)


def _session(weights: npt.NDArray[np.int8], signed: bool) -> Any:
    """An onnxruntime session of one MatMulInteger on one thread."""
    try:
        import onnx
        import onnxruntime
        from onnx import TensorProto, helper, numpy_helper
    except ImportError:
        raise MissingToolError(
            "the engine int8 needs onnx and onnxruntime: pip install 'vecq-hw[int8]'"
        ) from None
    outputs, inputs = weights.shape
    kind = TensorProto.INT8 if signed else TensorProto.UINT8
    graph = helper.make_graph(
        [helper.make_node("MatMulInteger", ["x", "weights"], ["y"])],
        "product",
        [helper.make_tensor_value_info("x", kind, ["rows", inputs])],
        [helper.make_tensor_value_info("y", TensorProto.INT32, ["rows", outputs])],
        [numpy_helper.from_array(np.ascontiguousarray(weights.T), "weights")],
    )
    # The oldest versions that know the operator, so that any installed runtime reads the model.
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 10)], ir_version=7)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
