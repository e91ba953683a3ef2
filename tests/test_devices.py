"""The table of devices says of each what the tools are told."""

import pytest

from vecq_hw.devices import DEVICES, FAMILIES, device
from vecq_hw.errors import VecqError


def test_every_device_is_found_by_its_name_and_complete():
    for name, found in DEVICES.items():
        assert device(f" {name.upper()}") is found
        assert found.family in FAMILIES
        assert min(found.luts, found.flip_flops, found.block_rams) > 0 <= found.dsps
        assert found.package.strip()
        assert found.speed_grade.strip()
        assert found.part.strip()
        placed = found.family.place_and_route is not None
        assert bool(found.options) is placed is bool(found.family.wheels)
        assert placed is (found.family.bitstream is not None)


@pytest.mark.parametrize(
    ("given", "meant"),
    [("ecp-85k", "ecp5-85k"), ("ice40hx8k", "ice40-hx8k"), ("XC7A35", "xc7a35t")],
)
def test_a_near_miss_says_what_may_be_meant(given, meant):
    with pytest.raises(VecqError, match=f"there is no device '{given}'; did you mean '{meant}'"):
        device(given)


def test_a_name_that_is_like_none_gives_them_all():
    with pytest.raises(VecqError, match="there are ecp5-12k, ecp5-25k, "):
        device("stratix")
