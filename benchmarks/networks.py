"""The networks that the benchmarks share, as integers and as the equal torch module in float32.

W2A8: random 2-bit codes, 8-bit unsigned activations.  Each rescale is set from the accumulators of
a few random inputs, so that outputs are spread and few saturate.  Everything is deterministic.

    python benchmarks/networks.py      prints multiply-adds an image and what the outputs look like
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import (
    Add,
    Conv2d,
    Dense,
    Flatten,
    Input,
    Layer,
    MaxPool2d,
    Rescale,
    SumPool2d,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

if TYPE_CHECKING:
    from torch import nn

CODES = IntFormat(8, signed=False)
MANTISSA_BITS = 18


class _Builder:
    """Appends layers, each reading the last one unless told otherwise."""

    def __init__(self, name: str, shape: tuple[int, ...], bits: int = 2) -> None:
        self.name, self.bits = name, bits
        self.input = Input(name="x", shape=shape, format=CODES)
        self.layers: list[Layer] = []
        self.last = "x"
        self.rng = np.random.default_rng(7)
        self.sample = self.rng.integers(0, 256, (4, *shape))

    def network(self, output: str | None = None) -> Network:
        return Network(
            name=self.name,
            inputs=(self.input,),
            layers=tuple(self.layers),
            outputs=(output or self.last,),
        )

    def append(self, layer: Layer) -> str:
        self.layers.append(layer)
        self.last = layer.name
        return layer.name

    def weights(self, *shape: int) -> Weights:
        half = 2 ** (self.bits - 1)
        drawn = np.floor(self.rng.normal(0, half / 2, shape))
        codes = np.clip(drawn, -half, half - 1).astype(np.int16)
        return Weights(codes=codes, grid=MidRise(self.bits))

    def convolution(
        self,
        name: str,
        source: str,
        outputs: int,
        size: int,
        stride: int = 1,
        relu: bool = True,
        padded: bool = True,
    ) -> str:
        channels = (
            self.network(source).tensors[source].shape[-1]
            if self.layers
            else (self.input.shape[-1])
        )
        self.append(
            Conv2d(
                name=name,
                input=source,
                weights=self.weights(outputs, size, size, channels),
                stride=(stride, stride),
                padding=(size // 2 * padded,) * 4,
            )
        )
        return self.rescale(f"{name}_rescale", name, relu)

    def dense(self, name: str, outputs: int, rescaled: bool = True) -> str:
        (inputs,) = self.network().tensors[self.last].shape if self.layers else self.input.shape
        self.append(Dense(name=name, input=self.last, weights=self.weights(outputs, inputs)))
        return self.rescale(f"{name}_rescale", name) if rescaled else name

    def rescale(self, name: str, source: str, relu: bool = True) -> str:
        """A batch norm for each channel: its mean goes above 0, or to the middle."""
        sums = simulate(self.network(source), self.sample).astype(np.float64)
        sums = sums.reshape(-1, sums.shape[-1])
        centre, spread = sums.mean(0), sums.std(0) + 1
        scale = (80 if relu else 40) / spread * self.rng.uniform(0.8, 1.2, len(spread))
        zero = 30 if relu else 128
        shift = MANTISSA_BITS - 2 - int(np.ceil(np.log2(scale.max())))
        mantissa = np.rint(np.ldexp(scale, shift)).astype(np.int64)
        offset = np.rint(np.ldexp(zero - centre * scale, shift)).astype(np.int64)
        return self.append(
            Rescale(
                name=name, input=source, mantissa=mantissa, offset=offset, shift=shift, format=CODES
            )
        )

    def max_pool(self) -> str:
        name = f"{self.last.removesuffix('_rescale')}_pool"
        return self.append(MaxPool2d(name=name, input=self.last, kernel=(2, 2), stride=(2, 2)))

    def flatten(self) -> str:
        return self.append(Flatten(name="flatten", input=self.last))


def mlp() -> Network:
    """784-64-32-10, the three-layer network of the MNIST examples."""
    net = _Builder("mlp", (784,))
    net.dense("fc1", 64)
    net.dense("fc2", 32)
    net.dense("fc3", 10, rescaled=False)
    return net.network()


def lenet5() -> Network:
    """32C5-MP2-64C5-MP2-512-10 on 28 × 28 × 1, padding 2."""
    net = _Builder("lenet5", (28, 28, 1))
    net.convolution("conv1", "x", 32, 5)
    net.max_pool()
    net.convolution("conv2", net.last, 64, 5)
    net.max_pool()
    net.flatten()
    net.dense("fc1", 512)
    net.dense("fc2", 10, rescaled=False)
    return net.network()


def digits_mlp(bits: int = 2) -> Network:
    """64-64-32-10, as the demo has it for digits of 8 × 8 pixels."""
    net = _Builder("digits_mlp", (64,), bits)
    net.dense("fc1", 64)
    net.dense("fc2", 32)
    net.dense("fc3", 10, rescaled=False)
    return net.network()


def digits_cnn(bits: int = 2) -> Network:
    """8C3-MP2-16C3-MP2-10 on 8 × 8 × 1."""
    net = _Builder("digits_cnn", (8, 8, 1), bits)
    net.convolution("conv1", "x", 8, 3)
    net.max_pool()
    net.convolution("conv2", net.last, 16, 3)
    net.max_pool()
    net.flatten()
    net.dense("fc", 10, rescaled=False)
    return net.network()


def keywords_mlp(bits: int = 2) -> Network:
    """490-256-256-256-12: FINN's network for keywords, on 49 × 10 spectral coefficients."""
    net = _Builder("keywords_mlp", (490,), bits)
    for number in (1, 2, 3):
        net.dense(f"fc{number}", 256)
    net.dense("fc4", 12, rescaled=False)
    return net.network()


