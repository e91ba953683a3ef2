"""How forward() calls its modules: keywords, defaults, states and the parts of results."""

from __future__ import annotations

import inspect
import operator

import torch
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.train.arguments import nodes
from vecq_hw.train.functional import free_name
from vecq_hw.train.quantized_layers import LastStep

_ZEROS = {torch.zeros, torch.zeros_like, "new_zeros"}


def bind(traced: fx.GraphModule, node: fx.Node) -> None:
    """Let a module be called with its tensor alone, whatever keywords and defaults were given.

    Raises
    ------
    VecqError
        The layer begins with states that are not zero.
    """
    module = traced.get_submodule(str(node.target))
    parameters = inspect.signature(type(module).forward).parameters
    if any(one.kind is one.VAR_POSITIONAL for one in parameters.values()):
        return  # Identity and Dropout of many
    given = dict(zip(list(parameters)[1:], node.args, strict=False)) | dict(node.kwargs)
    first, *rest = list(parameters)[1:]
    for name in rest:
        if name in given and given[name] is parameters[name].default:
            del given[name]
        elif name == "hx" and name in given:
            if not _are_zeros(traced, given[name]):
                raise VecqError(
                    f"layer '{node.target}' ({type(module).__name__}) begins with states that are"
                    " not zero; leave them out"
                )
            del given[name]
    source = given.pop(first, None)
    node.args, node.kwargs = (source,), given


def _are_zeros(traced: fx.GraphModule, value: object) -> bool:
    """Whether all tensors in an argument are zeros that forward() has made."""
    read = nodes(value)
    return bool(read) and all(
        node.target in _ZEROS or (node.op == "get_attr" and not _attribute(traced, node).any())
        for node in read
    )


def _attribute(traced: fx.GraphModule, node: fx.Node) -> torch.Tensor:
    owner, _, name = str(node.target).rpartition(".")
    found = getattr(traced.get_submodule(owner), name)
    return found if isinstance(found, torch.Tensor) else torch.ones(1)


def drop_casts_of_words(traced: fx.GraphModule) -> None:
    """Leave out what makes integers of an input that only embeddings read: it has integers."""
    for node in list(traced.graph.nodes):
        source = node.args[0] if node.args else None
        casts = node.target in ("long", "int") or (
            node.target == "to" and node.args[1:] in ((torch.long,), (torch.int,))
        )
        if not (casts and isinstance(source, fx.Node) and source.op == "placeholder"):
            continue
        reads = [
            traced.get_submodule(str(reader.target)) if reader.op == "call_module" else None
            for reader in node.users
        ]
        if all(isinstance(module, nn.Embedding) for module in reads):
            node.replace_all_uses_with(source)
            traced.graph.erase_node(node)


def largest_alone(traced: fx.GraphModule) -> None:
    """``x.max(dim)[0]``, of which the places are not read, becomes ``x.amax(dim)``."""
    for node in list(traced.graph.nodes):
        given = dict(zip(("input", "dim", "keepdim"), node.args, strict=False)) | dict(node.kwargs)
        if node.target not in (torch.max, "max") or not isinstance(given.get("dim"), int):
            continue
        readers = list(node.users)
        if not all(reader.args[1:] in ((0,), ("values",)) for reader in readers):
            continue
        with traced.graph.inserting_before(node):
            largest = traced.graph.call_function(
                torch.amax, (given["input"], given["dim"], given.get("keepdim", False))
            )
        for reader in readers:
            largest.meta = dict(reader.meta)
            reader.replace_all_uses_with(largest)
            traced.graph.erase_node(reader)
        traced.graph.erase_node(node)


def unpack_sequence(traced: fx.GraphModule, node: fx.Node) -> None:
    """The first of an LSTM's or GRU's results, its outputs, becomes the layer itself.

    The state of the last layer, of which the outputs hold all, becomes their last step.

    Raises
    ------
    VecqError
        The pair is read as a whole, or states other than the last of the last layer are read.
    """
    module = traced.get_submodule(str(node.target))
    kind = type(module).__name__
    for reader in list(node.users):
        if reader.target is not operator.getitem:
            raise VecqError(f"layer '{node.target}' ({kind}) gives a pair; use its first element")
        if reader.args[1] == 0:
            reader.replace_all_uses_with(node)
            node.meta = dict(reader.meta)
        else:
            hidden = _items(reader, 0) if isinstance(module, nn.LSTM) else [reader]
            for state in hidden:
                _last_states(traced, node, state)
            for state in list(reader.users):  # `outputs, (h, c) = lstm(x)` takes it apart
                if state.target is operator.getitem and not state.users:
                    traced.graph.erase_node(state)
            if reader.users:
                raise VecqError(
                    f"layer '{node.target}' ({kind}): its states are read; read its outputs, the"
                    " last of which is output[:, -1]"
                )
        traced.graph.erase_node(reader)


def _items(node: fx.Node, index: int) -> list[fx.Node]:
    """The readers that take one item of a tuple."""
    return [one for one in node.users if one.target is operator.getitem and one.args[1] == index]


def _last_states(traced: fx.GraphModule, node: fx.Node, states: fx.Node) -> None:
    """Let the last step of the outputs stand for the state of the last layer, (layers, N, H)."""
    module = traced.get_submodule(str(node.target))
    assert isinstance(module, nn.LSTM | nn.GRU)
    if module.bidirectional:
        return
    last = module.num_layers - 1
    for reader in list(states.users):
        index = reader.args[1] if len(reader.args) > 1 else None
        if isinstance(index, tuple) and index and all(i in (slice(None), ...) for i in index[1:]):
            index = index[0]
        taken = reader.target is operator.getitem and index in (-1, last)
        squeezed = reader.target in ("squeeze", torch.squeeze) and not last
        if taken or (squeezed and index == 0):
            name = free_name(traced, f"{node.name}_last")
            traced.add_submodule(name, LastStep())
            with traced.graph.inserting_before(reader):
                step = traced.graph.call_module(name, (node,))
            step.meta = dict(reader.meta)
            reader.replace_all_uses_with(step)
            traced.graph.erase_node(reader)
