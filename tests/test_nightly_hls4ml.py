"""Whole networks, every back end and strategy, random graphs: too long for each change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks import networks
from tests.hls4ml_networks import branches, inputs
from tests.hls_networks import cnn, mlp
from tests.strategies import graphs
from vecq_hw import data
from vecq_hw.emit import hls4ml
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import IntArray, MidRise
from vecq_hw.network import Conv2d, Network, SumPool2d, Weights
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.verify import hls as runner
from vecq_hw.verify.hls4ml import trace

pytestmark = [pytest.mark.nightly, pytest.mark.needs_cxx]


@pytest.fixture
def bits(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """The networks of the benchmarks get weights of this width; rescales follow by themselves."""
    width = int(request.param)
    least = 1 << (width - 1)

    def weights(self: networks._Builder, *shape: int) -> Weights:
        codes = np.floor(self.rng.normal(0, max(least / 2, 1), shape)).clip(-least, least - 1)
        return Weights(codes=codes.astype(np.int16), grid=MidRise(width))

    monkeypatch.setattr(networks._Builder, "weights", weights)
    return width


def depthwise_network() -> Network:
    """Depthwise and pointwise convolutions in turn, an average, a dense layer."""
    net = networks._Builder("separable", (32, 32, 3))
    net.convolution("conv0", "x", 16, 3, 2)
    for index, (outputs, stride) in enumerate(((32, 1), (64, 2), (64, 1)), 1):
        channels = net.network().tensors[net.last].shape[-1]
        name = f"depthwise{index}"
        net.append(
            Conv2d(
                name=name,
                input=net.last,
                weights=net.weights(channels, 3, 3, 1),
                stride=(stride, stride),
                padding=(1, 1),
                groups=channels,
            )
        )
        net.rescale(f"{name}_rescale", name)
        net.convolution(f"pointwise{index}", net.last, outputs, 1)
    net.append(SumPool2d(name="pool", input=net.last, kernel=(8, 8), stride=(8, 8)))
    net.rescale("average", "pool")
    net.flatten()
    net.dense("fc", 10, rescaled=False)
    return net.network()


def digits(count: int) -> IntArray:
    """Real digits as codes, 28 × 28."""
    images = data.load("digits").x_test[:count].reshape(-1, 8, 8)
    large = np.kron(np.rint(images * 255).astype(np.int64), np.ones((3, 3), np.int64))
    return np.pad(large, ((0, 0), (2, 2), (2, 2)))[..., np.newaxis]


def exact(network: Network, x: IntArray, folder: Path) -> bool:
    vectors = Vectors(inputs=x, outputs=simulate(network, x))
    hls4ml.emit(network, default_schedule(network), vectors).write(folder)
    assert len(np.unique(vectors.outputs)) > 20
    return np.array_equal(runner.run(folder), vectors.outputs.reshape(len(x), -1))


@pytest.mark.parametrize("bits", [1, 2, 4, 8], indirect=True)
@pytest.mark.parametrize("name", ["mlp", "lenet5"])
def test_200_digits(tmp_path: Path, name: str, bits: int) -> None:
    network = networks.NETWORKS[name]()
    x = digits(200)
    assert exact(network, x.reshape(200, -1) if name == "mlp" else x, tmp_path)


@pytest.mark.parametrize("bits", [1, 2, 4], indirect=True)
@pytest.mark.parametrize(
    "build", [networks.vgg, networks.resnet8, depthwise_network], ids=lambda build: build.__name__
)
def test_every_layer_of_whole_networks(build, bits: int) -> None:
    network = build()
    assert hls4ml.natural_io_type(network) == "io_stream"
    x = networks.inputs(network, 5)
    traced = trace(network, x)
    for name, expected in simulate(network, x, taps=list(traced)).items():
        assert np.array_equal(traced[name], expected), name


STRATEGIES = [
    ("Vivado", "Latency"),
    ("Quartus", "Resource"),
    ("Catapult", "Latency"),
    ("Vitis", "Resource"),
    ("Vitis", "distributed_arithmetic"),
]
BUILDERS = {"mlp": lambda: mlp("m", 2).network(), "cnn": lambda: cnn("c", 1).network()}


@pytest.mark.parametrize("io_type", hls4ml.IO_TYPES)
@pytest.mark.parametrize(("backend", "strategy"), STRATEGIES)
@pytest.mark.parametrize("name", [*BUILDERS, "branches"])
def test_back_ends_and_strategies(
    tmp_path: Path, name: str, backend: str, strategy: str, io_type: str
) -> None:
    if name == "branches" and (backend, io_type) in hls4ml._NO_DEPTHWISE:
        pytest.skip("refused")
    network = branches(2) if name == "branches" else BUILDERS[name]()
    model = hls4ml.convert(
        network, output_dir=tmp_path, io_type=io_type, backend=backend, strategy=strategy
    )
    model.compile()
    x = inputs(network)
    outputs = model.predict(np.ascontiguousarray(x, dtype=np.float64))
    assert np.array_equal(outputs.reshape(len(x), -1), simulate(network, x).reshape(len(x), -1))


@seed(0)
@settings(
    max_examples=12,
    deadline=None,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(graphs().filter(lambda network: hls4ml.unsupported(network) is None))
def test_random_graphs(network: Network) -> None:
    x = inputs(network, 20)
    taps = [layer.name for layer in network.layers]
    traced = trace(network, x)
    for name, expected in simulate(network, x, taps=taps).items():
        assert np.array_equal(traced[name], expected), name
