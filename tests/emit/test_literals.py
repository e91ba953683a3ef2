from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecq_hw.emit.hls.packing import packed_words
from vecq_hw.emit.literals import cpp_array, cpp_words, one_line
from vecq_hw.schedule import Fold


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=60))
def test_an_array_holds_its_values(values: list[int]) -> None:
    text = cpp_array("a", np.array(values, np.int64))
    size, body = re.fullmatch(
        rf"const std::int(\d+)_t a\[{len(values)}\] = {{\n(.*)}};\n", text, re.DOTALL
    ).groups()
    assert [eval(item) for item in body.replace("\n", " ").split(",")] == values
    assert all(-(2 ** (int(size) - 1)) <= value < 2 ** (int(size) - 1) for value in values)
    assert max(map(len, text.splitlines())) <= 100


@given(
    st.integers(1, 16), st.integers(1, 4), st.integers(1, 70), st.integers(1, 3), st.integers(1, 3)
)
def test_codes_come_back_from_their_words(
    bits: int, pe: int, simd: int, output_folds: int, input_folds: int
) -> None:
    rng = np.random.default_rng(bits)
    codes = rng.integers(
        -(1 << (bits - 1)), 1 << (bits - 1), (output_folds * pe, input_folds * simd)
    )
    words, word_bits = packed_words(codes.astype(np.int16), bits, Fold(pe=pe, simd=simd))
    per_word = word_bits // bits
    assert word_bits <= 32
    for output, row in enumerate(codes.tolist()):
        for column, code in enumerate(row):
            fold = output // pe * input_folds + column // simd
            part, lane = divmod(column % simd, per_word)
            word = int(words[fold, part * pe + output % pe])
            assert word < 1 << word_bits
            assert (word >> (lane * bits) & ((1 << bits) - 1)) == code & ((1 << bits) - 1)


def test_long_rows_are_broken() -> None:
    text = cpp_words("w", np.full((1, 40), 0xABCDEF, np.uint32), 24)
    assert text.startswith("const std::uint32_t w[1][40] = {\n    {0xabcdef, ")
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("text", ["*/", "a\nb", "tail\\", "`|<>", "\x1b[0m", "é" * 99, "??/"])
def test_one_line_ends_no_comment(text: str) -> None:
    plain = one_line(text)
    assert plain.isascii()
    assert plain.isprintable()
    assert len(plain) <= 60
    assert not set("\\*/`|<>'\"") & set(plain)
