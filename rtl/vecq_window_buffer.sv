// SPDX-License-Identifier: Apache-2.0

// Keeps the rows of an image that its windows need and reads the windows: one word per step.
//
// An image is Height rows of Width pixels of Folds words.  Windows come in raster order, each as
// kernel rows, kernel columns, words of a pixel.  With enable_i a step is done (step_o) if its cell
// has come in or is padding; after two clock edges with enable_i the cell is at data_o.  Of the next
// step is told whether its cell is padding (padding_o, and data_o will be nothing), whether it is
// the first or the last of the kernel, and which word of its pixel.  hold_i is the complement of
// enable_i, of a flip-flop with few loads: the step is decided by it.
//
// Words are numbered on from frame to frame, in raster order, and a number's low bits are its place:
// the ring is a power of two, at least the rows that the dilated kernel is high.  Cells of padding
// have the numbers that rows and columns of the image there would have, so that from one step to the
// next a number grows by one of six constants: to the next word, pixel, kernel row, window, row of
// windows, frame.  Three registers follow the numbers by adding these constants: where the next
// step's cell lies, how far the writer is ahead of it, and how far the writer is behind the last
// place that is free.  The signs of the last two say whether the cell is there and whether there is
// room; nothing is compared.  What the next step adds is in registers, too: counters and places run
// a step ahead.  With CarryChoice the carry cells of ECP5 choose whether it is added, with no look-up
// table between the step and the carry chain (vecq_carry_adder).
//
// What lies before a window is free once the window before it is done.  More exactly, each of its
// kernel rows (where there is one, each kernel column) frees as much as itself, or as the next
// window begins later, if that is less.
//
// Where the first window lies wholly in padding, it waits for the first word of its image all the
// same: no output of a frame comes before the frame.  The ring then holds the padding before that
// word, and this word.
//
// Some window must reach the image.  PaddingBottom and PaddingRight say no more than how many windows
// there are: padding that none of them reaches costs nothing.
module vecq_window_buffer #(
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
  parameter int FoldBits        = Folds > 1 ? $clog2(Folds) : 1
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  output logic                ready_o,
  input  logic [WordBits-1:0] data_i,

  input  logic                enable_i,
  input  logic                hold_i,
  output logic                step_o,
  output logic                padding_o,
  output logic                first_cell_o,
  output logic                last_cell_o,
  output logic [FoldBits-1:0] fold_o,
  output logic [WordBits-1:0] data_o
);

  // Along one axis: whether no cell of the first window lies in the image.
  function automatic bit outside(int size, int kernel, int head, int dilation);
    outside = 1'b1;
    for (int n = 0; n < kernel; n++) begin
      if (n * dilation >= head && n * dilation < size + head) outside = 1'b0;
    end
  endfunction

  // Along one axis: where the last window begins.
  function automatic int last_start(int size, int extent, int stride, int head, int tail);
    last_start = -head;
    if (stride > 0) last_start += (size + head + tail - extent) / stride * stride;
  endfunction

  // A window has as many numbers from its first cell to its last as it has in an image of Pitch words
  // a row and FrameRows rows a frame: more than the image has only where windows begin over more
  // columns or rows than that.
  localparam int RowWords  = Width * Folds;
  localparam int Tall      = DilationRows * (KernelRows - 1) + 1;
  localparam int Wide      = DilationColumns * (KernelColumns - 1) + 1;
  localparam int FirstRow  = -PaddingTop;
  localparam int LastRow   = last_start(Height, Tall, StrideRows, PaddingTop, PaddingBottom);
  localparam int FirstColumn = -PaddingLeft;
  localparam int LastColumn  = last_start(Width, Wide, StrideColumns, PaddingLeft, PaddingRight);
  localparam int Columns   = StrideColumns > 0 ? (LastColumn - FirstColumn) / StrideColumns + 1 : 1;
  localparam int Rows      = StrideRows > 0 ? (LastRow - FirstRow) / StrideRows + 1 : 1;
  localparam int ColumnSpan = (LastColumn - FirstColumn) * Folds;
  localparam int Pitch     = ColumnSpan > RowWords ? ColumnSpan : RowWords;
  localparam int RowGap    = Pitch - RowWords;
  localparam int FrameRows = LastRow - FirstRow + 1 > Height ? LastRow - FirstRow + 1 : Height;
  localparam int FrameGap  = (FrameRows - Height) * Pitch + RowGap;
  // Whether windows reach over an edge.
  localparam bit OverTop    = PaddingTop > 0;
  localparam bit OverBottom = LastRow + Tall > Height;
  localparam bit OverLeft   = PaddingLeft > 0;
  localparam bit OverRight  = LastColumn + Wide > Width;
  // Whether the first window has nothing of the image.
  localparam bit Alone     = outside(Height, KernelRows, PaddingTop, DilationRows)
                          || outside(Width, KernelColumns, PaddingLeft, DilationColumns);
  // The number of the first window.
  localparam int First     = FirstRow * Pitch + FirstColumn * Folds;
  // A word is read a cycle after it came, so a single place would not do.
  localparam int TallWords = Tall * Pitch > 1 ? Tall * Pitch : 2;
  localparam int SpanWords = (Tall - 1) * Pitch + Wide * Folds;
  localparam int LeastWords = TallWords > SpanWords ? TallWords : SpanWords;
  localparam int AloneWords = Alone ? Pitch - First : 0;
  localparam int AddressBits = $clog2(LeastWords > AloneWords ? LeastWords : AloneWords);
  localparam int RingWords = 1 << AddressBits;

  // By how much numbers grow: from a window's first cell to its last, from one first cell to the
  // next, and from a window's last cell to the next one's first.
  localparam int ColumnBack  = (KernelColumns - 1) * DilationColumns * Folds + Folds - 1;
  localparam int Back        = (KernelRows - 1) * DilationRows * Pitch + ColumnBack;
  localparam int ToWindow    = StrideColumns * Folds;
  localparam int ToRow       = StrideRows * Pitch - ColumnSpan;
  localparam int ToFrame     = FrameRows * Pitch - (LastRow - FirstRow) * Pitch - ColumnSpan;
  localparam int PixelStep   = (DilationColumns - 1) * Folds + 1;
  localparam int LineStep    = DilationRows * Pitch - ColumnBack;
  // From the first cell of all to the second.
  localparam int SecondStep  = Folds > 1 ? 1 : KernelColumns > 1 ? PixelStep
                             : KernelRows > 1 ? LineStep : Columns > 1 ? ToWindow : ToRow;
  // Where a first window waits for the image, its first cell has the number of the first word.
  localparam int Wait        = Alone ? -First : 0;

  // What is freed behind each of the first lines of a window, and behind its last cell.
  localparam bit OneRow      = KernelRows == 1;
  localparam int Lines       = OneRow ? KernelColumns : KernelRows;
  localparam int LineWords   = OneRow ? DilationColumns * Folds : DilationRows * Pitch;

  function automatic int line_frees(int jump);
    line_frees = jump < LineWords ? jump : LineWords;
  endfunction

  function automatic int freeing_lines(int jump);
    freeing_lines = jump < LineWords ? 1 : jump / LineWords;
    if (freeing_lines > Lines - 1) freeing_lines = Lines - 1;
  endfunction

  function automatic int rest(int jump);
    rest = jump - freeing_lines(jump) * line_frees(jump);
  endfunction

  // How far a place may be ahead of the words: it was on a word of the image within a window's
  // length and the way to the next window, unless whole windows are padding.
  localparam bit Padded      = OverTop || OverBottom || OverLeft || OverRight;
  localparam bit Reaching    = PaddingTop < Tall && LastRow < Height && DilationRows <= Height
                            && PaddingLeft < Wide && LastColumn < Width && DilationColumns <= Width;
  localparam int Farthest    = ToFrame > ToRow && ToFrame > ToWindow ? ToFrame
                             : ToRow > ToWindow ? ToRow : ToWindow;
  localparam int Ahead       = !Padded || Reaching ? Farthest + (Padded ? 2 * Back : LineStep)
                             : 2 * (FrameRows + Tall) * Pitch + Farthest + Wait;
  localparam int LeadBits    = $clog2(RingWords + Ahead + 2) + 1;

  localparam int PaddedRows    = Height + PaddingTop + PaddingBottom;
  localparam int PaddedColumns = Width + PaddingLeft + PaddingRight;
  localparam int PixelBits   = $clog2(PaddedColumns + StrideColumns + 1) + 1;
  localparam int RowBits     = $clog2(PaddedRows + StrideRows + 1) + 1;
  localparam int KernelColumnBits = KernelColumns > 1 ? $clog2(KernelColumns) : 1;
  localparam int KernelRowBits    = KernelRows > 1 ? $clog2(KernelRows) : 1;

  // Where a cell lies, seen from the one before.
  localparam logic [2:0] NextWord   = 3'd0;
  localparam logic [2:0] NextPixel  = 3'd1;
  localparam logic [2:0] NextLine   = 3'd2;
  localparam logic [2:0] NextWindow = 3'd3;
  localparam logic [2:0] NextRow    = 3'd4;
  localparam logic [2:0] NextFrame  = 3'd5;
  localparam logic [2:0] SecondCell = 3'd6;

  // The cell behind the next step's: where its counters stand, and which of them the step moves.
  logic step;
  logic [FoldBits-1:0] fold;
  logic [KernelColumnBits-1:0] kernel_column;
  logic [KernelRowBits-1:0] kernel_row;
  logic last_kernel_column, last_kernel_row, last_column, last_row;
  logic pixel_end, line_end, window_end, row_end, frame_end;
  logic pixel_end_d, line_end_d, window_end_d, row_end_d;

  localparam bit PixelIsWord  = Folds == 1;
  localparam bit LineIsWord   = PixelIsWord && KernelColumns == 1;
  localparam bit WindowIsWord = LineIsWord && KernelRows == 1;
  localparam bit RowIsWord    = WindowIsWord && Columns == 1;
  // After a reset they are at the second cell: whether that is the end of a pixel, of a kernel row.
  localparam bit PixelStarts  = Folds <= 2;
  localparam bit LineStarts   = PixelStarts && (PixelIsWord ? KernelColumns <= 2
                                                            : KernelColumns == 1);
  localparam bit WindowStarts = LineStarts && (LineIsWord ? KernelRows <= 2 : KernelRows == 1);
  localparam bit RowStarts    = WindowStarts && (WindowIsWord ? Columns <= 2 : Columns == 1);

  vecq_counter #(
    .Count(Folds), .Start(Folds > 1 ? 1 : 0)
  ) fold_counter (
    .clk_i, .rst_ni, .step_i(step), .inner_full_i(1'b1), .inner_full_d_i(1'b1),
    .count_o(fold), .last_o(), .full_o(pixel_end), .full_d_o(pixel_end_d)
  );

  vecq_counter #(
    .Count(KernelColumns), .Start(PixelIsWord && KernelColumns > 1 ? 1 : 0),
    .InnerOne(PixelIsWord), .InnerStart(PixelStarts)
  ) kernel_column_counter (
    .clk_i, .rst_ni, .step_i(step), .inner_full_i(pixel_end), .inner_full_d_i(pixel_end_d),
    .count_o(kernel_column), .last_o(last_kernel_column), .full_o(line_end), .full_d_o(line_end_d)
  );

  vecq_counter #(
    .Count(KernelRows), .Start(LineIsWord && KernelRows > 1 ? 1 : 0),
    .InnerOne(LineIsWord), .InnerStart(LineStarts)
  ) kernel_row_counter (
    .clk_i, .rst_ni, .step_i(step), .inner_full_i(line_end), .inner_full_d_i(line_end_d),
    .count_o(kernel_row), .last_o(last_kernel_row), .full_o(window_end), .full_d_o(window_end_d)
  );

  vecq_counter #(
    .Count(Columns), .Start(WindowIsWord && Columns > 1 ? 1 : 0),
    .InnerOne(WindowIsWord), .InnerStart(WindowStarts)
  ) column_counter (
    .clk_i, .rst_ni, .step_i(step), .inner_full_i(window_end), .inner_full_d_i(window_end_d),
    .count_o(), .last_o(last_column), .full_o(row_end), .full_d_o(row_end_d)
  );

  vecq_counter #(
    .Count(Rows), .Start(RowIsWord && Rows > 1 ? 1 : 0),
    .InnerOne(RowIsWord), .InnerStart(RowStarts)
  ) row_counter (
    .clk_i, .rst_ni, .step_i(step), .inner_full_i(row_end), .inner_full_d_i(row_end_d),
    .count_o(), .last_o(last_row), .full_o(frame_end), .full_d_o()
  );

  // Whether that cell is padding: a negative number is a large unsigned one.  Its row and column grow
  // by what lies before the registers, so that the step is their enable alone.
  logic row_outside, column_outside;

  if (OverLeft || OverRight) begin : gen_column
    logic signed [PixelBits-1:0] column_q, column_moves;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        column_q <= PixelBits'(!PixelIsWord ? FirstColumn
                             : !LineIsWord ? FirstColumn + DilationColumns
                             : WindowIsWord && Columns > 1 ? FirstColumn + StrideColumns
                             : FirstColumn);
      end else if (step) begin
        column_q <= column_q + column_moves;
      end
    end

    always_comb begin
      column_moves = '0;
      if (pixel_end) column_moves = PixelBits'(DilationColumns);
      if (line_end) column_moves = PixelBits'(1 - Wide);
      if (window_end) column_moves = PixelBits'(StrideColumns - Wide + 1);
      if (row_end) column_moves = PixelBits'(FirstColumn - LastColumn - Wide + 1);
    end

    assign column_outside = OverRight ? unsigned'(column_q) >= PixelBits'(Width)
                                      : column_q[PixelBits-1];
  end else begin : gen_no_column
    assign column_outside = 1'b0;
  end

  if (OverTop || OverBottom) begin : gen_row
    logic signed [RowBits-1:0] row_q, row_moves;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        row_q <= RowBits'(LineIsWord && KernelRows > 1 ? FirstRow + DilationRows
                        : RowIsWord && Rows > 1 ? FirstRow + StrideRows : FirstRow);
      end else if (step) begin
        row_q <= row_q + row_moves;
      end
    end

    always_comb begin
      row_moves = '0;
      if (line_end) row_moves = RowBits'(DilationRows);
      if (window_end) row_moves = RowBits'(1 - Tall);
      if (row_end) row_moves = RowBits'(StrideRows - Tall + 1);
      if (frame_end) row_moves = RowBits'(FirstRow - LastRow - Tall + 1);
    end

    assign row_outside = OverBottom ? unsigned'(row_q) >= RowBits'(Height) : row_q[RowBits-1];
  end else begin : gen_no_row
    assign row_outside = 1'b0;
  end

  // The next step's cell.
  logic there;
  logic [2:0] next;
  logic [FoldBits-1:0] fold_q;
  logic padding, padding_q, waits_q, first_q, last_q, begins_q;
  // What a step adds.
  logic signed [LeadBits-1:0] grown_q, freed_q;
  // What it frees: as much as the line, or the rest, of a window before the next one, before one in
  // the next row of windows, or in the next frame.
  logic [1:0] frees;
  logic line_over;
  int line;

  assign padding   = row_outside || column_outside;
  assign line_over = OneRow ? pixel_end : line_end;
  assign line      = OneRow ? 32'(kernel_column) : 32'(kernel_row);

  // By how much the number grows on the way there, to be taken off.
  function automatic logic signed [LeadBits-1:0] growth(logic [2:0] place);
    unique case (place)
      NextPixel:  growth = LeadBits'(-PixelStep);
      NextLine:   growth = LeadBits'(-LineStep);
      NextWindow: growth = LeadBits'(Back - ToWindow);
      NextRow:    growth = LeadBits'(Back - ToRow);
      NextFrame:  growth = LeadBits'(Back - ToFrame - Wait);
      SecondCell: growth = LeadBits'(Wait - SecondStep);
      default:    growth = '1;
    endcase
  endfunction

  // How much is freed behind a line or, at the end of a window, behind its last cell, to be taken off.
  function automatic logic signed [LeadBits-1:0] freeing(logic [1:0] ahead, logic ends);
    unique case ({ahead, ends})
      3'b010:  freeing = LeadBits'(-line_frees(ToWindow));
      3'b011:  freeing = LeadBits'(-rest(ToWindow));
      3'b100:  freeing = LeadBits'(-line_frees(ToRow));
      3'b101:  freeing = LeadBits'(-rest(ToRow));
      3'b110:  freeing = LeadBits'(-line_frees(ToFrame));
      3'b111:  freeing = LeadBits'(-rest(ToFrame));
      default: freeing = '0;
    endcase
  endfunction

  always_comb begin
    next = NextWord;
    if (pixel_end) next = NextPixel;
    if (line_end) next = NextLine;
    if (window_end) next = NextWindow;
    if (row_end) next = NextRow;
    if (frame_end) next = NextFrame;
    if (Alone && begins_q) next = SecondCell;
  end

  always_comb begin
    frees = 2'd0;
    if (last_column && last_row) begin
      if (window_end || line_over && line < freeing_lines(ToFrame)) frees = 2'd3;
    end else if (last_column) begin
      if (window_end || line_over && line < freeing_lines(ToRow)) frees = 2'd2;
    end else begin
      if (window_end || line_over && line < freeing_lines(ToWindow)) frees = 2'd1;
    end
  end

  // After a reset it is the first of all.
  localparam logic [2:0] FirstNext = Alone ? SecondCell : !PixelIsWord ? NextWord
                                   : !LineIsWord ? NextPixel : !WindowIsWord ? NextLine
                                   : !RowIsWord ? NextWindow : Rows > 1 ? NextRow : NextFrame;
  localparam bit FirstEnds = WindowIsWord;
  localparam bit FirstLine = !FirstEnds && (OneRow ? PixelIsWord : LineIsWord);
  localparam logic [1:0] FirstFrees = !FirstEnds && !FirstLine ? 2'd0
                                    : Columns > 1 ? 2'd1 : Rows > 1 ? 2'd2 : 2'd3;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      grown_q   <= growth(FirstNext);
      freed_q   <= freeing(FirstFrees, FirstEnds);
      padding_q <= PaddingTop > 0 || PaddingLeft > 0;
      waits_q   <= Alone || PaddingTop == 0 && PaddingLeft == 0;
      fold_q    <= '0;
      first_q   <= 1'b1;
      last_q    <= KernelRows == 1 && KernelColumns == 1;
      begins_q  <= 1'b0;
    end else if (step) begin
      grown_q   <= growth(next);
      freed_q   <= freeing(frees, window_end);
      padding_q <= padding;
      waits_q   <= !padding || Alone && begins_q;
      fold_q    <= fold;
      first_q   <= kernel_column == '0 && kernel_row == '0;
      last_q    <= last_kernel_column && last_kernel_row;
      begins_q  <= frame_end;
    end
  end

  assign step         = !hold_i && (there || !waits_q);
  assign step_o       = step;
  assign padding_o    = padding_q;
  assign first_cell_o = first_q;
  assign last_cell_o  = last_q;
  assign fold_o       = fold_q;

  // The number of the word that comes next, less one and that of the step's cell: not negative if
  // that is there.  The same less the ring and what is still kept: negative if there is room.
  logic signed [LeadBits-1:0] lead_d, lead_q, held_d, held_q;
  logic signed [LeadBits-1:0] written, kept;
  logic push;
  // The complements of both numbers' low bits, as only they are needed, and sums are shared.
  logic [AddressBits-1:0] write_q, write_d, read_q;

  assign there   = !lead_q[LeadBits-1];
  assign ready_o = held_q[LeadBits-1];
  assign push    = valid_i && ready_o;

  if (FrameGap > 0) begin : gen_gap
    logic row_full, image_full;
    logic signed [LeadBits-1:0] gap;

    logic row_full_d;

    vecq_counter #(
      .Count(RowWords)
    ) word_counter (
      .clk_i, .rst_ni, .step_i(push), .inner_full_i(1'b1), .inner_full_d_i(1'b1),
      .count_o(), .last_o(), .full_o(row_full), .full_d_o(row_full_d)
    );

    vecq_counter #(
      .Count(Height), .InnerOne(RowWords == 1), .InnerStart(RowWords == 1)
    ) image_row_counter (
      .clk_i, .rst_ni, .step_i(push), .inner_full_i(row_full), .inner_full_d_i(row_full_d),
      .count_o(), .last_o(), .full_o(image_full), .full_d_o()
    );

    assign gap      = !push || !row_full ? '0
                    : image_full ? LeadBits'(FrameGap) : LeadBits'(RowGap);
    assign written = lead_q + gap;
    assign kept    = held_q + gap;
    assign write_d = write_q - AddressBits'(push) - AddressBits'(unsigned'(gap));
  end else begin : gen_no_gap
    assign written = lead_q;
    assign kept    = held_q;
    assign write_d = write_q - AddressBits'(push);
  end

  if (CarryChoice) begin : gen_carry_choice
    // A position more, below, makes a carry of the word that comes.
    logic unused_lead, unused_held;

    vecq_carry_adder #(
      .PlainBits(LeadBits + 1), .LogicBits(LeadBits + 1), .SumBits(LeadBits + 1)
    ) lead_adder (
      .plain_i({written, push}), .first_i((LeadBits + 1)'(1)), .second_i({grown_q, 1'b1}),
      .select_i(step), .sum_o({lead_d, unused_lead})
    );

    vecq_carry_adder #(
      .PlainBits(LeadBits + 1), .LogicBits(LeadBits + 1), .SumBits(LeadBits + 1)
    ) held_adder (
      .plain_i({kept, push}), .first_i((LeadBits + 1)'(1)), .second_i({freed_q, 1'b1}),
      .select_i(step), .sum_o({held_d, unused_held})
    );
  end else begin : gen_choice
    vecq_adder #(
      .PlainBits(LeadBits), .LogicBits(LeadBits), .SumBits(LeadBits)
    ) lead_adder (
      .plain_i(written), .logic_i(step ? grown_q : '0), .carry_i(push), .sum_o(lead_d)
    );

    vecq_adder #(
      .PlainBits(LeadBits), .LogicBits(LeadBits), .SumBits(LeadBits)
    ) held_adder (
      .plain_i(kept), .logic_i(step ? freed_q : '0), .carry_i(push), .sum_o(held_d)
    );
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q <= '1;
      read_q  <= AddressBits'(unsigned'(-First - Wait - 1));
      lead_q  <= LeadBits'(-First - Wait - 1);
      held_q  <= LeadBits'(-First - RingWords);
    end else begin
      write_q <= write_d;
      if (step) read_q <= read_q + AddressBits'(unsigned'(grown_q));
      lead_q  <= lead_d;
      held_q  <= held_d;
    end
  end

  // No word is read in the cycle in which its place is written.  Of the two registers the first may
  // become part of a block RAM.
  (* no_rw_check *) logic [WordBits-1:0] memory [RingWords];
  logic [WordBits-1:0] read_data_q, data_q;

  assign data_o = data_q;

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q] <= data_i;
    if (enable_i) begin
      read_data_q <= memory[read_q];
      data_q      <= read_data_q;
    end
  end

  // Whether any cell of any window lies in the image, along one axis.
  function automatic bit reached(
    int size, int kernel, int stride, int head, int tail, int dilation
  );
    int pace;
    pace    = stride > 0 ? stride : 1;
    reached = 1'b0;
    for (int first = -head; first + dilation * (kernel - 1) < size + tail; first += pace)
    begin
      for (int n = 0; n < kernel; n++) begin
        if (first + n * dilation >= 0 && first + n * dilation < size) reached = 1'b1;
      end
    end
  endfunction

  // What the parameters must be.
  if (Height < 1 || Width < 1) begin : gen_rule_positive
    $error("vecq_window_buffer: Height (%0d) and Width (%0d) must be at least 1", Height, Width);
  end
  if (Folds < 1 || WordBits < 1) begin : gen_rule_positive_folds_word_bits
    $error("vecq_window_buffer: Folds (%0d) and WordBits (%0d) must be at least 1",
           Folds, WordBits);
  end
  if (KernelRows < 1 || KernelColumns < 1) begin : gen_rule_kernel
    $error("vecq_window_buffer: KernelRows (%0d) and KernelColumns (%0d) must be at least 1",
           KernelRows, KernelColumns);
  end
  if (StrideRows < 1 || StrideColumns < 1) begin : gen_rule_positive_stride_rows_stride_columns
    $error("vecq_window_buffer: StrideRows (%0d) and StrideColumns (%0d) must be at least 1",
           StrideRows, StrideColumns);
  end
  if (DilationRows < 1 || DilationColumns < 1) begin : gen_rule_dilation
    $error("vecq_window_buffer: DilationRows (%0d) and DilationColumns (%0d) must be at least 1",
           DilationRows, DilationColumns);
  end
  if (PaddingTop < 0 || PaddingLeft < 0 || PaddingBottom < 0 || PaddingRight < 0)
  begin : gen_rule_padding
    $error("vecq_window_buffer: the padding %0d/%0d/%0d/%0d must not be negative",
           PaddingTop, PaddingLeft, PaddingBottom, PaddingRight);
  end
  if (Tall > PaddedRows) begin : gen_rule_tall
    $error("vecq_window_buffer: the kernel is %0d rows high, but the image with its padding %0d",
           Tall, PaddedRows);
  end
  if (Wide > PaddedColumns) begin : gen_rule_wide
    $error("vecq_window_buffer: the kernel is %0d columns wide, but the image with its padding %0d",
           Wide, PaddedColumns);
  end
  if (!reached(Height, KernelRows, StrideRows, PaddingTop, PaddingBottom, DilationRows) ||
      !reached(Width, KernelColumns, StrideColumns, PaddingLeft, PaddingRight, DilationColumns))
  begin : gen_rule_reached
    $error("vecq_window_buffer: no window reaches the image: padding %0d/%0d, stride %0d/%0d",
           PaddingTop, PaddingLeft, StrideRows, StrideColumns);
  end

endmodule
