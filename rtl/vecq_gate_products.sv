// SPDX-License-Identifier: Apache-2.0

// What a gate of a recurrent layer adds up: the sum over the input times its mantissa, the sum over
// the state times its own, and the gate's offset.
//
// address_i and sum_i come one cycle before input_i; the products and the offset two cycles after
// the address.  Memories, a line each: mantissas and offsets of the Outputs gates, signed.
module vecq_gate_products #(
  parameter int Outputs       = 1,
  parameter int InputBits     = 16,
  parameter bit InputSigned   = 1'b1,
  parameter int SumBits       = 16,
  parameter int MantissaXBits = 18,
  parameter int MantissaHBits = 18,
  parameter int OffsetBits    = 32,
  parameter int TotalBits     = 40,
  parameter bit CarryChoice   = 1'b0,
  parameter     MantissaXFile,
  parameter     MantissaHFile,
  parameter     OffsetFile,
  localparam int AddressBits = Outputs > 1 ? $clog2(Outputs) : 1,
  localparam int GivenBits   = InputBits + int'(!InputSigned)
) (
  input  logic                        clk_i,
  input  logic                        enable_i,
  input  logic [AddressBits-1:0]      address_i,
  input  logic [SumBits-1:0]          sum_i,
  input  logic [InputBits-1:0]        input_i,
  output logic signed [TotalBits-1:0] input_o,
  output logic signed [TotalBits-1:0] state_o,
  output logic signed [TotalBits-1:0] offset_o
);

  logic signed [MantissaXBits-1:0] mantissa_x;
  logic signed [MantissaHBits-1:0] mantissa_h;
  logic signed [OffsetBits-1:0] offset, offset_q;
  logic signed [SumBits-1:0] sum_q;
  logic signed [GivenBits-1:0] given;
  logic signed [GivenBits+MantissaXBits-1:0] input_product;
  logic signed [SumBits+MantissaHBits-1:0] state_product;
  logic signed [TotalBits-1:0] input_q, state_q;

  vecq_rom #(
    .Words(Outputs), .WordBits(MantissaXBits), .File(MantissaXFile)
  ) mantissa_x_rom (
    .clk_i, .enable_i, .address_i, .data_o(mantissa_x)
  );

  vecq_rom #(
    .Words(Outputs), .WordBits(MantissaHBits), .File(MantissaHFile)
  ) mantissa_h_rom (
    .clk_i, .enable_i, .address_i, .data_o(mantissa_h)
  );

  vecq_rom #(
    .Words(Outputs), .WordBits(OffsetBits), .File(OffsetFile)
  ) offset_rom (
    .clk_i, .enable_i, .address_i, .data_o(offset)
  );

  assign given    = InputSigned ? GivenBits'(signed'(input_i)) : GivenBits'(input_i);
  assign input_o  = input_q;
  assign state_o  = state_q;
  assign offset_o = TotalBits'(offset_q);

  vecq_table_multiplier #(
    .LeftBits(GivenBits), .RightBits(MantissaXBits), .CarryChoice(CarryChoice)
  ) input_multiplier (
    .left_i(given), .right_i(mantissa_x), .product_o(input_product)
  );

  vecq_table_multiplier #(
    .LeftBits(SumBits), .RightBits(MantissaHBits), .CarryChoice(CarryChoice)
  ) state_multiplier (
    .left_i(sum_q), .right_i(mantissa_h), .product_o(state_product)
  );

  always_ff @(posedge clk_i) begin
    if (enable_i) begin
      sum_q    <= sum_i;
      input_q  <= TotalBits'(input_product);
      state_q  <= TotalBits'(state_product);
      offset_q <= offset;
    end
  end

  // What the parameters must be.
  if (InputBits < 1 || SumBits < 1) begin : gen_rule_positive
    $error("vecq_gate_products: InputBits (%0d) and SumBits (%0d) must be at least 1",
           InputBits, SumBits);
  end
  if (MantissaXBits < 1 || MantissaHBits < 1 || OffsetBits < 1) begin : gen_rule_positive_constants
    $error("vecq_gate_products: MantissaXBits (%0d), MantissaHBits (%0d), OffsetBits (%0d) below 1",
           MantissaXBits, MantissaHBits, OffsetBits);
  end
  if (TotalBits < OffsetBits || TotalBits > 64) begin : gen_rule_total
    $error("vecq_gate_products: TotalBits (%0d) must be OffsetBits (%0d) to 64",
           TotalBits, OffsetBits);
  end

endmodule
