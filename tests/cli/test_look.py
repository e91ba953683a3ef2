"""One look and feel: what holds for every command, whichever it is."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import click
import numpy as np
import pytest
from click.testing import CliRunner

from tests.test_network import dense, network
from vecq_hw import cli, processes, storage
from vecq_hw.cli import names, progress, status, vecq
from vecq_hw.cli.command import Command
from vecq_hw.cli.options import Real, Whole
from vecq_hw.errors import VecqError
from vecq_hw.formats import MidRise
from vecq_hw.layers import Weights
from vecq_hw.terminal import Loudness, loudness, speaking

ROOT = Path(__file__).parents[2]
COMMANDS = vecq.all_commands()
EVERY = pytest.mark.parametrize("name", sorted(COMMANDS))
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    weights = Weights(codes=[[1, -2, 0], [-1, 1, 1]], grid=MidRise(2))
    storage.save(network(dense(weights=weights)), "network.npz")
    return tmp_path


def options(command: click.Command) -> list[click.Option]:
    return [one for one in command.params if isinstance(one, click.Option)]


@EVERY
def test_every_command_has_the_common_options_examples_and_a_help_for_each_option(name):
    command = COMMANDS[name]
    assert isinstance(command, Command)
    there = {one for option in options(command) for one in option.opts}
    assert {"--json", "--force", "--quiet", "-q", "--verbose", "-v"} <= there
    for option in options(command):
        said = re.sub(r"\[default.*?\]", "", option.help or "").strip()
        assert said.endswith("."), option.opts
    assert command.examples
    assert "None" not in CliRunner().invoke(vecq, [name, "--help"]).stdout


@EVERY
def test_every_example_is_one_that_the_command_takes(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    for example in COMMANDS[name].examples:
        words = shlex.split(example)
        if words[0] == "echo":  # into the start-up file of a shell
            words = shlex.split(words[1].removeprefix('eval "$(').removesuffix(')"'))
        assert words[:2] == ["vecq", name]
        taken = words[2 : words.index(">") if ">" in words else None]
        COMMANDS[name].make_context(name, taken)


def test_the_same_option_has_the_same_words_everywhere():
    """But where it means another thing: train's --device computes, others' is configured.

    A search's --samples are what a trial trains on, others' are computed.
    """
    free = {"--model", "--out", "--data", "--samples", "--seed", "--seeds", "--clock-mhz"}
    free |= {"--bits", "--epochs", "--plot", "--device", "--name", "--schedule", "--target-fps"}
    free |= {
        "--weight-bits",
        "--activation-bits",
        "--verify",
        "--method",
        "--from",
        "--taps",
        "--optimizer",
    }
    free |= {"--resume"}
    found: dict[str, set[tuple[str | None, str]]] = {}
    metavars: dict[str, set[str]] = {}
    for command in COMMANDS.values():
        context = click.Context(command)
        for option in options(command):
            place = found.setdefault(option.opts[-1], set())
            place.add((option.help, option.make_metavar(context)))
            metavars.setdefault(option.opts[-1], set()).add(option.make_metavar(context))
    assert [one for one, words in found.items() if len(words) > 1 and one not in free] == []
    for one in ("--seed", "--seeds", "--clock-mhz", "--target-fps", "--schedule", "--json"):
        assert len(metavars[one]) == 1, one


@pytest.mark.parametrize("place", ["before", "behind"])
def test_quiet_says_nothing_but_errors(stored, place):
    def run(*arguments: str) -> tuple[int, str, str]:
        words = [*arguments]
        words.insert(0 if place == "before" else 1, "--quiet")
        result = CliRunner().invoke(vecq, words, standalone_mode=False)
        if result.exception is not None:
            assert isinstance(result.exception, VecqError | click.ClickException)
            return 2, result.stdout, result.stderr
        return result.return_value or 0, result.stdout, result.stderr

    for arguments in (["show"], ["cycles"], ["cost"], ["array"], ["emit", "hls"]):
        assert run(*arguments, "network.npz") == (0, "", "")
    assert (stored / "hls" / "Makefile").exists()
    code, printed, _ = run("show", "network.npz", "--json", "-")
    assert (code, json.loads(printed)["name"]) == (0, "n")
    assert run("show", "absent.npz")[0] == 2


def test_errors_are_said_however_quiet(stored):
    command = [sys.executable, "-m", "vecq_hw", "show", "absent.npz", "--quiet"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (status.REFUSED, "")
    assert result.stderr == "error: 'absent.npz': there is no such file\n"


def test_quiet_and_verbose_exclude_each_other():
    for words in (["show", "n", "-q", "-v"], ["-q", "show", "n", "-v"]):
        result = CliRunner().invoke(vecq, words)
        assert result.exit_code == 2
        assert "--quiet and --verbose exclude each other" in result.stderr


def test_verbose_says_how_long_each_step_took(stored):
    result = CliRunner().invoke(vecq, ["-v", "cycles", "network.npz"], standalone_mode=False)
    assert re.search(r"^simulating n: took \d\.\d s$", result.stderr, re.MULTILINE)
    assert re.search(r"^vecq cycles took \d\.\d s$", result.stderr, re.MULTILINE)
    assert loudness() is Loudness.NORMAL


SLOW = "import time; print('ccache g++ -O2 -c x.cpp', flush=True); time.sleep(2.6); print('done')"


@pytest.fixture
def tool(tmp_path):
    def run() -> None:
        with progress.tools_shown():
            processes.run_process([sys.executable, "-c", SLOW], tmp_path, os.environ, 60)

    return run


def test_a_log_says_which_tool_has_run_since_when(tool, capsys, monkeypatch):
    monkeypatch.setattr(progress, "WORTH_SAYING_SECONDS", 1.0)
    begin = time.strftime("%H:%M:")
    tool()
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert re.fullmatch(r"g\+\+ runs since \d\d:\d\d:\d\d \(\d s\)", said[0])
    assert begin[:3] in said[0]


def test_verbose_shows_what_a_tool_is_asked_and_says(tool, capsys, monkeypatch):
    monkeypatch.setattr(progress, "WORTH_SAYING_SECONDS", 9.0)
    with speaking(Loudness.VERBOSE):
        tool()
    said = capsys.readouterr().err
    assert said.startswith("$ ")
    assert "\n  ccache g++ -O2 -c x.cpp\n  done\n" in said


def test_quiet_says_nothing_of_tools(tool, capsys, monkeypatch):
    monkeypatch.setattr(progress, "WORTH_SAYING_SECONDS", 0.0)
    with speaking(Loudness.QUIET):
        tool()
    assert capsys.readouterr() == ("", "")


def test_a_bar_in_a_log_says_what_remains(capsys, monkeypatch):
    seconds = iter([0.0, 1.0, 4.0, 4.5, 12.0])
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    with progress.progress_bar(100, "simulating") as move:
        for done in (10, 40, 45, 100):
            move(done)
    assert capsys.readouterr().err == "simulating: 40 of 100 after 4 s, 6 s remain\n"


def shell(words: str, position: int) -> list[str]:
    """What bash is told, position counted from 0 for vecq itself."""
    code = "from vecq_hw.cli import main; main()"
    asked = {"_VECQ_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(position)}
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", code],
        env={**os.environ, **asked},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert not re.search(r"\| +torch$", result.stderr, re.MULTILINE)  # a key was pressed
    return [line.partition(",")[2] for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("vecq sim", {"simulate"}),
        ("vecq train --preset lenet5", {"lenet5-mnist"}),
        ("vecq cost network.npz --device ice40-hx8", {"ice40-hx8k"}),
        ("vecq search --methods vecq,drop", {"vecq,dropbits"}),
        ("vecq verify network.npz --targets rtl,net", {"rtl,netlist"}),
        ("vecq board ulx", {"ulx3s", "ulx3s-25f", "ulx3s-45f", "ulx3s-12f", "ulx3s-85f"}),
    ],
)
def test_a_shell_completes_names_without_torch(words, completed):
    found = set(shell(words, len(words.split()) - 1))
    assert found
    assert found <= completed


def test_names_that_a_shell_completes_are_those_that_there_are():
    from vecq_hw.quantize.methods import METHODS
    from vecq_hw.search.request import OBJECTIVES
    from vecq_hw.train import PRESETS

    assert list(names.presets()) == list(PRESETS)
    assert list(names.methods()) == list(METHODS)
    (option,) = (one for one in vecq.commands["search"].params if one.name == "objectives")
    items = option.type.shell_complete(click.Context(vecq), option, "")
    assert {item.value for item in items} == set(OBJECTIVES)


@pytest.mark.parametrize("kind", ["bash", "zsh", "fish"])
def test_completion_prints_a_script_quiet_or_not(kind):
    result = CliRunner().invoke(vecq, ["completion", kind, "--quiet"], standalone_mode=False)
    assert f"_VECQ_COMPLETE={kind}_complete" in result.stdout
    if kind == "bash":
        subprocess.run(["bash", "-n"], input=result.stdout, text=True, check=True)


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["chow"], "show"),
        (["show", "n", "--jsn", "x"], "--json"),
        (["emit", "hsl", "network.npz"], "hls"),
        (["completion", "bsh"], "bash"),
        (["cost", "network.npz", "--device", "ecp5-58k"], "ecp5-85k"),
        (["board", "icebraker", "network.npz", "--out", "b"], "icebreaker"),
        (["verify", "network.npz", "--targets", "netlst"], "netlist"),
        (["emit", "rtl", "network.npz", "--layer", "fcc"], "fc"),
        (["simulate", "network.npz", "--data", "digitz"], "digits"),
        (["cycles", "network.npz", "--schedule", "schedule.json"], "fc"),
        (["train", "--preset", "lenet-mnist"], "lenet5-mnist"),
        (["train", "--method", "vceq"], "vecq"),
        (["train", "--method-options", "intervals=paper"], "interval"),
        (["train", "--model", "resnt8"], "resnet8"),
        (["train", "--bits-file", "bits.json", "--model", "mlp"], "fc1"),
        (["simulate", "network.npz", "--inputs", "x.npy", "--trace", "t", "--taps", "fcc"], "fc"),
    ],
    ids=lambda given: " ".join(given) if isinstance(given, list) else given,
)
def test_what_was_meant_is_named(stored, capsys, words, meant):
    Path("schedule.json").write_text('{"fcc": {"pe": 1}}')
    Path("bits.json").write_text('{"ffc1": 4}')
    np.save("x.npy", [[1, 2, 3]])
    result = CliRunner().invoke(vecq, words, standalone_mode=False)
    error = result.exception
    assert isinstance(error, VecqError | click.ClickException)
    said = error.format_message() if isinstance(error, click.ClickException) else str(error)
    assert re.search(rf"[Dd]id you mean .*'{meant}'", said), said


@pytest.mark.parametrize("kind", [Whole(), Whole(1, 16), Real(min=0)])
@pytest.mark.parametrize("given", ["nan", "inf", "-inf", "1e999", "9" * 400, "x", "", "-1"])
def test_a_wrong_number_is_refused_where_it_is_read(kind, given):
    with pytest.raises(click.BadParameter):
        kind.convert(given, None, None)


def test_no_option_takes_a_number_without_a_check():
    """nan and inf pass click's own types, and so does what no array holds."""
    for name, command in vecq.commands.items():
        for option in options(command):
            plain = type(option.type) in (click.types.IntParamType, click.types.FloatParamType)
            open_end = type(option.type) is click.IntRange
            assert not plain, (name, option.opts)
            assert not open_end, (name, option.opts)
            assert type(option.type) is not click.FloatRange, (name, option.opts)


