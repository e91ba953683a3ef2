"""What has to hold of ``vecq_rescale_serial``, cycle by cycle.

The proofs and how they are composed: test_formal_rescale.py.
"""

from __future__ import annotations

from typing import Any

from rtl_tests.formal import Stream
from rtl_tests.formal_rescale import SHIFT_MEMORY, about

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
# With carry cells, what makes a carry of the constant's bit.
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
