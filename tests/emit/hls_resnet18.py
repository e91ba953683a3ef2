"""ResNet-18 at ImageNet shapes, 2-bit weights: emits its project and says what that took.

python -m tests.emit.hls_resnet18 FOLDER
"""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path

import numpy as np

from vecq_hw.emit import hls
from vecq_hw.emit.project import Vectors
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
    Tensor,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate

U8 = IntFormat(8, signed=False)


class _Builder:
    """Random codes; rescales that spread sums, taken as random walks, over the format."""

    def __init__(self) -> None:
        self.rng = np.random.default_rng(18)
        self.input = Input(name="image", shape=(224, 224, 3), format=U8)
        self.layers: list[Layer] = []
        self.tensors = {"image": Tensor(shape=self.input.shape, format=U8, step=1.0)}

    def append(self, layer: Layer) -> str:
        sources = [self.tensors[name] for name in layer.inputs]
        self.tensors[layer.name] = layer.output(*sources)
        self.layers.append(layer)
        return layer.name

    def weights(self, *shape: int) -> Weights:
        return Weights(codes=self.rng.integers(-2, 2, shape), grid=MidRise(2))

    def rescale(self, source: str, spread: float, zero: int) -> str:
        channels = self.tensors[source].shape[-1]
        scale = 80 / spread * self.rng.uniform(0.8, 1.2, channels)
        shift = 16 - int(np.ceil(np.log2(scale.max())))
        mantissa = np.rint(np.ldexp(scale, shift)).astype(np.int64)
        offset = np.full(channels, zero << shift)
        return self.append(
            Rescale(
                name=f"{source}_rescale",
                input=source,
                mantissa=mantissa,
                offset=offset,
                shift=shift,
                format=U8,
            )
        )

    def convolution(
        self, name: str, source: str, outputs: int, size: int, stride: int, zero: int = 30
    ) -> str:
        channels = self.tensors[source].shape[-1]
        self.append(
            Conv2d(
                name=name,
                input=source,
                weights=self.weights(outputs, size, size, channels),
                stride=(stride, stride),
                padding=(size // 2, size // 2),
            )
        )
        return self.rescale(name, 150 * np.sqrt(size * size * channels), zero)


def resnet18() -> Network:
    """He et al., *Deep Residual Learning*, Table 1: 11.7 M weights; the shortcuts are projected."""
    net = _Builder()
    last = net.convolution("conv1", "image", 64, 7, 2)
    last = net.append(
        MaxPool2d(name="pool1", input=last, kernel=(3, 3), stride=(2, 2), padding=(1, 1))
    )
    for stage, outputs in enumerate((64, 128, 256, 512), 2):
        for block in (1, 2):
            stride = 2 if stage > 2 and block == 1 else 1
            name = f"conv{stage}_{block}"
            branch = net.convolution(f"{name}a", last, outputs, 3, stride)
            branch = net.convolution(f"{name}b", branch, outputs, 3, 1, zero=128)
            if stride > 1:
                last = net.convolution(f"{name}s", last, outputs, 1, stride, zero=128)
            net.append(Add(name=f"{name}_add", inputs=(branch, last)))
            last = net.rescale(f"{name}_add", 160, -100)
    net.append(SumPool2d(name="pool5", input=last, kernel=(7, 7), stride=(7, 7)))
    last = net.rescale("pool5", 49 * 80, 0)
    net.append(Flatten(name="flatten", input=last))
    net.append(Dense(name="fc", input="flatten", weights=net.weights(1000, 512)))
    layers = tuple(net.layers)
    return Network(name="resnet18", inputs=(net.input,), layers=layers, outputs=("fc",))


def main(folder: Path) -> None:
    network = resnet18()
    x = np.random.default_rng(0).integers(0, 256, (1, *network.inputs[0].shape))
    vectors = Vectors(inputs=x, outputs=simulate(network, x))
    schedule = default_schedule(network)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    project = hls.emit(network, schedule, vectors)
    project.write(folder)
    seconds = time.perf_counter() - start
    weights = sum(la.weight_count for la in network.layers if isinstance(la, Conv2d | Dense))
    print(
        json.dumps(
            {
                "weights": weights,
                "emission_seconds": round(seconds, 2),
                "peak_mb_before": before // 1024,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "largest_file_mb": round(max(map(len, project.files.values())) / 1e6, 2),
                "all_files_mb": round(sum(map(len, project.files.values())) / 1e6, 2),
            }
        )
    )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
