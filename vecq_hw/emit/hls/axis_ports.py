"""The arguments of the top function."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vecq_hw.emit.hls.calls import StreamVariable
from vecq_hw.emit.words import padded_bits
from vecq_hw.layers import Tensor

MAX_STREAM_BITS = 4096
"""Widest AXI4-Stream word; ``AP_INT_MAX_W`` in the headers."""


@dataclass(frozen=True, slots=True)
class AxisPort:
    """An AXI4-Stream of the top function and the tensor that it carries.

    Attributes
    ----------
    name : str
        Of the argument: ``s_axis`` or ``m_axis``, with ``suffix`` behind it, which is empty where
        there is one.
    type_name : str
        Of the C++ type of its frames.
    """

    name: str
    suffix: str
    type_name: str
    tensor: Tensor
    stream: StreamVariable
    lanes: int
    slot: int
    keep: bool

    @property
    def local(self) -> str:
        """Its type's name in a file that holds no other top."""
        kind, place = ("Input" if self.name.startswith("s") else "Output"), self.type_name
        return kind + place[len(place.rstrip("0123456789")) :] if self.suffix else kind

    @property
    def bits(self) -> int:
        """Bits of a word, in whole bytes."""
        return padded_bits(self.lanes, self.slot)

    @property
    def words(self) -> int:
        """Words in a frame."""
        return -(-self.elements // self.lanes)

    @property
    def elements(self) -> int:
        """Elements in a frame."""
        return math.prod(self.tensor.shape)

    @property
    def frame(self) -> str:
        """The C++ type."""
        width = f", {self.slot}, true" if self.keep else ""
        return f"vecq::Frame<{self.stream.format_name}, {self.elements}, {self.lanes}{width}>"
