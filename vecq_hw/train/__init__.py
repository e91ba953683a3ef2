"""Training: a float model's quantized twin, a loop to train it, checkpoints."""

from vecq_hw import toolchain

toolchain.require(toolchain.TORCH)

from vecq_hw.train.checkpoint import (  # noqa: E402
    ModelRecipe,
    load_checkpoint,
    save_checkpoint,
)
from vecq_hw.train.convert import LayerBits, quantize_model  # noqa: E402
from vecq_hw.train.fit import evaluate, fit, predict  # noqa: E402
from vecq_hw.train.models import build_model, cnn, load_model_factory, mlp  # noqa: E402

__all__ = [
    "LayerBits",
    "ModelRecipe",
    "build_model",
    "cnn",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_model_factory",
    "mlp",
    "predict",
    "quantize_model",
    "save_checkpoint",
]
