"""Functions and methods of tensors, such as F.relu(x), as the modules that compute the same."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import QuantizedSign
from vecq_hw.train.arguments import (
    Unsupported,
    arguments,
    is_whole,
    nodes,
    numbers,
    plain,
    size_index,
)
from vecq_hw.train.arithmetic import OPERATIONS
from vecq_hw.train.picks import PICKS, gives_several
from vecq_hw.train.quantized_layers import Concat, SquareAverage, Transpose
from vecq_hw.train.rearrange import reshape
from vecq_hw.train.reshapes import GIVE_SHAPE, RESHAPES, sample_shapes
from vecq_hw.train.windows import Pad

Made = nn.Module | tuple[nn.Module, ...]
Maker = Callable[[fx.Node], Made]


def modules_of(node: fx.Node) -> tuple[tuple[nn.Module, ...], tuple[Any, ...]] | None:
    """The modules that do what ``node`` does, one after the other, and what the first one reads.

    None where there are none.

    Raises
    ------
    VecqError
        The function has a module, but not as it is called here; the message says why.
    """
    make, operation = FUNCTIONS.get(node.target), OPERATIONS.get(node.target)
    if make is None and operation is None:
        return None
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    try:
        if make is None:
            assert operation is not None
            module, operands = operation(node)
            return (module,), operands
        made = make(node)
        sources = _sources(node)
    except Unsupported as error:
        raise VecqError(f"the operation '{node.name}' ({what}) {error}") from None
    return made if isinstance(made, tuple) else (made,), sources


def _sources(node: fx.Node) -> tuple[fx.Node, ...]:
    first = node.args[0] if node.args else node.kwargs.get("input", node.kwargs.get("tensors"))
    while isinstance(first, fx.Node) and gives_several(first):
        first = first.args[0]
    sources: Sequence[Any] = first if isinstance(first, tuple | list) else (first,)
    if not all(isinstance(source, fx.Node) for source in sources):
        raise Unsupported("reads something other than the tensors of the model")
    return tuple(sources)


def _relu(node: fx.Node) -> nn.Module:
    arguments(node, inplace=False)
    return nn.ReLU()


def _relu6(node: fx.Node) -> nn.Module:
    arguments(node, inplace=False)
    return nn.ReLU6()


def _sign(node: fx.Node) -> nn.Module:
    arguments(node)
    return QuantizedSign()


def _hardtanh(node: fx.Node) -> nn.Module:
    given = numbers(node, min_val=-1.0, max_val=1.0, inplace=False)
    return nn.Hardtanh(given["min_val"], given["max_val"])


def _max_pool(kind: type[nn.Module]) -> Maker:
    def make(node: fx.Node) -> nn.Module:
        given = numbers(
            node,
            kernel_size=None,
            stride=None,
            padding=0,
            dilation=1,
            ceil_mode=False,
            return_indices=False,
        )
        return kind(**given)

    return make


def _average_pool(node: fx.Node) -> nn.Module:
    given = arguments(
        node,
        kernel_size=None,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    )
    kernel = given["kernel_size"]
    unpadded = given["padding"] in (0, (0, 0), [0, 0]) and given["divisor_override"] is None
    if nodes(kernel):
        # The window is the whole image; which stride it has does not matter.
        axes = _image_axes(node, kernel)
        if unpadded and axes == (0, 1):
            return nn.AdaptiveAvgPool2d(1)
        if unpadded and axes in ((0, 0), (1, 1)):
            return SquareAverage()
        raise Unsupported(
            "takes its kernel_size from a tensor; give numbers, or for the whole image use"
            " torch.nn.AdaptiveAvgPool2d(1), or give quantize_model the input_shape"
        )
    given = numbers(node, **given)
    shapes = sample_shapes(node)
    if unpadded and shapes is not None and shapes[0][1:] == plain(kernel):
        return nn.AdaptiveAvgPool2d(1)
    return nn.AvgPool2d(**{name: plain(value) for name, value in given.items()})


def _image_axes(node: fx.Node, sizes: Any) -> tuple[int, ...] | None:
    """Which axes of the node's own image, 0 down and 1 across, a window is as large as."""
    image = node.args[0] if node.args else node.kwargs.get("input")
    if isinstance(sizes, fx.Node) and isinstance(size_index(sizes, image), slice):
        both = (slice(2, None, None), slice(-2, None, None), slice(2, 4, None))
        return (0, 1) if size_index(sizes, image) in both else None
    axes = {2: 0, -2: 0, 3: 1, -1: 1}
    parts = (sizes, sizes) if isinstance(sizes, fx.Node) else sizes
    indices = [size_index(part, image) for part in parts]
    known = all(isinstance(index, int) and index in axes for index in indices)
    return tuple(axes[index] for index in indices) if known else None


