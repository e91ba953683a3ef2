"""Standard ONNX: each form of a product, networks of every layer, the file itself."""

from __future__ import annotations

import base64
from dataclasses import replace

import numpy as np
import pytest

from tests.onnx_models import computed, differing, in_onnxruntime
from tests.random_networks import Seeded, random_pair, random_recurrent
from tests.random_record import MAKERS
from vecq_hw import storage
from vecq_hw.emit import onnx as emitter
from vecq_hw.emit.onnx.products import Form, Product
from vecq_hw.emit.project import Vectors
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, IntFormat, MidRise, TwosComplement
from vecq_hw.layers import (
    Conv2d,
    Dense,
    GatherSum,
    Input,
    MaxPool2d,
    Rescale,
    SumPool2d,
    Tensor,
    Threshold,
    Upsample2d,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate

pytest.importorskip("onnx")

U8, S8 = IntFormat(8, signed=False), IntFormat(8, signed=True)
WIDE = CodeBook((-(2**31) + 1, 0, 1, 2**31 - 1))
FORMS = [
    # Pairs of these products leave 16 bits: mixed signedness would saturate.
    (U8, TwosComplement(8), 40, Form.BYTES),
    (S8, TwosComplement(8), 40, Form.BYTES),
    (IntFormat(9, True, -142, 113), TwosComplement(8), 40, Form.BYTES),
    (IntFormat(9, True, -250, -3), MidRise(7), 40, Form.BYTES),
    (IntFormat(12, True), TwosComplement(4), 40, Form.FLOAT),
    (U8, MidRise(8), 9, Form.FLOAT),
    (U8, MidRise(8), 400, Form.TWO_BYTES),
    (S8, TwosComplement(14), 400, Form.TWO_BYTES),
    (IntFormat(16, False), MidRise(8), 40, Form.DOUBLE),
    (U8, TwosComplement(16), 40, Form.DOUBLE),
    (IntFormat(20, True), WIDE, 40, Form.INT64),
]


def _codes(grid, shape, rng):
    """Rows of one end, of the other, and of both."""
    fmt = grid.code_format
    codes = rng.choice([fmt.lo, fmt.hi], shape)
    codes[0], codes[1] = fmt.lo, fmt.hi
    return codes


@pytest.mark.parametrize("image", [False, True], ids=["dense", "convolution"])
@pytest.mark.parametrize(("fmt", "grid", "inputs", "form"), FORMS, ids=str)
def test_each_form_of_a_product_at_its_extremes(fmt, grid, inputs, form, image):
    rng = np.random.default_rng(0)
    bias = rng.integers(-1000, 1000, 4)
    if image:
        channels = -(-inputs // 9)
        weights = Weights(codes=_codes(grid, (4, 3, 3, channels), rng), grid=grid)
        code = 0 if fmt.hi >= 0 else fmt.hi
        layer = Conv2d(
            name="y", input="x", weights=weights, bias=bias, padding=(1, 0, 2, 1), pad_code=code
        )
        source = Input(name="x", shape=(4, 5, channels), format=fmt)
    else:
        weights = Weights(codes=_codes(grid, (4, inputs), rng), grid=grid)
        layer = Dense(name="y", input="x", weights=weights, bias=bias)
        source = Input(name="x", shape=(inputs,), format=fmt)
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("y",))
    assert Product.of(layer, network.tensors["x"]).form is form
    ends = np.stack([np.full(source.shape, end) for end in (fmt.lo, fmt.hi)])
    mixed = rng.choice([fmt.lo, fmt.hi], (6, *source.shape))
    x = np.concatenate([ends, mixed])
    assert np.array_equal(computed(network, {"x": x})["y"], simulate(network, x))


@pytest.mark.parametrize("seed", range(24))
def test_random_networks(seed):
    network, _ = random_pair(MAKERS[seed % len(MAKERS)], "net", seed)
    compared, wrong = differing(network, seed)
    assert compared
    assert wrong == 0


@pytest.mark.parametrize("gru", [False, True])
def test_recurrent_layers_over_many_steps(gru):
    gates = 3 if gru else 4
    fmt = IntFormat(16, True)
    tensor = Tensor(shape=(1, 9, gates * 5), format=fmt, step=1.0)
    layer = replace(random_recurrent(Seeded(3), "y", "x", tensor, gru), sequence=True)
    source = Input(name="x", shape=tensor.shape, format=fmt)
    network = Network(name="n", inputs=(source,), layers=(layer,), outputs=("y",))
    assert differing(network, count=20) == (20 * 9 * 5, 0)


def _one(layer, shape, fmt):
    source = Input(name="x", shape=shape, format=fmt)
    return Network(name="n", inputs=(source,), layers=(layer,), outputs=("y",))


WIDEST = IntFormat(60, True)
POOL = {"kernel": (2, 2), "stride": (1, 2), "padding": (1, 0, 0, 1)}
WIDE_LAYERS = {
    "MaxPool2d beyond 2^53": MaxPool2d(name="y", input="x", **POOL),
    "SumPool2d in int64": SumPool2d(name="y", input="x", **POOL),
    "Upsample2d of int64": Upsample2d(name="y", input="x", factor=(2, 3)),
    "MaxPool2d padded by its kernel": MaxPool2d(
        name="y", input="x", kernel=(2, 2), stride=(1, 1), padding=(2, 2, 2, 2), dilation=(2, 2)
    ),
}


@pytest.mark.parametrize("case", WIDE_LAYERS)
def test_what_few_operators_take(case):
    fmt = U8 if "padded" in case else WIDEST
    shape = (3, 3, 2) if "padded" in case else (5, 6, 2)
    assert differing(_one(WIDE_LAYERS[case], shape, fmt), seed=3)[1] == 0


def test_thresholds_of_many_levels_and_none():
    rng = np.random.default_rng(0)
    fmt = IntFormat(8, True, -100, 100)
    rows = np.sort(rng.integers(-5000, 5000, (3, 200)), axis=1)
    layer = Threshold(name="y", input="x", thresholds=rows, falling=[0, 1, 0], format=fmt)
    assert differing(_one(layer, (3,), IntFormat(13, True)), count=2000) == (6000, 0)
    for falls in (0, 1):  # one row for all channels, of a vector and of an image
        one = replace(layer, thresholds=rows[:1], falling=[falls])
        assert differing(_one(one, (3,), IntFormat(13, True)), count=2000) == (6000, 0)
        assert differing(_one(one, (2, 5, 3), IntFormat(13, True)), count=100) == (3000, 0)
    single = IntFormat(5, True, 7, 7)
    layer = Threshold(
        name="y", input="x", thresholds=np.zeros((3, 0), int), falling=[0, 1, 0], format=single
    )
    assert differing(_one(layer, (3,), S8)) == (15, 0)


@pytest.mark.parametrize("shift", [5, 40, 60])
def test_a_rescale_rounds_half_up_in_double_and_in_int64(shift):
    """Sums that lie on the tie and on either side of it."""
    wide = shift > 20
    mantissa = np.array([1, -1, 3]) << (shift - 5 if wide else 0)
    offset = np.array([0, 16, -16]) << (shift - 5 if wide else 0)
    layer = Rescale(
        name="y",
        input="x",
        mantissa=mantissa,
        offset=offset,
        shift=shift,
        format=IntFormat(6, True),
    )
    x = np.repeat(np.arange(-128, 128)[:, np.newaxis], 3, axis=1)
    # Longer ones leave the limit of the contract.
    x = x if shift < 60 else np.clip(x, -8, 7)
    network = _one(layer, (3,), S8 if shift < 60 else IntFormat(4, True))
    assert np.array_equal(computed(network, {"x": x})["y"], simulate(network, x))


def test_sums_of_lists_that_leave_63_bits_are_refused():
    shifts = np.array([61, 0, 0])
    layer = GatherSum(name="y", input="x", indptr=[0, 1, 2, 3], indices=[0, 0, 0], shifts=shifts)
    network = _one(layer, (1, 3, 1), IntFormat(1, False))
    assert emitter.unsupported(network) is None
    longer = replace(layer, indptr=[0, 1, 2, 3, 4], indices=[0, 0, 0, 0])
    network = _one(longer, (1, 3, 1), IntFormat(1, False))
    assert "layer 'y' (GatherSum, all of whose sums" in str(emitter.unsupported(network))
    vectors = Vectors(inputs=np.zeros((1, 1, 3, 1), int), outputs=np.zeros((1, 1, 4, 1), int))
    with pytest.raises(VecqError, match="standard ONNX cannot express layer 'y'"):
        emitter.emit(network, default_schedule(network), vectors)


HOSTILE = 'a"; system("x")\n// ü'


def test_the_file():
    import onnx

    weights = Weights(codes=[[1, -2, 0]], grid=MidRise(2))
    network = Network(
        name=HOSTILE,
        inputs=(Input(name=f"{HOSTILE}x", shape=(3,), format=U8),),
        layers=(Dense(name=f"{HOSTILE}y", input=f"{HOSTILE}x", weights=weights),),
        outputs=(f"{HOSTILE}y", f"{HOSTILE}x"),
    )
    model = emitter.model(network)
    onnx.checker.check_model(model, full_check=True)
    assert model.ir_version == 8
    assert [(each.domain, each.version) for each in model.opset_import] == [("", 13)]
    text = onnx.printer.to_text(model.graph)
    assert "system(" not in text
    assert "ü" not in text
    for end in (*model.graph.input, *model.graph.output):
        batch, *rest = end.type.tensor_type.shape.dim
        assert batch.dim_param == "samples"
        assert all(size.dim_value for size in rest)
    properties = {each.key: each.value for each in model.metadata_props}
    assert properties["vecq_digest"] == storage.digest(network)
    stored = storage.from_bytes(base64.b64decode(properties["vecq_network"]), "the model")
    assert storage.digest(stored) == storage.digest(network)
    assert model.SerializeToString() == emitter.model(network).SerializeToString()


def test_a_changed_weight_changes_what_is_computed():
    """That the tests above compare what the file says, not what the network does."""
    from onnx import numpy_helper

    network, _ = random_pair(MAKERS[1], "net", 1)
    model = emitter.model(network)
    (weights,) = [t for t in model.graph.initializer if t.name.endswith("weights")][:1]
    values = numpy_helper.to_array(weights).copy()
    values.flat[0] += 1
    weights.CopyFrom(numpy_helper.from_array(values, weights.name))
    assert differing(network, 1, model=model, execute=in_onnxruntime)[1] > 0
