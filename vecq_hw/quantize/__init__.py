"""The quantizers: methods for weights, a uniform grid that follows the data for activations."""

from vecq_hw import toolchain

toolchain.require(toolchain.TORCH)

from vecq_hw.quantize.activation import (  # noqa: E402
    ActivationQuantizer,
    CurveInput,
    InputQuantizer,
    QuantizedHardtanh,
    QuantizedReLU,
    QuantizedSign,
    SignedQuantizer,
    activation_step,
)
from vecq_hw.quantize.activation_esb import EsbHardtanh, EsbReLU, EsbSigned  # noqa: E402
from vecq_hw.quantize.activation_methods import (  # noqa: E402
    ACTIVATION_METHODS,
    ActivationMethod,
    activation_method,
)
from vecq_hw.quantize.activation_rows import RowsReLU, RowsSigned  # noqa: E402
from vecq_hw.quantize.alq import Alq  # noqa: E402
from vecq_hw.quantize.bwn import Bwn  # noqa: E402
from vecq_hw.quantize.codes import (  # noqa: E402
    BaseCodes,
    ProductCodes,
    ScalarCodes,
    WeightCodes,
)
from vecq_hw.quantize.distributions import Distribution  # noqa: E402
from vecq_hw.quantize.dorefa import Dorefa  # noqa: E402
from vecq_hw.quantize.dropbits import DropBits  # noqa: E402
from vecq_hw.quantize.elq import Elq  # noqa: E402
from vecq_hw.quantize.esb import Esb, esb_scale  # noqa: E402
from vecq_hw.quantize.inq import Inq  # noqa: E402
from vecq_hw.quantize.lsq import Lsq  # noqa: E402
from vecq_hw.quantize.methods import METHODS, method_options, weight_method  # noqa: E402
from vecq_hw.quantize.minmax import MinMax  # noqa: E402
from vecq_hw.quantize.mul2q import MuL2q  # noqa: E402
from vecq_hw.quantize.product import BlockOrder, ProductQuantization  # noqa: E402
from vecq_hw.quantize.randomness import RandomState  # noqa: E402
from vecq_hw.quantize.settings import Option  # noqa: E402
from vecq_hw.quantize.srq import Srq  # noqa: E402
from vecq_hw.quantize.stochastic import Stochastic  # noqa: E402
from vecq_hw.quantize.tqt import Tqt  # noqa: E402
from vecq_hw.quantize.ttq import Ttq  # noqa: E402
from vecq_hw.quantize.twn import Twn  # noqa: E402
from vecq_hw.quantize.vecq import (  # noqa: E402
    Interval,
    Spread,
    Vecq,
    VecqResult,
    best_lambda,
    direct_quantization_loss,
    expected_orientation_loss,
    gaussian_lambda,
    modulus_loss,
    orientation_loss,
    paper_lambda,
    vecq,
)
from vecq_hw.quantize.weights import (  # noqa: E402
    WeightMethod,
    WeightQuantizer,
)

__all__ = [
    "ACTIVATION_METHODS",
    "METHODS",
    "ActivationMethod",
    "ActivationQuantizer",
    "Alq",
    "BaseCodes",
    "BlockOrder",
    "Bwn",
    "CurveInput",
    "Distribution",
    "Dorefa",
    "DropBits",
    "Elq",
    "Esb",
    "EsbHardtanh",
    "EsbReLU",
    "EsbSigned",
    "InputQuantizer",
    "Inq",
    "Interval",
    "Lsq",
    "MinMax",
    "MuL2q",
    "Option",
    "ProductCodes",
    "ProductQuantization",
    "QuantizedHardtanh",
    "QuantizedReLU",
    "QuantizedSign",
    "RandomState",
    "RowsReLU",
    "RowsSigned",
    "ScalarCodes",
    "SignedQuantizer",
    "Spread",
    "Srq",
    "Stochastic",
    "Tqt",
    "Ttq",
    "Twn",
    "Vecq",
    "VecqResult",
    "WeightCodes",
    "WeightMethod",
    "WeightQuantizer",
    "activation_method",
    "activation_step",
    "best_lambda",
    "direct_quantization_loss",
    "esb_scale",
    "expected_orientation_loss",
    "gaussian_lambda",
    "method_options",
    "modulus_loss",
    "orientation_loss",
    "paper_lambda",
    "vecq",
    "weight_method",
]
