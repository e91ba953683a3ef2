// SPDX-License-Identifier: Apache-2.0

// The row of a table that an index names: Folds words of WordBits for each index.
//
// The memory holds Rows * Folds words, a row after the other.
//
// A word every cycle, as long as both sides keep up; it stands still while its word is not taken.
// Latency, from an index to the first word of its row: two cycles.
module vecq_embedding #(
  parameter int Rows      = 1,
  parameter int Folds     = 1,
  parameter int IndexBits = 1,
  parameter int WordBits  = 8,
  parameter     File
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  logic                 valid_i,
  output logic                 ready_o,
  input  logic [IndexBits-1:0] data_i,

  output logic                 valid_o,
  input  logic                 ready_i,
  output logic [WordBits-1:0]  data_o
);

  localparam int Words       = Rows * Folds;
  localparam int AddressBits = Words > 1 ? $clog2(Words) : 1;
  localparam int FoldBits    = Folds > 1 ? $clog2(Folds) : 1;

  logic advance, step, last, full, push, valid_q;
  logic [FoldBits-1:0] fold_q;

  // Two indices, so that one comes in while the other one's row goes out.
  logic [IndexBits-1:0] index_q, next_q;
  logic [1:0] stored_q;

  assign full    = stored_q == 2'd2;
  assign ready_o = !full;
  assign push    = valid_i && ready_o;
  assign last    = fold_q == FoldBits'(Folds - 1);
  assign step    = advance && stored_q != 2'd0;
  assign advance = !valid_q || ready_i;
  assign valid_o = valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      stored_q <= '0;
      fold_q   <= '0;
      valid_q  <= 1'b0;
    end else begin
      stored_q <= stored_q + 2'(push) - 2'(step && last);
      if (step) fold_q <= last ? '0 : fold_q + FoldBits'(1);
      if (advance) valid_q <= step;
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) next_q <= data_i;
    if (step && last || stored_q == 2'd0) index_q <= full ? next_q : data_i;
  end

  vecq_rom #(
    .Words(Words), .WordBits(WordBits), .File(File)
  ) table_rom (
    .clk_i, .enable_i(advance), .address_i(AddressBits'(32'(index_q) * Folds + 32'(fold_q))),
    .data_o
  );

  // What the parameters must be.
  if (Rows < 1 || Folds < 1 || IndexBits < 1) begin : gen_rule_positive
    $error("vecq_embedding: Rows (%0d), Folds (%0d) and IndexBits (%0d) must be at least 1",
           Rows, Folds, IndexBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(IndexBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(WordBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
