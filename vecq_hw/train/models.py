"""Models by name: two small ones for a first run, the paper's, and the user's own."""

from __future__ import annotations

import importlib.util
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

from torch import nn

from vecq_hw.arguments import meant, whole_number
from vecq_hw.errors import VecqError
from vecq_hw.train.models_image import (
    alexnet_bn,
    image_shape,
    lenet5,
    mobilenet_v2,
    resnet8,
    resnet18,
    vgg_like,
)
from vecq_hw.train.models_salient import salient_models
from vecq_hw.train.models_text import KeywordGRU, TextConvLSTM, TextLSTM


def mlp(inputs: int, classes: int) -> nn.Sequential:
    """Two hidden layers of 64 and 32, batch-normalized; it flattens images itself."""
    return nn.Sequential(
        OrderedDict(
            flatten=nn.Flatten(),
            fc1=nn.Linear(inputs, 64, bias=False),
            bn1=nn.BatchNorm1d(64),
            relu1=nn.ReLU(),
            fc2=nn.Linear(64, 32, bias=False),
            bn2=nn.BatchNorm1d(32),
            relu2=nn.ReLU(),
            fc3=nn.Linear(32, classes),
        )
    )


def cnn(shape: tuple[int, ...], classes: int) -> nn.Sequential:
    """Two convolutions of 16 and 32 channels, each batch-normalized and pooled, and a Linear.

    Parameters
    ----------
    shape : (C, H, W), at least 4 × 4
    classes : int
    """
    channels, height, width = image_shape("cnn", shape, 4)
    return nn.Sequential(
        OrderedDict(
            conv1=nn.Conv2d(channels, 16, 3, padding=1, bias=False),
            bn1=nn.BatchNorm2d(16),
            relu1=nn.ReLU(),
            pool1=nn.MaxPool2d(2),
            conv2=nn.Conv2d(16, 32, 3, padding=1, bias=False),
            bn2=nn.BatchNorm2d(32),
            relu2=nn.ReLU(),
            pool2=nn.MaxPool2d(2),
            flatten=nn.Flatten(),
            fc=nn.Linear(32 * (height // 4) * (width // 4), classes),
        )
    )


def _mlp(shape: tuple[int, ...], classes: int) -> nn.Module:
    return mlp(math.prod(shape), classes)


def _vgg_like_quarter(shape: tuple[int, ...], classes: int) -> nn.Module:
    return vgg_like(shape, classes, divisor=4)


def _imdb(shape: tuple[int, ...], classes: int) -> nn.Module:
    return TextConvLSTM(outputs=1 if classes == 2 else classes)


def _thucnews(shape: tuple[int, ...], classes: int) -> nn.Module:
    return TextLSTM(outputs=classes)


MODELS: Mapping[str, Callable[[tuple[int, ...], int], nn.Module]] = {
    "mlp": _mlp,
    "cnn": cnn,
    "lenet5": lenet5,
    "vgg_like": vgg_like,
    "vgg_like_quarter": _vgg_like_quarter,
    "alexnet_bn": alexnet_bn,
    "resnet18": resnet18,
    "mobilenet_v2": mobilenet_v2,
    "resnet8": resnet8,
    "imdb": _imdb,
    "thucnews": _thucnews,
    "gru_keywords": KeywordGRU,
    **salient_models(),
}
"""Each name's factory, from the shape of a sample and the number of classes to a float model."""


def build_model(name: str, shape: tuple[int, ...], classes: int) -> nn.Module:
    """The float model called ``name``, for samples of ``shape`` without the batch axis.

    Parameters
    ----------
    name : a name of ``MODELS``, or 'FILE.py:FUNCTION'
    shape : (C,), (C, L), (C, H, W), or (L,) of a text
    classes : int
        How many scores the model gives; the paper's networks for IMDB and for masks of objects
        give one for two classes.

    Raises
    ------
    VecqError
        There is no such model, the shape or number of classes does not fit it, or the function
        cannot be loaded, fails, or returns no module.
    """
    if not isinstance(name, str):
        raise VecqError(f"a model is named by text, not {name!r}")
    shape, classes = checked_ends(shape, classes)
    if name in MODELS:
        return MODELS[name](shape, classes)
    if ":" not in name:
        raise VecqError(
            f"model '{name}': {', '.join(MODELS)} or FILE.py:FUNCTION is wanted"
            f"{meant(name, MODELS)}"
        )
    factory = load_model_factory(name)
    try:
        model = factory()
    except Exception as error:
        raise VecqError(f"model '{name}' failed: {_reason(error)}") from error
    if not isinstance(model, nn.Module):
        raise VecqError(
            f"model '{name}' returned {type(model).__name__}; a torch.nn.Module is wanted"
        )
    return model


def checked_ends(shape: object, classes: object) -> tuple[tuple[int, ...], int]:
    """The shape of a sample and the number of scores, as ints; anything else is refused.

    Raises
    ------
    VecqError
        The shape is not one to three positive whole numbers, or ``classes`` is no positive whole
        number.
    """
    if not isinstance(shape, Sequence) or isinstance(shape, str) or not 1 <= len(shape) <= 3:
        raise VecqError(f"a model takes samples of one to three positive sizes, not {shape!r}")
    wanted = "a model takes samples of positive sizes"
    sizes = tuple(whole_number(size, wanted, 1) for size in shape)
    return sizes, whole_number(classes, "a model gives 1 score or more", 1)


class _AsItIs(SourceFileLoader):
    """Runs what a file says now.

    Python would take the bytecode of a file of the same second and length for that of this one,
    and would leave a folder of bytecode beside it.
    """

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = self.source_to_code(self.get_data(self.path), self.path)
        return code


def load_model_factory(name: str) -> Callable[[], object]:
    """The function that ``FILE.py:FUNCTION`` names; it takes nothing and returns a float model.

    The file is run.

    Raises
    ------
    VecqError
        No such file or function, or the file fails.
    """
    file, _, function = name.rpartition(":")
    path = Path(file)
    if not file or not function:
        raise VecqError(f"model '{name}': FILE.py:FUNCTION is wanted")
    if not path.is_file():
        raise VecqError(f"model '{name}': there is no file '{file}'")
    if path.suffix != ".py":
        raise VecqError(f"model '{name}': '{file}' is no Python file (.py)")
    loader = _AsItIs(f"vecq_model_{path.stem}", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except Exception as error:
        raise VecqError(f"model '{name}': '{file}' failed: {_reason(error)}") from error
    factory = getattr(module, function, None)
    if not callable(factory):
        raise VecqError(f"model '{name}': '{file}' has no function '{function}'")
    result: Callable[[], object] = factory
    return result


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
