"""A torch.fx tracer whose symbolic tensors know their shapes.

Beside each symbolic tensor stands a tensor on the device 'meta', which has a shape and a type but
no values.  Whatever forward() asks that is no tensor (a size, a number of axes, a device) is
answered with the plain value, so that code which computes with sizes runs as it does on real ones.
"""

from __future__ import annotations

import copy
import inspect
import operator
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, get_args

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError

BATCHES = (101, 103)
"""Batch sizes of two traces: primes, so that what follows the batch differs from other sizes."""
VALUE = "val"
"""Where a node keeps its tensor on the device 'meta'."""

_OPEN = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
_UNKNOWN = object()
_CASTS = {"to", "type", "type_as", "float", "double", "cpu", "cuda"}


class Shapes:
    """What a model's symbolic tensors are like: its tensors without their values.

    Parameters
    ----------
    model : nn.Module
        Left as it is.
    inputs : shapes of one sample for each input, in order, or None where they are not known
    """

    def __init__(self, model: nn.Module, inputs: tuple[tuple[int, ...], ...] | None) -> None:
        self.inputs = inputs
        tensors = [*model.parameters(), *model.buffers()]
        self.device = tensors[0].device if tensors else torch.device("cpu")
        kinds = [tensor.dtype for tensor in tensors if tensor.is_floating_point()]
        self.dtype = kinds[0] if kinds else torch.get_default_dtype()
        # Named by identity, the tensors of the copy are made without values from the start.
        self._twin = copy.deepcopy(model, {id(tensor): _meta(tensor) for tensor in tensors})
        self.tensors: dict[str, torch.Tensor] = {
            **dict(self._twin.named_parameters(remove_duplicate=False)),
            **dict(self._twin.named_buffers(remove_duplicate=False)),
        }

        self.made: dict[str, nn.Module] = {}
        """What forward() makes of modules without weights, by name."""

    def input(self, place: int, batch: int) -> Any:
        """The value of an input, for a batch of so many samples."""
        if self.inputs is None:
            return _UNKNOWN
        return torch.empty((batch, *self.inputs[place]), dtype=self.dtype, device="meta")

    def module(self, path: str, training: bool) -> nn.Module:
        """A module of the model, with tensors without values."""
        module = self._twin.get_submodule(path)
        # In training, a batch norm without momentum would ask how many batches it has met.
        return module.train(training and not isinstance(module, nn.modules.batchnorm._BatchNorm))


def _meta(tensor: torch.Tensor) -> torch.Tensor:
    empty = tensor.detach().to("meta")
    return nn.Parameter(empty, False) if isinstance(tensor, nn.Parameter) else empty


