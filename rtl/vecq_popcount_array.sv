// SPDX-License-Identifier: Apache-2.0

// The arithmetic of vecq_matrix_vector for weights of -1 and 1 and activations of one bit: for each
// of Pe outputs the number of its Simd lanes in which activation and weight bit differ.
//
// The weight bit n is 1 where the weight is -1.  A lane with weight 1 counts x, one with weight -1
// counts 1 - x, so the count is the sum of all weight * x plus the number of weights of -1, which
// the start values take off again.  With activations of -1 and 1 as codes 0 and 1 this is the XNOR
// and popcount of binary networks.
//
// Three lanes, six bits, become a count of two bits in two look-up tables of six inputs; the lower
// and the upper bits of up to six such counts become a count of three bits in three tables each.
// There is no carry chain before leaves are added, where each place occupies a table.
//
// 16 lanes are a leaf, of two stages of StageLanes.  A leaf is added to the leaves before it.  The
// codes of leaf k come 2 * k cycles after those of leaf 0, and those 1 + Registers cycles after the
// activations; in weights_i lane 0 of all outputs comes first.
// Latency, from activations_i to sums_o, in cycles with enable_i: 1 + Registers + ceil(Simd / 8).
module vecq_popcount_array #(
  parameter int Pe      = 1,
  parameter int Simd    = 2,
  parameter int SumBits = 6,
  parameter int Registers = 0
) (
  input  logic               clk_i,
  input  logic               enable_i,
  input  logic [Simd-1:0]    activations_i,
  input  logic [Simd*Pe-1:0] weights_i,
  output logic [Pe*SumBits-1:0] sums_o
);

  localparam int StageLanes = 8;
  localparam int LeafLanes  = 2 * StageLanes;
  localparam int Leaves     = Simd > 0 ? (Simd + LeafLanes - 1) / LeafLanes : 1;
  localparam int CountBits  = $clog2(Leaves * LeafLanes + 1);
  localparam int Padded     = Leaves * LeafLanes;

  // Of three bits the number that are 1.
  function automatic logic [1:0] count_three(logic [2:0] bits);
    count_three = {1'(bits[0] & bits[1] | bits[0] & bits[2] | bits[1] & bits[2]), ^bits};
  endfunction

  // Of six bits; all of them in front of each of three tables.
  function automatic logic [2:0] count_six(logic [5:0] bits);
    logic [1:0] low, high;
    logic carry;
    low       = count_three(bits[2:0]);
    high      = count_three(bits[5:3]);
    carry     = low[0] && high[0];
    count_six = {low[1] && high[1] || carry && (low[1] || high[1]),
                 low[1] ^ high[1] ^ carry, low[0] ^ high[0]};
  endfunction

  // ones + 2 * twos, which is 16 at most, in tables instead of a carry chain.
  function automatic logic [4:0] joined(logic [2:0] ones, logic [2:0] twos);
    logic [1:0] carry;
    carry  = {ones[1] && twos[0] && (ones[2] || twos[1]) || ones[2] && twos[1],
              ones[1] && twos[0]};
    joined = {twos[2] && carry[1], twos[2] ^ carry[1], ones[2] ^ twos[1] ^ carry[0],
              ones[1] ^ twos[0], ones[0]};
  endfunction

  // The activations of leaf k, 2 * k + 1 + Registers cycles later.
  logic [Padded-1:0] activations;

  for (genvar leaf = 0; leaf < Leaves; leaf++) begin : gen_delay
    localparam int First = leaf * LeafLanes;
    localparam int Lanes = First + LeafLanes < Simd ? LeafLanes : Simd - First;
    localparam int Delay = 2 * leaf + 1 + Registers;
    logic [Delay*Lanes-1:0] delayed_q;

    always_ff @(posedge clk_i) begin
      if (enable_i) begin
        delayed_q <= (Delay*Lanes)'({delayed_q, activations_i[First +: Lanes]});
      end
    end

    assign activations[First +: LeafLanes] = LeafLanes'(delayed_q[(Delay-1)*Lanes +: Lanes]);
  end

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    for (genvar leaf = 0; leaf < Leaves; leaf++) begin : gen_leaf
      localparam int First = leaf * LeafLanes;
      localparam int Lanes = First + LeafLanes < Simd ? LeafLanes : Simd - First;
      // Lanes that there are not count nothing.
      logic [17:0] differ;
      logic [5:0] ones, twos;
      logic [4:0] count;
      logic [CountBits-1:0] sum_d, sum_q;

      for (genvar lane = 0; lane < 18; lane++) begin : gen_lane
        if (lane < Lanes) begin : gen_there
          assign differ[lane] = activations[First+lane] ^ weights_i[(First+lane)*Pe+pe];
        end else begin : gen_none
          assign differ[lane] = 1'b0;
        end
      end

      for (genvar three = 0; three < 6; three++) begin : gen_three
        assign {twos[three], ones[three]} = count_three(differ[3*three +: 3]);
      end

      if (Lanes <= StageLanes) begin : gen_one_stage
        assign count = joined(count_six(ones), count_six(twos));
      end else begin : gen_two_stages
        logic [5:0] ones_q, twos_q;
        always_ff @(posedge clk_i) begin
          if (enable_i) begin
            ones_q <= ones;
            twos_q <= twos;
          end
        end
        assign count = joined(count_six(ones_q), count_six(twos_q));
      end

      if (leaf == 0) begin : gen_first
        assign sum_d = CountBits'(count);
      end else if (Lanes <= StageLanes) begin : gen_next
        assign sum_d = gen_leaf[leaf-1].sum_q + CountBits'(count);
      end else begin : gen_later
        logic [CountBits-1:0] before_q;
        always_ff @(posedge clk_i) begin
          if (enable_i) before_q <= gen_leaf[leaf-1].sum_q;
        end
        assign sum_d = before_q + CountBits'(count);
      end

      always_ff @(posedge clk_i) begin
        if (enable_i) sum_q <= sum_d;
      end
    end

    assign sums_o[pe*SumBits +: SumBits] = SumBits'(gen_leaf[Leaves-1].sum_q);
  end

  // What the parameters must be.
  if (Pe < 1 || Simd < 1 || SumBits < 1) begin : gen_rule_positive
    $error("vecq_popcount_array: Pe (%0d), Simd (%0d) and SumBits (%0d) must be at least 1",
           Pe, Simd, SumBits);
  end

endmodule
