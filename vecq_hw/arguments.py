"""Numbers and names that users give: any kind is taken, what is none is refused in a sentence."""

from __future__ import annotations

import difflib
import enum
import json
import math
import numbers
import operator
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from vecq_hw.errors import VecqError

_LONGEST = 100
"""Characters of what was given that a message repeats."""


def shown(given: object) -> str:
    """What was given, on one line and not longer than a message bears.

    Examples
    --------
    >>> shown("half"), shown(np.eye(2)), len(shown("1" * 5000))
    ("'half'", 'array([[1., 0.], [0., 1.]])', 100)
    """
    try:
        text = " ".join(repr(given).split())
    except ValueError:  # Python writes no whole number of more than 4300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]}...{text[-1]}"


def whole_number(given: Any, wanted: str, least: int | None = None, most: int | None = None) -> int:
    """A whole number of any type, such as ``np.int64(2)``, as an int.

    Parameters
    ----------
    given : object
    wanted : str
        Begins the message: "weights have 1 to 16 bits".
    least, most : int or None
        The range, ends included.

    Raises
    ------
    VecqError
        It is a truth value, no whole number, out of range, or one that 64 bits do not hold.

    Examples
    --------
    >>> whole_number(np.int64(2), "there are 1 to 3", 1, 3)
    2
    """
    try:
        number = None if isinstance(given, bool | np.bool_) else operator.index(given)
    except TypeError:
        number = None
    if (
        number is None
        or number.bit_length() >= 64  # no array holds it, and messages could not bear it
        or (least is not None and number < least)
        or (most is not None and number > most)
    ):
        held = number is None or most is not None or number.bit_length() < 64
        raise VecqError(f"{wanted}{'' if held else ', in 64 bits'}, not {shown(given)}")
    return number


def real_number(given: Any, wanted: str) -> float:
    """A finite number of any type as a float.

    Raises
    ------
    VecqError
        It is a truth value, no real number, NaN, infinite, or beyond all floats.
    """
    number = isinstance(given, numbers.Real) and not isinstance(given, bool | np.bool_)
    try:
        found = float(given) if number else math.nan
    except OverflowError:  # a whole number beyond all floats
        found = math.inf
    if not math.isfinite(found):
        raise VecqError(f"{wanted}, not {shown(given)}")
    return found


_Member = TypeVar("_Member", bound=enum.Enum)


def member(kind: type[_Member], given: Any, what: str) -> _Member:
    """The member of an enumeration, given as such or by its value.

    Parameters
    ----------
    what : str
        Begins the message: "interval".

    Raises
    ------
    VecqError
        It is neither a member nor the value of one.
    """
    try:
        return kind(given)
    except ValueError:
        names = [str(one.value) for one in kind]
        wanted, hint = ", ".join(names), meant(given, names)
        raise VecqError(f"{what} is one of {wanted}, not {shown(given)}{hint}") from None


def truth_value(given: Any, wanted: str) -> bool:
    """True or False, NumPy's too.

    Raises
    ------
    VecqError
        It is neither Python's nor NumPy's True or False.
    """
    if not isinstance(given, bool | np.bool_):
        raise VecqError(f"{wanted}, not {shown(given)}")
    return bool(given)


def closest(given: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant, if one is near.

    Examples
    --------
    >>> closest("SMID", ["pe", "simd"]), closest("x", ["pe", "simd"])
    ('simd', None)
    """
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(given.lower(), names, n=1)
    return names[close[0]] if close else None


def meant(given: object, known: Iterable[str]) -> str:
    """What was probably meant, behind a sentence that says what there is; else nothing.

    Examples
    --------
    >>> meant("Simd", ["PE", "SIMD"]), meant("x", ["PE", "SIMD"]), meant(1, ["PE"])
    ("; did you mean 'SIMD'?", '', '')
    """
    close = closest(given, known) if isinstance(given, str) else None
    return "" if close is None else f"; did you mean '{close}'?"


def nearest(given: str, known: Iterable[str]) -> str:
    """What was probably meant by an unknown name, for the end of a sentence.

    Examples
    --------
    >>> nearest("smid", ["pe", "simd"])
    "did you mean 'simd'?"
    >>> nearest("x", ["pe", "simd"])
    'there are pe, simd'
    """
    names = list(known)
    close = closest(given, names)
    if close is not None:
        return f"did you mean '{close}'?"
    return f"there are {', '.join(names)}" if names else "there are none"


def format_version(given: Any, newest: int, what: str, *, oldest: int = 1) -> int:
    """The version of the format of a file, refused where it is not one that is read here.

    Every file that vecq writes for later has one.  It grows when an older vecq could misread what
    is written, and files of all versions from ``oldest`` on are read.

    Parameters
    ----------
    given : object
        What the file says.
    what : str
        Begins the message: "'network.npz'".

    Raises
    ------
    VecqError
        It is newer or older, or no whole number at all; the message names both versions.

    Examples
    --------
    >>> format_version(3, 2, "'network.npz'")
    Traceback (most recent call last):
    vecq_hw.errors.VecqError: 'network.npz' has the format version 3; this vecq reads up to 2
    """
    if isinstance(given, int) and not isinstance(given, bool) and oldest <= given <= newest:
        return given
    first = "up to " if oldest < newest or newest == 1 else ""
    raise VecqError(
        f"{what} has the format version {shown(given)}; this vecq reads {first}{newest}"
        f"{f', from {oldest} on' if first and oldest > 1 else ''}"
    )


def read_json(path: str | Path, what: str, form: str) -> Any:
    """The tree of a JSON file in UTF-8 or UTF-16, each name of whose objects is there once.

    Parameters
    ----------
    path : str or Path
    what : str
        The kind of file, for messages: "bits file".
    form : str
        An example of what is wanted, for messages.

    Raises
    ------
    VecqError
        The file cannot be read, is no JSON, or has a name twice in an object.
    """
    try:
        return json.loads(Path(path).read_bytes(), object_pairs_hook=_each_once)
    except OSError as error:
        raise VecqError(f"{what} '{path}' cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise VecqError(f"{what} '{path}' is no JSON ({error}); {form} is the form") from None
    except VecqError as error:
        raise VecqError(f"{what} '{path}': {error}") from None


def _each_once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The pairs of a JSON object; Python's own reader takes the last of several of one name."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise VecqError(f"'{name}' is there twice")
        found[name] = value
    return found
