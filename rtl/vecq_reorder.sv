// SPDX-License-Identifier: Apache-2.0

// Gives the words of a frame in a static order: some not, some several times, code in between.
//
// The order is that of nested counters, axis 0 the innermost.  Axis n has bits n*32 +: 32 of Sizes
// places.  Each place adds something of its own to the number of the word that is read; where code
// is given, none is.  What a read changes depends on the axis that goes on, the innermost that is
// not past its last read: the next word read lies bits n*32 +: 32 of Moves further on, and words
// are kept from bits n*32 +: 32 of KeptMoves further on; both are signed.  Number Axes is that of
// the last read of a frame.  First is the word that is read first, Kept the first that is kept.
//
// Up to three axes, TableNAxis, are listed: for each place their file has, from the highest bit on,
// whether code is given, whether it or one before it is the last read, and both moves, negated.
//
// A word may be read from the cycle after it came, and is kept until the first word kept lies
// behind it; Slots are kept at most.  Words that nothing reads are dropped as they come.  Where the
// first word kept is always the one that is read next, ReadsOnce, there is one count of both.
//
// A word every cycle, code too, as long as both sides keep up; it stands still while its word is
// not taken.  A frame that begins with code waits for the first word that is read.  Latency: two
// cycles.
module vecq_reorder #(
  parameter int Words    = 1,
  parameter int Slots    = 2,
  parameter int First    = 0,
  parameter int Kept     = First,
  parameter int Axes     = 1,
  parameter bit [Axes*32-1:0] Sizes         = {Axes{32'd1}},
  parameter bit [(Axes+1)*32-1:0] Moves     = {(Axes + 1){32'd1}},
  parameter bit [(Axes+1)*32-1:0] KeptMoves = Moves,
  parameter bit ReadsOnce   = 1'b1,
  parameter int MoveBits     = 1,
  parameter int KeptMoveBits = 1,
  parameter int Table0Axis  = -1,
  parameter     Table0File  = "",
  parameter int Table1Axis  = -1,
  parameter     Table1File  = "",
  parameter int Table2Axis  = -1,
  parameter     Table2File  = "",
  parameter int WordBits    = 8,
  parameter bit [WordBits-1:0] Code = '0
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

  localparam int SlotBits  = Slots > 1 ? $clog2(Slots) : 1;
  // Signed: the next word read may lie a frame behind the last one that came, and one in front.
  localparam int CountBits = $clog2(2 * Words + Slots + 1) + 1;
  localparam int TableBits = 2 + MoveBits + KeptMoveBits;
  localparam bit HasTables = Table0Axis >= 0 || Table1Axis >= 0 || Table2Axis >= 0;

  logic advance, push, there, step, read, fill;
  logic [Axes-1:0] last, ended, filled, carry;
  logic [Axes*CountBits-1:0] backs, kept_backs;

  function automatic logic [CountBits-1:0] negated(logic signed [31:0] move);
    negated = CountBits'(-move);
  endfunction

  assign step = advance && there;
  assign read = step && !fill;
  assign fill = HasTables && |filled;

  for (genvar axis = 0; axis < Axes; axis++) begin : gen_axis
    localparam int Size      = Sizes[axis*32 +: 32];
    localparam int PlaceBits = Size > 1 ? $clog2(Size) : 1;
    logic [PlaceBits-1:0] place_q, place;

    assign last[axis]  = place_q == PlaceBits'(Size - 1);
    assign place       = last[axis] ? '0 : place_q + PlaceBits'(1);
    if (axis == 0) begin : gen_innermost
      assign carry[axis] = step;
    end else begin : gen_outer
      assign carry[axis] = carry[axis-1] && last[axis-1];
    end

    always_ff @(posedge clk_i) begin
      if (!rst_ni) place_q <= '0;
      else if (carry[axis]) place_q <= place;
    end

    if (axis == Table0Axis || axis == Table1Axis || axis == Table2Axis) begin : gen_listed
      logic [TableBits-1:0] entry;
      logic [PlaceBits-1:0] address;
      logic enable;
      // What is read is that of the place to which the axis goes on; of the first one in a reset.
      assign enable  = carry[axis] || !rst_ni;
      assign address = rst_ni ? place : '0;
      if (axis == Table0Axis) begin : gen_table0
        vecq_rom #(
          .Words(Size), .WordBits(TableBits), .File(Table0File)
        ) rom (
          .clk_i, .enable_i(enable), .address_i(address), .data_o(entry)
        );
      end else if (axis == Table1Axis) begin : gen_table1
        vecq_rom #(
          .Words(Size), .WordBits(TableBits), .File(Table1File)
        ) rom (
          .clk_i, .enable_i(enable), .address_i(address), .data_o(entry)
        );
      end else begin : gen_table2
        vecq_rom #(
          .Words(Size), .WordBits(TableBits), .File(Table2File)
        ) rom (
          .clk_i, .enable_i(enable), .address_i(address), .data_o(entry)
        );
      end
      assign filled[axis] = entry[TableBits-1];
      assign ended[axis]  = entry[TableBits-2];
      assign backs[axis*CountBits +: CountBits] =
          CountBits'(signed'(entry[KeptMoveBits +: MoveBits]));
      assign kept_backs[axis*CountBits +: CountBits] =
          CountBits'(signed'(entry[0 +: KeptMoveBits]));
    end else begin : gen_even
      assign filled[axis] = 1'b0;
      assign ended[axis]  = last[axis];
      assign backs[axis*CountBits +: CountBits]      = negated(Moves[axis*32 +: 32]);
      assign kept_backs[axis*CountBits +: CountBits] = negated(KeptMoves[axis*32 +: 32]);
    end
  end

  // How much further back the word before lies once a word is read: what that takes off the counts.
  logic [CountBits-1:0] back, kept_back;
  always_comb begin
    back      = negated(Moves[Axes*32 +: 32]);
    kept_back = negated(KeptMoves[Axes*32 +: 32]);
    for (int axis = Axes - 1; axis >= 0; axis--) begin
      if (!ended[axis]) begin
        back      = backs[axis*CountBits +: CountBits];
        kept_back = kept_backs[axis*CountBits +: CountBits];
      end
    end
  end

  // How many words have come from the next one read on, and from the first one kept on.
  logic [CountBits-1:0] ahead_q, stored;
  logic [SlotBits-1:0] write_q, read_q;
  logic first_q, valid_q, fill_q;

  assign ready_o = stored != CountBits'(Slots);
  assign push    = valid_i && ready_o;
  assign there   = (fill && !first_q) || (!ahead_q[CountBits-1] && ahead_q != '0);
  assign advance = !valid_q || ready_i;
  assign valid_o = valid_q;

  // One adder: a bit below the sum carries where a word comes.
  function automatic logic [CountBits-1:0] counted(
    logic [CountBits-1:0] count, logic [CountBits-1:0] added, logic more
  );
    logic unused;
    {counted, unused} = {count, 1'b1} + {added, more};
  endfunction

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      ahead_q <= CountBits'(-First);
      write_q <= '0;
      read_q  <= SlotBits'(-First);
      first_q <= 1'b1;
      valid_q <= 1'b0;
      fill_q  <= 1'b0;
    end else begin
      ahead_q <= counted(ahead_q, read ? back : '0, push);
      // Downwards, as the counts take what is added.
      if (push) write_q <= write_q - SlotBits'(1);
      if (read) read_q <= read_q + back[SlotBits-1:0];
      if (step) first_q <= &last;
      if (advance) begin
        valid_q <= step;
        fill_q  <= fill;
      end
    end
  end

  if (ReadsOnce) begin : gen_one_count
    assign stored = ahead_q;
  end else begin : gen_two_counts
    logic [CountBits-1:0] stored_q;
    assign stored = stored_q;
    always_ff @(posedge clk_i) begin
      if (!rst_ni) stored_q <= CountBits'(-Kept);
      else stored_q <= counted(stored_q, read ? kept_back : '0, push);
    end
  end

  // No word is read in the cycle in which its place is written.
  (* no_rw_check *) logic [WordBits-1:0] memory [Slots];
  logic [WordBits-1:0] data_q;

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q] <= data_i;
    if (advance) data_q <= memory[read_q];
  end

  assign data_o = fill_q ? Code : data_q;

  function automatic bit all_sizes();
    all_sizes = 1'b1;
    for (int axis = 0; axis < Axes; axis++) begin
      if (Sizes[axis*32 +: 32] == '0 || Sizes[axis*32+31]) all_sizes = 1'b0;
    end
  endfunction

  // What the parameters must be.
  if (Words < 1 || Words > 1 << 28 || WordBits < 1) begin : gen_rule_positive
    $error("vecq_reorder: Words (%0d), up to 2^28, and WordBits (%0d) must be at least 1",
           Words, WordBits);
  end
  if (Slots < 2 || Slots != 1 << SlotBits) begin : gen_rule_slots
    $error("vecq_reorder: Slots (%0d) must be a power of two, at least 2", Slots);
  end
  if (Axes < 1 || !all_sizes()) begin : gen_rule_axes
    $error("vecq_reorder: each of Axes (%0d) must have 1 to 2^31 - 1 places, not %h", Axes, Sizes);
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
