"""Transposed convolutions, slices, splits and blocks of ONNX, against onnxruntime."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tests.interop.onnx_graphs import Model, by_network, by_onnxruntime, imported
from tests.interop.test_onnx_operators import STEP, integers
from vecq_hw.interop import Imported, Unsupported, import_bytes
from vecq_hw.layers import Conv2d, Permute, Take


def same(content: bytes, *shape: int) -> Imported:
    """The network, whose outputs are all onnxruntime's."""
    x = np.random.default_rng(1).uniform(-2, 6, (5, *shape)).astype(np.float32)
    made = imported(content)
    for given, wanted in zip(by_network(made, x), by_onnxruntime(content, x), strict=True):
        assert given.shape == wanted.shape
        assert np.array_equal(given, wanted), int((given != wanted).sum())
        assert len(np.unique(wanted)) > 3
    return made


TRANSPOSED: dict[str, tuple[tuple[int, ...], dict[str, Any], bool]] = {
    "in phases": ((4, 3, 2, 4), {"strides": [2, 2]}, True),
    "in phases, cut": ((4, 3, 4, 4), {"strides": [2, 2], "pads": [1, 1, 0, 2]}, True),
    "in phases, more": ((4, 3, 3, 2), {"strides": [3, 2], "output_padding": [2, 1]}, True),
    "spread": ((4, 3, 3, 3), {"strides": [2, 2], "pads": [1, 0, 1, 2]}, False),
    "spread, more": ((4, 3, 3, 3), {"strides": [2, 3], "output_padding": [1, 2]}, False),
    "dilated": ((4, 3, 3, 2), {"strides": [1, 2], "dilations": [2, 3]}, False),
    "in groups": ((4, 3, 2, 2), {"strides": [2, 2], "group": 2}, False),
    "without a stride": ((4, 5, 3, 3), {"pads": [1, 1, 1, 1]}, False),
    "upper": ((4, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_UPPER"}, False),
    "lower": ((4, 3, 3, 3), {"strides": [2, 2], "auto_pad": "SAME_LOWER"}, False),
    "its output's shape": ((4, 3, 4, 4), {"strides": [2, 2], "output_shape": [9, 7]}, True),
}


@pytest.mark.parametrize("name", TRANSPOSED)
@pytest.mark.parametrize("biased", [False, True], ids=["", "bias"])
def test_transposed_convolutions(name: str, biased: bool):
    shape, attributes, in_phases = TRANSPOSED[name]
    m = Model(4, 4, 3)
    x = m.quantize("x", STEP, 7)
    outputs = shape[1] * attributes.get("group", 1)
    w = m.weights(integers(*shape), np.full(outputs, STEP) if outputs == shape[1] else STEP, axis=1)
    operands = [x, w]
    if biased:
        operands.append(m.constant(np.arange(outputs) * STEP**2 * 50))
    y = m.quantize(m("ConvTranspose", *operands, **attributes), 2.0**-4, 128)
    made = same(m.output(y), 4, 4, 3)
    kinds = {type(layer) for layer in made.network.layers}
    assert (Permute in kinds) == in_phases
    assert (Take in kinds) == (not in_phases and "strides" in attributes) or in_phases
    (sums,) = (layer for layer in made.network.layers if isinstance(layer, Conv2d))
    assert sums.stride == (1, 1)


def test_a_transposed_convolution_of_a_sequence():
    m = Model(3, 8)
    w = m.weights(integers(3, 4, 4), STEP)
    y = m("ConvTranspose", m.quantize("x", STEP, 7), w, strides=[2], pads=[1, 0])
    same(m.output(m.quantize(y, 2.0**-4, 128)), 3, 8)


def test_scales_of_the_outputs_of_a_transposed_convolution():
    m = Model(4, 4, 3)
    w = m.weights(integers(4, 3, 2, 2), [STEP, STEP / 4, 2 * STEP], axis=1)
    y = m("ConvTranspose", m.quantize("x", STEP, 7), w, strides=[2, 2])
    same(m.output(m.quantize(m("Relu", y), 2.0**-5)), 4, 4, 3)


MOVES: dict[str, Callable[[Model, str], str | tuple[str, ...]]] = {
    "rows from the end": lambda m, x: m(
        "Slice", x, *(m.constant([n], np.int64) for n in (-2, -(2**62), 2, -2))
    ),
    "channels and columns": lambda m, x: m(
        "Slice", x, m.constant([1, 0], np.int64), m.constant([99, -1], np.int64),
        m.constant([1, -1], np.int64),
    ),
    "all, the batch among it": lambda m, x: m(
        "Slice", x, m.constant([0, 2], np.int64), m.constant([2**62, 4], np.int64),
        m.constant([0, 2], np.int64),
    ),
    "blocks": lambda m, x: m("SpaceToDepth", x, blocksize=2),
    "blocks and back": lambda m, x: m("DepthToSpace", m("SpaceToDepth", x, blocksize=2),
                                      blocksize=2),
    "columns, rows, depth": lambda m, x: m(
        "DepthToSpace", m("Concat", x, x, x, x, axis=1), blocksize=2, mode="CRD"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("inside", [True, False], ids=["codes", "reals"])
def test_moves(name: str, inside: bool):
    """Between a quantizer and its dequantizer, or behind both."""
    m = Model(3, 8, 6)
    s, z = m.constant(STEP), m.constant(9, np.uint8)
    q = m("QuantizeLinear", "x", s, z)
    y = MOVES[name](m, q if inside else m("DequantizeLinear", q, s, z))
    y = m("DequantizeLinear", y, s, z) if inside else y
    same(m.output(m.quantize(m("Mul", y, m.constant(0.5)), STEP)), 3, 8, 6)


@pytest.mark.parametrize("how", ["equal", "attribute", "input", "rest"])
def test_splits(how: str):
    m = Model(7 if how == "rest" else 6, 5, 4)
    m.opset = {"attribute": 11, "rest": 18}.get(how, 13)
    sizes = {"attribute": {"split": [1, 2, 3]}, "rest": {"num_outputs": 3}}.get(how, {})
    more = [m.constant([3, 1, 2], np.int64)] if how == "input" else []
    m("Split", m.quantize("x", STEP, 3), *more, axis=1, outputs=3, **sizes)
    node = len(m.nodes) - 1
    a, b, c = (f"t{node}_{index}" for index in range(3))
    ends = [m.quantize(m("Relu", a), STEP), m.quantize(b, STEP * 2)]
    rows = m("Transpose", c, perm=[0, 2, 3, 1])
    m("Split", rows, m.constant([2, 3], np.int64), axis=1, outputs=2) if m.opset > 11 else None
    ends.append(m.quantize(c, STEP / 2))
    same(m.output(*ends), *((7 if how == "rest" else 6), 5, 4))


@pytest.mark.parametrize(
    ("operator", "constants", "attributes", "said"),
    [
        ("Split", ([1, 1],), {"axis": 1}, "into 1 parts of the sizes"),
        ("Split", (), {"axis": 0}, "one behind the batch"),
        ("Slice", ([0], [0], [1]), {}, "takes nothing"),
        ("Slice", ([0], [1], [7]), {}, "each once is wanted"),
        ("Slice", ([1], [2], [0]), {}, "out of the batch"),
        ("Slice", ([0], [2], [1], [0]), {}, "do not fit"),
        ("DepthToSpace", (), {"blocksize": 0}, "size 0"),
        ("DepthToSpace", (), {"blocksize": 2}, "do not divide 3 channels"),
        ("SpaceToDepth", (), {"blocksize": 5}, "do not divide 8 by 6"),
        ("ConvTranspose", (np.ones((3, 2, 2, 2)),), {"strides": [0, 1]}, "do not fit"),
        ("ConvTranspose", (np.ones((3, 2, 2, 2)),), {"strides": [2**40] * 2}, "at most 1048576"),
        ("ConvTranspose", (np.ones((3, 2, 2, 2)),), {"strides": [2**18] * 2}, "at most 1048576"),
        ("ConvTranspose", (np.ones((3, 2, 2, 2)),), {"pads": [9] * 4}, "pixels along an axis"),
        ("ConvTranspose", (np.ones((2, 2, 2, 2)),), {}, "3 are read"),
    ],
)
def test_what_cannot_be_moved_is_told(operator, constants, attributes, said):
    m = Model(3, 8, 6)
    kind = np.float32 if operator == "ConvTranspose" else np.int64
    given = [m.constant(one, kind) for one in constants]
    y = m(operator, m.quantize("x", STEP), *given, **attributes)
    with pytest.raises(Unsupported, match=said):
        import_bytes(m.output(m.quantize(y, STEP)))


def test_what_follows_a_refused_split_is_not_refused_for_it():
    m = Model(3, 8, 6)
    m("Split", m.quantize("x", STEP), axis=0, outputs=2)
    node = len(m.nodes) - 1
    ends = [m.quantize(m("Relu", f"t{node}_{index}"), STEP) for index in range(2)]
    with pytest.raises(Unsupported) as caught:
        import_bytes(m.output(*ends))
    assert [one.operator for one in caught.value.refusals] == ["Split"]
