// SPDX-License-Identifier: Apache-2.0

// Repeats each pixel FactorRows times down and FactorColumns times across: nearest neighbour.
//
// A row is Width pixels of Folds words; images are rows in order, however many.  One row is stored:
// it can be read while it comes in, and makes room for the next, word by word, as it is read for
// the last time.
//
// A word every cycle, also from row to row, as long as both sides keep up; it stands still while
// its word is not taken.  Latency: two cycles.
module vecq_upsample #(
  parameter int Width         = 1,
  parameter int Folds         = 1,
  parameter int FactorRows    = 2,
  parameter int FactorColumns = 2,
  parameter int WordBits      = 8
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

  localparam int RowWords    = Width * Folds;
  // A word is read a cycle after it came, so a single place would not do.
  localparam int Slots       = RowWords > 1 ? RowWords : 2;
  localparam int AddressBits = $clog2(Slots);
  localparam int CountBits   = $clog2(Slots + 1);
  localparam int FoldBits    = Folds > 1 ? $clog2(Folds) : 1;
  localparam int ColumnBits  = Width > 1 ? $clog2(Width) : 1;
  localparam int AcrossBits  = FactorColumns > 1 ? $clog2(FactorColumns) : 1;
  localparam int DownBits    = FactorRows > 1 ? $clog2(FactorRows) : 1;

  logic advance, push, there, step, valid_q;

  // Where the next step stands: word of the pixel, repetition, pixel of the row, repetition.
  logic [FoldBits-1:0] fold_q;
  logic [AcrossBits-1:0] across_q;
  logic [ColumnBits-1:0] column_q;
  logic [DownBits-1:0] down_q;
  logic last_fold, last_across, last_column, last_down, first_read, last_read;

  assign last_fold   = fold_q == FoldBits'(Folds - 1);
  assign last_across = across_q == AcrossBits'(FactorColumns - 1);
  assign last_column = column_q == ColumnBits'(Width - 1);
  assign last_down   = down_q == DownBits'(FactorRows - 1);
  assign first_read  = across_q == '0 && down_q == '0;
  assign last_read   = last_across && last_down;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fold_q   <= '0;
      across_q <= '0;
      column_q <= '0;
      down_q   <= '0;
    end else if (step) begin
      fold_q <= last_fold ? '0 : fold_q + FoldBits'(1);
      if (last_fold) begin
        across_q <= last_across ? '0 : across_q + AcrossBits'(1);
        if (last_across) begin
          column_q <= last_column ? '0 : column_q + ColumnBits'(1);
          if (last_column) down_q <= last_down ? '0 : down_q + DownBits'(1);
        end
      end
    end
  end

  // No word is read in the cycle in which its place is written.
  (* no_rw_check *) logic [WordBits-1:0] memory [Slots];
  logic [WordBits-1:0] data_q;
  logic [AddressBits-1:0] write_q, read_q;
  logic [CountBits-1:0] stored_q, unread_q;
  logic first_take, free;

  assign ready_o    = stored_q != CountBits'(Slots);
  assign push       = valid_i && ready_o;
  assign there      = !first_read || unread_q != '0;
  assign step       = advance && there;
  assign first_take = step && first_read;
  assign free       = step && last_read;
  assign advance    = !valid_q || ready_i;
  assign valid_o    = valid_q;
  assign data_o     = data_q;

  function automatic logic [AddressBits-1:0] next(logic [AddressBits-1:0] address);
    next = address == AddressBits'(Slots - 1) ? '0 : address + AddressBits'(1);
  endfunction

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q  <= '0;
      read_q   <= '0;
      stored_q <= '0;
      unread_q <= '0;
      valid_q  <= 1'b0;
    end else begin
      if (push) write_q <= next(write_q);
      if (step) begin
        if (last_fold && !last_across) begin
          read_q <= read_q - AddressBits'(Folds - 1);
        end else if (last_fold && last_column && !last_down) begin
          read_q <= read_q - AddressBits'(RowWords - 1);
        end else begin
          read_q <= next(read_q);
        end
      end
      stored_q <= stored_q + CountBits'(push) - CountBits'(free);
      unread_q <= unread_q + CountBits'(push) - CountBits'(first_take);
      if (advance) valid_q <= step;
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q] <= data_i;
    if (advance) data_q <= memory[read_q];
  end

  // What the parameters must be.
  if (Width < 1 || Folds < 1 || WordBits < 1) begin : gen_rule_positive
    $error("vecq_upsample: Width (%0d), Folds (%0d) and WordBits (%0d) must be at least 1",
           Width, Folds, WordBits);
  end
  if (FactorRows < 1 || FactorColumns < 1) begin : gen_rule_factor
    $error("vecq_upsample: FactorRows (%0d) and FactorColumns (%0d) must be at least 1",
           FactorRows, FactorColumns);
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
