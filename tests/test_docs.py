"""The README's example runs as it stands; links and commands of the docs lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def test_the_example_of_the_readme_runs(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    result = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": "", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    accuracy, differences = result.stdout.split()[-2:]
    assert float(accuracy) > 0.95
    assert int(differences) <= 1
    assert (tmp_path / "network.npz").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_relative_links_lead_to_files(page):
    for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / link).exists(), link


def test_the_commands_of_the_readme_exist():
    from vecq_hw.cli import vecq

    text = (ROOT / "README.md").read_text()
    named = set(re.findall(r"^ {4}vecq (\w+)", text, re.MULTILINE))
    assert named <= set(vecq.commands)
    assert {"show", "simulate", "emit", "verify"} <= named
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^ {4}make (\w+)", text, re.MULTILINE)) <= targets
