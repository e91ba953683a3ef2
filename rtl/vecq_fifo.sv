// SPDX-License-Identifier: Apache-2.0

// A FIFO of up to Capacity elements in a memory; words of LanesIn elements become words of LanesOut.
//
// Element 0 is in the least significant bits.  A frame is a whole number of words on both sides.
// It behaves like vecq_stream_width, for equal lanes like vecq_stream_register, but for the room:
// Capacity, a multiple of the greatest common divisor of the lanes and at least LanesIn + LanesOut.
// Neither side sees the other's wires.  Latency: one cycle after the word that completes an output
// word.
//
// The memory is read at the clock edge, so that it may become block RAM: a row of it holds a whole
// number of words of either side, and each word that comes in has a bank of its own in it.
module vecq_fifo #(
  parameter int LanesIn     = 1,
  parameter int LanesOut    = 1,
  parameter int ElementBits = 8,
  parameter int Capacity    = 16
) (
  input  logic                            clk_i,
  input  logic                            rst_ni,

  input  logic                            valid_i,
  output logic                            ready_o,
  input  logic [LanesIn*ElementBits-1:0]  data_i,

  output logic                            valid_o,
  input  logic                            ready_i,
  output logic [LanesOut*ElementBits-1:0] data_o
);

  function automatic int greatest_divisor(int a, int b);
    int divisor;
    divisor = 1;
    for (int d = 2; d <= a; d++) begin
      if (a % d == 0 && b % d == 0) divisor = d;
    end
    greatest_divisor = divisor;
  endfunction

  localparam int Group     = greatest_divisor(LanesIn, LanesOut);
  localparam int GroupsIn  = LanesIn / Group;
  localparam int GroupsOut = LanesOut / Group;
  localparam int RowGroups = GroupsIn * GroupsOut;
  localparam int Groups    = Capacity / Group;
  localparam int CountBits = $clog2(Groups + 1);
  // So many rows does the content touch at most: its first word may stand last in a row.
  localparam int Rows      = (Groups + 2 * RowGroups - GroupsOut - 1) / RowGroups;
  localparam int RowBits   = Rows > 1 ? $clog2(Rows) : 1;
  localparam int BankBits  = GroupsOut > 1 ? $clog2(GroupsOut) : 1;
  localparam int PartBits  = GroupsIn > 1 ? $clog2(GroupsIn) : 1;
  localparam int WordInBits  = LanesIn * ElementBits;
  localparam int WordOutBits = LanesOut * ElementBits;

  logic [CountBits-1:0] count_q, kept;
  logic [RowBits-1:0] write_row_q, read_row_q, read_row_d;
  logic [BankBits-1:0] bank_q;             // of the next word that comes in
  logic [PartBits-1:0] part_q;             // of the row, is the next word that goes out
  logic push, pop, last_bank, last_part;
  logic [WordInBits-1:0] written_q;
  logic [GroupsOut*WordInBits-1:0] row;

  function automatic logic [RowBits-1:0] next(logic [RowBits-1:0] address);
    next = address == RowBits'(Rows - 1) ? '0 : address + RowBits'(1);
  endfunction

  assign ready_o    = count_q <= CountBits'(Groups - GroupsIn);
  assign valid_o    = count_q >= CountBits'(GroupsOut);
  assign push       = valid_i && ready_o;
  assign pop        = valid_o && ready_i;
  assign kept       = pop ? count_q - CountBits'(GroupsOut) : count_q;
  assign last_bank  = bank_q == BankBits'(GroupsOut - 1);
  assign last_part  = part_q == PartBits'(GroupsIn - 1);
  assign read_row_d = pop && last_part ? next(read_row_q) : read_row_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      count_q     <= '0;
      write_row_q <= '0;
      read_row_q  <= '0;
      bank_q      <= '0;
      part_q      <= '0;
    end else begin
      count_q    <= push ? kept + CountBits'(GroupsIn) : kept;
      read_row_q <= read_row_d;
      if (pop) part_q <= last_part ? '0 : part_q + PartBits'(1);
      if (push) begin
        bank_q <= last_bank ? '0 : bank_q + BankBits'(1);
        if (last_bank) write_row_q <= next(write_row_q);
      end
    end
  end

  always_ff @(posedge clk_i) written_q <= data_i;

  for (genvar bank = 0; bank < GroupsOut; bank++) begin : gen_bank
    logic [WordInBits-1:0] memory [Rows];
    logic [WordInBits-1:0] read_q;
    logic write, fresh_q;

    assign write = push && bank_q == BankBits'(bank);
    assign row[bank*WordInBits +: WordInBits] = fresh_q ? written_q : read_q;

    // What is written in the cycle in which it is read goes around the memory.
    always_ff @(posedge clk_i) begin
      if (write) memory[write_row_q] <= data_i;
      read_q  <= memory[read_row_d];
      fresh_q <= write && write_row_q == read_row_d;
    end
  end

  always_comb begin
    data_o = '0;
    for (int part = 0; part < GroupsIn; part++) begin
      if (part_q == PartBits'(part)) data_o = row[part*WordOutBits +: WordOutBits];
    end
  end

  // What the parameters must be.
  if (LanesIn < 1 || LanesOut < 1 || ElementBits < 1) begin : gen_rule_positive
    $error("vecq_fifo: LanesIn (%0d), LanesOut (%0d) and ElementBits (%0d) must be at least 1",
           LanesIn, LanesOut, ElementBits);
  end
  if (Capacity % Group != 0) begin : gen_rule_group
    $error("vecq_fifo: Capacity (%0d) must be a multiple of the lanes' common divisor (%0d)",
           Capacity, Group);
  end
  if (Capacity < LanesIn + LanesOut) begin : gen_rule_capacity
    $error("vecq_fifo: Capacity (%0d) must be at least LanesIn + LanesOut (%0d)",
           Capacity, LanesIn + LanesOut);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(WordInBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(WordOutBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
