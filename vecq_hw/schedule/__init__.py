"""How a network becomes hardware: lanes and kinds of units, fabric, FIFOs, clock.

Nothing here changes a result.
"""

from vecq_hw.schedule.file import VERSION, load, to_json
from vecq_hw.schedule.folds import (
    Fabric,
    Fold,
    FoldKind,
    Schedule,
    default_schedule,
    divisors,
    foldable,
    streaming_folds,
)
from vecq_hw.schedule.legality import AXIS_BITS, check, kind_problems, problems

__all__ = [
    "AXIS_BITS",
    "VERSION",
    "Fabric",
    "Fold",
    "FoldKind",
    "Schedule",
    "check",
    "default_schedule",
    "divisors",
    "foldable",
    "kind_problems",
    "load",
    "problems",
    "streaming_folds",
    "to_json",
]
