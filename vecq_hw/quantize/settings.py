"""The settings of a method: what its class says of the keyword parameters of its constructor."""

from __future__ import annotations

import enum
import inspect
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vecq_hw.arguments import member, real_number, shown, truth_value, whole_number
from vecq_hw.errors import VecqError

Option = bool | int | float | str | tuple[int | float, ...] | None
"""The value of a setting as checkpoints and files hold it; of an enumeration, a member's value."""
_NONE = "none"
_BETWEEN = "/"
_UNDERLINE = re.compile("-+")


@dataclass(frozen=True, slots=True, kw_only=True)
class MethodSetting:
    """A setting of a method.

    Attributes
    ----------
    name : str
    kind : type
        bool, int, float, str or an enumeration.
    is_list : bool
        Whether a value is a tuple of such.
    optional : bool
        Whether None is a value.
    default : object
    meaning : str
        From the docstring of the class.
    """

    name: str
    kind: type[Any]
    is_list: bool
    optional: bool
    default: Any
    meaning: str

    @property
    def wanted(self) -> str:
        """Its values in words."""
        if issubclass(self.kind, enum.Enum):
            one = several = f"one of {', '.join(str(one.value) for one in self.kind)}"
        else:
            one, several = _WORDS[self.kind]
        words = f"a list of {several}" if self.is_list else one
        return f"{words}, or {_NONE}" if self.optional else words

    def checked(self, value: Any, where: str) -> Any:
        """The value as the class takes it; any other is refused.

        Raises
        ------
        VecqError
            The value is not of the kind that the setting takes, or its list is empty.
        """
        if value is None and self.optional:
            return None
        if not self.is_list:
            return self._checked_item(value, where)
        if not isinstance(value, tuple | list) or not value:
            raise VecqError(f"{where} is {self.wanted}, not {shown(value)}")
        return tuple(self._checked_item(item, where) for item in value)

    def read(self, text: str, where: str) -> Option:
        """The value that a text says; items of a list have a slash between them."""
        if self.optional and text.lower() == _NONE:
            return None
        if self.is_list:
            items = [self._read_item(item.strip()) for item in text.split(_BETWEEN)]
            return self.plain(self.checked(tuple(items), where))
        return self.plain(self.checked(self._read_item(text), where))

    def plain(self, value: Any) -> Option:
        """A value that was checked as files hold it."""
        plain: Option = value.value if isinstance(value, enum.Enum) else value
        return plain

    def shown(self) -> str:
        """The default as :meth:`read` takes it."""
        match self.plain(self.default):
            case None:
                return _NONE
            case bool(value):
                return str(value).lower()
            case tuple(items):
                return _BETWEEN.join(f"{item:g}" for item in items)
            case float(number):
                return f"{number:g}"
            case other:
                return str(other)

    def _checked_item(self, value: Any, where: str) -> Any:
        wanted = f"{where} is {self.wanted}"
        if self.kind is bool:
            return truth_value(value, wanted)
        if self.kind is int:
            return whole_number(value, wanted)
        if self.kind is float:
            return real_number(value, wanted)
        if self.kind is str:
            if not isinstance(value, str):
                raise VecqError(f"{wanted}, not {shown(value)}")
            return value
        return member(self.kind, value, where)

    def _read_item(self, text: str) -> Any:
        """A number or truth value where the text is one, else the text, which is refused later."""
        if self.kind is bool:
            return {"true": True, "false": False}.get(text.lower(), text)
        if self.kind in (int, float):
            try:
                return self.kind(text)
            except ValueError:
                return text
        return text


_WORDS: Mapping[type[Any], tuple[str, str]] = {
    bool: ("True or False", "truth values"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a name", "names"),
}


def method_settings(method: type[Any]) -> dict[str, MethodSetting]:
    """The settings of a class of quantizers by name, in the order of its constructor."""
    constructor: Any = method.__init__
    kinds = typing.get_type_hints(constructor)
    parameters = list(inspect.signature(constructor).parameters.values())[3:]  # self, w, bits
    meanings = _meanings(method)
    return {
        one.name: _setting(one.name, kinds[one.name], one.default, meanings.get(one.name, ""))
        for one in parameters
    }


def _setting(name: str, annotation: Any, default: Any, meaning: str) -> MethodSetting:
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    kinds = typing.get_args(annotation) if union else (annotation,)
    optional = types.NoneType in kinds
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    if len(kinds) > 1:  # an enumeration may be given by its value
        kinds = tuple(kind for kind in kinds if kind is not str)
    (kind,) = kinds
    is_list = typing.get_origin(kind) is tuple
    if is_list:
        kind, _ = typing.get_args(kind)
    return MethodSetting(
        name=name, kind=kind, is_list=is_list, optional=optional, default=default, meaning=meaning
    )


def _meanings(method: type[Any]) -> dict[str, str]:
    """What the docstrings of a class and of those above it say of parameters; its own first."""
    found: dict[str, str] = {}
    for one in reversed(method.__mro__):
        found |= documented_parameters(one.__doc__ or "")
    return found


def documented_parameters(docstring: str) -> dict[str, str]:
    """The texts below the names in the section 'Parameters' of a numpydoc docstring.

    Examples
    --------
    >>> documented_parameters('''Nothing.
    ...
    ...     Parameters
    ...     ----------
    ...     first, second : int
    ...         How many ``things``
    ...         there are.
    ...     ''')
    {'first': 'How many things there are.', 'second': 'How many things there are.'}
    """
    lines = inspect.cleandoc(docstring).splitlines()
    found: dict[str, list[str]] = {}
    names: list[str] = []
    inside = False
    for line, following in zip(lines, [*lines[1:], ""], strict=True):
        if following and _UNDERLINE.fullmatch(following) and line:
            inside, names = line == "Parameters", []
        elif inside and line and not line.startswith((" ", "-")):
            names = [name.strip() for name in line.partition(":")[0].split(",")]
        elif inside and line.startswith(" "):
            for name in names:
                found.setdefault(name, []).append(line.strip())
    return {name: plain_text(" ".join(texts)) for name, texts in found.items()}


def plain_text(marked: str) -> str:
    """A text of a docstring without its marks.

    Examples
    --------
    >>> plain_text("as of :func:`vecq_hw.lower.lower`, *not* ``x``")
    'as of lower, not x'
    """
    text = re.sub(r":\w+:`~?(?:\w+\.)*(\w+)`", r"\1", marked)
    text = re.sub(r"(?<!\w)\*([^*]+)\*(?!\w)", r"\1", text)
    return text.replace("``", "")
