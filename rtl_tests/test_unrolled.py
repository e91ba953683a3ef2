from pathlib import Path

import numpy as np
import pytest

from rtl_tests import harness
from rtl_tests.bench_unrolled import CASES, SHAPES, data


@pytest.mark.needs_verilator
def test_unrolled(tmp_path: Path) -> None:
    harness.run(tmp_path, "bench_unrolled", CASES)


def test_the_layers_are_worth_comparing() -> None:
    for index, shape in enumerate(SHAPES):
        wanted = 1 if shape.result is not None and shape.result.lo == shape.result.hi else 2
        assert len(np.unique(data(index)[1])) >= wanted, shape
