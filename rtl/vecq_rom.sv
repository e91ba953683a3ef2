// SPDX-License-Identifier: Apache-2.0

// A memory that is only read; its words come from a file of hexadecimal numbers, one a line.
//
// The word of address_i is at data_o after 1 + Registers clock edges with enable_i.  With Bits it is
// a part of the file's words, from bit First on; several such memories share a file.  With several
// Ports each reads on its own, port 0 in the least significant bits; synthesis copies the memory
// where its blocks have fewer ports.
//
// More than MostInLuts words ask for block RAM, whose Registers stand behind it: the first is its
// own output register, further ones give placement room.  Fewer are look-up tables, one a bit up to
// 64 words; their Registers delay the address.  A MostInLuts below 64 is for words of 17 bits and
// more, of which a block RAM takes many.
module vecq_rom #(
  parameter int Words    = 1,
  parameter int WordBits = 8,
  parameter     File,
  parameter int First    = 0,
  parameter int Bits     = WordBits,
  parameter int Ports    = 1,
  parameter int MostInLuts = 64,
  parameter int Registers  = 0,
  localparam int AddressBits = Words > 1 ? $clog2(Words) : 1
) (
  input  logic                         clk_i,
  input  logic                         enable_i,
  input  logic [Ports*AddressBits-1:0] address_i,
  output logic [Ports*Bits-1:0]        data_o
);

  localparam int Most = MostInLuts < 64 && Bits < 17 ? 64 : MostInLuts;

  logic [Ports*Bits-1:0] data_q;

`ifdef SYNTHESIS
  // Synthesis looks for the file itself, and stops if there is none.
  localparam found = File;
`else
  vecq_memory_file #(.File(File), .Words(Words)) memory_file ();
  string found = memory_file.path();
`endif

  if (Words > Most) begin : gen_block
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
    if (Registers > 0) begin : gen_registers
      logic [Registers*Ports*Bits-1:0] later_q;
      assign data_o = later_q[(Registers-1)*Ports*Bits +: Ports*Bits];
      always_ff @(posedge clk_i) begin
        if (enable_i) later_q <= (Registers*Ports*Bits)'({later_q, data_q});
      end
    end else begin : gen_no_registers
      assign data_o = data_q;
    end
  end else begin : gen_distributed
    logic [Ports*AddressBits-1:0] address;

    if (Registers > 0) begin : gen_registers
      logic [Registers*Ports*AddressBits-1:0] addresses_q;
      assign address = addresses_q[(Registers-1)*Ports*AddressBits +: Ports*AddressBits];
      always_ff @(posedge clk_i) begin
        if (enable_i) addresses_q <= (Registers*Ports*AddressBits)'({addresses_q, address_i});
      end
    end else begin : gen_no_registers
      assign address = address_i;
    end
    assign data_o = data_q;

    logic [WordBits-1:0] memory [Words];
    initial $readmemh(found, memory);
    for (genvar port = 0; port < Ports; port++) begin : gen_port
      always_ff @(posedge clk_i) begin
        if (enable_i) begin
          data_q[port*Bits +: Bits] <=
              memory[address[port*AddressBits +: AddressBits]][First +: Bits];
        end
      end
    end
  end

  // What the parameters must be.
  if (Words < 1 || WordBits < 1 || Bits < 1 || Ports < 1) begin : gen_rule_positive
    $error("vecq_rom: Words (%0d), WordBits (%0d), Bits (%0d) and Ports (%0d) must be at least 1",
           Words, WordBits, Bits, Ports);
  end
  if (Registers < 0) begin : gen_rule_registers
    $error("vecq_rom: Registers (%0d) must be at least 0", Registers);
  end
  if (First < 0 || First + Bits > WordBits) begin : gen_rule_part
    $error("vecq_rom: bits %0d to %0d must lie within WordBits (%0d)",
           First, First + Bits - 1, WordBits);
  end

endmodule
