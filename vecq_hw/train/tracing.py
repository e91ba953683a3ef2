"""A model's forward() as a torch.fx graph that computes the same, or the reason why there is none.

A graph holds operations alone.  Whatever else a forward pass consists of, torch.fx leaves out
without a word: hooks, the branch of the other mode, attributes that it sets, values that it changes
in place, random decisions.  Each of these is either put right here or refused by name.
"""

from __future__ import annotations

import copy
import inspect
import operator
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d)
DROPOUT_FUNCTIONS = (F.dropout, F.dropout1d, F.dropout2d, torch.dropout)

_IN_PLACE = {
    operator.iadd, operator.isub, operator.imul, operator.itruediv, operator.ifloordiv,
    operator.imod, operator.ipow, operator.iand, operator.ior, operator.ixor, operator.imatmul,
    operator.setitem,
}  # fmt: skip
_CONSTANT = "_tensor_constant"
"""What torch.fx calls the tensors that it finds in forward()."""
_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_OF_SIZES = {operator.getitem, operator.mul, operator.add, operator.sub, operator.floordiv, "numel"}
_VIEWS = {"view", "reshape", "flatten", "transpose", "permute", "getitem", "getattr", "contiguous"}


def trace(model: nn.Module) -> fx.GraphModule:
    """A deep copy of a model that ``check_modules`` passed, as a graph of its operations.

    Dropout stands in it where training has it and evaluation has not.  What an operation changes in
    place is read from that operation by all that come later.

    Raises
    ------
    VecqError
        The model cannot be traced, or its graph would compute something else; the message says
        what.
    """
    try:
        duplicate = copy.deepcopy(model)
    except Exception as error:  # whatever an attribute of the user's raises
        raise VecqError(f"the model cannot be copied ({_reason(error)})") from None
    training, evaluation = (_graph(duplicate, mode) for mode in (True, False))
    _join_modes(duplicate, training, evaluation)
    _read_changed_values(duplicate, training)
    _check_unread(duplicate, training)
    return fx.GraphModule(duplicate, training, type(model).__name__)


