// SPDX-License-Identifier: Apache-2.0

// Stores the words of a frame and gives them Replays times over, while the next frame comes in.
//
// The reader walks over the frame Replays times and says where it stands (first_pass_i,
// last_pass_i, last_word_i); there_o tells it that its word is there.  With take_i the word is
// consumed and is at data_o after the clock edge.  Words of the first pass may be taken as soon as
// they are stored, and the last pass frees them one by one.  A frame that is never replayed needs
// two words of memory, any other two frames.
module vecq_replay_buffer #(
  parameter int Words    = 1,
  parameter int Replays  = 1,
  parameter int WordBits = 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  output logic                ready_o,
  input  logic [WordBits-1:0] data_i,

  input  logic                first_pass_i,
  input  logic                last_pass_i,
  input  logic                last_word_i,
  output logic                there_o,
  input  logic                take_i,
  input  logic                enable_i,
  output logic [WordBits-1:0] data_o
);

  localparam int BankWords   = Replays > 1 ? Words : 1;
  localparam int Slots       = 2 * BankWords;
  localparam int AddressBits = $clog2(Slots);
  localparam int CountBits   = $clog2(Slots + 1);

  // A place that is written in the cycle in which it is read is read for nothing.
  (* no_rw_check *) logic [WordBits-1:0] memory [Slots];
  logic [WordBits-1:0] data_q;
  // Where the next word is written, where the newest one lies, where the next one is read.
  logic [AddressBits-1:0] write_q, newest_q, read_q;
  // Places that are free: their number modulo 4, and whether it is one.
  logic [1:0] places_q;
  logic last_place;
  logic push, stores, first_take, free, moves;
  // Whether there is a place, and a word that was never read.  The counter has the complement of
  // the first, a flip-flop of its own, and so need not lie where the memory does.
  logic room_q, full_q, some_q;

  assign ready_o    = room_q;
  assign there_o    = !first_pass_i || some_q;
  assign data_o     = data_q;
  assign push       = valid_i && room_q;
  assign stores     = valid_i && !full_q;
  assign first_take = take_i && first_pass_i;
  assign free       = take_i && last_pass_i;
  assign moves      = stores != free;

  function automatic logic [AddressBits-1:0] next(logic [AddressBits-1:0] address);
    next = address == AddressBits'(Slots - 1) ? '0 : address + AddressBits'(1);
  endfunction

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q  <= '0;
      read_q   <= '0;
      places_q <= 2'(Slots);
    end else begin
      if (push) write_q <= next(write_q);
      if (take_i) begin
        // Back to the first word of the bank, unless this was the last pass.
        if (last_word_i && !last_pass_i) read_q <= read_q - AddressBits'(BankWords - 1);
        else read_q <= next(read_q);
      end
      // Without an enable, which would be one more wire behind take_i.
      places_q <= places_q ^ {moves && places_q[0] != stores, moves};
    end
  end

  always_ff @(posedge clk_i) if (push) newest_q <= write_q;

  // The upper bits of the number follow a cycle later: no carry chain stands behind valid_i or
  // take_i.  While they are late the number ends in 0 or 3, and so is not one.
  if (CountBits > 2) begin : gen_upper
    localparam int UpperBits = CountBits - 2;
    logic [UpperBits-1:0] upper_q;
    logic moves_q, shrinks_q;

    assign last_place = places_q == 2'd1 && upper_q == '0;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        moves_q <= 1'b0;
        upper_q <= UpperBits'(Slots / 4);
      end else begin
        moves_q <= moves && places_q == {2{!stores}};
        if (moves_q) upper_q <= upper_q + (shrinks_q ? {UpperBits{1'b1}} : UpperBits'(1));
      end
    end

    always_ff @(posedge clk_i) shrinks_q <= stores;
  end else begin : gen_no_upper
    assign last_place = places_q[0];
  end

  // In its first pass a frame's newest word is the last one to be read.
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      room_q <= 1'b1;
      full_q <= 1'b0;
      some_q <= 1'b0;
    end else begin
      room_q <= room_q ? !(valid_i && last_place && !free) : free;
      full_q <= full_q ? !free : valid_i && last_place && !free;
      some_q <= stores || some_q && !(first_take && read_q == newest_q);
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q] <= data_i;
    if (enable_i) data_q <= memory[read_q];
  end

  // What the parameters must be.
  if (Words < 1 || Replays < 1 || WordBits < 1) begin : gen_rule_positive
    $error("vecq_replay_buffer: Words (%0d), Replays (%0d) and WordBits (%0d) must be at least 1",
           Words, Replays, WordBits);
  end

endmodule
