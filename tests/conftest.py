from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from hypothesis import settings

collect_ignore = ["golden"]  # text of generated projects, not modules of this one


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


ODD_NAME = """it's a "net"; #1 ü: (50 %) $HOME \\ & `x`"""
"""A folder's name: make, shells and PYTHONPATH read each of these characters as their own."""


@pytest.fixture(scope="session")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which Python finds neither vecq_hw nor what it is built on."""
    folder = tmp_path_factory.mktemp("alone")
    for name in ("vecq_hw", "numpy", "click", "jinja2", "rich", "scipy", "threadpoolctl"):
        (folder / f"{name}.py").write_text(f"raise ImportError('{name} is not here')\n")
    kept = {key: os.environ[key] for key in ("HOME", "PATH", "TMPDIR") if key in os.environ}
    return kept | {"PYTHONPATH": str(folder)}


# A change is judged by the same examples each time it is judged; at a desk new ones are drawn.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@cache
def _commit() -> str:
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    found = subprocess.run(
        command, cwd=Path(__file__).parent, capture_output=True, text=True, check=False
    )
    return found.stdout.strip()


@pytest.fixture(autouse=True)
def _processor_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a nightly test took, compilers included, and of which commit, for nightly_record.py."""
    if request.node.get_closest_marker("nightly") is None:
        yield
        return

    def total() -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    request.node.user_properties.append(("commit", _commit()))
    start = total()
    yield
    request.node.user_properties.append(("cpu_seconds", round(total() - start, 1)))
