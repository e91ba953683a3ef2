// SPDX-License-Identifier: Apache-2.0

// Turns an image into the words of all its windows; PadWord stands where there is no image.
//
// An image is Height x Width pixels of Folds words, in raster order.  Windows come in raster order,
// each as kernel rows, kernel columns, words of a pixel; groups and depthwise layers read the same.
// Words that no window reads are dropped.
//
// A word every cycle, also from frame to frame, as long as both sides keep up; vecq_pipeline_end ends
// the pipeline.  Latency: four cycles after the word came in.
module vecq_sliding_window #(
  parameter int Height          = 1,
  parameter int Width           = 1,
  parameter int Folds           = 1,
  parameter int KernelRows      = 1,
  parameter int KernelColumns   = 1,
  parameter int StrideRows      = 1,
  parameter int StrideColumns   = 1,
  parameter int PaddingTop      = 0,
  parameter int PaddingLeft     = 0,
  parameter int PaddingBottom   = 0,
  parameter int PaddingRight    = 0,
  parameter int DilationRows    = 1,
  parameter int DilationColumns = 1,
  parameter int WordBits        = 8,
  parameter bit CarryChoice     = 1'b0,
  parameter logic [WordBits-1:0] PadWord = '0
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  output logic                ready_o,
  input  logic [WordBits-1:0] data_i,

  output logic                valid_o,
  input  logic                ready_i,
  output logic [WordBits-1:0] data_o
);

  logic advance, hold, step, padding, read_q, valid_q;
  logic [1:0] padding_q;
  logic [WordBits-1:0] cell_word;

  vecq_window_buffer #(
    .Height(Height), .Width(Width), .Folds(Folds),
    .KernelRows(KernelRows), .KernelColumns(KernelColumns),
    .StrideRows(StrideRows), .StrideColumns(StrideColumns),
    .PaddingTop(PaddingTop), .PaddingLeft(PaddingLeft),
    .PaddingBottom(PaddingBottom), .PaddingRight(PaddingRight),
    .DilationRows(DilationRows), .DilationColumns(DilationColumns),
    .WordBits(WordBits), .CarryChoice(CarryChoice)
  ) window_buffer (
    .clk_i, .rst_ni,
    .valid_i, .ready_o, .data_i,
    .enable_i(advance), .hold_i(hold), .step_o(step), .padding_o(padding),
    .first_cell_o(), .last_cell_o(), .fold_o(), .data_o(cell_word)
  );

  vecq_pipeline_end #(
    .DataBits(WordBits)
  ) pipeline_end (
    .clk_i, .rst_ni,
    .valid_i(valid_q), .next_i(read_q), .data_i(padding_q[1] ? PadWord : cell_word),
    .advance_o(advance), .hold_o(hold),
    .valid_o, .ready_i, .data_o
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) {valid_q, read_q} <= '0;
    else if (advance) {valid_q, read_q} <= {read_q, step};
  end

  always_ff @(posedge clk_i) begin
    if (advance) padding_q <= {padding_q[0], padding};
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(WordBits)
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
