"""Which classes are stored follows from the unions; what is stored can be read, however it came."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import json
import math
import random
import typing
import zipfile
from collections.abc import Iterator, Mapping
from enum import StrEnum

import numpy as np
import numpy.typing as npt
import pytest
import typing_extensions

from tests.random_networks import Seeded, random_bases, random_product
from tests.strategies import random_inputs
from vecq_hw import storage, trees, unpack
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, Grid, IntFormat, MidRise, MiniFloat, TwosComplement
from vecq_hw.layers import (
    Add,
    AnyWeights,
    ArgMax,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GatherSum,
    Gru,
    Input,
    Layer,
    Lookup,
    Lstm,
    MaxPool2d,
    Multiply,
    Permute,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Threshold,
    TopK,
    Upsample2d,
    Weights,
)
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

RNG = np.random.default_rng(0)
GRIDS = (MidRise(2), TwosComplement(3), CodeBook((7, -1, 0, 300)), MiniFloat(4, 1))


def every_layer() -> Network:
    """One network with a layer of every kind and weights of every kind."""
    rise, twos, book, small = GRIDS
    conv = {"stride": (1, 1), "padding": (1, 1)}

    def weights(grid: Grid, *shape: int) -> Weights:
        fmt = grid.code_format
        return Weights(codes=RNG.integers(fmt.lo, fmt.hi + 1, shape), grid=grid, step=0.5)

    def rescale(name: str, source: str, channels: int) -> Rescale:
        mantissa, offset = RNG.integers(-9, 9, (2, channels))
        fmt = IntFormat(4, False)
        return Rescale(
            name=name, input=source, mantissa=mantissa, offset=offset, shift=5, format=fmt
        )

    def threshold(name: str, source: str, channels: int) -> Threshold:
        rising, falling = (
            np.sort(RNG.integers(-90, 90, (channels, 15))),
            RNG.integers(0, 2, channels),
        )
        fmt = IntFormat(4, False)
        return Threshold(name=name, input=source, thresholds=rising, falling=falling, format=fmt)

    gates = {"mantissa_x": np.arange(12), "mantissa_h": np.arange(12), "offset": np.zeros(12, int)}
    gates["shift"] = 15
    entries = RNG.integers(-4, 4, (4, 16))
    layers = (
        Conv2d(name="conv1", input="x", weights=weights(rise, 4, 3, 3, 2), **conv),
        rescale("rescale1", "conv1", 4),
        Conv2d(
            name="conv2",
            input="rescale1",
            weights=weights(twos, 4, 3, 3, 2),
            bias=RNG.integers(-9, 9, 4),
            groups=2,
            accumulator_bits=9,
            **conv,
        ),
        threshold("threshold", "conv2", 4),
        Add(name="add", inputs=("rescale1", "threshold")),
        Subtract(name="subtract", inputs=("add", "threshold")),
        Constant(name="constant", values=RNG.integers(-8, 8, 4), format=IntFormat(4, True)),
        Multiply(name="multiply", inputs=("subtract", "constant")),
        dataclasses.replace(
            rescale("rows", "multiply", 4),
            mantissa=RNG.integers(-9, 9, (3, 4)),
            offset=RNG.integers(-9, 9, (3, 4)),
            rows=RNG.integers(0, 3, 16),
        ),
        Concat(name="concat", inputs=("rows", "threshold")),
        MaxPool2d(name="max", input="concat", kernel=(2, 2), stride=(2, 2), padding=(1, 0)),
        SumPool2d(name="sum", input="add", kernel=(2, 2), stride=(2, 2)),
        Upsample2d(name="up", input="sum", factor=(2, 1)),
        GatherSum(name="gather", input="up", indptr=[0, 3, 3], indices=[0, 7, 2], shifts=[1] * 8),
        Take(name="take", input="max", rows=np.array([0, -1, 1])),
        Permute(name="permute", input="take", split=(2, 3, 8), order=(1, 0, 2), shape=(3, 2, 8)),
        Flatten(name="flatten", input="permute"),
        Dense(
            name="dense", input="flatten", weights=weights(book, 3, 48), bias=RNG.integers(0, 9, 3)
        ),
        Dense(name="dense2", input="dense", weights=weights(small, 4, 3)),
        Dense(name="dense3", input="dense2", weights=random_product(Seeded(3), (4, 4))),
        Dense(name="dense4", input="dense3", weights=random_bases(Seeded(1), (3, 4))),
        ArgMax(name="argmax", input="dense4"),
        TopK(name="topk", input="dense", count=2),
        Embedding(name="embedding", input="topk", weights=weights(twos, 3, 12)),
        Lstm(name="lstm", input="embedding", weights=weights(twos, 12, 3), sequence=True, **gates),
        Gru(
            name="gru",
            input="lstm",
            weights=weights(twos, 3, 1),
            state_offset=np.ones(1, int),
            **{key: given[:3] if key != "shift" else given for key, given in gates.items()},
        ),
        Lookup(name="lookup", input="threshold", table=entries, format=IntFormat(3, True)),
    )
    source = Input(name="x", shape=(4, 4, 2), format=IntFormat(8, True, -100, 100), step=0.25)
    return Network(name="all", inputs=(source,), layers=layers, outputs=("argmax",))


def test_every_kind_in_the_unions_is_stored_and_read(tmp_path):
    network = every_layer()
    # A layer or grid that joined its union belongs into this network.
    assert {type(layer) for layer in network.layers} == set(typing.get_args(Layer))
    assert {type(grid) for grid in GRIDS} == set(typing.get_args(Grid))
    kinds = {type(mac.weights) for mac in network.mac_layers}
    assert kinds == set(typing.get_args(AnyWeights))
    storage.save(network, tmp_path / "n.npz")
    again = storage.load(tmp_path / "n.npz")
    assert storage.digest(again) == storage.digest(network)
    x = random_inputs(network, 2, 0)
    for name in network.tensors:
        one, other = (simulate(net, x, taps=[name])[name] for net in (network, again))
        assert np.array_equal(one, other)


@dataclasses.dataclass(frozen=True)
class PowerOfTwo:
    """A grid that nobody named to the storage."""

    bits: int


class Colour(StrEnum):
    RED = "red"


@dataclasses.dataclass(frozen=True)
class Newcomer:
    grid: Grid | PowerOfTwo
    shift: int | trees.Array
    colour: Colour = Colour.RED
    names: Mapping[str, int | None] = dataclasses.field(default_factory=dict)


def test_a_kind_that_joins_a_union_needs_no_other_word():
    for value in (
        Newcomer(grid=PowerOfTwo(3), shift=4, names={"a": 1, "b": None}),
        Newcomer(grid=CodeBook((1, 2)), shift=np.arange(3)),
    ):
        arrays: list[trees.Array] = []
        tree = json.loads(json.dumps(trees.encode(value, Newcomer, arrays)))
        again = trees.decode(tree, Newcomer, iter(enumerate(arrays)))
        assert repr(again) == repr(value)
    # what an earlier version wrote lacks the fields that have a default
    tree = {"type": "Newcomer", "grid": {"type": "PowerOfTwo", "bits": 3}, "shift": 4}
    assert trees.decode(tree, Newcomer, iter([])).colour is Colour.RED
    with pytest.raises(VecqError, match=r"^colour is 'blue', but Colour is wanted"):
        trees.decode(tree | {"colour": "blue"}, Newcomer, iter([]))
    with pytest.raises(VecqError, match="has the field 'depth', which a Newcomer has not"):
        trees.decode(tree | {"depth": 1}, Newcomer, iter([]))


def test_numbers_of_numpy_are_stored_as_numbers(tmp_path):
    source = Input(
        name="x",
        shape=(np.int64(3),),
        format=IntFormat(np.int8(8), np.False_),
        step=np.float32(0.5),
    )
    weights = Weights(codes=np.ones((2, 3), int), grid=MidRise(np.int64(2)), step=1)
    dense = Dense(name="d", input="x", weights=weights, accumulator_bits=np.int32(20))
    network = Network(name="n", inputs=(source,), layers=(dense,), outputs=("d",))
    storage.save(network, tmp_path / "n.npz")
    assert storage.digest(storage.load(tmp_path / "n.npz")) == storage.digest(network)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": 63}, r"the name of a network is 63, but str is wanted"),
        ({"name": "a\ud800"}, "text of whole Unicode characters"),
        ({"outputs": ["dense", 3]}, r"outputs\[1\] is 3, but str is wanted"),
    ],
)
def test_what_could_not_be_read_is_not_written(tmp_path, changes, says):
    with pytest.raises(VecqError, match=says):
        storage.save(dataclasses.replace(every_layer(), **changes), tmp_path / "n.npz")
    assert not list(tmp_path.iterdir())


ODD: tuple[object, ...] = (
    *(None, True, False, 0, -1, 1, 2, 3, 63, 64, 1 << 31, 1 << 63, 1 << 64, -(1 << 63), 10**400),
    *(0.5, -0.0, 1e308, 5e-324, math.nan, math.inf, "", "x", "dense", "\ud800", "é" * 300),
    *(
        [],
        [1],
        [1, 1],
        [0, 0],
        [2, 3],
        [90, 90],
        [2**31 - 1] * 2,
        [1, 1, 1],
        [[1], [1]],
        ["x"],
        [True, 1],
        [2**40] * 3,
        [1 << 15] * 3,
    ),
    *({}, {"array": 0}, {"array": -1}, {"array": 1}, {"type": "Dense"}, {"type": 3}),
    *({"type": "IntFormat", "bits": 63, "signed": True, "lo": -(1 << 62), "hi": (1 << 62) - 1},),
    *({"type": "MidRise", "bits": 16}, {"type": "Network"}, {"type": "Tensor", "shape": [1]}),
)


def places(tree: object) -> Iterator[tuple[typing.Any, typing.Any]]:
    """Every place in a tree, as the container and the key in it."""
    for key, item in list(tree.items() if isinstance(tree, dict) else enumerate(tree)):
        yield tree, key
        if isinstance(item, dict | list):
            yield from places(item)


def forgeries(network: Network, count: int | None) -> Iterator[tuple[object, list[trees.Array]]]:
    """Trees with one or two fields that are odd: ``count`` at random, else each place with each."""
    tree, arrays = storage._encode(network)
    total = sum(1 for _ in places(tree))
    draw = random.Random(0)
    every = ((place, odd) for place in range(total) for odd in range(len(ODD)))
    chosen = every if count is None else ((draw.randrange(total), -1) for _ in range(count))
    for place, odd in chosen:
        forged = copy.deepcopy(tree)
        container, key = list(places(forged))[place]
        kind = draw.randrange(4) if odd < 0 else 0
        if kind == 3:
            del container[key]
        elif kind == 2:  # something of the tree itself
            other, there = draw.choice(list(places(forged)))
            container[key] = copy.deepcopy(other[there])
        else:
            container[key] = copy.deepcopy(draw.choice(ODD) if odd < 0 else ODD[odd])
        yield forged, arrays


def refused_or_sound(forged: object, arrays: list[trees.Array]) -> bool:
    """Whether a forged network with the right digest is refused; else it is one like others."""
    try:
        network = storage._decode(forged, arrays, storage._digest(forged, arrays), storage.VERSION)
    except VecqError as error:
        said = str(error)
        return bool(said) and "\n" not in said and len(said) < 800
    tree, kept = storage._encode(network)
    again = storage._decode(tree, kept, storage.digest(network), storage.VERSION)
    assert storage.digest(again) == storage.digest(network)
    repr(network)
    if sum(math.prod(tensor.shape) for tensor in network.tensors.values()) < 1 << 16:
        with contextlib.suppress(VecqError):  # several outputs
            simulate(network, random_inputs(network, 1, 0))
    return False


def test_forged_fields_with_the_right_digest_only_ever_give_a_sentence():
    refused = [refused_or_sound(*forgery) for forgery in forgeries(every_layer(), 400)]
    assert 200 < sum(refused) < 400


@pytest.mark.nightly
def test_each_field_forged_with_each_odd_value():
    assert sum(refused_or_sound(*forgery) for forgery in forgeries(every_layer(), None))


@pytest.mark.parametrize("depth", [900, 100_000])
def test_headers_nested_deep_are_refused(tmp_path, depth):
    path = tmp_path / "n.npz"
    nested = "[" * depth + "]" * depth
    header = '{"vecq_network": 1, "digest": "", "network": ' + nested + "}"
    np.savez(path, header=np.frombuffer(header.encode(), np.uint8))
    with pytest.raises(VecqError):
        storage.load(path)
    for field in ("layers", "name"):
        tree = json.loads(json.dumps(storage._encode(every_layer())[0]))
        tree[field] = json.loads(nested) if depth < 1000 else []
        with pytest.raises(VecqError):
            storage._decode(tree, [], storage._digest(tree, []), storage.VERSION)


@pytest.mark.parametrize("free", [1 << 26, 0])
def test_weights_that_are_all_alike_are_read_again_however_they_shrink(tmp_path, monkeypatch, free):
    monkeypatch.setattr(unpack, "FREE_BYTES", free)
    source = Input(name="x", shape=(2000,), format=IntFormat(8, False))
    weights = Weights(codes=np.zeros((200, 2000), int), grid=MidRise(2))
    dense = Dense(name="d", input="x", weights=weights)
    network = Network(name="n", inputs=(source,), layers=(dense,), outputs=("d",))
    storage.save(network, tmp_path / "n.npz")
    assert ((tmp_path / "n.npz").stat().st_size > 800_000) == (free == 0)
    assert storage.digest(storage.load(tmp_path / "n.npz")) == storage.digest(network)


def header_of(shape: str) -> bytes:
    """An .npy file of int8 that announces a shape and holds nothing."""
    text = f"{{'descr': '|i1', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def test_archives_out_of_proportion_are_refused_before_they_are_unpacked(tmp_path):
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        with archive.open("array0.npy", "w") as file:
            for _ in range(80):
                file.write(bytes(1 << 20))
        archive.writestr("header.npy", header_of("(0,)"))
    with pytest.raises(VecqError, match=r"it would unpack from [\d,]+ bytes to 83,886,208"):
        storage.load(path)
    for shape in ("(10000000000000,)", "(-1,)", "(2, -3)", f"({'-' * 5000}1,)"):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("header.npy", header_of(shape))
        with pytest.raises(VecqError, match="is not a network file"):
            storage.load(path)


def test_an_array_is_stored_where_its_annotation_is_an_alias_as_in_numpy_2_5() -> None:
    scalar = typing.TypeVar("scalar", bound=np.generic)
    of_type = np.ndarray[typing.Any, np.dtype[scalar]]
    one = typing_extensions.TypeAliasType("one", of_type, type_params=(scalar,))
    codes = np.arange(3)
    for kind in (one[np.integer[typing.Any]], one, npt.NDArray[typing.Any], np.ndarray):
        arrays: list[npt.NDArray[typing.Any]] = []
        tree = trees.encode(codes, kind, arrays)
        assert trees.decode(tree, kind, iter(enumerate(arrays))) is codes
        with pytest.raises(VecqError, match=r"'three', but (an array|one|ndarray) is wanted"):
            trees.encode("three", kind, [])
