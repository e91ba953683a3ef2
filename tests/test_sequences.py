import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from tests import plain
from tests.random_networks import Seeded, random_sequence
from tests.strategies import random_inputs, sequences
from vecq_hw import arithmetic, assets, storage
from vecq_hw.accelerator import units
from vecq_hw.accelerator.balance import balance
from vecq_hw.accelerator.plan import plan
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise
from vecq_hw.layers import Embedding, Gru, Input, Lstm, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold, FoldKind, Schedule, default_schedule, streaming_folds
from vecq_hw.schedule import problems as schedule_problems
from vecq_hw.simulate import simulate
from vecq_hw.simulate.faults import flip_weights

GATES = np.arange(-128, 128)


def as_lists(x):
    return np.asarray(x).tolist()


@given(sequences())
def test_simulator_equals_plain_python(network: Network) -> None:
    x = random_inputs(network, 3, 0)
    wanted = [plain.evaluate(network, image)[network.outputs[0]] for image in x.tolist()]
    assert as_lists(simulate(network, x)) == wanted


def test_tables_are_the_functions() -> None:
    sigmoid = [min(math.floor(256 / (1 + math.exp(-g / 16)) + 0.5), 255) for g in range(-128, 128)]
    tanh = [math.floor(128 * math.tanh(g / 16) + 0.5) for g in range(-128, 128)]
    assert as_lists(arithmetic.sigmoid(GATES)) == sigmoid
    assert as_lists(arithmetic.tanh(GATES)) == [min(max(t, -127), 127) for t in tanh]
    # No entry is so close to a tie that the machine's exp could decide it.
    for exact in (256 / (1 + np.exp(-GATES / 16)), 128 * np.tanh(GATES / 16)):
        rest = exact[GATES != 0] % 1
        assert np.abs(rest - 0.5).min() > 1e-4


def test_the_headers_of_c_have_the_tables() -> None:
    text = (assets.hls_include() / "vecq" / "gates.hpp").read_text()
    for name in ("sigmoid", "tanh"):
        found = re.search(rf"{name}_table\[256\] = {{(.*?)}};", text, re.DOTALL)
        assert found is not None
        values = [int(value) for value in re.findall(r"-?\d+", found[1])]
        assert values == as_lists(getattr(arithmetic, name)(GATES))


def test_output_of_an_lstm_over_all_pairs() -> None:
    # Every 8-bit q comes of the cells with these values.
    o, q = np.meshgrid(np.arange(256), GATES, indexing="ij")
    found = arithmetic.lstm_output(o, q << 7)
    tanh = np.clip(np.floor(128 * np.tanh(q / 16) + 0.5), -127, 127)
    assert np.array_equal(found, np.floor(o * tanh / 256 + 0.5))
    assert found.min() == -127
    assert found.max() == 127


def test_cell_of_an_lstm_over_a_grid_with_its_ends() -> None:
    f = i = np.array([0, 1, 2, 127, 128, 254, 255])
    c = np.array([-32768, -32767, -12345, -129, -128, -1, 0, 1, 127, 128, 20001, 32766, 32767])
    u = np.array([-127, -126, -64, -1, 0, 1, 63, 126, 127])
    f, c, i, u = np.meshgrid(f, c, i, u, indexing="ij")
    exact = np.floor((f * c + 16.0 * i * u) / 256 + 0.5)
    assert np.array_equal(arithmetic.lstm_cell(f, c, i, u), np.clip(exact, -32768, 32767))


def test_state_of_a_gru_over_its_corners() -> None:
    z = np.array([0, 1, 2, 127, 128, 254, 255])
    n = np.arange(-127, 128)
    d = np.array([-32512, -32511, -128, -127, -1, 0, 1, 127, 128, 129, 32511, 32512])
    z, n, d = np.meshgrid(z, n, d, indexing="ij")
    found = arithmetic.gru_state(z, n, d)
    assert np.array_equal(found, np.floor(((256 - z) * n * 256.0 + z * d) / 256 + 0.5))
    assert np.abs(found).max() == 127 << 8  # it stays where its output needs no clamp
    assert np.abs(arithmetic.gru_output(found)).max() == 127
    assert (found[z == 0] == n[z == 0] << 8).all()
    # It moves towards its candidate until it is there, however little the gate lets in.
    moved = np.sign(found - d) == np.sign((n << 8) - d)
    near = np.abs((n << 8) - d) <= 128
    assert (moved | near).all()


