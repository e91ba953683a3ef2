"""Every tensor that a file has as well, beside what its own executor gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("tflite")

from tests.interop.onnx_graphs import Model
from tests.interop.test_tflite_walk import CONV, Chain
from vecq_hw.interop import Imported, import_bytes
from vecq_hw.layers import Rescale
from vecq_hw.verify.source import tap_comparisons


def apart(content: bytes, made: Imported, count: int = 5) -> dict[str, tuple[int, int]]:
    """Codes and differing codes of each tap, by its name in the file."""
    rng = np.random.default_rng(0)
    codes = {
        one.name: rng.integers(one.format.lo, one.format.hi + 1, (count, *one.shape))
        for one in made.network.inputs
    }
    rows = tap_comparisons(content, made.network, made.report, codes)
    assert [row.output for row in rows] == [tap.name for tap in made.report.taps]
    sources = [tap.source for tap in made.report.taps]
    pairs = zip(sources, rows, strict=True)
    return {source: (row.codes, row.differing) for source, row in pairs}


def changed(made: Imported, name: str) -> Imported:
    """With another offset in a Rescale."""
    layers = tuple(
        replace(layer, offset=layer.offset + (1 << layer.shift)) if layer.name == name else layer
        for layer in made.network.layers
    )
    return replace(made, network=replace(made.network, layers=layers))


@pytest.mark.parametrize("semantics", ["ruy", "xnnpack", "reference"])
def test_every_tensor_of_a_tflite_file(semantics):
    m = Chain(21)
    x = m.codes((7, 6, 3))
    strided = CONV | {"StrideH": 2, "StrideW": 2}
    a = m.mac("CONV_2D", x, (4, 3, 5), m.draw(5, 3, 3, 3), 0, 1, **strided)
    b = m.mac("CONV_2D", a, (4, 3, 5), m.draw(5, 3, 3, 5), 0, 0, **CONV)
    s = float(np.float32(m.scales[a] + m.scales[b]))
    y = m.codes((4, 3, 5), s=s, z=-20)
    m.node("ADD", [a, b], [y], FusedActivationFunction=1)
    content = m.file([x], [y])
    made = import_bytes(content, semantics=semantics)
    assert sorted(apart(content, made).values()) == [(300, 0)] * 3


def test_a_change_shows_where_it_is_and_behind_it_alone():
    m = Chain(3)
    x = m.codes((6,))
    a = m.mac("FULLY_CONNECTED", x, (5,), m.draw(5, 6), 0, 0)
    b = m.mac("FULLY_CONNECTED", a, (4,), m.draw(4, 5), 0, 0)
    c = m.mac("FULLY_CONNECTED", b, (3,), m.draw(3, 4), 0, 0)
    content = m.file([x], [c])
    made = import_bytes(content)
    second = [layer.name for layer in made.network.layers if isinstance(layer, Rescale)][1]
    found = [wrong for _, wrong in apart(content, changed(made, second)).values()]
    assert found[0] == 0
    assert min(found[1:]) > 0


def test_axes_in_another_order_and_codes_of_both_kinds():
    """Codes in front of a transpose and behind it; pools that waited; a clip."""
    m = Model(3, 6, 4)
    x = m.quantize("x", 0.25, 3)
    y = m("Conv", x, m.weights(np.arange(-27, 27).reshape(2, 3, 3, 3), 0.125), pads=[1] * 4)
    z = m.quantize(m("MaxPool", m("Relu", y), kernel_shape=[2, 2]), 4.0)
    t = m.quantize(m("Transpose", m("Mul", z, m.constant(1.5)), perm=[0, 3, 1, 2]), 4.0, 7)
    content = m.output(m.quantize(m("Relu", t), 8.0))
    made = import_bytes(content)
    found = apart(content, made)
    assert len(found) >= 3
    assert all(wrong == 0 for _, wrong in found.values())
    assert any(tap.order not in (None, (2, 0, 1)) for tap in made.report.taps)


def test_the_quantizers_of_qonnx():
    m = Model(2, 5, 5)
    x = m.quant("x", 0.5, 4)
    w = m.quant(m.constant(np.arange(-18, 18).reshape(2, 2, 3, 3) / 9), 0.25, 3, signed=1)
    y = m.quant(m("Relu", m("Conv", x, w)), 0.5, 4)
    content = m.output(m.quant(m("Mul", y, m.constant(0.75)), 0.25, 5))
    found = apart(content, import_bytes(content))
    assert len(found) >= 2
    assert all(wrong == 0 for _, wrong in found.values())
