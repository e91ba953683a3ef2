"""Random networks of every layer, grid and fold, for the tests of all targets.

What is drawn depends on a :class:`Draw` alone: on a seed here, on hypothesis in ``strategies.py``.
Benches run this inside the simulator, so it imports neither hypothesis nor torch.  A target that
cannot take a network says so by its ``unsupported``.
"""

from tests.random_networks.chains import random_chain, random_graph
from tests.random_networks.draws import (
    ANY_GRID,
    ANY_KIND,
    Draw,
    Seeded,
    chance,
    generator,
    own_shifts,
    pair,
    random_bases,
    random_format,
    random_grid,
    random_lookup,
    random_product,
    random_rescale,
    random_rows,
    random_weights,
)
from tests.random_networks.ends import random_ends
from tests.random_networks.growth import Growth
from tests.random_networks.schedules import random_axis_bits, random_pair, random_schedule
from tests.random_networks.sequences import random_recurrent, random_sequence

__all__ = [
    "ANY_GRID",
    "ANY_KIND",
    "Draw",
    "Growth",
    "Seeded",
    "chance",
    "generator",
    "own_shifts",
    "pair",
    "random_axis_bits",
    "random_bases",
    "random_chain",
    "random_ends",
    "random_format",
    "random_graph",
    "random_grid",
    "random_lookup",
    "random_pair",
    "random_product",
    "random_recurrent",
    "random_rescale",
    "random_rows",
    "random_schedule",
    "random_sequence",
    "random_weights",
]
