"""Docstrings tell users which errors they may meet."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent / "vecq_hw"


def public_functions(node: ast.AST) -> Iterator[ast.FunctionDef]:
    """Functions of a module and methods of its classes, whose names do not begin with '_'."""
    for child in ast.iter_child_nodes(node):
        match child:
            case ast.ClassDef(name=name) if not name.startswith("_"):
                yield from public_functions(child)
            case ast.FunctionDef(name=name) if not name.startswith("_"):
                yield child


def raises_user_error(function: ast.FunctionDef) -> bool:
    """Whether a ``raise`` of it, or of a function within it, makes a VecqError."""
    for node in ast.walk(function):
        match node:
            case ast.Raise(exc=ast.Call(func=ast.Name(id="VecqError"))):
                return True
    return False


def test_public_functions_say_when_they_raise_a_user_error():
    """Commands are left out: their docstrings are what ``--help`` prints."""
    texts = {path.relative_to(PACKAGE): path.read_text() for path in sorted(PACKAGE.rglob("*.py"))}
    silent = [
        f"{path}:{function.lineno} {function.name}"
        for path, text in texts.items()
        if "cli" not in path.parts and "raise VecqError" in text
        for function in public_functions(ast.parse(text))
        if raises_user_error(function)
        and "raise" not in (ast.get_docstring(function) or "").lower()
    ]
    assert not silent
