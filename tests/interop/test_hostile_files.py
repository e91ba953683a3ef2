"""Files that nobody means well: a network or a sentence comes of each, in bounded memory."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from benchmarks.hostile_files import PART, run_part
from tests.interop.hostile_files import KINDS, hostile_file
from vecq_hw.errors import VecqError
from vecq_hw.interop import import_bytes

FEW = {"onnx bytes": 60, "onnx graphs": 40, "tflite bytes": 60, "tflite graphs": 60}
MANY = 25_000
"""So many files of each kind in a night."""


@pytest.mark.parametrize("kind", KINDS)
def test_some_of_each_kind(kind: str):
    networks = refused = 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for index in range(FEW[kind]):
            try:
                import_bytes(hostile_file(kind, index))
                networks += 1
            except VecqError as error:
                refused += str(error).isprintable()
    assert networks + refused == FEW[kind]
    assert networks > 0  # some changes hit what nobody reads


@pytest.mark.nightly
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_thousand(kind: str, tmp_path: Path, record_property):
    """In processes with a limit of memory and time; the count is what was tried."""
    faults: dict[str, str] = {}
    networks = done = 0
    while done < MANY:
        found = run_part(kind, done, min(PART, MANY - done), tmp_path / "part.json")
        networks, done = networks + found["networks"], found["next"]
        faults |= found["faults"]
    record_property("files", done)
    record_property("networks", networks)
    assert not faults
