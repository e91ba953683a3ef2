"""AXI-Stream rules of every cell between streams, for all inputs and all times.

A word that is offered stays as it is until it is taken, whatever the sender does within the same
rule; buffers hold as much as came in and did not go out, and no more than they have room for.  Each
proof has mutants that it catches.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import Stream, prove, solve
from tests.shares import named, nightly
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


def _frames(last: str) -> str:
    """That a cell's buffer holds the words that came, without the frames whose ``last`` is read."""
    return f"""
  (* hierconn *) logic [$clog2(2*Words+1)-1:0] \\input_buffer.stored_q ;
  logic started = 1'b0;
  logic [7:0] inside = 8'd0;
  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    if (started) inside <= inside + 8'(valid_i && ready_o) - (step && {last} ? 8'(Words) : 8'd0);
  end
  always_comb if (started) begin
    assert (inside == 8'( \\input_buffer.stored_q ));
    assert (inside <= 2*Words);
  end
"""


# With so many cycles a mutant takes the solver ten seconds and more.
DEAR_STEPS = 45

STREAMS = [
    Stream(
        cell="vecq_stream_register",
        parameters={"DataBits": 8},
        input_bits=8,
        output_bits=8,
        invariants=_inside("1", "1", "valid_q + !ready_q"),
        mutants=[
            ("if (free) data_q", "data_q"),
            ("valid_q <= !free || valid_i || !ready_q;", "valid_q <= !free || valid_i;"),
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
    *(
        # Packets may end anywhere: last_i is free.
        Stream(
            cell="vecq_frame_guard",
            parameters={"Words": 3, "DataBits": 2, "Resynchronise": resynchronise},
            input_bits=2,
            output_bits=2,
            mutants=mutants,
        )
        for resynchronise, mutants in (
            (0, [("data_o  = fill ?", "data_o  = ready_i ?")]),
            (1, [("if (fill_q) fill_q <= !(ready_i && frame_end)", "if (fill_q) fill_q <= 1'b0")]),
        )
    ),
    Stream(
        cell="vecq_frame_width",
        parameters={"Elements": 7, "LanesIn": 3, "LanesOut": 4, "ElementBits": 2},
        input_bits=6,
        output_bits=8,
        invariants=_inside("come", "wanted", "count_q")
        + "always_comb if (started) assert (count_q <= Capacity);",
        mutants=[
            ("count_q <= CountBits'(Capacity - GroupsIn)", "1'b1"),
            ("if (pop) begin", "begin"),
            ("push ? kept + come", "push ? kept + CountBits'(GroupsIn)"),
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
        mutants=[
            (".valid_o, .ready_i, .data_o\n  );\n\n", ".valid_o, .ready_i(1'b1), .data_o);\n")
        ],
    ),
    Stream(
        cell="vecq_rescale_serial",
        parameters={
            "Channels": 4,
            "Lanes": 2,
            "Turns": 2,
            "AccumulatorBits": 4,
            "MantissaBits": 3,
            "RestBits": 4,
            "Shift": 3,
            "OutputBits": 3,
            "Hi": 7,
        },
        input_bits=8,
        output_bits=6,
        mutants=[(".valid_o, .ready_i, .data_o\n  );\n", ".valid_o, .ready_i(1'b1), .data_o);\n")],
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
        mutants=[
            (".valid_o, .ready_i, .data_o\n  );\n\n", ".valid_o, .ready_i(1'b1), .data_o);\n")
        ],
    ),
    Stream(  # with vecq_group_buffer
        cell="vecq_matrix_vector",
        parameters={
            **{"Inputs": 2, "Outputs": 2, "Groups": 2, "Taps": 2},
            **{"WeightBits": 1, "InputBits": 1, "AccumulatorBits": 4},
        },
        input_bits=1,
        output_bits=4,
        mutants=[
            (".valid_o, .ready_i, .data_o\n  );\n\n", ".valid_o, .ready_i(1'b1), .data_o);\n")
        ],
    ),
    Stream(
        cell="vecq_sliding_window",
        parameters={
            **{"Height": 3, "Width": 2, "KernelRows": 2, "KernelColumns": 2},
            **{"PaddingLeft": 1, "PaddingRight": 1, "WordBits": 2},
        },
        input_bits=2,
        output_bits=2,
        mutants=[(".valid_o, .ready_i, .data_o\n  );\n", ".valid_o, .ready_i(1'b1), .data_o);\n")],
    ),
    *(
        Stream(
            cell="vecq_pool",
            parameters={
                **{"Height": 2, "Width": 2, "Folds": folds, "KernelRows": 2, "StrideRows": 2},
                **{"ElementBits": 2, "Signed": 1, "Max": is_max},
            },
            input_bits=2,
            output_bits=2 if is_max else 3,
            mutants=[
                (".valid_o, .ready_i, .data_o\n  );\n", ".valid_o, .ready_i(1'b1), .data_o);\n")
            ],
        )
        for folds, is_max in ((1, 1), (2, 0))
    ),
    Stream(
        cell="vecq_upsample",
        parameters={"Width": 2, "WordBits": 2},
        input_bits=2,
        output_bits=2,
        # What is held of the row that is read: its words read once, but not for the last time.
        invariants="""
  logic started = 1'b0;
  logic [7:0] once, gone;
  assign once = 8'(down_q != 0 ? RowWords : column_q * Folds + (across_q != 0 ? Folds : fold_q));
  assign gone = 8'(last_down ? column_q * Folds + (last_across ? fold_q : 0) : 0);
  always_ff @(posedge clk_i) started <= 1'b1;
  always_comb if (started) begin
    assert (fold_q < Folds && across_q < FactorColumns);
    assert (column_q < Width && down_q < FactorRows);
    assert (stored_q <= Slots && 8'(stored_q) == 8'(unread_q) + once - gone);
  end
""",
        mutants=[("if (advance) data_q", "data_q"), ("stored_q != CountBits'(Slots)", "1'b1")],
    ),
    Stream(
        cell="vecq_fork",
        parameters={"Outputs": 2, "WordBits": 2},
        input_bits=2,
        output_bits=2,
        outputs=2,
        # No receiver is ahead by more than the word that the others have not taken yet.
        invariants="""
  logic started = 1'b0;
  logic [3:0] ahead = 4'd0, behind = 4'd0;
  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    if (started) ahead  <= ahead + (valid_o[0] && ready_i[0] ? 4'd1 : 4'd0)
                                 - (valid_i && ready_o ? 4'd1 : 4'd0);
    if (started) behind <= behind + (valid_o[1] && ready_i[1] ? 4'd1 : 4'd0)
                                  - (valid_i && ready_o ? 4'd1 : 4'd0);
  end
  always_comb if (started) assert (ahead == 4'(done_q[0]) && behind == 4'(done_q[1]));
""",
        mutants=[("ready_o = &done", "ready_o = |done"), ("done_q | ready_i", "ready_i")],
    ),
    Stream(
        cell="vecq_add",
        parameters={"ElementBits": 2, "SumBits": 3},
        input_bits=2,
        output_bits=3,
        inputs=2,
        invariants="always_comb if (|ready_o) assert (&ready_o && &valid_i);",
        mutants=[
            ("assign advance = !valid_o || ready_i;", "assign advance = 1'b1;"),
            ("ready_o = {Operands{step}}", "ready_o = {Operands{advance}}"),
        ],
    ),
    Stream(
        cell="vecq_concat",
        parameters={"WordBits": 2, "Turns": "{32'd1, 32'd2}"},
        input_bits=2,
        output_bits=2,
        inputs=2,
        invariants="always_comb assert (ready_o != 2'b11);",
        mutants=[("if (advance) data_q", "data_q")],
    ),
    Stream(  # the first of three words waits for the last one's operand
        cell="vecq_concat",
        parameters={"WordBits": 2, "Turns": "{32'd1, 32'd2}", "Lead": 1},
        input_bits=2,
        output_bits=2,
        inputs=2,
        invariants="""
  logic started = 1'b0;
  logic [1:0] taken = 2'd0;
  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    if (started && |(valid_i & ready_o)) taken <= taken == 2'd2 ? 2'd0 : taken + 2'd1;
  end
  always_comb if (started) begin
    assert (taken == (operand_q ? 2'd2 : 2'(word_q)) && taken != 2'd3 && !(operand_q && word_q));
    if (taken == 2'd0 && |ready_o) assert (&valid_i && ready_o == 2'b01);
    if (taken != 2'd0 && advance) assert (ready_o == (valid_i & (2'b01 << operand_q)));
  end
""",
        mutants=[
            ("|| valid_i[Lead]", "|| 1'b1"),
            ("|| !begins", "|| begins"),
            ("n != 0 || !begins ||", "n != 0 ||"),
            ("if (advance) data_q", "data_q"),
        ],
    ),
    Stream(
        cell="vecq_threshold",
        parameters={"Channels": 2, "InputBits": 3, "ThresholdBits": 5},
        input_bits=3,
        output_bits=2,
        mutants=[("assign advance = !valid_o || ready_i;", "assign advance = 1'b1;")],
    ),
    *(
        Stream(
            cell="vecq_lookup",
            parameters={
                "Channels": 4,
                "Lanes": 2,
                "InputBits": 2,
                "OutputBits": 2,
                "OwnTables": own,
            },
            input_bits=4,
            output_bits=4,
            mutants=[("assign advance = !valid_q || ready_i;", "assign advance = 1'b1;")],
        )
        for own in (0, 1)
    ),
    Stream(
        cell="vecq_topk",
        parameters={"Channels": 4, "Count": 3, "ElementBits": 2, "Signed": 1},
        input_bits=2,
        output_bits=2,
        mutants=[
            ("ready_o = !last || !waiting_q[0]", "ready_o = 1'b1"),
            ("if (take && last) given_q", "if (take) given_q"),
        ],
    ),
    Stream(
        cell="vecq_argmax",
        parameters={"Elements": 6, "Lanes": 3, "ElementBits": 2, "Signed": 1},
        input_bits=6,
        output_bits=3,
        invariants="always_comb if (rst_ni) assert (before_q == 0 || before_q == Lanes);",
        mutants=[
            ("assign advance = !valid_q || ready_i;", "assign advance = 1'b1;"),
            ("if (advance && gen_level[Levels].valid &&", "if (gen_level[Levels].valid &&"),
            ("last ? '0 : before_q", "before_q"),
        ],
    ),
    *(
        Stream(
            cell="vecq_fifo",
            parameters={"LanesIn": come, "LanesOut": go, "ElementBits": 1, "Capacity": room},
            input_bits=come,
            output_bits=go,
            # What is in it lies between the two ends, and what is read is what the memory holds.
            invariants=_inside("GroupsIn", "GroupsOut", "count_q")
            + """
  logic [7:0] first, behind;
  assign first  = 8'(read_row_q) * RowGroups + 8'(part_q) * GroupsOut;
  assign behind = first + 8'(count_q);
  always_comb if (started) begin
    assert (count_q <= Groups && read_row_q < Rows && write_row_q < Rows);
    assert (part_q < GroupsIn && bank_q < GroupsOut);
    assert (8'(write_row_q) * RowGroups + 8'(bank_q) * GroupsIn
            == (behind < Rows * RowGroups ? behind : behind - 8'(Rows * RowGroups)));
  end
"""
            + "".join(
                "always_comb if (started && count_q != 0)"
                f" assert (row[{bank}*WordInBits +: WordInBits]"
                f" == gen_bank[{bank}].memory[read_row_q]);\n"
                for bank in range(banks)
            ),
            mutants=[
                ("count_q <= CountBits'(Groups - GroupsIn)", "1'b1"),
                ("fresh_q ? written_q : read_q", "read_q"),
            ],
        )
        for come, go, room, banks in ((1, 1, 3, 1), (3, 2, 7, 2))
    ),
    Stream(
        cell="vecq_constant",
        parameters={"Words": 3, "WordBits": 2},
        inputs=0,
        input_bits=0,
        output_bits=2,
        mutants=[
            ("assign advance = !valid_q || ready_i;", "assign advance = 1'b1;"),
            (
                "end else if (advance) begin\n      valid_q <= 1'b1;",
                "end else begin\n      valid_q <= !valid_q;",
            ),
        ],
    ),
    *(
        Stream(
            cell="vecq_multiply",
            parameters={
                **{"LeftBits": 2, "RightBits": 2, "RightSigned": 1, "ProductBits": 4},
                **{"Words": 2, "Positions": positions},
            },
            input_bits=2,
            output_bits=4,
            inputs=2,
            # The products on their way are the words of the first operand that came.
            invariants=invariants
            + """
  logic started = 1'b0;
  logic [7:0] inside = 8'd0;
  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    if (started) inside <= inside + 8'(valid_i[0] && ready_o[0]) - 8'(valid_o && ready_i);
  end
  always_comb if (started) assert (inside == 8'(valid_q[0]) + 8'(valid_q[1]));
""",
            mutants=[
                ("assign advance = !valid_o || ready_i;", "assign advance = 1'b1;"),
                mutant,
            ],
        )
        for positions, invariants, mutant in (
            (
                1,
                "always_comb if (|ready_o) assert (&ready_o && &valid_i);",
                ("ready_o = {2{step}}", "ready_o = {2{advance}}"),
            ),
            (
                2,
                "always_comb if (ready_o[0]) assert (valid_i[0] && gen_kept.there);",
                ("ready_o[0] = step", "ready_o[0] = advance"),
            ),
        )
    ),
    Stream(
        cell="vecq_embedding",
        parameters={"Rows": 2, "Folds": 3, "IndexBits": 1, "WordBits": 2},
        input_bits=1,
        output_bits=2,
        # A row leaves word by word; each index gives all of its row.
        invariants=_inside("Folds", "1", "stored_q * Folds - fold_q + valid_q")
        + "always_comb if (started) assert (stored_q <= 2 && fold_q < Folds);"
        + "always_comb if (started && stored_q == 0) assert (fold_q == 0);",
        mutants=[
            ("assign advance = !valid_q || ready_i;", "assign advance = 1'b1;"),
            ("assign ready_o = !full;", "assign ready_o = 1'b1;"),
        ],
    ),
    Stream(  # the words 0, 2, 1, 3 of a frame
        cell="vecq_reorder",
        parameters={
            **{"Words": 4, "Slots": 4, "Axes": 2, "WordBits": 2, "ReadsOnce": 0},
            "Sizes": "{32'd2, 32'd2}",
            "Moves": "{32'd1, -32'd1, 32'd2}",
            "KeptMoves": "{32'd2, 32'd0, 32'd1}",
        },
        input_bits=2,
        output_bits=2,
        # Where reading and keeping stand apart, and that no word that is kept is written over.
        invariants=_inside("1", "1", "stored + valid_q - gen_axis[1].place_q")
        + """
  always_comb if (started) begin
    assert (stored <= Slots);
    assert (ahead_q == CountBits'(stored - gen_axis[0].place_q));
    assert (ahead_q[SlotBits-1:0] == SlotBits'(read_q - write_q));
  end
""",
        mutants=[
            ("assign advance = !valid_q || ready_i;", "assign advance = 1'b1;"),
            ("stored != CountBits'(Slots)", "1'b1"),
            ("!ahead_q[CountBits-1] && ahead_q != '0", "ahead_q != '0"),
            ("if (read) read_q <=", "if (step) read_q <= 1 +"),
        ],
    ),
    Stream(  # with code in between, wherever the table says so
        cell="vecq_reorder",
        parameters={
            **{"Words": 3, "Sizes": "32'd3", "Table0Axis": 0, "WordBits": 2, "Code": "2'd2"},
            **{"Moves": "{32'd1, 32'd1}", "MoveBits": 2, "KeptMoveBits": 2},
        },
        input_bits=2,
        output_bits=2,
        mutants=[
            ("if (advance) data_q", "data_q"),
            ("if (advance) begin", "begin"),
        ],
    ),
    Stream(
        cell="vecq_gather_sum",
        memory=6,  # each entry ends a sum
        parameters={
            **{"Positions": 2, "Folds": 2, "Entries": 3, "ElementBits": 1},
            **{"ShiftBits": 1, "SumBits": 3},
        },
        input_bits=1,
        output_bits=3,
        invariants=_frames("last_entry && last_fold"),
        mutants=[
            ("assign advance = !output_q || ready_i;", "assign advance = 1'b1;"),
            (".last_i(last_entry && last_fold)", ".last_i(last_entry)"),
            ("if (advance && term_q) sum_q", "if (term_q) sum_q"),
        ],
    ),
    *(
        Stream(
            cell="vecq_base_serial",
            parameters={
                **{"Words": 2, "Outputs": 2, "Passes": 3, "GroupWords": words},
                **{"InputBits": 1, "CoordinateBits": bits, "AccumulatorBits": 4},
            },
            input_bits=1,
            output_bits=4,
            invariants=_frames("last_step && last_pass"),
            mutants=[
                ("assign advance = !output_valid_q || ready_i;", "assign advance = 1'b1;"),
                (".last_i(last_step && last_pass)", ".last_i(last_step)"),
            ],
        )
        for words, bits in ((1, 1), (2, 2), (1, 2))
    ),
    *(
        Stream(
            cell="vecq_partial_sums",
            parameters={
                **{"Words": 2, "Outputs": outputs, "BookWords": 2, "WeightBits": 1},
                **{"InputBits": 1, "AccumulatorBits": 4},
            },
            input_bits=1,
            output_bits=4,
            mutants=[
                ("if (advance && take) sums_q", "if (take) sums_q"),
                ("assign advance = !output_valid_q || ready_i;", "assign advance = 1'b1;"),
            ],
        )
        for outputs in (1, 3)
    ),
    *(
        Stream(
            cell=cell,
            parameters={
                **{"Elements": 1, "Length": 2, "Sequence": sequence, "WeightBits": 1},
                **{"InputBits": 1, "SumBits": 1, "MantissaXBits": 1, "MantissaHBits": 1},
                **parameters,
            },
            input_bits=1,
            output_bits=8,
            # Nothing that is promised depends on what a state is: any one, another every cycle.
            cuts=[(state, "any_state")],
            invariants="(* anyseq *) logic [7:0] any_state;",
            mutants=mutants,
            steps=steps,
        )
        for cell, parameters, state in (
            (
                "vecq_lstm",
                {"OffsetBits": 1, "TotalBits": 8, "Shift": 2},
                "8'((product_d + 18'sd128) >>> 8)",
            ),
            (
                "vecq_gru",
                {"OffsetBits": 1, "PartOffsetBits": 1, "TotalBits": 25, "Shift": 15},
                "8'((17'(new_wide_q) + 17'sd128) >>> 8)",
            ),
        )
        for sequence, steps, mutants in (
            # What is wrong with it is seen where the state of the second step goes out.
            (0, DEAR_STEPS, [(".advance_i(advance)", ".advance_i(1'b1)")]),
            (1, 30, [("assign advance = !valid_o || ready_i;", "assign advance = 1'b1;")]),
        )
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
        (nightly if stream.steps >= DEAR_STEPS else named)(
            stream, mutant, name=f"{stream} {number}"
        )
        for stream in STREAMS
        for number, mutant in enumerate(stream.mutants)
    ],
)
def test_the_proof_fails_for_a_mutant(
    stream: Stream, mutant: tuple[str, str], tmp_path: Path
) -> None:
    proven, _ = prove(tmp_path, stream, mutant)
    assert not proven


# A pipeline of one stage whose words are numbered, before a stream register at its end.
PIPELINE = """
module proof (input logic clk_i, input logic word_i, input logic ready_i);
  logic started = 1'b0, stage_valid = 1'b0, waits = 1'b0;
  logic [3:0] given = 4'd0, stage = 4'd0, wanted = 4'd0, held = 4'd0;
  logic advance, hold, valid_o;
  logic [3:0] data_o, inside;

  vecq_pipeline_end #(.DataBits(4), .Words(WORDS)) unit (
    .clk_i, .rst_ni(started), .valid_i(stage_valid), .next_i(word_i), .data_i(stage),
    .advance_o(advance), .hold_o(hold), .valid_o, .ready_i, .data_o
  );
  SPARE
  assign inside = 4'(valid_o) + 4'(spare_valid);

  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    waits   <= started && valid_o && !ready_i;
    held    <= data_o;
    if (started && advance) begin
      stage_valid <= word_i;
      stage       <= given;
      given       <= given + 4'(word_i);
    end
    if (started && valid_o && ready_i) wanted <= wanted + 4'd1;
  end
  always_comb begin
    if (waits) assert (valid_o && data_o == held);
    if (started) begin
      assert (hold == !advance);
      assert (given == wanted + inside + 4'(stage_valid));
      if (valid_o) assert (data_o == wanted);
      if (spare_valid) assert (valid_o && spare == wanted + 4'd1);
      if (stage_valid) assert (stage == wanted + inside);
      if (hold) assert (stage_valid && inside == WORDS);
    end
  end
endmodule
"""
SPARES = {
    1: "logic spare_valid = 1'b0; logic [3:0] spare = 4'd0;",
    2: r"""(* hierconn *) logic \unit.gen_two.spare_valid_q ;
  (* hierconn *) logic [3:0] \unit.gen_two.spare_q ;
  logic spare_valid;
  logic [3:0] spare;
  assign spare_valid = \unit.gen_two.spare_valid_q ;
  assign spare       = \unit.gen_two.spare_q ;""",
}


@pytest.mark.parametrize(
    ("words", "mutant"),
    [
        (1, ("", "")),
        (2, ("", "")),
        (1, ("valid_d = valid_q ? !ready_i : push", "valid_d = push")),
        (1, ("if (!valid_q) data_q", "data_q")),
        (2, ("if (!spare_valid_q) spare_q", "spare_q")),
        (2, ("hold_q    <= end_valid && full_d", "hold_q    <= full_d")),
        (2, ("end_valid = hold_q ? valid_i : next_i", "end_valid = valid_i")),
    ],
)
def test_the_end_of_a_pipeline_gives_each_word_once_and_in_order(
    tmp_path: Path, words: int, mutant: tuple[str, str]
) -> None:
    cell = (assets.rtl() / "vecq_pipeline_end.sv").read_text()
    assert mutant[0] in cell
    (tmp_path / "cell.sv").write_text(cell.replace(*mutant))
    top = PIPELINE.replace("WORDS", str(words)).replace("SPARE", SPARES[words])
    (tmp_path / "proof.sv").write_text(top)
    assert solve(tmp_path, ["cell.sv", "proof.sv"])[0] == (mutant == ("", ""))


def test_every_cell_between_streams_has_a_proof_and_a_mutant() -> None:
    cells = {
        path.stem
        for path in assets.rtl().glob("*.sv")
        if {"valid_o", "ready_i"} <= set(_words(path.read_text()))
    }
    # What the link gives depends on a line, packets long; its benches check the rules of streams.
    # The end of a pipeline has no stream before it; its proof stands above.
    others = {"vecq_uart_link", "vecq_pipeline_end"}
    assert cells - others == {stream.cell for stream in STREAMS}
    assert all(stream.mutants for stream in STREAMS)


def _words(text: str) -> list[str]:
    return text.replace(",", " ").replace(")", " ").split()
