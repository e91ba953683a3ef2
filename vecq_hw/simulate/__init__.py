"""What an integer network computes: the meaning that every target is compared with."""

from vecq_hw.simulate.reference import predictions, quantize_input, simulate

__all__ = ["predictions", "quantize_input", "simulate"]
