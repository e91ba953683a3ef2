"""A small network for texts: what VecQ's for IMDB is made of, with random contents."""

from __future__ import annotations

from dataclasses import replace
from typing import Self

from tests.hls_networks import Builder
from tests.random_networks import Seeded, random_recurrent
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Embedding

WORDS, LENGTH = 20, 18


class _Texts(Builder):
    """A chain that begins with the indices of words."""

    def embedding(self, channels: int, bits: int) -> Self:
        table = self._weights(bits, WORDS, channels)
        self.layers.append(Embedding(weights=table, **self._next()))
        return self

    def last_state(self, seed: int) -> Self:
        """The state after the last step of an LSTM, whose gates' sums come before."""
        name, source = self._next().values()
        states = random_recurrent(Seeded(seed), name, source, self.tensor, gru=False)
        self.layers.append(replace(states, sequence=False))
        return self


def text(bits: int = 2) -> Builder:
    """Embedding, Conv1d, pool, LSTM, Dense; the state of its last step is read."""
    indices = IntFormat.covering(0, WORDS - 1, signed=False)
    net = _Texts("text", (LENGTH,), indices, seed=bits).embedding(6, 4)
    net.conv(6, bits, (1, 3)).rescale().pool((1, 2), (1, 2)).conv(32, 4, (1, 1))
    return net.last_state(bits).dense(3, 8)
