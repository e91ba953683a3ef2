"""Files of others against what their own executors gave, integer by integer.

The files are not part of the repository: VECQ_MODELS names their folder.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vecq_hw.interop import SEMANTICS, import_file
from vecq_hw.simulate import simulate

FOLDER = os.environ.get("VECQ_MODELS")
pytestmark = pytest.mark.skipif(
    FOLDER is None, reason="VECQ_MODELS does not name the folder of the models"
)
BREVITAS = (
    "w4a4_perchannel", "w2a2_pertensor", "w8a8_perchannel_bias32", "ternary_a3", "fixedpoint_w4a4",
    "shifted_act_w5a5",
)  # fmt: skip


def imported(name: str):
    return import_file(Path(FOLDER or "") / name)


def expected(name: str) -> dict[str, np.ndarray]:
    with np.load(Path(FOLDER or "") / "expected" / f"{name}.npz") as arrays:
        return {key: arrays[key] for key in arrays}


def run(made, x: np.ndarray) -> dict[str, np.ndarray]:
    """Every tensor of uint8 pixels x, as the file orders the axes, by its name in the network."""
    network, (end,) = made.network, made.report.inputs
    fmt = network.inputs[0].format
    reals = x.astype(np.float32) / np.float32(255)
    codes = np.rint(reals / np.float32(end.step)).clip(fmt.lo, fmt.hi).astype(np.int64)
    wanted = list(network.tensors)
    found = simulate(network, {end.name: codes.transpose(0, 2, 3, 1)}, taps=wanted)
    return {
        name: (a.transpose(0, 3, 1, 2) if a.ndim == 4 else a).astype(np.int64)
        for name, a in found.items()
    }


def taps_in_order(made) -> list[tuple[str, int]]:
    """Each tapped tensor once, and its zero point."""
    return list({tap.name: tap.zero_point for tap in made.report.taps}.items())


TFLITE = (
    "mlperf_tiny_resnet8_int8", "mlperf_tiny_kws_dscnn_int8", "mlperf_tiny_ad_autoencoder_int8",
    "tflm_hello_world_int8", "tflm_micro_speech_int8",
)  # fmt: skip


@pytest.mark.parametrize("semantics", SEMANTICS)
@pytest.mark.parametrize("name", TFLITE)
def test_tflite_models(name: str, semantics: str):
    """The codes before the softmax."""
    made = import_file(Path(FOLDER or "") / f"{name}.tflite", semantics=semantics)
    arrays = expected(name)
    (first,), (last,) = made.report.inputs, made.report.outputs
    codes = (arrays["x"].astype(int) - first.zero_point).reshape(-1, *first.shape)
    found = simulate(made.network, codes).astype(int).reshape(len(codes), -1) + last.zero_point
    differing = int((found != arrays[semantics].reshape(len(codes), -1)).sum())
    assert differing == 0, f"{differing} of {found.size}"


def argmax_equal_but_for_ties(given: np.ndarray, wanted: np.ndarray) -> bool:
    chosen = np.take_along_axis(wanted, given.argmax(1)[:, None], 1)[:, 0]
    return bool(np.allclose(chosen, wanted.max(1), rtol=1e-5))


@pytest.mark.parametrize("form", ["qonnx", "qcdq"])
@pytest.mark.parametrize("name", BREVITAS)
def test_brevitas_models(name: str, form: str):
    made, wanted = imported(f"brevitas_{name}_{form}.onnx"), expected(f"brevitas_{name}")
    found = run(made, wanted["x"])
    first, second = [n for n, _ in taps_in_order(made) if n != made.report.inputs[0].name]
    compared = {"codes0": made.report.inputs[0].name, "codes1": first, "codes2": second}
    for key, tensor in compared.items():
        assert np.array_equal(found[tensor], wanted[key]), key
    scores = found[made.network.outputs[0]]
    assert argmax_equal_but_for_ties(scores, wanted["y"])


@pytest.mark.parametrize("form", ["qoperator", "qdq"])
def test_signed_codes_of_onnxruntime(form: str):
    made, wanted = imported(f"ort_s8s8_{form}.onnx"), expected("ort_s8s8_qoperator")
    found = run(made, wanted["x"])
    taps = [(n, z) for n, z in taps_in_order(made) if n != made.report.inputs[0].name]
    for index, (tensor, zero) in enumerate(taps):
        assert np.array_equal(found[tensor] + zero, wanted[f"codes{index}"]), tensor
    assert len(taps) == 4
    assert argmax_equal_but_for_ties(found[made.network.outputs[0]], wanted["y"])


@pytest.mark.parametrize("form", ["qoperator", "qdq"])
def test_unsigned_codes_by_exact_arithmetic(form: str):
    """The executor saturates its sums on some machines; so the rule is worked out here."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model(
        Path(FOLDER or "") / "ort_u8s8_qoperator.onnx", load_external_data=False
    )
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    x = expected("ort_s8s8_qoperator")["x"]
    codes = x.astype(np.int64)
    sums: list[np.ndarray] = []
    for node in model.graph.node:
        given: list[Any] = [constants.get(name) for name in node.input]
        if node.op_type == "QuantizeLinear":
            reals = x.astype(np.float32) / np.float32(255)
            codes = np.rint(reals / given[1]).astype(np.int64) + int(given[2])
        if node.op_type not in ("QLinearConv", "QGemm"):
            continue
        conv = node.op_type == "QLinearConv"
        scale, zero, weights, w_scale = given[1], int(given[2]), given[3].astype(np.int64), given[4]
        bias, y_scale, y_zero = (given[8], given[6], given[7]) if conv else given[6:9]
        if conv:
            stride = next(a.ints for a in node.attribute if a.name == "strides")[0]
            padded = np.pad(codes - zero, ((0, 0), (0, 0), (1, 1), (1, 1)))
            view = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
            view = view[:, :, ::stride, ::stride]
            acc = np.einsum("nchwij,ocij->nohw", view, weights, optimize=True)
            shape = (1, -1, 1, 1)
        else:
            acc = (codes.reshape(len(codes), -1) - zero) @ weights.T
            shape = (1, -1)
        acc = acc + bias.astype(np.int64).reshape(shape)
        factor = (scale * w_scale / y_scale).astype(np.float32).reshape(shape)
        reals = acc.astype(np.float32) * factor
        codes = np.clip(np.rint(reals) + int(y_zero), 0, 255).astype(np.int64)
        sums.append(codes)
    made = imported(f"ort_u8s8_{form}.onnx")
    found = run(made, x)
    taps = [(n, z) for n, z in taps_in_order(made) if n != made.report.inputs[0].name]
    assert len(taps) == len(sums) == 4
    for (tensor, zero), wanted in zip(taps, sums, strict=True):
        differing = int((found[tensor] + zero != wanted).sum())
        assert differing == 0, f"{tensor}: {differing} of {wanted.size}"
