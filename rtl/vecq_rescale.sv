// SPDX-License-Identifier: Apache-2.0

// clamp((accumulator * mantissa + offset + 2^(Shift-1)) >>> Shift, Lo, Hi) of each lane: the one
// lossy layer (numeric contract, rule 4), rounding half up.
//
// A frame is Channels elements, Lanes of them a word.  Each memory holds the Lanes signed numbers
// of one word per line, lane 0 in the least significant bits.  That of offsets holds
// offset + 2^(Shift-1), so that nothing is left to add for rounding.  The contract keeps
// accumulator * mantissa + offset within +-2^62, so 64 bits hold every sum.
//
// A sum takes two stages, the low half of its bits and the high one.
//
// Where ShiftBits is not 0, each channel has a shift of its own: Shift, the least of them, plus an
// unsigned number of ShiftBits bits in a third memory; the two stages are then a whole sum and its
// shift.  With 0 a shift is a choice of wires.
//
// With more than one of Classes, a frame is Positions times Channels elements, and each memory
// holds the lines of the first class, then those of the second, and so on.  Of each position,
// RowsFile holds the first line of its class.
//
// With UseDsp the multiplier is a DSP block: Vivado reads that, yosys wants no -nodsp.  Without, it is
// vecq_table_multiplier, and in lanes of which Constant says that all of their mantissas are the same,
// vecq_constant_multiplier: each has its mantissa in Factors.  CarryChoice is for ECP5.  Where words
// come seldom, vecq_rescale_serial takes fewer tables still.
//
// A word every cycle; vecq_pipeline_end ends the pipeline, with room for Room words: 1 is enough
// where words come every second cycle or more seldom.  Latency: seven cycles, eight with several
// classes.
module vecq_rescale #(
  parameter int Channels        = 1,
  parameter int Lanes           = 1,
  parameter int AccumulatorBits = 16,
  parameter bit InputSigned     = 1'b1,
  parameter int MantissaBits    = 18,
  parameter int OffsetBits      = 32,
  parameter int Shift           = 16,
  parameter int OutputBits      = 8,
  parameter logic signed [63:0] Lo = 0,
  parameter logic signed [63:0] Hi = 255,
  parameter bit UseDsp          = 1'b0,
  parameter logic [Lanes-1:0] Constant = '0,
  parameter logic [Lanes*MantissaBits-1:0] Factors = '0,
  parameter bit CarryChoice     = 1'b0,
  parameter int ShiftBits       = 0,
  parameter     MantissaFile,
  parameter     OffsetFile,
  parameter     ShiftFile       = "",
  parameter int Classes         = 1,
  parameter int Positions       = 1,
  parameter     RowsFile        = "",
  parameter int Room            = 2
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

  localparam int Latency     = Classes > 1 ? 7 : 6;
  localparam int Words       = Channels / Lanes;
  localparam int WordBits    = Words > 1 ? $clog2(Words) : 1;
  localparam int Lines       = Classes * Words;
  localparam int AddressBits = Lines > 1 ? $clog2(Lines) : 1;
  localparam int NumberBits  = AccumulatorBits + int'(!InputSigned);
  localparam int ProductBits = AccumulatorBits + 1 + MantissaBits;
  localparam int NeededBits  = (ProductBits > OffsetBits ? ProductBits : OffsetBits) + 2;
  localparam int SumBits     = NeededBits < 64 ? NeededBits : 64;
  localparam int LowBits     = SumBits / 2 < Shift ? SumBits / 2 : Shift;
  localparam int HighBits    = SumBits - LowBits;

  logic [Latency-1:0] valid_q;
  logic advance, hold;
  logic last_word;
  logic [WordBits-1:0] word_q;
  logic [AddressBits-1:0] line;
  logic [Lanes*AccumulatorBits-1:0] entry, read_q, accumulators_q;
  logic [Lanes*MantissaBits-1:0] mantissas, mantissas_q;
  logic [Lanes*OffsetBits-1:0] offsets, offsets_q, product_offsets_q;
  logic [Lanes*OutputBits-1:0] results;

  assign ready_o = !hold;
  assign last_word = word_q == WordBits'(Words - 1);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      valid_q <= '0;
      word_q  <= '0;
    end else if (advance) begin
      valid_q <= {valid_q[Latency-2:0], valid_i};
      if (valid_i) word_q <= last_word ? '0 : word_q + WordBits'(1);
    end
  end

  // The word whose line of the memories is read.
  if (Classes > 1) begin : gen_classes
    localparam int PositionBits = Positions > 1 ? $clog2(Positions) : 1;

    logic [PositionBits-1:0] position_q;
    logic [AddressBits-1:0] first;
    logic [WordBits-1:0] entry_word_q;
    logic [Lanes*AccumulatorBits-1:0] entry_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        position_q <= '0;
      end else if (advance && valid_i && last_word) begin
        position_q <= position_q == PositionBits'(Positions - 1) ? '0
                                                                 : position_q + PositionBits'(1);
      end
    end

    vecq_rom #(
      .Words(Positions), .WordBits(AddressBits), .File(RowsFile)
    ) row_rom (
      .clk_i, .enable_i(advance), .address_i(position_q), .data_o(first)
    );

    always_ff @(posedge clk_i) begin
      if (advance) begin
        entry_q      <= data_i;
        entry_word_q <= word_q;
      end
    end

    assign entry = entry_q;
    assign line  = first + AddressBits'(entry_word_q);
  end else begin : gen_one_class
    assign entry = data_i;
    assign line  = word_q;
  end

  vecq_rom #(
    .Words(Lines), .WordBits(Lanes * MantissaBits), .File(MantissaFile)
  ) mantissa_rom (
    .clk_i, .enable_i(advance), .address_i(line), .data_o(mantissas)
  );

  vecq_rom #(
    .Words(Lines), .WordBits(Lanes * OffsetBits), .File(OffsetFile)
  ) offset_rom (
    .clk_i, .enable_i(advance), .address_i(line), .data_o(offsets)
  );

  // Both factors have a register of their own behind what reads them: those of a multiplier block.
  always_ff @(posedge clk_i) begin
    if (advance) begin
      read_q            <= entry;
      accumulators_q    <= read_q;
      mantissas_q       <= mantissas;
      offsets_q         <= offsets;
      product_offsets_q <= offsets_q;
    end
  end

  // What the channels of the word in sum_q shift further than Shift.
  if (ShiftBits > 0) begin : gen_further
    logic [Lanes*ShiftBits-1:0] read, factor_q, product_q, sum_q;

    vecq_rom #(
      .Words(Lines), .WordBits(Lanes * ShiftBits), .File(ShiftFile)
    ) shift_rom (
      .clk_i, .enable_i(advance), .address_i(line), .data_o(read)
    );

    always_ff @(posedge clk_i) begin
      if (advance) begin
        factor_q  <= read;
        product_q <= factor_q;
        sum_q     <= product_q;
      end
    end
  end

  for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
    logic [AccumulatorBits-1:0] bits;
    logic signed [NumberBits-1:0] accumulator;
    logic signed [MantissaBits-1:0] mantissa;
    logic signed [OffsetBits-1:0] offset;
    logic signed [SumBits-1:0] product, extended, shifted, shifted_q;
    logic [OutputBits-1:0] low_q;
    logic below_q, above_q;

    assign bits        = accumulators_q[lane*AccumulatorBits +: AccumulatorBits];
    assign accumulator = NumberBits'(bits);
    assign mantissa    = mantissas_q[lane*MantissaBits +: MantissaBits];
    assign offset      = product_offsets_q[lane*OffsetBits +: OffsetBits];
    // Compared in one stage, chosen in the next one.
    assign results[lane*OutputBits +: OutputBits] =
        below_q ? OutputBits'(Lo) : above_q ? OutputBits'(Hi) : low_q;

    if (UseDsp) begin : gen_dsp
      (* use_dsp = "yes" *) logic signed [SumBits-1:0] product_q;
      assign product = product_q;
      always_ff @(posedge clk_i) begin
        if (advance) product_q <= SumBits'(accumulator) * SumBits'(mantissa);
      end
    end else begin : gen_tables
      logic signed [NumberBits+MantissaBits-1:0] product_d;
      logic signed [SumBits-1:0] product_q;

      if (Constant[lane]) begin : gen_constant
        localparam logic signed [MantissaBits-1:0] Factor =
            Factors[lane*MantissaBits +: MantissaBits];

        vecq_constant_multiplier #(
          .InputBits(NumberBits), .FactorBits(MantissaBits), .Factor(Factor)
        ) multiplier (
          .data_i(accumulator), .product_o(product_d)
        );

