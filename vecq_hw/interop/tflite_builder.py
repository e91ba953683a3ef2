"""What operators of a TFLite file build with: tensors of the file as tensors of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.interop.assembly import Assembly
from vecq_hw.interop.fixed_point import Semantics
from vecq_hw.interop.graph import Graph, Node, Quantization, printable
from vecq_hw.interop.requantize import Requantizer
from vecq_hw.layers import Flatten, Permute, Take

Sides = tuple[int, int, int, int]

LONGEST_AXIS = 1 << 20
"""The longest axis of a tensor whose indices are listed."""
MOST_CHANNELS = 1 << 14
"""The most channels that have own thresholds behind an operator without weights."""
CODES: Mapping[str, tuple[int, int]] = {"int8": (-128, 127), "uint8": (0, 255)}
"""Types of activations that are taken; codes of 16 bits are refused."""


class RefusedError(Exception):
    """A node cannot be taken; the message is what would be needed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A tensor of the file as one of ours.

    Attributes
    ----------
    name : str
        Of our tensor, whose integers lie in the same order.
    shape : tuple of int
        In the file, without the batch axis.
    scale : float
    zero_point : int
        Taken off every code.
    padding : (int, int, int, int)
        Zeros around height and width that are not laid down yet.
    """

    name: str
    shape: tuple[int, ...]
    scale: float
    zero_point: int
    padding: Sides = (0, 0, 0, 0)

    def like(self, other: Held) -> bool:
        """Whether a code stands for the same number in both."""
        return self.zero_point == other.zero_point and math.isclose(
            self.scale, other.scale, rel_tol=1e-6
        )


class Builder:
    """The graph of a file, what of it stands so far, and the layers of the network.

    Attributes
    ----------
    held : dict
        Tensors of the file that are there, by name.
    """

    def __init__(self, graph: Graph, semantics: Semantics) -> None:
        self.graph = graph
        self.semantics = semantics
        self.assembly = Assembly(graph.name)
        self.held: dict[str, Held] = {}
        self._readers: dict[str, list[Node]] = {}
        for node in graph.nodes:
            for tensor in dict.fromkeys(node.inputs):
                self._readers.setdefault(tensor, []).append(node)

    def readers_of(self, tensor: str) -> list[Node]:
        """The nodes that read a tensor, each once."""
        return self._readers.get(tensor, [])

    def described(self, tensor: str) -> Held:
        """What the file says of a tensor of codes; the name of ours is open."""
        value = self.graph.values[tensor]
        if value.type not in CODES:
            raise RefusedError(
                f"'{printable(tensor)}' is {value.type}; codes of 8 bits (int8) are wanted"
            )
        quantization = self.per_tensor(tensor)
        return Held(
            name="",
            shape=sample(value.shape),
            scale=float(quantization.scales[0]),
            zero_point=int(quantization.zero_points[0]),
        )

    def per_tensor(self, tensor: str) -> Quantization:
        """The scale and zero point of a tensor that has one of each."""
        quantization = self.graph.values[tensor].quantization
        if quantization is None:
            raise RefusedError(f"'{printable(tensor)}' has no scale; a quantized tensor is wanted")
        if len(quantization.scales) > 1:
            raise RefusedError(f"'{printable(tensor)}' has a scale for each channel; one is wanted")
        return quantization

    def read(self, node: Node, index: int = 0) -> Held:
        """An operand that is a tensor of codes."""
        self.operand(node, index)
        held = self.held.get(node.inputs[index])
        if held is None:
            raise RefusedError(
                f"'{printable(node.inputs[index])}' is a constant; codes that the network makes are"
                " wanted"
            )
        return held

    def operand(self, node: Node, index: int) -> str:
        """The name of an operand that must be there."""
        if index >= len(node.inputs) or not node.inputs[index]:
            raise RefusedError(f"it has no operand {index}")
        return node.inputs[index]

    def is_constant(self, node: Node, index: int) -> bool:
        """Whether an operand stands in the file."""
        return self.operand(node, index) in self.graph.constants

    def constant(self, node: Node, index: int) -> IntArray:
        """An operand that stands in the file.

        It has the shape that the file gives.
        """
        name = self.operand(node, index)
        found = self.graph.constants.get(name)
        if found is None:
            raise RefusedError(f"'{printable(name)}' is no constant; one is wanted")
        if found.dtype.kind not in "iu":
            raise RefusedError(f"'{printable(name)}' is {found.dtype}; integers are wanted")
        return found

    def attribute(self, node: Node, field: str) -> Any:
        """An option of the operator."""
        if field not in node.attributes:
            raise RefusedError(f"its options lack the field {field}")
        return node.attributes[field]

    def readers(self, node: Node) -> list[Node]:
        """The nodes that read what a node makes."""
        return [reader for out in node.outputs for reader in self.readers_of(out)]

    def result(self, node: Node, index: int = 0) -> Held:
        """What the file says of what a node makes."""
        held = self.described(node.outputs[index])
        if self.graph.values[node.outputs[index]].type != "int8":
            raise RefusedError(
                "its result is uint8, of the old quantization; int8 is wanted: convert the model"
                " again"
            )
        return held

    def keep(self, node: Node, held: Held, index: int = 0) -> None:
        """Say that ``held`` is what a node makes; the shape must be the file's."""
        self._expect(node, held.shape, index)
        self.held[node.outputs[index]] = held

    def _expect(self, node: Node, shape: tuple[int, ...], index: int = 0) -> None:
        """Refuse a node that makes another shape than the file says."""
        expected = sample(self.graph.values[node.outputs[index]].shape)
        if 0 not in expected and expected != shape:
            raise RefusedError(
                f"the file says that it makes the shape {expected}, but what it reads gives {shape}"
            )

    def requantize(
        self, node: Node, source: str, function: Requantizer, fmt: IntFormat, shape: tuple[int, ...]
    ) -> None:
        """The source's arithmetic behind one of our tensors makes the result of a node."""
        result = self.result(node)
        self._expect(node, shape)  # before the work
        channels = self.assembly.tensor(source).channels
        if channels > MOST_CHANNELS:
            raise RefusedError(f"it has {channels} channels; at most {MOST_CHANNELS} are taken")
        name = self.assembly.requantize(
            short(node.outputs[0]), source, function, fmt, result.scale, node.name
        )
        self.assembly.tap(name, node.outputs[0], result.zero_point)
        self.keep(node, replace(result, name=name, shape=shape))

    def vector(self, held: Held) -> str:
        """Our tensor as a vector."""
        held = self.laid(held, held.name)
        if not self.assembly.tensor(held.name).is_image:
            return held.name
        return self.assembly.add(
            Flatten(name=self.assembly.free_name(f"{held.name}_flat"), input=held.name)
        )

    def image(self, held: Held, laid: bool = True) -> str:
        """Our tensor as an image of (height, width, channels)."""
        held = self.laid(held, held.name) if laid else held
        shape = image_or_vector(held.shape)
        shape = shape if len(shape) == 3 else (1, 1, *shape)
        return self._as_shape(held.name, shape)

    def shaped(self, held: Held) -> str:
        """Our tensor in the shape that the file gives it."""
        held = self.laid(held, held.name)
        return self._as_shape(held.name, image_or_vector(held.shape))

    def _as_shape(self, name: str, shape: tuple[int, ...]) -> str:
        ours = self.assembly.tensor(name).shape
        if ours == shape:
            return name
        if len(shape) == 1:
            return self.assembly.add(
                Flatten(name=self.assembly.free_name(f"{name}_flat"), input=name)
            )
        layer = Permute(
            name=self.assembly.free_name(f"{name}_shaped"),
            input=name,
            split=ours,
            order=tuple(range(len(ours))),
            shape=shape,
        )
        return self.assembly.add(layer)

    def laid(self, held: Held, wanted: str) -> Held:
        """The tensor with its padding laid down."""
        if not any(held.padding):
            return held
        top, left, bottom, right = held.padding
        name = self.image(replace(held, shape=self._inner(held)), laid=False)
        height, width, _ = self.assembly.tensor(name).shape
        layer = Take(
            name=self.assembly.free_name(f"{wanted}_padded"),
            input=name,
            rows=padded_axis(height, top, bottom),
            columns=padded_axis(width, left, right),
        )
        return replace(held, name=self.assembly.add(layer), padding=(0, 0, 0, 0))

    @staticmethod
    def _inner(held: Held) -> tuple[int, ...]:
        """The shape before the padding."""
        top, left, bottom, right = held.padding
        height, width, channels = held.shape
        return height - top - bottom, width - left - right, channels

    def unpadded(self, held: Held) -> tuple[str, Sides]:
        """Our image without the zeros around it, and how many those are."""
        if not any(held.padding):
            return self.image(held), (0, 0, 0, 0)
        return self.image(replace(held, shape=self._inner(held)), laid=False), held.padding


