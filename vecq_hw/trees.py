"""Dataclasses to trees of plain values and back, as their annotations say.

An object becomes ``{"type": name, field: value, ...}``, a tuple a list, an enumeration its value,
an array ``{"array": index}``.  Which classes there are follows from the annotations alone: a class
that joins a union is stored and read without another word.  Both ways check every value, so what is
written can be read, and what is read has the types that its class asks for, however it was forged.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError

Array = npt.NDArray[Any]


def encode(value: object, kind: Any, arrays: list[Array], where: str = "") -> Any:
    """The tree of ``value``, of which JSON can be made; its arrays are appended to ``arrays``.

    Arrays keep their shape.

    Parameters
    ----------
    kind : annotation
        str, int, float, bool, None, an array, an enumeration, a dataclass, a tuple, a mapping from
        str, or a union of these.  NumPy's numbers count as Python's; an int is taken as a float.
    where : str
        Of the value within the whole, for messages.

    Raises
    ------
    VecqError
        A value is of another kind than its annotation says.
    """
    for one, origin, arguments in _alternatives(kind):
        if _is_plain(one) and _is_number_or_text(value, one, where):
            return None if value is None else one(value)
        if origin is np.ndarray and isinstance(value, np.ndarray):
            arrays.append(value)
            return {"array": len(arrays) - 1}
        if origin is tuple and isinstance(value, tuple):
            kinds = _item_kinds(arguments, value, where)
            return [
                encode(item, item_kind, arrays, f"{where}[{index}]")
                for index, (item, item_kind) in enumerate(zip(value, kinds, strict=True))
            ]
        if origin is Mapping and isinstance(value, Mapping):
            return {
                encode(key, str, arrays, where): encode(
                    item, arguments[1], arrays, f"{where}.{key}"
                )
                for key, item in value.items()
            }
        if isinstance(one, enum.EnumType) and isinstance(value, one):
            return value.value
        if dataclasses.is_dataclass(one) and type(value) is one:
            fields = {
                name: encode(getattr(value, name), field_kind, arrays, _inside(where, name))
                for name, field_kind, _ in _fields(one)
                if name not in _unstored(one) or getattr(value, name) is not None
            }
            return {"type": type(value).__name__, **fields}
    raise _mismatch(where, value, kind)


def decode(tree: Any, kind: Any, arrays: Iterator[tuple[int, Array]], where: str = "") -> Any:
    """The value of a tree that :func:`encode` made; the reverse of it.

    Parameters
    ----------
    tree : what JSON holds
    arrays : iterator over (index, array)
        Each is taken once, in the order in which they were appended.

    Raises
    ------
    VecqError
        The tree is of another kind than the annotation says, or a class refuses its fields.
    """
    for one, origin, arguments in _alternatives(kind):
        if _is_plain(one) and _is_number_or_text(tree, one, where):
            return None if tree is None else one(tree)
        if origin is np.ndarray and isinstance(tree, dict) and tree.keys() == {"array"}:
            index, array = next(arrays, (None, None))
            if tree["array"] != index or array is None:
                raise VecqError(
                    f"{where} is the array {tree['array']!r}, which is not the next one"
                )
            return array
        if origin is tuple and isinstance(tree, list):
            kinds = _item_kinds(arguments, tree, where)
            return tuple(
                decode(item, item_kind, arrays, f"{where}[{index}]")
                for index, (item, item_kind) in enumerate(zip(tree, kinds, strict=True))
            )
        if origin is Mapping and isinstance(tree, dict):
            return {
                decode(key, str, arrays, where): decode(
                    item, arguments[1], arrays, f"{where}.{key}"
                )
                for key, item in tree.items()
            }
        if isinstance(one, enum.EnumType) and isinstance(tree, str):
            members: dict[str, Any] = {member.value: member for member in one}  # type: ignore[var-annotated]
            if tree in members:
                return members[tree]
        if dataclasses.is_dataclass(one) and isinstance(tree, dict):
            if tree.get("type") == getattr(one, "__name__", None):
                return _decode_fields(tree, one, arrays, where)
    if isinstance(tree, dict) and isinstance(tree.get("type"), str):
        raise VecqError(f"{where} is a '{tree['type']}'; {_kind_name(kind)} is wanted")
    raise _mismatch(where, tree, kind)


def _decode_fields(
    tree: dict[str, Any], kind: Any, arrays: Iterator[tuple[int, Array]], where: str
) -> Any:
    known = _fields(kind)
    for name in tree.keys() - {"type", *(name for name, *_ in known)}:
        raise VecqError(f"{where} has the field '{name}', which a {kind.__name__} has not")
    values = {}
    for name, field_kind, needed in known:
        if name in tree:
            values[name] = decode(tree[name], field_kind, arrays, _inside(where, name))
        elif needed:
            raise VecqError(f"{where} is a {kind.__name__} without the field '{name}'")
    return kind(**values)


@functools.cache
def _fields(kind: Any) -> tuple[tuple[str, Any, bool], ...]:
    """Each field that the constructor takes: name, annotation, whether it must be given."""
    kinds = typing.get_type_hints(kind)
    return tuple(
        (
            field.name,
            kinds[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(kind)
        if field.init
    )


@functools.cache
def _unstored(kind: Any) -> frozenset[str]:
    """Fields that are left out where they hold None, which is their default."""
    fields = dataclasses.fields(kind)
    return frozenset(one.name for one in fields if not one.metadata.get("stored", True))


@functools.cache
def _alternatives(kind: Any) -> tuple[tuple[Any, Any, tuple[Any, ...]], ...]:
    """The members of a union, or the annotation itself: of each its class and its arguments."""
    union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    members = typing.get_args(kind) if union else (kind,)
    return tuple((one, _origin(one), typing.get_args(one)) for one in members)


def _origin(kind: Any) -> Any:
    """The class behind an annotation; behind that of an alias (NumPy 2.5's ``NDArray``) as well."""
    while (origin := typing.get_origin(kind)) or hasattr(kind, "__value__"):
        kind = getattr(origin or kind, "__value__", origin)
    return kind


def _is_plain(kind: Any) -> bool:
    return kind in (bool, int, float, str, types.NoneType)


def _is_number_or_text(value: object, kind: type, where: str) -> bool:
    if kind is int:
        return isinstance(value, int | np.integer) and not isinstance(value, bool)
    if kind is float:
        numbers = isinstance(value, int | float | np.integer | np.floating)
        if numbers and isinstance(value, int) and abs(value) >= 1 << 1023:
            raise _mismatch(where, "a number beyond float64", kind)
        return numbers and not isinstance(value, bool)
    if kind is str and isinstance(value, str):
        if any("\ud800" <= letter <= "\udfff" for letter in value):
            raise _mismatch(where, value, "text of whole Unicode characters")
        return True
    return isinstance(value, bool | np.bool_ if kind is bool else kind)


def _item_kinds(arguments: tuple[Any, ...], items: Sequence[Any], where: str) -> tuple[Any, ...]:
    if arguments[1:] == (...,):
        return arguments[:1] * len(items)
    if len(arguments) != len(items):
        raise VecqError(f"{where} has {len(items)} items; {len(arguments)} are wanted")
    return arguments


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _mismatch(where: str, value: object, kind: Any) -> VecqError:
    shown = " ".join(repr(value).split())
    shown = shown if len(shown) <= 40 else f"{shown[:36]} ..."
    return VecqError(f"{where or 'it'} is {shown}, but {_kind_name(kind)} is wanted")


def _kind_name(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    return " or ".join(
        "None"
        if one is types.NoneType
        else getattr(one, "__name__", str(one))
        if not arguments
        else "an array"
        if origin is np.ndarray
        else str(one)
        for one, origin, arguments in _alternatives(kind)
    )
