// SPDX-License-Identifier: Apache-2.0

// How many thresholds of its channel each element reaches, found bit by bit: Lo + count, or
// Hi - count where the channel falls.
//
// A frame is Channels elements, Lanes of them a word.  A channel has 2^CountBits - 1 thresholds,
// ascending; an element reaches those that are not greater than it.  Bit i of the count is the
// comparison with the threshold that the bits above it choose, so that one comparison per bit is
// enough.  The memory has 2^CountBits lines for each word, a signed number of ThresholdBits for each
// lane, lane 0 in the least significant bits: line 0 is 1 where the channel falls; line 2^n + c is
// what an element is compared with whose n highest bits of the count are c.  With SharedRow all
// channels have the same thresholds: the memory has 2^CountBits lines of one number.
//
// A word every cycle; the whole pipeline stands still while its last word is not taken: ready_o
// depends on ready_i within the cycle.
// Latency: 2 + CountBits cycles.
module vecq_threshold #(
  parameter int Channels      = 1,
  parameter int Lanes         = 1,
  parameter int InputBits     = 16,
  parameter bit InputSigned   = 1'b1,
  parameter int ThresholdBits = 17,
  parameter int CountBits     = 2,
  parameter int OutputBits    = 2,
  parameter bit SharedRow     = 1'b0,
  parameter logic signed [63:0] Lo = 0,
  parameter logic signed [63:0] Hi = 3,
  parameter     File
) (
  input  logic                        clk_i,
  input  logic                        rst_ni,

  input  logic                        valid_i,
  output logic                        ready_o,
  input  logic [Lanes*InputBits-1:0]  data_i,

  output logic                        valid_o,
  input  logic                        ready_i,
  output logic [Lanes*OutputBits-1:0] data_o
);

  localparam int Latency  = 2 + CountBits;
  localparam int Words    = Channels / Lanes;
  localparam int WordBits = Words > 1 ? $clog2(Words) : 1;
  localparam int Lines    = 1 << CountBits;
  localparam int LineBits = CountBits > 0 ? CountBits : 1;
  // How many words and lanes have thresholds of their own.
  localparam int RowWords = SharedRow ? 1 : Words;
  localparam int RowLanes = SharedRow ? 1 : Lanes;
  localparam int AddressBits = RowWords * Lines > 1 ? $clog2(RowWords * Lines) : 1;
  // Of both sides of a comparison.
  localparam int CompareBits = ThresholdBits > InputBits + 1 ? ThresholdBits : InputBits + 1;

  logic [RowLanes*ThresholdBits-1:0] memory [RowWords * Lines];

`ifdef SYNTHESIS
  // Synthesis looks for the file itself, and stops if there is none.
  localparam found = File;
`else
  vecq_memory_file #(.File(File), .Words(RowWords * Lines)) memory_file ();
  string found = memory_file.path();