def lenet5_classic(bits: int = 2) -> Network:
    """8C5-MP2-16C5-MP2-120-84-10 on 28 × 28 × 1, without padding."""
    net = _Builder("lenet5_classic", (28, 28, 1), bits)
    net.convolution("conv1", "x", 8, 5, padded=False)
    net.max_pool()
    net.convolution("conv2", net.last, 16, 5, padded=False)
    net.max_pool()
    net.flatten()
    net.dense("fc1", 120)
    net.dense("fc2", 84)
    net.dense("fc3", 10, rescaled=False)
    return net.network()


def vgg() -> Network:
    """64-64-MP-128-128-MP-256-256-MP-1024-10 on 32 × 32 × 3, kernels 3 × 3."""
    net = _Builder("vgg", (32, 32, 3))
    for block, outputs in enumerate((64, 128, 256), 1):
        net.convolution(f"conv{block}a", net.last, outputs, 3)
        net.convolution(f"conv{block}b", net.last, outputs, 3)
        net.max_pool()
    net.flatten()
    net.dense("fc1", 1024)
    net.dense("fc2", 10, rescaled=False)
    return net.network()


def resnet8() -> Network:
    """MLPerf Tiny's ResNet-8 on 32 × 32 × 3: 16, then residual stages of 16, 32 and 64 channels."""
    net = _Builder("resnet8", (32, 32, 3))
    net.convolution("conv0", "x", 16, 3)
    for stage, (outputs, stride) in enumerate(((16, 1), (32, 2), (64, 2)), 1):
        entry = net.last
        net.convolution(f"stage{stage}a", entry, outputs, 3, stride)
        branch = net.convolution(f"stage{stage}b", net.last, outputs, 3, relu=False)
        if stride > 1:
            entry = net.convolution(f"stage{stage}s", entry, outputs, 1, stride, relu=False)
        net.append(Add(name=f"stage{stage}_add", inputs=(branch, entry)))
        net.rescale(f"stage{stage}_rescale", net.last)
    net.append(SumPool2d(name="pool", input=net.last, kernel=(8, 8), stride=(8, 8)))
    net.rescale("average", "pool")
    net.flatten()
    net.dense("fc", 10, rescaled=False)
    return net.network()


