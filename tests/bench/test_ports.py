"""The helper of every project: real values, codes, words and bytes of its two ends."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rtl_tests import networks
from rtl_tests.image_networks import image_network, vectors
from vecq_hw.bench.ports import load_ports, port_from_json
from vecq_hw.bench.words import slot_bits
from vecq_hw.emit import hls
from vecq_hw.emit.ports import port
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Input, Rescale
from vecq_hw.network import Network
from vecq_hw.schedule import AXIS_BITS, Schedule, check, default_schedule
from vecq_hw.simulate.reference import quantize_input
from vecq_hw.verify.rtl import emit


def network(fmt: IntFormat, step: float, shape: tuple[int, ...] = (6,)) -> Network:
    source = Input(name="x", shape=shape, format=fmt, step=step)
    one = np.ones(shape[-1], dtype=np.int64)
    rescale = Rescale(
        name="r", input="x", mantissa=one, offset=0 * one, shift=1, format=IntFormat(5, True)
    )
    return Network(name="n", inputs=(source,), layers=(rescale,), outputs=("r",))


@pytest.mark.parametrize("fmt", [IntFormat(8, False), IntFormat(3, True, -3, 2)])
@pytest.mark.parametrize("step", [1.0, 0.1, 1 / 3, 2.0**-20, 7e5])
def test_codes_are_those_of_the_numeric_contract(fmt: IntFormat, step: float) -> None:
    net = network(fmt, step, (2, 3, 2))
    end = port(net, "x", "s_axis", lanes=2)
    rng = np.random.default_rng(0)
    codes = rng.integers(fmt.lo - 3, fmt.hi + 3, (50, 2, 3, 2))
    ties = (codes + 0.5) * step
    for reals in (ties, np.nextafter(ties, -np.inf), rng.normal(0, 9 * step, ties.shape)):
        expected = quantize_input(net, reals)
        for frame, wanted in zip(reals, expected, strict=True):
            assert end.codes(frame) == end.codes(frame.tolist()) == wanted.ravel().tolist()
            assert (
                end.codes(frame.astype(np.float32))
                == quantize_input(net, frame[np.newaxis].astype(np.float32)).ravel().tolist()
            )
    exact = end.codes(np.arange(12) * step)
    assert end.codes(end.reals(exact)) == exact


def test_what_is_no_frame_is_refused() -> None:
    end = port(network(IntFormat(8, False), 0.5), "x", "s_axis", lanes=2)
    with pytest.raises(ValueError, match=r"stream s_axis: 6 numbers are wanted, not 2"):
        end.codes([0.5, 1])
    with pytest.raises(ValueError, match=r"stream s_axis: a number is NaN or infinite"):
        end.codes([0.5, float("nan"), 1, 1, 1, 1])


@pytest.mark.parametrize("bits", [1, 2, 7, 8, 9, 16, 17, 33])
@pytest.mark.parametrize("axis_bits", [None, 64, 128, 1024])
@pytest.mark.parametrize("signed", [False, True])
def test_memory_holds_an_array_of_integers(bits: int, axis_bits: int | None, signed: bool) -> None:
    fmt = IntFormat(bits, signed)
    net = network(fmt, 1.0, (30,))
    end = port(net, "x", "s", lanes=3)
    if axis_bits is not None:
        slot = slot_bits(bits)
        lanes, widths = axis_bits // slot, {"slot_bits": slot, "word_bits": axis_bits}
        end = port(net, "x", "s", lanes=lanes, keep=True, **widths)
    codes = np.random.default_rng(bits).integers(fmt.lo, fmt.hi, 30, endpoint=True)
    words = end.pack(codes.tolist())
    assert len(words) == end.words
    assert end.unpack(words) == codes.tolist()
    memory = end.to_bytes(words)
    assert len(memory) == end.frame_bytes
    assert end.from_bytes(memory) == words
    if axis_bits is not None:
        kind = f"<{'i' if signed else 'u'}{slot // 8}"
        assert np.frombuffer(memory, kind).tolist() == codes.tolist()
        full, last = end.keeps
        counted = full.bit_count() * (end.words - 1) + last.bit_count()
        assert counted == len(memory)


@pytest.mark.parametrize("axis_bits", [None, 128])
def test_the_manifest_and_the_copy_need_nothing_but_python(
    axis_bits: int | None, tmp_path: Path, alone: dict[str, str]
) -> None:
    net, schedule = image_network("depthwise")
    data = vectors(net, 2)
    chosen = Schedule(folds=schedule.folds, axis_bits=axis_bits)
    folder = emit(net, chosen, data).write(tmp_path / "p")
    code = (
        "from vecq_bench.ports import load_ports; import json, sys;"
        "source, target = load_ports('manifest.json');"
        "codes = json.load(sys.stdin);"
        "print(json.dumps([source.pack(source.codes(source.reals(codes))), target.step]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=alone,
        input=json.dumps(data.inputs[0].ravel().tolist()),
        capture_output=True,
        text=True,
        check=True,
    )
    source, _ = load_ports(folder / "manifest.json")
    words, step = json.loads(done.stdout)
    assert words == source.pack(data.inputs[0].ravel().tolist())
    assert step == net.tensors[net.outputs[0]].step
    readme = (folder / "README.md").read_text()
    assert f"| step: the real value of code 1 | {net.inputs[0].step} |" in readme
    assert f"| bits of a word | {source.word_bits} |" in readme
    assert ("TKEEP marks the bytes" in readme) == (axis_bits is not None)


def test_widths_that_do_not_do_are_refused() -> None:
    net = network(IntFormat(33, True), 1.0)
    folds = default_schedule(net).folds
    with pytest.raises(VecqError, match="Streams of 24 bits were asked for; use 8, 16, 32, "):
        check(net, Schedule(folds=folds, axis_bits=24))
    with pytest.raises(VecqError, match=r"'x': an element of 33 bits does not fit .* use 64"):
        check(net, Schedule(folds=folds, axis_bits=32))
    for axis_bits in AXIS_BITS[3:]:
        check(net, Schedule(folds=folds, axis_bits=axis_bits))


@pytest.mark.parametrize("axis_bits", [None, 32, 256])
def test_the_same_host_serves_rtl_and_hls(axis_bits: int | None) -> None:
    net, data = networks.network(0), vectors(networks.network(0), 1)
    chosen = Schedule(folds=networks.schedule(0).folds, axis_bits=axis_bits)
    manifests = [
        json.loads(make(net, chosen, data).files["manifest.json"]) for make in (emit, hls.emit)
    ]
    assert manifests[0]["input"] == manifests[1]["input"]
    assert manifests[0]["output"] == manifests[1]["output"]


def test_a_port_survives_json() -> None:
    end = port(network(IntFormat(9, True), 0.1), "r", "m_axis", lanes=3)
    assert port_from_json(json.loads(json.dumps(end.to_json()))) == end
