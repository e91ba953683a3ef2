"""Layers that bring several tensors together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from vecq_hw.formats import IntFormat
from vecq_hw.layers.tensor import Tensor


def _join_problems(names: Sequence[str], sources: Sequence[Tensor], axes: int) -> Iterator[str]:
    """Whether all tensors have one step, and one shape but for the last axes."""
    first = sources[0]
    for name, tensor in zip(names, sources, strict=True):
        if tensor.step != first.step:
            yield (
                f"'{names[0]}' has the step {first.step:.6g}, but '{name}' {tensor.step:.6g}; one"
                " step is wanted"
            )
        aligned = slice(len(first.shape) - axes)
        if len(tensor.shape) != len(first.shape) or tensor.shape[aligned] != first.shape[aligned]:
            yield f"'{names[0]}' has the shape {first.shape}, but '{name}' {tensor.shape}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Add:
    """The exact sum of tensors of one shape and one step; their formats may differ."""

    name: str
    inputs: tuple[str, ...]

    def output(self, *sources: Tensor) -> Tensor:
        """The tensor of the sums."""
        lo, hi = sum(s.format.lo for s in sources), sum(s.format.hi for s in sources)
        fmt = IntFormat.covering(lo, hi, any(s.format.signed for s in sources))
        return replace(sources[0], format=fmt)

    def problems(self, *sources: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from _join_problems(self.inputs, sources, axes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subtract:
    """The exact difference of two tensors of one shape and one step; their formats may differ."""

    name: str
    inputs: tuple[str, ...]

    def output(self, *sources: Tensor) -> Tensor:
        """The tensor of the differences, which is signed."""
        left, right = (source.format for source in sources)
        return replace(
            sources[0], format=IntFormat.covering(left.lo - right.hi, left.hi - right.lo)
        )

    def problems(self, *sources: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from _pair_problems(sources)
        yield from _join_problems(self.inputs, sources, axes=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiply:
    """The exact product of two tensors, whose formats and steps may differ.

    The second has the shape of the first or, for an image, one value for each channel, (C,) or
    (1, 1, C), by which all positions are multiplied.
    """

    name: str
    inputs: tuple[str, ...]

    def output(self, *sources: Tensor) -> Tensor:
        """The tensor of the products; their ends are among the products of the ends."""
        (left, right), (first, second) = ((s.format for s in sources), (s.step for s in sources))
        ends = [a * b for a in (left.lo, left.hi) for b in (right.lo, right.hi)]
        fmt = IntFormat.covering(min(ends), max(ends), left.signed or right.signed)
        return replace(sources[0], format=fmt, step=first * second)

    def problems(self, *sources: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        yield from _pair_problems(sources)
        if len(sources) != 2:
            return
        left, right = (source.shape for source in sources)
        by_channel = len(left) == 3 and sources[1].positions == 1 and right[-1] == left[-1]
        if right != left and not by_channel:
            yield (
                f"'{self.inputs[0]}' has the shape {left}, but '{self.inputs[1]}' {right}; the same"
                " or one value for each channel is wanted"
            )


def is_broadcast(left: Tensor, right: Tensor) -> bool:
    """Whether the second operand of a Multiply serves all positions of the first."""
    return left.positions > right.positions


def _pair_problems(sources: Sequence[Tensor]) -> Iterator[str]:
    if len(sources) != 2:
        yield f"it reads {len(sources)} tensors; two are wanted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Concat:
    """Tensors of one format and one step, one behind the other along the channels."""

    name: str
    inputs: tuple[str, ...]

    def output(self, *sources: Tensor) -> Tensor:
        """The tensor of all channels."""
        shape, fmt = sources[0].shape, sources[0].format
        lo, hi = min(s.format.lo for s in sources), max(s.format.hi for s in sources)
        channels = sum(source.channels for source in sources)
        fmt = IntFormat(fmt.bits, fmt.signed, lo, hi)
        return replace(sources[0], shape=(*shape[:-1], channels), format=fmt)

    def problems(self, *sources: Tensor) -> Iterator[str]:
        """What is illegal about it, as sentences without its name."""
        first = sources[0].format
        for name, source in zip(self.inputs, sources, strict=True):
            if (source.format.bits, source.format.signed) != (first.bits, first.signed):
                yield (
                    f"'{self.inputs[0]}' is {first!r}, but '{name}' is {source.format!r}; one"
                    " format is wanted"
                )
        yield from _join_problems(self.inputs, sources, axes=1)
