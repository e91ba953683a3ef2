"""Models with several inputs and outputs: what forward() takes and gives, as names and tensors."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from vecq_hw.errors import VecqError

Samples = Mapping[str, npt.NDArray[np.float32]] | Sequence[npt.NDArray[np.float32]]
"""The arrays of several inputs, by forward()'s arguments or in their order."""

OUTPUT = "output"
"""The name of an output that has none of its own."""


def input_names(model: nn.Module) -> list[str]:
    """The arguments of forward() that have no default."""
    given = inspect.signature(model.forward).parameters.values()
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [one.name for one in given if one.default is one.empty and one.kind not in open_ended]


def named_outputs(structure: Any) -> dict[str, Any]:
    """The outputs by their names: keys of mappings, fields of named tuples, else ``output_0`` ...

    Examples
    --------
    >>> list(named_outputs(1)), list(named_outputs((1, [2, 3]))), list(named_outputs({"a b": 1}))
    (['output'], ['output_0', 'output_1_0', 'output_1_1'], ['a_b'])
    """
    result: dict[str, Any] = {}
    for wanted, value in _leaves(structure, ""):
        plain = re.sub(r"\W+", "_", wanted).strip("_") or OUTPUT
        name, count = plain, 2
        while name in result:
            name, count = f"{plain}_{count}", count + 1
        result[name] = value
    return result


def _leaves(structure: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(structure, Mapping):
        for key, value in structure.items():
            named = str(key) if isinstance(key, str) else f"{OUTPUT}_{key}"
            yield from _leaves(value, f"{path}_{key}" if path else named)
    elif isinstance(structure, tuple) and hasattr(structure, "_fields"):
        for field, value in zip(structure._fields, structure, strict=True):
            yield from _leaves(value, f"{path}_{field}" if path else field)
    elif isinstance(structure, tuple | list):
        for place, value in enumerate(structure):
            yield from _leaves(value, f"{path or OUTPUT}_{place}")
    else:
        yield path or OUTPUT, structure


def output_nodes(graph: fx.Graph) -> dict[str, fx.Node]:
    """The nodes whose tensors a graph gives, by the names of the outputs.

    Raises
    ------
    VecqError
        It gives something else than tensors, or nothing.
    """
    (end,) = [node for node in graph.nodes if node.op == "output"]
    found = named_outputs(end.args[0])
    for name, value in found.items():
        if not isinstance(value, fx.Node):
            where = f" as '{name}'" if len(found) > 1 else ""
            raise VecqError(
                f"the model's forward() returns {value!r}{where}; it must return one tensor, or a"
                " tuple, list or dictionary of tensors"
            )
    if not found:
        raise VecqError("the model's forward() returns nothing; at least one tensor is wanted")
    return found


def open_named_tuples(graph: fx.Graph) -> None:
    """Let the named tuples that forward() gives stand in the output, not as calls of their type."""

    def opened(node: fx.Node) -> Any:
        kind = node.target
        if node.op == "call_function" and isinstance(kind, type) and hasattr(kind, "_fields"):
            return kind(*fx.node.map_arg(node.args, opened))
        return node

    (end,) = [node for node in graph.nodes if node.op == "output"]
    end.args = fx.node.map_arg(end.args, opened)
    graph.eliminate_dead_code()


def arguments(names: Sequence[str], x: object) -> list[Any]:
    """What forward() takes, in its order, from one array, or a mapping or tuple of several.

    Raises
    ------
    VecqError
        There are fewer or other arrays than arguments.
    """
    if isinstance(x, Mapping):
        if set(x) == set(names):
            return [x[name] for name in names]
        given = f"arrays of {', '.join(map(repr, x)) or 'nothing'}"
    elif len(names) == 1:
        return [x]
    elif isinstance(x, tuple | list) and len(x) == len(names):
        return list(x)
    else:
        given = f"{len(x)} arrays" if isinstance(x, tuple | list) else "one"
    listed = ", ".join(map(repr, names))
    raise VecqError(f"the model takes {len(names)} arrays ({listed}), not {given}")


def checked_tensors(structure: Any) -> dict[str, torch.Tensor]:
    """What a model gave, by the names of its outputs.

    The tensors have the shape (N, ...).

    Raises
    ------
    VecqError
        It gave something else than tensors.
    """
    found = named_outputs(structure)
    for name, value in found.items():
        if not isinstance(value, torch.Tensor):
            raise VecqError(f"the model gives a {type(value).__name__} as '{name}', not a tensor")
    return found
