"""Data sets as NumPy arrays: digits, MNIST, CIFAR-10, images in class folders, texts, .npz."""

from vecq_hw.data.dataset import Dataset, checked_dataset
from vecq_hw.data.readers import data_folder, load

__all__ = ["Dataset", "checked_dataset", "data_folder", "load"]
