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
   ``m_j * acc * 2^j`` and ``c_j * 2^j`` over j < i, without its low i bits; the first of these sums
   is the product when all bits of the mantissa have been there, the sign's counted negative.
3. Both once more with few bits and nothing cut out, compared with ``acc * m`` itself.

The memories hold anything, and so do the words: one of them is watched through the cell.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rtl_tests.formal import Stream, prove

CONTRACT = """
  function automatic logic contract(
    logic signed [Wide-1:0] total, logic [OutputBits-1:0] word
  );
    logic signed [Wide-1:0] result;
    result   = Lo < 0 ? Wide'(signed'(word)) : Wide'(word);
    contract = result >= Wide'(Lo) && result <= Wide'(Hi)
            && (result == Wide'(Lo) || (result <<< Shift) <= total)
            && (result == Wide'(Hi) || total < ((result + Wide'(1)) <<< Shift));
  endfunction
"""

# The word that is watched comes as word ``number`` of a frame, with ``element`` in its lane.
PIPELINE = """
  localparam int Wide = (SumBits > OutputBits + Shift ? SumBits : OutputBits + Shift) + 3;
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
  assign exact = Wide'(product) + own_offset;

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

  always_comb begin
    assume (Wide'(product) <= Wide'(1) <<< (AccumulatorBits + MantissaBits - 1));
    assume (Wide'(product) >= -(Wide'(1) <<< (AccumulatorBits + MantissaBits - 1)));
    if (SumBits == 64) assume (exact >= -(Wide'(1) <<< 62) && exact < (Wide'(1) <<< 62));
    if (started) begin
      assert (word_q == index_q && 32'(index_q) < Words && valid_q == came_q);
      if (watched_q[0]) assert (SumBits'(gen_lane[Lane].accumulator) == factor);
      if (watched_q[0]) assert (SumBits'(gen_lane[Lane].mantissa) == own_mantissa);
      if (watched_q[0]) assert (
          Wide'(signed'(offsets[Lane*OffsetBits +: OffsetBits])) == own_offset);
      if (watched_q[1]) assert (gen_lane[Lane].product == product);
      if (watched_q[1]) assert (Wide'(gen_lane[Lane].offset) == own_offset);
      if (watched_q[2]) assert (Wide'(gen_lane[Lane].sum_q) == exact);
      if (watched_q[3]) assert (
          Wide'(gen_lane[Lane].rounded_q) == (exact + (Wide'(1) <<< (Shift - 1))) >>> Shift);
      if (watched_q[4]) assert (contract(
          exact + (Wide'(1) <<< (Shift - 1)), data_o[Lane*OutputBits +: OutputBits]));
    end
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


def pipeline(lane: int, *, cut: bool = True, **parameters: int) -> Stream:
    """The proof about one lane of ``vecq_rescale``."""
    lanes = parameters["Lanes"]
    return Stream(
        cell="vecq_rescale",
        parameters=parameters,
        input_bits=lanes * parameters["AccumulatorBits"],
        output_bits=lanes * parameters["OutputBits"],
        invariants=f"\n  localparam int Lane = {lane};\n"
        + PIPELINE
        + CONTRACT
        + (ANY_PRODUCT if cut else PRODUCT),
        cuts=[CUT] if cut else [],
    )


SMALL = {
    **{"Channels": 4, "Lanes": 2, "AccumulatorBits": 4, "MantissaBits": 3},
    **{"Shift": 3, "OutputBits": 3, "Lo": 0, "Hi": 6},
}
WIDE = {
    **{"Channels": 4, "Lanes": 2, "AccumulatorBits": 32, "MantissaBits": 18},
    **{"Shift": 30, "OutputBits": 8, "Lo": 0, "Hi": 255},
}
PROOFS = {
    "small": pipeline(1, cut=False, **SMALL, OffsetBits=6),
    "wide": pipeline(1, **WIDE, OffsetBits=48),
}
MUTANTS = [
    ("64'd1 << (Shift - 1)", "64'd0"),
    ("+ Half) >>> Shift", "+ Half) >> Shift"),
    ("(rounded_q) < Lo)", "(rounded_q) < Lo - 1)"),
    ("(rounded_q) > Hi)", "(rounded_q) > Hi + 1)"),
    ("= offsets_q[", "= offsets["),
    ("LargestBits) + 2", "LargestBits) - 1"),
    ("{InputSigned & bits[AccumulatorBits-1], bits}", "{1'b0, bits}"),
    ("word_q == AddressBits'(Words - 1)", "1'b1"),
]


@pytest.mark.needs_yosys
@pytest.mark.parametrize("name", PROOFS)
def test_words_are_the_contracts(name: str, tmp_path: Path) -> None:
    proven, output = prove(tmp_path, PROOFS[name])
    assert proven, output[-3000:]


@pytest.mark.needs_yosys
@pytest.mark.parametrize("number", range(len(MUTANTS)))
def test_the_proof_fails_for_a_mutant(number: int, tmp_path: Path) -> None:
    proven, _ = prove(tmp_path, pipeline(1, **SMALL, OffsetBits=6), MUTANTS[number])
    assert not proven
