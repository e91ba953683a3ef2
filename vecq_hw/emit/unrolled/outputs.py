"""What follows the sums of an unrolled layer: a constant added, or a rescale by constants."""

from __future__ import annotations

from dataclasses import dataclass

from vecq_hw.accelerator.unrolled.adder_graph import Affine
from vecq_hw.formats import IntFormat


@dataclass(frozen=True, slots=True)
class SummedEnd:
    """The integer that ``u`` stands for, plus a constant, in ``format``."""

    meaning: Affine
    constant: int
    format: IntFormat

    def lines(self, index: int, value: str) -> list[str]:
        """Declare ``y<index>``; ``value`` is the text of ``u``."""
        bits = self.format.bits
        return [
            f"  logic [{bits - 1}:0] y{index};",
            f"  assign y{index} = {_affine(self.meaning, self.constant, bits, value)};",
        ]


@dataclass(frozen=True, slots=True)
class RescaledEnd:
    """``clamp((real * factor + constant) >> shift)`` of the integer that ``u`` stands for.

    With ``search`` by binary search for the greatest code whose least ``u`` is reached; otherwise
    the factor must be 1: it has gone into the adder graph.
    """

    meaning: Affine
    factor: int
    constant: int
    shift: int
    format: IntFormat
    search: bool

    def lines(self, index: int, value: str) -> list[str]:
        """Declare ``y<index>``; ``value`` is the text of ``u``."""
        return self._search(index, value) if self.search else self._shift(index, value)

    def _shift(self, index: int, value: str) -> list[str]:
        known, fmt = self.meaning, self.format
        base = known.constant + self.constant
        ends = (base, base + known.sign * (known.most << known.shift))
        low, high = min(ends), max(ends)
        width = max(IntFormat.covering(low, high).bits, self.shift + 1, fmt.bits + 1)
        t, r, y = f"t{index}", f"r{index}", f"y{index}"
        result = f"{r}[{fmt.bits - 1}:0]"
        for limit, reached, sign in ((fmt.hi, high, ">"), (fmt.lo, low, "<")):
            beyond = reached >> self.shift
            if beyond > limit if sign == ">" else beyond < limit:
                clamp = f"{fmt.bits}'d{limit % (1 << fmt.bits)}"
                result = f"{_beyond(r, sign, limit, width)} ? {clamp} : {result}"
        return [
            f"  logic signed [{width - 1}:0] {t}, {r};",
            f"  logic [{fmt.bits - 1}:0] {y};",
            f"  assign {t} = {_affine(known, self.constant, width, value)};",
            f"  assign {r} = {t} >>> {self.shift};",
            f"  assign {y} = {result};",
        ]

    def thresholds(self) -> list[int]:
        """For each code but the lowest the least ``x`` that reaches it.

        x is ``u``, or its complement where the code falls with ``u``; ``2^bits`` is never reached.
        """
        known, fmt = self.meaning, self.format
        slope = known.sign * self.factor << known.shift
        base = known.constant * self.factor + self.constant
        never = 1 << known.bits
        if slope < 0:
            base, slope = base + slope * (never - 1), -slope
        if slope == 0:
            return [0 if base >> self.shift >= v else never for v in range(fmt.lo + 1, fmt.hi + 1)]
        wanted = ((v << self.shift) - base for v in range(fmt.lo + 1, fmt.hi + 1))
        return [min(max(0, -(-amount // slope)), never) for amount in wanted]

    def _search(self, index: int, value: str) -> list[str]:
        fmt, limits = self.format, self.thresholds()
        levels, width = len(limits).bit_length(), self.meaning.bits
        falls = self.meaning.sign * self.factor < 0
        x, j, y = f"x_{index}", f"j{index}", f"y{index}"
        lines = [f"  logic [{fmt.bits - 1}:0] {y};"]
        lowest = fmt.lo % (1 << fmt.bits)
        if not levels:
            return [*lines, f"  assign {y} = {fmt.bits}'d{lowest};"]

        def limit(level: int, above: int, chosen: int) -> str:
            """The limit of bit ``level``, given the bits from ``above`` on."""
            if above == level + 1:
                code = chosen | 1 << level
                least = limits[code - 1] if code <= len(limits) else 1 << width
                return f"{width + 1}'d{least}"
            bit = above - 1
            one, zero = limit(level, bit, chosen | 1 << bit), limit(level, bit, chosen)
            return one if one == zero else f"({j}[{bit}] ? {one} : {zero})"

        lines += [
            f"  logic [{width}:0] {x};",
            f"  logic [{levels - 1}:0] {j};",
            f"  assign {x} = {{1'b0, {'~' if falls else ''}{value}}};",
        ]
        for level in reversed(range(levels)):
            least = limit(level, levels, 0)
            reached = "1'b1" if least == f"{width + 1}'d0" else f"{x} >= {least}"
            lines.append(f"  assign {j}[{level}] = {reached};")
        pad = f"{{{fmt.bits - levels}'d0, {j}}}" if fmt.bits > levels else j
        plus = f" + {fmt.bits}'d{lowest}" if lowest else ""
        return [*lines, f"  assign {y} = {pad}{plus};"]


def _affine(meaning: Affine, constant: int, width: int, value: str) -> str:
    """``sign * value * 2^shift + constants`` in ``width`` bits, two's complement."""
    total = (meaning.constant + constant) % (1 << width)
    bits, shift = meaning.bits, meaning.shift
    shift = min(shift, width)
    bits = min(bits, width - shift)
    parts = [
        f"{width - shift - bits}'d0" if width > shift + bits else "",
        (value if bits == meaning.bits else f"{value}[{bits - 1}:0]") if bits else "",
        f"{shift}'d0" if shift else "",
    ]
    term = "{" + ", ".join(filter(None, parts)) + "}"
    return f"{width}'h{total:x} {'+' if meaning.sign > 0 else '-'} {term}"


def _beyond(value: str, sign: str, limit: int, width: int) -> str:
    """Whether a signed ``value`` of ``width`` bits, which may be, is above or below the limit.

    Where all bits of a code mark the limit, the few bits above them tell; a comparison would be a
    subtraction to yosys.
    """
    top = width - 1
    bits = limit.bit_length() if sign == ">" else (-limit - 1).bit_length()
    if sign == ">" and limit == (1 << bits) - 1:
        return f"!{value}[{top}] && |{value}[{top - 1}:{bits}]"
    if sign == "<" and limit == 0:
        return f"{value}[{top}]"
    if sign == "<" and limit == -(1 << bits):
        return f"{value}[{top}] && !(&{value}[{top - 1}:{bits}])"
    return f"{value} {sign} {_signed(limit, width)}"


def _signed(value: int, width: int) -> str:
    return f"{'-' if value < 0 else ''}{width}'sd{abs(value)}"
