"""Whole networks, written as authors and torchvision write them, scaled down.

Most take a width, the number of channels of their first layer.
"""

from tests.zoo.networks import branched, decoders, mixers, mobile, residual, sounds

CASES = [
    case
    for family in (residual, mobile, branched, decoders, mixers, sounds)
    for case in family.CASES
]
