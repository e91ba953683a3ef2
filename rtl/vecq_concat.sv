// SPDX-License-Identifier: Apache-2.0

// Words of several operands, one operand after the other, again and again.
//
// Operand n is valid_i[n], ready_o[n] and the n-th word of data_i.  It gives bits n*32 +: 32 of
// Turns words, then it is the turn of the next.  The first word of all turns waits until operand
// Lead has one, too: where constants come first, no word goes out before one has come in.
//
// A word every cycle; the register stands still while its word is not taken: ready_o depends on
// ready_i, and on valid_i, within the cycle.  Latency: one cycle.
module vecq_concat #(
  parameter int Operands = 2,
  parameter int WordBits = 8,
  parameter int Lead     = 0,
  parameter bit [Operands*32-1:0] Turns = {Operands{32'd1}}
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,

  input  logic [Operands-1:0]          valid_i,
  output logic [Operands-1:0]          ready_o,
  input  logic [Operands*WordBits-1:0] data_i,

  output logic                         valid_o,
  input  logic                         ready_i,
  output logic [WordBits-1:0]          data_o
);

  function automatic int most_turns();
    most_turns = 1;
    for (int n = 0; n < Operands; n++) begin
      if (Turns[n*32 +: 32] > 32'(most_turns)) most_turns = Turns[n*32 +: 32];
    end
  endfunction

  localparam int OperandBits = Operands > 1 ? $clog2(Operands) : 1;
  localparam int TurnBits    = most_turns() > 1 ? $clog2(most_turns()) : 1;

  logic [OperandBits-1:0] operand_q;
  logic [TurnBits-1:0] word_q;
  logic valid_q, advance, begins, valid, step, last;
  logic [WordBits-1:0] data, data_q;

  assign valid_o = valid_q;
  assign data_o  = data_q;
  assign advance = !valid_q || ready_i;
  assign begins  = operand_q == '0 && word_q == '0;
  assign step    = advance && valid;

  always_comb begin
    valid   = 1'b0;
    last    = 1'b0;
    data    = '0;
    ready_o = '0;
    for (int n = 0; n < Operands; n++) begin
      if (operand_q == OperandBits'(n)) begin
        valid      = valid_i[n] && (n != 0 || !begins || valid_i[Lead]);
        ready_o[n] = advance && valid;
        data       = data_i[n*WordBits +: WordBits];
        last       = word_q == TurnBits'(Turns[n*32 +: 32] - 32'd1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q   <= 1'b0;
      operand_q <= '0;
      word_q    <= '0;
    end else if (advance) begin
      valid_q <= valid;
      if (step) begin
        word_q <= last ? '0 : word_q + TurnBits'(1);
        if (last) begin
          operand_q <= operand_q == OperandBits'(Operands - 1) ? '0
                                                              : operand_q + OperandBits'(1);
        end
      end
    end
  end

  always_ff @(posedge clk_i) if (advance) data_q <= data;

  function automatic bit all_turn();
    all_turn = 1'b1;
    for (int n = 0; n < Operands; n++) begin
      if (Turns[n*32 +: 32] == '0 || Turns[n*32+31]) all_turn = 1'b0;
    end
  endfunction

  // What the parameters must be.
  if (Operands < 1 || WordBits < 1) begin : gen_rule_positive
    $error("vecq_concat: Operands (%0d) and WordBits (%0d) must be at least 1", Operands, WordBits);
  end
  if (Lead < 0 || Lead >= Operands) begin : gen_rule_lead
    $error("vecq_concat: Lead (%0d) must be at least 0 and below Operands (%0d)", Lead, Operands);
  end
  if (!all_turn()) begin : gen_rule_turns
    $error("vecq_concat: each operand must have 1 to 2^31 - 1 Turns, not %h", Turns);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .Streams(Operands), .DataBits(WordBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(WordBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