def _average_pool_1d(node: fx.Node) -> nn.Module:
    given = numbers(
        node, kernel_size=None, stride=None, padding=0, ceil_mode=False, count_include_pad=True
    )
    return nn.AvgPool1d(**given)


def _adaptive(kind: type[nn.Module]) -> Maker:
    def make(node: fx.Node) -> nn.Module:
        given = numbers(node, output_size=None, return_indices=False)
        if given.pop("return_indices"):
            raise Unsupported("is not supported with return_indices=True; leave it out")
        return kind(plain(given["output_size"]))

    return make


def _pad(node: fx.Node) -> nn.Module:
    given = numbers(node, pad=None, mode="constant", value=None)
    pads, mode = tuple(given["pad"]), given["mode"]
    if len(pads) > 4 and any(pads[4:]):
        raise Unsupported("is supported for the rows and columns of an image alone")
    return Pad(pads[:4], mode, given["value"] or 0.0)


def _interpolate(node: fx.Node) -> nn.Module:
    given = arguments(
        node,
        size=None,
        scale_factor=None,
        mode="nearest",
        align_corners=None,
        recompute_scale_factor=None,
        antialias=False,
    )
    if given["size"] is not None:
        given |= {"scale_factor": _factors(node, given["size"]), "size": None}
        if given["scale_factor"] == (1.0, 1.0):
            return nn.Identity()
    else:
        given = numbers(node, **given)
    if given.pop("antialias"):
        raise Unsupported("is not supported with antialias=True; leave it out")
    # With whole factors, the only ones supported, the sizes give the same factors again.
    given.pop("recompute_scale_factor")
    return nn.Upsample(**{name: plain(value) for name, value in given.items()})


def _factors(node: fx.Node, size: Any) -> tuple[float, float]:
    """How many times as large an image becomes of the size that is wanted."""
    shapes = sample_shapes(node)
    if shapes is None or len(shapes[0]) != 3:
        raise Unsupported(
            "is supported with a scale_factor alone; give that in place of a size" + GIVE_SHAPE
        )
    before, after = shapes[0][1:], shapes[1][1:]
    if any(new % old for old, new in zip(before, after, strict=True)):
        raise Unsupported(
            f"makes an image of {before[0]} × {before[1]} one of {after[0]} × {after[1]}, which is"
            " not supported; use whole multiples"
        )
    return (after[0] / before[0], after[1] / before[1])


Window = tuple[int, int]


def _over_pixels(
    name: str, whole: Callable[[Window], nn.Module] | None, part: Callable[[Window], nn.Module]
) -> Maker:
    """The mean, the sum or the largest of the pixels of an image or of the steps of a sequence.

    ``whole`` gives the module for all pixels, whatever their number, ``part`` that for a window.
    """

    def make(node: fx.Node) -> Made:
        given = numbers(node, dim=None, keepdim=False, dtype=None, axis=None)
        axes = given["dim"] if given["axis"] is None else given["axis"]
        axes = [axes] if is_whole(axes) else list(axes or ())
        shapes = sample_shapes(node)
        if shapes is None:
            if set(axes) != {2, 3} or whole is None:
                raise Unsupported(
                    "is supported along the axes 2 and 3 of an image alone, as"
                    f" torch.nn.{name}" + GIVE_SHAPE
                )
            return (whole((1, 1)), *([] if given["keepdim"] else [nn.Flatten()]))
        before, after = shapes
        along = {axis % (len(before) + 1) for axis in axes}
        match len(before), sorted(along):
            case 3, [2, 3]:
                return (whole or part)((before[1], before[2])), *_reshaped((before[0], 1, 1), after)
            case 3, [2]:
                pooled = (before[0], 1, before[2])
                return part((before[1], 1)), *_reshaped(pooled, after)
            case 3, [3]:
                pooled = (before[0], before[1], 1)
                return part((1, before[2])), *_reshaped(pooled, after)
            case 2, [2]:
                image = (before[0], 1, before[1])
                pooled = (before[0], 1, 1)
                pool = (whole or part)((1, before[1]))
                return reshape(before, image), pool, *_reshaped(pooled, after)
            case 2, [1] if not given["keepdim"]:
                steps, channels = before
                sequence = reshape((channels, steps), (channels, 1, steps))
                return Transpose(), sequence, (whole or part)((1, steps)), nn.Flatten()
            case _:
                raise Unsupported(
                    "is supported over the pixels of an image (N, C, H, W) or the steps of a"
                    " sequence alone, not over its channels"
                )

    return make


