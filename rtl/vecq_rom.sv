// SPDX-License-Identifier: Apache-2.0

// A memory that is only read; its words come from a file of hexadecimal numbers, one a line.
//
// The word of address_i is at data_o after a clock edge with enable_i.  With Bits it is a part of
// the file's words, from bit First on; several such memories share a file.  More than MostInLuts
// words ask for block RAM; up to 64 take one look-up table a bit.  With several Ports each reads
// on its own, port 0 in the least significant bits; synthesis copies the memory where its blocks
// have fewer ports.
module vecq_rom #(
  parameter int Words    = 1,
  parameter int WordBits = 8,
  parameter     File,
  parameter int First    = 0,
  parameter int Bits     = WordBits,
  parameter int Ports    = 1,
  parameter int MostInLuts = 64,
  localparam int AddressBits = Words > 1 ? $clog2(Words) : 1
) (
  input  logic                         clk_i,
  input  logic                         enable_i,
  input  logic [Ports*AddressBits-1:0] address_i,
  output logic [Ports*Bits-1:0]        data_o
);

  logic [Ports*Bits-1:0] data_q;

  assign data_o = data_q;

`ifdef SYNTHESIS
  // Synthesis looks for the file itself, and stops if there is none.
  localparam found = File;
`else
  vecq_memory_file #(.File(File), .Words(Words)) memory_file ();
  string found = memory_file.path();
`endif

  if (Words > MostInLuts) begin : gen_block
    (* rom_style = "block" *) logic [WordBits-1:0] memory [Words];
    initial $readmemh(found, memory);
    for (genvar port = 0; port < Ports; port++) begin : gen_port
      always_ff @(posedge clk_i) begin
        if (enable_i) begin
          data_q[port*Bits +: Bits] <=
              memory[address_i[port*AddressBits +: AddressBits]][First +: Bits];
        end
      end
    end
  end else begin : gen_distributed
    logic [WordBits-1:0] memory [Words];
    initial $readmemh(found, memory);
    for (genvar port = 0; port < Ports; port++) begin : gen_port
      always_ff @(posedge clk_i) begin
        if (enable_i) begin
          data_q[port*Bits +: Bits] <=
              memory[address_i[port*AddressBits +: AddressBits]][First +: Bits];
        end
      end
    end
  end

  // What the parameters must be.
  if (Words < 1 || WordBits < 1 || Bits < 1 || Ports < 1) begin : gen_rule_positive
    $error("vecq_rom: Words (%0d), WordBits (%0d), Bits (%0d) and Ports (%0d) must be at least 1",
           Words, WordBits, Bits, Ports);
  end
  if (First < 0 || First + Bits > WordBits) begin : gen_rule_part
    $error("vecq_rom: bits %0d to %0d must lie within WordBits (%0d)",
           First, First + Bits - 1, WordBits);
  end

endmodule
