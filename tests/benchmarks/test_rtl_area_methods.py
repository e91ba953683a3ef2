"""The units that methods are given are those of the weights that they train."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from benchmarks.rtl_area_methods import METHODS, UNITS, rows
from vecq_hw.formats import bit_planes
from vecq_hw.layers import BinaryBases, ProductWeights, Weights
from vecq_hw.quantize.methods import METHODS as QUANTIZERS
from vecq_hw.quantize.methods import method_options, weight_method
from vecq_hw.quantize.product import ProductQuantization


def test_each_method_has_a_row_of_a_unit() -> None:
    assert {method for method, *_ in METHODS} == set(QUANTIZERS)
    assert {unit for *_, unit in METHODS} == set(UNITS)
    units = [{"unit": name, "luts": 512, "physical_luts": 1024, "cycles": 2} for name in UNITS]
    found = list(rows(units))
    assert len(found) == len(METHODS)
    assert {(row["luts_per_mac"], row["physical_luts_per_mac"]) for row in found} == {(4.0, 8.0)}


@pytest.mark.parametrize(("method", "bits", "settings", "unit"), METHODS)
def test_the_unit_is_that_of_the_weights(method: str, bits: int, settings: str, unit: str) -> None:
    options = method_options(method, settings) if settings else {}
    weights = UNITS[unit](np.random.default_rng(0))
    w = torch.randn(16, 1024, generator=torch.Generator().manual_seed(0))
    w = torch.where(w > 0, 1.4 * w, w)  # so that the two scales of TTQ differ
    quantizer = weight_method(method, **options)(w, bits)
    match weights:
        case Weights():
            assert bit_planes(quantizer.grid) == weights.planes
        case ProductWeights():
            assert isinstance(quantizer, ProductQuantization)
            assert (quantizer.words, quantizer.block) == weights.book.shape
            assert quantizer.grid == weights.grid
        case BinaryBases():
            assert f"part={weights.group}" == settings
            assert weights.counts.max() == bits
