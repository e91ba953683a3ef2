"""``vecq import``, and ``vecq simulate --reals`` of what it wrote."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.cli import test_cli

pytest.importorskip("onnx")

from tests.interop.onnx_graphs import Model, by_onnxruntime

vecq_here = test_cli.vecq_here


@pytest.fixture
def model(tmp_path):
    m = Model(2, 5, 5)
    x = m.quantize("x", 0.25, 3)
    y = m("Conv", x, m.weights(np.arange(-27, 27).reshape(3, 2, 3, 3), 0.125))
    content = m.output(m.quantize(m("Relu", y), 0.5))
    (tmp_path / "model.onnx").write_bytes(content)
    reals = np.random.default_rng(0).choice(np.arange(-8, 32) / 8, (6, 2, 5, 5)).astype(np.float32)
    np.save(tmp_path / "reals.npy", reals)
    return content, reals


def test_import_writes_network_and_report_and_counts_differing_codes(model, tmp_path, vecq_here):
    file, out = tmp_path / "model.onnx", tmp_path / "out"
    result = vecq_here(
        "import", file, "--out", out, "--reals", tmp_path / "reals.npy", "--json", "-"
    )
    assert result.returncode == 0, result.stderr
    tree = json.loads(result.stdout)
    assert tree == json.loads((out / "report.json").read_text())
    (compared,) = tree["comparisons"]
    assert (compared["samples"], compared["codes"], compared["differing"]) == (6, 6 * 27, 0)
    assert (out / "network.npz").is_file()
    assert "tap_comparisons" not in tree
    given = ("--reals", tmp_path / "reals.npy", "--taps", "--json", "-", "--force")
    tree = json.loads(vecq_here("import", file, "--out", out, *given).stdout)
    assert [tap["differing"] for tap in tree["tap_comparisons"]] == [0] * len(tree["taps"])
    assert {tap["codes"] for tap in tree["tap_comparisons"]} == {6 * 50, 6 * 27}


def test_reals_become_codes_as_the_source_does_it(model, tmp_path, vecq_here):
    content, reals = model
    out = tmp_path / "out"
    assert vecq_here("import", tmp_path / "model.onnx", "--out", out).returncode == 0
    given = ("--reals", tmp_path / "reals.npy", "--out", tmp_path / "y.npy")
    assert vecq_here("simulate", out / "network.npz", *given).returncode == 0
    wanted = by_onnxruntime(content, reals)[0] / 0.5
    assert np.array_equal(np.load(tmp_path / "y.npy").transpose(0, 3, 1, 2), wanted)
    # Ties are rounded half up without the report beside the network.
    (out / "report.json").unlink()
    assert vecq_here("simulate", out / "network.npz", *given).returncode == 0
    assert not np.array_equal(np.load(tmp_path / "y.npy").transpose(0, 3, 1, 2), wanted)


def test_what_is_given_wrongly_is_told_in_a_sentence(model, tmp_path, vecq_here):
    file, out = tmp_path / "model.onnx", tmp_path / "out"
    for more, said in (
        (("--input-format", "u8"), "go together"),
        (("--input-format", "q8", "--input-step", "1"), "u1 to u16"),
        (("--semantics", "ruy"), "semantics"),
        (("--name", " "), "printable"),
        (("--taps",), "give --data, --inputs or --reals"),
    ):
        result = vecq_here("import", file, "--out", out, *more)
        assert result.returncode == 2
        assert said in result.stderr
        assert not out.exists()
    file.write_bytes(b"no model")
    result = vecq_here("import", file, "--out", out)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1].startswith("error: '")
    assert not out.exists()
