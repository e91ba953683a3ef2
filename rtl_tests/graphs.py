"""Random graphs of every layer, small: images through branches that part and meet again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.hls_networks import Builder
from tests.strategies import random_grid
from vecq_hw.formats import IntFormat, bit_planes
from vecq_hw.network import Conv2d, Dense, Network, Rescale
from vecq_hw.schedule import Fabric, FoldKind, Schedule, streaming_folds

KINDS = ("conv", "conv", "conv", "add", "add", "concat", "pool", "sum", "upsample", "activation")


class _Graph(Builder):
    """Grows by layers that are drawn."""

    def __init__(self, index: int) -> None:
        generator = np.random.default_rng(index)
        shape = (*generator.integers(1, 7, 2).tolist(), int(generator.integers(1, 5)))
        super().__init__(f"graph{index}", shape, self._format(generator), seed=index)

    @staticmethod
    def _format(generator: np.random.Generator) -> IntFormat:
        return IntFormat(int(generator.integers(1, 7)), signed=bool(generator.integers(2)))

    def _pair(self, least: int, most: int) -> tuple[int, int]:
        down, across = self.rng.integers(least, most, 2, endpoint=True).tolist()
        return down, across

    def _chance(self, one_in: int) -> bool:
        return self.rng.integers(one_in) == 0

    def convolution(self, outputs: int) -> None:
        """Any kernel that fits."""
        height, width, channels = self.tensor.shape
        groups = int(self.rng.choice([g for g in (1, 1, 2, channels) if channels % g == 0]))
        padding, dilation = self._pair(0, 2), self._pair(1, 2)
        sizes = zip((height, width), self._pair(1, 3), padding, dilation, strict=True)
        kernel = tuple(k if d * (k - 1) < n else 1 for n, k, _, d in sizes)
        wrap = 7 if self._chance(4) else None
        grid, stride = random_grid(self.rng), self._pair(1, 2)
        self.conv(
            outputs + -outputs % groups,
            grid,
            kernel,
            stride,
            # Beyond the kernel, too, as long as some window reaches the image.
            tuple(
                p if _reaches(n, k, s, p, d) else min(p, k - 1)
                for n, k, s, p, d in zip(
                    (height, width), kernel, stride, padding, dilation, strict=True
                )
            ),
            groups=groups,
            dilation=dilation,
            bias=50 if self._chance(3) else None,
            wrap=wrap,
        )

    def same(self, outputs: int) -> None:
        """A convolution that keeps the image's size."""
        kernel = (1, 1) if self._chance(2) else (3, 3)
        self.conv(outputs, 2, kernel, padding=(kernel[0] // 2, kernel[1] // 2))

    def activation(self, fmt: IntFormat | None = None) -> None:
        """A Rescale, or the same as thresholds."""
        fmt = fmt or self._format(self.rng)
        if fmt.bits <= 5 and self._chance(2):
            self.threshold(fmt)
        else:
            self.rescale(fmt)
            if self._chance(3):
                self.own_shifts()

    def join(self, kind: str) -> None:
        """One or two branches from the tensor so far, and the tensor itself."""
        mark, tensor = len(self.layers) - 1, self.tensor
        fmt = IntFormat(tensor.format.bits, tensor.format.signed)
        ends = [mark]
        for _ in range(int(self.rng.integers(1, 3))):
            outputs = tensor.shape[-1] if kind == "add" else int(self.rng.integers(1, 5))
            self.branch(mark).same(outputs)
            self.activation(fmt)
            ends.append(len(self.layers) - 1)
        self.rng.shuffle(ends)
        self.branch(ends[0])
        (self.add if kind == "add" else self.concat)(*ends[1:])

    def grow(self) -> None:
        """One or several layers of a kind that is drawn."""
        kind = self.rng.choice(KINDS)
        height, width, _ = self.tensor.shape
        if kind == "conv":
            self.convolution(int(self.rng.integers(1, 6)))
            self.activation()
        elif kind == "activation":
            self.activation()
        elif kind == "upsample":
            self.upsample(*self._pair(1, 2))
        elif kind in ("pool", "sum"):
            kernel = tuple(map(min, self._pair(1, 3), (height, width)))
            padding = tuple(int(self.rng.integers(0, k // 2 + 1)) for k in kernel)
            (self.pool if kind == "pool" else self.sum)(kernel, self._pair(1, 2), padding)
        else:
            self.join(kind)
        if self.tensor.format.bits > 8:
            self.activation()

    def schedule(self) -> Schedule:
        """Any fold of each layer, some of them bit-serial or with DSPs, on any fabric."""
        folds = {}
        layers = self.network().layers
        rescaled = {layer.input for layer in layers if isinstance(layer, Rescale)}
        for layer in layers:
            if isinstance(layer, Dense | Conv2d):
                legal = streaming_folds(layer)
                fold = legal[int(self.rng.integers(len(legal)))]
                serial = self._chance(3) and bit_planes(layer.weights.grid).signs
                kind = FoldKind.BIT_SERIAL if serial else FoldKind.STREAMING
                dsp = bool(self._chance(4)) and layer.name in rescaled
                folds[layer.name] = replace(fold, kind=kind, dsp=dsp)
        return Schedule(folds=folds, fabric=Fabric.ECP5 if self._chance(3) else Fabric.LUT6)


def _reaches(size: int, kernel: int, stride: int, padding: int, dilation: int) -> bool:
    """Whether any cell of any window lies in the image, along one axis."""
    last = size + padding - dilation * (kernel - 1)
    return any(
        0 <= start + dilation * n < size
        for start in range(-padding, last, stride)
        for n in range(kernel)
    )


def random_graph(index: int) -> tuple[Network, Schedule]:
    """A graph of up to a dozen layers, and any folds."""
    graph = _Graph(index)
    for _ in range(int(graph.rng.integers(1, 5))):
        graph.grow()
    if graph._chance(3):
        graph.flatten().dense(3, 2)
    if index % 3 == 0:
        graph.argmax()
    return graph.network(), graph.schedule()
