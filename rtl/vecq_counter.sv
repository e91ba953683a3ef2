// SPDX-License-Identifier: Apache-2.0

// One of nested counters: counts to Count - 1 and begins again, whenever those inside have ended.
//
// Counts of a step follow from registers alone: full_o, a register, says that this counter and all
// inside it are at their ends, and so that the next step moves the one around it.  For that each
// says ahead (full_d_o) what full_o is after a step.  The innermost counter has 1 at both inputs.
// After a reset it is at Start; InnerOne says that those inside have one value each, InnerStart that
// they start at their ends.  step_i alone is the enable of all registers.
module vecq_counter #(
  parameter int Count      = 1,
  parameter int Start      = 0,
  parameter bit InnerOne   = 1'b1,
  parameter bit InnerStart = 1'b1,
  localparam int Bits = Count > 1 ? $clog2(Count) : 1
) (
  input  logic            clk_i,
  input  logic            rst_ni,

  input  logic            step_i,
  input  logic            inner_full_i,
  input  logic            inner_full_d_i,
  output logic [Bits-1:0] count_o,
  output logic            last_o,
  output logic            full_o,
  output logic            full_d_o
);

  if (Count == 1) begin : gen_one
    assign count_o  = '0;
    assign last_o   = 1'b1;
    assign full_o   = inner_full_i;
    assign full_d_o = inner_full_d_i;
  end else begin : gen_several
    logic [Bits-1:0] count_q;
    logic last_q, full_q, before_last;
    // Whether it begins again by itself.
    localparam bit Wraps = Count == 1 << Bits;
    // Of the counts that there are, what tells the one before the last from the others.
    localparam logic [Bits-1:0] Telling = Bits'((Count - 2) | 1);

    assign count_o     = count_q;
    assign last_o      = last_q;
    assign full_o      = full_q;
    assign before_last = (count_q & Telling) == Bits'(Count - 2);
    // The step that brings those inside to their ends moves this one only if they are always there.
    assign full_d_o    = InnerOne ? before_last : inner_full_d_i && last_q;

    // By & and |, as a choice by `?` would become part of the registers' enable, and a look-up table
    // would stand between step_i and them.
    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        count_q <= Bits'(Start);
        last_q  <= Start == Count - 1;
      end else if (step_i) begin
        count_q <= {Bits{Wraps || !(inner_full_i && last_q)}} & (count_q + Bits'(inner_full_i));
        last_q  <= inner_full_i && before_last || !inner_full_i && last_q;
      end
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) full_q <= InnerStart && Start == Count - 1;
      else if (step_i) full_q <= full_d_o;
    end
  end

  // What the parameters must be.
  if (Count < 1 || Start < 0 || Start >= Count) begin : gen_rule_start
    $error("vecq_counter: Start (%0d) must be 0 to Count - 1 (%0d)", Start, Count - 1);
  end

endmodule
