"""The class, or the best few, where a model's forward() ends in them."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import fx, nn

from vecq_hw.train.tracing import shape_of

FreeName = Callable[[nn.Module, str], str]


class Choice(nn.Module):
    """The indices of the largest channels, of equal ones the lowest first, as integers choose.

    Parameters
    ----------
    count : int or None
        So many, the largest first: (N, count, ...); None is the largest alone, (N, ...).
    keeps_axis : bool
        Whether the largest alone keeps an axis of one channel.
    """

    def __init__(self, count: int | None = None, keeps_axis: bool = False) -> None:
        super().__init__()
        self.count, self.keeps_axis = count, keeps_axis

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of shape (N, C, ...)."""
        if self.count is None:
            return x.argmax(1, keepdim=self.keeps_axis)
        return x.sort(dim=1, descending=True, stable=True).indices[:, : self.count]

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return "the largest" if self.count is None else f"the {self.count} largest"


def chosen(outputs: torch.Tensor) -> torch.Tensor:
    """The class of each sample: of scores the largest, of indices the first; shape (N,).

    One score tells two classes apart: 1 where it is above zero.
    """
    if outputs.is_floating_point():
        scores = outputs.flatten(1)
        return (scores[:, 0] > 0).long() if scores.shape[1] == 1 else scores.argmax(dim=1)
    return outputs.reshape(len(outputs), -1)[:, 0]


def find_choices(traced: fx.GraphModule, free_name: FreeName) -> None:
    """Let ``argmax`` and ``topk(...).indices`` at the end of a graph be a :class:`Choice`."""
    for end in [node for node in traced.graph.nodes if node.op == "output"]:
        for node in end.all_input_nodes:
            found = _choice(node)
            if found is None or len(node.users) > 1:
                continue
            source, choice = found
            name = free_name(traced, "choice")
            traced.add_submodule(name, choice)
            with traced.graph.inserting_before(end):
                made: Any = traced.graph.call_module(name, (source,))
            made.meta = dict(node.meta)
            node.replace_all_uses_with(made)
            traced.graph.eliminate_dead_code()


def _choice(node: fx.Node) -> tuple[fx.Node, Choice] | None:
    if _name(node) == "argmax":
        given = _given(node, ("input", "dim", "keepdim"))
        return _along_channels(given, -9, Choice(None, bool(given.get("keepdim", False))))
    pair = node.args[0] if node.args else None
    indices = (node.target, node.args[1:]) in (
        (operator.getitem, (1,)), (getattr, ("indices",)),
    )  # fmt: skip
    if not indices or not isinstance(pair, fx.Node) or _name(pair) != "topk":
        return None
    given = _given(pair, ("input", "k", "dim", "largest", "sorted"))
    alone = all(not other.users for other in pair.users if other is not node)
    count = given.get("k")
    if not alone or not isinstance(count, int):
        return None
    if given.get("largest", True) is not True or given.get("sorted", True) is not True:
        return None
    return _along_channels(given, -1, Choice(count))


def _along_channels(
    given: dict[str, Any], default: int, choice: Choice
) -> tuple[fx.Node, Choice] | None:
    source, along = given.get("input"), given.get("dim", default)
    if not isinstance(source, fx.Node):
        return None
    shape = shape_of(source)
    is_vector = shape is None or len(shape) == 2
    return (source, choice) if along == 1 or (along == -1 and is_vector) else None


def _given(node: fx.Node, names: tuple[str, ...]) -> dict[str, Any]:
    return dict(zip(names, node.args, strict=False)) | dict(node.kwargs)


def _name(node: fx.Node) -> str:
    if node.op not in ("call_function", "call_method"):
        return ""
    return node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
