// SPDX-License-Identifier: Apache-2.0

// What vecq_rescale computes, one mantissa bit per cycle: for words that come seldom, without a
// multiplier and in a tenth of its look-up tables.
//
//   clamp((accumulator * mantissa + offset + 2^(Shift-1)) >>> Shift, Lo, Hi)
//
// A frame is Channels elements, Lanes of them a word.  ceil(Lanes / Turns) units work side by side,
// each on Turns lanes of a word one after the other: unit u takes lane turn * Units + u.  In each
// cycle a unit adds the accumulator, where the mantissa bit is set, and a bit of the constant to
// its sum and halves it; the last mantissa bit counts negative, so there it adds the complement and
// the constant has the 1 that is missing.  Then it adds the rest of the constant.
//
// Memories, a line each of the following, least significant first:
//   bits: for each word, turn and mantissa bit two bits of each unit: the mantissa's, the constant's
//   rests: for each word and turn RestBits of each unit, the constant >>> MantissaBits, where
//     constant = offset + 2^(Shift-1), and 2^(MantissaBits-1) more if the mantissa is negative;
//     with AlignBits = max(MantissaBits - Shift, 0), offset and 2^(Shift-1) count 2^AlignBits times
//   shifts, where ShiftBits is not 0: for each word and turn ShiftBits of each unit, by how much the
//     channel's shift, which its constant knows, exceeds Shift
//
// No bit that the result needs is halved away: where Shift is less than MantissaBits, AlignBits zeros
// stand behind the accumulator, so that the whole sum is 2^AlignBits times as large.
//
// A word every Turns * (MantissaBits + 1) + 1 cycles.  It is taken into a register while none is
// worked on.  Behind the counters come the bits, then the element, chosen and as far as it counts,
// then the sum, its low bits beside what the comparisons with Lo and Hi say, and vecq_pipeline_end,
// on the way to which one of the three is chosen.  Latency: Turns * (MantissaBits + 1) + 5 cycles.
//
// The complement is in the table in front of the sum's carry, and so is the rest of the constant.
// With CarryChoice the carry cells of ECP5 take the complement, and the rest comes with the elements.
// With Ready, for devices with no table in front of a carry, both are in front of a register.
module vecq_rescale_serial #(
  parameter int Channels        = 1,
  parameter int Lanes           = 1,
  parameter int Turns           = 1,
  parameter int AccumulatorBits = 16,
  parameter bit InputSigned     = 1'b1,
  parameter int MantissaBits    = 16,
  parameter int RestBits        = 16,
  parameter int Shift           = 16,
  parameter int OutputBits      = 8,
  parameter logic signed [63:0] Lo = 0,
  parameter logic signed [63:0] Hi = 255,
  parameter int ShiftBits       = 0,
  parameter bit CarryChoice     = 1'b0,
  parameter bit Ready           = 1'b0,
  parameter     BitsFile,
  parameter     RestsFile,
  parameter     ShiftFile       = ""
) (
  input  logic                             clk_i,
  input  logic                             rst_ni,

  input  logic                             valid_i,
  output logic                             ready_o,
  input  logic [Lanes*AccumulatorBits-1:0] data_i,

  output logic                             valid_o,
  input  logic                             ready_i,
  output logic [Lanes*OutputBits-1:0]      data_o
);

  localparam int Units     = Turns > 0 ? (Lanes + Turns - 1) / Turns : 1;
  localparam int AllTurns  = Channels / Lanes * Turns;
  localparam int AllBits   = AllTurns * MantissaBits;
  localparam int CountBits = $clog2(MantissaBits + 1);
  localparam int TurnBits  = Turns > 1 ? $clog2(Turns) : 1;
  localparam int ChoiceBits = CarryChoice ? $clog2(Turns + 1) : TurnBits;
  localparam int RestAddressBits = AllTurns > 1 ? $clog2(AllTurns) : 1;
  localparam int BitAddressBits  = AllBits > 1 ? $clog2(AllBits) : 1;
  // A sum stays within the range of a signed accumulator until the rest of the constant joins.
  localparam int AlignBits = MantissaBits > Shift ? MantissaBits - Shift : 0;
  localparam int HeldBits  = AccumulatorBits + int'(!InputSigned) + AlignBits;
  localparam int SumBits   = (HeldBits > RestBits ? HeldBits : RestBits) + 1;

  logic advance, hold;
  logic busy_q, result_q, valid_q;
  // Beside the counter: it is at the last mantissa bit, at the rest, at the rest of the last turn.
  logic last_bit_q, at_rest_q, last_turn, done;
  // The same, of what is read, of what is added, and of the sum.
  logic read_busy_q, read_last_bit_q, read_rest_q, read_done_q, add_busy_q, add_rest_q, add_done_q;
  logic result_done_q;
  logic [CountBits-1:0] count_q;
  logic [TurnBits-1:0] turn_q;
  logic [ChoiceBits-1:0] choice_q;  // among a unit's elements, and with CarryChoice the rest
  logic [BitAddressBits-1:0] bit_q;
  logic [RestAddressBits-1:0] rest_q;
  logic filled_q, next_bit, next_rest;
  logic [Lanes*AccumulatorBits-1:0] word_q;
  logic [2*Units-1:0] bits;
  logic [Units*RestBits-1:0] rests;
  logic [Lanes*OutputBits-1:0] results;

  assign ready_o   = !busy_q;
  assign last_turn = turn_q == TurnBits'(Turns - 1);
  assign done      = at_rest_q && last_turn;

  // The memories are read ahead: a line waits behind each of them, which the counters ask for with
  // next_bit and next_rest, and the address of the one behind it in a register.  The first lines are
  // read in the cycle behind the reset.
  assign next_bit  = !hold && (!filled_q || busy_q && !at_rest_q);
  assign next_rest = !hold && (!filled_q || at_rest_q);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      busy_q        <= 1'b0;
      read_busy_q   <= 1'b0;
      read_rest_q   <= 1'b0;
      read_done_q   <= 1'b0;
      add_busy_q    <= 1'b0;
      add_rest_q    <= 1'b0;
      add_done_q    <= 1'b0;
      result_q      <= 1'b0;
      result_done_q <= 1'b0;
      valid_q       <= 1'b0;
      count_q       <= '0;
      last_bit_q    <= MantissaBits == 1;
      at_rest_q     <= 1'b0;
      turn_q        <= '0;
      bit_q         <= '0;
      rest_q        <= '0;
      filled_q      <= 1'b0;
    end else begin
      if (next_bit) begin
        bit_q <= bit_q == BitAddressBits'(AllBits - 1) ? '0 : bit_q + BitAddressBits'(1);
      end
      if (next_rest) begin
        rest_q <= rest_q == RestAddressBits'(AllTurns - 1) ? '0 : rest_q + RestAddressBits'(1);
      end
      if (!busy_q) busy_q <= valid_i;
      else if (advance && done) busy_q <= 1'b0;
      if (advance) begin
        read_busy_q   <= busy_q;
        read_rest_q   <= at_rest_q;
        read_done_q   <= done;
        add_busy_q    <= read_busy_q;
        add_rest_q    <= read_rest_q;
        add_done_q    <= read_done_q;
        result_q      <= add_rest_q;
        result_done_q <= add_done_q;
        valid_q       <= result_done_q;
        filled_q      <= 1'b1;
        if (busy_q) begin
          count_q    <= at_rest_q ? '0 : count_q + CountBits'(1);
          last_bit_q <= MantissaBits == 1 ? at_rest_q : count_q == CountBits'(MantissaBits - 2);
          at_rest_q  <= last_bit_q;
        end
        if (at_rest_q) turn_q <= last_turn ? '0 : turn_q + TurnBits'(1);
      end
    end
  end

  always_ff @(posedge clk_i) begin
    if (!busy_q) word_q <= data_i;
    if (advance) begin
      choice_q        <= CarryChoice && at_rest_q ? ChoiceBits'(Turns) : ChoiceBits'(turn_q);
      read_last_bit_q <= last_bit_q;
    end
  end

  vecq_rom #(
    .Words(AllBits), .WordBits(2 * Units), .File(BitsFile), .Registers(1)
  ) bit_rom (
    .clk_i, .enable_i(next_bit), .address_i(bit_q), .data_o(bits)
  );

  vecq_rom #(
    .Words(AllTurns), .WordBits(Units * RestBits), .File(RestsFile), .Registers(1)
  ) rest_rom (
    .clk_i, .enable_i(next_rest), .address_i(rest_q), .data_o(rests)
  );

  // What the channels in final_q shift further than Shift; a line stays until the next rest is added.
  localparam int FurtherBits = ShiftBits > 0 ? ShiftBits : 1;
  logic [Units*FurtherBits-1:0] further;

  if (ShiftBits > 0) begin : gen_further
    logic [Units*FurtherBits-1:0] read, read_q;

    vecq_rom #(
      .Words(AllTurns), .WordBits(Units * FurtherBits), .File(ShiftFile), .Registers(1)
    ) shift_rom (
      .clk_i, .enable_i(next_rest), .address_i(rest_q), .data_o(read)
    );

    always_ff @(posedge clk_i) begin
      if (advance) read_q <= read;
    end

    assign further = read_q;
  end else begin : gen_no_further
    assign further = '0;
  end

  // Lo to Hi are all numbers of OutputBits: the upper bits alone tell which are beyond.
  localparam bit WholeRange = Hi - Lo == (64'sd1 << OutputBits) - 64'sd1;

  // A result waits for its unit's next one, if its word has another turn.
  logic keep;
  assign keep = advance && (result_q || Turns == 1);

  for (genvar unit = 0; unit < Units; unit++) begin : gen_unit
    // How many lanes it has.
    localparam int Own = (Lanes - unit + Units - 1) / Units;
    logic [Turns*SumBits-1:0] elements;
    logic signed [HeldBits-1:0] held_q;
    logic signed [SumBits-1:0] added_q, sum, result;
    logic signed [SumBits-1:0] final_q;
    logic minus_q, carry_q;
    logic [OutputBits-1:0] low_q, clamped;
    logic [Turns*OutputBits-1:0] outputs;

    for (genvar turn = 0; turn < Own; turn++) begin : gen_own
      logic [AccumulatorBits-1:0] element;
      assign element = word_q[(turn*Units+unit)*AccumulatorBits +: AccumulatorBits];
      if (InputSigned) begin : gen_signed
        assign elements[turn*SumBits +: SumBits] = SumBits'(signed'(element)) << AlignBits;
      end else begin : gen_unsigned
        assign elements[turn*SumBits +: SumBits] = SumBits'(element) << AlignBits;
      end
      assign results[(turn*Units+unit)*OutputBits +: OutputBits] =
          outputs[turn*OutputBits +: OutputBits];
    end

    // It has no element for the last turns.
    if (Own < Turns) begin : gen_none
      assign elements[Turns*SumBits-1:Own*SumBits] = 'x;
    end

    always_ff @(posedge clk_i) begin
      if (advance) begin
        minus_q <= bits[2*unit] && read_last_bit_q;
        carry_q <= bits[2*unit+1] && !read_rest_q;
      end
    end

    if (CarryChoice) begin : gen_carry_choice
      // A position more, below, makes a carry of carry_q: what is added there is always 1.
      logic [(Turns+1)*SumBits-1:0] operands;
      logic plus_q, unused_sum;

      assign operands = {SumBits'(signed'(rests[unit*RestBits +: RestBits])), elements};

      always_ff @(posedge clk_i) begin
        if (!hold && !bits[2*unit] && !read_rest_q) added_q <= '0;
        else if (advance) added_q <= operands[choice_q*SumBits +: SumBits];
        if (advance) plus_q <= !(bits[2*unit] && read_last_bit_q);
      end

      vecq_carry_adder #(
        .PlainBits(SumBits + 1), .LogicBits(SumBits + 1), .SumBits(SumBits + 1), .Complement(1'b1)
      ) adder (
        .plain_i({SumBits'(held_q), carry_q}), .first_i({added_q, plus_q}), .second_i('0),
        .select_i(minus_q), .sum_o({sum, unused_sum})
      );
    end else begin : gen_table
      logic signed [SumBits-1:0] chosen, rest, term;

      assign chosen = elements[choice_q*SumBits +: SumBits];
      assign rest   = SumBits'(signed'(rests[unit*RestBits +: RestBits]));

      if (Ready) begin : gen_before
        always_ff @(posedge clk_i) begin
          if (!hold && !read_rest_q && !bits[2*unit]) added_q <= '0;
          else if (advance) added_q <= read_rest_q ? rest : chosen ^ {SumBits{read_last_bit_q}};
        end

        assign term = added_q;
      end else begin : gen_behind
        always_ff @(posedge clk_i) begin
          if (!hold && !bits[2*unit]) added_q <= '0;
          else if (advance) added_q <= chosen;
        end

        assign term = add_rest_q ? rest : added_q ^ {SumBits{minus_q}};
      end

      vecq_adder #(
        .PlainBits(SumBits), .LogicBits(SumBits), .SumBits(SumBits), .Ready(Ready)
      ) adder (
        .plain_i(SumBits'(held_q)), .logic_i(term), .carry_i(carry_q), .sum_o(sum)
      );
    end

    always_ff @(posedge clk_i) begin
      if (advance) begin
        if (!add_busy_q || add_rest_q) held_q <= '0;
        else held_q <= HeldBits'(sum >>> 1);
        final_q <= sum;
      end
    end

    assign result = final_q >>> (Shift + AlignBits - MantissaBits)
                            >>> further[unit*FurtherBits +: FurtherBits];

    if (WholeRange) begin : gen_upper_bits
      logic signed [SumBits-1:0] upper;
      logic beyond_q, negative_q;
      assign upper = result >>> (OutputBits - int'(Lo < 0));
      always_ff @(posedge clk_i) begin
        if (keep) begin
          beyond_q   <= upper != {SumBits{Lo < 0 && result[SumBits-1]}};
          negative_q <= result[SumBits-1];
        end
      end
      assign clamped = beyond_q ? OutputBits'(negative_q ? Lo : Hi) : low_q;
    end else begin : gen_compare
      logic below_q, above_q;
      always_ff @(posedge clk_i) begin
        if (keep) begin
          below_q <= 64'(result) < Lo;
          above_q <= 64'(result) > Hi;
        end
      end
      assign clamped = below_q ? OutputBits'(Lo) : above_q ? OutputBits'(Hi) : low_q;
    end

    always_ff @(posedge clk_i) begin
      if (keep) low_q <= OutputBits'(result);
    end

    // Those of the turns before: the newest in the highest place, and one lower at each turn.
    if (Turns > 1) begin : gen_turns
      logic [(Turns-1)*OutputBits-1:0] outputs_q;
      always_ff @(posedge clk_i) begin
        if (keep) outputs_q <= outputs[Turns*OutputBits-1:OutputBits];
      end
      assign outputs = {clamped, outputs_q};
    end else begin : gen_one_turn
      assign outputs = clamped;
    end
  end

  vecq_pipeline_end #(
    .DataBits(Lanes * OutputBits), .Words(1)
  ) pipeline_end (
    .clk_i, .rst_ni,
    .valid_i(valid_q), .next_i(result_done_q), .data_i(results),
    .advance_o(advance), .hold_o(hold),
    .valid_o, .ready_i, .data_o
  );

  // What the parameters must be.
  if (Channels < 1 || AccumulatorBits < 1) begin : gen_rule_positive
    $error("vecq_rescale_serial: Channels (%0d) and AccumulatorBits (%0d) must be at least 1",
           Channels, AccumulatorBits);
  end
  if (MantissaBits < 1 || RestBits < 1) begin : gen_rule_positive_mantissa_bits_rest_bits
    $error("vecq_rescale_serial: MantissaBits (%0d) and RestBits (%0d) must be at least 1",
           MantissaBits, RestBits);
  end
  if (Lanes < 1 || Channels % Lanes != 0) begin : gen_rule_divides_lanes
    $error("vecq_rescale_serial: Lanes (%0d) must divide Channels (%0d)", Lanes, Channels);
  end
  if (Turns < 1 || Turns > Lanes) begin : gen_rule_turns
    $error("vecq_rescale_serial: Turns (%0d) must be 1 to Lanes (%0d)", Turns, Lanes);
  end
  if (Shift < 1 || Shift > 62) begin : gen_rule_shift
    $error("vecq_rescale_serial: Shift (%0d) must be 1 to 62", Shift);
  end
  if (SumBits > 64) begin : gen_rule_sum_bits
    $error("vecq_rescale_serial: SumBits (%0d) must be at most 64", SumBits);
  end
  if (CarryChoice && Ready) begin : gen_rule_fabric
    $error("vecq_rescale_serial: CarryChoice (1) and Ready (1) are for different devices");
  end
  if (Lo > Hi) begin : gen_rule_range
    $error("vecq_rescale_serial: Lo (%0d) must not exceed Hi (%0d)", Lo, Hi);
  end
  if (OutputBits < 1 || OutputBits > 63 || Lo >>> (OutputBits - int'(Lo < 0)) < -1 ||
      Hi >>> (OutputBits - int'(Lo < 0)) > 0) begin : gen_rule_bits
    $error("vecq_rescale_serial: OutputBits (%0d), 1 to 63, must hold Lo (%0d) and Hi (%0d)",
           OutputBits, Lo, Hi);
  end

`ifdef VECQ_ASSERTIONS
  vecq_stream_rules #(
    .DataBits(Lanes * AccumulatorBits)
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
