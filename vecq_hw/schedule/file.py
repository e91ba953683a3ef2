"""Schedules as files, written by hand or by the tools."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any, TypeVar

from vecq_hw.arguments import format_version, nearest, read_json
from vecq_hw.errors import VecqError
from vecq_hw.schedule.folds import Fabric, Fold, FoldKind, Schedule

_Member = TypeVar("_Member", bound=Enum)

VERSION = 1
"""The version of the files that hold a schedule."""


def to_json(schedule: Schedule) -> str:
    """All of a schedule as the text of a file that :func:`load` reads."""
    tree = {
        "version": VERSION,
        "folds": {
            name: {"pe": fold.pe, "simd": fold.simd, "kind": fold.kind.value, "dsp": fold.dsp}
            for name, fold in schedule.folds.items()
        },
        "fabric": schedule.fabric.value,
        "axis_bits": schedule.axis_bits,
        "fifo_depths": None if schedule.fifo_depths is None else dict(schedule.fifo_depths),
        "clock_mhz": schedule.clock_mhz,
    }
    return json.dumps(tree, indent=2, ensure_ascii=False)


def load(path: str | Path) -> Schedule:
    """Read a schedule written by hand or by :func:`to_json`, in any Unicode encoding.

    A file without a version is the folds alone, ``{"fc1": {"pe": 8, "simd": 16}}``.

    Raises
    ------
    VecqError
        The file cannot be read, is no JSON, is of a later version, or has an entry that is unknown,
        twice there or of another type; the message names the entry.
    """
    tree = read_json(path, "schedule", _FORM)
    try:
        return _schedule(tree)
    except VecqError as error:
        raise VecqError(f"schedule '{path}': {error}") from None


_FORM = '{"layer": {"pe": 8, "simd": 16}}'
_TYPES: Mapping[type, str] = {
    int: "a whole number",
    bool: "true or false",
    str: "a name",
    dict: "an object",
    type(None): "null",
}
_FOLD_TYPES = {"pe": (int,), "simd": (int,), "kind": (str,), "dsp": (bool,)}
_FLAGS = {"unrolled": FoldKind.UNROLLED, "bit_serial": FoldKind.BIT_SERIAL}
"""Kinds as files without a version may say them: true or false for each."""
_SCHEDULE_TYPES: Mapping[str, tuple[type, ...]] = {
    "version": (int,),
    "folds": (dict,),
    "fabric": (str,),
    "axis_bits": (int, type(None)),
    "fifo_depths": (dict, type(None)),
    "clock_mhz": (float, int),
}


def _schedule(tree: Any) -> Schedule:
    """The schedule that a file describes."""
    if not isinstance(tree, dict):
        raise VecqError(f"{_FORM} is wanted, not {_shown(tree)}")
    if "version" not in tree or isinstance(tree["version"], dict):  # a layer may be called so
        return Schedule(folds={name: _fold(name, entry) for name, entry in tree.items()})
    for key, value in tree.items():
        _check_entry("the file", key, value, _SCHEDULE_TYPES)
    format_version(tree["version"], VERSION, "the file")
    if "folds" not in tree:
        raise VecqError(f"'folds' is missing; {_FORM} is wanted")
    given = {key: tree[key] for key in ("axis_bits", "fifo_depths", "clock_mhz") if key in tree}
    for link, depth in (given.get("fifo_depths") or {}).items():
        if type(depth) is not int:
            raise VecqError(f"FIFO '{link}': {_shown(depth)}; a whole number of words is wanted")
    if not 0 < given.get("clock_mhz", 1) < math.inf:
        raise VecqError(f"'clock_mhz' is {given['clock_mhz']}; a positive number is wanted")
    if "fabric" in tree:
        given["fabric"] = _member(Fabric, "fabric", tree["fabric"])
    return Schedule(
        folds={name: _fold(name, entry) for name, entry in tree["folds"].items()}, **given
    )


def _fold(layer: str, entry: Any) -> Fold:
    """The fold that a file describes."""
    if not isinstance(entry, dict):
        raise VecqError(
            f'layer \'{layer}\': an entry such as {{"pe": 8, "simd": 16}} is wanted,'
            f" not {_shown(entry)}"
        )
    fields, kinds = dict(entry), []
    for flag, kind in _FLAGS.items():
        if flag in fields:
            value = fields.pop(flag)
            _check_entry(f"layer '{layer}'", flag, value, {flag: (bool,)})
            kinds += [kind] * value
    for key, value in fields.items():
        _check_entry(f"layer '{layer}'", key, value, _FOLD_TYPES)
    if "kind" in fields:
        kinds.append(_member(FoldKind, f"layer '{layer}': kind", fields.pop("kind")))
    if len(kinds) > 1:
        raise VecqError(f"layer '{layer}' has several kinds: {', '.join(k.value for k in kinds)}")
    return Fold(**fields, kind=kinds[0] if kinds else FoldKind.STREAMING)


def _check_entry(where: str, key: str, value: Any, types: Mapping[str, tuple[type, ...]]) -> None:
    """Raise :class:`VecqError` where ``types`` has no such key, or another type for it."""
    if key not in types:
        raise VecqError(f"{where}: there is no '{key}' in it; {nearest(key, types)}")
    if type(value) not in types[key]:
        wanted = " or ".join("a number" if t is float else _TYPES[t] for t in types[key])
        raise VecqError(f"{where}: '{key}' is {_shown(value)}; {wanted} is wanted")


def _member(kind: type[_Member], what: str, value: str) -> _Member:
    """The member of an enumeration by its value."""
    legal = {member.value: member for member in kind}
    if value not in legal:
        raise VecqError(f"{what} is '{value}'; {nearest(value, legal)}")
    return legal[value]


def _shown(value: Any) -> str:
    """A value as it stands in the file, cut to a length that can be read."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
