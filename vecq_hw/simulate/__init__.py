"""What an integer network computes: the meaning that every target is compared with."""

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
