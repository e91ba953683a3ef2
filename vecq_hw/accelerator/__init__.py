"""The plan of the streaming accelerator that a schedule makes of a network."""

from vecq_hw.accelerator.balance import balance
from vecq_hw.accelerator.plan import plan

__all__ = ["balance", "plan"]