class Tracer(fx.Tracer):
    """Traces forward() for a batch of one size, in the mode that the model is in.

    Attributes
    ----------
    made : mapping from names to modules without weights that forward() itself makes
    """

    # A buffer that decides what is computed is refused, not frozen.
    proxy_buffer_attributes = True

    def __init__(self, shapes: Shapes, batch: int) -> None:
        super().__init__()
        self.shapes = shapes
        self.batch = batch
        self.made: dict[str, nn.Module] = {}
        self._modes = _autograd_modes()
        self._asks = False
        """Whether a module is run for the shape of its result, so that nothing is recorded."""

    def proxy(self, node: fx.Node) -> fx.Proxy:
        """The symbolic tensor of a node."""
        return (_Proxy if self.value(node) is _UNKNOWN else _Known)(node, self)

    def create_args_for_root(
        self, root_fn: Any, is_module: bool, concrete_args: Any = None
    ) -> tuple[Any, list[Any]]:
        """The arguments with which forward() is called.

        Raises
        ------
        VecqError
            input_shape gives another number of inputs than forward() takes tensors.
        """
        # The twin is called with one tensor: arguments with defaults have these.
        given = list(inspect.signature(root_fn).parameters.values())[1:]
        needed = [one for one in given if one.default is one.empty and one.kind not in _OPEN]
        inputs = self.shapes.inputs
        if inputs is not None and len(inputs) != len(needed):
            raise VecqError(
                f"the model's forward() takes {len(needed)} tensors"
                f" ({', '.join(one.name for one in needed)}), but input_shape has {len(inputs)}"
            )
        self._inputs = [one.name for one in needed]
        proxies = [self.create_proxy("placeholder", name, (), {}) for name in self._inputs]
        return root_fn, [self.root, *proxies]

    def create_node(self, *args: Any, **kwargs: Any) -> fx.Node:
        """A node of the graph; refused where forward() has changed how torch computes.

        Raises
        ------
        VecqError
            forward() computes under torch.no_grad(), autocast or the like.
        """
        if _autograd_modes() != self._modes:
            raise VecqError(
                "forward() computes a part under torch.no_grad(), autocast or the like, which its"
                " quantized twin would not; freeze parameters by requires_grad_(False) instead"
            )
        return super().create_node(*args, **kwargs)

    def create_proxy(self, kind: str, *args: Any, **kwargs: Any) -> Any:
        """The symbolic result of an operation, or its plain value where it is no tensor."""
        proxy = super().create_proxy(kind, *args, **kwargs)
        if kind in ("placeholder", "output"):
            return proxy
        value = self.value(proxy.node)
        if kind == "call_method" and proxy.node.target in _CASTS and self._is_kept(proxy.node):
            value = args[1][0]  # what casts to the type that is there leaves no trace
        elif value is _UNKNOWN or value is None or _holds_tensors(value):
            return proxy
        self.graph.erase_node(proxy.node)
        return value

    def _is_kept(self, node: fx.Node) -> bool:
        before, after = self.value(node.all_input_nodes[0]), self.value(node)
        return isinstance(after, torch.Tensor) and before.dtype == after.dtype

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        """The result of a module that forward() calls."""
        return (
            forward(*args, **kwargs)
            if self._asks
            else super().call_module(m, forward, args, kwargs)
        )

    def getattr(self, attr: str, attr_val: Any, parameter_proxy_cache: Any) -> Any:
        """The attribute of a module, its parameters as symbolic tensors."""
        return attr_val if self._asks else super().getattr(attr, attr_val, parameter_proxy_cache)

    def path_of_module(self, mod: nn.Module) -> str:
        """The name of a module, also of one that forward() makes.

        Raises
        ------
        VecqError
            The module has parameters or buffers, but is no part of the model.
        """
        try:
            return super().path_of_module(mod)
        except NameError:
            kind = type(mod).__name__
            if not self.is_leaf_module(mod, kind):
                return kind  # a slice of a Sequential, whose modules have names
        if next(mod.parameters(), next(mod.buffers(), None)) is not None:
            raise VecqError(
                f"forward() calls a {kind} that is no part of the model, so that it would never"
                " train; make it in __init__(), as an attribute or in a torch.nn.ModuleList"
            )
        for name, module in self.made.items():
            if module is mod:
                return name
        name, count = kind.lower(), 2
        while name in self.made or hasattr(self.root, name):
            name, count = f"{kind.lower()}_{count}", count + 1
        self.made[name] = mod
        return name

    def value(self, node: fx.Node) -> Any:
        """What the node gives, its tensors without values; ``_UNKNOWN`` where that is unknown."""
        if VALUE not in node.meta:
            node.meta[VALUE] = self._computed(node)
        return node.meta[VALUE]

    def _computed(self, node: fx.Node) -> Any:
        name = str(node.target)
        if node.op == "placeholder":
            return self.shapes.input(self._inputs.index(name), self.batch)
        if node.op == "get_attr":
            known = self.shapes.tensors.get(name)
            return _meta(vars(self.root)[name]) if known is None else known
        sources = [self.value(source) for source in node.all_input_nodes]
        if any(source is _UNKNOWN for source in sources):
            return _UNKNOWN
        arguments = fx.node.map_arg((node.args, dict(node.kwargs)), self.value)
        args, kwargs = fx.node.map_aggregate(arguments, _anywhere)
        self._asks = True
        try:
            with torch.no_grad():
                return self._called(node, args, kwargs)
        except Exception as error:
            wants_values = any(words in str(error) for words in ("meta tensor", "meta device"))
            unknown = isinstance(error, NotImplementedError) and not wants_values
            if self.shapes.inputs is None or unknown:
                return _UNKNOWN  # it is told where it is read
            if wants_values:
                raise VecqError(
                    f"forward() asks for the values of a tensor ('{node.name}'), which a trace does"
                    " not have; it must not branch on values, nor compute with NumPy"
                ) from None
            shapes = " and ".join(map(str, self.shapes.inputs))
            raise VecqError(
                f"the model fails on samples of the shape {shapes}: at '{node.name}',"
                f" {reason(error)}"
            ) from None
        finally:
            self._asks = False

    def _called(self, node: fx.Node, args: Any, kwargs: Any) -> Any:
        if node.op == "call_module":
            name = str(node.target)
            module = self.made.get(name) or self.shapes.module(name, self.root.training)
            if isinstance(module, nn.Embedding):
                args = tuple(value.long() for value in args)
            return module(*args, **kwargs)
        if node.op == "call_method":
            if node.target == "to":
                args = tuple("meta" if _is_device(value) else value for value in args)
            if node.target in ("cuda", "cpu"):
                return args[0]
            return getattr(args[0], str(node.target))(*args[1:], **kwargs)
        assert callable(node.target)
        if node.target is getattr and isinstance(node.args[0], fx.Node):
            # What topk() and the like give has names, which are lost among the arguments.
            return getattr(self.value(node.args[0]), *args[1:], **kwargs)
        if node.target is F.embedding and args:
            args = (args[0].long(), *args[1:])
        return node.target(*args, **kwargs)


