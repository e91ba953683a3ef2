"""What an accelerator takes of a device, and how fast it is, without any tool."""

from vecq_hw.cost.constants import Resources
from vecq_hw.cost.estimate import Estimate, LayerCost, estimate, resources_of
from vecq_hw.cost.warnings import warnings

__all__ = ["Estimate", "LayerCost", "Resources", "estimate", "resources_of", "warnings"]
