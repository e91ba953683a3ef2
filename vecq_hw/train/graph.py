"""A user's model as a torch.fx graph in which every operation is a module of a few known types.

Functions and methods (``F.relu``, ``x.view(x.size(0), -1)``) become the modules that do the same,
and what cannot be quantized is refused here, by name.
"""

from __future__ import annotations

import copy
import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer

SUPPORTED = (
    "Linear, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, MaxPool2d, Flatten, Dropout and Identity"
)
_ONCE = (nn.Linear, nn.Conv2d, nn.BatchNorm1d, nn.BatchNorm2d)
_PLAIN = (nn.ReLU, nn.MaxPool2d, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.Identity)
_SOFTMAX = {"softmax", "log_softmax", "softmax2d", "logsoftmax", "sigmoid"}


def module_graph(model: nn.Module) -> fx.GraphModule:
    """A deep copy of ``model`` as a graph of supported modules.

    Raises
    ------
    VecqError
        The model cannot be traced, or holds something unsupported; the message names it.
    """
    if not isinstance(model, nn.Module):
        raise VecqError(f"a torch.nn.Module is wanted, not {type(model).__name__}")
    if any(isinstance(module, ActivationQuantizer) for module in model.modules()):
        raise VecqError("the model is quantized already; quantize the float model instead")
    try:
        traced = fx.symbolic_trace(copy.deepcopy(model))
    except Exception as error:  # whatever the user's forward() raises on symbolic values
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise VecqError(
            f"the model cannot be traced ({reason[0]});"
            " its forward() must take one tensor and not branch on values"
        ) from None
    graph = traced.graph
    for node in list(graph.nodes):
        if node.op in ("call_function", "call_method") and not _is_shape(node):
            _replace(traced, node)
    graph.eliminate_dead_code()
    _check(traced)
    _relu_before_pool(traced)
    graph.lint()
    traced.recompile()
    return traced


def free_name(model: nn.Module, wanted: str) -> str:
    """``wanted``, or with the first number that no attribute of the model has yet."""
    taken = {name for name, _ in model.named_modules()}
    taken |= {name for name, _ in model.named_parameters()} | set(dir(model))
    name, count = wanted, 2
    while name in taken:
        name, count = f"{wanted}_{count}", count + 1
    return name


def _is_shape(node: fx.Node) -> bool:
    """Whether the node asks for sizes; such nodes die with the reshape that reads them."""
    if node.op == "call_method":
        return node.target == "size"
    if node.target is getattr:
        return "shape" in node.args
    source = node.args[0] if node.args else None
    return node.target is operator.getitem and isinstance(source, fx.Node) and _is_shape(source)


def _is_batch_size(size: object) -> bool:
    if not isinstance(size, fx.Node) or not _is_shape(size):
        return False
    index = size.args[1] if len(size.args) > 1 else size.kwargs.get("dim")
    return isinstance(index, int) and index == 0


def _arguments(node: fx.Node, *names: str) -> dict[str, Any]:
    """The arguments after the first by name."""
    return dict(zip(names, node.args[1:], strict=False)) | dict(node.kwargs)


def _relu(node: fx.Node) -> nn.Module:
    return nn.ReLU()


def _max_pool(node: fx.Node) -> nn.Module:
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
    given = _arguments(node, *names)
    given.pop("input", None)
    return nn.MaxPool2d(**given)


def _dropout(node: fx.Node) -> nn.Module:
    return nn.Dropout(_arguments(node, "p").get("p", 0.5))


def _flatten(node: fx.Node) -> nn.Module:
    given = _arguments(node, "start_dim", "end_dim")
    return nn.Flatten(given.get("start_dim", 0), given.get("end_dim", -1))


def _reshape(node: fx.Node) -> nn.Module | None:
    sizes = node.args[1:]
    if len(sizes) == 1 and isinstance(sizes[0], tuple | list):
        sizes = tuple(sizes[0])
    if len(sizes) != 2:
        return None
    batch, features = sizes
    # Where a number is given in place of -1, the Linear that follows checks it.
    keeps_batch = _is_batch_size(batch) and isinstance(features, int)
    known_features = batch == -1 and isinstance(features, int) and features > 0
    return nn.Flatten() if keeps_batch or known_features else None


_FUNCTIONS: dict[Any, Callable[[fx.Node], nn.Module | None]] = {
    F.relu: _relu,
    F.relu_: _relu,
    torch.relu: _relu,
    torch.relu_: _relu,
    F.max_pool2d: _max_pool,
    torch.max_pool2d: _max_pool,
    F.dropout: _dropout,
    torch.flatten: _flatten,
    torch.reshape: _reshape,
    "relu": _relu,
    "relu_": _relu,
    "flatten": _flatten,
    "view": _reshape,
    "reshape": _reshape,
}


