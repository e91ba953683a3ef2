"""What the call of a layer is made from: the streams of its cell, and the tensors in them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vecq_hw.formats import IntFormat
from vecq_hw.layers import Layer, Tensor, WindowLayer


@dataclass(frozen=True, slots=True)
class StreamVariable:
    """A variable of the top function: ``words`` words per frame, ``lanes`` elements each."""

    name: str
    format_name: str
    format: IntFormat
    lanes: int
    words: int
    depth: int

    @property
    def kind(self) -> str:
        """The C++ type."""
        return f"vecq::Stream<{self.format_name}, {self.lanes}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a layer of one input stands.

    Attributes
    ----------
    name : str
        The layer's identifier.
    source, result : StreamVariable
        What the call reads and writes.
    read, made : Tensor
        The tensors that the layer reads and makes.
    """

    name: str
    source: StreamVariable
    result: StreamVariable
    read: Tensor
    made: Tensor

    @property
    def formats(self) -> str:
        """The first two arguments of most templates: what is read, and what is written."""
        return f"{self.source.format_name}, {self.result.format_name}"

    @property
    def variables(self) -> str:
        """The first two arguments of most functions, in the same order."""
        return f"{self.source.name}, {self.result.name}"

    @property
    def pixels(self) -> int:
        """The pixels of the image that the layer makes; 1 where it makes a vector."""
        return pixels(self.made)


@dataclass(frozen=True, slots=True)
class LayerCall:
    """The call of a layer, and what it takes beside the streams.

    Attributes
    ----------
    header : str
        Of ``hls/include/vecq``, without its suffix.
    text : str
        Without the name space.
    parameters : sequence of str
        Definitions of C++ arrays.
    shapes : sequence of str
        Definitions of C++ types.
    """

    layer: Layer
    header: str
    text: str
    parameters: Sequence[str] = ()
    shapes: Sequence[str] = ()


def pixels(tensor: Tensor) -> int:
    """The pixels of an image; 1 for a vector."""
    return math.prod(tensor.shape[:-1])


def sizes(what: str, numbers: Iterable[int]) -> str:
    """A C++ type of the sizes of an image or a window."""
    return f"vecq::{what}<{', '.join(map(str, numbers))}>"


def window(layer: WindowLayer, site: Site) -> str:
    """The definition of the type of a layer's windows, ``{name}_window``."""
    is_even = layer.padding[:2] == layer.padding[2:]
    parts = [
        sizes("Image", site.read.shape),
        sizes("Kernel", layer.kernel),
        sizes("Stride", layer.stride),
        sizes("Padding", layer.padding[:2] if is_even else layer.padding),
    ]
    if layer.dilation != (1, 1):
        parts.append(sizes("Dilation", layer.dilation))
    return f"using {site.name}_window = vecq::Window<{', '.join(parts)}>;"
