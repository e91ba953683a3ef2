"""Functions of each value by itself, such as SiLU: found in a traced model, trained as tables.

Between two quantizers such a function maps codes to codes, so that integers compute it by a table,
whatever it is.  What a model writes as arithmetic, ``x * torch.sigmoid(x)``, is one function, too.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import fx, nn

from vecq_hw.train.effects import is_shape

CURVES = (
    nn.LeakyReLU, nn.PReLU, nn.Sigmoid, nn.Tanh, nn.Hardswish, nn.Hardsigmoid, nn.SiLU, nn.GELU,
    nn.ELU, nn.SELU, nn.CELU, nn.Softplus, nn.Softsign, nn.Mish, nn.LogSigmoid, nn.Threshold,
    nn.Hardshrink, nn.Softshrink, nn.Tanhshrink,
)  # fmt: skip
"""Modules that are such functions, and no clamp."""
HOST = (nn.Softmax, nn.LogSoftmax, nn.Softmax2d, nn.Sigmoid, nn.LogSigmoid)
"""What is left to the host where a model ends in it: none of them changes which score is larger."""

_NONLINEAR = {
    "sigmoid", "tanh", "silu", "gelu", "elu", "selu", "celu", "leaky_relu", "hardswish",
    "hardsigmoid", "softplus", "softsign", "mish", "logsigmoid", "log_sigmoid", "threshold",
    "hardshrink", "softshrink", "tanhshrink", "exp", "exp2", "expm1", "log", "log2", "log10",
    "log1p", "sqrt", "rsqrt", "abs", "absolute", "square", "sin", "cos", "tan", "sinh", "cosh",
    "asinh", "atan", "arctan", "erf", "erfc", "expit", "reciprocal", "pow",
}  # fmt: skip
_CLAMPS = {"relu", "relu6", "hardtanh", "clamp", "clip", "clamp_min", "clamp_max"}
_SUMS = {"add", "sub", "subtract", "neg", "negative", "rsub", "iadd", "isub"}
_PRODUCTS = {"mul", "multiply", "imul", "truediv", "itruediv", "div", "divide", "true_divide"}
_CLAMP_MODULES = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_ENDS = {
    "softmax": nn.Softmax, "log_softmax": nn.LogSoftmax, "sigmoid": nn.Sigmoid,
    "logsigmoid": nn.LogSigmoid, "log_sigmoid": nn.LogSigmoid,
}  # fmt: skip
_WIDE = 64.0
"""Where a function that saturates has done so; ``exp`` of it is a number still."""


_COMMON = 8.0
"""Numbers up to here are what a layer gives, whatever it was trained on."""


class Curve(nn.Module):
    """A function of each value by itself, which in evaluation is computed as lowering does.

    In evaluation that is in float64, rounded to the type of the values, so that the result of a
    value does not depend on where in a tensor it lies.

    Parameters
    ----------
    function : nn.Module
        Its parameters become those of this module, under the same names.
    """

    def __init__(self, function: nn.Module) -> None:
        super().__init__()
        # In a tuple it is no submodule, whose name would stand before those of its parameters.
        self._function = (function,)
        self._names = {name.replace(".", "_"): name for name, _ in function.named_parameters()}
        for own, name in self._names.items():
            self.register_parameter(own, function.get_parameter(name))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The function's values, of the shape of ``x``."""
        if not self.training:
            return self.exact(x)
        return self._call({name: getattr(self, own) for own, name in self._names.items()}, x)

    def exact(self, x: torch.Tensor) -> torch.Tensor:
        """The function's values as in evaluation.

        ``x`` has any shape that the function takes; the result has it.
        """
        doubles = {name: getattr(self, own).double() for own, name in self._names.items()}
        return self._call(doubles, x.double()).to(x.dtype)

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        (function,) = self._function
        return "" if isinstance(function, fx.GraphModule) else repr(function)

    @property
    def reach(self) -> float:
        """The largest magnitude of inputs between which it still changes; infinite if always.

        Beyond it the function is constant on either side, but for 1/512 of its range.
        """
        x, y = self._sampled()
        if self._names or not bool(torch.isfinite(y).all()):
            return math.inf
        tolerance = float(y.amax() - y.amin()) / 512
        settled = ((y - y[0]).abs() <= tolerance) | ((y - y[-1]).abs() <= tolerance)
        changing = x[~settled].abs()
        largest = float(changing.amax()) if changing.numel() else math.inf
        return largest if largest < _WIDE / 2 else math.inf

    @property
    def has_channels(self) -> bool:
        """Whether it differs from channel to channel, which lie along axis 1."""
        return any(parameter.numel() > 1 for parameter in self.parameters())

    @property
    def is_nonnegative(self) -> bool:
        """Whether no value of it is below zero."""
        return not self._names and bool((self._sampled()[1] >= 0).all())

    def is_finite(self, nonnegative: bool) -> bool:
        """Whether it has a value for all common numbers, or for those that are not negative."""
        x, y = self._sampled()
        common = (x >= (0 if nonnegative else -_COMMON)) & (x <= _COMMON)
        return bool(torch.isfinite(y[common]).all())

    def _sampled(self) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.linspace(-_WIDE, _WIDE, 8193, dtype=torch.float64).reshape(-1, 1)
        with torch.no_grad():
            return x, self._call({}, x) if not self._names else x

    def _call(self, parameters: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        (function,) = self._function
        result: torch.Tensor = torch.func.functional_call(function, parameters, (x,))
        return result


def find_curves(traced: fx.GraphModule, free_name: Callable[[nn.Module, str], str]) -> None:
    """Let each composed function of a single tensor be one :class:`Curve` of the graph.

    A softmax or sigmoid written as a function at the model's end becomes its module.
    """
    for node in list(traced.graph.nodes):
        kind = _ENDS.get(_name(node)) if node.op in ("call_function", "call_method") else None
        if kind is not None and ends(node):
            softmax = issubclass(kind, nn.Softmax | nn.LogSoftmax)
            along = node.args[1] if len(node.args) > 1 else node.kwargs.get("dim")
            source = node.args[0] if node.args else node.kwargs.get("input")
            if isinstance(source, fx.Node) and (not softmax or along in (1, -1)):
                module = kind(along) if softmax else kind()
                _substitute(traced, node, source, module, free_name)
    groups = _Groups(traced)
    for node in reversed(list(traced.graph.nodes)):
        if node in groups.root and groups.is_end(node):
            members = groups.members(node)
            if _is_curve(traced, members):
                root = groups.root[node]
                curve = Curve(_as_module(traced, members, root))
                _substitute(traced, node, root, curve, free_name)
                for member in reversed(members[:-1]):
                    if not member.users:
                        traced.graph.erase_node(member)


def ends(node: fx.Node) -> bool:
    """Whether the node's value is the model's output, and nothing else reads it."""
    return all(reader.op == "output" for reader in node.users)


class _Groups:
    """Which tensor each elementwise operation is a function of."""

    def __init__(self, traced: fx.GraphModule) -> None:
        self._traced = traced
        self.root: dict[fx.Node, fx.Node] = {}
        operations = {node for node in traced.graph.nodes if _is_elementwise(traced, node)}
        for node in traced.graph.nodes:
            if node not in operations:
                continue
            tensors = list(_tensors(traced, node))
            far = {self.root.get(tensor, tensor) for tensor in tensors}
            # What a layer reads is a tensor in any case; from there it goes on, if it can.
            near = {
                self.root.get(tensor, tensor) if operations.issuperset(tensor.users) else tensor
                for tensor in tensors
            }
            found = near if len(near) == 1 else far
            if len(found) == 1:
                self.root[node] = found.pop()

    def is_end(self, node: fx.Node) -> bool:
        """Whether the value of the operation is read as a tensor."""
        root = self.root[node]
        return any(self.root.get(reader) is not root for reader in node.users)

    def members(self, node: fx.Node) -> list[fx.Node]:
        """The operations between the tensor and the end ``node``, in order."""
        root, found, waiting = self.root[node], {node}, [node]
        while waiting:
            for tensor in _tensors(self._traced, waiting.pop()):
                if tensor is not root and tensor not in found:
                    found.add(tensor)
                    waiting.append(tensor)
        return [member for member in self._traced.graph.nodes if member in found]


def _name(node: fx.Node) -> str:
    target = node.target
    name = target if isinstance(target, str) else str(getattr(target, "__name__", ""))
    return name if name.startswith("__") else name.strip("_")


def _is_elementwise(traced: fx.GraphModule, node: fx.Node) -> bool:
    if node.op == "call_module":
        module = traced.get_submodule(str(node.target))
        plain = len(node.args) == 1 and not node.kwargs
        return plain and type(module) in (*CURVES, *_CLAMP_MODULES)
    if node.op not in ("call_function", "call_method") or is_shape(node):
        return False
    home = getattr(node.target, "__module__", None) or "torch"
    ours = node.op == "call_method" or home.startswith(("torch", "_operator", "math"))
    known = _name(node) in _NONLINEAR | _CLAMPS | _SUMS | _PRODUCTS
    return ours and known and _takes_numbers(traced, node)


def _takes_numbers(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether everything that it takes is a tensor of the model, one number, or an option."""
    for value in (*node.args, *node.kwargs.values()):
        if isinstance(value, fx.Node):
            if is_shape(value) or (value.op == "get_attr" and not _is_number(traced, value)):
                return False
        elif not isinstance(value, int | float | str | None):
            return False
    return any(True for _ in _tensors(traced, node))


def _tensors(traced: fx.GraphModule, node: fx.Node) -> Iterator[fx.Node]:
    return (read for read in node.all_input_nodes if not _is_number(traced, read))


def _is_number(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether it is a parameter or constant of a single number."""
    if node.op != "get_attr":
        return False
    tensor = operator.attrgetter(str(node.target))(traced)
    return isinstance(tensor, torch.Tensor) and tensor.numel() == 1


def _is_curve(traced: fx.GraphModule, members: list[fx.Node]) -> bool:
    """Whether a table serves it better than a line, a clamp, or a sum of these."""
    if len(members) == 1 and members[0].op == "call_module":
        return False  # a module that place_quantizers() knows
    named = {member: _name(member) for member in members if member.op != "call_module"}
    modules = [traced.get_submodule(str(m.target)) for m in members if m.op == "call_module"]
    products = [member for member, name in named.items() if name in _PRODUCTS]
    tensors = {
        member: [isinstance(value, fx.Node) and value.op != "get_attr" for value in member.args]
        for member in products
    }
    several = any(
        sum(given) > 1 or (given[1:] == [True] and "div" in named[member])  # x * x, or 1 / x
        for member, given in tensors.items()
    )
    clamps = [
        member
        for member in members
        if named.get(member) in _CLAMPS
        or (
            member.op == "call_module"
            and isinstance(traced.get_submodule(str(member.target)), _CLAMP_MODULES)
        )
    ]
    between = any(
        any(read in members for read in clamp.all_input_nodes)
        and any(reader in products for reader in clamp.users)
        for clamp in clamps
    )
    curved = any(name in _NONLINEAR for name in named.values())
    return curved or several or between or any(isinstance(module, CURVES) for module in modules)


def _as_module(traced: fx.GraphModule, members: list[fx.Node], root: fx.Node) -> fx.GraphModule:
    graph = fx.Graph()
    copies = {root: graph.placeholder("x")}
    for member in members:
        for read in member.all_input_nodes:
            if read not in copies:
                copies[read] = graph.node_copy(read)
        copies[member] = graph.node_copy(member, copies.__getitem__)
    graph.output(copies[members[-1]])
    return fx.GraphModule(traced, graph)


def _substitute(
    traced: fx.GraphModule,
    node: fx.Node,
    source: fx.Node,
    module: nn.Module,
    free_name: Callable[[nn.Module, str], str],
) -> None:
    """Let a module of ``source`` stand in the place of ``node``."""
    name = free_name(traced, node.name)
    traced.add_submodule(name, module)
    with traced.graph.inserting_after(node):
        made: Any = traced.graph.call_module(name, (source,))
    made.meta = dict(node.meta)
    node.replace_all_uses_with(made)
    traced.graph.erase_node(node)
