// SPDX-License-Identifier: Apache-2.0

// Each element replaced by the entry that it addresses in a table: one table for all channels, or
// one for each.
//
// A frame is Channels elements, Lanes of them a word.  A table has 2^InputBits entries; the bits of
// an element are the address, so that of signed elements the negative ones lie in the upper half.
// With one table the file has its entries, one a line, and every lane reads it.  With OwnTables it
// has a table for each word of the frame, one behind the other; a line holds an entry for each
// lane, lane 0 in the least significant bits.
//
// Up to MostInLuts lines a table is logic, beyond that block RAM.
//
// A word every cycle; it stands still while its word is not taken: ready_o depends on ready_i within
// the cycle.  Latency: 1 cycle.
module vecq_lookup #(
  parameter int Channels   = 1,
  parameter int Lanes      = 1,
  parameter int InputBits  = 8,
  parameter int OutputBits = 8,
  parameter bit OwnTables  = 1'b0,
  parameter int MostInLuts = 256,
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

  logic valid_q, advance;

  assign advance = !valid_q || ready_i;
  assign ready_o = advance;
  assign valid_o = valid_q;

  always_ff @(posedge clk_i) begin
    if (!rst_ni) valid_q <= 1'b0;
    else if (advance) valid_q <= valid_i;
  end

  if (OwnTables) begin : gen_own
    localparam int Words       = Channels / Lanes;
    localparam int WordBits    = Words > 1 ? $clog2(Words) : 1;
    localparam int Lines       = Words << InputBits;
    localparam int AddressBits = $clog2(Lines);
    // Which word of the frame comes next.
    logic [WordBits-1:0] word_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) word_q <= '0;
      else if (advance && valid_i) begin
        word_q <= word_q == WordBits'(Words - 1) ? '0 : word_q + WordBits'(1);
      end
    end

    for (genvar lane = 0; lane < Lanes; lane++) begin : gen_lane
      vecq_rom #(
        .Words(Lines), .WordBits(Lanes * OutputBits), .File(File),
        .First(lane * OutputBits), .Bits(OutputBits), .MostInLuts(MostInLuts)
      ) tables (
        .clk_i,
        .enable_i (advance),
        .address_i(AddressBits'({word_q, data_i[lane*InputBits +: InputBits]})),
        .data_o   (data_o[lane*OutputBits +: OutputBits])
      );
    end
  end else begin : gen_one
    // Lanes of a memory: yosys weighs all ways of sharing its ports out, with 16 beyond 20 GB.
    localparam int Most = 8;
    for (genvar lane = 0; lane < Lanes; lane += Most) begin : gen_lanes
      localparam int Ports = lane + Most < Lanes ? Most : Lanes - lane;
      vecq_rom #(
        .Words(1 << InputBits), .WordBits(OutputBits), .File(File),
        .Ports(Ports), .MostInLuts(MostInLuts)
      ) table_of_all (
        .clk_i,
        .enable_i (advance),
        .address_i(data_i[lane*InputBits +: Ports*InputBits]),
        .data_o   (data_o[lane*OutputBits +: Ports*OutputBits])
      );
    end
  end

  // What the parameters must be.
  if (Channels < 1 || OutputBits < 1) begin : gen_rule_positive
    $error("vecq_lookup: Channels (%0d) and OutputBits (%0d) must be at least 1",
           Channels, OutputBits);
  end
  if (InputBits < 1 || InputBits > 12) begin : gen_rule_input_bits
    $error("vecq_lookup: InputBits (%0d) must be 1 to 12", InputBits);
  end
  if (Lanes < 1 || Channels % Lanes != 0) begin : gen_rule_divides_lanes
    $error("vecq_lookup: Lanes (%0d) must divide Channels (%0d)", Lanes, Channels);
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
