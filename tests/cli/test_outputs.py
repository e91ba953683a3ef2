"""Every option that names a file or folder to write, of every command."""

from __future__ import annotations

import json
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner

from tests.test_network import dense, network
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.cli.outputs import OutputFile, OutputFolder
from vecq_hw.errors import VecqError
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights

OUTPUTS = [
    (name, parameter.opts[0], isinstance(parameter.type, OutputFolder))
    for name, command in vecq.commands.items()
    for parameter in command.params
    if isinstance(parameter.type, OutputFile | OutputFolder)
]
INPUTS = {"--schedule", "--inputs", "--reals", "--data-dir", "--source"}
READ = {"show", "simulate", "emit", "verify", "array", "cycles", "schedule", "lower"}


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "network.npz"
    weights = Weights(codes=[[1, -2, 0], [-1, 1, 1]], grid=MidRise(2))
    storage.save(network(dense(weights=weights)), path)
    np.save(tmp_path / "x.npy", [[1, 2, 3], [255, 0, 255]])
    return path


def run(*arguments: object) -> tuple[int, str, str]:
    """Status, standard output, and what was said of an error."""
    result = CliRunner().invoke(vecq, [str(a) for a in arguments], standalone_mode=False)
    error = result.exception
    if isinstance(error, click.ClickException):
        return 2, result.stdout, error.format_message()
    if isinstance(error, VecqError):
        return 2, result.stdout, str(error)
    if error is not None:
        raise error
    return int(result.return_value or 0), result.stdout, ""


def arguments_of(name: str) -> list[str]:
    """What the command needs beside the option."""
    needed = {
        "simulate": ["--inputs", "x.npy"],
        "schedule": ["--target-fps", "1000"],
    }
    network_file = ["network.npz"] if name in READ else []
    if name == "emit":
        return [name, "hls", *network_file]
    return [name, *network_file, *needed.get(name, [])]


def test_no_other_option_names_a_file_to_write():
    for name, command in vecq.commands.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option) and isinstance(parameter.type, click.Path):
                assert parameter.opts[0] in INPUTS, (name, parameter.opts[0])


@pytest.mark.parametrize(("name", "option", "folder"), OUTPUTS)
@pytest.mark.parametrize("odd", ["", "n" * 300, "d/" * 2500 + "n", "x.npy/below", "x.npy"])
def test_an_impossible_name_is_refused_before_any_work(stored, tmp_path, name, option, folder, odd):
    odd = f"{odd}.png" if option == "--plot" and odd else odd
    if odd == "x.npy.png":
        Path(odd).write_text("mine")
    before = sorted(tmp_path.rglob("*"))
    status, printed, said = run(*arguments_of(name), option, odd)
    assert (status, printed) == (2, "")
    wanted = {
        "": "an empty name is given",
        "x.npy": "is a file; a folder is wanted" if folder else "was not written by vecq",
        "x.npy.png": "was not written by vecq",
        "x.npy/below": "'x.npy' is a file; a folder is wanted",
        "x.npy/below.png": "'x.npy' is a file; a folder is wanted",
    }.get(odd, "File name too long")
    assert wanted in said.replace(str(tmp_path) + "/", "")
    assert sorted(tmp_path.rglob("*")) == before


FILES = [(name, option) for name, option, folder in OUTPUTS if not folder and name in READ]
FAST = [pair for pair in FILES if pair[0] not in ("lower", "verify")]


@pytest.mark.parametrize(("name", "option"), FAST)
def test_a_file_of_the_user_is_kept_and_ours_replaced(stored, tmp_path, name, option):
    file = tmp_path / ("mine.png" if option == "--plot" else "mine")
    file.write_text("mine")
    command = (*arguments_of(name), option, file)
    status, _, said = run(*command)
    assert status == 2
    assert "was not written by vecq" in said
    assert file.read_text() == "mine"
    assert not (tmp_path / ".vecq").exists()
    assert run(*command, "--force")[0] == 0
    first = file.read_bytes()
    assert first != b"mine"
    assert run(*command)[0] == 0  # it is ours now
    with file.open("ab") as changed:
        changed.write(b" improved by hand")
    assert run(*command)[0] == 2


def test_force_may_stand_anywhere(stored, tmp_path):
    (tmp_path / "mine").write_text("mine")
    assert run("show", "--json", "mine", "--force", stored)[0] == 0


@pytest.mark.parametrize("name", sorted(READ - {"lower", "verify", "emit"}))
def test_json_on_standard_output_is_alone_there(stored, name):
    status, printed, _ = run(*arguments_of(name), "--json", "-")
    assert status == 0
    assert json.loads(printed)
    assert printed.isascii()
    assert run(*arguments_of(name), "--json", "report.json")[0] == 0
    assert json.loads(Path("report.json").read_text()) == json.loads(printed)


def test_emit_reports_its_files_and_leaves_those_of_others(stored, tmp_path):
    folder = tmp_path / "p"
    folder.mkdir()
    (folder / "README.md").write_text("mine")
    status, _, said = run("emit", "hls", stored, "--out", folder)
    assert status == 2
    assert "README.md' was not written by vecq" in said
    assert [p.name for p in folder.iterdir()] == ["README.md"]
    (folder / "README.md").rename(folder / "notes.md")
    status, printed, _ = run("emit", "hls", stored, "--out", folder, "--json", "-")
    tree = json.loads(printed)
    assert (status, tree["target"], tree["vectors"]) == (0, "hls", 205)
    assert "README.md" in tree["files"]
    assert all((folder / name).is_file() for name in tree["files"])
    # Another target in the same folder leaves nothing of the first.
    assert run("emit", "rtl", stored, "--out", folder)[0] == 0
    assert not list(folder.rglob("*.hpp"))
    assert (folder / "notes.md").read_text() == "mine"


