"""Training: a float model's quantized twin, a loop to train it, checkpoints."""

from vecq_hw import toolchain

toolchain.require(toolchain.TORCH)

from vecq_hw.train.bits import read_bits  # noqa: E402
from vecq_hw.train.by_layer import LayerQuantization  # noqa: E402
from vecq_hw.train.calibrate import Calibrated, calibrate  # noqa: E402
from vecq_hw.train.checkpoint import (  # noqa: E402
    ModelRecipe,
    SavedTraining,
    load_checkpoint,
    load_training,
    save_checkpoint,
)
from vecq_hw.train.convert import quantize_model  # noqa: E402
from vecq_hw.train.fit import (  # noqa: E402
    evaluate,
    fit,
    predict,
    predict_all,
    predict_maps,
    run,
)
from vecq_hw.train.float_state import load_float_state  # noqa: E402
from vecq_hw.train.models import (  # noqa: E402
    MODELS,
    build_model,
    cnn,
    load_model_factory,
    mlp,
)
from vecq_hw.train.presets import PRESETS, Preset  # noqa: E402
from vecq_hw.train.settings import Optimizer, Settings  # noqa: E402
from vecq_hw.train.sizes import model_size_bytes, parameter_count  # noqa: E402
from vecq_hw.train.training import Epoch, Training  # noqa: E402

__all__ = [
    "MODELS",
    "PRESETS",
    "Calibrated",
    "Epoch",
    "LayerQuantization",
    "ModelRecipe",
    "Optimizer",
    "Preset",
    "SavedTraining",
    "Settings",
    "Training",
    "build_model",
    "calibrate",
    "cnn",
    "evaluate",
    "fit",
    "load_checkpoint",
    "load_float_state",
    "load_model_factory",
    "load_training",
    "mlp",
    "model_size_bytes",
    "parameter_count",
    "predict",
    "predict_all",
    "predict_maps",
    "quantize_model",
    "read_bits",
    "run",
    "save_checkpoint",
]
