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
from vecq_hw.train.quantized_layers import Add, Concat, LastStep, Transpose, upsample_factors

SUPPORTED = (
    "Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, ReLU6, Hardtanh, MaxPool1d, MaxPool2d,"
    " AvgPool2d, AdaptiveAvgPool2d(1), Upsample, Flatten, Dropout, Identity, Embedding, LSTM,"
    " sums (+) and torch.cat"
)
WITH_WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding, nn.LSTM)
_ONCE = (*WITH_WEIGHTS, nn.BatchNorm1d, nn.BatchNorm2d)
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d)
_PLAIN = (
    *_ACTIVATIONS,
    *_MAX_POOLS,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Upsample,
    nn.UpsamplingNearest2d,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Identity,
    Add,
    Concat,
    Transpose,
    LastStep,
)
_SOFTMAX = {"softmax", "log_softmax", "softmax2d", "logsoftmax", "sigmoid"}


def module_graph(model: nn.Module) -> fx.GraphModule:
    """A deep copy of ``model`` as a graph of supported modules.

    An LSTM stands in it for its outputs alone, as
    :class:`vecq_hw.train.quantized_layers.QuantizedLSTM` has it, so a graph with one cannot run
    before that has taken its place.

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
    _unpack_sequences(traced)
    for node in list(graph.nodes):
        if node.op in ("call_function", "call_method") and not _is_shape(node):
            _replace(traced, node)
    graph.eliminate_dead_code()
    _check(traced)
    _pool_before_activation(traced)
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


def _relu6(node: fx.Node) -> nn.Module:
    return nn.ReLU6()


def _hardtanh(node: fx.Node) -> nn.Module:
    given = _arguments(node, "min_val", "max_val")
    return nn.Hardtanh(given.get("min_val", -1.0), given.get("max_val", 1.0))


def _max_pool(kind: type[nn.Module]) -> Callable[[fx.Node], nn.Module]:
    def make(node: fx.Node) -> nn.Module:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
        given = _arguments(node, *names)
        given.pop("input", None)
        return kind(**given)

    return make


def _average_pool(node: fx.Node) -> nn.Module:
    names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")
    given = _arguments(node, *names, "divisor_override")
    given.pop("input", None)
    return nn.AvgPool2d(**given)


def _adaptive_average_pool(node: fx.Node) -> nn.Module:
    return nn.AdaptiveAvgPool2d(_arguments(node, "output_size")["output_size"])


def _interpolate(node: fx.Node) -> nn.Module:
    given = _arguments(node, "size", "scale_factor", "mode", "align_corners")
    given.pop("input", None)
    return nn.Upsample(**given)


def _add(node: fx.Node) -> nn.Module | None:
    alone = len(node.args) == 2 and not node.kwargs
    return Add() if alone and all(isinstance(term, fx.Node) for term in node.args) else None


def _concat(node: fx.Node) -> nn.Module | None:
    terms = node.args[0]
    along = _arguments(node, "dim").get("dim", node.kwargs.get("axis", 0))
    return Concat() if isinstance(terms, tuple | list) and terms and along == 1 else None


def _transpose(node: fx.Node) -> nn.Module | None:
    axes = node.args[1:]
    if len(axes) == 1 and isinstance(axes[0], tuple | list):
        axes = tuple(axes[0])
    swaps = ((1, 2), (2, 1), (-1, -2), (-2, -1), (0, 2, 1))
    return Transpose() if tuple(axes) in swaps and not node.kwargs else None


def _last_step(node: fx.Node) -> nn.Module | None:
    return LastStep() if node.args[1] == (slice(None, None, None), -1) else None


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
    F.relu6: _relu6,
    F.hardtanh: _hardtanh,
    F.max_pool1d: _max_pool(nn.MaxPool1d),
    F.max_pool2d: _max_pool(nn.MaxPool2d),
    torch.max_pool2d: _max_pool(nn.MaxPool2d),
    F.avg_pool2d: _average_pool,
    F.adaptive_avg_pool2d: _adaptive_average_pool,
    F.interpolate: _interpolate,
    F.dropout: _dropout,
    torch.flatten: _flatten,
    torch.reshape: _reshape,
    torch.transpose: _transpose,
    torch.permute: _transpose,
    operator.add: _add,
    operator.iadd: _add,
    torch.add: _add,
    torch.cat: _concat,
    torch.concat: _concat,
    operator.getitem: _last_step,
    "relu": _relu,
    "relu_": _relu,
    "add": _add,
    "add_": _add,
    "flatten": _flatten,
    "view": _reshape,
    "reshape": _reshape,
    "transpose": _transpose,
    "permute": _transpose,
}


def _unpack_sequences(traced: fx.GraphModule) -> None:
    """The first of an LSTM's results, its outputs, becomes the LSTM itself."""
    for node in list(traced.graph.nodes):
        if node.op != "call_module" or type(traced.get_submodule(str(node.target))) is not nn.LSTM:
            continue
        for reader in list(node.users):
            if reader.target is not operator.getitem:
                raise VecqError(f"layer '{node.target}' (LSTM) gives a pair; use its first element")
            if reader.args[1] == 0:
                reader.replace_all_uses_with(node)
            elif reader.users:
                raise VecqError(
                    f"layer '{node.target}' (LSTM): its states are read; read its outputs, the"
                    " last of which is output[:, -1]"
                )
            traced.graph.erase_node(reader)


