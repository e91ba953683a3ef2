"""What an integer network computes: the meaning that every target is compared with."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vecq_hw.simulate import mac_array
    from vecq_hw.simulate.faults import simulate_with_faults
    from vecq_hw.simulate.inputs import network_inputs
    from vecq_hw.simulate.maps import object_maps
    from vecq_hw.simulate.overflows import simulate_counting
    from vecq_hw.simulate.reference import predictions, quantize_input, simulate

__all__ = [
    "mac_array",
    "network_inputs",
    "object_maps",
    "predictions",
    "quantize_input",
    "simulate",
    "simulate_counting",
    "simulate_with_faults",
]

# Each is imported when it is asked for: who wants cycles alone waits for no products of matrices.
_MODULES = {
    "network_inputs": "inputs",
    "object_maps": "maps",
    "predictions": "reference",
    "quantize_input": "reference",
    "simulate": "reference",
    "simulate_counting": "overflows",
    "simulate_with_faults": "faults",
}


def __getattr__(name: str) -> Any:
    if name == "mac_array":
        return importlib.import_module("vecq_hw.simulate.mac_array")
    if name in _MODULES:
        return getattr(importlib.import_module(f"vecq_hw.simulate.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
