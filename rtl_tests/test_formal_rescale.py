"""Both rescale cells give the contract's numbers, for all words, constants and stalls.

Rule 4: ``out = clamp((acc * m + b + 2^(s-1)) >> s, lo, hi)``, here as inequalities that only one
number fulfils: ``lo <= out <= hi``; ``out * 2^s <= total`` unless out is lo; and
``total < (out + 1) * 2^s`` unless out is hi, where ``total = acc * m + b + 2^(s-1)``.

A multiplication of wide words is too hard for the solver.  It is composed:

1. ``vecq_rescale`` with any function of two words in the place of its ``*``: whatever number p,
   within the range of products, the function gives for the accumulator and the mantissa of the
   word's own channel, extended: what comes out is the contract's with p for ``acc * m``.  With
   ``*`` for the function that is rule 4 on its whole range.
2. ``vecq_rescale_serial``, by induction over its cycles: after i of them its register is the sum of
   all ``(m_j * acc + c_j) * 2^j``, j < i, without its low i bits, and what comes out is the
   contract's for the sum over all bits of mantissa and constant, the sign's counted negative.  That
   sum is ``acc * m + b + 2^(s-1)``, since multiplication is distributive; where the shift is less
   than the mantissa's bits, all of it and the shift are as many bits larger as AlignBits says.
3. Both once more with few bits and nothing cut out, compared with ``acc * m`` itself.

The memories hold anything, and so do the words: one of them is watched through the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtl_tests.formal import Stream, prove
from tests.shares import named, nightly

CONTRACT = """
  function automatic logic contract(
    logic signed [Wide-1:0] total, logic [OutputBits-1:0] word, logic [6:0] shift
  );
    logic signed [Wide-1:0] result;
    result   = Lo < 0 ? Wide'(signed'(word)) : Wide'(word);
    contract = result >= Wide'(Lo) && result <= Wide'(Hi)
            && (result == Wide'(Lo) || (result <<< shift) <= total)
            && (result == Wide'(Hi) || total < ((result + Wide'(1)) <<< shift));
  endfunction