def _replace(traced: fx.GraphModule, node: fx.Node) -> None:
    make = _FUNCTIONS.get(node.target)
    module = make(node) if make else None
    sources: tuple[Any, ...] = node.args[:1] or (node.kwargs.get("input"),)
    if isinstance(module, Add):
        sources = node.args
    elif isinstance(module, Concat) and isinstance(node.args[0], tuple | list):
        sources = tuple(node.args[0])
    if module is None or not all(isinstance(source, fx.Node) for source in sources):
        what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
        raise VecqError(f"the operation '{node.name}' ({what}) {_remedy(str(what))}")
    name = free_name(traced, node.name)
    traced.add_submodule(name, module)
    with traced.graph.inserting_after(node):
        replacement = traced.graph.call_module(name, sources)
    node.replace_all_uses_with(replacement)
    traced.graph.erase_node(node)


def _remedy(what: str) -> str:
    if what.lower() in _SOFTMAX:
        return "is not supported; leave it to the loss (torch.nn.CrossEntropyLoss takes scores)"
    if what in ("linear", "conv2d", "batch_norm"):
        return "is not supported as a function; use the module of torch.nn"
    if what in ("cat", "concat"):
        return "is not supported; give it a list of tensors and dim=1, the channels"
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
            joins = isinstance(module, Add | Concat)
            if not joins and (
                len(node.args) != 1 or not isinstance(node.args[0], fx.Node) or node.kwargs
            ):
                raise VecqError(f"layer '{name}' must be called with one tensor")


def _check_module(name: str, module: nn.Module) -> None:
    kind = type(module)
    problem = None
    # Subclasses may compute anything, so types are compared exactly.
    if kind not in _ONCE + _PLAIN:
        raise VecqError(f"layer '{name}' ({kind.__name__}) {_remedy(kind.__name__)}")
    match module:
        case nn.Conv1d() | nn.Conv2d():
            spans = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
            if module.padding_mode != "zeros":
                problem = f"padding_mode='{module.padding_mode}' is not supported; use 'zeros'"
            elif module.padding == "same" and any(span % 2 for span in spans):
                problem = (
                    "padding='same' with an even kernel is one-sided; give the padding in numbers"
                )
        case nn.MaxPool1d() | nn.MaxPool2d():
            if module.dilation not in (1, (1, 1)) or module.ceil_mode or module.return_indices:
                problem = "dilation, ceil_mode and return_indices are not supported; leave them out"
        case nn.AvgPool2d():
            if module.ceil_mode or module.divisor_override is not None:
                problem = "ceil_mode and divisor_override are not supported; leave them out"
            elif module.padding not in (0, (0, 0)) and not module.count_include_pad:
                problem = (
                    "count_include_pad=False divides by a number that differs at the border;"
                    " use count_include_pad=True or padding=0"
                )
        case nn.AdaptiveAvgPool2d():
            if module.output_size not in (1, (1, 1)):
                problem = f"output_size={module.output_size} is not supported; use 1"
        case nn.Upsample():
            factors = upsample_factors(module.scale_factor)
            if module.mode != "nearest" or module.size is not None:
                problem = "only mode='nearest' with a scale_factor is supported"
            elif factors is None:
                problem = f"scale_factor={module.scale_factor} is not supported; use whole numbers"
        case nn.Flatten():
            if module.start_dim != 1 or module.end_dim != -1:
                problem = "only the batch axis can be kept; use start_dim=1 and end_dim=-1"
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            if module.running_var is None:
                problem = "it keeps no running statistics; use track_running_stats=True"
        case nn.Embedding():
            if module.max_norm is not None or module.sparse:
                problem = "max_norm and sparse are not supported; leave them out"
        case nn.LSTM():
            if not module.batch_first or module.proj_size:
                problem = "only batch_first=True without projections is supported"
    if problem:
        raise VecqError(f"layer '{name}' ({kind.__name__}): {problem}")


def _pool_before_activation(traced: fx.GraphModule) -> None:
    """``max_pool(relu(x))`` becomes ``relu(max_pool(x))``, the same, with fewer values to quantize.

    Every activation and every quantizer rises, so the largest of a window stays the largest.
    """
    for pool in list(traced.graph.nodes):
        activation = pool.args[0] if pool.op == "call_module" else None
        if not (
            isinstance(activation, fx.Node)
            and activation.op == "call_module"
            and isinstance(traced.get_submodule(str(activation.target)), _ACTIVATIONS)
            and isinstance(traced.get_submodule(str(pool.target)), _MAX_POOLS)
            and len(activation.users) == 1
        ):
            continue
        source = activation.args[0]
        pool.replace_all_uses_with(activation)
        pool.args, activation.args = (source,), (pool,)
        activation.prepend(pool)
