"""Functions that only move the values of samples, as modules.

Where a model was traced with the shape of its input, all of them are reorderings of known sizes.
Without it the forms that are understood are those that keep the batch axis alone.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.train.arguments import Unsupported, arguments, is_whole, numbers, size_index
from vecq_hw.train.effects import is_shape
from vecq_hw.train.quantized_layers import Concat, FlattenTo, Transpose
from vecq_hw.train.rearrange import Rearrange, reshape, transpose
from vecq_hw.train.tracing import Batch, shape_of

GIVE_SHAPE = "; give quantize_model the input_shape, so that sizes are known"


def sample_shapes(node: fx.Node) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """The shapes of a sample before and after the node; None where they are not known."""
    source = node.args[0] if node.args else node.kwargs.get("input")
    before = shape_of(source) if isinstance(source, fx.Node) else None
    after = shape_of(node)
    if before is None or after is None:
        return None
    for shape in (before, after):
        if not shape or not isinstance(shape[0], Batch):
            raise Unsupported(
                "moves the batch away from axis 0, or joins it with another axis; keep the samples"
                " of a batch apart"
            )
    return before[1:], after[1:]


def view(node: fx.Node) -> nn.Module:
    """view(), reshape() and whatever else leaves the values in their order."""
    shapes = sample_shapes(node)
    if shapes is None:
        return _view_without_shapes(node)
    before, after = shapes
    if len(after) != 1:
        return nn.Identity() if before == after else reshape(before, after)
    sizes = _sizes(node)
    given = len(sizes) == 2 and is_whole(sizes[1]) and sizes[1] > 0
    return FlattenTo(after[0]) if given else nn.Flatten()


def _sizes(node: fx.Node) -> tuple[Any, ...]:
    """The sizes that view() or reshape() is called with."""
    named = {name: value for name, value in node.kwargs.items() if name in ("shape", "size")}
    sizes = node.args[1:] or tuple(named.values())
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    return sizes


def _view_without_shapes(node: fx.Node) -> nn.Module:
    sizes = _sizes(node)
    if len(sizes) == 2:
        batch, features = sizes
        kept = size_index(batch) == 0
        if is_whole(features) and features > 0 and (kept or batch == -1):
            return FlattenTo(features)
        # With the batch axis as it was, any other number of features would be an error.
        if kept and (features == -1 or (isinstance(features, fx.Node) and is_shape(features))):
            return nn.Flatten()
    raise Unsupported(
        "is not supported; use torch.nn.Flatten() to keep only the batch axis" + GIVE_SHAPE
    )


def flatten(node: fx.Node) -> nn.Module:
    """flatten() of all axes, or of some where shapes are known."""
    given = numbers(node, start_dim=0, end_dim=-1)
    if given["start_dim"] == 1 and given["end_dim"] == -1:
        return nn.Flatten()
    if sample_shapes(node) is not None:
        return view(node)
    raise Unsupported(
        "is not supported where shapes are not known, unless it keeps the batch axis alone"
        + GIVE_SHAPE
    )


def reordering(node: fx.Node, module: nn.Module) -> nn.Module | None:
    """The reordering that a module of torch is; None for a module that is none."""
    if shape_of(node) is None and isinstance(module, nn.Flatten):
        return None
    match module:
        case nn.Flatten() if (module.start_dim, module.end_dim) != (1, -1):
            return of_ones(node)
        case nn.Unflatten():
            return of_ones(node)
        case nn.PixelShuffle():
            return _shuffled_pixels(node, module.upscale_factor)
        case nn.PixelUnshuffle():
            return _unshuffled_pixels(node, module.downscale_factor)
        case nn.ChannelShuffle():
            return _shuffled_channels(node, module.groups)
        case _:
            return None


def _image(node: fx.Node) -> tuple[int, int, int]:
    shapes = sample_shapes(node)
    if shapes is None:
        raise Unsupported("is not supported where shapes are not known" + GIVE_SHAPE)
    if len(shapes[0]) != 3:
        raise Unsupported("is supported for images (N, C, H, W) alone")
    channels, height, width = shapes[0]
    return channels, height, width


def _shuffled_pixels(node: fx.Node, factor: int) -> nn.Module:
    channels, height, width = _image(node)
    split = (channels // factor**2, factor, factor, height, width)
    shape = (channels // factor**2, height * factor, width * factor)
    return Rearrange(split, (0, 3, 1, 4, 2), shape)


def _unshuffled_pixels(node: fx.Node, factor: int) -> nn.Module:
    channels, height, width = _image(node)
    split = (channels, height // factor, factor, width // factor, factor)
    shape = (channels * factor**2, height // factor, width // factor)
    return Rearrange(split, (0, 2, 4, 1, 3), shape)


def _shuffled_channels(node: fx.Node, groups: int) -> nn.Module:
    channels, height, width = _image(node)
    split = (groups, channels // groups, height, width)
    return Rearrange(split, (1, 0, 2, 3), (channels, height, width))


def pixel_shuffle(node: fx.Node) -> nn.Module:
    """F.pixel_shuffle."""
    return _shuffled_pixels(node, numbers(node, upscale_factor=1)["upscale_factor"])


def pixel_unshuffle(node: fx.Node) -> nn.Module:
    """F.pixel_unshuffle."""
    return _unshuffled_pixels(node, numbers(node, downscale_factor=1)["downscale_factor"])


def channel_shuffle(node: fx.Node) -> nn.Module:
    """F.channel_shuffle."""
    return _shuffled_channels(node, numbers(node, groups=1)["groups"])


def of_ones(node: fx.Node) -> nn.Module:
    """squeeze(), unsqueeze() and unflatten()."""
    if sample_shapes(node) is None:
        raise Unsupported("is not supported where shapes are not known" + GIVE_SHAPE)
    return view(node)


def ordered(node: fx.Node) -> nn.Module:
    """transpose(), permute() and whatever else gives the axes another order."""
    shapes = sample_shapes(node)
    if shapes is None:
        return _ordered_without_shapes(node)
    # Axes of sizes that differ tell where they went.
    rank = len(shapes[0]) + 1
    args, kwargs = list(node.args), dict(node.kwargs)
    trial = torch.empty(tuple(range(2, 2 + rank)), device="meta")
    if args:
        args[0] = trial
    else:
        kwargs["input"] = trial
    target = node.target
    moved = (
        getattr(trial, target)(*args[1:], **kwargs)
        if isinstance(target, str)
        else (target(*args, **kwargs))
    )
    order = [size - 2 for size in moved.shape]
    if order == list(range(rank)):
        return nn.Identity()
    if rank == 3:
        return Transpose()
    return transpose(shapes[0], [axis - 1 for axis in order[1:]])


def _ordered_without_shapes(node: fx.Node) -> nn.Module:
    name = node.target if isinstance(node.target, str) else node.target.__name__
    if name == "permute":
        axes: tuple[Any, ...] = node.args[1:] or (node.kwargs.get("dims"),)
        if len(axes) == 1 and isinstance(axes[0], tuple | list):
            axes = tuple(axes[0])
        if tuple(axes) not in ((0, 2, 1), (0, -1, 1), (0, 2, -2), (0, -1, -2)):
            raise Unsupported("is supported for (0, 2, 1) alone" + GIVE_SHAPE)
    elif name == "transpose":
        given = numbers(node, dim0=None, dim1=None)
        if {given["dim0"], given["dim1"]} not in ({1, 2}, {-1, -2}, {1, -1}, {-2, 2}):
            raise Unsupported("is supported for the axes 1 and 2 of (N, L, C) alone" + GIVE_SHAPE)
    else:
        raise Unsupported("is not supported where shapes are not known" + GIVE_SHAPE)
    return Transpose()


def attribute(node: fx.Node) -> nn.Module:
    """x.mT; of other attributes those that are tensors are refused."""
    if node.args[1] == "mT":
        return ordered(node)
    raise Unsupported(f"reads .{node.args[1]} of a tensor, which is not supported")


def stacked(node: fx.Node) -> tuple[nn.Module, ...]:
    """stack() along an axis of the sample: one behind the other, and an axis of its own."""
    given = numbers(node, dim=0)
    terms = node.args[0] if node.args else node.kwargs.get("tensors")
    if not isinstance(terms, tuple | list) or not terms:
        raise Unsupported("is supported for a list of tensors")
    after = shape_of(node)
    if after is None:
        raise Unsupported("is not supported where shapes are not known" + GIVE_SHAPE)
    place = given["dim"] % len(after) - 1
    if place < 0:
        raise Unsupported("is not supported along axis 0, the batch; add the tensors, or use dim=1")
    sample = [size for axis, size in enumerate(after[1:]) if axis != place]
    axes = list(range(1, len(sample) + 1))
    axes.insert(place, 0)
    return Concat(), Rearrange((len(terms), *sample), axes, after[1:])


def spread(node: fx.Node) -> nn.Module:
    """expand() and expand_as() in front of a product, which spreads its operands itself."""
    if not before_products(node):
        raise Unsupported("is supported for an operand of a product alone")
    return nn.Identity()


def before_products(node: fx.Node) -> bool:
    """Whether products alone read the node."""
    products = (operator.mul, operator.imul, torch.mul, torch.multiply, "mul", "mul_", "multiply")
    return all(reader.target in products for reader in node.users)


def unchanged(node: fx.Node) -> nn.Module:
    """clone(), contiguous() and float() of a model in float32."""
    arguments(node, memory_format=None)
    return nn.Identity()


RESHAPES: dict[Any, Any] = {
    torch.flatten: flatten,
    "flatten": flatten,
    torch.reshape: view,
    "view": view,
    "reshape": view,
    "view_as": of_ones,
    "reshape_as": of_ones,
    torch.squeeze: of_ones,
    "squeeze": of_ones,
    torch.unsqueeze: of_ones,
    "unsqueeze": of_ones,
    "expand": spread,
    "expand_as": spread,
    torch.unflatten: of_ones,
    "unflatten": of_ones,
    torch.transpose: ordered,
    "transpose": ordered,
    torch.swapaxes: ordered,
    "swapaxes": ordered,
    torch.permute: ordered,
    "permute": ordered,
    F.pixel_shuffle: pixel_shuffle,
    F.pixel_unshuffle: pixel_unshuffle,
    F.channel_shuffle: channel_shuffle,
    torch.swapdims: ordered,
    "swapdims": ordered,
    torch.movedim: ordered,
    "movedim": ordered,
    torch.moveaxis: ordered,
    "moveaxis": ordered,
    getattr: attribute,
    torch.stack: stacked,
    torch.clone: unchanged,
    "clone": unchanged,
    "contiguous": unchanged,
    "float": unchanged,
}
