"""Data sets as NumPy arrays: the digits that scikit-learn ships, and the user's own .npz."""

from vecq_hw.data.dataset import Dataset, checked_dataset
from vecq_hw.data.readers import load

__all__ = ["Dataset", "checked_dataset", "load"]
