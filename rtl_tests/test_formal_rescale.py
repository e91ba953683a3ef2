"""Both rescale cells give the contract's numbers, for all words, constants and stalls.

Rule 4: ``out = clamp((acc * m + b + 2^(s-1)) >> s, lo, hi)``, here as inequalities that only one
number fulfils: ``lo <= out <= hi``; ``out * 2^s <= total`` unless out is lo; and
``total < (out + 1) * 2^s`` unless out is hi, where ``total = acc * m + b + 2^(s-1)``.

A multiplication of wide words is too hard for the solver.  It is composed:

1. ``vecq_rescale`` with any function of two words in the place of its ``*``: whatever number p,
   within the range of products, the function gives for the accumulator and the mantissa of the
   word's own channel, extended: what comes out is the contract's with p for ``acc * m``.  With
   ``*`` for the function that is rule 4 on its whole range.  Without DSP blocks there is
   ``vecq_table_multiplier`` or ``vecq_constant_multiplier`` in its place, which are proven to
   multiply few bits by themselves (test_formal_multipliers.py).
2. ``vecq_rescale_serial``, by induction over its cycles: after i of them its register is the sum of
   all ``(m_j * acc + c_j) * 2^j``, j < i, without its low i bits, and what comes out is the
   contract's for the sum over all bits of mantissa and constant, the sign's counted negative.  That
   sum is ``acc * m + b + 2^(s-1)``, since multiplication is distributive; where the shift is less
   than the mantissa's bits, all of it and the shift are as many bits larger as AlignBits says.
3. Both once more with few bits and nothing cut out, compared with ``acc * m`` itself.

The memories hold anything, and so do the words: one of them is watched through the cell.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from rtl_tests.formal import Stream, prove
from rtl_tests.formal_rescale import pipeline
from rtl_tests.formal_rescale_serial import serial
from tests.shares import named, nightly

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
    "serial, ready": serial(1, whole=True, **SMALL_SERIAL, Ready=1),
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
    "serial wide, ready": serial(0, **WIDE_SERIAL, Ready=1),
    "serial widest": serial(0, **WIDEST, RestBits=44),
}
PIPELINE_MUTANTS = [
    ("{offset_q, carry_q}", "{offset_q, 1'b0}"),
    ("(shifted_q) < Lo;", "(shifted_q) < Lo - 1;"),
    ("(shifted_q) > Hi;", "(shifted_q) > Hi + 1;"),
    ("= product_offsets_q[", "= offsets_q["),
    ("OffsetBits) + 2", "OffsetBits) - 1"),
    ("logic signed [NumberBits-1:0] accumulator", "logic [NumberBits-1:0] accumulator"),
    ("word_q == WordBits'(Words - 1)", "1'b1"),
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
    (
        pipeline(1, **{**SMALL, "OffsetBits": 9, "Shift": 7}),
        ("high >>> (Shift - LowBits)", "high >> (Shift - LowBits)"),
    ),
    *((serial(1, **SMALL_SERIAL), mutant) for mutant in SERIAL_MUTANTS),
    *(
        (serial(1, **SMALL_SERIAL, CarryChoice=1), mutant)
        for mutant in (
            ("!bits[2*unit] && !read_rest_q)", "!bits[2*unit])"),
            ("plus_q <= !(bits[2*unit] && read_last_bit_q)", "plus_q <= 1'b1"),
            ("CarryChoice && at_rest_q ?", "1'b0 ?"),
        )
    ),
    *(
        (serial(1, **SMALL_SERIAL, Ready=1), mutant)
        for mutant in (
            ("!read_rest_q && !bits[2*unit])", "!bits[2*unit])"),
            ("chosen ^ {SumBits{read_last_bit_q}}", "chosen"),
            ("added_q <= read_rest_q ? rest", "added_q <= add_rest_q ? rest"),
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
