// SPDX-License-Identifier: Apache-2.0

// Stores the windows of a grouped convolution and gives each block of groups the words of its own,
// while the next window comes in.
//
// A window comes as Taps kernel positions, in each of them Blocks blocks, each BlockWords words.
// It goes out block by block, Replays times over: the words of that block at every position in
// turn.  there_o says that the next word is there; with take_i it is consumed and at data_o after
// the clock edge.  A word is free once neither it nor one that came before it is still to be read.
module vecq_group_buffer #(
  parameter int Taps       = 1,
  parameter int Blocks     = 2,
  parameter int BlockWords = 1,
  parameter int Replays    = 1,
  parameter int WordBits   = 8
) (
  input  logic                clk_i,
  input  logic                rst_ni,

  input  logic                valid_i,
  output logic                ready_o,
  input  logic [WordBits-1:0] data_i,

  output logic                there_o,
  input  logic                take_i,
  input  logic                enable_i,
  output logic [WordBits-1:0] data_o
);

  localparam int TapWords    = Blocks * BlockWords;
  localparam int Words       = Taps * TapWords;
  localparam int Slots       = 2 * Words;
  localparam int AddressBits = $clog2(Slots);
  // Words of a third window come into places that are free before the first one's end.
  localparam int CountBits   = $clog2(3 * Words + 1);
  localparam int TapBits     = Taps > 1 ? $clog2(Taps) : 1;
  localparam int InnerBits   = BlockWords > 1 ? $clog2(BlockWords) : 1;
  localparam int ReplayBits  = Replays > 1 ? $clog2(Replays) : 1;

  logic [WordBits-1:0] memory [Slots];
  logic [WordBits-1:0] data_q;
  // Of the window that is read: how many words of it and of later ones have come, where it begins,
  // where its block begins and which word of the window is next.
  logic [CountBits-1:0] come_q, stored_q, freed;
  logic [AddressBits-1:0] write_q, window_q, block_q, word_q, word_d, block_d;
  logic [TapBits-1:0] tap_q;
  logic [InnerBits-1:0] inner_q;
  logic [ReplayBits-1:0] replay_q;
  logic push, last_inner, last_tap, last_replay, last_block, first_tap, last_pass;

  assign ready_o     = stored_q != CountBits'(Slots);
  assign there_o     = come_q > CountBits'(word_q);
  assign data_o      = data_q;
  assign push        = valid_i && ready_o;
  assign first_tap   = tap_q == '0;
  assign last_inner  = inner_q == InnerBits'(BlockWords - 1);
  assign last_tap    = tap_q == TapBits'(Taps - 1);
  assign last_replay = replay_q == ReplayBits'(Replays - 1);
  assign last_block  = block_q == AddressBits'(TapWords - BlockWords);
  assign last_pass   = last_inner && last_tap;

  always_comb begin
    block_d = block_q;
    if (last_pass && last_replay) begin
      block_d = last_block ? '0 : block_q + AddressBits'(BlockWords);
    end
    if (!last_inner) word_d = word_q + AddressBits'(1);
    else if (!last_tap) word_d = word_q + AddressBits'(TapWords - BlockWords + 1);
    else word_d = block_d;

    // The first blocks of a position wait for the last block to read the one before.
    freed = '0;
    if (take_i && last_replay) begin
      if (last_block && last_inner && !last_tap) freed = CountBits'(1 + TapWords - BlockWords);
      else if (last_block || first_tap) freed = CountBits'(1);
    end
  end

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      write_q  <= '0;
      window_q <= '0;
      come_q   <= '0;
      stored_q <= '0;
      block_q  <= '0;
      word_q   <= '0;
      tap_q    <= '0;
      inner_q  <= '0;
      replay_q <= '0;
    end else begin
      if (push) write_q <= write_q == AddressBits'(Slots - 1) ? '0 : write_q + AddressBits'(1);
      come_q   <= come_q + CountBits'(push);
      stored_q <= stored_q + CountBits'(push) - freed;
      if (take_i) begin
        block_q <= block_d;
        word_q  <= word_d;
        inner_q <= last_inner ? '0 : inner_q + InnerBits'(1);
        if (last_inner) tap_q <= last_tap ? '0 : tap_q + TapBits'(1);
        if (last_pass) replay_q <= last_replay ? '0 : replay_q + ReplayBits'(1);
        if (last_pass && last_replay && last_block) begin
          window_q <= window_q == '0 ? AddressBits'(Words) : '0;
          come_q   <= come_q + CountBits'(push) - CountBits'(Words);
        end
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (push) memory[write_q] <= data_i;
    if (enable_i) data_q <= memory[window_q + word_q];
  end

  // What the parameters must be.
  if (Taps < 1 || BlockWords < 1) begin : gen_rule_positive
    $error("vecq_group_buffer: Taps (%0d) and BlockWords (%0d) must be at least 1",
           Taps, BlockWords);
  end
  if (Replays < 1 || WordBits < 1) begin : gen_rule_positive_replays_word_bits
    $error("vecq_group_buffer: Replays (%0d) and WordBits (%0d) must be at least 1",
           Replays, WordBits);
  end
  if (Blocks < 2) begin : gen_rule_blocks
    $error("vecq_group_buffer: Blocks (%0d) must be at least 2 (one: vecq_replay_buffer)",
           Blocks);
  end

endmodule
