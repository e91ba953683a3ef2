// SPDX-License-Identifier: Apache-2.0

// One register stage of a stream, in both directions: neither side sees the other's wires.
//
// Takes and gives a word every cycle; a second register holds the word that arrives while the
// receiver has just stopped.  Both ready_o and valid_o are flip-flops.  Latency: one cycle.
module vecq_stream_register #(
  parameter int DataBits = 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  output logic                ready_o,
  input  logic [DataBits-1:0] data_i,

  output logic                valid_o,
  input  logic                ready_i,
  output logic [DataBits-1:0] data_o
);

  logic [DataBits-1:0] data_q, spare_q;
  logic valid_q, ready_q;  // the second register holds no word
  logic free;

  assign free    = !valid_q || ready_i;
  assign ready_o = ready_q;
  assign valid_o = valid_q;
  assign data_o  = data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      ready_q <= 1'b1;
    end else begin
      // By & and |, as a choice by `?` would become an enable behind a look-up table.
      valid_q <= !free || valid_i || !ready_q;
      ready_q <= free || !valid_i && ready_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (free) data_q <= ready_q ? data_i : spare_q;
    if (ready_q) spare_q <= data_i;
  end

  // What the parameters must be.
  if (DataBits < 1) begin : gen_rule_positive
    $error("vecq_stream_register: DataBits (%0d) must be at least 1", DataBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(DataBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(DataBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
