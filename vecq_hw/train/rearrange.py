"""Reshapes and transposes of samples, any chain of which is one reordering."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import fx, nn

from vecq_hw.train.quantized_layers import Transpose

_Key = tuple[int, ...]


class Rearrange(nn.Module):
    """A sample reshaped to ``split``, its axes in ``order``, reshaped to ``shape``.

    Parameters
    ----------
    split : tuple of int
        Sizes whose product is the number of values of a sample.
    order : tuple of int
        Which axis of ``split`` comes first, second and so on.
    shape : tuple of int
        Of the result, without the batch.

    Examples
    --------
    >>> pixel_shuffle = Rearrange((1, 2, 2, 3, 3), (0, 3, 1, 4, 2), (1, 6, 6))
    >>> x = torch.arange(36).reshape(1, 4, 3, 3)
    >>> bool(torch.equal(pixel_shuffle(x), nn.functional.pixel_shuffle(x, 2)))
    True
    """

    def __init__(self, split: Sequence[int], order: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__()
        self.split, self.order, self.shape = tuple(split), tuple(order), tuple(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, ...) to (N, *shape)."""
        axes = (0, *(axis + 1 for axis in self.order))
        return x.reshape(len(x), *self.split).permute(axes).reshape(len(x), *self.shape)

    @property
    def keeps_order(self) -> bool:
        """Whether it is a reshape alone."""
        return len(_simplified(self)[0]) <= 1

    def extra_repr(self) -> str:
        """The three tuples."""
        return f"{self.split}, {self.order}, {self.shape}"


def reshape(before: Sequence[int], after: Sequence[int]) -> Rearrange:
    """The values of samples of one shape in another."""
    return Rearrange(before, range(len(before)), after)


def transpose(before: Sequence[int], order: Sequence[int]) -> Rearrange:
    """The axes of samples in another order."""
    return Rearrange(before, order, [before[axis] for axis in order])


def composed(first: Rearrange, second: Rearrange) -> Rearrange | None:
    """``second`` after ``first`` as one; None where no split serves both.

    Examples
    --------
    >>> shuffled = composed(transpose((2, 4, 3), (1, 0, 2)), reshape((4, 2, 3), (8, 3)))
    >>> shuffled.split, shuffled.order, shuffled.shape
    ((2, 4, 3), (1, 0, 2), (8, 3))
    """
    sizes, order = _simplified(first)
    # Each axis of the common split has a key, by which its place before is sorted.
    size_of: dict[_Key, int] = {(axis,): size for axis, size in enumerate(sizes)}
    waiting: list[_Key] = [(axis,) for axis in order]
    groups: list[list[_Key]] = []
    for size in second.split:
        group: list[_Key] = []
        while size > 1:
            if not waiting:
                return None
            key = waiting.pop(0)
            if size % size_of[key]:
                if size_of[key] % size:
                    return None
                outer, inner = (*key, 0), (*key, 1)
                size_of[outer], size_of[inner] = size, size_of.pop(key) // size
                waiting.insert(0, inner)
                key = outer
            group.append(key)
            size //= size_of[key]
        groups.append(group)
    keys = sorted(size_of)
    result = [keys.index(key) for axis in second.order for key in groups[axis]]
    return Rearrange([size_of[key] for key in keys], result, second.shape)


def _simplified(given: Rearrange) -> tuple[list[int], list[int]]:
    """Split and order without axes of size 1, those that stay together being one."""
    order = [axis for axis in given.order if given.split[axis] > 1]
    runs: list[list[int]] = []
    kept = sorted(order)
    for axis in order:
        follows = bool(runs) and kept.index(runs[-1][-1]) + 1 == kept.index(axis)
        if follows:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    before = sorted(runs)
    sizes = [math.prod(given.split[axis] for axis in run) for run in before]
    return sizes, [before.index(run) for run in runs]


def join_rearranges(traced: fx.GraphModule) -> None:
    """A chain of reshapes and transposes becomes one."""
    for node in list(traced.graph.nodes):
        while node.op == "call_module" and _takes_in(traced, node):
            pass


def _takes_in(traced: fx.GraphModule, node: fx.Node) -> bool:
    """Whether the node could take in what it reads."""
    source = node.args[0] if node.args else None
    if not (isinstance(source, fx.Node) and source.op == "call_module") or len(source.users) > 1:
        return False
    first, second = (traced.get_submodule(str(one.target)) for one in (source, node))
    match first, second:
        case nn.Identity(), Rearrange() | nn.Flatten():
            pass  # such as contiguous(), which changes no value
        case nn.Flatten(), Rearrange():
            pass
        case Rearrange(), nn.Flatten() if first.keeps_order:
            pass
        case Transpose(), Rearrange() if (shape := source.meta.get("shape")) is not None:
            both = composed(transpose((shape[2], shape[1]), (1, 0)), second)
            if both is None:
                return False
            traced.add_submodule(str(node.target), both)
        case Rearrange(), Rearrange():
            both = composed(first, second)
            if both is None:
                return False
            traced.add_submodule(str(node.target), both)
        case _:
            return False
    node.args = source.args
    traced.graph.erase_node(source)
    if all(one.target != source.target for one in traced.graph.nodes):
        traced.delete_submodule(str(source.target))
    return True