_mean = _over_pixels("AdaptiveAvgPool2d(1)", lambda _: nn.AdaptiveAvgPool2d(1), nn.AvgPool2d)
_largest = _over_pixels("AdaptiveMaxPool2d(1)", lambda _: nn.AdaptiveMaxPool2d(1), nn.MaxPool2d)
_sum = _over_pixels(
    "AvgPool2d(size, divisor_override=1)", None, partial(nn.AvgPool2d, divisor_override=1)
)


def _reshaped(before: tuple[int, ...], after: tuple[int, ...]) -> list[nn.Module]:
    if before == after:
        return []
    return [nn.Flatten()] if len(after) == 1 else [reshape(before, after)]


def _clamp(node: fx.Node) -> nn.Module:
    given = numbers(node, min=None, max=None)
    least, most = given["min"], given["max"]
    if most is None and least == 0:
        return nn.ReLU()
    if least is None or most is None:
        raise Unsupported(
            "is not supported with one bound; use torch.nn.Hardtanh(lowest, highest), or"
            " torch.nn.ReLU()"
        )
    if not least < most:
        raise Unsupported(f"has bounds that are not in order, {least} and {most}")
    return nn.Hardtanh(least, most)


def _clamp_min(node: fx.Node) -> nn.Module:
    if numbers(node, min=None)["min"] != 0:
        raise Unsupported("is supported with min=0 alone; use torch.nn.Hardtanh(lowest, highest)")
    return nn.ReLU()


def _cuts(node: fx.Node) -> nn.Module:
    raise Unsupported(
        "cuts the gradient, which the twin would not do; leave it out, or freeze parameters by"
        " requires_grad_(False)"
    )


def _concat(node: fx.Node) -> nn.Module:
    given = arguments(node, dim=0, axis=None)
    along = given["dim"] if given["axis"] is None else given["axis"]
    terms = node.args[0] if node.args else node.kwargs.get("tensors")
    if not isinstance(terms, tuple | list) or not terms or along != 1:
        raise Unsupported("is supported for a list of tensors along dim=1, the channels")
    return Concat()


def _dropout(kind: type[nn.Module]) -> Maker:
    def make(node: fx.Node) -> nn.Module:
        # Tracing has seen to it that only training drops.
        switch = {"train": True} if node.target is torch.dropout else {"training": True}
        return kind(numbers(node, p=0.5, **switch)["p"])

    return make


FUNCTIONS: dict[Any, Maker] = {
    F.relu: _relu,
    F.relu_: _relu,
    torch.relu: _relu,
    torch.relu_: _relu,
    F.relu6: _relu6,
    torch.sign: _sign,
    "sign": _sign,
    F.hardtanh: _hardtanh,
    F.hardtanh_: _hardtanh,
    F.max_pool1d: _max_pool(nn.MaxPool1d),
    F.max_pool2d: _max_pool(nn.MaxPool2d),
    torch.max_pool1d: _max_pool(nn.MaxPool1d),
    torch.max_pool2d: _max_pool(nn.MaxPool2d),
    F.avg_pool2d: _average_pool,
    F.avg_pool1d: _average_pool_1d,
    torch.avg_pool1d: _average_pool_1d,
    F.adaptive_avg_pool1d: _adaptive(nn.AdaptiveAvgPool1d),
    torch.adaptive_avg_pool1d: _adaptive(nn.AdaptiveAvgPool1d),
    F.adaptive_avg_pool2d: _adaptive(nn.AdaptiveAvgPool2d),
    F.adaptive_max_pool1d: _adaptive(nn.AdaptiveMaxPool1d),
    F.adaptive_max_pool2d: _adaptive(nn.AdaptiveMaxPool2d),
    F.pad: _pad,
    F.interpolate: _interpolate,
    F.dropout: _dropout(nn.Dropout),
    F.dropout1d: _dropout(nn.Dropout1d),
    F.dropout2d: _dropout(nn.Dropout2d),
    torch.dropout: _dropout(nn.Dropout),
    torch.cat: _concat,
    torch.concat: _concat,
    "relu": _relu,
    "relu_": _relu,
    torch.mean: _mean,
    "mean": _mean,
    torch.sum: _sum,
    "sum": _sum,
    torch.amax: _largest,
    "amax": _largest,
    torch.clamp: _clamp,
    torch.clamp_: _clamp,
    torch.clip: _clamp,
    torch.clip_: _clamp,
    torch.clamp_min: _clamp_min,
    "clamp": _clamp,
    "clamp_": _clamp,
    "clip": _clamp,
    "clip_": _clamp,
    "clamp_min": _clamp_min,
    "clamp_min_": _clamp_min,
    torch.detach: _cuts,
    "detach": _cuts,
    **RESHAPES,
    **PICKS,
}
"""The functions and methods that have a module, by what torch.fx calls them."""
REFUSED = _cuts
"""What stands in the table for its sentence alone."""
