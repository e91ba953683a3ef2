// SPDX-License-Identifier: Apache-2.0

// The sum of a word of each operand, lane by lane; with Subtract the difference of two.
//
// Operand n is valid_i[n], ready_o[n] and the n-th word of data_i; all operands move in the same
// cycle.  Sums wrap at SumBits: the width that never wraps is for the caller to prove.
//
// Operands may be narrower than ElementBits: bits n*32 +: 32 of OperandBits are the width of operand
// n, bit n of OperandSigned says whether it is signed, and AllBits is the sum of the widths.  Signed
// then says whether ElementBits is two's complement.
//
// A word every cycle; the whole pipeline stands still while its last word is not taken: ready_o
// depends on ready_i, and on valid_i of all operands, within the cycle.
// Latency: ceil(log2(Operands)) cycles, at least one.
module vecq_add #(
  parameter int Operands    = 2,
  parameter int Lanes       = 1,
  parameter int ElementBits = 8,
  parameter bit Signed      = 1'b0,
  parameter int SumBits     = 9,
  parameter bit Subtract    = 1'b0,
  parameter bit [Operands*32-1:0] OperandBits   = {Operands{32'(ElementBits)}},
  parameter bit [Operands-1:0]    OperandSigned = {Operands{Signed}},
  parameter int AllBits     = Operands * ElementBits
) (
  input  logic                     clk_i,
  input  logic                     rst_ni,

  input  logic [Operands-1:0]      valid_i,
  output logic [Operands-1:0]      ready_o,
  input  logic [Lanes*AllBits-1:0] data_i,

  output logic                     valid_o,
  input  logic                     ready_i,
  output logic [Lanes*SumBits-1:0] data_o
);

  // The bits of a lane that the operands before n have.
  function automatic int bits_before(int n);
    bits_before = 0;
    for (int m = 0; m < n; m++) bits_before += int'(OperandBits[m*32 +: 32]);
  endfunction

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
    logic signed [TreeBits:0] extended;

    for (genvar n = 0; n < Terms; n++) begin : gen_term
      if (n < Operands) begin : gen_operand
        localparam int Bits  = int'(OperandBits[n*32 +: 32]);
        localparam int First = Lanes * bits_before(n) + lane * Bits;
        logic signed [Bits:0] element;
        assign element = {OperandSigned[n] & data_i[First+Bits-1], data_i[First +: Bits]};
        assign terms[n*ElementBits +: ElementBits] = ElementBits'(element);
      end else begin : gen_zero
        assign terms[n*ElementBits +: ElementBits] = '0;
      end
    end

    if (Subtract) begin : gen_difference
      logic [ElementBits-1:0] left, right;
      logic [TreeBits:0] difference_q;

      assign left  = terms[0 +: ElementBits];
      assign right = terms[ElementBits +: ElementBits];
      always_ff @(posedge clk_i) begin
        if (advance) begin
          difference_q <= {{2{Signed & left[ElementBits-1]}}, left}
                        - {{2{Signed & right[ElementBits-1]}}, right};
        end
      end
      assign extended = difference_q;
    end else begin : gen_sum
      logic [TreeBits-1:0] sum;

      vecq_adder_tree #(
        .Terms(Terms), .TermBits(ElementBits), .Signed(Signed)
      ) tree (
        .clk_i, .enable_i(advance), .terms_i(terms), .sum_o(sum)
      );

      assign extended = {Signed & sum[TreeBits-1], sum};
    end

    assign data_o[lane*SumBits +: SumBits] = SumBits'(extended);
  end

  function automatic bit all_fit();
    all_fit = 1'b1;
    for (int n = 0; n < Operands; n++) begin
      if (int'(OperandBits[n*32 +: 32]) < 1 ||
          int'(OperandBits[n*32 +: 32]) + int'(Signed && !OperandSigned[n]) > ElementBits) begin
        all_fit = 1'b0;
      end
    end
  endfunction

  // What the parameters must be.
  if (Operands < 1 || Lanes < 1) begin : gen_rule_positive
    $error("vecq_add: Operands (%0d) and Lanes (%0d) must be at least 1", Operands, Lanes);
  end
  if (ElementBits < 1 || SumBits < 1) begin : gen_rule_positive_element_bits_sum_bits
    $error("vecq_add: ElementBits (%0d) and SumBits (%0d) must be at least 1",
           ElementBits, SumBits);
  end

  if (!all_fit()) begin : gen_rule_operands
    $error("vecq_add: OperandBits %h of OperandSigned %b are at least 1 and fit ElementBits (%0d)",
           OperandBits, OperandSigned, ElementBits);
  end
  if (AllBits != bits_before(Operands)) begin : gen_rule_all_bits
    $error("vecq_add: AllBits (%0d) must be the sum of OperandBits (%0d)",
           AllBits, bits_before(Operands));
  end
  if (Subtract && Operands != 2) begin : gen_rule_subtract
    $error("vecq_add: with Subtract, Operands (%0d) must be 2", Operands);
  end

`ifdef VECQ_ASSERTIONS
  for (genvar n = 0; n < Operands; n++) begin : gen_rules_in
    localparam int WordBits = Lanes * int'(OperandBits[n*32 +: 32]);
    vecq_stream_rules #(
      .DataBits(WordBits)
    ) rules_in (
      .clk_i, .rst_ni, .valid_i(valid_i[n]), .ready_i(ready_o[n]),
      .data_i(data_i[Lanes*bits_before(n) +: WordBits]), .last_i(1'b0)
    );
  end

  vecq_stream_rules #(
    .DataBits(Lanes * SumBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