@pytest.mark.parametrize(
    "words",
    [
        ["show", ""],
        ["report", ""],
        ["train", "--data", ""],
        ["train", "--data="],
        ["emit", "hls", "network.npz", "--schedule", ""],
        ["search", "--model", ""],
        ["cost", "network.npz", "--json", ""],
    ],
)
def test_an_empty_word_is_refused_wherever_it_stands(stored, words):
    """A shell makes one of a variable that is not set; a path of it would be the folder itself."""
    result = CliRunner().invoke(vecq, words)
    assert result.exit_code == 2
    where = next((one for one in reversed(words) if one.startswith("--")), f"vecq {words[0]}")
    assert f"an empty name is given behind {where.rstrip('=')}; a value is wanted" in result.stderr


@pytest.mark.parametrize("given", ["x", "nan", "1.5", "1e400"])
def test_a_word_in_the_place_of_a_number_is_named(given):
    result = CliRunner().invoke(vecq, ["emit", "hls", "network.npz", "--lanes", given])
    assert f"'{given}' is not a valid whole number" in result.stderr


def on_terminal(command: list[str], **environment: str) -> tuple[int, str]:
    """Status, and what a terminal was sent."""
    leader, follower = pty.openpty()
    result = subprocess.Popen(
        [sys.executable, "-m", "vecq_hw", *command],
        stdout=follower,
        stderr=follower,
        env={**os.environ, "TERM": "xterm-256color", **environment},
    )
    os.close(follower)
    shown = b""
    try:
        while chunk := os.read(leader, 65536):
            shown += chunk
    except OSError:  # the terminal is gone once the command ends
        pass
    os.close(leader)
    return result.wait(), shown.decode()