def float_lstm(network: Network, x: np.ndarray) -> np.ndarray:
    """The layer as real numbers, with the real values of the integers that it holds."""
    layer, source = network.layers[0], network.inputs[0]
    unit = 2.0 ** -(layer.shift + 4)
    gates = x[:, 0].astype(float) * layer.mantissa_x * unit
    own = (layer.weights.values.T * layer.mantissa_h) * 128.0 * unit
    b = layer.offset * unit
    h = c = np.zeros((len(x), layer.elements))
    found = []
    for place in range(source.shape[1]):
        p = (gates[:, place] + h @ own + b).reshape(len(x), -1, 4)
        i, f, o = (1 / (1 + np.exp(-p[..., k])) for k in (0, 1, 3))
        c = f * c + i * np.tanh(p[..., 2])
        h = o * np.tanh(c)
        found.append(h)
    return np.stack(found, axis=1)


def float_gru(network: Network, x: np.ndarray) -> np.ndarray:
    layer, source = network.layers[0], network.inputs[0]
    unit = 2.0 ** -(layer.shift + 4)
    gates = x[:, 0].astype(float) * layer.mantissa_x * unit + layer.offset * unit
    own = (layer.weights.values.T * layer.mantissa_h) * 128.0 * unit
    h = np.zeros((len(x), layer.elements))
    found = []
    for place in range(source.shape[1]):
        a = gates[:, place].reshape(len(x), -1, 3)
        r = (h @ own).reshape(len(x), -1, 3)
        reset, z = (1 / (1 + np.exp(-a[..., k] - r[..., k])) for k in (0, 1))
        n = np.tanh(a[..., 2] + reset * (r[..., 2] + layer.state_offset * unit))
        h = (1 - z) * n + z * h
        found.append(h)
    return np.stack(found, axis=1)


def trained_like(kind: type[Lstm] | type[Gru], bits: int, elements: int, length: int) -> Network:
    """Weights, sums and biases of the sizes that PyTorch begins with, twice as large."""
    rng = np.random.default_rng(bits)
    gates, shift = (4 if kind is Lstm else 3), 20
    weights = Weights(
        codes=rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), (gates * elements, elements)),
        grid=MidRise(bits),
    )
    spread = np.sqrt(np.mean(weights.values.astype(float) ** 2))
    unit = 2.0 ** (shift + 4)
    m_h = 1.2 / np.sqrt(elements) / spread / 128 * unit
    fields = {
        "name": "states",
        "input": "x",
        "weights": weights,
        "mantissa_x": np.full(gates * elements, round(1.0 / 1000 * unit)),
        "mantissa_h": np.full(gates * elements, round(m_h)),
        "offset": (rng.normal(0, 0.3, gates * elements) * unit).astype(np.int64),
        "shift": shift,
        "sequence": True,
    }
    if kind is Gru:
        fields["state_offset"] = (rng.normal(0, 0.3, elements) * unit).astype(np.int64)
    source = Input(name="x", shape=(1, length, gates * elements), format=IntFormat(13, signed=True))
    return Network(name="n", inputs=(source,), layers=(kind(**fields),), outputs=("states",))


@pytest.mark.parametrize("kind", [Lstm, Gru])
@pytest.mark.parametrize("bits", [2, 4])
def test_states_are_near_those_of_real_numbers(kind: type[Lstm] | type[Gru], bits: int) -> None:
    network = trained_like(kind, bits, 70, 96)
    x = np.random.default_rng(1).normal(0, 1000, (8, 1, 96, network.inputs[0].shape[2]))
    x = np.clip(np.round(x), -4096, 4095).astype(np.int64)
    wanted = (float_lstm if kind is Lstm else float_gru)(network, x)
    found = simulate(network, x)[:, 0] / 128
    error = np.abs(found - wanted)
    assert error.mean() < 0.01
    assert error[:, 72:].mean() < 1.25 * error[:, 24:48].mean()  # it does not grow
    assert np.corrcoef(found.ravel(), wanted.ravel())[0, 1] > 0.998


def test_files_hold_them(tmp_path: Path) -> None:
    for seed in range(4):
        network = random_sequence(Seeded(seed))
        storage.save(network, tmp_path / "net.vecq")
        again = storage.load(tmp_path / "net.vecq")
        assert storage.digest(again) == storage.digest(network)
        x = random_inputs(network, 2, seed)
        assert np.array_equal(simulate(again, x), simulate(network, x))