NETWORKS: dict[str, Callable[[], Network]] = {
    "mlp": mlp,
    "lenet5": lenet5,
    "vgg": vgg,
    "resnet8": resnet8,
}


def float_module(name: str) -> nn.Module:
    """The float32 module of the same layers, batch norm and ReLU after each but the last.

    In evaluation mode, images channels-first.
    """
    from torch import nn

    def convolution(inputs: int, outputs: int, size: int, stride: int = 1) -> list[nn.Module]:
        return [
            nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
            nn.BatchNorm2d(outputs),
        ]

    def dense(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]

    class Residual(nn.Module):
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.branch = nn.Sequential(
                *convolution(inputs, outputs, 3, stride),
                nn.ReLU(),
                *convolution(outputs, outputs, 3),
            )
            shortcut = convolution(inputs, outputs, 1, stride) if stride > 1 else []
            self.shortcut = nn.Sequential(*shortcut)

        def forward(self, x):
            return (self.branch(x) + self.shortcut(x)).relu()

    pool = nn.MaxPool2d(2)
    parts: list[nn.Module] = []
    if name == "mlp":
        parts = [*dense(784, 64), *dense(64, 32), nn.Linear(32, 10)]
    elif name == "lenet5":
        parts = [*convolution(1, 32, 5), nn.ReLU(), pool, *convolution(32, 64, 5), nn.ReLU(), pool]
        parts += [nn.Flatten(), *dense(64 * 7 * 7, 512), nn.Linear(512, 10)]
    elif name == "vgg":
        channels = 3
        for outputs in (64, 128, 256):
            parts += [*convolution(channels, outputs, 3), nn.ReLU()]
            parts += [*convolution(outputs, outputs, 3), nn.ReLU(), pool]
            channels = outputs
        parts += [nn.Flatten(), *dense(256 * 4 * 4, 1024), nn.Linear(1024, 10)]
    else:
        parts = [*convolution(3, 16, 3), nn.ReLU(), Residual(16, 16, 1), Residual(16, 32, 2)]
        parts += [Residual(32, 64, 2), nn.AvgPool2d(8), nn.Flatten(), nn.Linear(64, 10)]
    return nn.Sequential(*parts).eval()


def multiplications(network: Network) -> int:
    """Multiply-adds of one sample."""
    total = 0
    for layer in network.layers:
        if isinstance(layer, Dense | Conv2d):
            positions = int(np.prod(network.tensors[layer.name].shape[:-1], initial=1))
            total += positions * layer.weight_count
    return total


def inputs(network: Network, count: int, seed: int = 0) -> np.ndarray:
    """Random codes of the input format in its own type."""
    source = network.inputs[0]
    rng = np.random.default_rng(seed)
    return rng.integers(
        source.format.lo, source.format.hi + 1, (count, *source.shape), source.format.dtype
    )


def main() -> None:
    """Print each network's multiply-adds and how far its tensors are from constant or saturated."""
    for build in NETWORKS.values():
        network = build()
        names = [la.name for la in network.layers if isinstance(la, Rescale)]
        taps = simulate(network, inputs(network, 32), taps=[*names, *network.outputs])
        print(f"{network.name}: {multiplications(network) / 1e6:.3f} M multiply-adds")
        for tap, values in taps.items():
            low, high = (values == 0).mean(), (values == CODES.hi).mean()
            print(
                f"  {tap:16} {len(np.unique(values)):6} values, {low:6.1%} zero, {high:6.1%} at the"
                f" top, spread over samples {values.std(axis=0).mean():8.1f}"
            )


if __name__ == "__main__":
    main()