def _anywhere(value: Any) -> Any:
    return torch.device("meta") if isinstance(value, torch.device) else value


def _is_device(value: object) -> bool:
    return isinstance(value, str | torch.device)


def _holds_tensors(value: object) -> bool:
    match value:
        case torch.Tensor():
            return True
        case tuple() | list():
            return any(map(_holds_tensors, value))
        case dict():
            return any(map(_holds_tensors, value.values()))
        case _:
            return False


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

    def __setitem__(self, index: Any, value: Any) -> None:
        raise VecqError(
            f"forward() sets a part of '{self.node.name}' in place, which its quantized twin would"
            " not do; compute a new tensor instead"
        )

    def __len__(self) -> int:
        raise TypeError("len() asks for a size that is not known")


class _Known(_Proxy):
    """One that knows its shape, or a tuple of such."""

    tracer: Tracer

    def _value(self) -> Any:
        return self.tracer.value(self.node)

    def __getattr__(self, name: str) -> Any:
        value = self._value()
        if isinstance(value, torch.Tensor):
            found = getattr(value, name)
            if isinstance(found, torch.device):
                return self.tracer.shapes.device
            if name in ("is_meta", "is_cuda", "is_cpu"):
                return self.tracer.shapes.device.type == name.removeprefix("is_")
            if isinstance(found, torch.Tensor):  # such as x.T
                return self.tracer.create_proxy("call_function", getattr, (self, name), {})
            if not callable(found):
                return found
        return super().__getattr__(name)

    def __len__(self) -> int:
        return len(self._value())

    def __iter__(self) -> Iterator[Any]:
        return iter([operator.getitem(self, place) for place in range(len(self._value()))])


def _autograd_modes() -> tuple[object, ...]:
    devices = ("cpu", "cuda")
    autocast = [torch.is_autocast_enabled(device) for device in devices]
    return torch.is_grad_enabled(), torch.is_inference_mode_enabled(), *autocast


@contextmanager
def honest_python(model: nn.Module) -> Iterator[None]:
    """Meanwhile symbolic tensors are tensors to isinstance in the files of the model's classes.

    And to torch.is_tensor; an autograd Function, of which tracing would forget the gradient, is
    refused.

    Raises
    ------
    VecqError
        Meanwhile, where forward() calls an autograd Function.
    """

    def is_instance(value: object, kinds: Any) -> bool:
        flat = kinds if isinstance(kinds, tuple) else get_args(kinds) or (kinds,)
        return isinstance(value, kinds) or (isinstance(value, fx.Proxy) and torch.Tensor in flat)

    def is_tensor(value: object) -> bool:
        return isinstance(value, torch.Tensor | fx.Proxy)

    def apply(cls: type, *args: Any, **kwargs: Any) -> Any:
        if any(isinstance(value, fx.Proxy) for value in (*args, *kwargs.values())):
            raise VecqError(
                f"forward() calls {cls.__name__}, a torch.autograd.Function, whose gradient its"
                " quantized twin would not have; use modules of torch.nn"
            )
        return original.__func__(cls, *args, **kwargs)

    original: Any = torch.autograd.Function.__dict__["apply"]
    asked = torch.is_tensor
    files = [
        type(module).forward.__globals__
        for module in model.modules()
        if not type(module).__module__.startswith("torch.")
        and hasattr(type(module).forward, "__globals__")
    ]
    files = [file for file in files if "isinstance" not in file]
    try:
        torch.autograd.Function.apply = classmethod(apply)  # type: ignore[assignment, method-assign]
        torch.is_tensor = is_tensor  # type: ignore[assignment]
        for file in files:
            file["isinstance"] = is_instance
        yield
    finally:
        torch.autograd.Function.apply = original  # type: ignore[method-assign]
        torch.is_tensor = asked
        for file in files:
            file.pop("isinstance", None)


def reason(error: Exception) -> str:
    """The first line of what an error says."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
