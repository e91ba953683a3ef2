// SPDX-License-Identifier: Apache-2.0

// Sums of products of small floats as floats, to be measured and not used: significands are
// multiplied, exponents added, products shifted by them and given their sign, terms added in a tree.
//
// A weight is a sign, an exponent n and Fraction bits f, worth f where n is 0, else
// (2^Fraction + f) * 2^(n - 1); lane 0 of all outputs comes first.  Activations are unsigned
// integers, or small floats without a sign where Floats is set.  A product is 2 cycles behind its
// operands, each level of the tree one more.  Signs invert; the ones that two's complement wants are
// the carries into the adders, of which there is one less than lanes: ones_o are the last ones.
module significand_rows #(
  parameter int Pe                 = 16,
  parameter int Simd               = 16,
  parameter int WeightBits         = 4,
  parameter int Fraction           = 1,
  parameter int ActivationBits     = 8,
  parameter bit Floats             = 1'b0,
  parameter int ActivationFraction = 0,
  parameter int SumBits            = 24
) (
  input  logic                           clk_i,
  input  logic                           enable_i,
  input  logic [Simd*ActivationBits-1:0] activations_i,
  input  logic [Simd*Pe*WeightBits-1:0]  weights_i,
  output logic [Pe*SumBits-1:0]          sums_o,
  output logic [Pe-1:0]                  ones_o
);

  localparam int Exponent     = WeightBits - 1 - Fraction;
  localparam int Factor       = Floats ? ActivationFraction + 1 : ActivationBits;
  localparam int OfActivation = Floats ? ActivationBits - ActivationFraction : 1;
  localparam int MostShift    = (1 << Exponent) - 2 + (Floats ? (1 << OfActivation) - 2 : 0);
  localparam int ShiftBits    = $clog2(MostShift + 1);
  localparam int ProductBits  = Fraction + 1 + Factor;
  localparam int TermBits     = ProductBits + MostShift + 1;
  localparam int Levels       = $clog2(Simd);
  localparam int TreeBits     = TermBits + Levels;

  for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
    // Level 0 are the terms; the sums of level l have l bits more.
    logic [(Levels+1)*Simd*TreeBits-1:0] tree;
    // Signs of the lanes, in time for each level.
    logic [(Levels+1)*Simd-1:0] signs;

    for (genvar lane = 0; lane < Simd; lane++) begin : gen_lane
      logic [WeightBits-1:0]     weight;
      logic [ActivationBits-1:0] activation;
      logic [Factor-1:0]         factor;
      logic [ShiftBits-1:0]      shift, shift_q;
      logic [Fraction:0]         significand;
      logic [ProductBits-1:0]    product_q;
      logic                      sign_q, sign_qq;
      logic [TermBits-1:0]       shifted, term_q;

      assign weight      = weights_i[(lane*Pe+pe)*WeightBits +: WeightBits];
      assign activation  = activations_i[lane*ActivationBits +: ActivationBits];
      assign significand = {|weight[WeightBits-2:Fraction], weight[Fraction-1:0]};

      if (Floats) begin : gen_float
        logic [OfActivation-1:0] exponent;
        assign exponent = activation[ActivationBits-1:ActivationFraction];
        assign factor   = {|exponent, activation[ActivationFraction-1:0]};
        assign shift    = ShiftBits'(weight[WeightBits-2:Fraction]) - ShiftBits'(significand[Fraction])
                        + ShiftBits'(exponent) - ShiftBits'(|exponent);
      end else begin : gen_integer
        assign factor = activation;
        assign shift  = ShiftBits'(weight[WeightBits-2:Fraction]) - ShiftBits'(significand[Fraction]);
      end

      // Without a case for 3, which no weight has, shift and sign are one look-up table a bit.
      if (MostShift == 2) begin : gen_short
        assign shifted = shift_q[1] ? TermBits'(product_q) << 2
                                    : shift_q[0] ? TermBits'(product_q) << 1 : TermBits'(product_q);
      end else begin : gen_long
        assign shifted = TermBits'(product_q) << shift_q;
      end
      always_ff @(posedge clk_i) begin
        if (enable_i) begin
          product_q <= ProductBits'(significand) * ProductBits'(factor);
          shift_q   <= shift;
          sign_q    <= weight[WeightBits-1];
          sign_qq   <= sign_q;
          term_q    <= shifted ^ {TermBits{sign_q}};
        end
      end
      assign tree[lane*TreeBits +: TreeBits] = {{Levels{term_q[TermBits-1]}}, term_q};
      assign signs[lane] = sign_qq;
    end

    for (genvar level = 0; level < Levels; level++) begin : gen_level
      localparam int Bits = TermBits + level + 1;
      always_ff @(posedge clk_i) begin
        if (enable_i) signs[(level+1)*Simd +: Simd] <= signs[level*Simd +: Simd];
      end
      for (genvar i = 0; i < Simd >> (level + 1); i++) begin : gen_sum
        // The last of the lanes to the left of it, which no level before has taken.
        localparam int Carry = (i << (level + 1)) + (1 << level) - 1;
        logic [Bits-1:0] left, right;
        logic [Bits:0]   sum;
        logic [Bits-1:0] sum_q;
        assign left  = tree[(level*Simd+2*i)*TreeBits +: Bits];
        assign right = tree[(level*Simd+2*i+1)*TreeBits +: Bits];
        assign sum   = {left, 1'b1} + {right, signs[level*Simd+Carry]};
        always_ff @(posedge clk_i) begin
          if (enable_i) sum_q <= sum[Bits:1];
        end
        assign tree[((level+1)*Simd+i)*TreeBits +: TreeBits] = TreeBits'($signed(sum_q));
      end
    end

    assign sums_o[pe*SumBits +: SumBits] =
        SumBits'($signed(tree[Levels*Simd*TreeBits +: TreeBits]));
    assign ones_o[pe] = signs[Levels*Simd+Simd-1];
  end

endmodule
