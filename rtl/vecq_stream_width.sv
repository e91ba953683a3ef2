// SPDX-License-Identifier: Apache-2.0

// Words of LanesIn elements become words of LanesOut elements, in order, for any two numbers.
//
// Element 0 is in the least significant bits.  A frame is a whole number of words on both sides, so
// that none needs padding.  The side with fewer lanes moves a word every cycle.  Neither side sees
// the other's wires.  Latency: one cycle after the word that completes an output word.
module vecq_stream_width #(
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

  // Elements move in groups, the largest that make up the words of both sides.
  localparam int Group     = greatest_divisor(LanesIn, LanesOut);
  localparam int GroupsIn  = LanesIn / Group;
  localparam int GroupsOut = LanesOut / Group;
  localparam int GroupBits = Group * ElementBits;
  // The least that lets the narrower side go on while the other waits for its word to fill.
  localparam int Narrower  = GroupsIn < GroupsOut ? GroupsIn : GroupsOut;
  localparam int Capacity  = GroupsIn + GroupsOut + Narrower - 1;
  localparam int CountBits = $clog2(Capacity + 1);

  logic [Capacity*GroupBits-1:0] groups_q, groups_d;
  logic [CountBits-1:0] count_q, kept;
  logic push, pop;

  assign ready_o = count_q <= CountBits'(Capacity - GroupsIn);
  assign valid_o = count_q >= CountBits'(GroupsOut);
  assign data_o  = groups_q[GroupsOut*GroupBits-1:0];
  assign push    = valid_i && ready_o;
  assign pop     = valid_o && ready_i;
  assign kept    = pop ? count_q - CountBits'(GroupsOut) : count_q;

  always_comb begin
    groups_d = pop ? groups_q >> (GroupsOut * GroupBits) : groups_q;
    for (int place = 0; place <= Capacity - GroupsIn; place++) begin
      if (push && kept == CountBits'(place)) begin
        groups_d[place*GroupBits +: GroupsIn*GroupBits] = data_i;
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) count_q <= '0;
    else count_q <= push ? kept + CountBits'(GroupsIn) : kept;
  end

  always_ff @(posedge clk_i) groups_q <= groups_d;

  // What the parameters must be.
  if (LanesIn < 1 || LanesOut < 1) begin : gen_rule_positive
    $error("vecq_stream_width: LanesIn (%0d) and LanesOut (%0d) must be at least 1",
           LanesIn, LanesOut);
  end
  if (ElementBits < 1) begin : gen_rule_positive_element_bits
    $error("vecq_stream_width: ElementBits (%0d) must be at least 1", ElementBits);
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
