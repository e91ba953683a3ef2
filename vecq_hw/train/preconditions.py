"""What a model must be before it is traced: all of it in forward(), with values of one type."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import fx, nn
from torch.nn.modules import module as torch_module

from vecq_hw.arguments import whole_number
from vecq_hw.data import Dataset
from vecq_hw.data.dataset import FIRST_WORD
from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer
from vecq_hw.train.duplicate import is_plain_hook

_HOOKS = {
    "_forward_pre_hooks": "a forward pre-hook",
    "_forward_hooks": "a forward hook",
    "_backward_pre_hooks": "a backward pre-hook",
    "_backward_hooks": "a backward hook",
}


def check_entries(model: nn.Module, data: Dataset) -> None:
    """Refuse indices of tokens that the model has no Embedding for, or too small a one.

    Raises
    ------
    VecqError
        The model has no Embedding, or one with fewer entries than the data have indices.
    """
    if data.x_train.dtype.kind == "f":
        return
    tables = [module for module in model.modules() if isinstance(module, nn.Embedding)]
    if not tables:
        raise VecqError(
            f"{data.name} holds indices of tokens, but the model has no Embedding that reads them"
        )
    entries = min(table.num_embeddings for table in tables)
    wanted = max(FIRST_WORD + len(data.vocabulary), int(data.x_train.max()) + 1)
    if wanted > entries:
        raise VecqError(
            f"{data.name} has {wanted:,} indices, but the model's Embedding {entries:,} entries;"
            " give it more, or shorten vocabulary.txt beside the data"
        )


def check_modules(model: nn.Module) -> None:
    """Refuse what is not in forward() of a class, so that no trace would have it.

    Raises
    ------
    VecqError
        The model or a layer is compiled, wrapped, hooked, or overrides what calls forward() or
        train(); or :func:`check_values` refuses its values.
    """
    if isinstance(model, torch.jit.ScriptModule) or hasattr(model, "_orig_mod"):
        raise VecqError("the model is compiled; quantize what was compiled, and compile its twin")
    if isinstance(model, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise VecqError(
            f"the model is wrapped in {type(model).__name__}; quantize its .module, and wrap its"
            " twin"
        )
    own_call = type(model).__call__ is not nn.Module.__call__
    if own_call and not isinstance(model, fx.GraphModule):
        raise VecqError(f"{type(model).__name__} overrides __call__(); put that into forward()")
    if torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks:
        raise VecqError("there are global forward hooks, which tracing would miss; remove them")
    check_values(model)
    for name, parameter in model.named_parameters():
        if parameter._backward_hooks or parameter._post_accumulate_grad_hooks:
            raise VecqError(
                f"'{name}' has a gradient hook, which its quantized twin would not call; remove it"
            )
    for name, module in model.named_modules():
        where = f"layer '{name}' ({type(module).__name__})" if name else "the model"
        if isinstance(module, torch.jit.ScriptModule) or hasattr(module, "_orig_mod"):
            raise VecqError(f"{where} is compiled; put what was compiled in its place")
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            raise VecqError(f"{where} wraps a layer; put its .module in its place")
        for attribute, what in _HOOKS.items():
            if any(not is_plain_hook(hook) for hook in getattr(module, attribute).values()):
                raise VecqError(
                    f"{where} has {what}, which its quantized twin would not call;"
                    " remove it before quantizing"
                )
        if "forward" in vars(module):
            raise VecqError(
                f"{where} has a forward() of its own, not that of its class;"
                " define it in a class, that tracing finds it"
            )
        for method in ("train", "eval"):
            if getattr(type(module), method) is not getattr(nn.Module, method):
                raise VecqError(
                    f"{where} overrides {method}(), which its quantized twin would not call;"
                    " leave that out, and call eval() on the layers of the twin that are to stand"
                    " still"
                )


InputShape = tuple[int, ...] | Sequence[tuple[int, ...]] | Mapping[str, tuple[int, ...]]
"""The shape of one sample, or one for each input, in order or by its name."""


def checked_shapes(given: object, names: Sequence[str]) -> tuple[tuple[int, ...], ...] | None:
    """The shape of one sample for each of the inputs ``names``, or None.

    Raises
    ------
    VecqError
        They are no positive whole numbers, or a mapping names other inputs.
    """
    if given is None:
        return None
    wanted = "input_shape is the shape of a sample, such as (3, 32, 32), or one for each input"
    if isinstance(given, Mapping):
        if set(given) != set(names):
            raise VecqError(
                f"{wanted}: the model takes {', '.join(map(repr, names))}, not"
                f" {', '.join(map(repr, given)) or 'nothing'}"
            )
        given = [given[name] for name in names]
    if not isinstance(given, Sequence) or isinstance(given, str) or not given:
        raise VecqError(f"{wanted}, not {given!r}")
    several = all(isinstance(one, Sequence) and not isinstance(one, str) for one in given)
    shapes = given if several else [given]
    if not all(shapes):
        raise VecqError(f"{wanted}, not {given!r}")
    return tuple(tuple(whole_number(size, wanted, 1) for size in shape) for shape in shapes)


def check_values(model: nn.Module) -> None:
    """Refuse parameters and statistics without values, or of several types or places.

    Raises
    ------
    VecqError
        One has no shape or no values yet, is not float32 or float64, or two differ in type or
        device.
    """
    kinds: dict[tuple[object, object], str] = {}
    for name, tensor in [*model.named_parameters(), *model.named_buffers()]:
        if nn.parameter.is_lazy(tensor):
            raise VecqError(f"'{name}' has no shape yet; run a batch through the float model first")
        if tensor.is_meta:
            raise VecqError(f"'{name}' lies on the device 'meta' and has no values; load it first")
        if tensor.is_floating_point() or tensor.is_complex() or isinstance(tensor, nn.Parameter):
            if tensor.dtype not in (torch.float32, torch.float64):
                raise VecqError(
                    f"'{name}' is of the type {str(tensor.dtype).removeprefix('torch.')};"
                    " float32 or float64 is wanted: call float() on the model"
                )
            kinds.setdefault((tensor.dtype, tensor.device), name)
    if len(kinds) > 1:
        (first, at), (second, there) = list(kinds.items())[:2]
        types = [f"'{at}' is {first[0]} on {first[1]}", f"'{there}' {second[0]} on {second[1]}"]
        raise VecqError(f"{' and '.join(types)}; one type and one device are wanted")


def check_statistics(model: nn.Module) -> None:
    """Refuse to evaluate a quantized model whose activation quantizers have no steps.

    Raises
    ------
    VecqError
        No batch went through the model in training mode, or one of its quantizers has met nothing
        but zeros, or values that are not finite; the message says which.
    """
    steps = {
        name: float(module.step)
        for name, module in model.named_modules()
        if isinstance(module, ActivationQuantizer)
    }
    without = [name for name, step in steps.items() if not 0 < step < math.inf]
    for name in without:
        if steps[name] != 0:
            raise VecqError(
                f"quantizer '{name}' has met NaN or infinite values; train again, on finite samples"
                " and with a lower learning rate"
            )
    if without and len(without) == len(steps):
        raise VecqError(
            "the model has no statistics: in training mode it has met no finite value but zero;"
            " train it, or run some batches through it in training mode, whose samples are not all"
            " zero"
        )
    if without:
        raise VecqError(
            f"quantizer '{without[0]}' has met nothing but zeros, though others have met values:"
            " what it reads died in training; train again with another seed or a lower learning"
            " rate"
        )
