"""One page of HTML about what a folder holds, and one that puts several folders side by side."""

from vecq_hw.report.compare import compare
from vecq_hw.report.page import Page
from vecq_hw.report.sections import report

__all__ = ["Page", "compare", "report"]
