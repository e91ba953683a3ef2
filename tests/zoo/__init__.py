"""Models and networks of every kind, each by a name, for tests and for the table of layers.

A case is made by a function, so that naming it costs nothing.  ``python -m tests.zoo.table`` runs
each on every target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from torch import nn

from vecq_hw.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A model as people write it, or a network where no model makes it.

    Attributes
    ----------
    name : str
        Unique; it stands in the table.
    kind : str
        The heading under which it stands.
    make : callable
        The model with float weights, or the network.
    shapes : tuple of shapes
        Of one sample for each argument of ``forward``: (C,), (C, L), (L, C) or (C, H, W).
    classes : tuple of int
        For each argument how many integers it draws from, 0 for real numbers.
    settings : mapping
        Of ``quantize_model``; 4-bit weights and 8-bit activations else.
    """

    name: str
    kind: str
    make: Callable[[], nn.Module | Network]
    shapes: tuple[tuple[int, ...], ...] = ((3, 8, 8),)
    classes: tuple[int, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


def cases() -> Iterator[Case]:
    """All of them, by kind."""
    from tests.zoo import idioms, integers, layers, networks, sequences

    for module in (layers, idioms, sequences, integers, networks):
        yield from module.CASES
