// SPDX-License-Identifier: Apache-2.0

// Words of LanesIn elements become words of LanesOut elements, frame by frame.
//
// As vecq_stream_width, but a frame of any number of Elements: where they do not fill whole words,
// the last word of the frame is partial, on either side.  Of a partial word that comes in, only the
// least significant elements count; in one that goes out the others are 0.  The next frame begins with a
// word of its own.
//
// The side with fewer lanes moves a word every cycle.  Neither side sees the other's wires.
// Latency: one cycle after the word that completes an output word.
module vecq_frame_width #(
  parameter int Elements    = 1,
  parameter int LanesIn     = 1,
  parameter int LanesOut    = 1,
  parameter int ElementBits = 8
) (
  input  logic                            clk_i,
  input  logic                            rst_ni,

  input  logic                            valid_i,
  output logic                            ready_o,
  input  logic [LanesIn*ElementBits-1:0]  data_i,

  output logic                            valid_o,
  input  logic                            ready_i,
  output logic [LanesOut*ElementBits-1:0] data_o
);

  function automatic int greatest_divisor(int a, int b);
    int divisor;
    divisor = 1;
    for (int d = 2; d <= a; d++) begin
      if (a % d == 0 && b % d == 0) divisor = d;
    end
    greatest_divisor = divisor;
  endfunction

  // Elements move in groups, the largest that make up the words of both sides and the frame.
  localparam int Group     = greatest_divisor(greatest_divisor(LanesIn, LanesOut), Elements);
  localparam int Groups    = Elements / Group;
  localparam int GroupsIn  = LanesIn > 0 ? LanesIn / Group : 1;
  localparam int GroupsOut = LanesOut > 0 ? LanesOut / Group : 1;
  localparam int GroupBits = Group * ElementBits;
  localparam int WordsIn   = (Groups + GroupsIn - 1) / GroupsIn;
  localparam int WordsOut  = (Groups + GroupsOut - 1) / GroupsOut;
  // Groups of a frame's last word.
  localparam int RestIn    = Groups - (WordsIn - 1) * GroupsIn;
  localparam int RestOut   = Groups - (WordsOut - 1) * GroupsOut;
  // The least that lets the narrower side go on while the other waits for its word to fill.
  localparam int Narrower  = GroupsIn < GroupsOut ? GroupsIn : GroupsOut;
  localparam int Capacity  = GroupsIn + GroupsOut + Narrower - 1;
  localparam int CountBits = $clog2(Capacity + 1);

  logic [Capacity*GroupBits-1:0] groups_q, groups_d;
  logic [CountBits-1:0] count_q, kept, wanted, come;
  logic push, pop, last_in, last_out;

  assign come    = last_in ? CountBits'(RestIn) : CountBits'(GroupsIn);
  assign wanted  = last_out ? CountBits'(RestOut) : CountBits'(GroupsOut);
  assign ready_o = count_q <= CountBits'(Capacity - GroupsIn);
  assign valid_o = count_q >= wanted;
  assign push    = valid_i && ready_o;
  assign pop     = valid_o && ready_i;
  assign kept    = pop ? count_q - wanted : count_q;

  always_comb begin
    data_o = groups_q[GroupsOut*GroupBits-1:0];
    // The next frame's elements may be there already.
    for (int group = RestOut; group < GroupsOut; group++) begin
      if (last_out) data_o[group*GroupBits +: GroupBits] = '0;
    end
  end

  always_comb begin
    groups_d = groups_q;
    if (pop) begin
      groups_d = last_out ? groups_q >> (RestOut * GroupBits) : groups_q >> (GroupsOut * GroupBits);
    end
    // Of a partial word all is written; what does not count is written over by the next.
    for (int place = 0; place <= Capacity - GroupsIn; place++) begin
      if (push && kept == CountBits'(place)) begin
        groups_d[place*GroupBits +: GroupsIn*GroupBits] = data_i;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= push ? kept + come : kept;
  end

  always_ff @(posedge clk_i) groups_q <= groups_d;

  vecq_frame_end #(
    .Words(WordsIn)
  ) words_in (
    .clk_i,
    .rst_ni,
    .valid_i(valid_i),
    .ready_i(ready_o),
    .last_o(last_in)
  );

  vecq_frame_end #(
    .Words(WordsOut)
  ) words_out (
    .clk_i,
    .rst_ni,
    .valid_i(valid_o),
    .ready_i(ready_i),
    .last_o(last_out)
  );

  // What the parameters must be.
  if (Elements < 1 || LanesIn < 1) begin : gen_rule_positive
    $error("vecq_frame_width: Elements (%0d) and LanesIn (%0d) must be at least 1",
           Elements, LanesIn);
  end
  if (LanesOut < 1 || ElementBits < 1) begin : gen_rule_positive_lanes_out_element_bits
    $error("vecq_frame_width: LanesOut (%0d) and ElementBits (%0d) must be at least 1",
           LanesOut, ElementBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(LanesIn * ElementBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(LanesOut * ElementBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
