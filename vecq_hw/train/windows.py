"""Padding and pools as models write them, in the few forms that lowering knows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.formats import IntArray
from vecq_hw.layers.windows import Sides

MAX_POOLS = (nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d)
AVERAGES = (nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)
PADS = (
    nn.ZeroPad1d,
    nn.ZeroPad2d,
    nn.ConstantPad1d,
    nn.ConstantPad2d,
    nn.ReflectionPad1d,
    nn.ReflectionPad2d,
    nn.ReplicationPad1d,
    nn.ReplicationPad2d,
    nn.CircularPad1d,
    nn.CircularPad2d,
)
_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""What NumPy calls the modes of torch."""


class Pad(nn.Module):
    """Images or sequences with pixels added at their sides, or cut off.

    Parameters
    ----------
    pads : tuple of int
        Left, right, top, bottom, as ``torch.nn.functional.pad`` has them; of a sequence the first
        two.  Negative ones cut.
    mode : str
        constant, reflect, replicate or circular.
    value : float
        Of what is added in the mode constant.
    """

    def __init__(self, pads: tuple[int, ...], mode: str = "constant", value: float = 0.0) -> None:
        super().__init__()
        self.pads, self.mode, self.value = tuple(map(int, pads)), mode, float(value)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, C, H, W) or (N, C, L)."""
        return F.pad(x, self.pads, self.mode, self.value if self.mode == "constant" else None)

    @property
    def sides(self) -> Sides:
        """Top, left, bottom, right."""
        left, right, top, bottom = (*self.pads, 0, 0)[:4]
        return top, left, bottom, right

    @property
    def is_added(self) -> bool:
        """Whether it does nothing but add one value."""
        return self.mode == "constant" and min(self.pads) >= 0

    def indices(self, height: int, width: int) -> tuple[IntArray, IntArray]:
        """The row and the column that each of the result's is; -1 where it is the value.

        They have the shapes (H,) and (W,) of the result.
        """
        top, left, bottom, right = self.sides
        return self._along(height, top, bottom), self._along(width, left, right)

    def _along(self, size: int, first: int, last: int) -> IntArray:
        kept: IntArray = np.arange(size)[max(-first, 0) : size - max(-last, 0)]
        around = (max(first, 0), max(last, 0))
        more: Any = {"constant_values": -1} if self.mode == "constant" else {}
        return np.pad(kept, around, mode=_MODES[self.mode], **more)  # type: ignore[call-overload, no-any-return]

    def extra_repr(self) -> str:
        """What it adds."""
        return f"{self.pads}, {self.mode}, value={self.value}"


def as_pad(module: nn.Module) -> Pad | None:
    """The padding that a module of torch is; None for a module that is none."""
    kind = type(module).__name__
    if type(module) not in PADS:
        return None
    mode = {"Ref": "reflect", "Rep": "replicate", "Cir": "circular"}.get(kind[:3], "constant")
    padding: Any = module.padding
    return Pad(tuple(padding), mode, getattr(module, "value", 0.0))


def split_padding(module: nn.Conv1d | nn.Conv2d) -> Pad | None:
    """Take padding that no convolution of the network has out of ``module``, as a layer before it.

    That is every mode but zeros, and 'same' with an even span, which has one more at its end.
    """
    spans = [d * (k - 1) for k, d in zip(module.kernel_size, module.dilation, strict=True)]
    if module.padding == "same":
        ends = [(span // 2, span - span // 2) for span in spans]
    elif module.padding == "valid":
        ends = [(0, 0) for _ in spans]
    else:
        ends = [(int(size), int(size)) for size in module.padding]
    even = all(before == after for before, after in ends)
    if even and module.padding_mode == "zeros":
        return None
    mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
    none: Any = (0,) * len(spans)
    module.padding, module.padding_mode = none, "zeros"
    return Pad(tuple(size for pair in reversed(ends) for size in pair), mode)


def insert_pads(traced: fx.GraphModule, free_name: Callable[[nn.Module, str], str]) -> None:
    """Padding that stands for itself: modules of torch, and what convolutions cannot have."""
    taken_out: dict[str, Pad | None] = {}
    for node in list(traced.graph.nodes):
        if node.op != "call_module":
            continue
        name = str(node.target)
        module = traced.get_submodule(name)
        if (pad := as_pad(module)) is not None:
            traced.add_submodule(name, pad)
        if type(module) not in (nn.Conv1d, nn.Conv2d):
            continue
        assert isinstance(module, nn.Conv1d | nn.Conv2d)
        if name not in taken_out:
            taken_out[name] = split_padding(module)
        pad = taken_out[name]
        if pad is not None and len(node.all_input_nodes) == 1:
            (source,) = node.all_input_nodes
            added = free_name(traced, f"{name.replace('.', '_')}_pad")
            traced.add_submodule(added, pad)
            with traced.graph.inserting_before(node):
                padded = traced.graph.call_module(added, (source,))
            node.replace_input_with(source, padded)
