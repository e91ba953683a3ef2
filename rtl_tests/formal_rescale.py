"""What has to hold of ``vecq_rescale``, and of both cells of a Rescale: the contract's numbers.

The proofs and how they are composed: test_formal_rescale.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from rtl_tests.formal import Stream

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


def about(cell: str, lane: int, invariants: str, parameters: Mapping[str, Any]) -> Stream:
    """The proof about one lane of a cell: its invariants, and the contract that they name."""
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
    parameters = {**parameters, "UseDsp": 1}  # multiplies with *, which is cut out
    return replace(about("vecq_rescale", lane, text + ANY_PRODUCT, parameters), cuts=[CUT])
