"""Functions of a model's own parameters, such as F.linear(x, self.weight), as layers with them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.train.arguments import Unsupported
from vecq_hw.train.effects import CONSTANT
from vecq_hw.train.tracing import shape_of


class Own:
    """The tensors of a traced model, by the nodes that give them."""

    def __init__(self, traced: fx.GraphModule) -> None:
        own = [
            *traced.named_parameters(remove_duplicate=False),
            *traced.named_buffers(remove_duplicate=False),
        ]
        self.tensors = {name: tensor for name, tensor in own if not name.startswith(CONSTANT)}

    def tensor(self, value: object) -> torch.Tensor | None:
        """The parameter or buffer that an argument is; None for no argument.

        It has the shape that the model gives it.
        """
        if value is None:
            return None
        known = isinstance(value, fx.Node) and value.op == "get_attr"
        if not isinstance(value, fx.Node) or not known or str(value.target) not in self.tensors:
            raise Unsupported(
                "is not supported as a function of other tensors than the model's parameters; use"
                " the module of torch.nn"
            )
        return self.tensors[str(value.target)]

    def matrix(self, value: object) -> torch.Tensor:
        """The matrix (out, in) of ``x @ value``."""
        found = self.tensor(value)
        if found is None or found.ndim != 2:
            raise Unsupported(
                "is not supported as a product of other tensors than the model's parameters"
            )
        # x @ w reads rows of w as inputs.
        turned = found.detach().t().contiguous()
        return nn.Parameter(turned, found.requires_grad)


def fold_constants(traced: fx.GraphModule) -> None:
    """What is computed of the model's parameters alone becomes a parameter: effective weights."""
    own = Own(traced)
    values: dict[fx.Node, torch.Tensor] = {}
    for node in list(traced.graph.nodes):
        if node.op == "get_attr" and str(node.target) in own.tensors:
            values[node] = own.tensors[str(node.target)]
        sources = node.all_input_nodes
        computes = node.op in ("call_function", "call_method") and bool(sources)
        if not computes or any(source not in values for source in sources):
            continue
        args, kwargs = fx.node.map_arg((node.args, dict(node.kwargs)), lambda one: values[one])
        function = _method(node.target) if isinstance(node.target, str) else node.target
        with torch.no_grad():
            value = function(*args, **kwargs)
        if not isinstance(value, torch.Tensor):
            continue
        name, value = free_name(traced, node.name), value.detach().clone()
        if any(values[source].requires_grad for source in sources):
            value = nn.Parameter(value)
            traced.register_parameter(name, value)
        else:
            traced.register_buffer(name, value)
        with traced.graph.inserting_before(node):
            folded = traced.graph.get_attr(name)
        node.replace_all_uses_with(folded)
        values[folded] = value
        traced.graph.erase_node(node)


def _method(name: str) -> Callable[..., Any]:
    return lambda first, *args, **kwargs: getattr(first, name)(*args, **kwargs)


def free_name(model: nn.Module, wanted: str) -> str:
    """``wanted``, or with the first number that no attribute of the model has yet."""
    taken = {name for name, _ in model.named_modules()}
    taken |= {name for name, _ in model.named_parameters()} | set(dir(model))
    name, count = wanted, 2
    while name in taken:
        name, count = f"{wanted}_{count}", count + 1
    return name


def place_layer(traced: fx.GraphModule, node: fx.Node, layer: nn.Module) -> str:
    """The name under which a layer of :func:`layer_of` is called in the model.

    It is that of the module whose parameters it has, so that these keep their names.
    """
    owner = _owner(node)
    if owner:
        held = traced.get_submodule(owner)
        if _same(held, layer):
            return owner
        free = type(held) is nn.Module and next(held.children(), None) is None
        if free and held.state_dict().keys() <= layer.state_dict().keys():
            traced.add_submodule(owner, layer)
            return owner
    name = free_name(traced, node.name)
    traced.add_submodule(name, layer)
    return name


def drop_unread(traced: fx.GraphModule) -> None:
    """Delete the parameters and buffers that layers have taken over."""
    read = {str(node.target) for node in traced.graph.nodes if node.op != "placeholder"}
    for name in Own(traced).tensors:
        owner, _, attribute = name.rpartition(".")
        parts = owner.split(".")
        inside = {".".join(parts[: count + 1]) for count in range(len(parts))}
        if name not in read and not inside & read:
            delattr(traced.get_submodule(owner), attribute)


def _same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two layers are one, called twice."""
    mine, others = dict(one.named_parameters()), dict(other.named_parameters())
    return (
        type(one) is type(other)
        and repr(one) == repr(other)
        and mine.keys() == others.keys()
        and all(mine[name] is others[name] for name in mine)
    )


Layer = Callable[[fx.Node, Own], nn.Module]


def layer_of(node: fx.Node, own: Own) -> nn.Module | None:
    """The layer that a function of the model's parameters is; None for no such function."""
    make = LAYERS.get(node.target)
    return None if make is None else make(node, own)


def _owner(node: fx.Node) -> str:
    """The name of the module whose parameters the function reads; '' for the model itself."""
    reads = [read for read in node.all_input_nodes if read.op == "get_attr"]
    names = {str(read.target).rpartition(".")[0] for read in reads}
    return names.pop() if len(names) == 1 else ""


