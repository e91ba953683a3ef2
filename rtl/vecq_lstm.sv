// SPDX-License-Identifier: Apache-2.0

// A long short-term memory: of each step's gate sums over the input, and of the state that it keeps,
// the next state (numeric contract, recurrent layers).
//
// A frame is Length steps of 4 * Elements words, each the sum of one gate: i, f, g, o of the first
// element, then those of the second.  With Sequence every state goes out, an element a word, else
// that of the last step.  State and cell are zero at the start of a frame.
//
// A gate a cycle passes these stages, one multiplier each for its two operands:
//   p = clamp((input * mantissa_x + state * mantissa_h + offset) >> Shift)  8 bits, half in the offset
//   table[p]                                           sigmoid of i, f, o: 2^-8; tanh of g: 2^-7
// and once an element:
//   cell  = clamp((f * cell + (i * g << 4) + 128) >> 8)                     16 bits
//   state = (o * tanh[clamp((cell + 64) >> 7)] + 128) >> 8                  8 bits
//
// Memories, a line each of the following, least significant first: mantissas, offsets, one a gate,
// signed; tables, the sigmoid of 0..127, -128..-1, then the tanh, 9 bits, signed; those of
// vecq_state_product, which says how long a step takes.
//
// Latency, from the gate o to its element's word: 8 cycles.
module vecq_lstm #(
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
  parameter int TotalBits      = 40,
  parameter int Shift          = 16,
  parameter bit CarryChoice    = 1'b0,
  parameter     WeightsFile,
  parameter     BiasFile,
  parameter     MantissaXFile,
  parameter     MantissaHFile,
  parameter     OffsetFile,
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

  localparam int Gates       = 4;
  localparam int Outputs     = Gates * Elements;
  localparam int AddressBits = $clog2(Outputs);
  localparam int ElementBits = Elements > 1 ? $clog2(Elements) : 1;

  typedef enum logic [1:0] {InputGate, ForgetGate, Candidate, OutputGate} gate_e;

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
    .Elements(Elements), .Gates(Gates), .Length(Length), .Lead(8), .Pe(Pe), .Simd(Simd),
    .WeightBits(WeightBits), .TwosComplement(TwosComplement), .SumBits(SumBits),
    .WeightsFile(WeightsFile), .BiasFile(BiasFile)
  ) product (
    .clk_i, .rst_ni, .advance_i(advance), .there_i(there), .take_o(take), .sum_o(sum),
    .address_o(address), .gate_o(gate), .first_o(first), .last_o(last),
    .write_i(write), .state_i(data_o)
  );

  // What stands in stages 1 to 5: a gate; in stages 6 to 8: an element.
  logic [5:1] gate_valid_q;
  gate_e gate_q [1:5];
  logic [8:6] element_valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      gate_valid_q    <= '0;
      element_valid_q <= '0;
    end else if (advance) begin
      gate_valid_q    <= {gate_valid_q[4:1], take};
      element_valid_q <= {element_valid_q[7:6], gate_valid_q[5] && gate_q[5] == OutputGate};
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      gate_q[1] <= gate_e'(gate);
      for (int stage = 2; stage <= 5; stage++) gate_q[stage] <= gate_q[stage-1];
    end
  end

  // The gate's code.
  logic signed [TotalBits-1:0] input_product, state_product, offset, total_q, scaled;
  logic [7:0] code_q;

  vecq_gate_products #(
    .Outputs(Outputs), .InputBits(InputBits), .InputSigned(InputSigned), .SumBits(SumBits),
    .MantissaXBits(MantissaXBits), .MantissaHBits(MantissaHBits), .OffsetBits(OffsetBits),
    .TotalBits(TotalBits), .CarryChoice(CarryChoice),
    .MantissaXFile(MantissaXFile), .MantissaHFile(MantissaHFile), .OffsetFile(OffsetFile)
  ) gate_products (
    .clk_i, .enable_i(advance), .address_i(address), .sum_i(sum), .input_i(given),
    .input_o(input_product), .state_o(state_product), .offset_o(offset)
  );

  assign scaled = total_q >>> Shift;

  always_ff @(posedge clk_i) begin
    if (advance) begin
      total_q <= input_product + state_product + offset;
      if (64'(scaled) > 64'sd127) code_q <= 8'd127;
      else if (64'(scaled) < -64'sd128) code_q <= 8'd128;
      else code_q <= 8'(scaled);
    end
  end

  logic signed [8:0] value;

  vecq_rom #(
    .Words(512), .WordBits(9), .File(TablesFile)
  ) gate_tables (
    .clk_i, .enable_i(advance), .address_i({gate_q[4] == Candidate, code_q}), .data_o(value)
  );

  // The cell: read while the gates i and f of its element pass, written after its gate o.
  logic signed [15:0] cells [Elements];
  logic signed [15:0] cell_q, new_cell_q;
  logic [ElementBits-1:0] read_q, write_q;
  logic signed [8:0] i_q, f_q, o6_q, o7_q;
  logic signed [24:0] kept_product, kept_q;
  logic signed [17:0] added_product, added_q;
  logic signed [17:0] rounded;

  vecq_table_multiplier #(
    .LeftBits(9), .RightBits(16), .CarryChoice(CarryChoice)
  ) kept_multiplier (
    .left_i(f_q), .right_i(cell_q), .product_o(kept_product)
  );

  vecq_table_multiplier #(
    .LeftBits(9), .RightBits(9), .CarryChoice(CarryChoice)
  ) added_multiplier (
    .left_i(i_q), .right_i(value), .product_o(added_product)
  );

  assign rounded = 18'((26'(kept_q) + (26'(added_q) <<< 4) + 26'sd128) >>> 8);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      read_q  <= '0;
      write_q <= '0;
    end else if (advance) begin
      if (gate_valid_q[5] && gate_q[5] == OutputGate) begin
        read_q <= read_q == ElementBits'(Elements - 1) ? '0 : read_q + ElementBits'(1);
      end
      if (element_valid_q[6]) begin
        write_q <= write_q == ElementBits'(Elements - 1) ? '0 : write_q + ElementBits'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (advance) begin
      cell_q <= first ? '0 : cells[read_q];
      if (element_valid_q[6]) cells[write_q] <= new_cell_q;
      if (gate_valid_q[5]) begin
        unique case (gate_q[5])
          InputGate: i_q <= value;
          ForgetGate: f_q <= value;
          Candidate: begin
            kept_q  <= kept_product;
            added_q <= added_product;
          end
          default: begin
            if (rounded > 18'sd32767) new_cell_q <= 16'sd32767;
            else if (rounded < -18'sd32768) new_cell_q <= -16'sd32768;
            else new_cell_q <= 16'(rounded);
            o6_q <= value;
          end
        endcase
      end
    end
  end

  // The state.
  logic signed [9:0] near;
  logic [7:0] cell_code;
  logic signed [8:0] squashed;
  logic signed [17:0] product_d;
  logic [7:0] state_q;

  assign near      = 10'((17'(new_cell_q) + 17'sd64) >>> 7);
  assign cell_code = near > 10'sd127 ? 8'd127 : near < -10'sd128 ? 8'd128 : 8'(near);

  vecq_rom #(
    .Words(512), .WordBits(9), .File(TablesFile)
  ) cell_table (
    .clk_i, .enable_i(advance), .address_i({1'b1, cell_code}), .data_o(squashed)
  );

  vecq_table_multiplier #(
    .LeftBits(9), .RightBits(9), .CarryChoice(CarryChoice)
  ) state_multiplier (
    .left_i(o7_q), .right_i(squashed), .product_o(product_d)
  );

  always_ff @(posedge clk_i) begin
    if (advance) begin
      o7_q    <= o6_q;
      state_q <= 8'((product_d + 18'sd128) >>> 8);
    end
  end

  assign valid_o = element_valid_q[8] && (Sequence || last);
  assign advance = !valid_o || ready_i;
  assign write   = element_valid_q[8] && advance;
  assign data_o  = state_q;

  // What the parameters must be.
  if (Shift < 1 || Shift > 62) begin : gen_rule_shift
    $error("vecq_lstm: Shift (%0d) must be 1 to 62", Shift);
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
