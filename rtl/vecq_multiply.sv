// SPDX-License-Identifier: Apache-2.0

// The product of two operands, lane by lane; the second may be one vector for all positions.
//
// Operand n is valid_i[n], ready_o[n]; data_i holds a word of Lanes elements of LeftBits bits, and
// above it one of RightBits.  A frame of the first operand is Positions times Words words.  With one
// position both operands move in the same cycle.  With more, the second has Words words a frame,
// which are kept and used at each position, while those of the next frame come in.  Products wrap at
// ProductBits: the width that never wraps is for the caller to prove.
//
// With UseDsp the multiplier is a DSP block: Vivado reads that, yosys wants no -nodsp.  Without, it is
// made of look-up tables by vecq_table_multiplier; CarryChoice is for ECP5.
//
// A word every cycle; the whole pipeline stands still while its last word is not taken: ready_o
// depends on ready_i, and on valid_i of both operands, within the cycle.
// Latency: two cycles.
module vecq_multiply #(
  parameter int Lanes       = 1,
  parameter int LeftBits    = 8,
  parameter bit LeftSigned  = 1'b0,
  parameter int RightBits   = 8,
  parameter bit RightSigned = 1'b0,
  parameter int ProductBits = 16,
  parameter int Words       = 1,
  parameter int Positions   = 1,
  parameter bit UseDsp      = 1'b0,
  parameter bit CarryChoice = 1'b0
) (
  input  logic                                  clk_i,
  input  logic                                  rst_ni,

  input  logic [1:0]                            valid_i,
  output logic [1:0]                            ready_o,
  input  logic [Lanes*(LeftBits+RightBits)-1:0] data_i,

  output logic                                  valid_o,
  input  logic                                  ready_i,
  output logic [Lanes*ProductBits-1:0]          data_o
);

  logic [1:0] valid_q;
  logic advance, step;
  logic [Lanes*LeftBits-1:0] left_q;
  logic [Lanes*RightBits-1:0] right_q;

  assign valid_o = valid_q[1];
  assign advance = !valid_o || ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (advance) valid_q <= {valid_q[0], step};
  end

  always_ff @(posedge clk_i) if (advance) left_q <= data_i[0 +: Lanes*LeftBits];

  if (Positions > 1) begin : gen_kept
    localparam int PositionBits = $clog2(Positions);
    localparam int WordBits     = Words > 1 ? $clog2(Words) : 1;

    logic [PositionBits-1:0] position_q;
    logic [WordBits-1:0] word_q;
    logic there, first, last, last_word;

    assign first     = position_q == '0;
    assign last      = position_q == PositionBits'(Positions - 1);
    assign last_word = word_q == WordBits'(Words - 1);
    assign step      = advance && valid_i[0] && there;
    assign ready_o[0] = step;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        position_q <= '0;
        word_q     <= '0;
      end else if (step) begin
        word_q <= last_word ? '0 : word_q + WordBits'(1);
        if (last_word) position_q <= last ? '0 : position_q + PositionBits'(1);
      end
    end

    vecq_replay_buffer #(
      .Words(Words), .Replays(Positions), .WordBits(Lanes * RightBits)
    ) kept (
      .clk_i, .rst_ni,
      .valid_i(valid_i[1]), .ready_o(ready_o[1]),
      .data_i(data_i[Lanes*LeftBits +: Lanes*RightBits]),
      .first_pass_i(first), .last_pass_i(last), .last_word_i(last_word),
      .there_o(there), .take_i(step), .enable_i(advance), .data_o(right_q)
    );
  end else begin : gen_together
    assign step    = advance && (&valid_i);
    assign ready_o = {2{step}};

    always_ff @(posedge clk_i) begin
      if (advance) right_q <= data_i[Lanes*LeftBits +: Lanes*RightBits];
    end
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    localparam int FirstBits  = LeftBits + int'(!LeftSigned);
    localparam int SecondBits = RightBits + int'(!RightSigned);
    // As wide as the product, so that nothing is cut before.
    localparam int FullBits   = FirstBits + SecondBits;

    logic [LeftBits-1:0] left_bits;
    logic [RightBits-1:0] right_bits;
    logic signed [FirstBits-1:0] left;
    logic signed [SecondBits-1:0] right;

    assign left_bits  = left_q[lane*LeftBits +: LeftBits];
    assign right_bits = right_q[lane*RightBits +: RightBits];
    assign left       = LeftSigned ? FirstBits'(signed'(left_bits)) : FirstBits'(left_bits);
    assign right      = RightSigned ? SecondBits'(signed'(right_bits)) : SecondBits'(right_bits);

    if (UseDsp) begin : gen_dsp
      logic signed [FullBits-1:0] product_d;
      (* use_dsp = "yes" *) logic [ProductBits-1:0] product_q;
      assign product_d = FullBits'(left) * FullBits'(right);
      always_ff @(posedge clk_i) if (advance) product_q <= ProductBits'(product_d);
      assign data_o[lane*ProductBits +: ProductBits] = product_q;
    end else begin : gen_tables
      logic signed [FullBits-1:0] product_d;
      logic [ProductBits-1:0] product_q;

      vecq_table_multiplier #(
        .LeftBits(FirstBits), .RightBits(SecondBits), .CarryChoice(CarryChoice)
      ) multiplier (
        .left_i(left), .right_i(right), .product_o(product_d)
      );

      always_ff @(posedge clk_i) if (advance) product_q <= ProductBits'(product_d);
      assign data_o[lane*ProductBits +: ProductBits] = product_q;
    end
  end

  // What the parameters must be.
  if (Lanes < 1 || ProductBits < 1) begin : gen_rule_positive
    $error("vecq_multiply: Lanes (%0d) and ProductBits (%0d) must be at least 1",
           Lanes, ProductBits);
  end
  if (LeftBits < 1 || RightBits < 1) begin : gen_rule_positive_left_bits_right_bits
    $error("vecq_multiply: LeftBits (%0d) and RightBits (%0d) must be at least 1",
           LeftBits, RightBits);
  end
  if (Words < 1 || Positions < 1) begin : gen_rule_positive_words_positions
    $error("vecq_multiply: Words (%0d) and Positions (%0d) must be at least 1", Words, Positions);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(Lanes * LeftBits)
  ) rules_left (
    .clk_i, .rst_ni, .valid_i(valid_i[0]), .ready_i(ready_o[0]),
    .data_i(data_i[0 +: Lanes*LeftBits]), .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(Lanes * RightBits)
  ) rules_right (
    .clk_i, .rst_ni, .valid_i(valid_i[1]), .ready_i(ready_o[1]),
    .data_i(data_i[Lanes*LeftBits +: Lanes*RightBits]), .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(Lanes * ProductBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
