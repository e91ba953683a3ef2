"""What a reader gives of a file, all of it checked; no types of a library go further."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntArray

Array = npt.NDArray[Any]

MOST_NODES = 100_000
"""The most nodes of a graph; a file with more is refused before anything is done with them."""
MOST_ELEMENTS = 1 << 28
"""The most elements of a tensor, inferred ones among them."""
LARGEST_FILE = 1 << 31
"""Bytes; protobuf takes no more."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantization:
    """``real = scale[c] * (q - zero_point[c])``, as a tensor of the file says.

    Attributes
    ----------
    scales : float64 array of shape (1,) or (channels,), finite and positive
    zero_points : int64 array of the same shape
    axis : int
        Of the channels.
    """

    scales: FloatArray
    zero_points: IntArray
    axis: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Value:
    """What the file says of a tensor.

    Attributes
    ----------
    shape : tuple of int
        With the batch axis, as the file orders the axes; 0 where a size is left open.
    type : str
        As NumPy names it.
    """

    shape: tuple[int, ...]
    type: str
    quantization: Quantization | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node:
    """An operator and the tensors that it reads and makes, by name; '' is one that is left out."""

    name: str
    operator: str
    domain: str = ""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"{self.operator} {self.name!r}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Graph:
    """Nodes in an order in which each reads what earlier ones made.

    Attributes
    ----------
    format : str
        Of the file: 'ONNX' or 'TFLite'.
    values : mapping
        What the file says of tensors, ends among them.
    opsets : mapping
        Version of each domain.
    metadata : mapping
        What the writer left in the file.
    """

    name: str
    format: str
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    values: Mapping[str, Value]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    opsets: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    metadata: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


MISFITS = (ValueError, TypeError, IndexError, KeyError, AttributeError, ArithmeticError)
"""What shapes and types that a file makes up raise."""
_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True)
class Refusal:
    """A node that cannot be taken, and what would be needed."""

    node: str
    operator: str
    reason: str
    """On one line, not too long, whatever of the file stands in it."""

    def __post_init__(self) -> None:
        words = "".join(one if one.isprintable() else " " for one in self.reason).split()
        object.__setattr__(self, "reason", shortened(" ".join(words), _LONGEST_REASON))

    def __str__(self) -> str:
        return f"{self.operator} '{printable(self.node)}': {self.reason}"


class Unsupported(VecqError):
    """Nodes that cannot be taken, all of them.

    Attributes
    ----------
    refusals : tuple of Refusal
    """

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        self.refusals = refusals
        count = f"{len(refusals)} nodes cannot be imported" if len(refusals) > 1 else (
            "a node cannot be imported"
        )  # fmt: skip
        super().__init__(f"{count}: {'; '.join(map(str, refusals))}")


def printable(name: str) -> str:
    """A name of a file as messages show it: on one line, not too long."""
    return shortened("".join(letter if letter.isprintable() else "?" for letter in name), 80)


def shortened(text: str, most: int) -> str:
    """At most so many letters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."


def read_only(array: Array) -> Array:
    """A copy of an array of any shape that nobody can change."""
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy
