"""Whole networks, every back end and strategy, random graphs: too long for each change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings

from benchmarks import networks
from tests.hls4ml_networks import branches, inputs
from tests.hls_networks import cnn, mlp
from tests.hls_trained import BITS, KINDS, digits, images, trained
from tests.strategies import graphs
from vecq_hw.emit import hls4ml
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, MidRise
from vecq_hw.layers import Conv2d, SumPool2d, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
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


Record = Callable[[str, object], None]


def assert_every_layer(
    network: Network, x: IntArray, record: Record, io_type: str | None = None
) -> None:
    """Every layer of hls4ml's C simulation is the simulator's tap."""
    traced = trace(network, x, io_type=io_type)
    taps = simulate(network, x, taps=list(traced))
    record("images", len(x))
    record("integers", sum(tap.size for tap in taps.values()))
    record("mismatches", sum(int((traced[name] != tap).sum()) for name, tap in taps.items()))
    for name, tap in taps.items():
        assert np.array_equal(traced[name], tap), name
    assert len(np.unique(taps[network.outputs[0]])) > 20


@pytest.mark.parametrize("io_type", hls4ml.IO_TYPES)
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", KINDS)
def test_trained_networks_on_200_digits(
    record_property: Record, kind: str, bits: int, io_type: str
) -> None:
    network = trained(kind, bits)
    record_property("data", f"{digits().name}, 28 × 28")
    assert_every_layer(network, images(network, 200), record_property, io_type)


@pytest.mark.parametrize("bits", [1, 2, 4], indirect=True)
@pytest.mark.parametrize(
    "build", [networks.vgg, networks.resnet8, depthwise_network], ids=lambda build: build.__name__
)
def test_every_layer_of_whole_networks(build, bits: int, record_property: Record) -> None:
    network = build()
    assert hls4ml.natural_io_type(network) == "io_stream"
    assert_every_layer(network, networks.inputs(network, 5), record_property)


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
    network = branches(2) if name == "branches" else BUILDERS[name]()
    options = {"io_type": io_type, "backend": backend, "strategy": strategy}
    if name == "branches" and (backend, io_type) in hls4ml._NO_DEPTHWISE:
        with pytest.raises(VecqError, match="depthwise"):
            hls4ml.convert(network, output_dir=tmp_path, **options)
        return
    model = hls4ml.convert(network, output_dir=tmp_path, **options)
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
