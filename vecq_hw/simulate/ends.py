"""Arrays of the inputs and outputs of a network: one alone, or several by their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.network import Network

Given = npt.ArrayLike | Mapping[str, npt.ArrayLike]
"""The array of a network with one input, or one array for each input."""

Kind = TypeVar("Kind")


def input_names(network: Network) -> list[str]:
    """The name of each input, in order."""
    return [source.name for source in network.inputs]


def by_name(names: Sequence[str], given: object, what: str) -> dict[str, npt.ArrayLike]:
    """The array of each name.

    The arrays are given back as they are; their shapes are not looked at.

    Parameters
    ----------
    given : array, mapping or tuple
        An array where there is one name; else a mapping from each name to its array, or a tuple of
        them in the order of ``names``.
    what : str
        What the names are, for the message: "inputs of network 'n'".

    Raises
    ------
    VecqError
        There are fewer or other arrays than names.
    """
    if isinstance(given, Mapping):
        if set(given) != set(names):
            found = ", ".join(map(repr, given)) or "none"
            listed = ", ".join(map(repr, names))
            raise VecqError(f"{what}: arrays of {listed} are wanted, not of {found}")
        return {name: given[name] for name in names}
    if len(names) == 1:
        return {names[0]: given}  # type: ignore[dict-item] # who reads it says what is wrong
    if isinstance(given, tuple) and len(given) == len(names):
        return dict(zip(names, given, strict=True))
    listed = ", ".join(map(repr, names))
    raise VecqError(f"{what}: one array for each of {listed} is wanted, by its name")


def one_or_all(arrays: Mapping[str, Kind]) -> Kind | dict[str, Kind]:
    """The array of a single name; of several names all arrays."""
    if len(arrays) == 1:
        (alone,) = arrays.values()
        return alone
    return dict(arrays)


def in_one_or_several(names: Sequence[str], word: str) -> str:
    """``input 'x'`` or ``inputs 'a', 'b'``.

    Examples
    --------
    >>> in_one_or_several(["x"], "input"), in_one_or_several(["a", "b"], "output")
    ("input 'x'", "outputs 'a', 'b'")
    """
    return f"{word}{'s' if len(names) > 1 else ''} {', '.join(map(repr, names))}"


def sample_count(arrays: Mapping[str, IntArray], what: str) -> int:
    """How many samples each array holds.

    The arrays have the shape (N, ...).

    Raises
    ------
    VecqError
        They hold different numbers of samples.
    """
    counts = {name: len(array) for name, array in arrays.items()}
    if len(set(counts.values())) > 1:
        held = ", ".join(f"'{name}' {count}" for name, count in counts.items())
        raise VecqError(f"{what}: equal numbers of samples are wanted, not of {held}")
    return next(iter(counts.values()))


def output_arrays(network: Network, outputs: object) -> dict[str, IntArray]:
    """What :func:`vecq_hw.simulate.simulate` gave, by the name of each output.

    The arrays have the shape (N, ...).
    """
    found = by_name(network.outputs, outputs, f"outputs of network '{network.name}'")
    return {name: np.asarray(array) for name, array in found.items()}
