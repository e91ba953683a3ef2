"""Functions and methods of tensors, such as F.relu(x), as the modules that compute the same."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.train.effects import is_shape
from vecq_hw.train.quantized_layers import (
    Add,
    Concat,
    FlattenTo,
    LastStep,
    SquareAverage,
    Transpose,
)

Maker = Callable[[fx.Node], nn.Module]
_WHOLE = slice(None, None, None)


class _Unsupported(VecqError):
    """Why a form of a function is not supported: what follows its name in the sentence."""


def module_of(node: fx.Node) -> tuple[nn.Module, tuple[fx.Node, ...]] | None:
    """The module that does what ``node`` does, and the nodes that it reads; None for no module.

    Raises
    ------
    VecqError
        The function has a module, but not as it is called here; the message says why.
    """
    make = FUNCTIONS.get(node.target)
    if make is None:
        return None
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    try:
        module = make(node)
        sources = _sources(node)
    except _Unsupported as error:
        raise VecqError(f"the operation '{node.name}' ({what}) {error}") from None
    return module, sources


def _sources(node: fx.Node) -> tuple[fx.Node, ...]:
    first = node.args[0] if node.args else node.kwargs.get("input", node.kwargs.get("tensors"))
    if FUNCTIONS[node.target] is _add:
        sources: Sequence[Any] = _terms(node)
    else:
        sources = first if isinstance(first, tuple | list) else (first,)
    if not all(isinstance(source, fx.Node) for source in sources):
        raise _Unsupported("reads something other than the tensors of the model")
    return tuple(sources)


def _arguments(node: fx.Node, /, **defaults: Any) -> dict[str, Any]:
    """The arguments after the first, by name; those not given have the defaults."""
    if len(node.args) - 1 > len(defaults):
        raise _Unsupported(f"takes at most {len(defaults)} arguments beside its tensor")
    given = dict(zip(defaults, node.args[1:], strict=False)) | dict(node.kwargs)
    for name in ("input", "tensors", "inplace"):
        given.pop(name, None)
    for name in given.keys() - defaults.keys():
        raise _Unsupported(f"is not supported with {name}={given[name]!r}; leave it out")
    return defaults | given


def _numbers(node: fx.Node, /, **defaults: Any) -> dict[str, Any]:
    """As :func:`_arguments`, of which none may come from a tensor."""
    given = _arguments(node, **defaults)
    for name, value in given.items():
        if _nodes(value):
            raise _Unsupported(f"takes its {name} from a tensor; give numbers")
    return given


def _nodes(value: Any) -> list[fx.Node]:
    found: list[fx.Node] = []
    fx.node.map_arg(value, found.append)
    return found


def _relu(node: fx.Node) -> nn.Module:
    _arguments(node, inplace=False)
    return nn.ReLU()


def _relu6(node: fx.Node) -> nn.Module:
    _arguments(node, inplace=False)
    return nn.ReLU6()


def _hardtanh(node: fx.Node) -> nn.Module:
    given = _numbers(node, min_val=-1.0, max_val=1.0, inplace=False)
    return nn.Hardtanh(given["min_val"], given["max_val"])


def _max_pool(kind: type[nn.Module]) -> Maker:
    def make(node: fx.Node) -> nn.Module:
        given = _numbers(
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
    given = _arguments(
        node,
        kernel_size=None,
        stride=None,
        padding=0,
        ceil_mode=False,
        count_include_pad=True,
        divisor_override=None,
    )
    kernel = given["kernel_size"]
    if _nodes(kernel):
        # The window is the whole image; which stride it has does not matter.
        plain = given["padding"] in (0, (0, 0), [0, 0]) and given["divisor_override"] is None
        axes = _image_axes(node, kernel)
        if plain and axes == (0, 1):
            return nn.AdaptiveAvgPool2d(1)
        if plain and axes in ((0, 0), (1, 1)):
            return SquareAverage()
        raise _Unsupported(
            "takes its kernel_size from a tensor; give numbers, or for the whole image use"
            " torch.nn.AdaptiveAvgPool2d(1)"
        )
    given = _numbers(node, **given)
    return nn.AvgPool2d(**{name: _plain(value) for name, value in given.items()})


def _image_axes(node: fx.Node, sizes: Any) -> tuple[int, ...] | None:
    """Which axes of the node's own image, 0 down and 1 across, a window is as large as."""
    image = node.args[0] if node.args else node.kwargs.get("input")
    if isinstance(sizes, fx.Node) and isinstance(_size_index(sizes, image), slice):
        both = (slice(2, None, None), slice(-2, None, None), slice(2, 4, None))
        return (0, 1) if _size_index(sizes, image) in both else None
    axes = {2: 0, -2: 0, 3: 1, -1: 1}
    parts = (sizes, sizes) if isinstance(sizes, fx.Node) else sizes
    indices = [_size_index(part, image) for part in parts]
    known = all(isinstance(index, int) and index in axes for index in indices)
    return tuple(axes[index] for index in indices) if known else None


