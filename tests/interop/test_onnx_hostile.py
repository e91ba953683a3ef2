"""Files that are damaged or meant to harm: one sentence each, nothing allocated, nothing opened."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.interop.onnx_graphs import QONNX, Model
from vecq_hw.errors import VecqError
from vecq_hw.interop import Unsupported, import_bytes, import_file


def small() -> Model:
    return Model(3, 4, 4)


def dense(m: Model, x: str, out: int = 2) -> str:
    return m("MatMul", m("Flatten", x), m.weights(np.ones((48, out), np.int64), 0.5))


def plain() -> onnx.ModelProto:
    m = small()
    return onnx.load_model_from_string(m.output(m.quantize(dense(m, m.quantize("x", 0.5)), 1.0)))


def refused(content: bytes) -> str:
    """The sentence."""
    with pytest.raises(VecqError) as caught:
        import_bytes(content)
    said = str(caught.value)
    assert said.isprintable()
    assert "Traceback" not in said
    return said


def scaled(scale: object, zero: object = 0.0, bits: object = 4.0, **attributes) -> bytes:
    m = small()
    x = m("Quant", "x", m.constant(scale), m.constant(zero), m.constant(bits), domain=QONNX,
          **({"signed": 0, "narrow": 0, "rounding_mode": "ROUND"} | attributes))  # fmt: skip
    return m.output(m.quant(dense(m, x), 1.0, 4))


QUANTIZERS: dict[str, tuple[Callable[[], bytes], str]] = {
    "a zero scale": (lambda: scaled(0.0), "its scale is 0.0; a positive finite number"),
    "a negative scale": (lambda: scaled(-1.0), "its scale is -1.0; a positive"),
    "an infinite scale": (lambda: scaled(np.inf), "its scale is inf; a positive"),
    "a scale that is NaN": (lambda: scaled(np.nan), "holds NaN; numbers are wanted"),
    "scales of pixels": (lambda: scaled(np.ones((1, 1, 4, 4))), "one number is wanted"),
    "no bits": (lambda: scaled(1.0, bits=0.0), "its bit width is 0.0; 1 to 32"),
    "33 bits": (lambda: scaled(1.0, bits=33.0), "its bit width is 33.0; 1 to 32"),
    "two and a half bits": (lambda: scaled(1.0, bits=2.5), "its bit width is 2.5; 1 to 32 whole"),
    "bits of each channel": (lambda: scaled(1.0, bits=[[4.0, 3.0]]), "one number is wanted"),
    "a broken zero point": (lambda: scaled(1.0, zero=0.25), "its zero point is 0.25"),
    "a zero point beyond": (lambda: scaled(1.0, zero=1e30), "at most 32 bits is wanted"),
    "narrow codes of 1 bit": (lambda: scaled(1.0, bits=1.0, narrow=1), "have no two levels"),
    "an unknown rounding": (lambda: scaled(1.0, rounding_mode="\n'x"), "its rounding mode is"),
}


@pytest.mark.parametrize("name", QUANTIZERS)
def test_quantizers_that_make_no_sense(name: str):
    content, wanted = QUANTIZERS[name]
    assert wanted in refused(content())


def test_scales_of_a_wrong_length():
    m = small()
    w = m.weights(np.ones((4, 3, 2, 2), np.int64), [0.5, 0.5, 0.5])
    said = refused(m.output(m.quantize(m("Conv", m.quantize("x", 1.0), w), 1.0)))
    assert "its inputs or attributes do not fit each other" in said


def test_a_zero_point_that_two_nodes_read_differently():
    m = small()
    q = m("QuantizeLinear", "x", m.constant(1.0), m.constant(3, np.uint8))
    y = m("DequantizeLinear", q, m.constant(1.0), m.constant(4, np.uint8))
    assert "zero point is 3 as if it were 4" in refused(m.output(m.quantize(dense(m, y), 1.0)))


def test_a_quantizer_of_a_quantizer_is_one_layer_more_or_none():
    m = small()
    x = m.quant(m.quant(m.quant("x", 0.5, 4), 0.5, 5), 0.25, 3)
    made = import_bytes(m.output(m.quant(dense(m, x), 1.0, 4)))
    assert len(made.network.layers) == 4 + 1 - 1


def test_weights_that_are_an_input():
    m = small()
    m.inputs.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [48, 2]))
    y = m("MatMul", m("Flatten", m.quantize("x", 1.0)), "w")
    assert "its weight is no constant" in refused(m.output(m.quantize(y, 1.0)))


def test_all_that_cannot_be_taken_is_told_at_once():
    m = small()
    x = m("Softmax", m.quantize("x", 0.5), name="soft")
    y = m("Erf", m("Relu", x, name="relu"), name="erf")
    z = m("Foo", y, name="foo\n\"'; drop", domain="org.nobody")
    with pytest.raises(Unsupported) as caught:
        import_bytes(m.output(m("Einsum", z, equation="i->i", name="sums")))
    operators = [one.operator for one in caught.value.refusals]
    assert operators == ["Relu", "Erf", "Foo", "Einsum"]
    said = str(caught.value)
    assert "4 nodes cannot be imported" in said
    assert "org.nobody" in said
    assert "\n" not in said


def test_two_outputs_unused_constants_and_names_used_twice_are_fine():
    m = small()
    m.constant(np.zeros(5))
    x = m.quantize("x", 0.5)
    one = m.quantize(m("MatMul", m("Flatten", x, name="n"), m.weights(np.ones((48, 2), int), 0.5),
                       name="n"), 1.0)  # fmt: skip
    two = m.quantize(m("MatMul", m("Flatten", x, name="n"), m.weights(np.ones((48, 3), int), 0.5),
                       name="n"), 1.0)  # fmt: skip
    made = import_bytes(m.output(one, two))
    assert len(made.network.outputs) == 2
    assert len({layer.name for layer in made.network.layers}) == len(made.network.layers)


def test_names_reach_no_generated_file_as_they_are():
    m = small()
    x = m.quantize("x", 0.5)
    weights = m.weights(np.ones((48, 2), int), 0.5)
    y = m("MatMul", m("Flatten", x), weights, name='a"*/\n`include "b";\\')
    made = import_bytes(m.output(m.quantize(y, 1.0)), name="n\n*/")
    for name in (made.network.name, *made.network.tensors):
        assert all(letter.isalnum() or letter in "_.-" for letter in name)


def test_a_tensor_where_numbers_are_wanted_is_told_on_one_line():
    m = small()
    pads = helper.make_tensor("", TensorProto.INT16, [4, 3], range(12))
    weights = m.weights(np.ones((3, 3, 2, 2), int), 0.5)
    content = m.output(m.quantize(m("Conv", m.quantize("x", 0.5), weights, pads=pads), 1.0))
    assert "Conv" in refused(content)


def test_a_batch_and_sizes_that_are_left_open():
    m = Model(3, 4, 4, batch=8)
    assert import_bytes(m.output(m.quantize(dense(m, m.quantize("x", 0.5)), 1.0))).network
    made = plain()
    made.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "H"
    assert "leaves sizes open" in refused(made.SerializeToString())
    made.graph.input[0].type.tensor_type.ClearField("shape")
    assert "is no tensor with a shape" in refused(made.SerializeToString())


def test_many_nodes_in_a_row_take_no_recursion():
    m = small()
    x = m.quantize("x", 0.5)
    for _ in range(10_000):
        x = m("Identity", x)
    assert import_bytes(m.output(m.quantize(dense(m, x), 1.0))).network


def test_subgraphs_and_functions():
    made = plain()
    inner = helper.make_graph([], "inner", [], [])
    node = helper.make_node("If", ["c"], ["i"], then_branch=inner, else_branch=inner, name="if")
    made.graph.initializer.append(helper.make_tensor("c", TensorProto.BOOL, [], [True]))
    made.graph.node.append(node)
    assert "the operator If is not known" in refused(made.SerializeToString())


@pytest.mark.parametrize(("version", "said"), [(0, "is 0;"), (999, "is 999;"), (None, "not given")])
def test_operator_sets_that_nobody_has(version: int | None, said: str):
    made = plain()
    del made.opset_import[:]
    if version is not None:
        made.opset_import.append(helper.make_opsetid("", version))
    assert f"its opset {'is ' * ('given' in said)}{said}" in refused(made.SerializeToString())


def test_an_empty_file_and_one_that_is_cut_short(tmp_path):
    assert "holds no nodes" in refused(b"")
    content = plain().SerializeToString()
    for end in range(1, len(content), 7):
        refused(content[:end])
    (tmp_path / "model.onnx").write_bytes(b"\x08\x07 is no model")
    with pytest.raises(VecqError, match=r"model\.onnx'"):
        import_file(tmp_path / "model.onnx")
    with pytest.raises(VecqError, match="cannot be read"):
        import_file(tmp_path / "missing.onnx")
    with pytest.raises(VecqError, match="cannot be read"):
        import_file(tmp_path)


@pytest.mark.parametrize("place", ["../secret", "/etc/passwd", "missing"])
def test_data_in_other_files_are_not_opened(place: str):
    made = plain()
    tensor = made.graph.initializer[-1]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=place)
    assert "lies in another file, which is not opened" in refused(made.SerializeToString())


def test_shapes_that_promise_more_than_there_is():
    made = plain()
    tensor = next(t for t in made.graph.initializer if len(t.dims) == 2)
    for dims in ([10**12, 1], [10**6, 10**6], [-1, 2], [48, 3], [1] * 12):
        del tensor.dims[:]
        tensor.dims.extend(dims)
        content = made.SerializeToString()
        refused(content)  # the first call imports modules
        tracemalloc.start()
        refused(content)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert most < 64 * len(content) + (1 << 20)


@pytest.mark.parametrize("shape", [[10**6, 10**6], [2**40, 1]])
def test_constants_that_grow(shape: list[int]):
    m = small()
    m("ConstantOfShape", m.constant(shape, np.int64))
    a = m.constant(np.ones((1 << 15, 1)))
    m("Add", a, m.constant(np.ones((1, 1 << 15))))
    y = m.quantize(dense(m, m.quantize("x", 0.5)), 1.0)
    said = refused(m.output(y))
    assert "ConstantOfShape" in said
    assert "at most" in said


def test_cycles_doubled_tensors_and_inputs_from_nowhere():
    made = plain()
    made.graph.node[0].input[0] = made.graph.node[-1].output[0]
    assert "which nothing before it makes" in refused(made.SerializeToString())
    made = plain()
    made.graph.node[1].output[0] = made.graph.node[0].output[0]
    assert "is made twice" in refused(made.SerializeToString())
    made = plain()
    made.graph.output[0].name = "nothing"
    assert "the output 'nothing' is made by no node" in refused(made.SerializeToString())
    made = plain()
    made.graph.initializer.append(made.graph.initializer[0])
    assert "two initializers are called" in refused(made.SerializeToString())


def test_kernels_and_strides_that_cannot_be():
    for attributes in ({"strides": [0, 1]}, {"pads": [-1] * 4}, {"dilations": [1]},
                       {"group": 0}, {"group": -3}, {"strides": [2**40, 1]},
                       {"pads": [2**33] * 4}, {"kernel_shape": [9, 9]}):  # fmt: skip
        m = small()
        y = m(
            "Conv", m.quantize("x", 0.5), m.weights(np.ones((3, 3, 2, 2), int), 0.5), **attributes
        )
        refused(m.output(m.quantize(y, 1.0)))


def flipped(content: bytes, places: list[tuple[int, int]]) -> bytes:
    changed = bytearray(content)
    for place, value in places:
        changed[place % len(changed)] = value
    return bytes(changed)


CHANGES = st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), min_size=1, max_size=5)


def imports(content: bytes) -> bool:
    """Whatever is in a file, there is a network or a sentence."""
    try:
        import_bytes(content)
    except VecqError:
        return False
    return True


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(CHANGES)
def test_changed_bytes_make_a_network_or_a_sentence(places: list[tuple[int, int]]):
    imports(flipped(plain().SerializeToString(), places))
