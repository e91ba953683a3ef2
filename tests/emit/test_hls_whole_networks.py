"""Whole networks, every layer's integers beside the simulator's; those of real size at night."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from benchmarks import networks
from tests.hls_networks import Builder, Calibrated, Case, case_of
from tests.hls_programs import compared_layers, run_together
from tests.hls_trained import BITS, KINDS, digits, images, trained
from tests.shares import nightly
from tests.text_networks import text
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import AP_TYPES
from vecq_hw.verify import hls

pytestmark = pytest.mark.needs_cxx


def lenet(bits: int) -> Builder:
    net = Calibrated(f"lenet{bits}", (12, 12, 1), bits)
    net.conv(8, bits, (5, 5), padding=(2, 2)).norm().pool((2, 2), (2, 2))
    net.conv(8, bits, (5, 5), padding=(2, 2)).norm().pool((2, 2), (2, 2))
    return net.flatten().dense(16, bits).norm().dense(10, bits)


def vgg(bits: int) -> Builder:
    net = Calibrated(f"vgg{bits}", (8, 8, 3), bits)
    for channels in (8, 16):
        net.conv(channels, bits, (3, 3), padding=(1, 1)).norm()
        net.conv(channels, bits, (3, 3), padding=(1, 1)).norm().pool((2, 2), (2, 2))
    return net.flatten().dense(16, bits).norm().dense(10, bits)


def resnet(bits: int) -> Builder:
    net = Calibrated(f"resnet{bits}", (10, 10, 3), bits)
    net.conv(8, bits, (3, 3), padding=(1, 1)).norm()
    for channels, stride in ((8, 1), (16, 2)):
        entry = shortcut = len(net.layers) - 1
        if stride > 1:
            net.conv(channels, bits, (1, 1), (stride, stride)).norm(128)
            shortcut = len(net.layers) - 1
        net.branch(entry).conv(channels, bits, (3, 3), (stride, stride), (1, 1)).norm()
        net.conv(channels, bits, (3, 3), padding=(1, 1)).norm(128).add(shortcut).norm()
    return net.sum((5, 5), (5, 5)).norm(128).flatten().dense(10, bits)


def depthwise(bits: int, size: int = 10, width: int = 8) -> Builder:
    """Blocks as those of MobileNet: a kernel for each channel, then a mix of the channels."""
    net = Calibrated(f"depthwise{bits}", (size, size, 3), bits)
    net.conv(width, bits, (3, 3), (2, 2), (1, 1)).norm()
    for stride in (1, 2):
        channels = net.tensor.shape[-1]
        net.conv(channels, bits, (3, 3), (stride, stride), (1, 1), groups=channels).norm()
        net.conv(2 * channels, bits, (1, 1)).norm()
    side = net.tensor.shape[0]
    return net.sum((side, side), (side, side)).norm(128).flatten().dense(10, bits)


Record = Callable[[str, object], None]


def assert_equal(
    cases: list[Case], folder: Path, *flags: str, record: Record = lambda *_: None
) -> None:
    """No integer of any layer of any case differs."""
    compared = different = 0
    for index, outputs in enumerate(run_together(cases, folder, *flags)):
        case = cases[index]
        counts = compared_layers(case, folder / str(index))
        compared += sum(count for count, _ in counts.values())
        different += sum(wrong for _, wrong in counts.values())
        assert {name: wrong for name, (_, wrong) in counts.items() if wrong} == {}
        assert np.array_equal(outputs, case.vectors.outputs.reshape(outputs.shape))
        assert len(np.unique(outputs)) > 40, f"{case.network.name}: the outputs hardly change"
    record("images", sum(len(case.vectors.inputs) for case in cases))
    record("integers", compared)
    record("mismatches", different)


@pytest.mark.parametrize(
    "builders",
    [[(lenet, 4), (depthwise, 2), (text, 2)], nightly([(vgg, 1), (resnet, 2)])]
    + [nightly([(build, bits) for bits in (1, 2, 4)]) for build in (lenet, vgg, resnet, depthwise)],
)
def test_small_networks(tmp_path: Path, builders) -> None:
    assert_equal([build(bits).case(20) for build, bits in builders], tmp_path, "-O0")


def real_size(kind: str, bits: int, monkeypatch: pytest.MonkeyPatch) -> Network:
    if kind == "depthwise":
        return depthwise(bits, 32, 16).network()

    def weights(self, *shape: int) -> Weights:
        grid = MidRise(bits)
        codes = np.floor(self.rng.normal(0, 2.0 ** (bits - 2), shape))
        fmt = grid.code_format
        return Weights(codes=np.clip(codes, fmt.lo, fmt.hi).astype(np.int16), grid=grid)

    monkeypatch.setattr(networks._Builder, "weights", weights)
    return networks.NETWORKS[kind]()


@pytest.mark.nightly
@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("kind", ["lenet5", "vgg", "resnet8", "depthwise"])
def test_networks_of_real_size(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    record_property: Record,
    kind: str,
    bits: int,
) -> None:
    network = real_size(kind, bits, monkeypatch)
    assert_equal([case_of(network, "n_", 24, bits)], tmp_path, "-O2", record=record_property)


@pytest.mark.nightly
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", KINDS)
def test_trained_networks_on_1000_digits(
    tmp_path: Path, record_property: Record, kind: str, bits: int
) -> None:
    network = trained(kind, bits)
    x = images(network, 1000)
    assert len(x) == 1000
    case = Case(network, default_schedule(network), Vectors(inputs=x, outputs=simulate(network, x)))
    record_property("data", f"{digits().name}, 28 × 28")
    assert_equal([case], tmp_path, "-O2", record=record_property)
    shutil.rmtree(tmp_path)  # every layer's integers


@pytest.mark.nightly
def test_resnet18_is_emitted_and_compiled(tmp_path: Path, record_property: Record) -> None:
    """11.7 M weights: time and memory of emission, size of files, time of each compilation."""
    command = [sys.executable, "-m", "tests.emit.hls_resnet18", str(tmp_path)]
    emitted = subprocess.run(command, capture_output=True, text=True, check=True)
    figures = json.loads(emitted.stdout)
    before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
    make = ["make", "build/test", f"AP_TYPES={AP_TYPES.find()}"]
    environment = {key: value for key, value in os.environ.items() if "MAKE" not in key}
    subprocess.run(make, cwd=tmp_path, env=environment, check=True, capture_output=True)
    seconds = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before
    record_property("images", 1)
    record_property("figures", json.dumps({**figures, "compile_cpu_seconds": round(seconds, 1)}))
    outputs = hls.run(tmp_path)
    expected = np.loadtxt(tmp_path / "vectors" / "outputs.txt", dtype=np.int64)
    assert np.array_equal(outputs.ravel(), expected)
    assert len(np.unique(outputs)) > 100
    assert figures["weights"] == 11_678_912
    assert figures["emission_seconds"] < 30
    assert figures["peak_mb"] < 4000
    assert figures["largest_file_mb"] < 10
    assert seconds < 60
