"""A static order as the parameters and tables of ``vecq_reorder``."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vecq_hw.accelerator.orders import Moves, Order
from vecq_hw.emit.systemverilog.parameters import bit
from vecq_hw.formats import IntArray, signed_bits

Table = tuple[IntArray, int]
"""Its words, and the bits of each."""


def order_parameters(
    order: Order, word_bits: int, code: int
) -> tuple[dict[str, object], list[Table]]:
    """The parameters but for the files of tables, and the tables ``Table0File`` and so on.

    Parameters
    ----------
    word_bits : int
    code : int
        A word of the code that fills, as its bits say without a sign.
    """
    axes, moves = order.axes[::-1], order.moves[::-1]
    listed = [number for number, move in enumerate(moves) if not move.is_even]
    # What is taken off the counts, so the other way round.
    word_moves = np.concatenate([[0], *(-moves[axis].word for axis in listed)])
    kept_moves = np.concatenate([[0], *(-moves[axis].kept for axis in listed)])
    move_bits, kept_bits = signed_bits(word_moves), signed_bits(kept_moves)
    tables = [_table(moves[n], move_bits, kept_bits) for n in listed]
    even = [(int(m.word[0]), int(m.kept[0])) for m in moves]
    word, kept = zip(*even, order.frame_move, strict=True)
    parameters: dict[str, object] = {
        "Words": order.words,
        "Slots": order.slots,
        "First": int(order.read[0]),
        "Kept": int(order.kept[0]),
        "Axes": len(axes),
        "Sizes": _packed([axis.size for axis in axes]),
        "Moves": _packed(word),
        "KeptMoves": _packed(kept),
        "ReadsOnce": bit(order.never_goes_back),
        "MoveBits": move_bits,
        "KeptMoveBits": kept_bits,
        **{f"Table{number}Axis": axis for number, axis in enumerate(listed)},
        "WordBits": word_bits,
        "Code": f"{word_bits}'h{code:x}",
    }
    return parameters, tables


def _table(moves: Moves, move_bits: int, kept_bits: int) -> Table:
    columns: Sequence[tuple[IntArray, int]] = (
        (moves.fills.astype(np.int64), 1),
        (moves.ends.astype(np.int64), 1),
        (-moves.word, move_bits),
        (-moves.kept, kept_bits),
    )
    lines = np.zeros(len(moves.word), np.int64)  # no move is longer than 30 bits
    for values, bits in columns:
        lines = (lines << bits) | (values & ((1 << bits) - 1))
    return lines, sum(bits for _, bits in columns)


def _packed(numbers: Sequence[int]) -> str:
    """Numbers of 32 bits, the first one lowest."""
    words = ", ".join(f"32'h{number & 0xFFFFFFFF:x}" for number in reversed(numbers))
    return f"{{{words}}}"
