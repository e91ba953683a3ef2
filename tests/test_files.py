"""What vecq writes never replaces what somebody else wrote, and two writers never mix."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from vecq_hw import files
from vecq_hw.emit.project import Project
from vecq_hw.errors import VecqError


def contents(folder: Path) -> dict[str, str]:
    """The files, but for ours of ``.vecq``."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and files.HIDDEN not in path.parts
    }


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


FIRST = Project({"README.md": "one", "src/a.cpp": "a", "src/b.cpp": "b", "old/c.cpp": "c"})
SECOND = Project({"README.md": "two", "src/a.cpp": "a"})


def test_files_of_an_earlier_project_go_and_those_of_others_stay(tmp_path):
    FIRST.write(tmp_path / "p")
    (tmp_path / "p/src/mine.cpp").write_text("mine")
    SECOND.write(tmp_path / "p")
    assert contents(tmp_path / "p") == {
        "README.md": "two",
        "src/a.cpp": "a",
        "src/mine.cpp": "mine",
    }
    assert not (tmp_path / "p/old").exists()


def test_a_file_that_was_changed_stays_though_no_longer_made(tmp_path):
    FIRST.write(tmp_path)
    (tmp_path / "src/b.cpp").write_text("improved")
    SECOND.write(tmp_path)
    assert contents(tmp_path)["src/b.cpp"] == "improved"


@pytest.mark.parametrize("name", ["README.md", "src/a.cpp"])
@pytest.mark.parametrize("ours_before", [False, True])
def test_a_file_without_our_mark_is_replaced_by_force_alone(tmp_path, name, ours_before):
    if ours_before:
        FIRST.write(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    before = contents(tmp_path)
    with pytest.raises(VecqError, match=rf"{name}' was not written by vecq.*--force"):
        SECOND.write(tmp_path)
    assert contents(tmp_path) == before
    SECOND.write(tmp_path, force=True)
    assert contents(tmp_path) == dict(SECOND.files)


def test_a_copy_without_marks_is_ours_where_it_is_equal(tmp_path):
    FIRST.write(tmp_path / "p")
    shutil.rmtree(tmp_path / "p" / files.HIDDEN)
    FIRST.write(tmp_path / "p")


def test_an_empty_file_has_nothing_to_lose(tmp_path):
    (tmp_path / "report").touch()  # as mktemp makes it
    files.write(tmp_path / "report", b"x", "kind")
    assert (tmp_path / "report").read_text() == "x"


def test_a_refusal_leaves_no_trace(tmp_path):
    (tmp_path / "p").mkdir()
    (tmp_path / "p/README.md").write_text("mine")
    with pytest.raises(VecqError):
        FIRST.write(tmp_path / "p")
    assert names(tmp_path / "p") == ["README.md"]
    with pytest.raises(ZeroDivisionError), files.Folder(tmp_path / "new" / "deep"):
        1 / 0  # noqa: B018
    assert names(tmp_path) == ["p"]


def test_links_do_not_lead_out_of_the_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "p").mkdir()
    (tmp_path / "p/src").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(VecqError, match="is a link that leaves"):
        FIRST.write(tmp_path / "p", force=True)
    assert names(tmp_path / "elsewhere") == []


@pytest.mark.parametrize("blocker", ["README.md/", "src"])
def test_what_cannot_be_replaced_is_said(tmp_path, blocker):
    if blocker.endswith("/"):
        (tmp_path / blocker).mkdir()
        (tmp_path / blocker / "inside").write_text("x")
    else:
        (tmp_path / blocker).write_text("x")
    with pytest.raises(VecqError, match=r"is a folder; a file is|is a file; a folder is wanted"):
        FIRST.write(tmp_path, force=True)


