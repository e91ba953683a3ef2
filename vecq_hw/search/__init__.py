"""Search for networks that are accurate and small: bits and methods by layer, folds solved."""

from vecq_hw import toolchain

toolchain.require(toolchain.TORCH, toolchain.OPTUNA)

from vecq_hw.search.front import FrontPoint  # noqa: E402
from vecq_hw.search.request import OBJECTIVES, OPTIMIZERS, Request  # noqa: E402
from vecq_hw.search.result import Result  # noqa: E402
from vecq_hw.search.run import load, resume, search  # noqa: E402
from vecq_hw.search.sensitivity import Sensitivity, sensitivities  # noqa: E402
from vecq_hw.search.space import Choice, Point, Space  # noqa: E402
from vecq_hw.search.study import Record, State  # noqa: E402
from vecq_hw.search.trial import Measured  # noqa: E402

__all__ = [
    "OBJECTIVES",
    "OPTIMIZERS",
    "Choice",
    "FrontPoint",
    "Measured",
    "Point",
    "Record",
    "Request",
    "Result",
    "Sensitivity",
    "Space",
    "State",
    "load",
    "resume",
    "search",
    "sensitivities",
]
