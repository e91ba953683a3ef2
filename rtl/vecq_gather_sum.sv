// SPDX-License-Identifier: Apache-2.0

// Sums of the positions of an image that each row of a list names: the neighbours of a node.
//
// A frame is Positions positions of Folds words, Lanes elements each, and gives as many words for
// each row of the list.  The list is a memory of Entries lines, those of a row one behind the
// other; from the lowest bit on a line holds the position, its shift of ShiftBits bits (none where
// that is 0), whether it is the row's last, and whether the row is empty.  An empty row has one
// line, which names any position and gives 0.  Elements are shifted left, then added; the sums wrap
// at SumBits and so are exact where that is wide enough.
//
// A word of a row takes a cycle for each of its lines, an empty row one, without a gap, as long as
// the words that it reads have come; the last line waits for the whole frame.  The next frame comes
// in while one is read: two frames are kept.  There is one adder for each lane.  Latency, from the
// cycle that reads a word's last line: two cycles.
module vecq_gather_sum #(
  parameter int Positions   = 1,
  parameter int Folds       = 1,
  parameter int Entries     = 1,
  parameter int Lanes       = 1,
  parameter int ElementBits = 8,
  parameter bit Signed      = 1'b0,
  parameter int ShiftBits   = 0,
  parameter int SumBits     = 8,
  parameter     File
) (
  input  logic                         clk_i,
  input  logic                         rst_ni,

  input  logic                         valid_i,
  output logic                         ready_o,
  input  logic [Lanes*ElementBits-1:0] data_i,

  output logic                         valid_o,
  input  logic                         ready_i,
  output logic [Lanes*SumBits-1:0]     data_o
);

  localparam int Words       = Positions * Folds;
  localparam int WordBits    = Lanes * ElementBits;
  localparam int IndexBits   = Positions > 1 ? $clog2(Positions) : 1;
  localparam int AddressBits = Words > 1 ? $clog2(Words) : 1;
  localparam int EntryBits   = Entries > 1 ? $clog2(Entries) : 1;
  localparam int FoldBits    = Folds > 1 ? $clog2(Folds) : 1;
  localparam int LineBits    = IndexBits + ShiftBits + 2;

  logic advance, there, step;
  logic [LineBits-1:0] line;
  logic [WordBits-1:0] word;
  logic [AddressBits-1:0] address;

  // Where the next step stands: line of the list, first line of its row, word of its positions.
  logic [EntryBits-1:0] entry_q, entry_d, start_q, next_entry;
  logic [FoldBits-1:0] fold_q;
  logic row_first, row_last, empty, last_fold, last_entry;

  assign row_first  = entry_q == start_q;
  assign row_last   = line[LineBits-2];
  assign empty      = line[LineBits-1];
  assign last_fold  = fold_q == FoldBits'(Folds - 1);
  assign last_entry = entry_q == EntryBits'(Entries - 1);
  assign next_entry = last_entry ? '0 : entry_q + EntryBits'(1);
  assign address    = AddressBits'(line[IndexBits-1:0]) * AddressBits'(Folds)
                      + AddressBits'(fold_q);
  assign step       = advance && there;

  always_comb begin
    entry_d = entry_q;
    if (step) entry_d = row_last && !last_fold ? start_q : next_entry;
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      entry_q <= '0;
      start_q <= '0;
      fold_q  <= '0;
    end else if (step) begin
      entry_q <= entry_d;
      if (row_last) begin
        fold_q <= last_fold ? '0 : fold_q + FoldBits'(1);
        if (last_fold) start_q <= next_entry;
      end
    end
  end

  // The line of the step to come is read as the one before is left.
  vecq_rom #(
    .Words(Entries), .WordBits(LineBits), .File(File)
  ) list (
    .clk_i, .enable_i(1'b1), .address_i(rst_ni ? entry_d : '0), .data_o(line)
  );

  vecq_frame_buffer #(
    .Words(Words), .WordBits(WordBits)
  ) input_buffer (
    .clk_i, .rst_ni,
    .valid_i, .ready_o, .data_i,
    .address_i(address), .last_i(last_entry && last_fold),
    .there_o(there), .take_i(step), .enable_i(advance), .data_o(word)
  );

  // What travels beside the word.
  logic term_q, first_q, last_q, empty_q, output_q;

  assign advance = !output_q || ready_i;
  assign valid_o = output_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      term_q   <= 1'b0;
      output_q <= 1'b0;
    end else if (advance) begin
      term_q   <= step;
      output_q <= term_q && last_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      first_q <= row_first;
      last_q  <= row_last;
      empty_q <= empty;
    end
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [ElementBits-1:0] element;
    logic [SumBits-1:0] extended, term, start, sum_d, sum_q;

    assign element = word[lane*ElementBits +: ElementBits];
    assign start   = first_q ? '0 : sum_q;
    assign data_o[lane*SumBits +: SumBits] = sum_q;

    if (Signed) begin : gen_signed
      assign extended = SumBits'(signed'(element));
    end else begin : gen_unsigned
      assign extended = SumBits'(element);
    end

    if (ShiftBits > 0) begin : gen_shift
      logic [ShiftBits-1:0] shift_q;
      always_ff @(posedge clk_i) begin
        if (advance) shift_q <= line[IndexBits +: ShiftBits];
      end
      assign term = extended << shift_q;
    end else begin : gen_plain
      assign term = extended;
    end

    vecq_adder #(
      .PlainBits(SumBits), .LogicBits(SumBits), .SumBits(SumBits)
    ) adder (
      .plain_i(term), .logic_i(start), .carry_i(1'b0), .sum_o(sum_d)
    );

    always_ff @(posedge clk_i) begin
      if (advance && term_q) sum_q <= empty_q ? '0 : sum_d;
    end
  end

  // What the parameters must be.
  if (Positions < 1 || Folds < 1 || Entries < 1) begin : gen_rule_positive
    $error("vecq_gather_sum: Positions (%0d), Folds (%0d) and Entries (%0d) must be at least 1",
           Positions, Folds, Entries);
  end
  if (Lanes < 1 || ElementBits < 1) begin : gen_rule_positive_lanes
    $error("vecq_gather_sum: Lanes (%0d) and ElementBits (%0d) must be at least 1",
           Lanes, ElementBits);
  end
  if (SumBits < 1 || ShiftBits < 0) begin : gen_rule_positive_sum_bits
    $error("vecq_gather_sum: SumBits (%0d) must be at least 1 and ShiftBits (%0d) at least 0",
           SumBits, ShiftBits);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(WordBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(Lanes * SumBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