def test_a_single_file_is_no_part_of_the_project_beside_it(tmp_path):
    files.write(tmp_path / "network.npz", b"network", "kind")
    FIRST.write(tmp_path)
    SECOND.write(tmp_path)
    assert contents(tmp_path)["network.npz"] == "network"
    files.write(tmp_path / "network.npz", b"again", "kind")
    (tmp_path / "network.npz").write_text("mine")
    with pytest.raises(VecqError, match="changed since"):
        files.check_file(tmp_path / "network.npz", "kind")
    with pytest.raises(VecqError, match="changed since"):
        files.write(tmp_path / "network.npz", b"once more", "kind")


def test_pipes_are_written_into_and_links_followed(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    read: list[bytes] = []
    reader = threading.Thread(
        target=lambda: read.append((tmp_path / "pipe").read_bytes()), daemon=True
    )
    reader.start()
    files.check_file(tmp_path / "pipe", "kind")
    files.write(tmp_path / "pipe", b"through", "kind")
    reader.join(timeout=10)
    assert read == [b"through"]
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real/file")
    files.write(tmp_path / "link", b"x", "kind")
    assert (tmp_path / "real/file").read_text() == "x"
    assert (tmp_path / "link").is_symlink()


WRITER = """
import sys
from vecq_hw.files import Folder
with Folder(sys.argv[1]) as place:
    print("in", flush=True)
    sys.stdin.read()
    place.write_all([("README.md", b"of the other"), ("only.cpp", b"x")], "project")
"""


def test_a_second_writer_is_refused_and_cannot_mix(tmp_path):
    folder = tmp_path / "p"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(VecqError, match="is being written by another vecq"):
            FIRST.write(folder)
        assert contents(folder) == {}
        other.communicate(b"")
    assert other.returncode == 0
    FIRST.write(folder)
    assert contents(folder) == dict(FIRST.files)


@pytest.mark.parametrize("failing", ["README.md", "src/a.cpp", "src/b.cpp"])
def test_a_project_that_was_killed_while_written_is_still_known(tmp_path, monkeypatch, failing):
    """As by SIGKILL: nothing runs after the failing rename, and the next project cleans up."""
    SECOND.write(tmp_path)
    rename = os.replace

    def killed(source: Path, target: Path) -> None:
        if str(target).endswith(failing):
            raise SystemExit
        rename(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", killed)
        with pytest.raises(SystemExit):
            FIRST.write(tmp_path)
    last = Project({"README.md": "three"})
    last.write(tmp_path)
    assert contents(tmp_path) == dict(last.files)


def test_ctrl_c_between_two_files_leaves_one_project(tmp_path, monkeypatch):
    FIRST.write(tmp_path)
    rename, count = os.replace, 0

    def interrupted(source: Path, target: Path) -> None:
        nonlocal count
        rename(source, target)
        count += 1
        if count == 3:  # the list, and the first of the two files
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", interrupted)
        with pytest.raises(KeyboardInterrupt):
            SECOND.write(tmp_path)
    assert contents(tmp_path) == dict(SECOND.files)


def test_a_damaged_list_makes_nothing_ours(tmp_path):
    FIRST.write(tmp_path)
    (tmp_path / files.HIDDEN / "files.json").write_text('{"vecq_files": 1, "files": [')
    FIRST.write(tmp_path)  # equal contents
    (tmp_path / files.HIDDEN / "files.json").write_text('{"vecq_files": 1, "files": {"a": 3}}')
    with pytest.raises(VecqError, match="was not written by vecq"):
        SECOND.write(tmp_path)


def test_a_file_of_ours_is_not_replaced_by_one_of_another_kind(tmp_path):
    """As a report in the place of the network that it is about."""
    path = tmp_path / "network.npz"
    files.write(path, b"network", "network")
    files.write(path, b"another", "network")
    for attempt in (
        lambda: files.check_file(path, "report"),
        lambda: files.write(path, b"{}", "report"),
        lambda: Project({"network.npz": "x"}).write(tmp_path),
    ):
        with pytest.raises(VecqError, match=r"is vecq's own, but of another kind \(network, not "):
            attempt()
        assert path.read_bytes() == b"another"
    files.write(path, b"{}", "report", force=True)
    assert path.read_bytes() == b"{}"
