"""Checkpoints: what is needed to build a quantized model again, and its state; no pickled code."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vecq_hw import files
from vecq_hw.errors import VecqError
from vecq_hw.quantize import weight_method
from vecq_hw.train.convert import LayerBits, quantize_model
from vecq_hw.train.models import build_model
from vecq_hw.train.settings import Optimizer, Settings

VERSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecipe:
    """What a quantized model is made from.

    Attributes
    ----------
    model : a name of ``MODELS``, or 'FILE.py:FUNCTION'
    shape : (C,) or (C, H, W)
        Of one sample.
    classes : int
    weight_bits, activation_bits, overrides, bias_bits
        As in :func:`vecq_hw.train.quantize_model`; ``weight_bits`` None leaves the model float.
    method, options
        Name and settings of :func:`vecq_hw.quantize.weight_method`.
    """

    model: str
    shape: tuple[int, ...]
    classes: int
    weight_bits: int | None = 2
    activation_bits: int | None = 8
    overrides: Mapping[str, LayerBits] = field(default_factory=dict)
    method: str = "vecq"
    options: Mapping[str, str | bool] = field(default_factory=dict)
    bias_bits: int | None = None

    def __post_init__(self) -> None:
        if self.weight_bits is None:
            if self.activation_bits is not None or self.overrides:
                raise VecqError("activations of a network with float weights stay float, too")
            if self.bias_bits is not None:
                raise VecqError("biases of a network with float weights stay float, too")

    def quantize(self, model: nn.Module) -> nn.Module:
        """The quantized twin of a float model that :func:`build_model` built."""
        if self.weight_bits is None:
            return model
        method = weight_method(self.method, **self.options)
        return quantize_model(
            model,
            self.weight_bits,
            self.activation_bits,
            self.overrides,
            method,
            self.bias_bits,
        )

    def build(self) -> nn.Module:
        """The quantized model with fresh parameters."""
        return self.quantize(build_model(self.model, self.shape, self.classes))


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedTraining:
    """How far the training of a checkpoint came, and what it takes to go on.

    Attributes
    ----------
    settings : Settings
    data : str
        As in :func:`vecq_hw.data.load`.
    state : mapping
        Of :meth:`vecq_hw.train.training.Training.state_dict`.
    """

    settings: Settings
    data: str
    state: Mapping[str, Any]


def save_checkpoint(
    model: nn.Module,
    recipe: ModelRecipe,
    path: str | Path,
    training: SavedTraining | None = None,
) -> None:
    """Write the recipe and the state of ``model`` to ``path``, atomically.

    With ``training`` the checkpoint is one to go on from.
    """
    buffer = io.BytesIO()
    overrides = {name: (bits.weight, bits.activation) for name, bits in recipe.overrides.items()}
    content = {
        "vecq_checkpoint": VERSION,
        "model": recipe.model,
        "shape": tuple(recipe.shape),
        "classes": recipe.classes,
        "weight_bits": recipe.weight_bits,
        "activation_bits": recipe.activation_bits,
        "overrides": overrides,
        "method": recipe.method,
        "options": dict(recipe.options),
        "bias_bits": recipe.bias_bits,
        "state": model.state_dict(),
    }
    if training is not None:
        settings = asdict(training.settings) | {"optimizer": training.settings.optimizer.value}
        content["training"] = {
            "settings": settings,
            "data": training.data,
            "state": dict(training.state),
        }
    torch.save(content, buffer)
    files.write_atomically(Path(path), buffer.getvalue())


def load_checkpoint(path: str | Path) -> tuple[nn.Module, ModelRecipe]:
    """The model that :func:`save_checkpoint` wrote, on the CPU in evaluation mode, and its recipe.

    A recipe that names ``FILE.py:FUNCTION`` runs that file.

    Raises
    ------
    VecqError
        The file is missing, damaged, no checkpoint, or of another model than its recipe builds now.
    """
    where = f"checkpoint '{path}'"
    return _rebuilt(where, _read(where, Path(path)))


def load_training(path: str | Path) -> tuple[nn.Module, ModelRecipe, SavedTraining]:
    """As :func:`load_checkpoint`, and the training to go on with.

    Raises
    ------
    VecqError
        As there; the checkpoint holds no training.
    """
    where = f"checkpoint '{path}'"
    content = _read(where, Path(path))
    model, recipe = _rebuilt(where, content)
    if "training" not in content:
        raise VecqError(f"{where} holds a model, but no training to go on with; train again")
    try:
        saved = content["training"]
        settings = dict(saved["settings"])
        settings["optimizer"] = Optimizer(settings["optimizer"])
        if settings["milestones"] is not None:
            settings["milestones"] = tuple(settings["milestones"])
        training = SavedTraining(
            settings=Settings(**settings), data=str(saved["data"]), state=dict(saved["state"])
        )
    except (KeyError, TypeError, ValueError) as error:
        raise VecqError(f"{where} is malformed ({error!r}); train again") from None
    return model, recipe, training


def _rebuilt(where: str, content: Mapping[str, Any]) -> tuple[nn.Module, ModelRecipe]:
    try:
        recipe = ModelRecipe(
            model=content["model"],
            shape=tuple(content["shape"]),
            classes=content["classes"],
            weight_bits=content["weight_bits"],
            activation_bits=content["activation_bits"],
            overrides={
                name: LayerBits(weight=weight, activation=activation)
                for name, (weight, activation) in content["overrides"].items()
            },
            # Checkpoints from before there was a choice have none of these.
            method=content.get("method", "vecq"),
            options=dict(content.get("options", {})),
            bias_bits=content.get("bias_bits"),
        )
        state = dict(content["state"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise VecqError(f"{where} is malformed ({error!r}); train again") from None
    try:
        model = recipe.build()
    except VecqError as error:
        raise VecqError(f"{where}: {error}") from None
    restore(model, state, where)
    return model.eval(), recipe


def restore(model: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Load ``state`` into ``model``; refuse, in one sentence, the state of another model."""
    own = model.state_dict()
    for name in own:
        if name not in state:
            raise VecqError(f"{where} is of another model: it has no '{name}'")
    for name, value in state.items():
        if name not in own:
            raise VecqError(f"{where} is of another model: its '{name}' has no place in this one")
        if value.shape != own[name].shape:
            raise VecqError(
                f"{where} is of another model: '{name}' has the shape {tuple(value.shape)} there"
                f" and {tuple(own[name].shape)} here"
            )
    model.load_state_dict(dict(state))


def _read(where: str, path: Path) -> dict[str, Any]:
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise VecqError(f"{where}: there is no such file") from None
    except IsADirectoryError:
        raise VecqError(f"{where} is a folder; a file that `vecq train` wrote is wanted") from None
    except (
        OSError,
        EOFError,
        RuntimeError,
        ValueError,
        KeyError,
        AttributeError,
        zipfile.BadZipFile,
        pickle.UnpicklingError,
    ):
        raise VecqError(f"{where} is damaged, or no file that `vecq train` wrote") from None
    if not isinstance(content, dict) or "vecq_checkpoint" not in content:
        raise VecqError(f"{where} is a torch file of another kind; one of `vecq train` is wanted")
    if content["vecq_checkpoint"] != VERSION:
        raise VecqError(
            f"{where} has the format version {content['vecq_checkpoint']};"
            f" this vecq reads {VERSION}"
        )
    return content
