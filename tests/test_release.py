"""What a release and those who cite it need."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from vecq_hw import __version__

ROOT = Path(__file__).parent.parent
PARTS = ("vecq_hw/__init__.py", "CITATION.cff", "CHANGELOG.md", ".ci/release_notes")


def notes(root: Path, version: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, root / ".ci/release_notes", version]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def ready(tmp_path: Path) -> Path:
    for name in PARTS:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text())
    changelog = tmp_path / "CHANGELOG.md"
    heading = f"## Unreleased\n\n## {__version__} - 2026-12-01"
    changelog.write_text(changelog.read_text().replace("## Unreleased", heading, 1))
    return tmp_path


def test_the_notes_of_a_release_are_its_section_of_the_changelog(ready):
    result = notes(ready, __version__)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("### Added\n")
    assert "\n## " not in result.stdout
    assert result.stdout.strip() in (ROOT / "CHANGELOG.md").read_text()


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("CHANGELOG.md", f"## {__version__} - 2026-12-01", "## 9.9.9", "has no section"),
        ("CITATION.cff", f"version: {__version__}", "version: 9.9.9", "but CITATION.cff says"),
        ("vecq_hw/__init__.py", __version__, "9.9.9", "but vecq_hw/__init__.py says 9.9.9"),
        ("CHANGELOG.md", "- 2026-12-01\n", "- 2026-12-01\n\n## 0.0.9\n", "is empty"),
    ],
)
def test_a_release_that_is_not_ready_is_refused(ready, file, old, new, says):
    text = (ready / file).read_text()
    assert old in text
    (ready / file).write_text(text.replace(old, new, 1))
    result = notes(ready, __version__)
    assert result.returncode == 1
    assert says in result.stderr
    assert result.stdout == ""


def test_the_groups_of_the_changelog_are_those_of_keep_a_changelog_and_in_order():
    text = (ROOT / "CHANGELOG.md").read_text()
    order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        groups = re.findall(r"^### (.*)$", section, re.MULTILINE)
        assert groups == sorted(set(groups), key=order.index)


def test_the_citation_is_of_this_version_and_whole():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert {"message", "title", "authors"} <= citation.keys()
    assert str(citation["version"]) == __version__
    assert citation["license"] == "Apache-2.0"
    assert [one["doi"] for one in citation["references"]] == ["10.1109/TC.2020.2995593"]


def test_a_job_of_the_release_has_no_more_rights_than_it_needs():
    flow = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())
    assert flow[True] == {"push": {"tags": ["v*"]}}  # YAML reads the key "on" so
    assert flow["permissions"] == {"contents": "read"}
    rights = {name: job["permissions"] for name, job in flow["jobs"].items()}
    assert rights == {
        "build": {"contents": "read", "id-token": "write", "attestations": "write"},
        "pypi": {"id-token": "write"},
        "github": {"contents": "write"},
    }
    for file in (ROOT / ".github").rglob("*.yml"):
        assert yaml.safe_load(file.read_text()), file
