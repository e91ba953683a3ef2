// SPDX-License-Identifier: Apache-2.0

// The words of a memory one after the other, again and again.
//
// A word every cycle, each offered until it is taken; the first one cycle after the reset.
module vecq_constant #(
  parameter int Words    = 1,
  parameter int WordBits = 8,
  parameter     ValuesFile
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  output logic                valid_o,
  input  logic                ready_i,
  output logic [WordBits-1:0] data_o
);

  localparam int AddressBits = Words > 1 ? $clog2(Words) : 1;

  logic [AddressBits-1:0] word_q;
  logic valid_q, advance;

  assign valid_o = valid_q;
  assign advance = !valid_q || ready_i;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= 1'b0;
      word_q  <= '0;
    end else if (advance) begin
      valid_q <= 1'b1;
      word_q  <= word_q == AddressBits'(Words - 1) ? '0 : word_q + AddressBits'(1);
    end
  end

  vecq_rom #(
    .Words(Words), .WordBits(WordBits), .File(ValuesFile)
  ) values (
    .clk_i, .enable_i(advance), .address_i(word_q), .data_o
  );

  // What the parameters must be.
  if (Words < 1 || WordBits < 1) begin : gen_rule_positive
    $error("vecq_constant: Words (%0d) and WordBits (%0d) must be at least 1", Words, WordBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(WordBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