def _size_index(size: object, of: object = None) -> Any:
    """What a tensor's shape is indexed with, that of ``of`` where given; None for anything else."""
    if not isinstance(size, fx.Node) or not is_shape(size):
        return None
    shape: Any = size
    index: Any = None
    if size.target is operator.getitem:
        shape, index = size.args
        if isinstance(shape, fx.Node) and (shape.target == "size") != (len(shape.args) == 1):
            return None  # an index of an index
    elif size.target == "size":
        index = size.args[1] if len(size.args) > 1 else size.kwargs.get("dim")
    belongs = isinstance(shape, fx.Node) and (of is None or shape.args[0] is of)
    return index if belongs else None


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _adaptive_average_pool(node: fx.Node) -> nn.Module:
    return nn.AdaptiveAvgPool2d(_plain(_numbers(node, output_size=None)["output_size"]))


def _interpolate(node: fx.Node) -> nn.Module:
    given = _arguments(
        node,
        size=None,
        scale_factor=None,
        mode="nearest",
        align_corners=None,
        recompute_scale_factor=None,
        antialias=False,
    )
    if given["size"] is not None:
        raise _Unsupported("is supported with a scale_factor alone; give that in place of a size")
    given = _numbers(node, **given)
    if given.pop("antialias"):
        raise _Unsupported("is not supported with antialias=True; leave it out")
    # With whole factors, the only ones supported, the sizes give the same factors again.
    given.pop("recompute_scale_factor")
    return nn.Upsample(**{name: _plain(value) for name, value in given.items()})


def _add(node: fx.Node) -> nn.Module:
    given = _arguments(node, other=None, alpha=1)
    if given["alpha"] != 1:
        raise _Unsupported("is supported with alpha=1 alone")
    terms = _terms(node)
    if not all(isinstance(term, fx.Node) for term in terms):
        raise _Unsupported(constant_remedy(node))
    return Add() if len(terms) == 2 else nn.Identity()


def _terms(node: fx.Node) -> list[Any]:
    """What is added; the 0 with which Python's sum() begins is left out."""
    first = node.args[0] if node.args else node.kwargs.get("input")
    terms = [first, _arguments(node, other=None, alpha=1)["other"]]
    return [term for term in terms if isinstance(term, fx.Node) or term != 0]


def _identity(node: fx.Node) -> nn.Module:
    _arguments(node, memory_format=None)
    return nn.Identity()


def _concat(node: fx.Node) -> nn.Module:
    given = _arguments(node, dim=0, axis=None)
    along = given["dim"] if given["axis"] is None else given["axis"]
    terms = node.args[0] if node.args else node.kwargs.get("tensors")
    if not isinstance(terms, tuple | list) or not terms or along != 1:
        raise _Unsupported("is supported for a list of tensors along dim=1, the channels")
    return Concat()


def _transpose(node: fx.Node) -> nn.Module:
    given = _numbers(node, dim0=None, dim1=None)
    if {given["dim0"], given["dim1"]} not in ({1, 2}, {-1, -2}):
        raise _Unsupported("is supported for the axes 1 and 2 of (N, L, C) alone")
    return Transpose()


