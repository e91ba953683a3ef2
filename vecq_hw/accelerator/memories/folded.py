"""What ``rtl/vecq_matrix_vector.sv`` stores of a layer's weights and bias."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vecq_hw.accelerator.memories import pair_rows, popcount, quad_rows
from vecq_hw.accelerator.units import array_planes
from vecq_hw.formats import BitPlanes, IntFormat
from vecq_hw.layers import MacLayer
from vecq_hw.schedule import Fabric, Fold, FoldKind


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class UnitMemories:
    """What ``vecq_matrix_vector`` stores, and how it reads that.

    Attributes
    ----------
    planes : BitPlanes
        Of the weights.
    quad_rows : bool
        Whether the array has rows of four lanes.
    popcount : bool
        Whether it counts lanes of one bit.
    steps : int64 array of shape (steps, simd * pe)
        Weights, of ``step_bits`` bits each.
    starts : int64 array of shape (outputs,)
        Of the accumulators.
    """

    planes: BitPlanes
    quad_rows: bool
    popcount: bool
    steps: npt.NDArray[np.int64]
    step_bits: int
    starts: npt.NDArray[np.int64]


def unit_memories(
    layer: MacLayer, fold: Fold, activations: IntFormat, fabric: Fabric
) -> UnitMemories:
    """The memories of a layer's unit; rows of four where the fabric has the cells for them.

    Elsewhere lanes are counted where weights and activations have one bit each.
    """
    planes = array_planes(layer, fold)
    codes = planes.codes(layer.weights.values).reshape(layer.outputs, -1)
    outputs, inputs = codes.shape
    bias = np.zeros(outputs, np.int64) if layer.bias is None else layer.bias
    quads = fabric is Fabric.ECP5 and planes.signs
    counts = not quads and popcount.fits(planes, activations)
    rows = quad_rows if quads else popcount if counts else pair_rows
    steps = rows.weight_memory(codes, planes, fold)
    if fold.kind is FoldKind.BIT_SERIAL:
        steps = pair_rows.by_planes(steps, planes.bits, inputs // fold.simd)
    return UnitMemories(
        planes=planes,
        quad_rows=quads,
        popcount=counts,
        steps=steps,
        step_bits=1 if fold.kind is FoldKind.BIT_SERIAL else planes.bits,
        starts=rows.bias_memory(codes, planes, fold.simd, activations, bias),
    )
