"""What a function in a traced graph was called with."""

from __future__ import annotations

import operator
from typing import Any

from torch import fx

from vecq_hw.errors import VecqError
from vecq_hw.train.effects import is_shape
from vecq_hw.train.tracing import Batch


class Unsupported(VecqError):
    """Why a form of a function is not supported: what follows its name in the sentence."""


def arguments(node: fx.Node, /, **defaults: Any) -> dict[str, Any]:
    """The arguments after the first, by name; those not given have the defaults."""
    if len(node.args) - 1 > len(defaults):
        raise Unsupported(f"takes at most {len(defaults)} arguments beside its tensor")
    given = dict(zip(defaults, node.args[1:], strict=False)) | dict(node.kwargs)
    for name in ("input", "tensors", "inplace"):
        given.pop(name, None)
    for name in given.keys() - defaults.keys():
        raise Unsupported(f"is not supported with {name}={given[name]!r}; leave it out")
    return defaults | given


def numbers(node: fx.Node, /, **defaults: Any) -> dict[str, Any]:
    """As :func:`arguments`, of which none may come from a tensor or follow the batch."""
    given = arguments(node, **defaults)
    for name, value in given.items():
        if nodes(value):
            raise Unsupported(
                f"takes its {name} from a tensor; give numbers, or quantize_model the input_shape"
            )
        if any(isinstance(one, Batch) for one in _flat(value)):
            raise Unsupported(f"takes its {name} from the size of the batch; give numbers")
    return given


def nodes(value: Any) -> list[fx.Node]:
    """The nodes in an argument."""
    found: list[fx.Node] = []
    fx.node.map_arg(value, found.append)
    return found


def plain(value: Any) -> Any:
    """A list as a tuple, as modules print it."""
    return tuple(value) if isinstance(value, list) else value


def is_whole(value: object) -> bool:
    """Whether an argument is a number that does not follow the batch."""
    return isinstance(value, int) and not isinstance(value, Batch)


def _flat(value: Any) -> list[Any]:
    return [part for one in value for part in _flat(one)] if _many(value) else [value]


def _many(value: object) -> bool:
    return isinstance(value, tuple | list)


def size_index(size: object, of: object = None) -> Any:
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
