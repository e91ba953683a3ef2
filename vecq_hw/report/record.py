"""Typed access to the files in JSON that commands leave, with one sentence where one is damaged."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vecq_hw.errors import VecqError

LARGEST_BYTES = 1 << 26
"""The largest file that is read; ours are a thousandth of it."""


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object of a file, and where it stands.

    Attributes
    ----------
    where : str
        For messages: the file, and the place in it.
    tree : mapping
    """

    where: str
    tree: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> Record:
        """The object of a file.

        Raises
        ------
        VecqError
            The file cannot be read, is too large, or holds no JSON object.
        """
        where = f"'{path}'"
        try:
            if path.stat().st_size > LARGEST_BYTES:
                raise VecqError(
                    f"{where} is larger than {LARGEST_BYTES:,} bytes, so none of vecq's"
                )
            tree = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise VecqError(f"{where} cannot be read: {error.strerror or error}") from None
        except (ValueError, RecursionError):
            raise VecqError(f"{where} is damaged: it is no JSON; make it anew") from None
        if not isinstance(tree, dict):
            raise VecqError(f"{where} is damaged: a JSON object is wanted; make it anew")
        return cls(where, tree)

    def number(self, name: str) -> float | None:
        """A finite number; None where there is none."""
        found = self.tree.get(name)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int | float) or found - found != 0:
            raise self._other(name, "a number")
        return found

    def needed(self, name: str) -> float:
        """A number that must be there."""
        found = self.number(name)
        if found is None:
            raise self._other(name, "a number")
        return found

    def text(self, name: str) -> str | None:
        """A text; None where there is none."""
        found = self.tree.get(name)
        if found is not None and not isinstance(found, str):
            raise self._other(name, "a text")
        return found

    def truth(self, name: str) -> bool:
        """True or false."""
        found = self.tree.get(name)
        if not isinstance(found, bool):
            raise self._other(name, "true or false")
        return found

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts, empty where there is none."""
        found = self.tree.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, str) for one in found):
            raise self._other(name, "a list of texts")
        return tuple(found)

    def items(self, name: str) -> tuple[Record, ...]:
        """A list of objects, empty where there is none."""
        found = self.tree.get(name, [])
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._other(name, "a list of objects")
        return tuple(
            Record(f"{self.where}, {name}[{index}]", one) for index, one in enumerate(found)
        )

    def inner(self, name: str) -> Record:
        """An object, empty where there is none."""
        found = self.tree.get(name, {})
        if not isinstance(found, dict):
            raise self._other(name, "an object")
        return Record(f"{self.where}, {name}", found)

    def plain(self) -> Iterator[tuple[str, str]]:
        """What is a text or a number, as texts, for a table of all that was recorded."""
        for name, value in self.tree.items():
            if isinstance(value, float):
                yield name.replace("_", " "), f"{value:.6g}"
            elif isinstance(value, str | bool | int) and name != "command":
                yield name.replace("_", " "), str(value)

    def _other(self, name: str, wanted: str) -> VecqError:
        return VecqError(
            f"{self.where} is damaged: '{name}' is {self.tree.get(name)!r:.60}, where {wanted} is"
            " wanted; make it anew"
        )