"""

# The word that is watched comes as word ``number`` of a frame, with ``element`` in its lane.
PIPELINE = """
  localparam int MostShift = Shift + (1 << ShiftBits) - 1;
  localparam int Wide = (SumBits > OutputBits + MostShift ? SumBits : OutputBits + MostShift) + 3;
  (* anyconst *) logic [AccumulatorBits-1:0] element;
  (* anyconst *) logic [AddressBits-1:0] number;
  (* hierconn *) logic [Words*Lanes*MantissaBits-1:0] \\mantissa_rom.gen_distributed.contents ;
  (* hierconn *) logic [Words*Lanes*OffsetBits-1:0] \\offset_rom.gen_distributed.contents ;
  logic signed [SumBits-1:0] factor, own_mantissa, product;
  logic signed [Wide-1:0] own_offset, exact;
  assign factor = InputSigned ? SumBits'(signed'(element)) : SumBits'(element);
  assign own_mantissa = SumBits'(signed'(
      \\mantissa_rom.gen_distributed.contents [(number*Lanes+Lane)*MantissaBits +: MantissaBits]));
  assign own_offset = Wide'(signed'(
      \\offset_rom.gen_distributed.contents [(number*Lanes+Lane)*OffsetBits +: OffsetBits]));
  // acc * m + b + 2^(shift-1), as the memories have it.
  assign exact = Wide'(product) + own_offset;
{shift}

  logic started = 1'b0;
  logic [AddressBits-1:0] index_q = '0;
  logic [Latency-1:0] came_q = '0, watched_q = '0;
  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    if (started && ready_o) begin
      came_q    <= {came_q[Latency-2:0], valid_i};
      watched_q <= {watched_q[Latency-2:0], valid_i && index_q == number
                    && data_i[Lane*AccumulatorBits +: AccumulatorBits] == element};
      if (valid_i) index_q <= 32'(index_q) + 1 == Words ? '0 : index_q + AddressBits'(1);
    end
  end

  // The register at the end has room for two words: where the watched one is.
  (* hierconn *) logic [Lanes*OutputBits-1:0] \\pipeline_end.gen_two.spare_q ;
  (* hierconn *) logic \\pipeline_end.gen_two.spare_valid_q ;
  logic [Lanes*OutputBits-1:0] spare;
  logic spare_free, held_q = 1'b0, spare_q = 1'b0;
  assign spare      = \\pipeline_end.gen_two.spare_q ;
  assign spare_free = ! \\pipeline_end.gen_two.spare_valid_q ;
  always_ff @(posedge clk_i) begin
    if (!started) {held_q, spare_q} <= '0;
    else if (!valid_o || ready_i) begin
      held_q  <= spare_free ? advance && watched_q[5] : spare_q;
      spare_q <= 1'b0;
    end else if (spare_free) begin
      spare_q <= advance && watched_q[5];
    end
  end

  function automatic logic is_right(logic [Lanes*OutputBits-1:0] word);
    is_right = contract(exact, word[Lane*OutputBits +: OutputBits], shift);
  endfunction

  always_comb begin
    assume (Wide'(product) <= Wide'(1) <<< (AccumulatorBits + MantissaBits - 1));
    assume (Wide'(product) >= -(Wide'(1) <<< (AccumulatorBits + MantissaBits - 1)));
    if (SumBits == 64) assume (exact >= -(Wide'(1) <<< 62) && exact < (Wide'(1) <<< 63));
    if (started) begin
      assert (word_q == index_q && 32'(index_q) < Words && valid_q == came_q);
      if (watched_q[0]) assert (read_q[Lane*AccumulatorBits +: AccumulatorBits] == element);
      if (watched_q[0]) assert (
          SumBits'(signed'(mantissas[Lane*MantissaBits +: MantissaBits])) == own_mantissa);
      if (watched_q[0]) assert (
          Wide'(signed'(offsets[Lane*OffsetBits +: OffsetBits])) == own_offset);
      if (watched_q[1]) assert (SumBits'(gen_lane[Lane].accumulator) == factor);
      if (watched_q[1]) assert (SumBits'(gen_lane[Lane].mantissa) == own_mantissa);
      if (watched_q[1]) assert (
          Wide'(signed'(offsets_q[Lane*OffsetBits +: OffsetBits])) == own_offset);
      if (watched_q[2]) assert (gen_lane[Lane].product == product);
      if (watched_q[2]) assert (Wide'(gen_lane[Lane].offset) == own_offset);
      if (watched_q[4]) assert (Wide'(gen_lane[Lane].shifted_q) == exact >>> shift);
      if (watched_q[5]) assert (is_right(results));
      if (held_q) assert (valid_o && is_right(data_o));
      if (spare_q) assert (!spare_free && valid_o && is_right(spare));
      assert ((watched_q & ~came_q) == '0 && (spare_free || valid_o));
      assert (!(advance && valid_q[5] && !spare_free));
      assert (advance || (valid_q[5] && !spare_free));
    end
  end
"""

# The shift of the watched word's channel.
ONE_SHIFT = """
  logic [6:0] shift;
  assign shift = 7'(Shift);
  always_comb if (started) begin
    if (watched_q[3]) assert (Wide'(gen_lane[Lane].gen_halves.high) == exact >>> LowBits);
  end
"""
SHIFT_MEMORY = "\\gen_further.shift_rom.gen_distributed.contents "
OWN_SHIFT = f"""
  (* hierconn *) logic [Words*Lanes*ShiftBits-1:0] {SHIFT_MEMORY};
  logic [6:0] shift;
  assign shift = 7'(Shift) + 7'({SHIFT_MEMORY} [(number*Lanes+Lane)*ShiftBits +: ShiftBits]);
  always_comb if (started) begin
    if (watched_q[0]) assert (
        Shift + 32'(gen_further.read[Lane*ShiftBits +: ShiftBits]) == 32'(shift));
    if (watched_q[1]) assert (
        Shift + 32'(gen_further.factor_q[Lane*ShiftBits +: ShiftBits]) == 32'(shift));
    if (watched_q[2]) assert (
        Shift + 32'(gen_further.product_q[Lane*ShiftBits +: ShiftBits]) == 32'(shift));
    if (watched_q[3]) assert (
        Shift + 32'(gen_further.sum_q[Lane*ShiftBits +: ShiftBits]) == 32'(shift));
    if (watched_q[3]) assert (Wide'(gen_lane[Lane].gen_whole.sum_q) == exact);
  end
"""
ONE_SHIFT_SERIAL = """
  logic [6:0] shift;
  assign shift = 7'(Shift + AlignBits);
"""
# What is added to the sum, where tables and where carry cells of ECP5 take the complement.
IN_TABLES = "gen_unit[Unit].gen_table.term"
IN_CARRIES = "gen_unit[Unit].added_q ^ {SumBits{gen_unit[Unit].minus_q}}"
ADDRESS = "gen_distributed.gen_registers.addresses_q"
OWN_SHIFT_SERIAL = f"""
  (* hierconn *) logic [AllTurns*Units*ShiftBits-1:0] {SHIFT_MEMORY};
  (* hierconn *) logic [RestAddressBits-1:0] \\gen_further.shift_rom.{ADDRESS} ;
  logic [6:0] shift;
  assign shift = 7'(Shift + AlignBits)
      + 7'({SHIFT_MEMORY} [((number*Turns+Turn)*Units+Unit)*ShiftBits +: ShiftBits]);
  always_comb if (started) begin
    if (filled_q) assert ( \\gen_further.shift_rom.{ADDRESS} == line);
    if (read_rest_q) assert (gen_further.read[Unit*ShiftBits +: ShiftBits]
        == {SHIFT_MEMORY} [(32'(read_line_q)*Units+Unit)*ShiftBits +: ShiftBits]);
    if (mine && rest && hit_q[2]) assert (
        Shift + AlignBits + 32'(gen_further.read[Unit*ShiftBits +: ShiftBits]) == 32'(shift));
    if (hit_result_q) assert (
        Shift + AlignBits + 32'(further[Unit*ShiftBits +: ShiftBits]) == 32'(shift));
  end
"""

# Any function in the place of the product; what it gives for the watched word is a constant.
ANY_PRODUCT = """
  (* anyconst *) logic signed [SumBits-1:0] any_product;
  (* anyseq *) logic signed [SumBits-1:0] another_product;
  function automatic logic signed [SumBits-1:0] some_function(
    logic signed [SumBits-1:0] a, logic signed [SumBits-1:0] b
  );
    some_function = a == factor && b == own_mantissa ? any_product : another_product;
  endfunction
  assign product = any_product;
"""
PRODUCT = """
  assign product = factor * own_mantissa;
"""
CUT = (
    "SumBits'(accumulator) * SumBits'(mantissa)",
    "some_function(SumBits'(accumulator), SumBits'(mantissa))",
)

# The watched word again, and a sum of the proof's own: that of all mantissa bits times the element
# and all bits of the constant.  It is halved at each step like the cell's, and loses nothing: each
# step's term has M zeros below, and as many bits of the sum are 0 as there are steps to come.
SERIAL = """
  localparam int Unit  = Lane % Units;
  localparam int Turn  = Lane / Units;
  localparam int Words = Channels / Lanes;
  localparam int M     = MantissaBits;
  localparam int ProductBits = HeldBits + 1 + M;
  localparam int ConstantBits = RestBits + M;
  localparam int MostBits = ProductBits > ConstantBits ? ProductBits : ConstantBits;
  localparam int MostShift = Shift + AlignBits + (1 << ShiftBits) - 1;
  localparam int Wide = (MostBits > OutputBits + MostShift ? MostBits : OutputBits + MostShift) + 3;
  (* anyconst *) logic [AccumulatorBits-1:0] element;
  (* anyconst *) logic [RestAddressBits-1:0] number;
  (* hierconn *) logic [AllBits*2*Units-1:0] \\bit_rom.gen_distributed.contents ;
  (* hierconn *) logic [AllTurns*Units*RestBits-1:0] \\rest_rom.gen_distributed.contents ;
  logic signed [Wide-1:0] factor, own_rest, total;
  logic [M-1:0] mantissa, constant;
  assign factor   = (InputSigned ? Wide'(signed'(element)) : Wide'(element)) <<< AlignBits;
  assign own_rest = Wide'(signed'(
      \\rest_rom.gen_distributed.contents [((number*Turns+Turn)*Units+Unit)*RestBits +: RestBits]));
{shift}
  for (genvar place = 0; place < M; place++) begin : gen_place
    assign {constant[place], mantissa[place]} = \\bit_rom.gen_distributed.contents [
        (((number*Turns+Turn)*M+place)*Units+Unit)*2 +: 2];
  end

  (* hierconn *) logic [BitAddressBits-1:0] \\bit_rom.gen_distributed.gen_registers.addresses_q ;
  (* hierconn *) logic [RestAddressBits-1:0] \\rest_rom.gen_distributed.gen_registers.addresses_q ;

  logic started = 1'b0;
  // The word that is worked on, of its frame; its line in the memory of rests.
  logic [RestAddressBits-1:0] index_q = '0, line, read_line_q = '0;
  // Whether it is the watched one; the same of what was chosen, and of what is added.
  logic [2:0] hit_q = '0;
  logic [CountBits-1:0] read_count_q = '0, add_count_q = '0;
  logic [TurnBits-1:0] read_turn_q = '0, add_turn_q = '0, result_turn_q = '0;
  // Where the watched word's result waits among those of its unit.
  logic [TurnBits-1:0] place_q = '0;
  logic hit_result_q = 1'b0, hit_last_q = 1'b0, hit_valid_q = 1'b0, stored_q = 1'b0;
  logic out_q = 1'b0;                        // a word is in the register at the end
  logic [Lanes*OutputBits-1:0] given_q = '0; // which is this one
  logic [CountBits-1:0] steps_q = '0;        // so many bits of each are in the sum
  logic [M-1:0] zeros_q = '1;                // and these of its own are 0
  logic signed [Wide-1:0] sum_q = '0, term, doubled;
  logic mine, first, rest, add_done;
  logic [31:0] coming;                       // the bit that is asked for next

  assign line     = RestAddressBits'(32'(index_q) * Turns + 32'(turn_q));
  assign mine     = add_busy_q && add_turn_q == TurnBits'(Turn);
  assign first    = add_count_q == '0;
  assign rest     = 32'(add_count_q) == M;
  assign add_done = rest && add_turn_q == TurnBits'(Turns - 1);
  assign coming   = 32'(count_q) < M ? 32'(line) * M + 32'(count_q)
                                     : 32'(line) + 1 == AllTurns ? 0 : (32'(line) + 1) * M;
  assign term     = !mantissa[add_count_q] ? '0
                  : 32'(add_count_q) == M - 1 ? -factor - Wide'(1) : factor;
  assign doubled  = (first ? '0 : sum_q) + ((term + Wide'(constant[add_count_q])) <<< M);
  always_ff @(posedge clk_i) begin
    started <= 1'b1;
    if (started && !busy_q) hit_q[0] <= valid_i && index_q == number
        && data_i[Lane*AccumulatorBits +: AccumulatorBits] == element;
    if (started && !valid_o) {out_q, given_q} <= {advance && valid_q, results};
    else if (started && ready_i) out_q <= 1'b0;
    if (started && advance) begin
      if (done) index_q <= 32'(index_q) + 1 == Words ? '0 : index_q + RestAddressBits'(1);
      {hit_q[2:1], read_count_q, add_count_q} <= {hit_q[1:0], count_q, read_count_q};
      {read_turn_q, add_turn_q, result_turn_q} <= {turn_q, read_turn_q, add_turn_q};
      read_line_q <= line;
      if (mine && !rest) begin
        steps_q <= add_count_q + CountBits'(1);
        zeros_q <= (first ? '1 : zeros_q) >> 1;
        sum_q   <= doubled >>> 1;
      end
      hit_result_q <= mine && rest && hit_q[2];
      hit_last_q   <= add_busy_q && add_done && hit_q[2];
      hit_valid_q  <= hit_last_q;
      if (result_q && result_turn_q == TurnBits'(Turn)) stored_q <= hit_result_q;
      else if (valid_q) stored_q <= 1'b0;
      if (result_q) place_q <= result_turn_q == TurnBits'(Turn) ? TurnBits'(Turns - 1)
                                                                : place_q - TurnBits'(1);
    end
  end

  // acc * m + b + 2^(shift-1), as the memories have it.
  assign total = sum_q + (own_rest <<< M);

  always_comb if (started) begin
    // Where the cell stands.
    assert (32'(count_q) <= M && 32'(turn_q) < Turns && 32'(index_q) < Words);
    assert (busy_q || (count_q == '0 && turn_q == '0));
    assert (last_bit_q == (32'(count_q) == M - 1) && at_rest_q == (32'(count_q) == M));
    assert (filled_q || !(busy_q || read_busy_q || add_busy_q || result_q || valid_q));
    assert (hold == !advance);
    assert (filled_q || (index_q == '0 && advance && bit_q == '0 && rest_q == '0));
    // Where what was chosen and what is added stand: a step behind each other.
    assert (32'(read_count_q) <= M && 32'(add_count_q) <= M);
    assert (!read_busy_q || 32'(read_turn_q) < Turns);
    assert (read_rest_q == (32'(read_count_q) == M) && add_rest_q == rest);
    assert (!read_busy_q || read_last_bit_q == (32'(read_count_q) == M - 1));
    assert (read_done_q == (read_rest_q && 32'(read_turn_q) + 1 == Turns));
    assert (add_done_q == (add_rest_q && 32'(add_turn_q) + 1 == Turns));
    assert (result_done_q == (result_q && 32'(result_turn_q) + 1 == Turns));
    assert (read_busy_q || read_count_q == '0);
    assert (add_busy_q || add_count_q == '0);
    if (count_q != '0) assert (read_busy_q && read_count_q + CountBits'(1) == count_q
        && read_turn_q == turn_q && read_line_q == line && hit_q[1] == hit_q[0]);
    else if (turn_q != '0) assert (busy_q && read_rest_q && read_turn_q + TurnBits'(1) == turn_q
        && hit_q[1] == hit_q[0]);
    else assert (!read_busy_q || (read_rest_q && 32'(read_turn_q) + 1 == Turns && !busy_q));
    if (read_busy_q && read_count_q != '0) assert (add_busy_q
        && add_count_q + CountBits'(1) == read_count_q && add_turn_q == read_turn_q
        && hit_q[2] == hit_q[1]);
    else if (read_busy_q && read_turn_q != '0) assert (rest
        && add_turn_q + TurnBits'(1) == read_turn_q && hit_q[2] == hit_q[1]);
    else if (read_busy_q) assert (!add_busy_q);
    else assert (!add_busy_q || (rest && 32'(add_turn_q) + 1 == Turns));
    assert (!result_q || (first && !valid_q && 32'(result_turn_q) < Turns));
    assert (!result_q || (add_busy_q ? 32'(add_turn_q) == 32'(result_turn_q) + 1
                                     : 32'(result_turn_q) + 1 == Turns));
    assert (!(add_busy_q && add_turn_q != '0 && first) || result_q);
    assert (!valid_q || !add_busy_q || (first && add_turn_q == '0));
    // What it reads.
    if (filled_q) assert ( \\bit_rom.gen_distributed.gen_registers.addresses_q == coming
        && 32'(bit_q) == (coming + 1 == AllBits ? 0 : coming + 1));
    if (filled_q) assert ( \\rest_rom.gen_distributed.gen_registers.addresses_q == line
        && 32'(rest_q) == (32'(line) + 1 == AllTurns ? 0 : 32'(line) + 1));
    if (read_busy_q && !read_rest_q) assert (bits[2*Unit +: 2]
        == \\bit_rom.gen_distributed.contents [
            ((32'(read_line_q)*M+32'(read_count_q))*Units+Unit)*2 +: 2]);
    if (read_rest_q) assert (rests[Unit*RestBits +: RestBits]
        == \\rest_rom.gen_distributed.contents [
            (32'(read_line_q)*Units+Unit)*RestBits +: RestBits]);
    if (busy_q && hit_q[0]) assert (index_q == number
        && word_q[Lane*AccumulatorBits +: AccumulatorBits] == element);
    if (read_busy_q && hit_q[1] && read_turn_q == TurnBits'(Turn)) assert (
        32'(read_line_q) == number * Turns + Turn);
    if (read_busy_q) assert (32'(choice_q)
        == (CarryChoice && read_rest_q ? Turns : 32'(read_turn_q)));
    if (mine && hit_q[2]) assert (Wide'(signed'({added})) + Wide'(gen_unit[Unit].carry_q)
        == (rest ? own_rest : term + Wide'(constant[add_count_q])));
    // The sums.
    if (mine && !first) assert (steps_q == add_count_q && zeros_q == {M{1'b1}} >> add_count_q);
    if (!(mine && !first)) assert (steps_q == '0 || steps_q == CountBits'(M));
    assert ((sum_q[M-1:0] & zeros_q) == '0 && (!(mine && !rest) || !doubled[0]));
    if (add_busy_q && first) assert (gen_unit[Unit].held_q == '0);
    if (!add_busy_q && read_busy_q) assert (first);
    if (mine && !first && hit_q[2]) assert (Wide'(gen_unit[Unit].held_q) == sum_q >>> M);
    // The result and the word that holds it.
    if (hit_result_q) assert (result_q && result_turn_q == TurnBits'(Turn)
        && steps_q == CountBits'(M)
        && Wide'(gen_unit[Unit].final_q) == (sum_q >>> M) + own_rest);
    assert (!hit_last_q || (result_q && result_turn_q == TurnBits'(Turns - 1)));
    assert (!hit_valid_q || valid_q);
    assert (hit_result_q == (Turn == Turns - 1
        ? hit_last_q : add_busy_q && hit_q[2] && 32'(add_turn_q) == Turn + 1 && first));
    assert (stored_q == (hit_valid_q || (Turn < Turns - 1 && (hit_last_q || (add_busy_q && hit_q[2]
        && (32'(add_turn_q) > Turn + 1 || (32'(add_turn_q) == Turn + 1 && !first)))))));
    if (hit_valid_q) assert (32'(place_q) == Turn);
    else if (stored_q && hit_last_q) assert (32'(place_q) == Turn + 1);
    else if (stored_q)
      assert (32'(place_q) + 32'(add_turn_q) == Turns + Turn + 32'(first));
    if (stored_q) assert (steps_q == CountBits'(M) && 32'(place_q) < Turns && contract(
        total, gen_unit[Unit].outputs[32'(place_q)*OutputBits +: OutputBits], shift));
    // The claim, of which all that was to help: so the word is, and so it goes out.
    if (hit_valid_q) assert (contract(total, results[Lane*OutputBits +: OutputBits], shift));
    assert (out_q == valid_o && (!out_q || data_o == given_q));
    assert (advance || (valid_q && valid_o));
  end
"""

# With few bits, that the sum is the product and the constant's low bits.  If the mantissa is
# negative, the constant has the 1 that the complement lacks.
WHOLE = """
  logic signed [Wide-1:0] own_mantissa, own_bits;
  logic negative;
  assign negative     = steps_q == CountBits'(M) && mantissa[M-1];
  assign own_mantissa = Wide'(mantissa & ((1 << steps_q) - 1)) - (negative ? Wide'(1) <<< M : '0);
  assign own_bits     = Wide'(constant & ((1 << steps_q) - 1))
                        - (negative ? Wide'(1) <<< (M - 1) : '0);
  always_comb if (started) assert (
      sum_q == (factor * own_mantissa + own_bits) <<< (CountBits'(M) - steps_q));
"""


def about(cell: str, lane: int, invariants: str, parameters: Mapping[str, Any]) -> Stream:
    lanes = parameters.get("Lanes", 1)
    return Stream(
        cell=cell,
        parameters=parameters,
        input_bits=lanes * parameters["AccumulatorBits"],
        output_bits=lanes * parameters["OutputBits"],
        steps=3,
        invariants=f"\n  localparam int Lane = {lane};\n{invariants}{CONTRACT}",
    )


def pipeline(lane: int, *, cut: bool = True, **parameters: Any) -> Stream:
    """The proof about one lane of ``vecq_rescale``; ``cut``: with any product."""
    text = PIPELINE.replace("{shift}", OWN_SHIFT if "ShiftBits" in parameters else ONE_SHIFT)
    if not cut:
        return about("vecq_rescale", lane, text + PRODUCT, parameters)
    return replace(about("vecq_rescale", lane, text + ANY_PRODUCT, parameters), cuts=[CUT])


PLUS = """
  always_comb if (started && add_busy_q) assert (
      gen_unit[Unit].gen_carry_choice.plus_q == !gen_unit[Unit].minus_q);
"""


def serial(lane: int, *, whole: bool = False, **parameters: Any) -> Stream:
    """The proof about one lane of ``vecq_rescale_serial``; ``whole``: the product, too."""
    own = "ShiftBits" in parameters
    text = SERIAL.replace("{shift}", OWN_SHIFT_SERIAL if own else ONE_SHIFT_SERIAL)
    carries = "CarryChoice" in parameters
    text = text.replace("{added}", IN_CARRIES if carries else IN_TABLES) + PLUS * carries
    return about("vecq_rescale_serial", lane, text + (WHOLE if whole else ""), parameters)


SMALL = {
    **{"Channels": 4, "Lanes": 2, "AccumulatorBits": 4, "MantissaBits": 3, "OffsetBits": 6},
    **{"Shift": 3, "OutputBits": 3, "Lo": 0, "Hi": 6},
}
SMALL_SERIAL = {
    **{"Channels": 6, "Lanes": 3, "Turns": 2, "AccumulatorBits": 4, "MantissaBits": 3},
    **{"RestBits": 4, "Shift": 4, "OutputBits": 3, "Lo": 0, "Hi": 6},
}
UNSIGNED_RANGE = {**SMALL_SERIAL, "Hi": 7}
SIGNED_RANGE = {**SMALL_SERIAL, "Lo": "-64'sd4", "Hi": 3}
ALIGNED = {**SMALL_SERIAL, "Shift": 1}
SMALLEST_SERIAL = {
    **{"AccumulatorBits": 2, "MantissaBits": 2, "RestBits": 2},
    **{"Shift": 2, "OutputBits": 2, "Lo": 0, "Hi": 3},
}
WIDE = {
    **{"Channels": 4, "Lanes": 2, "AccumulatorBits": 32, "MantissaBits": 18, "OffsetBits": 48},
    **{"Shift": 30, "OutputBits": 8, "Lo": 0, "Hi": 255},
}
WIDE_SERIAL = {
    **{"AccumulatorBits": 32, "MantissaBits": 18, "RestBits": 30},
    **{"Shift": 30, "OutputBits": 8, "Lo": 0, "Hi": 255},
}
UNSIGNED = {
    **{"AccumulatorBits": 20, "InputSigned": 0, "MantissaBits": 16},
    **{"Shift": 22, "OutputBits": 16, "Lo": "-64'sd32768", "Hi": 32767},
}
# The widest that the contract lets through: sums of 64 bits.
WIDEST = {
    **{"AccumulatorBits": 44, "MantissaBits": 18, "Shift": 46},
    **{"OutputBits": 16, "Lo": "-64'sd32768", "Hi": 32767},
}

PROOFS = {
    "small": pipeline(1, cut=False, **SMALL),
    "wide": pipeline(1, **WIDE),
    "own shifts": pipeline(1, cut=False, **SMALL, ShiftBits=2),
    "serial small": serial(1, whole=True, **SMALL_SERIAL),
    "serial aligned": serial(1, whole=True, **ALIGNED),
    "serial, own shifts": serial(2, whole=True, **UNSIGNED_RANGE, ShiftBits=2),
    "serial unsigned": serial(0, **UNSIGNED, RestBits=24),
    "serial, carry cells": serial(1, whole=True, **SMALL_SERIAL, CarryChoice=1),
}
NIGHTLY = {
    "small unsigned, dsp": pipeline(0, cut=False, **SMALL, InputSigned=0, UseDsp=1),
    "unsigned": pipeline(0, **UNSIGNED, OffsetBits=40),
    "widest": pipeline(0, **WIDEST, OffsetBits=60),
    "wide, own shifts": pipeline(1, **{**WIDE, "Shift": 17}, ShiftBits=4),
    "serial wide, own shifts": serial(0, **{**WIDE_SERIAL, "Shift": 20}, ShiftBits=4),
    "serial small unsigned": serial(2, whole=True, **SMALL_SERIAL, InputSigned=0),
    "serial wide": serial(0, **WIDE_SERIAL),
    "serial wide, carry cells": serial(0, **WIDE_SERIAL, CarryChoice=1),
    "serial widest": serial(0, **WIDEST, RestBits=44),
}
PIPELINE_MUTANTS = [
    ("{offset_q, carry_q}", "{offset_q, 1'b0}"),
    ("high >>> (Shift - LowBits)", "high >> (Shift - LowBits)"),
    ("(shifted_q) < Lo;", "(shifted_q) < Lo - 1;"),
    ("(shifted_q) > Hi;", "(shifted_q) > Hi + 1;"),
    ("= product_offsets_q[", "= offsets_q["),
    ("OffsetBits) + 2", "OffsetBits) - 1"),
    ("{InputSigned & bits[AccumulatorBits-1], bits}", "{1'b0, bits}"),
    ("word_q == AddressBits'(Words - 1)", "1'b1"),
]
SERIAL_MUTANTS = [
    ("minus_q <= bits[2*unit] && read_last_bit_q", "minus_q <= 1'b0"),
    ("minus_q <= bits[2*unit] && read_last_bit_q", "minus_q <= read_last_bit_q"),
    ("if (!hold && !bits[2*unit]) added_q", "if (1'b0) added_q"),
    ("term = add_rest_q ?", "term = read_rest_q ?"),
    ("ChoiceBits'(turn_q);", "'0;"),
    ("bits[2*unit+1] && !read_rest_q", "bits[2*unit+1]"),
    ("if (!add_busy_q || add_rest_q) held_q", "if (!add_busy_q) held_q"),
    ("HeldBits : RestBits) + 1", "HeldBits : RestBits)"),
    ("final_q >>> (Shift", "final_q >> (Shift"),
    ("(result) < Lo;", "(result) < Lo - 1;"),
    ("(result) > Hi;", "(result) > Hi + 1;"),
    ("advance && (result_q || Turns == 1)", "advance"),
    ("if (!busy_q) word_q", "if (!busy_q || at_rest_q) word_q"),
    ("bit_q == BitAddressBits'(AllBits - 1)", "bit_q == BitAddressBits'(AllBits - 2)"),
]
MUTANTS = [
    *((pipeline(1, **SMALL), mutant) for mutant in PIPELINE_MUTANTS),
    *((serial(1, **SMALL_SERIAL), mutant) for mutant in SERIAL_MUTANTS),
    *(
        (serial(1, **SMALL_SERIAL, CarryChoice=1), mutant)
        for mutant in (
            ("!bits[2*unit] && !read_rest_q)", "!bits[2*unit])"),
            ("plus_q <= !(bits[2*unit] && read_last_bit_q)", "plus_q <= 1'b1"),
            ("CarryChoice && at_rest_q ?", "1'b0 ?"),
        )
    ),
    (serial(1, **ALIGNED), ("int'(!InputSigned) + AlignBits", "int'(!InputSigned)")),
    (serial(1, **ALIGNED), ("(Shift + AlignBits - MantissaBits)", "(Shift - MantissaBits)")),
    (serial(1, **UNSIGNED_RANGE), ("Lo < 0 && result[SumBits-1]", "result[SumBits-1]")),
    (
        serial(1, **SIGNED_RANGE),
        ("result >>> (OutputBits - int'(Lo < 0))", "result >>> OutputBits"),
    ),
    (serial(1, **SIGNED_RANGE), ("negative_q ? Lo : Hi", "negative_q ? Hi : Lo")),
    (pipeline(1, **SMALL, ShiftBits=2), ("sum_q     <= product_q", "sum_q     <= factor_q")),
    (pipeline(1, **SMALL, ShiftBits=2), (".WordBits(Lanes * ShiftBits)", ".WordBits(1)")),
    (
        serial(1, **SMALL_SERIAL, ShiftBits=2),
        ("if (advance) read_q <= read;", "if (advance) read_q <= '0;"),
    ),
]


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    "stream",
    [
        *(pytest.param(stream, id=name) for name, stream in PROOFS.items()),
        *(nightly(stream, name=name) for name, stream in NIGHTLY.items()),
    ],
)
def test_words_are_the_contracts(stream: Stream, tmp_path: Path) -> None:
    proven, output = prove(tmp_path, stream)
    assert proven, output[-3000:]


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("stream", "mutant"),
    [
        (nightly if number % 3 else named)(*some, name=f"{some[0]} {number}")
        for number, some in enumerate(MUTANTS)
    ],
)
def test_the_proof_fails_for_a_mutant(
    stream: Stream, mutant: tuple[str, str], tmp_path: Path
) -> None:
    proven, _ = prove(tmp_path, stream, mutant)
    assert not proven


@pytest.mark.needs_yosys
@pytest.mark.parametrize(
    ("stream", "out"),
    [(pipeline(1, **SMALL), "held_q"), (serial(0, **SMALLEST_SERIAL), "hit_valid_q")],
    ids=str,
)
def test_the_watched_word_comes_out(stream: Stream, out: str, tmp_path: Path) -> None:
    """From reset, that is: the proofs speak of words that there are."""
    never = f"always_comb if (started) assert (!{out});"
    stream = replace(stream, steps=10, invariants=stream.invariants + never)
    proven, output = prove(tmp_path, stream)
    assert not proven
    assert "model found for base case" in output
