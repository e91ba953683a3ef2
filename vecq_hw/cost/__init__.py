"""What an accelerator takes of a device, and how fast it is, without any tool."""

from vecq_hw.cost.constants import Resources
from vecq_hw.cost.estimate import Estimate, LayerCost, estimate, resources_of
from vecq_hw.cost.search import fastest, fewest_luts
from vecq_hw.cost.warnings import warnings

__all__ = [
    "Estimate",
    "LayerCost",
    "Resources",
    "estimate",
    "fastest",
    "fewest_luts",
    "resources_of",
    "warnings",
]
