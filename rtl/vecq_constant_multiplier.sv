// SPDX-License-Identifier: Apache-2.0

// data_i * Factor, both signed, in carry chains; no register.
//
// Factor is taken in the fewest digits 1, 0 and -1, which are those of its bits' differences:
// 3 * Factor - Factor, bit by bit, is twice as much.  For each digit that is not 0 there is a shifted
// copy of data_i, and a tree adds or subtracts them, the low bits of the lower term passing by.  A term
// whose digits are all -1 is kept without its sign until it is subtracted.
//
// Yosys 0.70 would make a copy for each bit of Factor, also for zeros, and add three at a time in
// tables.
module vecq_constant_multiplier #(
  parameter int InputBits  = 8,
  parameter int FactorBits = 8,
  parameter logic signed [FactorBits-1:0] Factor = 1
) (
  input  logic signed [InputBits-1:0]            data_i,
  output logic signed [InputBits+FactorBits-1:0] product_o
);

  localparam int Places = FactorBits + 2;
  localparam logic signed [Places-1:0] Once   = Places'(Factor);
  localparam logic signed [Places-1:0] Thrice = Once + Once + Once;
  localparam logic [Places-1:0] Plus   = (Thrice & ~Once) >> 1;
  localparam logic [Places-1:0] Minus  = (Once & ~Thrice) >> 1;
  localparam int Digits  = $countones(Plus | Minus);
  localparam int Levels  = Digits > 1 ? $clog2(Digits) : 0;
  localparam int SumBits = InputBits + Places;

  // Where a digit that is not 0 stands; number 0 is the lowest one.
  function automatic int place(int number);
    int found;
    found = 0;
    place = 0;
    for (int n = 0; n < Places; n++) begin
      if (Plus[n] || Minus[n]) begin
        if (found == number) place = n;
        found++;
      end
    end
  endfunction

  // What the digits from one to another are together, shifted down to the first of them.
  function automatic logic signed [Places-1:0] value(int first, int last);
    value = '0;
    for (int n = place(last); n >= place(first); n--) begin
      value = value + value + Places'(Plus[n]) - Places'(Minus[n]);
    end
  endfunction

  // Whether all of them are -1.
  function automatic bit is_negated(int first, int last);
    is_negated = 1'b1;
    for (int n = place(first); n <= place(last); n++) is_negated &= !Plus[n];
  endfunction

  // The bits of data_i times their value.
  function automatic int bits_of(int first, int last);
    logic signed [Places-1:0] each;
    each    = value(first, last);
    bits_of = InputBits + $clog2(each < 0 ? -each : each);
  endfunction

  // Level 0 holds a copy for each digit, each further one the sums of two terms of that before it.
  for (genvar level = 0; level <= Levels; level++) begin : gen_level
    localparam int Count = (Digits + (1 << level) - 1) >> level;
    logic signed [SumBits-1:0] terms [Count + int'(Count == 0)];

    for (genvar n = 0; n < Count; n++) begin : gen_term
      localparam int First  = n << level;
      localparam int Middle = First + (1 << level) / 2;
      localparam int Last   = ((n + 1) << level) < Digits ? ((n + 1) << level) - 1 : Digits - 1;

      if (level == 0) begin : gen_copy
        assign terms[n] = SumBits'(data_i);
      end else if (Middle > Last) begin : gen_one
        assign terms[n] = gen_level[level-1].terms[2*n];
      end else begin : gen_two
        localparam int Bits      = bits_of(First, Last);
        localparam int Step      = place(Middle) - place(First);
        localparam bit LowMinus  = is_negated(First, Middle - 1);
        localparam bit HighMinus = is_negated(Middle, Last);

        if (LowMinus && !HighMinus) begin : gen_low_off
          logic signed [Bits-1:0] sum;

          vecq_adder #(
            .PlainBits(Bits), .LogicBits(Bits), .SumBits(Bits)
          ) adder (
            .plain_i({gen_level[level-1].terms[2*n+1][Bits-Step-1:0], {Step{1'b0}}}),
            .logic_i(~gen_level[level-1].terms[2*n][Bits-1:0]), .carry_i(1'b1), .sum_o(sum)
          );

          assign terms[n] = SumBits'(sum);
        end else begin : gen_high
          localparam int HighBits = Bits - Step;
          localparam bit Off      = HighMinus && !LowMinus;
          logic signed [HighBits-1:0] sum;

          vecq_adder #(
            .PlainBits(HighBits), .LogicBits(HighBits), .SumBits(HighBits), .Ready(!Off)
          ) adder (
            .plain_i(gen_level[level-1].terms[2*n][Bits-1:Step]),
            .logic_i(gen_level[level-1].terms[2*n+1][HighBits-1:0] ^ {HighBits{Off}}),
            .carry_i(Off), .sum_o(sum)
          );

          assign terms[n] = SumBits'(signed'({sum, gen_level[level-1].terms[2*n][Step-1:0]}));
        end
      end
    end
  end

  if (Digits == 0) begin : gen_zero
    assign product_o = '0;
  end else begin : gen_product
    localparam int ProductBits = InputBits + FactorBits;
    logic signed [SumBits-1:0] term;
    logic signed [ProductBits-1:0] placed;

    assign term      = gen_level[Levels].terms[0];
    assign placed    = ProductBits'(term <<< place(0));
    assign product_o = is_negated(0, Digits - 1) ? -placed : placed;
  end

  // What the parameters must be.
  if (InputBits < 1 || FactorBits < 1) begin : gen_rule_positive
    $error("vecq_constant_multiplier: InputBits (%0d) and FactorBits (%0d) must be at least 1",
           InputBits, FactorBits);
  end

endmodule