def test_colours_are_there_on_a_terminal_and_not_with_no_color(stored):
    coloured, plain = (
        on_terminal(["cycles", "network.npz"], **given) for given in ({}, {"NO_COLOR": "1"})
    )
    assert coloured[0] == plain[0] == 0
    colour = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|38|4[0-7]|48|9[0-7])[;m]")
    assert colour.search(coloured[1])
    assert not colour.search(plain[1])


def test_a_fault_of_ours_has_a_status_of_its_own_and_its_traceback(stored, monkeypatch, capfd):
    def broken(path: object) -> None:
        raise ZeroDivisionError("of ours")

    monkeypatch.setattr(storage, "load", broken)
    monkeypatch.setattr(cli, "interrupt_on_signals", lambda: None)
    monkeypatch.setattr(sys, "argv", ["vecq", "show", "network.npz"])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == status.OWN_FAULT
    said = capfd.readouterr().err
    assert "ZeroDivisionError: of ours" in said
    assert "this is a fault of vecq" in said.splitlines()[-1]


def test_the_page_of_exit_statuses_is_the_table_of_the_command_line():
    page = (ROOT / "docs/reference/exit_codes.md").read_text()
    rows = dict(re.findall(r"^\| (\d\S*(?: \+ n)?) \| (.*) \|$", page, re.MULTILINE))
    assert rows == status.MEANINGS
    shown = " ".join(CliRunner().invoke(vecq, ["--help"]).stdout.split())
    for code, meaning in status.MEANINGS.items():
        assert f"{code} {meaning}" in shown
