"""Other people's quantized models to integer networks that compute the same integers."""

from vecq_hw.interop.assembly import Imported
from vecq_hw.interop.graph import Unsupported
from vecq_hw.interop.report import Report

__all__ = ["Imported", "Report", "Unsupported"]
