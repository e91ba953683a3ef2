// SPDX-License-Identifier: Apache-2.0

// Weight codes from a book: each block of neighbouring lanes of an output is a word of it.
//
// A step has Simd lanes of Pe outputs.  BookLanes weights are a word; either they divide Simd, and a
// step has an index for each Simd / BookLanes of them, or Simd divides them, and as many steps share
// an index.  Of the lanes, those of stage n, StageLanes each, are given n cycles later than those of
// the first.
//
// Memories, a line each of the following, least significant first:
//   indices: of word 0 for all Pe outputs, then of word 1; the steps of outputs 0..Pe-1 first
//   book: the codes of a word, lane 0 first; where steps share a word, a line for each step's part
//
// The indices are read in the cycle of their step, with Registers behind (vecq_rom), the words in
// the next one: codes are at codes_o 2 + Registers cycles behind their step.  Each output reads the book by itself, so it is stored
// Pe * Simd / BookLanes times, each word once.
module vecq_code_book #(
  parameter int Steps      = 1,
  parameter int Pe         = 1,
  parameter int Simd       = 1,
  parameter int WeightBits = 8,
  parameter int BookWords  = 2,
  parameter int BookLanes  = 1,
  parameter int StageLanes = 8,
  parameter int Registers  = 0,
  parameter     IndicesFile,
  parameter     BookFile
) (
  input  logic                          clk_i,
  input  logic                          rst_ni,
  input  logic                          enable_i,
  input  logic                          step_i,
  output logic [Simd*Pe*WeightBits-1:0] codes_o
);

  localparam int Parts     = BookLanes > Simd ? BookLanes / Simd : 1;
  localparam int WordLanes = BookLanes > Simd ? Simd : BookLanes;
  localparam int WordBits  = WordLanes * WeightBits;
  localparam int Lines     = BookWords * Parts;
  localparam int Fetches   = Steps / Parts;
  localparam int FetchBits = Fetches > 1 ? $clog2(Fetches) : 1;
  localparam int PartBits  = Parts > 1 ? $clog2(Parts) : 1;
  localparam int IndexBits = $clog2(BookWords);
  localparam int LineBits  = $clog2(Lines);
  localparam int Stages    = (Simd + StageLanes - 1) / StageLanes;

  // Which indices the step needs, now and at each later stage.
  logic [FetchBits-1:0] fetch_q;
  logic [Stages*FetchBits-1:0] fetches;
  logic last_part;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) fetch_q <= '0;
    else if (step_i && last_part) begin
      fetch_q <= fetch_q == FetchBits'(Fetches - 1) ? '0 : fetch_q + FetchBits'(1);
    end
  end

  assign fetches[FetchBits-1:0] = fetch_q;

  // Which part of their words, 1 + Registers cycles later.
  logic [Stages*PartBits-1:0] parts;

  if (Parts > 1) begin : gen_parts
    logic [PartBits-1:0] part_q;
    logic [(Registers+Stages)*PartBits-1:0] parts_q;

    assign last_part = part_q == PartBits'(Parts - 1);
    assign parts     = parts_q[Registers*PartBits +: Stages*PartBits];

    always_ff @(posedge clk_i) begin
      if (!rst_ni) part_q <= '0;
      else if (step_i) part_q <= last_part ? '0 : part_q + PartBits'(1);
    end

    always_ff @(posedge clk_i) begin
      if (enable_i) parts_q <= ((Registers+Stages)*PartBits)'({parts_q, part_q});
    end
  end else begin : gen_whole_words
    assign last_part = 1'b1;
    assign parts     = '0;
  end

  for (genvar stage = 0; stage < Stages; stage++) begin : gen_stage
    localparam int First = stage * StageLanes;
    localparam int End   = First + StageLanes < Simd ? First + StageLanes : Simd;
    // The words that have lanes in this stage.
    localparam int FirstWord = First / WordLanes;
    localparam int Words     = (End - 1) / WordLanes - FirstWord + 1;

    logic [Words*Pe*IndexBits-1:0] indices;

    if (stage > 0) begin : gen_later
      logic [FetchBits-1:0] fetch_later_q;
      assign fetches[stage*FetchBits +: FetchBits] = fetch_later_q;
      always_ff @(posedge clk_i) begin
        if (enable_i) fetch_later_q <= fetches[(stage-1)*FetchBits +: FetchBits];
      end
    end

    vecq_rom #(
      .Words(Fetches), .WordBits(Simd / WordLanes * Pe * IndexBits), .File(IndicesFile),
      .First(FirstWord * Pe * IndexBits), .Bits(Words * Pe * IndexBits),
      .Registers(Registers)
    ) index_rom (
      .clk_i, .enable_i, .address_i(fetches[stage*FetchBits +: FetchBits]), .data_o(indices)
    );

    for (genvar word = 0; word < Words; word++) begin : gen_word
      // Its first and last lane in this stage.
      localparam int Begin = (FirstWord + word) * WordLanes;
      localparam int From  = Begin > First ? Begin : First;
      localparam int Till  = Begin + WordLanes < End ? Begin + WordLanes : End;

      for (genvar pe = 0; pe < Pe; pe++) begin : gen_pe
        logic [IndexBits-1:0] index;
        logic [LineBits-1:0] line;
        logic [(Till-From)*WeightBits-1:0] codes;

        assign index = indices[(word*Pe+pe)*IndexBits +: IndexBits];
        assign line  = LineBits'(index) * LineBits'(Parts)
                       + LineBits'(parts[stage*PartBits +: PartBits]);

        vecq_rom #(
          .Words(Lines), .WordBits(WordBits), .File(BookFile),
          .First((From - Begin) * WeightBits), .Bits((Till - From) * WeightBits)
        ) book_rom (
          .clk_i, .enable_i, .address_i(line), .data_o(codes)
        );

        for (genvar lane = From; lane < Till; lane++) begin : gen_lane
          assign codes_o[(lane*Pe+pe)*WeightBits +: WeightBits] =
              codes[(lane-From)*WeightBits +: WeightBits];
        end
      end
    end
  end

  // What the parameters must be.
  if (Steps < 1 || Pe < 1 || Simd < 1) begin : gen_rule_positive
    $error("vecq_code_book: Steps (%0d), Pe (%0d) and Simd (%0d) must be at least 1",
           Steps, Pe, Simd);
  end
  if (WeightBits < 1 || BookWords < 2 || StageLanes < 1) begin : gen_rule_positive_weight_bits
    $error("vecq_code_book: WeightBits (%0d), StageLanes (%0d) are at least 1, BookWords (%0d) 2",
           WeightBits, StageLanes, BookWords);
  end
  if (Registers < 0) begin : gen_rule_registers
    $error("vecq_code_book: Registers (%0d) must be at least 0", Registers);
  end
  if (BookLanes < 1 || Simd % BookLanes != 0 && BookLanes % Simd != 0) begin : gen_rule_lanes
    $error("vecq_code_book: BookLanes (%0d) must divide Simd (%0d), or Simd BookLanes",
           BookLanes, Simd);
  end
  if (Steps % Parts != 0) begin : gen_rule_steps
    $error("vecq_code_book: Steps (%0d) must be a multiple of the parts of a word (%0d)",
           Steps, Parts);
  end

endmodule
