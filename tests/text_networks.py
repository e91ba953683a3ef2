"""A small network for texts: what VecQ's for IMDB is made of, with random contents."""

from __future__ import annotations

from dataclasses import replace

from tests.hls_networks import Builder
from tests.random_networks import Seeded, random_recurrent
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Embedding

WORDS, LENGTH = 20, 18


def text(bits: int = 2) -> Builder:
    """Embedding, Conv1d, pool, LSTM, Dense; the state of its last step is read."""
    indices = IntFormat.covering(0, WORDS - 1, signed=False)
    net = Builder("text", (LENGTH,), indices, seed=bits)
    table = net._weights(4, WORDS, 6)
    net.layers.append(Embedding(weights=table, **net._next()))
    net.conv(6, bits, (1, 3)).rescale().pool((1, 2), (1, 2)).conv(32, 4, (1, 1))
    name, last = net._next().values()
    states = random_recurrent(Seeded(bits), name, last, net.tensor, gru=False)
    net.layers.append(replace(states, sequence=False))
    return net.dense(3, 8)