def _permute(node: fx.Node) -> nn.Module:
    axes = node.args[1:] or (node.kwargs.get("dims"),)
    if len(axes) == 1 and isinstance(axes[0], tuple | list):
        axes = tuple(axes[0])
    if tuple(axes) not in ((0, 2, 1), (0, -1, 1), (0, 2, -2), (0, -1, -2)):
        raise _Unsupported("is supported for (0, 2, 1) alone")
    return Transpose()


def _last_step(node: fx.Node) -> nn.Module:
    if node.args[1] not in ((_WHOLE, -1), (_WHOLE, -1, _WHOLE), (_WHOLE, -1, ...)):
        raise _Unsupported("is not supported; of a sequence (N, L, C) the last step [:, -1] is")
    return LastStep()


def _dropout(kind: type[nn.Module]) -> Maker:
    def make(node: fx.Node) -> nn.Module:
        # Tracing has seen to it that only training drops.
        switch = {"train": True} if node.target is torch.dropout else {"training": True}
        return kind(_numbers(node, p=0.5, **switch)["p"])

    return make


def _flatten(node: fx.Node) -> nn.Module:
    given = _numbers(node, start_dim=0, end_dim=-1)
    return nn.Flatten(given["start_dim"], given["end_dim"])


def _reshape(node: fx.Node) -> nn.Module:
    named = {name: value for name, value in node.kwargs.items() if name in ("shape", "size")}
    sizes = node.args[1:] or tuple(named.values())
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    if len(sizes) == 2:
        batch, features = sizes
        kept = _size_index(batch) == 0
        if isinstance(features, int) and features > 0 and (kept or batch == -1):
            return FlattenTo(features)
        # With the batch axis as it was, any other number of features would be an error.
        if kept and (features == -1 or (isinstance(features, fx.Node) and is_shape(features))):
            return nn.Flatten()
    raise _Unsupported("is not supported; use torch.nn.Flatten() to keep only the batch axis")


def constant_remedy(node: fx.Node) -> str:
    """What to do in place of arithmetic with numbers or tensors that are no module's."""
    reads = _nodes((node.args, node.kwargs))
    if any(read.op == "placeholder" for read in reads):
        return (
            "is not supported; normalize the input by a BatchNorm as the first layer, for example"
            " torch.nn.BatchNorm2d(channels, affine=False), which lowering folds into integers"
        )
    return (
        "is not supported with numbers or tensors outside of a module; a BatchNorm multiplies and"
        " adds by channel"
    )


FUNCTIONS: dict[Any, Maker] = {
    F.relu: _relu,
    F.relu_: _relu,
    torch.relu: _relu,
    torch.relu_: _relu,
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
    F.hardtanh_: _hardtanh,
    F.max_pool1d: _max_pool(nn.MaxPool1d),
    F.max_pool2d: _max_pool(nn.MaxPool2d),
    torch.max_pool1d: _max_pool(nn.MaxPool1d),
    torch.max_pool2d: _max_pool(nn.MaxPool2d),
    F.avg_pool2d: _average_pool,
    F.adaptive_avg_pool2d: _adaptive_average_pool,
    F.interpolate: _interpolate,
    F.dropout: _dropout(nn.Dropout),
    F.dropout1d: _dropout(nn.Dropout1d),
    F.dropout2d: _dropout(nn.Dropout2d),
    torch.dropout: _dropout(nn.Dropout),
    torch.flatten: _flatten,
    torch.reshape: _reshape,
    torch.transpose: _transpose,
    torch.permute: _permute,
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    torch.cat: _concat,
    torch.concat: _concat,
    operator.getitem: _last_step,
    torch.clone: _identity,
    "clone": _identity,
    "contiguous": _identity,
    "relu": _relu,
    "relu_": _relu,
    "add": _add,
    "add_": _add,
    "flatten": _flatten,
    "view": _reshape,
    "reshape": _reshape,
    "transpose": _transpose,
    "permute": _permute,
}
"""The functions and methods that have a module, by what torch.fx calls them."""
