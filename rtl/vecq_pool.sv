// SPDX-License-Identifier: Apache-2.0

// The largest element (Max) or the sum of each window of an image, channel by channel.
//
// An image is Height x Width pixels of Folds words of Lanes elements, in raster order; so are the
// windows, each of which gives Folds words.  Padding is ignored by the maximum, for which each
// window must hold a pixel of the image, and adds nothing to the sum.  Results have the sign of the
// elements and wrap at OutputBits; the default is exact.
//
// A frame takes as many cycles as its windows have words, padding included, without a gap, as long
// as both sides keep up; vecq_pipeline_end ends the pipeline.  Latency: five cycles after a window's
// last word came in.
module vecq_pool #(
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
  parameter int Lanes           = 1,
  parameter int ElementBits     = 8,
  parameter bit Signed          = 1'b0,
  parameter bit Max             = 1'b1,
  parameter bit CarryChoice     = 1'b0,
  parameter int OutputBits      = ElementBits + (Max ? 0 : $clog2(KernelRows * KernelColumns))
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,

  input  logic                         valid_i,
  output logic                         ready_o,
  input  logic [Lanes*ElementBits-1:0] data_i,

  output logic                         valid_o,
  input  logic                         ready_i,
  output logic [Lanes*OutputBits-1:0]  data_o
);

  localparam int FoldBits = Folds > 1 ? $clog2(Folds) : 1;
  // What changes no result.
  localparam logic [OutputBits-1:0] Neutral =
      Max && Signed ? {OutputBits{1'b1}} << (ElementBits - 1) : '0;
  localparam logic [ElementBits-1:0] SignBit = ElementBits'(Signed) << (ElementBits - 1);

  logic advance, hold, step, padding, first_cell, last_cell;
  logic [FoldBits-1:0] fold;
  logic [Lanes*ElementBits-1:0] elements;

  vecq_window_buffer #(
    .Height(Height), .Width(Width), .Folds(Folds),
    .KernelRows(KernelRows), .KernelColumns(KernelColumns),
    .StrideRows(StrideRows), .StrideColumns(StrideColumns),
    .PaddingTop(PaddingTop), .PaddingLeft(PaddingLeft),
    .PaddingBottom(PaddingBottom), .PaddingRight(PaddingRight),
    .DilationRows(DilationRows), .DilationColumns(DilationColumns),
    .WordBits(Lanes * ElementBits), .CarryChoice(CarryChoice)
  ) window_buffer (
    .clk_i, .rst_ni,
    .valid_i, .ready_o, .data_i,
    .enable_i(advance), .hold_i(hold), .step_o(step), .padding_o(padding),
    .first_cell_o(first_cell), .last_cell_o(last_cell), .fold_o(fold), .data_o(elements)
  );

  // Beside the two registers of the elements: a cell was read, and which.
  logic [1:0] read_q, padding_q, first_q, last_q;
  logic valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      read_q  <= '0;
      valid_q <= 1'b0;
    end else if (advance) begin
      read_q  <= {read_q[0], step};
      valid_q <= read_q[1] && last_q[1];
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      padding_q <= {padding_q[0], padding};
      first_q   <= {first_q[0], first_cell};
      last_q    <= {last_q[0], last_cell};
    end
  end

  // What the cells before gave, for each word of a pixel.
  logic [Lanes*OutputBits-1:0] results, result_q, partials;

  // Words of windows of several cells are spaced unless a pixel has several words.
  vecq_pipeline_end #(
    .DataBits(Lanes * OutputBits), .Words(Folds == 1 && KernelRows * KernelColumns > 1 ? 1 : 2)
  ) pipeline_end (
    .clk_i, .rst_ni,
    .valid_i(valid_q), .next_i(read_q[1] && last_q[1]), .data_i(result_q),
    .advance_o(advance), .hold_o(hold),
    .valid_o, .ready_i, .data_o
  );

  always_ff @(posedge clk_i) begin
    if (advance && read_q[1]) result_q <= results;
  end

  if (Folds == 1) begin : gen_register
    assign partials = result_q;
  end else begin : gen_memory
    logic [FoldBits-1:0] read_fold_q, fold_q;
    logic [Lanes*OutputBits-1:0] partials_q;
    // A word's turn comes again after Folds steps at the earliest, and its result after one.
    (* no_rw_check *) logic [Lanes*OutputBits-1:0] memory [Folds];

    assign partials = partials_q;

    always_ff @(posedge clk_i) begin
      if (advance && read_q[1]) memory[fold_q] <= results;
      if (advance) begin
        read_fold_q <= fold;
        fold_q      <= read_fold_q;
        // A window's first cell begins anew, so that no choice stands before the comparison.
        partials_q  <= first_q[0] ? {Lanes{Neutral}} : memory[read_fold_q];
      end
    end
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [ElementBits-1:0] bits;
    logic [OutputBits-1:0] partial, element, result;

    assign bits    = elements[lane*ElementBits +: ElementBits];
    assign partial = partials[lane*OutputBits +: OutputBits];
    assign element = padding_q[1] ? Neutral
                   : Signed ? OutputBits'(signed'(bits)) : OutputBits'(bits);
    assign results[lane*OutputBits +: OutputBits] = result;

    if (!Max) begin : gen_sum
      assign result = element + (Folds == 1 && first_q[1] ? '0 : partial);
    end else if (Folds > 1) begin : gen_larger
      logic signed [OutputBits:0] left, right;
      assign left   = {Signed & element[OutputBits-1], element};
      assign right  = {Signed & partial[OutputBits-1], partial};
      assign result = left > right ? element : partial;
    end else begin : gen_first_or_larger
      // The first cell of a window is taken, no matter what the window before left: so no look-up
      // table stands before the comparison.  Signed numbers are in the order of unsigned ones whose
      // highest bit is the other one.  A choice by `?` would become the enable of a register.
      logic takes;
      assign takes  = first_q[1]
                   || (ElementBits'(element) ^ SignBit) > (ElementBits'(partial) ^ SignBit);
      assign result = {OutputBits{takes}} & element | {OutputBits{!takes}} & partial;
    end
  end

  // Along one axis: whether no cell of some window lies in the image.
  function automatic bit empty(
    int size, int kernel, int stride, int head, int tail, int dilation
  );
    int pace;
    pace  = stride > 0 ? stride : 1;
    empty = 1'b0;
    for (int first = -head; first + dilation * (kernel - 1) < size + tail; first += pace)
    begin
      bit held;
      held = 1'b0;
      for (int n = 0; n < kernel; n++) begin
        if (first + n * dilation >= 0 && first + n * dilation < size) held = 1'b1;
      end
      if (!held) empty = 1'b1;
    end
  endfunction

  // What the parameters must be.
  if (Lanes < 1 || ElementBits < 1 || OutputBits < 1) begin : gen_rule_positive
    $error("vecq_pool: Lanes (%0d), ElementBits (%0d) and OutputBits (%0d) must be at least 1",
           Lanes, ElementBits, OutputBits);
  end
  if (Max && OutputBits < ElementBits) begin : gen_rule_bits
    $error("vecq_pool: OutputBits (%0d) must not be less than ElementBits (%0d) of a maximum",
           OutputBits, ElementBits);
  end
  if (Max && (empty(Height, KernelRows, StrideRows, PaddingTop, PaddingBottom, DilationRows) ||
              empty(Width, KernelColumns, StrideColumns, PaddingLeft, PaddingRight,
                    DilationColumns))) begin : gen_rule_padding
    $error("vecq_pool: a window of a maximum holds nothing of the image: padding %0d/%0d/%0d/%0d",
           PaddingTop, PaddingLeft, PaddingBottom, PaddingRight);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(Lanes * ElementBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(Lanes * OutputBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
