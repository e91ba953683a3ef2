"""Every file that is read again carries the version of its format, and a newer one is refused."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.test_network import dense, network
from vecq_hw import schedule, storage
from vecq_hw.arguments import format_version
from vecq_hw.bench import ports
from vecq_hw.emit import hls
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import Vectors
from vecq_hw.errors import VecqError
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights
from vecq_hw.simulate import simulate

NEWER = 99


def _network() -> object:
    return network(dense(weights=Weights(codes=[[1, -2, 0], [-1, 1, 1]], grid=MidRise(2))))


def _stored(path: Path, version: int | None) -> None:
    storage.save(_network(), path)
    if version is None:
        return
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    tree = json.loads(bytes(np.load(io.BytesIO(members["header.npy"]))))
    tree["vecq_network"] = version
    buffer = io.BytesIO()
    np.save(buffer, np.frombuffer(json.dumps(tree).encode(), np.uint8))
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"header.npy": buffer.getvalue()}).items():
            archive.writestr(name, content)


def _schedule(path: Path, version: int | None) -> None:
    tree = json.loads(schedule.to_json(schedule.default_schedule(_network())))
    path.write_text(json.dumps(tree if version is None else tree | {"version": version}))


def _bits(path: Path, version: int | None) -> None:
    layers = {"fc1": 8}
    tree = layers if version is None else {"version": version, "layers": layers}
    path.write_text(json.dumps(tree))


def _graph_bits(path: Path, version: int | None) -> None:
    tree = {"weights": [4, 2]} | ({} if version is None else {"version": version})
    path.write_text(json.dumps(tree))


def _manifest(path: Path, version: int | None) -> None:
    net = _network()
    codes = {"x": np.zeros((1, 3), int)}
    vectors = Vectors(inputs=codes, outputs=simulate(net, codes, taps=net.outputs))
    project = hls.emit(net, schedule.default_schedule(net), vectors)
    tree = json.loads(str(project.files[MANIFEST]))
    assert tree["format"] == ports.MANIFEST_FORMAT
    path.write_text(json.dumps(tree if version is None else tree | {"format": version}))


def _read_bits(path: Path) -> object:
    from vecq_hw.train import read_bits

    return read_bits(path)


def _read_graph_bits(path: Path) -> object:
    from vecq_hw.train.graph_bits import read_graph_bits

    return read_graph_bits(path)


@pytest.mark.parametrize(
    ("write", "read", "newest"),
    [
        (_stored, storage.load, storage.VERSION),
        (_schedule, schedule.load, 1),
        (_bits, _read_bits, 1),
        (_graph_bits, _read_graph_bits, 1),
        (_manifest, ports.load_ends, ports.MANIFEST_FORMAT),
    ],
    ids=["network", "schedule", "bits file", "bits file of a graph", "manifest"],
)
def test_a_file_says_its_version_and_a_newer_one_is_refused(
    tmp_path: Path,
    write: Callable[[Path, int | None], None],
    read: Callable[[Path], object],
    newest: int,
) -> None:
    path = tmp_path / "file"
    write(path, None)
    assert read(path) is not None
    write(path, newest)
    assert read(path) is not None
    write(path, NEWER)
    with pytest.raises((VecqError, ValueError)) as refused:
        read(path)
    said = str(refused.value)
    assert f"has the format version {NEWER}; this vecq reads up to {newest}" in said
    assert "file" in said
    assert "\n" not in said


def test_a_layer_may_be_called_version_or_layers(tmp_path: Path) -> None:
    for tree in ({"version": 4}, {"layers": 4}, {"version": 4, "layers": 2}):
        (tmp_path / "bits.json").write_text(json.dumps(tree))
        assert {
            name: one.weight for name, one in _read_bits(tmp_path / "bits.json").items()
        } == tree


@pytest.mark.parametrize("given", [0, -1, 3, "2", None, 2.0, True, [2]])
def test_what_is_no_version_is_refused(given: object) -> None:
    with pytest.raises(VecqError, match=r"has the format version .*; this vecq reads 2"):
        format_version(given, 2, "it", oldest=2)


def test_the_page_of_file_formats_names_the_versions() -> None:
    from vecq_hw.interop import report
    from vecq_hw.schedule import file
    from vecq_hw.search import run
    from vecq_hw.train import bits, checkpoint

    page = (Path(__file__).parent.parent / "docs/reference/file_formats.md").read_text()
    rows = re.findall(r"^\| ([^|]*) \| [^|]* \| (\d+)[^|]* \| [^|]* \|$", page, re.MULTILINE)
    assert {name: int(version) for name, version in rows} == {
        "`network.npz`": storage.VERSION,
        "`schedule.json`": file.VERSION,
        "bits file": bits.VERSION,
        "`report.json` of an import": report.VERSION,
        "`manifest.json` of a project": ports.MANIFEST_FORMAT,
        "`checkpoint.pt`": checkpoint.VERSION,
        "`search.json`, `trials.db`": run.VERSION,
    }