def small(kind: type[Lstm] | type[Gru], **changes) -> Network:
    network = trained_like(kind, 2, 2, 3)
    layer = replace(network.layers[0], **changes)
    return replace(network, layers=(layer,))


@pytest.mark.parametrize(
    ("kind", "changes", "sentence"),
    [
        (Lstm, {"shift": 0}, "the shift must be 1 to 62, not 0"),
        (Gru, {"shift": 14}, "the shift must be 15 to 62, not 14"),
        (Gru, {"shift": 60}, "channel 2: a gate's sum leaves ±2^62"),
        (Lstm, {"offset": np.zeros(3, int)}, "offset has the shape (3,), not (8,)"),
        (Gru, {"state_offset": np.zeros(3, int)}, "state_offset has the shape (3,), not (2,)"),
        (Lstm, {"mantissa_x": np.full(8, 1 << 51)}, "channel 0: a gate's sum leaves ±2^62"),
        (Gru, {"mantissa_h": np.full(6, 1 << 55)}, "a gate's sum leaves ±2^62"),
        (Gru, {"mantissa_h": np.array([1, 1, 1 << 55] * 2)}, "element 0: the state part leaves"),
        (
            Lstm,
            {"weights": Weights(codes=np.zeros((7, 2), int), grid=MidRise(1))},
            "4 rows are wanted for each column",
        ),
        (
            Lstm,
            {"weights": Weights(codes=np.zeros((12, 3), int), grid=MidRise(1))},
            "it takes a sequence of the shape (1, L, 12), but 'x' has (1, 3, 8)",
        ),
    ],
)
def test_illegal_recurrent_layers_are_refused(kind, changes, sentence: str) -> None:
    with pytest.raises(VecqError) as error:
        small(kind, **changes)
    assert sentence in str(error.value)


def test_an_embedding_has_a_row_for_each_index() -> None:
    table = Weights(codes=np.zeros((5, 2), int), grid=MidRise(2))
    layer = Embedding(name="e", input="x", weights=table)
    for fmt, ends in ((IntFormat(3, False), "0..7"), (IntFormat(2, True), "-2..1")):
        source = Input(name="x", shape=(3,), format=fmt)
        with pytest.raises(VecqError, match=f"holds {ends}, but the table has the rows 0..4"):
            Network(name="n", inputs=(source,), layers=(layer,), outputs=("e",))


def test_the_product_of_a_state_has_a_fold() -> None:
    network = small(Lstm)
    assert default_schedule(network).folds == {"states": Fold(pe=8, simd=2)}
    folds = {"states": Fold(pe=3, simd=1)}
    assert any("8 outputs do not" in p for p in schedule_problems(network, Schedule(folds=folds)))
    for fold in (Fold(kind=FoldKind.BIT_SERIAL), Fold(pe=8, simd=2, kind=FoldKind.UNROLLED)):
        found = list(schedule_problems(network, Schedule(folds={"states": fold})))
        assert found
        assert "is streaming and has no DSP" in found[0]


@pytest.mark.parametrize("kind", [Lstm, Gru])
def test_the_fold_of_a_state_keeps_the_pace(kind: type[Lstm] | type[Gru]) -> None:
    network = trained_like(kind, 2, 12, 3)
    layer = network.layers[0]
    for fold in streaming_folds(layer.product):
        assert units.step_cycles(layer, fold) == units.recurrent(layer, fold, 3).cycles
    least = min(units.step_cycles(layer, fold) for fold in streaming_folds(layer.product)) * 3
    for interval in (least, 2 * least, 100 * least):
        schedule = balance(network, interval)
        assert max(plan(network, schedule).busy.values()) <= interval
    assert balance(network, 100 * least).folds == {"states": Fold(pe=1, simd=1)}
    with pytest.raises(VecqError, match=f"takes {least} cycles per frame with all the lanes"):
        balance(network, least - 1)


@pytest.mark.parametrize("kind", [Lstm, Gru])
def test_weights_of_states_are_among_those_that_faults_hit(kind: type[Lstm] | type[Gru]) -> None:
    network = trained_like(kind, 2, 4, 3)
    flipped = flip_weights(network, 3, seed=0).layers[0]
    assert isinstance(flipped, Lstm | Gru)
    changed = flipped.weights.values != network.layers[0].weights.values
    assert 1 <= np.count_nonzero(changed) <= 3
