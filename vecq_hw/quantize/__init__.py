"""The quantizers: VecQ for weights, a uniform grid that follows the data for activations."""

from vecq_hw import toolchain

toolchain.require(toolchain.TORCH)

from vecq_hw.quantize.activation import (  # noqa: E402
    ActivationQuantizer,
    InputQuantizer,
    QuantizedHardtanh,
    QuantizedReLU,
    SignedQuantizer,
    activation_step,
)
from vecq_hw.quantize.vecq import (  # noqa: E402
    VecqResult,
    direct_quantization_loss,
    gaussian_lambda,
    gaussian_orientation_loss,
    modulus_loss,
    orientation_loss,
    vecq,
    vecq_straight_through,
)

__all__ = [
    "ActivationQuantizer",
    "InputQuantizer",
    "QuantizedHardtanh",
    "QuantizedReLU",
    "SignedQuantizer",
    "VecqResult",
    "activation_step",
    "direct_quantization_loss",
    "gaussian_lambda",
    "gaussian_orientation_loss",
    "modulus_loss",
    "orientation_loss",
    "vecq",
    "vecq_straight_through",
]