`endif
  initial $readmemh(found, memory);

  logic [Latency-1:0] valid_q;
  logic [WordBits-1:0] next_word_q;
  logic advance;

  assign valid_o = valid_q[Latency-1];
  assign advance = !valid_o || ready_i;
  assign ready_o = advance;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q     <= '0;
      next_word_q <= '0;
    end else if (advance) begin
      valid_q <= {valid_q[Latency-2:0], valid_i};
      if (valid_i) begin
        next_word_q <= next_word_q == WordBits'(Words - 1) ? '0 : next_word_q + WordBits'(1);
      end
    end
  end

  // Which word of the frame each stage holds, and whose thresholds it has.
  logic [WordBits-1:0] word_q [CountBits+1];
  logic [WordBits-1:0] own_word [CountBits+1];

  always_ff @(posedge clk_i) begin
    if (advance) begin
      word_q[0] <= next_word_q;
      for (int stage = 1; stage <= CountBits; stage++) word_q[stage] <= word_q[stage-1];
    end
  end

  for (genvar stage = 0; stage <= CountBits; stage++) begin : gen_own_word
    assign own_word[stage] = SharedRow ? '0 : word_q[stage];
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    localparam int Row = SharedRow ? 0 : lane;

    // Stage n holds the element and, in count, the n highest bits of the count.
    for (genvar stage = 0; stage <= CountBits; stage++) begin : gen_stage
      logic [InputBits-1:0] element_q;
      logic [LineBits-1:0] count;

      if (stage == 0) begin : gen_first
        assign count = '0;

        always_ff @(posedge clk_i) begin
          if (advance) element_q <= data_i[lane*InputBits +: InputBits];
        end
      end else begin : gen_comparison
        logic [InputBits-1:0] below;
        logic signed [InputBits:0] extended;
        logic [AddressBits-1:0] address;
        logic signed [ThresholdBits-1:0] selected;
        logic signed [CompareBits-1:0] element, threshold;
        logic [LineBits-1:0] count_q;

        assign below     = gen_stage[stage-1].element_q;
        assign extended  = {InputSigned & below[InputBits-1], below};
        assign element   = CompareBits'(extended);
        assign address   = AddressBits'(32'(own_word[stage-1]) * Lines + (1 << (stage - 1))
                                        + 32'(gen_stage[stage-1].count));
        assign selected  = memory[address][Row*ThresholdBits +: ThresholdBits];
        assign threshold = CompareBits'(selected);
        assign count     = count_q;

        always_ff @(posedge clk_i) begin
          if (advance) begin
            element_q <= below;
            count_q   <= LineBits'({gen_stage[stage-1].count, element >= threshold});
          end
        end
      end
    end

    logic [AddressBits-1:0] first;
    logic falls;
    logic signed [63:0] count;
    logic [OutputBits-1:0] result_q;

    assign first = AddressBits'(32'(own_word[CountBits]) * Lines);
    assign falls = memory[first][Row*ThresholdBits];
    assign count = CountBits > 0 ? 64'(gen_stage[CountBits].count) : '0;
    assign data_o[lane*OutputBits +: OutputBits] = result_q;

    always_ff @(posedge clk_i) begin
      if (advance) begin
        result_q <= OutputBits'(falls ? Hi - count : Lo + count);
      end
    end
  end

  // What the parameters must be.
  if (Channels < 1 || InputBits < 1) begin : gen_rule_positive
    $error("vecq_threshold: Channels (%0d) and InputBits (%0d) must be at least 1",
           Channels, InputBits);
  end
  if (ThresholdBits < 1) begin : gen_rule_positive_threshold_bits
    $error("vecq_threshold: ThresholdBits (%0d) must be at least 1", ThresholdBits);
  end
  if (Lanes < 1 || Channels % Lanes != 0) begin : gen_rule_divides_lanes
    $error("vecq_threshold: Lanes (%0d) must divide Channels (%0d)", Lanes, Channels);
  end
  if (CountBits < 0 || CountBits > 24) begin : gen_rule_count
    $error("vecq_threshold: CountBits (%0d) must be 0 to 24", CountBits);
  end
  if (Hi - Lo >= 64'sd1 << CountBits) begin : gen_rule_levels
    $error("vecq_threshold: CountBits (%0d) must hold Hi - Lo (%0d)", CountBits, Hi - Lo);
  end
  if (Lo > Hi) begin : gen_rule_range
    $error("vecq_threshold: Lo (%0d) must not exceed Hi (%0d)", Lo, Hi);
  end
  if (OutputBits < 1 || OutputBits > 63 || Lo >>> (OutputBits - int'(Lo < 0)) < -1 ||
      Hi >>> (OutputBits - int'(Lo < 0)) > 0) begin : gen_rule_bits
    $error("vecq_threshold: OutputBits (%0d), 1 to 63, must hold Lo (%0d) and Hi (%0d)",
           OutputBits, Lo, Hi);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(Lanes * InputBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(Lanes * OutputBits)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
