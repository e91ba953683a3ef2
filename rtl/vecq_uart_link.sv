// SPDX-License-Identifier: Apache-2.0

// An accelerator on a serial line: frames come in and outputs go out as packets.
//
// A packet is the byte End, a number that the host chooses, the words of the frame, each from its
// lowest byte on, a CRC-16 of all these (polynomial 0x1021, begun with all ones, the high byte
// first), and End again.  End and Escape within it are sent as Escape and one more byte, as SLIP
// does it, so that End is nothing else: whatever was lost or doubled, the next packet begins anew.
//
// A packet whose length or checksum is wrong, or for which there is no room, is dropped whole, and
// dropped_o is high for a cycle: the accelerator sees good frames alone.  Each of them is answered
// by one packet with its own number.  There is room for two frames beside those at work in the
// accelerator, and for the numbers of eight in all.
module vecq_uart_link #(
  parameter int ClocksPerBit = 8,
  parameter int WordsIn      = 1,
  parameter int BitsIn       = 8,
  parameter int WordsOut     = 1,
  parameter int BitsOut      = 8
) (
  input  logic               clk_i,
  input  logic               rst_ni,

  input  logic               rx_i,
  output logic               tx_o,
  output logic               dropped_o,

  // The frames, to the accelerator.
  output logic               valid_o,
  input  logic               ready_i,
  output logic [BitsIn-1:0]  data_o,
  output logic               last_o,

  // Its outputs.
  input  logic               valid_i,
  output logic               ready_o,
  input  logic [BitsOut-1:0] data_i
);

  localparam logic [7:0] End = 8'hC0, Escape = 8'hDB, EscapedEnd = 8'hDC, EscapedEscape = 8'hDD;
  localparam int BytesIn     = BitsIn / 8;
  localparam int BytesOut    = BitsOut / 8;
  localparam int Length      = 1 + WordsIn * BytesIn + 2;
  localparam int LengthBits  = $clog2(Length + 2);
  localparam int Slots       = 2 * WordsIn;
  localparam int SlotBits    = $clog2(Slots);
  localparam int InBits      = BytesIn > 1 ? $clog2(BytesIn) : 1;
  localparam int WordInBits  = WordsIn > 1 ? $clog2(WordsIn) : 1;
  localparam int OutBits     = BytesOut > 1 ? $clog2(BytesOut) : 1;
  localparam int WordOutBits = WordsOut > 1 ? $clog2(WordsOut) : 1;
  localparam int NumberBits  = 3;

  function automatic logic [15:0] checksum(input logic [15:0] previous, input logic [7:0] data);
    checksum = previous;
    for (int n = 7; n >= 0; n = n - 1) begin
      checksum = {checksum[14:0], 1'b0} ^ (checksum[15] ^ data[n] ? 16'h1021 : 16'h0000);
    end
  endfunction

  // Bytes from the line, End and Escape taken out.
  logic byte_valid, byte_error;
  logic [7:0] line_data;

  vecq_uart_receive #(
    .ClocksPerBit(ClocksPerBit)
  ) receive (
    .clk_i, .rst_ni, .rx_i,
    .valid_o(byte_valid), .error_o(byte_error), .data_o(line_data)
  );

  logic escape_q, take_q, end_q, wrong_q;
  logic [7:0] byte_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      escape_q <= 1'b0;
      take_q   <= 1'b0;
      end_q    <= 1'b0;
      wrong_q  <= 1'b0;
    end else begin
      end_q   <= byte_valid && !byte_error && line_data == End;
      take_q  <= byte_valid && !byte_error && line_data != End && line_data != Escape;
      wrong_q <= byte_valid && (byte_error || (escape_q && (line_data != EscapedEnd)
                                               && (line_data != EscapedEscape)));
      if (byte_valid) escape_q <= line_data == Escape;
    end
  end

  always_ff @(posedge clk_i) begin
    if (byte_valid) begin
      byte_q <= !escape_q ? line_data : line_data == EscapedEnd ? End : Escape;
    end
  end

  // Packets: their words go into the half of the memory that no frame has.
  (* no_rw_check *) logic [BitsIn-1:0] memory [Slots];
  logic [7:0] numbers [1 << NumberBits];
  logic [LengthBits-1:0] length_q;
  logic [15:0] sum_q;
  logic [BitsIn-1:0] word_q;
  logic [7:0] number_q;
  logic [InBits-1:0] byte_place_q;
  logic [WordInBits-1:0] word_place_q;
  logic [NumberBits:0] open_q;  // frames that were not answered yet
  logic [NumberBits-1:0] number_write_q, number_read_q;
  logic [1:0] stored_q;  // frames in the memory
  logic write_half_q, read_half_q, broken_q, good_q, bad_q, store_q, free, answered;
  logic [SlotBits-1:0] store_place_q;
  logic full;

  assign full      = stored_q == 2'd2 || open_q[NumberBits];
  assign dropped_o = bad_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      length_q     <= '0;
      broken_q     <= 1'b0;
      good_q       <= 1'b0;
      bad_q        <= 1'b0;
      store_q      <= 1'b0;
      write_half_q <= 1'b0;
    end else begin
      good_q  <= 1'b0;
      bad_q   <= 1'b0;
      store_q <= 1'b0;
      if (end_q) begin
        good_q   <= length_q == LengthBits'(Length) && sum_q == '0 && !broken_q;
        bad_q    <= (length_q != '0 || broken_q)
                    && !(length_q == LengthBits'(Length) && sum_q == '0 && !broken_q);
        length_q <= '0;
        broken_q <= 1'b0;
      end else if (wrong_q) begin
        broken_q <= 1'b1;
      end else if (take_q) begin
        if (length_q > LengthBits'(Length - 1) || full) broken_q <= 1'b1;
        if (length_q != LengthBits'(Length + 1)) length_q <= length_q + LengthBits'(1);
        store_q <= length_q != '0 && length_q < LengthBits'(Length - 2)
                   && byte_place_q == InBits'(BytesIn - 1) && !full;
      end
      if (good_q) write_half_q <= !write_half_q;
    end
  end

  always_ff @(posedge clk_i) begin
    if (end_q) begin
      sum_q        <= '1;
      byte_place_q <= '0;
      word_place_q <= '0;
    end else if (take_q) begin
      sum_q <= checksum(length_q == '0 ? 16'hFFFF : sum_q, byte_q);
      if (length_q == '0) begin
        number_q     <= byte_q;
        byte_place_q <= '0;
        word_place_q <= '0;
      end else begin
        byte_place_q <= byte_place_q == InBits'(BytesIn - 1) ? '0 : byte_place_q + InBits'(1);
        if (byte_place_q == InBits'(BytesIn - 1)) word_place_q <= word_place_q + WordInBits'(1);
        word_q <= BitsIn'({byte_q, word_q} >> 8);
      end
    end
    store_place_q <= SlotBits'(word_place_q) + (write_half_q ? SlotBits'(WordsIn) : '0);
    if (store_q) memory[store_place_q] <= word_q;
    if (good_q) numbers[number_write_q] <= number_q;
  end

  // Frames to the accelerator: a word is read in one cycle and offered from the next on.
  logic [SlotBits-1:0] read_q;
  logic [BitsIn-1:0] data_q;
  logic valid_q, last_q;

  assign free    = valid_q && ready_i && last_q;
  assign valid_o = valid_q;
  assign data_o  = data_q;
  assign last_o  = last_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      read_q      <= '0;
      valid_q     <= 1'b0;
      stored_q    <= '0;
      read_half_q <= 1'b0;
    end else begin
      stored_q <= stored_q + 2'(good_q) - 2'(free);
      if (valid_q) begin
        if (ready_i) begin
          valid_q <= 1'b0;
          if (last_q) read_half_q <= !read_half_q;
        end
      end else if (stored_q != '0) begin
        valid_q <= 1'b1;
        read_q  <= read_q == SlotBits'(Slots - 1) ? '0 : read_q + SlotBits'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!valid_q) begin
      data_q <= memory[read_q];
      last_q <= read_q == (read_half_q ? SlotBits'(Slots - 1) : SlotBits'(WordsIn - 1));
    end
  end

  // Answers, byte by byte.
  typedef enum logic [2:0] {Wait, Begin, Number, Load, Word, High, Low, Finish} state_e;
  state_e state_q;
  logic send_ready, send_plain, send_second_q, special;
  logic [7:0] raw, shown;
  logic [15:0] answer_sum_q;
  logic [BitsOut-1:0] out_q;
  logic [7:0] answer_number_q;
  logic [OutBits-1:0] out_byte_q;
  logic [WordOutBits-1:0] out_word_q;
  logic send_valid, sent;

  assign ready_o  = state_q == Load;
  assign answered = state_q == Finish && sent;

  always_comb begin
    raw = End;
    case (state_q)
      Number:  raw = answer_number_q;
      Word:    raw = out_q[7:0];
      High:    raw = answer_sum_q[15:8];
      Low:     raw = answer_sum_q[7:0];
      default: raw = End;
    endcase
  end

  assign send_plain = state_q == Begin || state_q == Finish;
  assign special    = !send_plain && (raw == End || raw == Escape);
  assign shown      = !special ? raw
                    : !send_second_q ? Escape
                    : raw == End ? EscapedEnd : EscapedEscape;
  assign send_valid = state_q != Wait && state_q != Load;
  assign sent       = send_valid && send_ready && (!special || send_second_q);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      state_q        <= Wait;
      send_second_q  <= 1'b0;
      open_q         <= '0;
      number_write_q <= '0;
      number_read_q  <= '0;
    end else begin
      open_q <= open_q + (NumberBits + 1)'(good_q) - (NumberBits + 1)'(answered);
      if (good_q) number_write_q <= number_write_q + NumberBits'(1);
      if (answered) number_read_q <= number_read_q + NumberBits'(1);
      if (send_valid && send_ready) send_second_q <= special && !send_second_q;
      case (state_q)
        Wait:    if (valid_i && open_q != '0) state_q <= Begin;
        Begin:   if (sent) state_q <= Number;
        Number:  if (sent) state_q <= Load;
        Load:    if (valid_i) state_q <= Word;
        Word: begin
          if (sent && out_byte_q == OutBits'(BytesOut - 1)) begin
            state_q <= out_word_q == WordOutBits'(WordsOut - 1) ? High : Load;
          end
        end
        High:    if (sent) state_q <= Low;
        Low:     if (sent) state_q <= Finish;
        default: if (sent) state_q <= Wait;
      endcase
    end
  end

  always_ff @(posedge clk_i) begin
    answer_number_q <= numbers[number_read_q];
    case (state_q)
      Begin: begin
        answer_sum_q <= '1;
        out_word_q   <= '0;
      end
      Number: if (sent) answer_sum_q <= checksum(answer_sum_q, raw);
      Load: begin
        out_q      <= data_i;
        out_byte_q <= '0;
      end
      Word: begin
        if (sent) begin
          answer_sum_q <= checksum(answer_sum_q, raw);
          out_q        <= out_q >> 8;
          out_byte_q   <= out_byte_q + OutBits'(1);
          if (out_byte_q == OutBits'(BytesOut - 1)) out_word_q <= out_word_q + WordOutBits'(1);
        end
      end
      default: ;
    endcase
  end

  vecq_uart_send #(
    .ClocksPerBit(ClocksPerBit)
  ) send (
    .clk_i, .rst_ni,
    .valid_i(send_valid), .ready_o(send_ready), .data_i(shown), .tx_o
  );

  // What the parameters must be.
  if (WordsIn < 1 || WordsOut < 1) begin : gen_rule_positive
    $error("vecq_uart_link: WordsIn (%0d) and WordsOut (%0d) must be at least 1",
           WordsIn, WordsOut);
  end
  if (BitsIn < 8 || BitsIn % 8 != 0 || BitsOut < 8 || BitsOut % 8 != 0) begin : gen_rule_bytes
    $error("vecq_uart_link: BitsIn (%0d) and BitsOut (%0d) must be whole bytes",
           BitsIn, BitsOut);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(BitsIn),
    .Words(WordsIn)
  ) rules (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(last_o)
  );
`endif

endmodule
