// SPDX-License-Identifier: Apache-2.0

// Watches a stream and says which word is the last of its frame.
module vecq_frame_end #(
  parameter int Words = 1
) (
  input  logic clk_i,
  input  logic rst_ni,
  input  logic valid_i,
  input  logic ready_i,
  output logic last_o
);

  localparam int CountBits = $clog2(Words + 1);

  logic [CountBits-1:0] count_q;

  assign last_o = count_q == CountBits'(Words - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) count_q <= '0;
    else if (valid_i && ready_i) count_q <= last_o ? '0 : count_q + CountBits'(1);
  end

  // What the parameters must be.
  if (Words < 1) begin : gen_rule_positive
    $error("vecq_frame_end: Words (%0d) must be at least 1", Words);
  end

endmodule
