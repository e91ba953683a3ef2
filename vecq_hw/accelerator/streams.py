"""The streams of a streaming accelerator, and what buffers, regroups and copies their words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Stream:
    """Frames of ``elements`` of a tensor, ``lanes`` of them in a word.

    The windows of a convolution are a stream of the tensor that it reads, with more elements.
    """

    tensor: str
    elements: int
    lanes: int

    @property
    def words(self) -> int:
        """Words in a frame; at the ends of the accelerator the last one may be partial."""
        return -(-self.elements // self.lanes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Link:
    """A buffer before ``reader``: a register stage, a width converter, or a FIFO."""

    name: str
    reader: str
    source: Stream
    target: Stream

    @property
    def is_plain(self) -> bool:
        """Whether it leaves the lanes as they are."""
        return self.source.lanes == self.target.lanes

    @property
    def groups(self) -> tuple[int, int]:
        """Groups in a word that comes in and in one that goes out; elements move in groups."""
        group = math.gcd(self.source.lanes, self.target.lanes)
        return self.source.lanes // group, self.target.lanes // group

    @property
    def base(self) -> int:
        """Groups that ``vecq_stream_width``, for equal lanes ``vecq_stream_register``, holds."""
        come, go = self.groups
        return come + go + min(come, go) - 1

    def capacity(self, depth: int) -> int:
        """Groups that it holds with a depth of so many words of its producer."""
        return max(self.base, depth * self.groups[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reframe:
    """Where frames come from, or go to, words of a chosen width; the last one may be partial."""

    source: Stream
    target: Stream

    @property
    def groups(self) -> tuple[int, int, int]:
        """Groups in a word that comes in, in one that goes out, and in a frame."""
        come, go, frame = self.source.lanes, self.target.lanes, self.source.elements
        group = math.gcd(come, go, frame)
        return come // group, go // group, frame // group

    @property
    def capacity(self) -> int:
        """Groups that ``vecq_frame_width`` holds."""
        come, go, _ = self.groups
        return come + go + min(come, go) - 1


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fork:
    """Every word goes to each of the targets."""

    source: Stream
    targets: Sequence[Stream]
