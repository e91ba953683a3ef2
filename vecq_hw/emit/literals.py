"""Values and words as text of C++."""

from __future__ import annotations

import textwrap

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray, signed_bits

_COLUMNS = 100
_SIZES = (8, 16, 32, 64)


def one_line(text: str) -> str:
    r"""``text`` for a comment, a message or a heading: printable ASCII, at most 60 characters.

    Examples
    --------
    >>> one_line("größe\n*/ \\")
    'gr??e??? ?'
    """
    plain = "".join(c if c.isascii() and (c.isalnum() or c in " _-.+()") else "?" for c in text)
    return plain if len(plain) <= 60 else f"{plain[:57]}..."


def cpp_integer(value: int) -> str:
    """A constant expression of type ``long`` or narrower.

    Examples
    --------
    >>> cpp_integer(-3), cpp_integer(-(2**63))
    ('-3', '(-9223372036854775807 - 1)')
    """
    # C++ has no negative literals, and 2^63 is none of a signed type.
    return str(value) if value > -(1 << 63) else f"(-{(1 << 63) - 1} - 1)"


def cpp_type(bits: int, signed: bool) -> str:
    """The smallest standard integer type of at least ``bits`` bits.

    Examples
    --------
    >>> cpp_type(9, signed=True), cpp_type(8, signed=False)
    ('std::int16_t', 'std::uint8_t')
    """
    size = next(size for size in _SIZES if bits <= size)
    return f"std::{'' if signed else 'u'}int{size}_t"


def cpp_array(name: str, values: IntArray) -> str:
    """The definition of a constant array of signed integers, one axis or two.

    ``values`` has the shape (n,) or (rows, columns).

    Examples
    --------
    >>> print(cpp_array("bias", np.array([1, -2])), end="")
    const std::int8_t bias[2] = {
        1, -2};
    >>> print(cpp_array("limits", np.array([[1, 200], [3, 4]])), end="")
    const std::int16_t limits[2][2] = {
        {1, 200},
        {3, 4},
    };
    """
    kind = cpp_type(signed_bits(values), signed=True)
    head = f"const {kind} {name}{''.join(f'[{size}]' for size in values.shape)} = {{\n"
    if values.ndim == 1:
        return f"{head}{wrapped(', '.join(map(cpp_integer, values.tolist())))}}};\n"
    rows = (wrapped("{" + ", ".join(map(cpp_integer, row)) + "},") for row in values.tolist())
    return head + "\n".join(rows) + "\n};\n"


def cpp_rows(values: IntArray) -> str:
    """The initialiser of an array of two axes.

    ``values`` has the shape (rows, columns).

    Examples
    --------
    >>> print(cpp_rows(np.array([[1, -2], [3, 4]])))
    {
        {1, -2},
        {3, 4},
    }
    """
    rows = (wrapped("{" + ", ".join(map(cpp_integer, row)) + "},") for row in values.tolist())
    return "{\n" + "\n".join(rows) + "\n}"


def cpp_words(name: str, words: npt.NDArray[np.unsignedinteger], bits: int) -> str:
    """The definition of a ROM: two axes, unsigned words of ``bits`` bits in hexadecimal.

    ``words`` has the shape (rows, columns).

    Examples
    --------
    >>> print(cpp_words("weights", np.array([[1, 255]], np.uint32), 8), end="")
    const std::uint8_t weights[1][2] = {
        {0x1, 0xff},
    };
    """
    rows = (wrapped("{" + ", ".join(map(hex, row)) + "},") for row in words.tolist())
    first, second = words.shape
    kind = cpp_type(bits, signed=False)
    return f"const {kind} {name}[{first}][{second}] = {{\n" + "\n".join(rows) + "\n};\n"


def wrapped(body: str) -> str:
    """The inside of braces, indented, in lines of at most 100 columns."""
    if len(body) <= _COLUMNS - 6:
        return f"    {body}"
    return textwrap.fill(
        body,
        _COLUMNS - 2,  # for the closing brace
        initial_indent="    ",
        subsequent_indent="    ",
        break_on_hyphens=False,
    )
