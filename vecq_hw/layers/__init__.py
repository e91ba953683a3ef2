"""The layers of an integer network: immutable, and holding only what cannot be derived.

Each says itself which tensor it makes of those it reads (``output``) and what is illegal about it
(``problems``).  Axis letters: N batch, H and W image, C channels, O outputs, K kernel.  All arrays
are channels-last.
"""

from typing import assert_never

from vecq_hw.layers.choices import ArgMax, TopK
from vecq_hw.layers.codes import (
    LONGEST_SHIFT,
    MOST_LOOKUP_BITS,
    PRODUCT_LIMIT,
    Lookup,
    Rescale,
    Threshold,
)
from vecq_hw.layers.constants import Constant
from vecq_hw.layers.graphs import GatherSum
from vecq_hw.layers.joins import Add, Concat, Multiply, Subtract, is_broadcast
from vecq_hw.layers.mac import Conv2d, Dense
from vecq_hw.layers.orders import Flatten, Permute, Take, Upsample2d
from vecq_hw.layers.sequences import Embedding, Gru, Lstm
from vecq_hw.layers.tensor import LARGEST_SIZE, Input, Tensor
from vecq_hw.layers.weights import AnyWeights, BinaryBases, ProductWeights, Weights
from vecq_hw.layers.windows import MaxPool2d, SumPool2d, window_axes, window_grid

__all__ = [
    "LARGEST_SIZE", "LONGEST_SHIFT", "MOST_LOOKUP_BITS", "PRODUCT_LIMIT", "Add", "AnyWeights",
    "ArgMax", "BinaryBases", "CodeLayer", "Concat", "Constant", "Conv2d", "Dense", "Embedding",
    "Flatten", "GatherSum", "Gru", "Input", "JoinLayer", "Layer", "Lookup", "Lstm", "MacLayer",
    "MaxPool2d", "Multiply", "OrderLayer", "Permute", "ProductWeights", "RecurrentLayer", "Rescale",
    "Subtract", "SumPool2d", "Take", "Tensor", "Threshold", "TopK", "Upsample2d", "Weights",
    "WindowLayer", "as_code_layer", "as_mac_layer", "as_recurrent_layer", "is_broadcast",
    "window_axes", "window_grid",
]  # fmt: skip

Layer = (
    Dense
    | Conv2d
    | Rescale
    | Threshold
    | Lookup
    | MaxPool2d
    | SumPool2d
    | Flatten
    | Upsample2d
    | GatherSum
    | Take
    | Permute
    | Add
    | Subtract
    | Multiply
    | Concat
    | Constant
    | ArgMax
    | Embedding
    | Lstm
    | Gru
    | TopK
)
MacLayer = Dense | Conv2d
WindowLayer = Conv2d | MaxPool2d | SumPool2d
JoinLayer = Add | Subtract | Multiply | Concat
RecurrentLayer = Lstm | Gru
CodeLayer = Rescale | Threshold | Lookup
OrderLayer = Take | Permute


def as_mac_layer(layer: Layer) -> MacLayer | None:
    """The layer if it multiplies by weights and adds, else None."""
    match layer:
        case Dense() | Conv2d():
            return layer
        case (
            Rescale()
            | Threshold()
            | Lookup()
            | MaxPool2d()
            | SumPool2d()
            | Flatten()
            | Upsample2d()
            | GatherSum()
            | Take()
            | Permute()
            | Add()
            | Subtract()
            | Multiply()
            | Concat()
            | Constant()
            | ArgMax()
            | Embedding()
            | Lstm()
            | Gru()
            | TopK()
        ):
            return None
        case _:
            assert_never(layer)


def as_code_layer(layer: Layer) -> CodeLayer | None:
    """The layer if it makes codes of a format of its own, which they cannot leave; else None."""
    match layer:
        case Rescale() | Threshold() | Lookup():
            return layer
        case (
            Dense()
            | Conv2d()
            | MaxPool2d()
            | SumPool2d()
            | Flatten()
            | Upsample2d()
            | GatherSum()
            | Take()
            | Permute()
            | Add()
            | Subtract()
            | Multiply()
            | Concat()
            | Constant()
            | ArgMax()
            | Embedding()
            | Lstm()
            | Gru()
            | TopK()
        ):
            return None
        case _:
            assert_never(layer)


def as_recurrent_layer(layer: Layer) -> RecurrentLayer | None:
    """The layer if it multiplies by what it made in the step before, else None."""
    return layer if isinstance(layer, Lstm | Gru) else None
