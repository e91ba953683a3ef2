// SPDX-License-Identifier: Apache-2.0

// The stream register at the end of a pipeline, and the enable of the pipeline: neither it nor what
// is offered depends on ready_i within a cycle.
//
// A pipeline's stages move as one, with advance_o.  They stand still while the word at their end
// finds no place here, and advance_o knows that a cycle ahead: it is a flip-flop, so that the enable
// of all registers of a pipeline has no logic before it.  With a bubble at its end a pipeline moves.
//
// hold_o is the complement, a flip-flop of its own: for what counts beside the pipeline and needs the
// enable early, as advance_o has all of its registers as loads.
//
// A pipeline gives here, beside its last stage (valid_i, data_i), whether that will be valid after a
// clock edge with advance_o (next_i).
//
// Words are 2, or 1 where words come every second cycle or more seldom: one register alone then
// keeps up with them, and no bit of a word passes a look-up table.
//
// Latency: one cycle.
module vecq_pipeline_end #(
  parameter int DataBits = 8,
  parameter int Words    = 2
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  input  logic                next_i,
  input  logic [DataBits-1:0] data_i,
  output logic                advance_o,
  output logic                hold_o,

  output logic                valid_o,
  input  logic                ready_i,
  output logic [DataBits-1:0] data_o
);

  logic [DataBits-1:0] data_q;
  logic advance_q, hold_q, valid_q;
  logic push, end_valid, full_d;

  assign advance_o = advance_q;
  assign hold_o    = hold_q;
  assign valid_o   = valid_q;
  assign data_o    = data_q;
  assign push      = !hold_q && valid_i;
  assign end_valid = hold_q ? valid_i : next_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      advance_q <= 1'b1;
      hold_q    <= 1'b0;
    end else begin
      advance_q <= !(end_valid && full_d);
      hold_q    <= end_valid && full_d;
    end
  end

  if (Words == 1) begin : gen_one
    logic valid_d;

    assign valid_d = valid_q ? !ready_i : push;
    assign full_d  = valid_d;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) valid_q <= 1'b0;
      else valid_q <= valid_d;
    end

    always_ff @(posedge clk_i) begin
      if (!valid_q) data_q <= data_i;
    end
  end else begin : gen_two
    logic [DataBits-1:0] spare_q;
    logic spare_valid_q, free;

    assign free   = !valid_q || ready_i;
    assign full_d = !free && (spare_valid_q || push);

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        valid_q       <= 1'b0;
        spare_valid_q <= 1'b0;
      end else begin
        valid_q       <= !free || spare_valid_q || push;
        spare_valid_q <= full_d;
      end
    end

    always_ff @(posedge clk_i) begin
      if (free) data_q <= spare_valid_q ? spare_q : data_i;
      if (!spare_valid_q) spare_q <= data_i;
    end
  end

  // What the parameters must be.
  if (DataBits < 1) begin : gen_rule_positive
    $error("vecq_pipeline_end: DataBits (%0d) must be at least 1", DataBits);
  end
  if (Words != 1 && Words != 2) begin : gen_rule_words
    $error("vecq_pipeline_end: Words (%0d) must be 1 or 2", Words);
  end

endmodule
