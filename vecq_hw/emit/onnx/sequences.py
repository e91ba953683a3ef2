"""Tables of rows and recurrent layers, step by step, by operators of ONNX."""

from __future__ import annotations

import numpy as np

from vecq_hw.arithmetic import (
    GATE,
    SIGMOID_TABLE,
    TANH_TABLE,
    WIDE_STATE,
    half_of,
)
from vecq_hw.emit.onnx.codes import clipped
from vecq_hw.emit.onnx.products import Product, product
from vecq_hw.emit.onnx.writer import INT64, Writer, floored_shift
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Embedding, Gru, Lstm, Tensor
from vecq_hw.layers.sequences import CANDIDATE_SHIFT, RESET_SHIFT, STATE


def embedding(w: Writer, x: str, layer: Embedding, source: Tensor) -> str:
    """A Gather of rows; (N, L) becomes (N, E, 1, L)."""
    fmt = layer.output(source).format
    table = w.constant(layer.weights.values.astype(w.carrier(fmt)), "table")
    rows = w("Gather", table, w.cast(x, INT64), kind=w.carrier(fmt))
    return w("Unsqueeze", w("Transpose", rows, perm=[0, 2, 1]), np.array([2]))


def recurrent(w: Writer, x: str, layer: Lstm | Gru, source: Tensor) -> str:
    """All steps one behind the other; every intermediate is int64."""
    length = source.shape[1]
    x = w("Squeeze", w.cast(x, INT64), np.array([2]))
    x = w("Mul", x, layer.mantissa_x[:, np.newaxis])
    x = w("Add", x, layer.offset[:, np.newaxis])
    step = _lstm_step if isinstance(layer, Lstm) else _gru_step
    memory, state, states = "", "", []
    for index in range(length):
        totals = w("Gather", x, np.array(index), axis=2)
        sums = _state_sums(w, layer, state) if state else ""
        memory, state = step(w, layer, totals, sums, memory)
        states.append(state)
    kind = w.carrier(STATE)
    if not layer.sequence:
        return w.cast(state, kind)
    each = [w("Unsqueeze", w.cast(one, kind), np.array([2, 3])) for one in states]
    return w("Concat", *each, axis=3)


def _state_sums(w: Writer, layer: Lstm | Gru, state: str) -> str:
    shape = (layer.elements,)
    given = Product(values=layer.weights.values.astype(np.int64), reads=STATE, shape=shape)
    return w.cast(product(w, state, given), INT64)


def _of_gate(layer: Lstm | Gru, gate: int) -> IntArray:
    """The channels of one gate."""
    return np.arange(layer.elements) * layer.gates + gate


def _gate(w: Writer, x: str, layer: Lstm | Gru, gate: int) -> str:
    return w("Gather", x, _of_gate(layer, gate), axis=1)


def _rounded(w: Writer, x: str, shift: int, fmt: IntFormat) -> str:
    """``clamp((x + 2^(s-1)) >> s)``."""
    return clipped(w, floored_shift(w, w("Add", x, np.array(half_of(shift))), shift), fmt)


def _table(w: Writer, code: str, table: IntArray) -> str:
    return w("Gather", table.astype(np.int64), w("Add", code, np.array(-GATE.lo)), kind=INT64)


def _plus(w: Writer, x: str, more: str) -> str:
    return w("Add", x, more) if more else x


def _lstm_step(w: Writer, layer: Lstm | Gru, totals: str, sums: str, cell: str) -> tuple[str, str]:
    """``arithmetic.lstm_step``; before the first step cell and state are 0."""
    if sums:
        totals = w("Add", totals, w("Mul", sums, layer.mantissa_h))
    codes = _rounded(w, totals, layer.shift, GATE)
    tables = (SIGMOID_TABLE, SIGMOID_TABLE, TANH_TABLE, SIGMOID_TABLE)
    i, f, u, o = (
        _table(w, _gate(w, codes, layer, gate), table) for gate, table in enumerate(tables)
    )
    fresh = w("Mul", w("Mul", i, u), np.array(16))
    cell = _rounded(w, _plus(w, fresh, w("Mul", f, cell) if cell else ""), 8, WIDE_STATE)
    shown = w("Mul", o, _table(w, _rounded(w, cell, 7, GATE), TANH_TABLE))
    return cell, floored_shift(w, w("Add", shown, np.array(128)), 8)


def _gru_step(w: Writer, layer: Lstm | Gru, totals: str, sums: str, state: str) -> tuple[str, str]:
    """``arithmetic.gru_step``; before the first step the state is 0."""
    assert isinstance(layer, Gru)
    scaled = w("Mul", sums, layer.mantissa_h) if sums else ""
    reset, update = (
        _table(
            w,
            _rounded(
                w,
                _plus(
                    w, _gate(w, totals, layer, gate), _gate(w, scaled, layer, gate) if sums else ""
                ),
                layer.shift,
                GATE,
            ),
            SIGMOID_TABLE,
        )
        for gate in (0, 1)
    )
    offset = layer.state_offset
    part = w("Add", _gate(w, scaled, layer, 2), offset) if sums else w.constant(offset[np.newaxis])
    t = _rounded(w, part, layer.shift - CANDIDATE_SHIFT, WIDE_STATE)
    power = np.array(1 << (layer.shift - RESET_SHIFT))
    total = w("Add", _gate(w, totals, layer, 2), w("Mul", w("Mul", reset, t), power))
    candidate = _table(w, _rounded(w, total, layer.shift, GATE), TANH_TABLE)
    rest = w("Sub", np.array(256), update)
    mixed = w("Mul", w("Mul", rest, candidate), np.array(256))
    mixed = _plus(w, mixed, w("Mul", update, state) if state else "")
    state = floored_shift(w, w("Add", mixed, np.array(128)), 8)
    return state, floored_shift(w, w("Add", state, np.array(128)), 8)
