"""What forward() does beside computing its output: changes in place, state, random numbers."""

from __future__ import annotations

import operator
import random
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)
DROPOUT_FUNCTIONS = (F.dropout, F.dropout1d, F.dropout2d, torch.dropout)
CONSTANT = "_tensor_constant"
"""What torch.fx calls the tensors that it finds in forward()."""

_IN_PLACE = {
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv,
    operator.imod, operator.ipow, operator.iand, operator.ior, operator.ixor, operator.imatmul,
    operator.setitem,
}  # fmt: skip
_OF_SIZES = {operator.getitem, operator.mul, operator.add, operator.sub, operator.floordiv, "numel"}
_VIEWS = {
    "view", "reshape", "flatten", "transpose", "permute", "getitem", "getattr", "contiguous",
    "squeeze", "unsqueeze", "unflatten", "ravel", "view_as", "reshape_as", "expand", "expand_as",
    "chunk", "split", "tensor_split", "unbind", "narrow", "select", "swapaxes", "swapdims",
    "movedim", "moveaxis", "t", "detach", "float", "to", "type_as", "unfold", "diagonal",
}  # fmt: skip


def random_states() -> tuple[object, ...]:
    """The state of each generator that forward() may draw from."""
    legacy: Any = np.random.get_state()  # noqa: NPY002  (what a user's forward() may draw from)
    _, words, *place = legacy
    return random.getstate(), words.tobytes(), place, torch.get_rng_state().numpy().tobytes()


def state(model: nn.Module) -> dict[str, object]:
    """All that forward() could change, by name, in a form that compares."""
    found: dict[str, object] = {}
    for name, module in model.named_modules():
        inside = f" of layer '{name}'" if name else ""
        for key, value in vars(module).items():
            # What the tracer adds is no state of the user's.
            if key == "training" or key.startswith(CONSTANT):
                continue
            if key in ("_parameters", "_buffers", "_modules"):
                for part, held in value.items():
                    found[f"'{part}'{inside}"] = _frozen(held, set())
            else:
                found[f"the attribute '{key}'{inside}"] = _frozen(value, set())
    return found


def _frozen(value: object, seen: set[int]) -> object:
    if id(value) in seen or isinstance(value, type | nn.Module):
        return id(value)
    seen = seen | {id(value)}
    match value:
        case bool() | int() | float() | complex() | str() | bytes() | None:
            return repr(value)
        case torch.Tensor():
            # Changes through .data leave the version as it is.
            content = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
            return (
                id(value),
                value._version,
                value.requires_grad,
                zlib.crc32(content.numpy().tobytes()),
            )
        case np.ndarray():
            return id(value), value.tobytes()
        case list() | tuple() | set() | frozenset():
            return type(value), [_frozen(part, seen) for part in value]
        case dict():
            return [(repr(key), _frozen(part, seen)) for key, part in value.items()]
        case random.Random():
            return value.getstate()
        case np.random.Generator():
            return repr(value.bit_generator.state)
        case torch.Generator():
            return value.get_state().numpy().tobytes()
        case _ if hasattr(value, "__dict__") and not callable(value):
            return id(value), _frozen(vars(value), seen)
        case _:
            return id(value)


def _writes(model: nn.Module, node: fx.Node) -> bool:
    """Whether an operation changes the tensor that it reads."""
    match node.op:
        case "call_module":
            return bool(getattr(model.get_submodule(str(node.target)), "inplace", False))
        case "call_method":
            name = str(node.target)
            return name.endswith("_") and (not name.endswith("__") or name == "__setitem__")
        case "call_function":
            name = getattr(node.target, "__name__", "")
            return (
                node.target in _IN_PLACE
                or (name.endswith("_") and not name.endswith("__"))
                or bool(node.kwargs.get("inplace"))
                or node.kwargs.get("out") is not None
            )
        case _:
            return False


def _memory(model: nn.Module, node: fx.Node) -> fx.Node:
    """The node whose memory ``node`` shares, perhaps itself."""
    source = source_of(node)
    if not isinstance(source, fx.Node):
        return node
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        shares = isinstance(module, (nn.Flatten, nn.Identity, *DROPOUTS))
    else:
        name = node.target if isinstance(node.target, str) else _name(node.target)
        shares = name in _VIEWS or node.target in DROPOUT_FUNCTIONS
    return _memory(model, source) if shares or _writes(model, node) else node


def _name(function: Callable[..., Any] | str) -> str:
    return str(getattr(function, "__name__", function))


def read_changed_values(model: nn.Module, graph: fx.Graph) -> None:
    """Let all that come after a change in place read what it left, as tensors do.

    Raises
    ------
    VecqError
        A parameter or buffer is changed in place, or what is read later through another view.
    """
    order = {node: place for place, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        source = source_of(node)
        if not isinstance(source, fx.Node) or is_shape(source) or not _writes(model, node):
            continue
        memory = _memory(model, source)
        if memory.op == "get_attr":
            raise VecqError(
                f"forward() changes '{memory.target}' in place ('{node.name}'), which its quantized"
                " twin would not do; keep what changes out of forward()"
            )
        for other in graph.nodes:
            if order[other] >= order[node] or is_shape(other):
                continue
            if _memory(model, other) is not memory:
                continue
            late = [reader for reader in other.users if order[reader] > order[node]]
            late = [reader for reader in late if not is_shape(reader)]
            if other is source:
                for reader in late:
                    reader.replace_input_with(source, node)
            elif late:
                raise VecqError(
                    f"the operation '{node.name}' changes in place what '{late[0].name}' reads"
                    f" through '{other.name}'; do not compute it in place"
                )


def is_shape(node: fx.Node) -> bool:
    """Whether the node is of sizes alone; such nodes die with the operation that reads them."""
    if node.op == "call_method" and node.target == "size":
        return True
    if node.target is getattr:
        return "shape" in node.args
    reads = node.all_input_nodes
    sizes_alone = node.target in _OF_SIZES and bool(reads) and all(map(is_shape, reads))
    return node.op in ("call_function", "call_method") and sizes_alone


def check_unread(model: nn.Module, graph: fx.Graph) -> None:
    """Refuse what is computed for something other than the output.

    Raises
    ------
    VecqError
        An operation has no reader.
    """
    for node in reversed(graph.nodes):
        harmless = node.op in ("placeholder", "output", "get_attr", "call_module") or is_shape(node)
        if not node.users and not harmless and node.target not in (getattr, operator.getitem):
            raise VecqError(
                f"forward() computes '{node.name}', which its output does not depend on, so the"
                " quantized twin would not; leave it out"
            )


def source_of(node: fx.Node) -> Any:
    """What the node reads first."""
    return node.args[0] if node.args else node.kwargs.get("input")
