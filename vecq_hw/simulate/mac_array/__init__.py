"""MAC arrays: systolic arrays clock by clock, and the folded unit in the order it adds."""

from vecq_hw.simulate.mac_array.closed_forms import (
    ArrayKind,
    array_cost,
    cycles_bit_serial,
    cycles_output_stationary,
    cycles_weight_stationary,
    network_costs,
)
from vecq_hw.simulate.mac_array.folded import (
    saturating_outputs,
    simulate_saturating,
    wrapping_outputs,
)
from vecq_hw.simulate.mac_array.output_stationary import bit_serial, output_stationary
from vecq_hw.simulate.mac_array.product import (
    ArrayCost,
    ArrayRun,
    ArraySize,
    Bytes,
    Product,
    Traffic,
    matrix_product,
)
from vecq_hw.simulate.mac_array.weight_stationary import weight_stationary

__all__ = [
    "ArrayCost",
    "ArrayKind",
    "ArrayRun",
    "ArraySize",
    "Bytes",
    "Product",
    "Traffic",
    "array_cost",
    "bit_serial",
    "cycles_bit_serial",
    "cycles_output_stationary",
    "cycles_weight_stationary",
    "matrix_product",
    "network_costs",
    "output_stationary",
    "saturating_outputs",
    "simulate_saturating",
    "weight_stationary",
    "wrapping_outputs",
]
