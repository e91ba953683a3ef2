from __future__ import annotations

import io
import json
import stat

import numpy as np
import pytest
from hypothesis import given, settings

from tests.strategies import networks, random_inputs
from vecq_hw import storage
from vecq_hw.errors import VecqError
from vecq_hw.formats import CodeBook, Grid, IntFormat, MidRise, TwosComplement
from vecq_hw.layers import Conv2d, Dense, Input, MaxPool2d, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import simulate


@settings(max_examples=60, deadline=None)
@given(networks())
def test_round_trip(tmp_path_factory, network):
    path = tmp_path_factory.mktemp("round") / "network.npz"
    storage.save(network, path)
    again = storage.load(path)
    assert storage.digest(again) == storage.digest(network)
    assert repr(again) == repr(network)
    x = random_inputs(network, 2, 0)
    assert np.array_equal(simulate(again, x), simulate(network, x))


BITS2 = MidRise(2)


def small(code: int = 0, step: float = 1.0, grid: Grid = BITS2) -> Network:
    codes = np.zeros((40, 40), int)
    codes[20, 20] = code
    dense = Dense(name="fc", input="x", weights=Weights(codes=codes, grid=grid, step=step))
    source = Input(name="x", shape=(40,), format=IntFormat(8, False))
    return Network(name="small", inputs=(source,), layers=(dense,), outputs=("fc",))


def test_the_digest_sees_every_code_and_every_field():
    grids = (TwosComplement(2), CodeBook((0, 1, 2, 3)), CodeBook((0, 1, 2, 4)))
    nets = [small(), small(code=1), small(step=0.5), *(small(grid=grid) for grid in grids)]
    assert len({storage.digest(net) for net in nets}) == 6


def rewrite(path, edit) -> None:
    """Rewrite a stored network with its header or arrays changed by ``edit``."""
    with np.load(path) as archive:
        members = {name: archive[name] for name in archive.files}
    header = json.loads(bytes(members["header"]))
    edit(header, members)
    members["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **members)
    path.write_bytes(buffer.getvalue())


def _redigest(header, members):
    arrays = [members[f"array{i}"] for i in range(len(members) - 1)]
    header["digest"] = storage._digest(header["network"], arrays)


def _bad_version(header, members):
    header["vecq_network"] = 99


def _flipped_code(header, members):
    members["array0"][3, 3] ^= 1


def _illegal(header, members):
    members["array0"][3, 3] = 7
    _redigest(header, members)


def _book_of_three(header, members):
    grid = {"type": "CodeBook", "levels": [1, 2, 3]}
    header["network"]["layers"][0]["weights"]["grid"] = grid
    _redigest(header, members)


def _foreign_type(header, members):
    header["network"]["layers"][0]["type"] = "System"
    _redigest(header, members)


def _missing_field(header, members):
    del header["network"]["layers"][0]["weights"]
    _redigest(header, members)


def _not_a_network(header, members):
    header["network"] = [1, 2]
    _redigest(header, members)


def _missing_array(header, members):
    del members["array0"]


def _no_header_fields(header, members):
    header.clear()


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (_bad_version, "has the format version 99; this vecq reads up to 2"),
        (_flipped_code, "do not match its digest"),
        (_illegal, "layer 'fc': the codes 0..7 do not fit 2 bits"),
        (_book_of_three, "one for each code, not 3"),
        (_foreign_type, "layers[0] is a 'System'; Dense or Conv2d"),
        (_missing_field, "layers[0] is a Dense without the field 'weights'"),
        (_not_a_network, "it is [1, 2], but Network is wanted"),
        (_missing_array, "do not match its digest"),
        (_no_header_fields, "without the header of a network"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence(tmp_path, edit, says):
    path = tmp_path / "network.npz"
    storage.save(small(), path)
    rewrite(path, edit)
    with pytest.raises(VecqError) as error:
        storage.load(path)
    assert says in str(error.value)
    assert str(path) in str(error.value)


def test_padding_that_was_stored_as_a_pair_is_widened(tmp_path):
    path = tmp_path / "network.npz"
    conv = Conv2d(
        name="conv",
        input="x",
        weights=Weights(codes=np.zeros((1, 3, 3, 1), int), grid=BITS2),
        padding=(1, 0, 1, 0),
    )
    pool = MaxPool2d(name="pool", input="conv", kernel=(3, 3), stride=(1, 1), padding=(0, 1, 0, 1))
    source = Input(name="x", shape=(4, 6, 1), format=IntFormat(8, False))
    network = Network(name="pads", inputs=(source,), layers=(conv, pool), outputs=("pool",))
    storage.save(network, path)

    def by_version_1(header, members):
        header["vecq_network"] = 1
        for layer in header["network"]["layers"]:
            layer["padding"] = layer["padding"][:2]
        del header["network"]["layers"][0]["pad_code"], header["network"]["layers"][1]["dilation"]
        _redigest(header, members)

    rewrite(path, by_version_1)
    assert storage.digest(storage.load(path)) == storage.digest(network)


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "network.npz"
    storage.save(small(), path)
    whole = path.read_bytes()
    for length in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(VecqError, match="not a network file or is cut short"):
            storage.load(path)


@pytest.mark.parametrize("grid", [MidRise(2), CodeBook((7, -1, 0, 300))])
def test_a_flipped_byte_anywhere_is_refused_or_harmless(tmp_path, grid):
    path = tmp_path / "network.npz"
    storage.save(small(grid=grid), path)
    whole, digest = path.read_bytes(), storage.digest(small(grid=grid))
    for position in range(0, len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 1 << position % 8
        path.write_bytes(bytes(damaged))
        try:
            assert storage.digest(storage.load(path)) == digest
        except VecqError as error:
            assert str(path) in str(error)  # noqa: PT017


@pytest.mark.parametrize("content", [b"hello", b"\x80\x04K\x01."])
def test_other_files_are_refused(tmp_path, content):
    path = tmp_path / "network.npz"
    path.write_bytes(content)
    with pytest.raises(VecqError, match="not a network file"):
        storage.load(path)
    with pytest.raises(VecqError, match="there is no such file"):
        storage.load(tmp_path / "absent.npz")
    with pytest.raises(VecqError, match="is a folder"):
        storage.load(tmp_path)
    for name in ("x" * 300, "a\0b"):
        with pytest.raises(VecqError, match="cannot be read: "):
            storage.load(tmp_path / name)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(VecqError, match="without the header of a network"):
        storage.load(path)


def test_pickled_arrays_are_never_loaded(tmp_path):
    path = tmp_path / "network.npz"
    np.savez(path, header=np.array([{"a": 1}], dtype=object))
    with pytest.raises(VecqError, match="not a network file"):
        storage.load(path)


def test_a_failed_write_keeps_what_was_there(tmp_path):
    path = tmp_path / "network.npz"
    storage.save(small(), path)
    before = path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) & stat.S_IRGRP
    blocked = tmp_path / "file"
    blocked.write_text("a file where a folder is wanted")
    with pytest.raises(VecqError, match="cannot be written"):
        storage.save(small(), blocked / "network.npz")
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "network.npz"]


def test_the_digest_sees_shapes_and_types():
    """Arrays of the same bytes are not the same."""
    bytes_of = np.arange(6, dtype=np.int8)
    alike = [bytes_of, bytes_of.reshape(2, 3), bytes_of.reshape(3, 2), bytes_of.view(np.uint8)]
    assert len({storage._digest({}, [array]) for array in alike}) == len(alike)
    assert storage._digest({}, [bytes_of]) != storage._digest({}, [bytes_of[:2], bytes_of[2:]])
