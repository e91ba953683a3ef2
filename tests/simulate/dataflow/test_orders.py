"""Static orders: the places that they read, and what the C++ has read before each word."""

import numpy as np
import pytest

from tests.random_networks import ANY_GRID, Growth, Seeded
from tests.simulate.dataflow.clocked_numbers import order_of
from vecq_hw.accelerator.loops import reordered
from vecq_hw.accelerator.orders import word_order
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Permute, Take


def drawn(seed):
    """A random Take or Permute, the shape that it reads, lanes, and its order."""
    draw = Seeded(seed)
    shape = tuple(draw.integer(1, 6) for _ in range(3)) if seed % 3 else (draw.integer(1, 20),)
    net = Growth(draw, "n", shape, IntFormat(4, signed=True), ANY_GRID)
    (net.take if seed % 2 else net.permute)()
    lanes = draw.choice([n for n in range(1, shape[-1] + 1) if shape[-1] % n == 0])
    order, lanes = word_order(net.layers[0], shape, lanes, net.tensor.channels)
    return net.layers[0], shape, lanes, order


@pytest.mark.parametrize("first", [0, 100, 200])
def test_an_order_reads_the_places_of_its_layer(first):
    for seed in range(first, first + 100):
        layer, shape, lanes, order = drawn(seed)
        words = np.full(order.steps, -1)
        words[order.gives_word] = order.read
        assert (words == np.array(order_of(layer, shape))[::lanes] // lanes).all()
        # Nothing that is still to be read has been let go, and all of it fits.
        later = np.minimum.accumulate(order.read[::-1])[::-1]
        assert (order.kept <= later).all()
        assert (order.read - order.kept < order.slots).all()


def test_what_is_read_before_each_word_is_what_the_loop_of_the_header_reads():
    for seed in range(100):
        *_, order = drawn(seed)
        came, given, counts = 0, 0, []
        reads, kept = iter(order.read.tolist()), iter([*order.kept.tolist(), order.words])
        following, least = next(reads), next(kept)
        while came < order.words or given < order.steps:
            fits = came < order.words and came < least + order.slots
            gives = given < order.steps and order.gives_word[given]
            if given < order.steps and (not gives or following < came):
                counts.append(came)
                if gives:
                    following, least = next(reads, None), next(kept)
                given += 1
            came += fits
        assert counts == reordered(order).tolist()


@pytest.mark.parametrize(
    ("layer", "shape", "slots"),
    [
        (Take(name="o", input="x", rows=np.arange(1, 7)), (8, 8, 4), 2),
        (Take(name="o", input="x", channels=np.array([0, 2, 1, 3])), (8, 8, 4), 8),
        (Take(name="o", input="x", columns=np.arange(8)[::-1]), (8, 8, 4), 16),
        (
            Permute(
                name="o", input="x", split=(8, 8, 2, 2, 1), order=(0, 2, 1, 3, 4), shape=(16, 16, 1)
            ),
            (8, 8, 4),
            64,
        ),
        (
            Permute(name="o", input="x", split=(8, 8, 4), order=(1, 0, 2), shape=(8, 8, 4)),
            (8, 8, 4),
            128,
        ),
    ],
)
def test_no_more_is_kept_than_the_order_asks_for(layer, shape, slots):
    channels = layer.shape[-1] if isinstance(layer, Permute) else 4
    order, _ = word_order(layer, shape, 4, channels)
    assert order.slots == slots
