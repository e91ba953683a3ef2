"""Exact matrix products of integers on floating-point BLAS."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from vecq_hw import exact_products
from vecq_hw.formats import IntArray

Array = npt.NDArray[Any]
EngineName = Literal["float", "int8"]
"""``float``: BLAS, exact at every width.  ``int8``: dot products of bytes."""


FEW_INPUTS = 32
"""Up to here a product moves more than it multiplies."""


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
    """Above 2^53: limbs on float64 BLAS (``exact_products.exact_matmul``)."""

    least_part = 1 << 62
    operand = result = np.dtype(np.int64)

    def __init__(self, weights: IntArray, bound: int) -> None:
        self._weights, self._bound = weights, bound

    def __call__(self, rows: Array, out: Array) -> None:
        """See :class:`Product`."""
        out[...] = exact_products.exact_matmul(rows, self._weights, self._bound)


def product_for(weights: IntArray, bound: int) -> Product:
    """The product whose sums, none beyond ``bound`` in magnitude (``product_bound``), are exact.

    ``weights`` has the shape (O, inputs).
    """
    match exact_products.engine_for(bound):
        case exact_products.Engine.FLOAT32:
            return FloatProduct(weights, np.float32)
        case exact_products.Engine.FLOAT64:
            return FloatProduct(weights, np.float64)
        case exact_products.Engine.LIMBS:
            return LimbProduct(weights, bound)
