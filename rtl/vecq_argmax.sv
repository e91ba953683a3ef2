// SPDX-License-Identifier: Apache-2.0

// The index of a frame's largest element; of several that are equal, the lowest index.
//
// A frame is Elements elements, Lanes of them a word, and gives one word.  The largest of a word is
// found two by two, with a register after each level, and then compared with the largest before.
//
// A word every cycle, without a gap between frames; all stands still while an index is not taken:
// ready_o depends on ready_i within the cycle.
// Latency: 1 + ceil(log2(Lanes)) cycles after the frame's last word.
module vecq_argmax #(
  parameter int Elements    = 1,
  parameter int Lanes       = 1,
  parameter int ElementBits = 8,
  parameter bit Signed      = 1'b0,
  localparam int IndexBits  = Elements > 1 ? $clog2(Elements) : 1
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,

  input  logic                         valid_i,
  output logic                         ready_o,
  input  logic [Lanes*ElementBits-1:0] data_i,

  output logic                         valid_o,
  input  logic                         ready_i,
  output logic [IndexBits-1:0]         data_o
);

  localparam int Levels = $clog2(Lanes);
  // Signed numbers are in the order of unsigned ones with this bit inverted.
  localparam logic [ElementBits-1:0] Flip = ElementBits'(Signed) << (ElementBits - 1);

  logic advance, valid_q, first, last;
  // How many elements of the frame came before the word whose largest is known.
  logic [IndexBits-1:0] before_q;

  assign advance = !valid_q || ready_i;
  assign ready_o = advance;
  assign valid_o = valid_q;

  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    // The largest of each 2^level lanes, and which lane it is.
    localparam int Nodes = (Lanes + (1 << level) - 1) >> level;
    logic [Nodes*ElementBits-1:0] elements;
    logic [Nodes*IndexBits-1:0] lanes;
    logic valid;

    if (level == 0) begin : gen_word
      assign valid = valid_i;
      for (genvar n = 0; n < Nodes; n++) begin : gen_lane
        assign elements[n*ElementBits +: ElementBits] = data_i[n*ElementBits +: ElementBits] ^ Flip;
        assign lanes[n*IndexBits +: IndexBits] = IndexBits'(n);
      end
    end else begin : gen_larger
      localparam int Below = (Lanes + (1 << (level - 1)) - 1) >> (level - 1);

      always_ff @(posedge clk_i) begin
        if (!rst_ni) valid <= 1'b0;
        else if (advance) valid <= gen_level[level-1].valid;
      end

      for (genvar n = 0; n < Nodes; n++) begin : gen_node
        // A node without a neighbour is its own: nothing is larger than itself.
        localparam int Left  = 2 * n;
        localparam int Right = 2 * n + 1 < Below ? 2 * n + 1 : Left;
        logic [ElementBits-1:0] left, right;
        logic larger;

        assign left   = gen_level[level-1].elements[Left*ElementBits +: ElementBits];
        assign right  = gen_level[level-1].elements[Right*ElementBits +: ElementBits];
        assign larger = right > left;

        always_ff @(posedge clk_i) begin
          if (advance) begin
            elements[n*ElementBits +: ElementBits] <= larger ? right : left;
            lanes[n*IndexBits +: IndexBits] <=
                larger ? gen_level[level-1].lanes[Right*IndexBits +: IndexBits]
                       : gen_level[level-1].lanes[Left*IndexBits +: IndexBits];
          end
        end
      end
    end
  end

  logic [ElementBits-1:0] largest_q;
  logic [IndexBits-1:0] index_q;

  assign first  = before_q == '0;
  assign last   = before_q == IndexBits'(Elements - Lanes);
  assign data_o = index_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q  <= 1'b0;
      before_q <= '0;
    end else if (advance) begin
      valid_q <= gen_level[Levels].valid && last;
      if (gen_level[Levels].valid) before_q <= last ? '0 : before_q + IndexBits'(Lanes);
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance && gen_level[Levels].valid && (first || gen_level[Levels].elements > largest_q))
    begin
      largest_q <= gen_level[Levels].elements;
      index_q   <= before_q + gen_level[Levels].lanes;
    end
  end

  // What the parameters must be.
  if (Elements < 1 || ElementBits < 1) begin : gen_rule_positive
    $error("vecq_argmax: Elements (%0d) and ElementBits (%0d) must be at least 1",
           Elements, ElementBits);
  end
  if (Lanes < 1 || Elements % Lanes != 0) begin : gen_rule_divides_lanes
    $error("vecq_argmax: Lanes (%0d) must divide Elements (%0d)", Lanes, Elements);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(Lanes * ElementBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(IndexBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
