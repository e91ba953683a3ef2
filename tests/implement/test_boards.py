"""Boards: pins, clocks, line, and what is refused; the bitstreams nightly."""

import compileall
import json

import pytest
from click.testing import CliRunner

from tests.emit.systemverilog_networks import mlp
from vecq_hw import storage
from vecq_hw.cli import vecq
from vecq_hw.errors import VecqError
from vecq_hw.implement.boards.boards import BOARDS, board, constraints, device_of, pins
from vecq_hw.implement.boards.flow import clocks_per_bit, line_pace
from vecq_hw.implement.boards.pll import fastest


@pytest.mark.parametrize(
    ("name", "clock", "clock_mhz", "rx", "tx"),
    [
        ("ulx3s", "G2", 25, "M1", "L4"),
        ("colorlight-i5", "P3", 25, "H18", "J17"),
        ("icebreaker", "35", 12, "6", "9"),
        ("tang-nano-9k", "52", 27, "18", "17"),
    ],
)
def test_pins(name, clock, clock_mhz, rx, tx):
    found = pins(board(name))
    assert found.clock_mhz == pytest.approx(clock_mhz)
    assert (found.clock.site, found.rx.site, found.tx.site) == (clock, rx, tx)
    text = constraints(found, device_of(board(name)).family.name)
    assert all(port in text for port in ("clk_i", "rx_i", "tx_o", "led_o", found.led.site))


@pytest.mark.parametrize("name", BOARDS)
def test_clocks_are_never_faster_than_asked_for_and_close(name):
    family = device_of(board(name)).family.name
    oscillator = pins(board(name)).clock_mhz
    for tenth in range(300, 2000, 37):
        most = tenth / 10
        made = fastest(family, oscillator, most).clock_mhz
        assert 0.85 * most <= made <= most, (name, most, made)
        rate, clocks = line_pace(made, board(name).baud)
        assert abs(made * 1e6 / clocks / rate - 1) <= 0.021


def test_a_loop_makes_no_clock_as_slow_as_a_tenth():
    with pytest.raises(VecqError, match=r"makes no clock as slow as 0\.1 MHz from 12 MHz"):
        fastest("ice40", 12, 0.1)


def test_a_line_too_fast_for_its_clock_is_refused():
    with pytest.raises(VecqError, match=r"a bit at 3000000 baud is 11\.75 clocks of 35\.25 MHz"):
        clocks_per_bit(35.25, 3_000_000)


def test_an_unknown_board_is_told_before_any_work(tmp_path):
    storage.save(mlp(), tmp_path / "mlp.npz")
    arguments = ["board", "ulx3", str(tmp_path / "mlp.npz"), "--out", str(tmp_path / "out")]
    done = CliRunner().invoke(vecq, arguments, standalone_mode=False)
    assert str(done.exception) == "there is no board 'ulx3'; did you mean 'ulx3s'?"
    assert not (tmp_path / "out").exists()


@pytest.mark.nightly
@pytest.mark.needs_nextpnr
@pytest.mark.parametrize("name", ["ulx3s-25f", "colorlight-i5", "icebreaker", "tang-nano-9k"])
def test_every_board_has_a_bitstream_whose_clock_is_reached(name, tmp_path):
    storage.save(mlp(), tmp_path / "mlp.npz")
    out = tmp_path / "out"
    arguments = ["board", name, str(tmp_path / "mlp.npz"), "--out", str(out), "--seeds", "2"]
    done = CliRunner().invoke(vecq, [*arguments, "--lanes", "2"], standalone_mode=False)
    assert done.exception is None, done.output
    built = json.loads((out / "board.json").read_text())
    assert built["clock_mhz"] <= built["fmax_best"]
    assert built["tried_on_board"] is False
    assert (out / built["files"]["bitstream"]).stat().st_size > 10_000
    assert compileall.compile_file(str(out / "host.py"), quiet=1)
