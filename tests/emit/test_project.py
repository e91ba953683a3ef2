from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vecq_hw.emit.identifiers import identifiers
from vecq_hw.emit.project import Project, Vectors, read_vectors
from vecq_hw.errors import VecqError


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../up", "a/../../b", "a//b", "", ".", "a\n", "C:\\x", "ä", "x" * 200]
)
def test_names_that_leave_the_folder_or_are_odd_are_refused(name):
    with pytest.raises(VecqError, match="is no relative file name"):
        Project({name: ""})


def test_write_creates_and_rewrites_but_keeps_what_is_not_its_own(tmp_path):
    folder = tmp_path / "deep" / "project"
    Project({"a.txt": "1", "sub/b.txt": "2"}).write(folder)
    (folder / "notes.txt").write_text("mine")
    Project({"a.txt": "3"}).write(folder)
    found = {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.txt")}
    assert found == {"a.txt": "3", "notes.txt": "mine"}


def test_bytes_are_written_as_they_are(tmp_path):
    content = {"a.bin": bytes(range(256)), "b.txt": "ü\n"}
    Project(content).write(tmp_path / "p")
    assert (tmp_path / "p/a.bin").read_bytes() == content["a.bin"]
    assert (tmp_path / "p/b.txt").read_bytes() == "ü\n".encode()


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(VecqError, match="is a file; a folder is wanted"):
        Project({"a": ""}).write(tmp_path / "file")


def test_vectors_round_trip(tmp_path):
    rng = np.random.default_rng(0)
    vectors = Vectors(
        inputs=rng.integers(-9, 9, (5, 2, 2, 3)), outputs=rng.integers(-(2**60), 2**60, (5, 4))
    )
    Project(vectors.files()).write(tmp_path)
    assert np.array_equal(
        read_vectors(tmp_path / "vectors/inputs.txt"), vectors.inputs.reshape(5, -1)
    )
    assert np.array_equal(read_vectors(tmp_path / "vectors/outputs.txt"), vectors.outputs)


@pytest.mark.parametrize(
    ("text", "says"), [("1 2\n3\n", "different numbers"), ("1 x\n", "no integer")]
)
def test_damaged_vectors_are_refused(tmp_path, text, says):
    path = tmp_path / "vectors.txt"
    path.write_text(text)
    with pytest.raises(VecqError, match=says):
        read_vectors(path)


@given(st.lists(st.text(max_size=60), unique=True, max_size=30))
def test_identifiers_are_legal_unique_and_stable(names):
    given_names = identifiers(names)
    assert list(given_names) == names
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,59}", i) for i in given_names.values())
    assert len({i.lower() for i in given_names.values()}) == len(names)
    assert not any("__" in i for i in given_names.values())
    assert identifiers(names) == given_names


@pytest.mark.parametrize(
    "name", ["int", "logic", "module", "Class", "x" * 10_000, "ünï", "1st", "a-b"]
)
def test_awkward_names(name):
    found = identifiers([name])[name]
    assert found not in ("int", "logic", "module", "Class", "class")
    assert len(found) <= 60
