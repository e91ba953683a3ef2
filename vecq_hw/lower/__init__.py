"""Lowering: from a trained quantized model to the integer network."""

from vecq_hw import toolchain

toolchain.require(toolchain.TORCH)

from vecq_hw.lower.dry_run import dry_run  # noqa: E402
from vecq_hw.lower.lowering import lower, prediction_differences  # noqa: E402

__all__ = ["dry_run", "lower", "prediction_differences"]
