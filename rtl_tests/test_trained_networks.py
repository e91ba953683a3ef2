"""Networks as training leaves them: weights of methods off VecQ's grid."""

from pathlib import Path

import numpy as np
import pytest

from rtl_tests.test_networks import run_projects
from tests.hls_networks import case_of
from tests.shares import nightly
from tests.train.test_methods import blobs, mlp
from vecq_hw.emit.project import Project
from vecq_hw.formats import MidRise
from vecq_hw.layers import Dense
from vecq_hw.lower import lower
from vecq_hw.quantize import weight_method
from vecq_hw.train import fit, quantize_model
from vecq_hw.verify.rtl import emit

METHODS = {"twn": 2, "ttq": 2, "inq": 5, "tqt": 4, "minmax": 4}


@pytest.mark.needs_verilator
@pytest.mark.parametrize("methods", [["inq"], nightly(["ttq", "twn", "tqt", "minmax"])])
def test_methods_off_vecqs_grid(methods: list[str], tmp_path: Path) -> None:
    run_projects(tmp_path, {f"{name}_mlp": trained_project(name) for name in methods})


def trained_project(method: str) -> Project:
    """A small MLP on blobs, a few epochs, its top and layers named after the method."""
    bits = METHODS[method]
    twin = quantize_model(mlp(), bits, 8, method=weight_method(method))
    fit(twin, blobs(), epochs=4, batch_size=32, progress=False)
    case = case_of(lower(twin, name="mlp"), f"{method}_", 30, seed=0)
    grids = [la.weights.grid for la in case.network.layers if isinstance(la, Dense)]
    assert not any(isinstance(grid, MidRise) for grid in grids)
    assert len(np.unique(case.vectors.outputs)) > 30
    return emit(case.network, case.schedule, case.vectors)
