// SPDX-License-Identifier: Apache-2.0

// Gives each word of a stream to several receivers.
//
// A word is offered to all of them at once and is done when each has taken it; who was quick waits
// for the others at the next word.  Output n is valid_o[n], ready_i[n] and the n-th word of data_o.
// ready_o depends on ready_i alone, valid_o on valid_i alone.  Latency: none.
module vecq_fork #(
  parameter int Outputs  = 2,
  parameter int WordBits = 8
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,

  input  logic                        valid_i,
  output logic                        ready_o,
  input  logic [WordBits-1:0]         data_i,

  output logic [Outputs-1:0]          valid_o,
  input  logic [Outputs-1:0]          ready_i,
  output logic [Outputs*WordBits-1:0] data_o
);

  logic [Outputs-1:0] done_q, done;

  assign valid_o = {Outputs{valid_i}} & ~done_q;
  assign done    = done_q | ready_i;
  assign ready_o = &done;
  assign data_o  = {Outputs{data_i}};

  always_ff @(posedge clk_i) begin
    if (!rst_ni) done_q <= '0;
    else if (valid_i) done_q <= ready_o ? '0 : done;
  end

  // What the parameters must be.
  if (Outputs < 1 || WordBits < 1) begin : gen_rule_positive
    $error("vecq_fork: Outputs (%0d) and WordBits (%0d) must be at least 1", Outputs, WordBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(WordBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .Streams(Outputs), .DataBits(WordBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
