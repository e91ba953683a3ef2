// SPDX-License-Identifier: Apache-2.0

// What all outputs of a row array share: of each pair of neighbouring lanes
//   plus = x[0] + x[1]   and   minus = x[0] + ~x[1], which is x[0] - x[1] + 2^InputBits - 1,
// and its two lanes alone.  x are unsigned; the last lane of an odd number has a plus and no minus.
//
// Rows pairs are added in a stage: those of stage g come out 1 + Registers + g cycles with enable_i
// after the activations, with Early one less unless g is 0.  Registers stand behind the sums, where
// they let placement reach all outputs.
module vecq_pair_sums #(
  parameter int Simd       = 2,
  parameter int InputBits  = 8,
  parameter int Rows       = 4,
  parameter bit Early      = 1'b0,
  parameter int Registers  = 0,
  localparam int Pairs     = (Simd + 1) / 2,
  localparam int RowBits   = InputBits + 1
) (
  input  logic                         clk_i,
  input  logic                         enable_i,
  input  logic [Simd*InputBits-1:0]    activations_i,
  output logic [Pairs*RowBits-1:0]     plus_o,
  output logic [Pairs*RowBits-1:0]     minus_o,
  output logic [Pairs*2*InputBits-1:0] alone_o
);

  for (genvar pair = 0; pair < Pairs; pair++) begin : gen_pair
    localparam int Lanes = 2 * pair + 1 < Simd ? 2 : 1;
    localparam int Stage = pair / Rows;
    localparam int Delay = Early && Stage > 0 ? Stage - 1 : Stage;
    logic [Lanes*InputBits-1:0] lanes;
    logic [RowBits-1:0] plus_d, minus_d, plus_q, minus_q;
    logic [2*InputBits-1:0] alone_q;

    if (Delay == 0) begin : gen_now
      assign lanes = activations_i[2*pair*InputBits +: Lanes*InputBits];
    end else begin : gen_delayed
      logic [Delay*Lanes*InputBits-1:0] delayed_q;
      assign lanes = delayed_q[(Delay-1)*Lanes*InputBits +: Lanes*InputBits];
      always_ff @(posedge clk_i) begin
        if (enable_i) begin
          delayed_q <= (Delay*Lanes*InputBits)'(
              {delayed_q, activations_i[2*pair*InputBits +: Lanes*InputBits]});
        end
      end
    end

    if (Lanes == 2) begin : gen_two
      assign plus_d = RowBits'(lanes[0 +: InputBits]) + RowBits'(lanes[InputBits +: InputBits]);
      vecq_adder #(
        .PlainBits(InputBits), .LogicBits(InputBits)
      ) minus_adder (
        .plain_i(lanes[0 +: InputBits]), .logic_i(~lanes[InputBits +: InputBits]), .carry_i(1'b0),
        .sum_o(minus_d)
      );
    end else begin : gen_one
      assign plus_d  = RowBits'(lanes);
      assign minus_d = '0;
    end

    always_ff @(posedge clk_i) begin
      if (enable_i) begin
        plus_q  <= plus_d;
        minus_q <= minus_d;
        alone_q <= (2*InputBits)'(lanes);
      end
    end

    // What is given, Registers cycles later.
    localparam int AllBits = 2 * RowBits + 2 * InputBits;
    logic [AllBits-1:0] given;

    if (Registers > 0) begin : gen_registers
      logic [Registers*AllBits-1:0] given_q;
      assign given = given_q[(Registers-1)*AllBits +: AllBits];
      always_ff @(posedge clk_i) begin
        if (enable_i) given_q <= (Registers*AllBits)'({given_q, plus_q, minus_q, alone_q});
      end
    end else begin : gen_no_registers
      assign given = {plus_q, minus_q, alone_q};
    end
    assign plus_o[pair*RowBits +: RowBits]  = given[RowBits+2*InputBits +: RowBits];
    assign minus_o[pair*RowBits +: RowBits] = given[2*InputBits +: RowBits];
    assign alone_o[pair*2*InputBits +: 2*InputBits] = given[2*InputBits-1:0];
  end

  // What the parameters must be.
  if (Registers < 0) begin : gen_rule_registers
    $error("vecq_pair_sums: Registers (%0d) must be at least 0", Registers);
  end
  if (Simd < 1 || InputBits < 1 || Rows < 1) begin : gen_rule_positive
    $error("vecq_pair_sums: Simd (%0d), InputBits (%0d) and Rows (%0d) must be at least 1",
           Simd, InputBits, Rows);
  end

endmodule
