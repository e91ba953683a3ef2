// SPDX-License-Identifier: Apache-2.0

// A gated recurrent unit: of each step's gate sums over the input, and of the state that it keeps,
// the next state (numeric contract, recurrent layers).
//
// A frame is Length steps of 3 * Elements words, each the sum of one gate: r, z, n of the first
// element, then those of the second.  With Sequence every state goes out, an element a word, else
// that of the last step.  The state is zero at the start of a frame.
//
// A gate a cycle passes these stages, one multiplier each for its two operands:
//   p = clamp((input * mantissa_x + state * mantissa_h + offset) >> Shift)  8 bits, half in the offset
//   table[p]                                           sigmoid of r, z: 2^-8; tanh of n: 2^-7
// but of a gate n, which goes through further stages:
//   part = clamp((state * mantissa_h + part_offset) >> (Shift - 7))         16 bits, half in the offset
//   p = clamp((input * mantissa_x + offset + (r * part << (Shift - 15))) >> Shift)
// and once an element:
//   wide  = ((256 - z) * n * 256 + z * wide + 128) >> 8                     16 bits
//   state = (wide + 128) >> 8                                               8 bits
//
// Memories, a line each of the following, least significant first: mantissas, offsets, one a gate,
// part_offsets, one an element, signed; tables, the sigmoid of 0..127, -128..-1, then the tanh,
// 9 bits, signed; those of vecq_state_product, which says how long a step takes.
//
// Latency, from the gate n to its element's word: 11 cycles.
module vecq_gru #(
  parameter int Elements       = 1,
  parameter int Length         = 1,
  parameter bit Sequence       = 1'b0,
  parameter int Pe             = 1,
  parameter int Simd           = 1,
  parameter int WeightBits     = 2,
  parameter bit TwosComplement = 1'b0,
  parameter int InputBits      = 16,
  parameter bit InputSigned    = 1'b1,
  parameter int SumBits        = 16,
  parameter int MantissaXBits  = 18,
  parameter int MantissaHBits  = 18,
  parameter int OffsetBits     = 32,
  parameter int PartOffsetBits = 32,
  parameter int TotalBits      = 40,
  parameter int Shift          = 16,
  parameter bit CarryChoice    = 1'b0,
  parameter     WeightsFile,
  parameter     BiasFile,
  parameter     MantissaXFile,
  parameter     MantissaHFile,
  parameter     OffsetFile,
  parameter     PartOffsetFile,
  parameter     TablesFile
) (
  input  logic                 clk_i,
  input  logic                 rst_ni,

  input  logic                 valid_i,
  output logic                 ready_o,
  input  logic [InputBits-1:0] data_i,

  output logic                 valid_o,
  input  logic                 ready_i,
  output logic [7:0]           data_o
);

  localparam int Gates       = 3;
  localparam int Outputs     = Gates * Elements;
  localparam int AddressBits = $clog2(Outputs);
  localparam int ElementBits = Elements > 1 ? $clog2(Elements) : 1;

  typedef enum logic [1:0] {ResetGate, UpdateGate, Candidate} gate_e;

  logic advance, there, take, first, last, write;
  logic [InputBits-1:0] given;
  logic [SumBits-1:0] sum;
  logic [AddressBits-1:0] address;
  logic [1:0] gate;

  vecq_replay_buffer #(
    .Words(1), .Replays(1), .WordBits(InputBits)
  ) input_buffer (
    .clk_i, .rst_ni,
    .valid_i, .ready_o, .data_i,
    .first_pass_i(1'b1), .last_pass_i(1'b1), .last_word_i(1'b1),
    .there_o(there), .take_i(take), .enable_i(advance), .data_o(given)
  );

  vecq_state_product #(
    .Elements(Elements), .Gates(Gates), .Length(Length), .Lead(11), .Pe(Pe), .Simd(Simd),
    .WeightBits(WeightBits), .TwosComplement(TwosComplement), .SumBits(SumBits),
    .WeightsFile(WeightsFile), .BiasFile(BiasFile)
  ) product (
    .clk_i, .rst_ni, .advance_i(advance), .there_i(there), .take_o(take), .sum_o(sum),
    .address_o(address), .gate_o(gate), .first_o(first), .last_o(last),
    .write_i(write), .state_i(data_o)
  );

  // What stands in each stage: gates up to stage 5, candidates alone behind it.
  logic [11:1] valid_q;
  gate_e gate_q [1:5];

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= '0;
    else if (advance) begin
      valid_q    <= {valid_q[10:1], take};
      valid_q[6] <= valid_q[5] && gate_q[5] == Candidate;
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      gate_q[1] <= gate_e'(gate);
      for (int stage = 2; stage <= 5; stage++) gate_q[stage] <= gate_q[stage-1];
    end
  end

  // Stages 1 to 3: what a gate adds up.
  logic signed [TotalBits-1:0] input_product, state_product, offset;
  logic signed [TotalBits-1:0] total_q, part_total_q, scaled, part_scaled;
  logic signed [PartOffsetBits-1:0] part_offset, part_offset_q;
  logic [ElementBits-1:0] part_address_q;

  vecq_gate_products #(
    .Outputs(Outputs), .InputBits(InputBits), .InputSigned(InputSigned), .SumBits(SumBits),
    .MantissaXBits(MantissaXBits), .MantissaHBits(MantissaHBits), .OffsetBits(OffsetBits),
    .TotalBits(TotalBits), .CarryChoice(CarryChoice),
    .MantissaXFile(MantissaXFile), .MantissaHFile(MantissaHFile), .OffsetFile(OffsetFile)
  ) gate_products (
    .clk_i, .enable_i(advance), .address_i(address), .sum_i(sum), .input_i(given),
    .input_o(input_product), .state_o(state_product), .offset_o(offset)
  );

  vecq_rom #(
    .Words(Elements), .WordBits(PartOffsetBits), .File(PartOffsetFile)
  ) part_offset_rom (
    .clk_i, .enable_i(advance), .address_i(part_address_q), .data_o(part_offset)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) part_address_q <= '0;
    else if (take && gate == Candidate) begin
      part_address_q <= part_address_q == ElementBits'(Elements - 1)
                        ? '0 : part_address_q + ElementBits'(1);
    end
  end

  // Stages 3 and 4: the codes of r and z, and a candidate's part of the state.
  logic [7:0] code_q;
  logic signed [15:0] part_q;
  logic signed [TotalBits-1:0] candidate4_q, candidate5_q, candidate6_q, candidate_scaled;

  assign scaled      = total_q >>> Shift;
  assign part_scaled = part_total_q >>> (Shift - 7);

  always_ff @(posedge clk_i) begin
    if (advance) begin
      part_offset_q <= part_offset;
      total_q       <= input_product + offset + (gate_q[2] == Candidate ? '0 : state_product);
      part_total_q  <= state_product + TotalBits'(part_offset_q);
      if (64'(scaled) > 64'sd127) code_q <= 8'd127;
      else if (64'(scaled) < -64'sd128) code_q <= 8'd128;
      else code_q <= 8'(scaled);
      if (64'(part_scaled) > 64'sd32767) part_q <= 16'sd32767;
      else if (64'(part_scaled) < -64'sd32768) part_q <= -16'sd32768;
      else part_q <= 16'(part_scaled);
      candidate4_q <= total_q;
    end
  end

  // Stage 5: the values of r and z; the reset gate times the part.
  logic signed [8:0] value, r_q, z_q;
  logic signed [24:0] reset_product;
  logic signed [23:0] reset_q;

  vecq_rom #(
    .Words(512), .WordBits(9), .File(TablesFile)
  ) gate_table (
    .clk_i, .enable_i(advance), .address_i({1'b0, code_q}), .data_o(value)
  );

  // The state: read before its element's candidate comes to stage 5, written from stage 10.
  logic signed [15:0] states [Elements];
  logic signed [15:0] wide_q, new_wide_q;
  logic [ElementBits-1:0] read_q, write_q;
  logic signed [9:0] rest_q;
  logic signed [24:0] kept_product, kept_q, kept9_q;
  logic signed [18:0] added_product;
  logic signed [17:0] added_q;
  logic signed [8:0] new_value;
  logic [7:0] candidate_code_q, state_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      read_q  <= '0;
      write_q <= '0;
    end else if (advance) begin
      if (valid_q[5] && gate_q[5] == Candidate) begin
        read_q <= read_q == ElementBits'(Elements - 1) ? '0 : read_q + ElementBits'(1);
      end
      if (valid_q[10]) begin
        write_q <= write_q == ElementBits'(Elements - 1) ? '0 : write_q + ElementBits'(1);
      end
    end
  end

  assign candidate_scaled = candidate6_q >>> Shift;

  vecq_table_multiplier #(
    .LeftBits(9), .RightBits(16), .CarryChoice(CarryChoice)
  ) reset_multiplier (
    .left_i(r_q), .right_i(part_q), .product_o(reset_product)
  );

  vecq_table_multiplier #(
    .LeftBits(9), .RightBits(16), .CarryChoice(CarryChoice)
  ) kept_multiplier (
    .left_i(z_q), .right_i(wide_q), .product_o(kept_product)
  );

  vecq_table_multiplier #(
    .LeftBits(10), .RightBits(9), .CarryChoice(CarryChoice)
  ) added_multiplier (
    .left_i(rest_q), .right_i(new_value), .product_o(added_product)
  );

  always_ff @(posedge clk_i) begin
    if (advance) begin
      wide_q <= first ? '0 : states[read_q];
      if (valid_q[5]) begin
        if (gate_q[5] == ResetGate) r_q <= value;
        if (gate_q[5] == UpdateGate) z_q <= value;
        if (gate_q[5] == Candidate) begin
          kept_q <= kept_product;
          rest_q <= 10'sd256 - 10'(z_q);
        end
      end
      reset_q      <= 24'(reset_product);
      candidate5_q <= candidate4_q;
      candidate6_q <= candidate5_q + (TotalBits'(reset_q) <<< (Shift - 15));
      if (64'(candidate_scaled) > 64'sd127) candidate_code_q <= 8'd127;
      else if (64'(candidate_scaled) < -64'sd128) candidate_code_q <= 8'd128;
      else candidate_code_q <= 8'(candidate_scaled);
      added_q <= 18'(added_product);
      kept9_q <= kept_q;
      new_wide_q <= 16'((26'(kept9_q) + (26'(added_q) <<< 8) + 26'sd128) >>> 8);
      if (valid_q[10]) states[write_q] <= new_wide_q;
      state_q <= 8'((17'(new_wide_q) + 17'sd128) >>> 8);
    end
  end

  vecq_rom #(
    .Words(512), .WordBits(9), .File(TablesFile)
  ) candidate_table (
    .clk_i, .enable_i(advance), .address_i({1'b1, candidate_code_q}), .data_o(new_value)
  );

  assign valid_o = valid_q[11] && (Sequence || last);
  assign advance = !valid_o || ready_i;
  assign write   = valid_q[11] && advance;
  assign data_o  = state_q;

  // What the parameters must be.
  if (Shift < 15 || Shift > 62) begin : gen_rule_shift
    $error("vecq_gru: Shift (%0d) must be 15 to 62", Shift);
  end
  if (TotalBits < PartOffsetBits || TotalBits < 25 + Shift - 15) begin : gen_rule_total
    $error("vecq_gru: TotalBits (%0d) must hold PartOffsetBits (%0d) and Shift + 10 (%0d)",
           TotalBits, PartOffsetBits, Shift + 10);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(InputBits)
  ) rules_in (
    .clk_i, .rst_ni, .valid_i, .ready_i(ready_o), .data_i, .last_i(1'b0)
  );

  vecq_stream_rules #(
    .DataBits(8)
  ) rules_out (
    .clk_i, .rst_ni, .valid_i(valid_o), .ready_i, .data_i(data_o), .last_i(1'b0)
  );
`endif

endmodule
