// SPDX-License-Identifier: Apache-2.0

// Keeps the rows of an image that its windows need and reads the windows: one word per step.
//
// An image is Height rows of Width pixels of Folds words.  Windows come in raster order, each as
// kernel rows, kernel columns, words of a pixel.  With enable_i a step is done (step_o) if its cell
// has come in or is padding; after the clock edge the cell is at data_o.  Of the next step is told
// whether its cell is padding (padding_o, and data_o will be nothing), whether it is the first or
// the last of the kernel, and which word of its pixel.
//
// The ring holds as many rows as the dilated kernel is high.  Rows are numbered on from frame to
// frame, and those of padding have numbers like any other: the PaddingTop rows above an image are
// the last before it.  A word may come in once the word that many rows above it lies, in raster order,
// before the next step's cell and before the next window: nothing reads that one any more.  So the
// next image comes in while the last windows of this one are read.
//
// Where the first window lies wholly in padding, it waits for the first word of its image all the
// same: no output of a frame comes before the frame.  The ring then holds the rows of padding above
// the image and one more, if the kernel is not that high, so that this word can come in.
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
  parameter int FoldBits        = Folds > 1 ? $clog2(Folds) : 1
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  output logic                ready_o,
  input  logic [WordBits-1:0] data_i,

  input  logic                enable_i,
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

  // Columns are counted in words.
  localparam int RowWords  = Width * Folds;
  localparam int Tall      = DilationRows * (KernelRows - 1) + 1;
  localparam int Wide      = DilationColumns * (KernelColumns - 1) + 1;
  localparam int FirstRow  = -PaddingTop;
  localparam int LastRow   = last_start(Height, Tall, StrideRows, PaddingTop, PaddingBottom);
  localparam int LastStart = last_start(Width, Wide, StrideColumns, PaddingLeft, PaddingRight);
  localparam int FirstColumn = -PaddingLeft * Folds;
  localparam int LastColumn  = LastStart * Folds;
  // Whether windows reach over an edge.
  localparam bit OverTop    = PaddingTop > 0;
  localparam bit OverBottom = LastRow + Tall > Height;
  localparam bit OverLeft   = PaddingLeft > 0;
  localparam bit OverRight  = LastStart + Wide > Width;
  // Row numbers from one image to the next: all windows of the one begin above those of the other,
  // and no word of the one waits for a step of the other.
  localparam int Starts    = LastRow - FirstRow + 1 - Height;
  localparam int LeastGap  = PaddingTop > Tall ? PaddingTop - Tall : 0;
  localparam int Gap       = Starts > LeastGap ? Starts : LeastGap;
  localparam int FrameRows = Height + Gap;
  // Whether the first window has nothing of the image.
  localparam bit Alone     = outside(Height, KernelRows, PaddingTop, DilationRows)
                          || outside(Width, KernelColumns, PaddingLeft, DilationColumns);
  // A word is read a cycle after it came, so a single place would not do.
  localparam int RingRows  = Alone && PaddingTop >= Tall ? PaddingTop + 1
                                                         : Tall * RowWords > 1 ? Tall : 2;
  localparam int RingWords = RingRows * RowWords;

  // From one cell of a window to the next, from one window to the next.
  localparam int ColumnStep      = (DilationColumns - 1) * Folds + 1;
  localparam int ColumnBack      = (KernelColumns - 1) * DilationColumns * Folds + Folds - 1;
  localparam int WindowStep      = StrideColumns * Folds;
  localparam int FrameStep       = FrameRows - (LastRow - FirstRow);
  localparam bit OneColumn       = FirstColumn == LastColumn;
  localparam bit OneRow          = FirstRow == LastRow;
  localparam int SecondColumn    = OneColumn ? FirstColumn : FirstColumn + WindowStep;
  localparam int SecondRow       = OneColumn && !OneRow ? FirstRow + StrideRows : FirstRow;
  localparam int SecondStep      = OneColumn ? (OneRow ? FrameStep : StrideRows) : 0;

  localparam int KernelRowBits    = KernelRows > 1 ? $clog2(KernelRows) : 1;
  localparam int KernelColumnBits = KernelColumns > 1 ? $clog2(KernelColumns) : 1;
  localparam int PaddedRows    = Height + PaddingTop + PaddingBottom;
  localparam int PaddedColumns = Width + PaddingLeft + PaddingRight;
  localparam int ColumnBits  = $clog2((PaddedColumns + StrideColumns) * Folds + 1) + 1;
  localparam int RowBits     = $clog2(PaddedRows + StrideRows + 1) + 1;
  // No step goes further ahead of the words than a frame and its padding.
  localparam int LeadBits    =
      $clog2(3 * FrameRows + PaddingTop + 2 * PaddingBottom + Tall + StrideRows + 1) + 1;
  localparam int SlotBits    = RingRows > 1 ? $clog2(RingRows) : 1;
  localparam int AddressBits = $clog2(RingWords);

  // Where a row lies in the ring, ``rows`` (less than RingRows) further down.
  function automatic logic [SlotBits-1:0] below(
    logic [SlotBits-1:0] slot, logic [SlotBits-1:0] rows
  );
    logic [SlotBits:0] sum;
    sum   = {1'b0, slot} + {1'b0, rows};
    below = SlotBits'(sum >= (SlotBits + 1)'(RingRows) ? sum - (SlotBits + 1)'(RingRows) : sum);
  endfunction

  // The multiples of a constant: wires if it is a power of two, else a look-up.
  function automatic logic [AddressBits-1:0] row_address(logic [SlotBits-1:0] slot);
    row_address = '0;
    for (int row = 1; row < RingRows; row++) begin
      if (slot == SlotBits'(row)) row_address = AddressBits'(row * RowWords);
    end
  endfunction

  // Where the next word comes in: its column, the place of its row, the row's number in its image.
  logic signed [ColumnBits-1:0] write_column_q;
  logic [SlotBits-1:0] write_slot_q;
  logic [RowBits-1:0] write_row_q;
  logic push, row_end, image_end;
  logic signed [LeadBits-1:0] come;  // rows that the writer goes down

  assign push      = valid_i && ready_o;
  assign row_end   = push && write_column_q == ColumnBits'(RowWords - 1);
  assign image_end = Gap > 0 && write_row_q == RowBits'(Height - 1);

  always_comb begin
    come = '0;
    if (row_end) come = image_end ? LeadBits'(Gap + 1) : LeadBits'(1);
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_column_q <= '0;
      write_slot_q   <= '0;
      write_row_q    <= '0;
    end else if (push) begin
      write_column_q <= row_end ? '0 : write_column_q + ColumnBits'(1);
      if (row_end) begin
        write_slot_q <= below(write_slot_q, SlotBits'((image_end ? Gap + 1 : 1) % RingRows));
        write_row_q  <= write_row_q == RowBits'(Height - 1) ? '0 : write_row_q + RowBits'(1);
      end
    end
  end

  // Two places in the images, that of the next step's cell and that of the next window: row and
  // column, negative in the padding before the image; how many rows the writer's is below (lead);
  // the row's place in the ring.
  logic signed [ColumnBits-1:0] column_q, next_column_q;
  logic signed [RowBits-1:0] row_q, next_row_q;
  logic signed [LeadBits-1:0] lead_q, next_lead_q;
  logic [SlotBits-1:0] slot_q, next_slot_q;
  logic begun, there;

  // Whether the ring may take the writer's word while what lies behind a place is still read.
  function automatic logic room(
    logic signed [LeadBits-1:0] lead, logic signed [ColumnBits-1:0] column,
    logic signed [ColumnBits-1:0] write_column
  );
    room = lead < LeadBits'(signed'(RingRows))
        || (lead == LeadBits'(signed'(RingRows)) && write_column < column);
  endfunction

  assign ready_o = room(lead_q, column_q, write_column_q)
                && room(next_lead_q, next_column_q, write_column_q);

  // A negative number is a large unsigned one.
  logic row_outside, column_outside;

  assign row_outside    = OverBottom ? unsigned'(row_q) >= RowBits'(Height)
                                     : OverTop && row_q[RowBits-1];
  assign column_outside = OverRight ? unsigned'(column_q) >= ColumnBits'(RowWords)
                                    : OverLeft && column_q[ColumnBits-1];
  assign padding_o = row_outside || column_outside;
  assign begun     = !Alone || row_q != RowBits'(FirstRow) || lead_q > LeadBits'(PaddingTop)
                  || (lead_q == LeadBits'(PaddingTop) && write_column_q > 0);
  assign there     = padding_o ? begun : lead_q > 0 || (lead_q == 0 && column_q < write_column_q);
  assign step_o    = there && enable_i;

  logic [FoldBits-1:0] fold_q;
  logic [KernelColumnBits-1:0] kernel_column_q;
  logic [KernelRowBits-1:0] kernel_row_q;
  logic pixel_end, kernel_row_end, window_end;

  assign fold_o         = fold_q;
  assign first_cell_o   = kernel_column_q == '0 && kernel_row_q == '0;
  assign last_cell_o    = kernel_column_q == KernelColumnBits'(KernelColumns - 1)
                       && kernel_row_q == KernelRowBits'(KernelRows - 1);
  assign pixel_end      = fold_q == FoldBits'(Folds - 1);
  assign kernel_row_end = pixel_end && kernel_column_q == KernelColumnBits'(KernelColumns - 1);
  assign window_end     = pixel_end && last_cell_o;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      fold_q          <= '0;
      kernel_column_q <= '0;
      kernel_row_q    <= '0;
    end else if (step_o) begin
      fold_q <= pixel_end ? '0 : fold_q + FoldBits'(1);
      if (pixel_end) begin
        kernel_column_q <= kernel_row_end ? '0 : kernel_column_q + KernelColumnBits'(1);
      end
      if (kernel_row_end) begin
        kernel_row_q <= window_end ? '0 : kernel_row_q + KernelRowBits'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      column_q <= ColumnBits'(FirstColumn);
      row_q    <= RowBits'(FirstRow);
      lead_q   <= LeadBits'(PaddingTop);
      slot_q   <= SlotBits'((RingRows - PaddingTop % RingRows) % RingRows);
    end else begin
      lead_q <= lead_q + come;
      if (step_o) begin
        if (window_end) begin
          column_q <= next_column_q;
          row_q    <= next_row_q;
          lead_q   <= next_lead_q + come;
          slot_q   <= next_slot_q;
        end else if (kernel_row_end) begin
          column_q <= column_q - ColumnBits'(ColumnBack);
          row_q    <= row_q + RowBits'(DilationRows);
          lead_q   <= lead_q + come - LeadBits'(DilationRows);
          slot_q   <= below(slot_q, SlotBits'(DilationRows % RingRows));
        end else begin
          column_q <= column_q + (pixel_end ? ColumnBits'(ColumnStep) : ColumnBits'(1));
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      next_column_q <= ColumnBits'(SecondColumn);
      next_row_q    <= RowBits'(SecondRow);
      next_lead_q   <= LeadBits'(PaddingTop - SecondStep);
      next_slot_q   <= SlotBits'((SecondStep + RingRows - PaddingTop % RingRows) % RingRows);
    end else begin
      next_lead_q <= next_lead_q + come;
      if (step_o && window_end) begin
        if (next_column_q != ColumnBits'(LastColumn)) begin
          next_column_q <= next_column_q + ColumnBits'(WindowStep);
        end else begin
          next_column_q <= ColumnBits'(FirstColumn);
          if (next_row_q != RowBits'(LastRow)) begin
            next_row_q  <= next_row_q + RowBits'(StrideRows);
            next_lead_q <= next_lead_q + come - LeadBits'(StrideRows);
            next_slot_q <= below(next_slot_q, SlotBits'(StrideRows % RingRows));
          end else begin
            next_row_q  <= RowBits'(FirstRow);
            next_lead_q <= next_lead_q + come - LeadBits'(FrameStep);
            next_slot_q <= below(next_slot_q, SlotBits'(FrameStep % RingRows));
          end
        end
      end
    end
  end

  // No word is read in the cycle in which its place is written.
  (* no_rw_check *) logic [WordBits-1:0] memory [RingWords];
  logic [WordBits-1:0] data_q;
  logic [AddressBits-1:0] write_address, read_address;

  assign write_address = row_address(write_slot_q) + AddressBits'(write_column_q);
  assign read_address  = row_address(slot_q) + AddressBits'(column_q);
  assign data_o        = data_q;

  always_ff @(posedge clk_i) begin
    if (push) memory[write_address] <= data_i;
    if (enable_i) data_q <= memory[read_address];
  end

  // Whether any cell of any window lies in the image, along one axis.
  function automatic bit reached(
    int size, int kernel, int stride, int head, int tail, int dilation
  );
    int step;
    step    = stride > 0 ? stride : 1;
    reached = 1'b0;
    for (int first = -head; first + dilation * (kernel - 1) < size + tail; first += step)
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