def padded_axis(size: int, before: int, after: int) -> IntArray:
    """Indices of an axis with places beside it that are filled, where they are -1.

    The shape is (before + size + after,).
    """
    return np.pad(axis_indices(size), (before, after), constant_values=-1)


def axis_indices(size: int, first: int = 0) -> IntArray:
    """``first`` to ``size - 1``; an axis of a damaged file may be too long to list.

    The shape is (size - first,).
    """
    if size > LONGEST_AXIS:
        raise RefusedError(f"it lists {size} indices of an axis; at most {LONGEST_AXIS} are taken")
    return np.arange(first, size)


def covering(lo: int, hi: int) -> IntFormat:
    """The narrowest format, unsigned where no code is negative."""
    return IntFormat.covering(lo, hi, signed=lo < 0)


def sample(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of the file without its batch axis, which is 1 or left open."""
    if not shape:
        return (1,)
    if shape[0] > 1 and len(shape) > 1:
        raise RefusedError(f"it works on batches of {shape[0]}; a batch of 1 is wanted")
    if len(shape) == 1:
        return shape
    if 0 in shape[1:]:
        raise RefusedError(f"the shape {shape} leaves sizes open; only the batch may be")
    return shape[1:]


def image_or_vector(shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape of the file as ours: (C,) or (H, W, C)."""
    if len(shape) == 1:
        return shape
    if len(shape) == 2:
        return (1, *shape)
    if len(shape) == 3 or math.prod(shape[:-3]) == 1:
        return shape[-3:]
    raise RefusedError(f"a tensor of the shape {shape} is no vector and no image")


def short(name: str) -> str:
    """The first of the names that a converter has joined."""
    return name.split(";")[0]


def single_name(node: Node) -> str:
    """What a layer for a node is called."""
    return short(node.outputs[0])
