"""The methods of quantizing activations by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vecq_hw.arguments import nearest
from vecq_hw.errors import VecqError
from vecq_hw.quantize.activation import QuantizedHardtanh, QuantizedReLU, SignedQuantizer
from vecq_hw.quantize.activation_esb import EsbHardtanh, EsbReLU, EsbSigned


@dataclass(frozen=True, slots=True)
class ActivationMethod:
    """The quantizers that a method puts behind layers.

    The network's inputs and outputs, and what a table is addressed by, are uniform with all.
    """

    relu: type[QuantizedReLU]
    hardtanh: type[QuantizedHardtanh]
    signed: type[SignedQuantizer]


ACTIVATION_METHODS: Mapping[str, ActivationMethod] = {
    "uniform": ActivationMethod(QuantizedReLU, QuantizedHardtanh, SignedQuantizer),
    "esb": ActivationMethod(EsbReLU, EsbHardtanh, EsbSigned),
}


def activation_method(name: object) -> ActivationMethod:
    """The method of that name.

    Raises
    ------
    VecqError
        There is none.
    """
    if not isinstance(name, str) or name not in ACTIVATION_METHODS:
        hint = nearest(str(name), ACTIVATION_METHODS)
        raise VecqError(f"there is no method '{name}' for activations; {hint}")
    return ACTIVATION_METHODS[name]