def _replace(traced: fx.GraphModule, node: fx.Node) -> None:
    make = _FUNCTIONS.get(node.target)
    module = make(node) if make else None
    source = node.args[0] if node.args else node.kwargs.get("input")
    if module is None or not isinstance(source, fx.Node):
        what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        raise VecqError(f"the operation '{node.name}' ({what}) {_remedy(str(what))}")
    name = free_name(traced, node.name)
    traced.add_submodule(name, module)
    with traced.graph.inserting_after(node):
        replacement = traced.graph.call_module(name, (source,))
    node.replace_all_uses_with(replacement)
    traced.graph.erase_node(node)


def _remedy(what: str) -> str:
    if what.lower() in _SOFTMAX:
        return "is not supported; leave it to the loss (torch.nn.CrossEntropyLoss takes scores)"
    if what in ("linear", "conv2d", "batch_norm"):
        return "is not supported as a function; use the module of torch.nn"
    if what in ("view", "reshape"):
        return "is not supported; use torch.nn.Flatten() to keep only the batch axis"
    return f"is not supported; supported are {SUPPORTED}"


def _check(traced: fx.GraphModule) -> None:
    inputs = [node for node in traced.graph.nodes if node.op == "placeholder"]
    if len(inputs) != 1:
        raise VecqError(f"the model's forward() takes {len(inputs)} tensors; one is wanted")
    called: set[str] = set()
    for node in traced.graph.nodes:
        if node.op == "output" and not isinstance(node.args[0], fx.Node):
            raise VecqError("the model's forward() must return one tensor")
        if node.op == "get_attr":
            raise VecqError(f"the model uses the tensor '{node.target}' outside of a module")
        if node.op in ("call_function", "call_method"):
            raise VecqError(f"the operation '{node.name}' {_remedy('')}")
        if node.op == "call_module":
            name = str(node.target)
            module = traced.get_submodule(name)
            _check_module(name, module)
            if name in called and isinstance(module, _ONCE):
                raise VecqError(f"layer '{name}' is called twice; give each call its own module")
            called.add(name)
            if len(node.args) != 1 or not isinstance(node.args[0], fx.Node) or node.kwargs:
                raise VecqError(f"layer '{name}' must be called with one tensor")


def _check_module(name: str, module: nn.Module) -> None:
    kind = type(module)
    problem = None
    # Subclasses may compute anything, so types are compared exactly.
    if kind not in _ONCE + _PLAIN:
        raise VecqError(f"layer '{name}' ({kind.__name__}) {_remedy(kind.__name__)}")
    if isinstance(module, nn.Conv2d):
        if module.groups != 1:
            problem = f"groups={module.groups} is not supported; use groups=1"
        elif module.dilation != (1, 1):
            problem = f"dilation={module.dilation} is not supported; use dilation=1"
        elif module.padding_mode != "zeros":
            problem = f"padding_mode='{module.padding_mode}' is not supported; use 'zeros'"
        elif module.padding == "same" and any(size % 2 == 0 for size in module.kernel_size):
            problem = "padding='same' with an even kernel is one-sided; give the padding in numbers"
    elif isinstance(module, nn.MaxPool2d):
        if module.dilation not in (1, (1, 1)) or module.ceil_mode or module.return_indices:
            problem = "dilation, ceil_mode and return_indices are not supported; leave them out"
    elif isinstance(module, nn.Flatten):
        if module.start_dim != 1 or module.end_dim != -1:
            problem = "only the batch axis can be kept; use start_dim=1 and end_dim=-1"
    elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d) and module.running_var is None:
        problem = "it keeps no running statistics; use track_running_stats=True"
    if problem:
        raise VecqError(f"layer '{name}' ({kind.__name__}): {problem}")


def _relu_before_pool(traced: fx.GraphModule) -> None:
    """``relu(max_pool(x))`` becomes ``max_pool(relu(x))``, the same, so that x gets one quantizer.

    A pool reads codes; those of a ReLU carry one bit more than signed ones.
    """
    for relu in list(traced.graph.nodes):
        pool = relu.args[0] if relu.op == "call_module" else None
        if not (
            isinstance(pool, fx.Node)
            and pool.op == "call_module"
            and isinstance(traced.get_submodule(str(relu.target)), nn.ReLU)
            and isinstance(traced.get_submodule(str(pool.target)), nn.MaxPool2d)
            and len(pool.users) == 1
        ):
            continue
        source = pool.args[0]
        relu.replace_all_uses_with(pool)
        relu.args, pool.args = (source,), (relu,)
        pool.prepend(relu)
