"""How many parameters a model has and how many bytes they take, counted as the paper counts."""

from __future__ import annotations

import math

from torch import nn

from vecq_hw.arguments import whole_number
from vecq_hw.errors import VecqError
from vecq_hw.train.module_graph import WITH_WEIGHTS

FLOAT_BITS = 32
_NORM_VALUES = 4
"""The values of each channel of a batch norm: gain, shift, mean, variance."""


def parameter_count(model: nn.Module) -> int:
    """The weights and biases of the model's layers, without batch norms; float or quantized.

    The two biases of an LSTM are only ever added, so they count once; so do those of a GRU but for
    its candidates'.
    """
    total = 0
    for module in model.modules():
        if isinstance(module, WITH_WEIGHTS):
            for name, parameter in module.named_parameters(recurse=False):
                if not name.startswith("bias_hh"):
                    total += parameter.numel()
                elif isinstance(module, nn.GRU):
                    total += module.hidden_size
    return total


def model_size_bytes(model: nn.Module, weight_bits: int) -> int:
    """The bytes of a model with ``weight_bits``-bit weights and biases and float32 batch norms.

    So the paper counts in its Tables 5 and 6 (in units of 2^20); scales, one a layer, are left out.

    Parameters
    ----------
    model : nn.Module
        Float or quantized; its parameters may lie on the device 'meta'.
    weight_bits : int, 1..16, or 32 for float

    Raises
    ------
    VecqError
        ``weight_bits`` is neither 1 to 16 nor 32.

    Examples
    --------
    >>> model_size_bytes(nn.Sequential(nn.Linear(7, 8), nn.BatchNorm1d(8)), 2)
    144
    """
    wanted = f"weights have 1 to 16 bits, or {FLOAT_BITS} in float"
    weight_bits = whole_number(weight_bits, wanted, 1, FLOAT_BITS)
    if 16 < weight_bits < FLOAT_BITS:
        raise VecqError(f"{wanted}, not {weight_bits}")
    channels = sum(
        module.num_features
        for module in model.modules()
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)
    )
    bits = parameter_count(model) * weight_bits + channels * _NORM_VALUES * FLOAT_BITS
    return math.ceil(bits / 8)
