"""Random quantized networks of Brevitas, with statistics from random images."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of packages that it looks for
    import brevitas.nn as qnn
    import brevitas.quant as bq

from tests.random_networks import Draw

ACTIVATIONS = {
    "unsigned": bq.Uint8ActPerTensorFloat,
    "unsigned fixed": bq.Uint8ActPerTensorFixedPoint,
    "signed": bq.Int8ActPerTensorFloat,
    "signed fixed": bq.Int8ActPerTensorFixedPoint,
    "shifted": bq.ShiftedUint8ActPerTensorFloat,
    "ternary": bq.SignedTernaryActPerTensorConst,
    "signs": bq.SignedBinaryActPerTensorConst,
}
WEIGHTS = {
    "tensor": bq.Int8WeightPerTensorFloat,
    "channel": bq.Int8WeightPerChannelFloat,
    "fixed": bq.Int8WeightPerTensorFixedPoint,
    "ternary": bq.SignedTernaryWeightPerTensorConst,
    "binary": bq.SignedBinaryWeightPerTensorConst,
}
BIASES = {"none": None, "float": None, "Int32": bq.Int32Bias}


class Network(nn.Module):
    """Blocks of convolution, batch norm, quantizer and pool, then a linear layer.

    Of images, or of sequences.
    """

    def __init__(self, draw: Draw) -> None:
        super().__init__()
        self.axes = draw.choice((1, 2, 2))
        self.channels, self.size = draw.integer(1, 3), draw.integer(6, 9)
        self.shape = (self.channels, *[self.size] * self.axes)
        self.binary = draw.choice((True, False, False))
        max_pool, mean_pool = (
            (nn.MaxPool1d, nn.AvgPool1d) if self.axes == 1 else (nn.MaxPool2d, nn.AvgPool2d)
        )
        self.inp = _activation(draw, ("signed", "unsigned", "shifted"), least=4)
        channels = self.channels
        self.steps: list[tuple[str, str]] = []
        size = self.size
        for index in range(draw.integer(1, 3)):
            kind = draw.choice(("plain", "depthwise", "residual"))
            if kind == "residual":
                self._residual(draw, index, channels)
                continue
            groups = channels if kind == "depthwise" else 1
            outputs = channels * draw.integer(1, 2) if groups > 1 else draw.integer(1, 5)
            stride, padding = draw.integer(1, 2), draw.integer(0, 1)
            kernel = draw.choice((1, 3)) if size >= 3 else 1
            self._conv(draw, f"conv{index}", channels, outputs, kernel, stride, padding, groups)
            size = (size + 2 * padding - kernel) // stride + 1
            pool = size >= 2 and draw.choice(("none", "before", "after", "average"))
            if pool == "before":
                self._add(f"pool{index}", max_pool(2))
            self._add(f"act{index}", self._activation(draw))
            if pool == "after":
                self._add(f"pool{index}", max_pool(2))
            if pool == "average":
                self._add(f"pool{index}", mean_pool(2))
                self._add(f"mean{index}", self._activation(draw))
            size = size // 2 if pool and pool != "none" else size
            channels = outputs
        self._add("flat", nn.Flatten())
        weights = self._weights(draw)
        self._add("fc", qnn.QuantLinear(channels * size**self.axes, draw.integer(1, 4), bias=False,
                                        **weights))  # fmt: skip
        self._add("out", _activation(draw, ("signed", "shifted")))

    def _weights(self, draw: Draw) -> dict[str, Any]:
        name = draw.choice(tuple(kind for kind in WEIGHTS if kind != "binary" or self.binary))
        chosen: dict[str, Any] = {"weight_quant": WEIGHTS[name]}
        if name in ("tensor", "channel", "fixed"):
            chosen["weight_bit_width"] = draw.integer(2, 8)
        return chosen

    def _add(self, name: str, module: nn.Module) -> None:
        self.add_module(name, module)
        self.steps.append(("call", name))

    def _conv(self, draw: Draw, name: str, channels: int, outputs: int, kernel: int, stride: int,
              padding: int, groups: int) -> None:  # fmt: skip
        bias = draw.choice(tuple(BIASES))
        kind = qnn.QuantConv1d if self.axes == 1 else qnn.QuantConv2d
        layer = kind(
            channels, outputs, kernel, stride=stride, padding=padding, groups=groups,
            bias=bias != "none", bias_quant=BIASES[bias], **self._weights(draw),
        )  # fmt: skip
        self._add(name, layer)
        if draw.integer(0, 1):
            norm = (nn.BatchNorm1d if self.axes == 1 else nn.BatchNorm2d)(outputs)
            with torch.no_grad():
                norm.weight.normal_()
                norm.bias.normal_()
            self._add(f"{name}_norm", norm)

    def _residual(self, draw: Draw, index: int, channels: int) -> None:
        self.steps.append(("keep", ""))
        self._conv(draw, f"conv{index}", channels, channels, 3, 1, 1, 1)
        shared = _activation(draw, ("signed", "signed fixed"), least=3)
        self.add_module(f"shared{index}", shared)
        self.steps.append(("add", f"shared{index}"))
        self._add(f"act{index}", self._activation(draw))

    def _activation(self, draw: Draw) -> Any:
        """Any; 1 bit only in binary networks, for which QCDQ has no form."""
        return _activation(draw, tuple(k for k in ACTIVATIONS if k != "signs" or self.binary))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x, kept = self.inp(x), None
        for kind, name in self.steps:
            module: Callable[..., Any] = getattr(self, name) if name else nn.Identity()
            match kind:
                case "keep":
                    kept = x
                case "add":
                    x = module(x) + module(kept)
                case _:
                    x = module(x)
        return x.value if hasattr(x, "value") else x


def _activation(draw: Draw, kinds: tuple[str, ...], least: int = 2) -> Any:
    """A quantizer; of 1 bit are signs alone, as Brevitas exports integers of 1 bit as signs."""
    kind = draw.choice(kinds)
    more: dict[str, Any] = {"act_quant": ACTIVATIONS[kind], "return_quant_tensor": True}
    if kind in ("ternary", "signs"):
        limit = draw.choice((0.5, 1.0, 1.7))
        return qnn.QuantIdentity(min_val=-limit, max_val=limit, **more)
    bits = draw.integer(least, 8)
    layer = qnn.QuantReLU if kind.startswith("unsigned") else qnn.QuantIdentity
    return layer(bit_width=bits, **more)


def made(draw: Draw, seed: int) -> Network:
    """A network whose quantizers and batch norms have seen random images."""
    torch.manual_seed(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = Network(draw)
        network.train()
        with torch.no_grad():
            for _ in range(3):
                network(images(network, 16))
    return network.eval()


def images(network: Network, count: int) -> torch.Tensor:
    return torch.randn(count, *network.shape) + 0.5


Codes = tuple[np.ndarray, np.ndarray]
"""Codes, and for each whether what it is made of lies on a tie but for the rounding of floats."""


def own_codes(network: Network, x: torch.Tensor) -> dict[str, list[Codes]]:
    """What each quantizer of activations gives, in units of its step, call by call."""
    found: dict[str, list[Codes]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, given: Any, output: Any) -> None:
            scale = output.scale.double()
            codes = (output.value.double() / scale).round().long().numpy()
            (reals,) = given
            ratio = ((reals.value if hasattr(reals, "value") else reals).double() / scale).numpy()
            signs = any("Binary" in type(part).__name__ for part in module.modules())
            apart = ratio - (0 if signs else np.floor(ratio) + 0.5)
            near = np.abs(apart) <= 2.0**-20 * np.maximum(np.abs(ratio), 1)
            found.setdefault(name, []).append((codes, near))

        return hook

    handles = [
        module.register_forward_hook(keep(name))
        for name, module in network.named_modules()
        if isinstance(module, qnn.QuantReLU | qnn.QuantIdentity)
    ]
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network(x)
    for handle in handles:
        handle.remove()
    return found
