"""Docstrings tell users the shapes of arrays and which errors they may meet."""

from __future__ import annotations

import ast
import functools
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent.parent / "vecq_hw"

SHAPE = re.compile(r"\bshapes?\b|\bscalars?\b|\([A-Za-z_][\w^*/ +.]*,[^()]*\)", re.IGNORECASE)
"""The word, or a tuple of axes such as ``(N, C, H, W)`` or ``(n,)``."""


class Function(NamedTuple):
    """A public function, and the class whose method it is."""

    where: str
    node: ast.FunctionDef
    owner: ast.ClassDef | None


@functools.cache
def modules() -> dict[Path, ast.Module]:
    """The syntax tree of each module of the package.

    Commands are left out: their docstrings are what ``--help`` prints.
    """
    return {
        path.relative_to(PACKAGE): ast.parse(path.read_text())
        for path in sorted(PACKAGE.rglob("*.py"))
        if "cli" not in path.relative_to(PACKAGE).parts
    }


@functools.cache
def public_functions() -> tuple[Function, ...]:
    """Functions of modules and methods of their classes, whose names do not begin with '_'."""

    def within(path: Path, node: ast.Module | ast.ClassDef) -> Iterator[Function]:
        for child in node.body:
            match child:
                case ast.ClassDef(name=name) if not name.startswith("_"):
                    yield from within(path, child)
                case ast.FunctionDef(name=name) if not name.startswith("_"):
                    if not any("overload" in ast.unparse(by) for by in child.decorator_list):
                        owner = node if isinstance(node, ast.ClassDef) else None
                        yield Function(f"{path}:{child.lineno} {name}", child, owner)

    return tuple(function for path, tree in modules().items() for function in within(path, tree))


def raises_user_error(function: ast.FunctionDef) -> bool:
    """Whether a ``raise`` of it, or of a function within it, makes a VecqError."""
    for node in ast.walk(function):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id="VecqError"))):
                return True
    return False


@functools.cache
def array_types() -> re.Pattern[str]:
    """What names arrays in annotations: NumPy's and torch's types, and the package's aliases.

    An alias of a function of arrays is no array, nor is a name that some class has as well.
    """
    meanings: dict[str, str] = {}
    for tree in modules().values():
        for node in tree.body:
            match node:
                case ast.Assign(
                    targets=[ast.Name(id=name)],
                    value=(ast.Subscript() | ast.BinOp() | ast.Attribute()) as value,
                ) if name not in classes():
                    meanings[name] = ast.unparse(value)
    names = {"NDArray", "ArrayLike", "IntArray", "FloatArray", r"torch\.Tensor"}
    while True:
        pattern = re.compile(rf"\b({'|'.join(sorted(names))})\b")
        more = {
            name
            for name, meaning in meanings.items()
            if pattern.search(meaning) and not meaning.startswith("Callable")
        }
        if more <= names:
            return pattern
        names |= more


@functools.cache
def classes() -> Mapping[str, list[ast.ClassDef]]:
    """The classes of the package by name."""
    found = defaultdict(list)
    for tree in modules().values():
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found[node.name].append(node)
    return found


def annotated_types(function: ast.FunctionDef) -> str:
    """What a function takes and returns, as text."""
    arguments = function.args
    everything = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    given = [argument.annotation for argument in everything] + [function.returns]
    return " ".join(ast.unparse(annotation) for annotation in given if annotation is not None)


def texts(function: Function) -> Iterator[str]:
    """The docstring of a function, then those of the methods that it overrides."""
    yield ast.get_docstring(function.node) or ""
    bases, seen = list(function.owner.bases if function.owner else ()), set()
    while bases:
        name = ast.unparse(bases.pop()).partition("[")[0].rpartition(".")[2]
        for owner in classes().get(name, ()) if name not in seen else ():
            bases.extend(owner.bases)
            for child in owner.body:
                if isinstance(child, ast.FunctionDef) and child.name == function.node.name:
                    yield ast.get_docstring(child) or ""
        seen.add(name)


def test_public_functions_say_when_they_raise_a_user_error():
    silent = [
        function.where
        for function in public_functions()
        if raises_user_error(function.node)
        and "raise" not in (ast.get_docstring(function.node) or "").lower()
    ]
    assert not silent


def test_public_functions_say_the_shapes_of_their_arrays():
    """A method may leave it to the method that it overrides."""
    silent = [
        function.where
        for function in public_functions()
        if array_types().search(annotated_types(function.node))
        and not any(SHAPE.search(text) for text in texts(function))
    ]
    assert not silent, "\n".join(silent)


def test_docstrings_begin_as_sentences():
    """None goes on from the name of what it describes, as "Of the values." would."""
    begun = re.compile(r'^ *r?"""(Of (?!course)|That of |As of )', re.MULTILINE)
    assert not [str(path) for path in PACKAGE.rglob("*.py") if begun.search(path.read_text())]
