// SPDX-License-Identifier: Apache-2.0

// The sum over planes j of 2^j * plane j, all unsigned: planes are joined two by two, a register
// after each level.  Latency: ceil(log2(Planes)) cycles with enable_i.
module vecq_plane_sum #(
  parameter int Planes    = 2,
  parameter int PlaneBits = 8,
  parameter int SumBits   = 16
) (
  input  logic                        clk_i,
  input  logic                        enable_i,
  input  logic [Planes*PlaneBits-1:0] planes_i,
  output logic [SumBits-1:0]          sum_o
);

  localparam int Levels = $clog2(Planes);

  // Join n of a level: planes n * 2^level up to the next one's first, or the last.
  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    for (genvar n = 0; n << level < Planes; n++) begin : gen_join
      localparam int First  = n << level;
      localparam int After  = (n + 1) << level;
      localparam int Joined = (After < Planes ? After : Planes) - First;
      localparam int Bits   = Joined == 1 ? PlaneBits : PlaneBits + Joined;
      logic [Bits-1:0] total;

      if (level == 0) begin : gen_plane
        assign total = planes_i[n*PlaneBits +: PlaneBits];
      end else begin : gen_sum
        localparam int Shift = 1 << (level - 1);
        logic [Bits-1:0] sum_q;
        assign total = sum_q;
        if (First + Shift < Planes) begin : gen_two
          localparam int High = Bits - Shift;
          logic [High-1:0] low, high;
          assign low  = High'(gen_level[level-1].gen_join[2*n].total >> Shift);
          assign high = High'(gen_level[level-1].gen_join[2*n+1].total);
          always_ff @(posedge clk_i) begin
            if (enable_i) begin
              sum_q <= {high + low, gen_level[level-1].gen_join[2*n].total[Shift-1:0]};
            end
          end
        end else begin : gen_one
          always_ff @(posedge clk_i) begin
            if (enable_i) sum_q <= gen_level[level-1].gen_join[2*n].total;
          end
        end
      end
    end
  end

  assign sum_o = SumBits'(gen_level[Levels].gen_join[0].total);

  // What the parameters must be.
  if (Planes < 1 || PlaneBits < 1 || SumBits < 1) begin : gen_rule_positive
    $error("vecq_plane_sum: Planes (%0d), PlaneBits (%0d) and SumBits (%0d) must be at least 1",
           Planes, PlaneBits, SumBits);
  end

endmodule