def _given(node: fx.Node, /, **defaults: Any) -> dict[str, Any]:
    """The arguments after the input, by name."""
    given = dict(zip(("input", *defaults), node.args, strict=False)) | dict(node.kwargs)
    given.pop("input", None)
    found = defaults | given
    for name in found.keys() - defaults.keys():
        raise Unsupported(f"is not supported with {name}={found[name]!r}; leave it out")
    return found


def _parameter(tensor: torch.Tensor) -> nn.Parameter:
    return tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, False)


def _with(module: Any, weight: torch.Tensor, bias: torch.Tensor | None) -> nn.Module:
    module.weight = _parameter(weight)
    module.bias = None if bias is None else _parameter(bias)
    layer: nn.Module = module
    return layer


def _linear(node: fx.Node, own: Own) -> nn.Module:
    given = _given(node, weight=None, bias=None)
    weight, bias = own.tensor(given["weight"]), own.tensor(given["bias"])
    if weight is None or weight.ndim != 2:
        raise Unsupported("wants a weight of the shape (outputs, inputs)")
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias is not None, device="meta")
    return _with(layer, weight, bias)


def _product(node: fx.Node, own: Own) -> nn.Module:
    given = _given(node, other=None, mat2=None)
    weight = own.matrix(given["other"] if given["mat2"] is None else given["mat2"])
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta")
    return _with(layer, weight, None)


def _convolution(kind: type[nn.Module], transposed: bool = False) -> Layer:
    def make(node: fx.Node, own: Own) -> nn.Module:
        names = ("output_padding", "groups", "dilation") if transposed else ("dilation", "groups")
        rest = {name: 0 if name == "output_padding" else 1 for name in names}
        given = _given(node, weight=None, bias=None, stride=1, padding=0, **rest)
        weight, bias = own.tensor(given.pop("weight")), own.tensor(given.pop("bias"))
        if weight is None:
            raise Unsupported("wants a weight")
        groups = given["groups"]
        ends = (weight.shape[1] * groups, weight.shape[0])
        if transposed:
            ends = (weight.shape[0], weight.shape[1] * groups)
        sizes = {name: _single(value) for name, value in given.items()}
        layer = kind(*ends, tuple(weight.shape[2:]), bias=bias is not None, device="meta", **sizes)
        return _with(layer, weight, bias)

    return make


def _single(value: Any) -> Any:
    """A size that stands for each axis, or one for each."""
    many = tuple(value) if isinstance(value, tuple | list) else (value,)
    return many[0] if len(many) == 1 else many


def _batch_norm(node: fx.Node, own: Own) -> nn.Module:
    given = _given(
        node,
        running_mean=None,
        running_var=None,
        weight=None,
        bias=None,
        training=False,
        momentum=0.1,
        eps=1e-5,
    )
    mean, variance = own.tensor(given["running_mean"]), own.tensor(given["running_var"])
    source = node.args[0] if node.args else node.kwargs.get("input")
    shape = shape_of(source) if isinstance(source, fx.Node) else None
    if mean is None or variance is None:
        raise Unsupported("keeps no running statistics; use the module of torch.nn")
    if not given["training"]:
        raise Unsupported(
            "keeps its statistics in training, too; give it training=self.training, or call eval()"
            " on a torch.nn.BatchNorm of the twin"
        )
    if shape is None:
        raise Unsupported("needs the shape of its input; give quantize_model the input_shape")
    kind = nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d
    weight, bias = own.tensor(given["weight"]), own.tensor(given["bias"])
    layer = kind(len(mean), given["eps"], given["momentum"], affine=False)
    layer.running_mean, layer.running_var = mean, variance
    if weight is not None or bias is not None:
        layer.affine = True
        layer.weight = _parameter(torch.ones_like(mean) if weight is None else weight)
        layer.bias = _parameter(torch.zeros_like(mean) if bias is None else bias)
    return layer


def _embedding(node: fx.Node, own: Own) -> nn.Module:
    given = _given(
        node,
        weight=None,
        padding_idx=None,
        max_norm=None,
        norm_type=2.0,
        scale_grad_by_freq=False,
        sparse=False,
    )
    weight = own.tensor(given.pop("weight"))
    if weight is None:
        raise Unsupported("wants a weight")
    layer = nn.Embedding(weight.shape[0], weight.shape[1], device="meta", **given)
    layer.weight = _parameter(weight)
    return layer


def _prelu(node: fx.Node, own: Own) -> nn.Module:
    weight = own.tensor(_given(node, weight=None)["weight"])
    if weight is None:
        raise Unsupported("wants a weight")
    layer = nn.PReLU(weight.numel())
    layer.weight = _parameter(weight)
    return layer


LAYERS: dict[Any, Layer] = {
    F.linear: _linear,
    F.conv1d: _convolution(nn.Conv1d),
    F.conv2d: _convolution(nn.Conv2d),
    F.conv_transpose1d: _convolution(nn.ConvTranspose1d, transposed=True),
    F.conv_transpose2d: _convolution(nn.ConvTranspose2d, transposed=True),
    F.batch_norm: _batch_norm,
    F.embedding: _embedding,
    F.prelu: _prelu,
    "prelu": _prelu,
    operator.matmul: _product,
    torch.matmul: _product,
    torch.mm: _product,
    "matmul": _product,
    "mm": _product,
}
"""Those that compute with weights, by what torch.fx calls them."""
