"""``vecq array`` and its plot."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from tests.simulate.mac_array.test_folded import _network
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.simulate.mac_array import ArrayKind, ArraySize, network_costs
from vecq_hw.simulate.mac_array.plots import plot_utilisation

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def file(tmp_path):
    storage.save(_network(), tmp_path / "n.npz")
    return str(tmp_path / "n.npz")


def _run(*arguments):
    result = CliRunner().invoke(vecq, ["array", *arguments], standalone_mode=False)
    if result.exception is not None:
        raise result.exception
    return result.stdout


def test_the_table_has_a_row_for_each_layer_and_the_sum(file):
    lines = _run(file, "--rows", "2", "--columns", "2").splitlines()
    assert [line.split()[:2] for line in lines[2:]] == [
        [kind.value, name] for kind in ArrayKind for name in ("fc", "all")
    ]
    # Two tiles of taps, two rows of weights each; then 2 * 2 + 2 - 1 clocks.
    assert lines[2].split()[2:6] == [str(2 + 1 + 5), "6", "18.75", "%"]


@pytest.mark.parametrize("kind", list(ArrayKind))
def test_json_holds_the_closed_forms(file, kind):
    rows = json.loads(
        _run(file, "--kind", kind.value, "--rows", "3", "--columns", "2", "--json", "-")
    )
    cost = network_costs(_network(), kind, ArraySize(rows=3, columns=2))["fc"]
    head = {"array": kind.value, "layer": "fc", "rows": 3, "columns": 2}
    assert rows == [head | asdict(cost)]


def test_the_plot_shows_more_the_more_there_is(file, tmp_path):
    one, three = tmp_path / "one.png", tmp_path / "three.png"
    _run(file, "--kind", "bit-serial", "--plot", str(one))
    _run(file, "--plot", str(three))
    assert one.read_bytes().startswith(PNG)
    assert three.read_bytes().startswith(PNG)
    assert one.read_bytes() != three.read_bytes()


def test_other_pictures_and_empty_ones_are_refused(file, tmp_path):
    with pytest.raises(VecqError, match=r"plots are written as \.png files"):
        _run(file, "--plot", str(tmp_path / "a.pdf"))
    with pytest.raises(VecqError, match="no Dense or Conv2d to draw"):
        plot_utilisation({"array": {}}, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


def test_without_matplotlib_the_package_is_named(file, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingToolError, match="pip install matplotlib"):
        _run(file, "--plot", str(tmp_path / "a.png"))