`ifdef VECQ_ASSERTIONS
        always_ff @(posedge clk_i) begin
          if (rst_ni && valid_q[Latency-5]) assert (mantissa == Factor);
        end
`endif
      end else begin : gen_any
        vecq_table_multiplier #(
          .LeftBits(NumberBits), .RightBits(MantissaBits), .CarryChoice(CarryChoice)
        ) multiplier (
          .left_i(accumulator), .right_i(mantissa), .product_o(product_d)
        );
      end

      assign product = product_q;
      always_ff @(posedge clk_i) begin
        if (advance) product_q <= SumBits'(product_d);
      end
    end

    assign extended = SumBits'(offset);

    if (ShiftBits > 0) begin : gen_whole
      logic signed [SumBits-1:0] sum_q;
      always_ff @(posedge clk_i) begin
        if (advance) sum_q <= product + extended;
      end
      assign shifted = sum_q >>> Shift >>> gen_further.sum_q[lane*ShiftBits +: ShiftBits];
    end else begin : gen_halves
      logic carry_q;
      logic signed [HighBits-1:0] product_q, offset_q, high;
      always_ff @(posedge clk_i) begin
        if (advance) begin
          carry_q   <= 1'(((LowBits+1)'(product[LowBits-1:0])
                           + (LowBits+1)'(extended[LowBits-1:0])) >> LowBits);
          product_q <= product[SumBits-1:LowBits];
          offset_q  <= extended[SumBits-1:LowBits];
        end
      end
      assign high    = HighBits'(({product_q, 1'b1} + {offset_q, carry_q}) >> 1);
      assign shifted = SumBits'(high >>> (Shift - LowBits));
    end

    always_ff @(posedge clk_i) begin
      if (advance) begin
        shifted_q <= shifted;
        below_q   <= 64'(shifted_q) < Lo;
        above_q   <= 64'(shifted_q) > Hi;
        low_q     <= OutputBits'(shifted_q);
      end
    end
  end

  vecq_pipeline_end #(
    .DataBits(Lanes * OutputBits), .Words(Room)
  ) pipeline_end (
    .clk_i, .rst_ni,
    .valid_i(valid_q[Latency-1]), .next_i(valid_q[Latency-2]), .data_i(results),
    .advance_o(advance), .hold_o(hold),
    .valid_o, .ready_i, .data_o
  );

  // What the parameters must be.
  if (Channels < 1 || AccumulatorBits < 1) begin : gen_rule_positive
    $error("vecq_rescale: Channels (%0d) and AccumulatorBits (%0d) must be at least 1",
           Channels, AccumulatorBits);
  end
  if (MantissaBits < 1 || OffsetBits < 1) begin : gen_rule_positive_mantissa_bits_offset_bits
    $error("vecq_rescale: MantissaBits (%0d) and OffsetBits (%0d) must be at least 1",
           MantissaBits, OffsetBits);
  end
  if (Lanes < 1 || Channels % Lanes != 0) begin : gen_rule_divides_lanes
    $error("vecq_rescale: Lanes (%0d) must divide Channels (%0d)", Lanes, Channels);
  end
  if (Shift < 1 || Shift > 62) begin : gen_rule_shift
    $error("vecq_rescale: Shift (%0d) must be 1 to 62", Shift);
  end
  if (Classes < 1 || Positions < 1) begin : gen_rule_positive_classes_positions
    $error("vecq_rescale: Classes (%0d) and Positions (%0d) must be at least 1",
           Classes, Positions);
  end
  if (Lo > Hi) begin : gen_rule_range
    $error("vecq_rescale: Lo (%0d) must not exceed Hi (%0d)", Lo, Hi);
  end
  if (OutputBits < 1 || OutputBits > 63 || Lo >>> (OutputBits - int'(Lo < 0)) < -1 ||
      Hi >>> (OutputBits - int'(Lo < 0)) > 0) begin : gen_rule_bits
    $error("vecq_rescale: OutputBits (%0d), 1 to 63, must hold Lo (%0d) and Hi (%0d)",
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
