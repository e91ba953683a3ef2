"""A transposed convolution as a convolution behind or before an order.

It reads its image with zeros between the pixels.  Where the kernel is a multiple of the stride,
each phase of its outputs is a small convolution of the image itself: these side by side, and a
pixel shuffle, multiply by no zero.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from vecq_hw.formats import IntArray
from vecq_hw.layers import AnyWeights, Conv2d, OrderLayer, Permute, Take


@dataclass(frozen=True, slots=True)
class Along:
    """A transposed convolution along one axis.

    Attributes
    ----------
    before, behind : int
        How many outputs are cut away at the two ends.
    more : int
        What it adds at the end: ``output_padding``.
    """

    size: int
    kernel: int
    stride: int
    before: int
    behind: int
    more: int
    dilation: int

    @property
    def outputs(self) -> int:
        """How many there are."""
        reach = self.dilation * (self.kernel - 1)
        return (self.size - 1) * self.stride - self.before - self.behind + reach + self.more + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Transposed:
    """The layers of a transposed convolution, each without name and input.

    Attributes
    ----------
    before, after : sequence of layers that only move integers
    copies : int
        So many times the convolution has the outputs of the whole, one set behind the other.
    """

    before: Sequence[Take]
    convolution: Conv2d
    after: Sequence[OrderLayer]
    copies: int


def transposed(
    turned: IntArray, axes: Sequence[Along], weights: Callable[[IntArray], AnyWeights], groups: int
) -> Transposed:
    """The layers of a transposed convolution.

    Parameters
    ----------
    turned : int array of shape (O, KH, KW, C / groups)
        The kernels turned by half a turn, or where their weights stand.
    axes : two of Along
    weights : function
        The weights of such an array, or of one whose cells are another selection of its.
    """
    in_phases = all(a.kernel % a.stride == 0 and a.dilation == 1 for a in axes)
    several = any(a.stride > 1 for a in axes)
    # In groups the phases of an output lie apart, and the shuffle would take a lane at a time.
    if in_phases and several and groups == 1:
        convolution, after = _in_phases(turned, axes, weights)
        copies = convolution.outputs // len(turned)
        return Transposed(before=(), convolution=convolution, after=after, copies=copies)
    spread, before, behind = zip(*map(_spread, axes), strict=True)
    rows, columns = (
        None if np.array_equal(taken, np.arange(a.size)) else taken
        for taken, a in zip(spread, axes, strict=True)
    )
    moved = rows is not None or columns is not None
    take = Take(name="", input="", rows=rows, columns=columns)
    convolution = Conv2d(
        name="",
        input="",
        weights=weights(turned),
        padding=(*before, *behind),
        dilation=(axes[0].dilation, axes[1].dilation),
        groups=groups,
    )
    return Transposed(before=(take,) if moved else (), convolution=convolution, after=(), copies=1)


def _spread(along: Along) -> tuple[IntArray, int, int]:
    """Where each place of the image with zeros between its pixels comes from; and the padding."""
    reach = along.dilation * (along.kernel - 1)
    before = reach - along.before
    # As many zeros come behind the last pixel as behind each.
    behind = reach - along.behind + along.more - (along.stride - 1)
    places = np.full((along.size, along.stride), -1)
    places[:, 0] = np.arange(along.size)
    end = places.size - max(-behind, 0)
    return places.ravel()[max(-before, 0) : end], max(before, 0), max(behind, 0)


def _in_phases(
    taken: IntArray, axes: Sequence[Along], weights: Callable[[IntArray], AnyWeights]
) -> tuple[Conv2d, list[OrderLayer]]:
    """One small convolution for all phases of the outputs, and what puts them side by side."""
    taps = [along.kernel // along.stride for along in axes]
    strides = [along.stride for along in axes]
    outputs, channels = len(taken), taken.shape[-1]
    # Of turned kernels, the cells of the last phase come first.
    split = taken.reshape(outputs, taps[0], strides[0], taps[1], strides[1], channels)
    phases = split[:, :, ::-1, :, ::-1].transpose(2, 4, 0, 1, 3, 5)
    before, behind, sizes, first = zip(*map(_phase_rows, axes), strict=True)
    convolution = Conv2d(
        name="",
        input="",
        weights=weights(phases.reshape(-1, *taps, channels)),
        padding=(*before, *behind),
    )
    shape = (sizes[0] * strides[0], sizes[1] * strides[1], outputs)
    after: list[OrderLayer] = [
        Permute(
            name="",
            input="",
            split=(*sizes, *strides, outputs),
            order=(0, 2, 1, 3, 4),
            shape=shape,
        )
    ]
    cut = [
        None if along.outputs == size else np.arange(start, start + along.outputs)
        for along, size, start in zip(axes, shape, first, strict=False)
    ]
    if any(places is not None for places in cut):
        after.append(Take(name="", input="", rows=cut[0], columns=cut[1]))
    return convolution, after


def _phase_rows(along: Along) -> tuple[int, int, int, int]:
    """Along an axis: the padding, how many outputs a phase has, the first of all phases."""
    taps = along.kernel // along.stride
    # Without padding the first output of a phase is number taps - 1, the last the image's last.
    before = max(taps - 1 - along.before // along.stride, 0)
    last = (along.before + along.outputs - 1) // along.stride
    behind = max(last - (along.size - 1), 0)
    size = along.size + before + behind - taps + 1
    return before, behind, size, along.before - (taps - 1 - before) * along.stride
