// SPDX-License-Identifier: Apache-2.0

// As vecq_pair_row_array, on carry cells that add a choice of two operands without a look-up table
// in front (vecq_carry_adder): for each of Pe outputs the sum over Simd lanes of (2 * q + 1) * x,
// plus an offset that depends on the codes q alone.
//
// A row is four lanes.  Of a plane's signs that of the third lane stands before all of them, and
// what is added are the others relative to it, with plus and minus of a pair as there:
//   row = plus, minus or their complements of the first pair + plus or minus of the second,
// and the chain of rows adds the row or, where the third lane's sign is -, its complement.  So two
// pairs of a row need look-up tables for one.  A lane with b = -1 brings the offset
// 2^InputBits - 1, and the first of four 1 more, the third 2 more; the last of 3 lanes at the end
// brings the offset twice, and 1 or 2 lanes at the end are as in vecq_pair_row_array.
//
// The first row has none before it that could be added.  It is the sum of two rows of
// vecq_pair_row_array, of as many tables, and so are its codes and offsets.
//
// Codes, re-encoded: in each plane the first lane says whether its b differs from the third one's,
// the second whether it differs from the first one's, the third whether its b is -1, the fourth
// whether it differs from that.
//
// A register stands behind each table, one behind each row, and one behind each addition to the
// chain: a stage is a table or a carry chain.  So the second pair of a row, which its carry cells
// choose, comes a cycle later than the first.  The codes of row 1 come with those of row 0, each
// further row's a cycle after the one before; ports, order of the codes and the rest are as in
// vecq_pair_row_array with two Rows a stage.  Latency, from activations_i to sums_o, in cycles with
// enable_i: 2 + Registers + ceil(Simd / 4) + ceil(log2(WeightBits)); from the codes, 1 + Registers
// less.
module vecq_quad_row_array #(
  parameter int Pe         = 1,
  parameter int Simd       = 2,
  parameter int WeightBits = 2,
  parameter int InputBits  = 8,
  parameter int SumBits    = 16,
  parameter int Registers  = 0
) (
  input  logic                          clk_i,
  input  logic                          enable_i,
  input  logic [Simd*InputBits-1:0]     activations_i,
  input  logic [Simd*Pe*WeightBits-1:0] weights_i,
  output logic [Pe*SumBits-1:0]         sums_o
);

  localparam int Pairs     = Simd > 0 ? (Simd + 1) / 2 : 1;
  localparam int RowBits   = InputBits + 1;
  localparam int Quads     = (Pairs + 1) / 2;
  localparam int PlaneBits = RowBits + $clog2(Pairs);

  // The operands of each pair, in time for the codes of its row.
  logic [Pairs*RowBits-1:0] plus, minus;

  vecq_pair_sums #(
    .Simd(Simd), .InputBits(InputBits), .Rows(2), .Early(1'b1), .Registers(Registers)
  ) pair_sums (
    .clk_i, .enable_i, .activations_i, .plus_o(plus), .minus_o(minus), .alone_o()
  );

  // The second pair of a row, when its first one has passed a table.
  for (genvar quad = 1; 4 * quad + 2 < Simd; quad++) begin : gen_second
    logic [RowBits-1:0] plus_q, minus_q;
    always_ff @(posedge clk_i) begin
      if (enable_i) begin
        plus_q  <= plus[(2*quad+1)*RowBits +: RowBits];
        minus_q <= minus[(2*quad+1)*RowBits +: RowBits];
      end
    end
  end

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    logic [WeightBits*PlaneBits-1:0] planes;

    for (genvar plane = 0; plane < WeightBits; plane++) begin : gen_plane
      for (genvar quad = 0; quad < Quads; quad++) begin : gen_row
        localparam int Head     = 2 * quad;
        localparam int Lanes    = 4 * quad + 3 < Simd ? 4 : Simd - 4 * quad;
        localparam int QuadBits = Lanes > 2 ? RowBits + 1 : RowBits;
        // Sums of the rows so far, none of which is more than 2^QuadBits - 1.
        localparam int Bits     = RowBits + $clog2(Head + 2 < Pairs ? Head + 2 : Pairs);
        logic [3:0] code;
        logic [RowBits-1:0] first_d, first_q;
        logic [QuadBits-1:0] row_d, row_q;
        logic [Bits-1:0] sum;

        for (genvar lane = 0; lane < 4; lane++) begin : gen_code
          if (lane < Lanes) begin : gen_lane
            assign code[lane] = weights_i[((4*quad+lane)*Pe+pe)*WeightBits + plane];
          end else begin : gen_none
            assign code[lane] = 1'b0;
          end
        end

        if (Lanes > 1) begin : gen_pair
          assign first_d =
              (code[1] ? minus[Head*RowBits +: RowBits] : plus[Head*RowBits +: RowBits])
              ^ {RowBits{code[0]}};
        end else begin : gen_one
          assign first_d = plus[Head*RowBits +: RowBits] ^ {1'b0, {InputBits{code[0]}}};
        end

        if (Lanes <= 2) begin : gen_first_only
          assign row_d = first_q;
        end else if (quad > 0) begin : gen_choice
          logic choice_q;
          vecq_carry_adder #(
            .PlainBits(RowBits), .LogicBits(RowBits)
          ) adder (
            .plain_i(first_q), .first_i(gen_second[quad].plus_q),
            .second_i(gen_second[quad].minus_q), .select_i(choice_q), .sum_o(row_d)
          );
          always_ff @(posedge clk_i) begin
            if (enable_i) choice_q <= code[3];
          end
        end else begin : gen_two_rows
          logic [RowBits-1:0] second_d, second_q;
          if (Lanes == 4) begin : gen_pair
            assign second_d = (code[3] ? minus[RowBits +: RowBits] : plus[RowBits +: RowBits])
                              ^ {RowBits{code[2]}};
          end else begin : gen_one
            assign second_d = plus[RowBits +: RowBits] ^ {1'b0, {InputBits{code[2]}}};
          end
          assign row_d = QuadBits'(first_q) + QuadBits'(second_q);
          always_ff @(posedge clk_i) begin
            if (enable_i) second_q <= second_d;
          end
        end

        always_ff @(posedge clk_i) begin
          if (enable_i) begin
            first_q <= first_d;
            row_q   <= row_d;
          end
        end

        if (quad == 0) begin : gen_start
          assign sum = row_q;
        end else begin : gen_next
          localparam int Below = RowBits + $clog2(Head);
          logic third_q, complement_q;
          logic [Bits-1:0] sum_d, sum_q;
          vecq_carry_adder #(
            .PlainBits(Below), .LogicBits(QuadBits), .SumBits(Bits), .Complement(1'b1)
          ) adder (
            .plain_i(gen_row[quad-1].sum), .first_i(row_q), .second_i('0),
            .select_i(complement_q), .sum_o(sum_d)
          );
          always_ff @(posedge clk_i) begin
            if (enable_i) begin
              third_q      <= code[2];
              complement_q <= third_q;
              sum_q        <= sum_d;
            end
          end
          assign sum = sum_q;
        end
      end

      assign planes[plane*PlaneBits +: PlaneBits] = gen_row[Quads-1].sum;
    end

    vecq_plane_sum #(
      .Planes(WeightBits), .PlaneBits(PlaneBits), .SumBits(SumBits)
    ) plane_sum (
      .clk_i, .enable_i, .planes_i(planes), .sum_o(sums_o[pe*SumBits +: SumBits])
    );
  end

  // What the parameters must be.
  if (Pe < 1 || Simd < 1) begin : gen_rule_positive
    $error("vecq_quad_row_array: Pe (%0d) and Simd (%0d) must be at least 1", Pe, Simd);
  end
  if (WeightBits < 1 || InputBits < 1) begin : gen_rule_positive_weight_bits_input_bits
    $error("vecq_quad_row_array: WeightBits (%0d) and InputBits (%0d) must be at least 1",
           WeightBits, InputBits);
  end
  if (SumBits < 1 || Registers < 0) begin : gen_rule_positive_sum_bits
    $error("vecq_quad_row_array: SumBits (%0d) must be at least 1, Registers (%0d) 0",
           SumBits, Registers);
  end

endmodule
