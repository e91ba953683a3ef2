"""What a change is judged by, and what runs at night alone."""

from __future__ import annotations

import pytest
from _pytest.mark import ParameterSet


def named(*values: object, name: str) -> ParameterSet:
    """A parameter of a test, which runs for every change."""
    return pytest.param(*values, id=name)


def nightly(*values: object, name: str | None = None) -> ParameterSet:
    """A parameter of a test that runs at night alone."""
    return pytest.param(*values, id=name, marks=pytest.mark.nightly)


def one_in(every: int) -> pytest.MarkDecorator:
    """One in so many of a bench's cases, and at night all: the argument ``every`` of a test."""
    shares = [pytest.param(every, id=f"one in {every}"), nightly(1, name="all")]
    return pytest.mark.parametrize("every", shares)
