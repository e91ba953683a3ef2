// SPDX-License-Identifier: Apache-2.0

// Stores a frame whose words are read in any order, as often as wanted, while the next comes in.
//
// The reader says which word of the frame it wants (address_i); there_o tells it that this word is
// there.  With take_i it is read, and is at data_o after the clock edge.  The read with last_i is
// the last of its frame: it needs all of the frame's words and frees them at once.  Two frames of
// memory.
module vecq_frame_buffer #(
  parameter int Words    = 1,
  parameter int WordBits = 8,
  localparam int AddressBits = Words > 1 ? $clog2(Words) : 1
) (
  input  logic                   clk_i,
  input  logic                   rst_ni,

  input  logic                   valid_i,
  output logic                   ready_o,
  input  logic [WordBits-1:0]    data_i,

  input  logic [AddressBits-1:0] address_i,
  input  logic                   last_i,
  output logic                   there_o,
  input  logic                   take_i,
  input  logic                   enable_i,
  output logic [WordBits-1:0]    data_o
);

  localparam int Slots     = 2 * Words;
  localparam int SlotBits  = $clog2(Slots);
  localparam int CountBits = $clog2(Slots + 1);

  // No word is read in the cycle in which its place is written.
  (* no_rw_check *) logic [WordBits-1:0] memory [Slots];
  logic [WordBits-1:0] data_q;
  logic [SlotBits-1:0] write_q, read;
  logic [CountBits-1:0] stored_q;
  logic bank_q, push, free;

  assign ready_o = stored_q != CountBits'(Slots);
  assign push    = valid_i && ready_o;
  assign free    = take_i && last_i;
  assign there_o = last_i ? stored_q >= CountBits'(Words) : stored_q > CountBits'(address_i);
  assign read    = SlotBits'(address_i) + (bank_q ? SlotBits'(Words) : '0);
  assign data_o  = data_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q  <= '0;
      stored_q <= '0;
      bank_q   <= 1'b0;
    end else begin
      if (push) write_q <= write_q == SlotBits'(Slots - 1) ? '0 : write_q + SlotBits'(1);
      if (free) bank_q <= !bank_q;
      stored_q <= stored_q + CountBits'(push) - (free ? CountBits'(Words) : '0);
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q] <= data_i;
    if (enable_i) data_q <= memory[read];
  end

  // What the parameters must be.
  if (Words < 1 || WordBits < 1) begin : gen_rule_positive
    $error("vecq_frame_buffer: Words (%0d) and WordBits (%0d) must be at least 1",
           Words, WordBits);
  end

endmodule
