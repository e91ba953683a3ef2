from __future__ import annotations

import os
import resource
from collections.abc import Iterator

import pytest
from hypothesis import settings


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="rewrite tests/golden")


# A change is judged by the same examples each time it is judged; at a desk new ones are drawn.
settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    settings.load_profile("ci")


@pytest.fixture(autouse=True)
def _processor_time(request: pytest.FixtureRequest) -> Iterator[None]:
    """What a nightly test took, compilers included, for the record (tests/nightly_record.py)."""
    if request.node.get_closest_marker("nightly") is None:
        yield
        return

    def total() -> float:
        usages = map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        return sum(usage.ru_utime + usage.ru_stime for usage in usages)

    start = total()
    yield
    request.node.user_properties.append(("cpu_seconds", round(total() - start, 1)))
