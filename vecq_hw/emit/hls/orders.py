"""A static order as the types that ``vecq::reorder`` takes."""

from __future__ import annotations

from vecq_hw.accelerator.orders import Moves, Order
from vecq_hw.emit.literals import cpp_type, wrapped
from vecq_hw.formats import IntArray, signed_bits


def order_type(order: Order, name: str) -> tuple[str, list[str]]:
    """The definition of ``{name}_order``, and those of the tables of its axes."""
    axes, tables = [], []
    for number, (axis, moves) in enumerate(zip(order.axes, order.moves, strict=True)):
        if moves.is_even:
            axes.append(f"vecq::EvenAxis<{axis.size}, {moves.word[0]}, {moves.kept[0]}>")
        else:
            table = f"{name}_order{number}"
            axes.append(f"vecq::ListedAxis<{table}>")
            tables.append(_table(table, moves))
    numbers = f"{order.words}, {order.slots}, {order.read[0]}, {order.kept[0]}"
    return f"using {name}_order = vecq::Order<{numbers}, {', '.join(axes)}>;", tables


def _table(name: str, moves: Moves) -> str:
    size = len(moves.word)
    columns: list[tuple[str, str, IntArray]] = [
        ("bool", "fills", moves.fills.astype(int)),
        ("bool", "ends", moves.ends.astype(int)),
        *((cpp_type(signed_bits(v), signed=True), n, v) for n, v in _moved(moves)),
    ]
    lines = "".join(
        f"  static constexpr {kind} {column}[{size}] = {{\n"
        f"{wrapped(', '.join(map(str, values.tolist())))}}};\n"
        for kind, column, values in columns
    )
    return f"struct {name} {{\n  static constexpr int size = {size};\n{lines}}};\n"


def _moved(moves: Moves) -> list[tuple[str, IntArray]]:
    return [("read", moves.word), ("kept", moves.kept)]
