// SPDX-License-Identifier: Apache-2.0

// The sum of a word of each operand, lane by lane.
//
// Operand n is valid_i[n], ready_o[n] and the n-th word of data_i; all operands move in the same
// cycle.  Sums wrap at SumBits: the width that never wraps is for the caller to prove.
//
// A word every cycle; the whole pipeline stands still while its last word is not taken.
// Latency: ceil(log2(Operands)) cycles, at least one.
module vecq_add #(
  parameter int Operands    = 2,
  parameter int Lanes       = 1,
  parameter int ElementBits = 8,
  parameter bit Signed      = 1'b0,
  parameter int SumBits     = 9
) (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,

  input  logic [Operands-1:0]                   valid_i,
  output logic [Operands-1:0]                   ready_o,
  input  logic [Operands*Lanes*ElementBits-1:0] data_i,

  output logic                                  valid_o,
  input  logic                                  ready_i,
  output logic [Lanes*SumBits-1:0]              data_o
);

  localparam int Latency  = Operands > 2 ? $clog2(Operands) : 1;
  // A tree of one term has no register; a zero beside it makes one.
  localparam int Terms    = Operands > 1 ? Operands : 2;
  localparam int TreeBits = ElementBits + $clog2(Terms);

  logic [Latency-1:0] valid_q;
  logic advance, step;

  assign valid_o = valid_q[Latency-1];
  assign advance = !valid_o || ready_i;
  assign step    = advance && (&valid_i);
  assign ready_o = {Operands{step}};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (advance) valid_q <= Latency'({valid_q, step});
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [Terms*ElementBits-1:0] terms;
    logic [TreeBits-1:0] sum;
    logic signed [TreeBits:0] extended;

    for (genvar n = 0; n < Terms; n++) begin : gen_term
      if (n < Operands) begin : gen_operand
        assign terms[n*ElementBits +: ElementBits] =
            data_i[(n*Lanes+lane)*ElementBits +: ElementBits];
      end else begin : gen_zero
        assign terms[n*ElementBits +: ElementBits] = '0;
      end
    end

    vecq_adder_tree #(
      .Terms(Terms), .TermBits(ElementBits), .Signed(Signed)
    ) tree (
      .clk_i, .enable_i(advance), .terms_i(terms), .sum_o(sum)
    );

    assign extended = {Signed & sum[TreeBits-1], sum};
    assign data_o[lane*SumBits +: SumBits] = SumBits'(extended);
  end

  // What the parameters must be.
  if (Operands < 1 || Lanes < 1) begin : gen_rule_positive
    $error("vecq_add: Operands (%0d) and Lanes (%0d) must be at least 1", Operands, Lanes);
  end
  if (ElementBits < 1 || SumBits < 1) begin : gen_rule_positive_element_bits_sum_bits
    $error("vecq_add: ElementBits (%0d) and SumBits (%0d) must be at least 1",
           ElementBits, SumBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .Streams(Operands), .DataBits(Lanes * ElementBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(Lanes * SumBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