class _Proxy(fx.Proxy):
    """A symbolic tensor whose ``+=`` is recorded as what it is, and that takes no attributes."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in ("tracer", "node"):
            raise VecqError(
                f"forward() sets '{name}' of '{self.node.name}', which its quantized twin would not"
                " do; keep what changes out of forward()"
            )
        super().__setattr__(name, value)

    def __iadd__(self, other: Any) -> Any:
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})


class _Tracer(fx.Tracer):
    # A buffer that decides what is computed is refused, not frozen.
    proxy_buffer_attributes = True

    def __init__(self) -> None:
        super().__init__()
        self._modes = _autograd_modes()

    def proxy(self, node: fx.Node) -> fx.Proxy:
        return _Proxy(node, self)

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        # The twin is called with one tensor: arguments with defaults have these.
        given = list(inspect.signature(root_fn).parameters.values())[1:]
        needed = [one for one in given if one.default is one.empty and one.kind not in _OPEN]
        return root_fn, [
            self.root,
            *(self.create_proxy("placeholder", one.name, (), {}) for one in needed),
        ]

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        if _autograd_modes() != self._modes:
            raise VecqError(
                "forward() computes a part under torch.no_grad(), autocast or the like, which its"
                " quantized twin would not; freeze parameters by requires_grad_(False) instead"
            )
        return super().create_node(*args, **kwargs)


def _autograd_modes() -> tuple[object, ...]:
    devices = ("cpu", "cuda")
    autocast = [torch.is_autocast_enabled(device) for device in devices]
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *autocast


def _graph(model: nn.Module, training: bool) -> fx.Graph:
    """The graph in one mode, with gradients in training and without in evaluation."""
    for module in model.modules():
        module.training = training
    drawn, before = _random_states(), _state(model)
    try:
        with torch.set_grad_enabled(training), _honest_python(model):
            graph: fx.Graph = _Tracer().trace(model)
    except VecqError:
        raise
    except Exception as error:  # whatever the user's forward() raises on symbolic values
        raise VecqError(
            f"the model cannot be traced ({_reason(error)});"
            " its forward() must take one tensor and not branch on values"
        ) from None
    if _random_states() != drawn:
        raise VecqError(
            "forward() draws random numbers, which its quantized twin would not do;"
            " dropout alone may be random"
        )
    after = _state(model)
    for name, module in model.named_modules():
        if module.training != training:
            raise VecqError(
                f"forward() sets the mode of layer '{name}', which its quantized twin would not do;"
                " call train() and eval() outside of it"
            )
    for name in before | after:
        if before.get(name) != after.get(name):
            raise VecqError(
                f"forward() sets {name}, which its quantized twin would not do;"
                " keep what changes out of forward()"
            )
    return graph


@contextmanager
def _honest_python(model: nn.Module) -> Iterator[None]:
    """Meanwhile symbolic tensors are tensors to isinstance in the files of the model's classes.

    And an autograd Function, of which tracing would forget the gradient, is refused.
    """

    def is_instance(value: object, kinds: Any) -> bool:
        flat = kinds if isinstance(kinds, tuple) else get_args(kinds) or (kinds,)
        return isinstance(value, kinds) or (isinstance(value, fx.Proxy) and torch.Tensor in flat)

    def apply(cls: type, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, fx.Proxy) for value in (*args, *kwargs.values())):
            raise VecqError(
                f"forward() calls {cls.__name__}, a torch.autograd.Function, whose gradient its"
                " quantized twin would not have; use modules of torch.nn"
            )
        return original.__func__(cls, *args, **kwargs)

    original: Any = torch.autograd.Function.__dict__["apply"]
    files = [
        type(module).forward.__globals__
        for module in model.modules()
        if not type(module).__module__.startswith("torch.")
        and hasattr(type(module).forward, "__globals__")
    ]
    files = [file for file in files if "isinstance" not in file]
    try:
        torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment, method-assign]
        for file in files:
            file["isinstance"] = is_instance
        yield
    finally:
        torch.autograd.Function.apply = original  # type: ignore[method-assign]
        for file in files:
            file.pop("isinstance", None)


def _random_states() -> tuple[object, ...]:
    legacy: Any = np.random.get_state()  # noqa: NPY002  (what a user's forward() may draw from)
    _, words, *place = legacy
    return random.getstate(), words.tobytes(), place, torch.get_rng_state().numpy().tobytes()


def _reason(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _state(model: nn.Module) -> dict[str, object]:
    """All that forward() could change, by name, in a form that compares."""
    state: dict[str, object] = {}
    for name, module in model.named_modules():
        inside = f" of layer '{name}'" if name else ""
        for key, value in vars(module).items():
            # What the tracer adds is no state of the user's.
            if key == "training" or key.startswith(_CONSTANT):
                continue
            if key in ("_parameters", "_buffers", "_modules"):
                for part, held in value.items():
                    state[f"'{part}'{inside}"] = _frozen(held, set())
            else:
                state[f"the attribute '{key}'{inside}"] = _frozen(value, set())
    return state


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


def _join_modes(model: nn.Module, training: fx.Graph, evaluation: fx.Graph) -> None:
    """Check that both modes compute the same but for dropout, which only training has."""
    twins: dict[fx.Node, fx.Node] = {}
    idle: list[fx.Node] = []

    def there(args: Any) -> Any:
        return fx.node.map_arg(args, lambda node: twins[node])

    others = iter(evaluation.nodes)
    other = next(others)
    for node in training.nodes:
        alike = (node.op, node.target) == (other.op, other.target) or (
            _is_constant(node) and _is_constant(other)
        )
        if _is_dropout(model, node):
            source = _source(node)
            here = _drops(node)
            if not here:
                idle.append(node)
            if not (alike and there(source) is _source(other)):
                twins[node] = there(source)  # `if self.training: x = dropout(x)`
                continue
            if node.op == "call_function" and _drops(other):
                raise VecqError(
                    f"the operation '{node.name}' drops values in evaluation, too;"
                    " give it training=self.training"
                )
        elif not alike or (there(node.args), there(node.kwargs)) != (other.args, other.kwargs):
            raise VecqError(
                f"forward() does not compute the same in evaluation as in training (see"
                f" '{node.name}'); only dropout may depend on self.training"
            )
        twins[node] = other
        other = next(others, other)
    for node in idle:
        node.replace_all_uses_with(_source(node))
        training.erase_node(node)


def _is_constant(node: fx.Node) -> bool:
    """Whether forward() made the tensor, anew each time; such nodes are refused later."""
    return node.op == "get_attr" and str(node.target).startswith(_CONSTANT)


def _is_dropout(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(model.get_submodule(str(node.target)), DROPOUTS)
    return node.op == "call_function" and node.target in DROPOUT_FUNCTIONS


def _drops(node: fx.Node) -> bool:
    """Whether a dropout drops values in the mode in which it was traced; a module decides late."""
    names = ("input", "p", "train" if node.target is torch.dropout else "training")
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    return node.op == "call_module" or bool(given.get(names[2], True))


def _source(node: fx.Node) -> Any:
    return node.args[0] if node.args else node.kwargs.get("input")


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
    source = _source(node)
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


def _read_changed_values(model: nn.Module, graph: fx.Graph) -> None:
    """Let all that come after a change in place read what it left, as tensors do."""
    order = {node: place for place, node in enumerate(graph.nodes)}
    for node in list(graph.nodes):
        source = _source(node)
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


def _check_unread(model: nn.Module, graph: fx.Graph) -> None:
    """Refuse what is computed for something other than the output."""
    for node in reversed(graph.nodes):
        harmless = node.op in ("placeholder", "output", "get_attr", "call_module") or is_shape(node)
        if not node.users and not harmless and node.target not in (getattr, operator.getitem):
            raise VecqError(
                f"forward() computes '{node.name}', which its output does not depend on, so the"
                " quantized twin would not; leave it out"
            )