def test_traces_of_an_earlier_run_go(stored, tmp_path):
    trace = tmp_path / "trace"
    command = ("simulate", stored, "--inputs", "x.npy", "--trace", trace)
    assert run(*command)[0] == 0
    assert sorted(p.name for p in trace.glob("*.npy")) == ["fc.npy", "x.npy"]
    assert run(*command, "--taps", "fc")[0] == 0
    assert sorted(p.name for p in trace.glob("*.npy")) == ["fc.npy"]


@pytest.mark.parametrize("command", ["train", "demo"])
def test_what_a_training_would_write_is_checked_before_it_begins(tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out"
    file = out / ("mlp/network.npz" if command == "demo" else "network.npz")
    file.parent.mkdir(parents=True)
    file.write_text("mine")
    status, printed, said = run(command, "--out", out)
    assert status == 2
    assert "network.npz' was not written by vecq" in said
    assert "epoch" not in printed
    assert [p for p in out.rglob("*") if p.is_file()] == [file]


def test_reals_are_what_the_model_takes(tmp_path, monkeypatch):
    """Channels first, as against the codes: equal integers come out of both files."""
    from tests.test_network import IMAGE, conv
    from vecq_hw.simulate import quantize_input

    monkeypatch.chdir(tmp_path)
    net = network(conv(), source=IMAGE)
    storage.save(net, "network.npz")
    height, width, channels = net.inputs[0].shape
    rng = np.random.default_rng(0)
    reals = rng.uniform(0, 255, (4, channels, height, width)).astype(np.float32)
    np.save("reals.npy", reals)
    np.save("codes.npy", quantize_input(net, reals.transpose(0, 2, 3, 1)))
    for kind in ("reals", "codes"):
        option = {"reals": "--reals", "codes": "--inputs"}[kind]
        status, _, said = run(
            *("simulate", "network.npz", option, f"{kind}.npy", "--samples", 3),
            *("--out", f"from_{kind}.npy"),
        )
        assert status == 0, said
    first, second = np.load("from_reals.npy"), np.load("from_codes.npy")
    assert len(first) == 3
    assert np.array_equal(first, second)
    # emit and verify take the same files.
    status, _, said = run("emit", "hls", "network.npz", "--reals", "reals.npy", "--json", "e.json")
    assert status == 0, said
    assert json.loads(Path("e.json").read_text())["vectors"] == 4 + 5


@pytest.mark.parametrize(
    ("option", "array", "says"),
    [
        ("--reals", np.zeros((2, 4)), "samples of the shape (3,) are wanted, not (4,)"),
        ("--reals", np.full((2, 3), np.nan), "NaN"),
        ("--reals", np.zeros((2, 3), complex), "real numbers are wanted, not complex128"),
        ("--reals", np.zeros((0, 3)), "it holds no samples"),
        ("--reals", np.array(1.0), "it holds no samples"),
        ("--inputs", np.zeros((2, 3)), "integer codes are wanted, not float64"),
        ("--inputs", np.zeros((0, 3), int), "it holds no samples"),
        ("--inputs", np.full((2, 3), -1), "leave 0..255"),
        ("--inputs", np.array([[None]]), "no array of numbers"),
    ],
)
@pytest.mark.parametrize("name", ["simulate", "emit", "verify"])
def test_samples_that_do_not_fit_are_refused_with_their_file(
    stored, tmp_path, name, option, array, says
):
    np.save(tmp_path / "odd.npy", array, allow_pickle=True)
    before = sorted(tmp_path.rglob("*"))
    arguments = [a for a in arguments_of(name) if a not in ("--inputs", "x.npy")]
    status, _, said = run(*arguments, option, "odd.npy")
    assert status == 2
    assert "odd.npy" in said
    assert says in said
    assert "pickle" not in said.replace("pickled objects, which are not loaded", "")
    assert sorted(tmp_path.rglob("*")) == before


def test_one_source_of_samples_at_a_time(stored):
    status, _, said = run("verify", stored, "--inputs", "x.npy", "--data", "digits")
    assert status == 2
    assert "one of --data, --inputs and --reals" in said


def test_an_output_is_neither_another_output_nor_what_is_read(stored):
    """Nothing is lost by a name typed twice."""
    command = ("schedule", stored, "--target-fps", 1000, "--out", "s.json")
    status, _, said = run(*command, "--json", "./s.json")
    assert status == 2
    assert "'s.json' is given for two outputs" in said
    assert not Path("s.json").exists()
    assert run(*command)[0] == 0
    status, _, said = run("cycles", stored, "--schedule", "s.json", "--json", "s.json")
    assert status == 2
    assert "of another kind (schedule, not report)" in said


@pytest.mark.parametrize(("name", "option"), [pair for pair in FILES if pair[1] != "--plot"])
def test_a_folder_in_the_place_of_a_file_is_refused_before_any_work(stored, tmp_path, name, option):
    (tmp_path / "d").mkdir()
    status, printed, said = run(*arguments_of(name), option, "d", "--force")
    assert (status, printed) == (2, "")
    assert "d' is a folder; a file is to be written there" in said
    assert list((tmp_path / "d").iterdir()) == []
