"""Data sets as NumPy arrays: digits, MNIST, CIFAR-10, images in folders, texts, graphs, .npz."""

from vecq_hw.data.dataset import Dataset, checked_dataset
from vecq_hw.data.folder import data_folder
from vecq_hw.data.graphs import GRAPHS, Graph, load_graph
from vecq_hw.data.readers import load

__all__ = ["GRAPHS", "Dataset", "Graph", "checked_dataset", "data_folder", "load", "load_graph"]
