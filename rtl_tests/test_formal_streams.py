"""AXI-Stream rules of every cell between two streams, for all inputs and all times.

A word that is offered stays as it is until it is taken, whatever the sender does within the same
rule; buffers hold as much as came in and did not go out, and no more than they have room for.  Each
proof has mutants that it catches.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import Stream, prove
from vecq_hw import assets


def _inside(taken: str, given: str, held: str) -> str:
    """That a cell holds what it took and did not give, counted apart from its own registers."""
    return f"""
  logic started = 1'b0;
  logic [7:0] inside = 8'd0;
  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    if (started) inside <= inside + (valid_i && ready_o ? 8'({taken}) : 8'd0)
                                  - (valid_o && ready_i ? 8'({given}) : 8'd0);
  end
  always_comb if (started) assert (inside == 8'({held}));
  """


STREAMS = [
    Stream(
        cell="vecq_stream_register",
        parameters={"DataBits": 8},
        input_bits=8,
        output_bits=8,
        invariants=_inside("1", "1", "valid_q + spare_valid_q"),
        mutants=[
            ("if (free) data_q", "data_q"),
            ("valid_q       <= valid_i || spare_valid_q;", "valid_q <= valid_i;"),
        ],
    ),
    Stream(
        cell="vecq_stream_width",
        parameters={"LanesIn": 3, "LanesOut": 4, "ElementBits": 2},
        input_bits=6,
        output_bits=8,
        invariants=_inside("GroupsIn", "GroupsOut", "count_q")
        + "always_comb if (started) assert (count_q <= Capacity);",
        mutants=[
            ("count_q <= CountBits'(Capacity - GroupsIn)", "1'b1"),
            ("groups_d = pop ?", "groups_d = 1'b1 ?"),
        ],
    ),
    Stream(
        cell="vecq_rescale",
        parameters={
            "Channels": 2,
            "AccumulatorBits": 6,
            "MantissaBits": 4,
            "OffsetBits": 5,
            "Shift": 3,
            "OutputBits": 3,
            "Hi": 7,
        },
        input_bits=6,
        output_bits=3,
        mutants=[("assign advance = !valid_o || ready_i;", "assign advance = 1'b1;")],
    ),
    Stream(
        cell="vecq_matrix_vector",
        parameters={
            "Inputs": 4,
            "Outputs": 2,
            "Simd": 2,
            "WeightBits": 2,
            "InputBits": 3,
            "AccumulatorBits": 8,
        },
        input_bits=6,
        output_bits=8,
        mutants=[("if (advance && sum_valid) accumulator_q", "if (sum_valid) accumulator_q")],
    ),
]


@pytest.mark.needs_yosys
@pytest.mark.parametrize("stream", STREAMS, ids=str)
def test_an_offered_word_stays_until_it_is_taken(stream: Stream, tmp_path: Path) -> None:
    proven, output = prove(tmp_path, stream)
    assert proven, output[-3000:]


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("stream", "mutant"),
    [
        pytest.param(stream, mutant, id=f"{stream} {number}")
        for stream in STREAMS
        for number, mutant in enumerate(stream.mutants)
    ],
)
def test_the_proof_fails_for_a_mutant(
    stream: Stream, mutant: tuple[str, str], tmp_path: Path
) -> None:
    proven, _ = prove(tmp_path, stream, mutant)
    assert not proven


def test_every_cell_between_two_streams_has_a_proof_and_a_mutant() -> None:
    cells = {
        path.stem
        for path in assets.rtl().glob("*.sv")
        if {"valid_i", "ready_o", "valid_o", "ready_i"} <= set(_words(path.read_text()))
    }
    assert cells == {stream.cell for stream in STREAMS}
    assert all(stream.mutants for stream in STREAMS)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace(")", " ").split()
