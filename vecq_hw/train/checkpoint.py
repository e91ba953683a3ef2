"""Checkpoints: what is needed to build a quantized model again, and its state; no pickled code.

The file is the archive that torch.save writes, with a digest of all its bytes as the archive's
comment, so that damage is found before anything is read.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vecq_hw import files, trees
from vecq_hw.arguments import format_version
from vecq_hw.errors import VecqError
from vecq_hw.quantize import Option, weight_method
from vecq_hw.train.by_layer import LayerQuantization
from vecq_hw.train.convert import quantize_model
from vecq_hw.train.models import MODELS, build_model, checked_ends
from vecq_hw.train.settings import Settings
from vecq_hw.unpack import check_unpacked

VERSION = 2
_SEAL = b"vecq checkpoint, SHA-256 of all before: "


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
    activation_method : str
        As in :func:`vecq_hw.train.quantize_model`.
    """

    model: str
    shape: tuple[int, ...]
    classes: int
    weight_bits: int | None = 2
    activation_bits: int | None = 8
    overrides: Mapping[str, LayerQuantization] = field(default_factory=dict)
    method: str = "vecq"
    options: Mapping[str, Option] = field(default_factory=dict)
    bias_bits: int | None = None
    activation_method: str = "uniform"

    def __post_init__(self) -> None:
        shape, classes = checked_ends(self.shape, self.classes)
        object.__setattr__(self, "shape", shape)
        object.__setattr__(self, "classes", classes)
        for name in ("overrides", "options"):
            given = getattr(self, name)
            if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
                raise VecqError(f"{name} are a mapping from names, not {given!r}")
        if self.weight_bits is None:
            if self.activation_bits is not None or self.overrides:
                raise VecqError("activations of a network with float weights stay float, too")
            if self.bias_bits is not None:
                raise VecqError("biases of a network with float weights stay float, too")
            if self.activation_method != "uniform":
                raise VecqError("activations of a network with float weights have no method")

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
            self.shape,
            self.activation_method,
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
    data_digest : str
        Of the data set's arrays: :attr:`vecq_hw.data.Dataset.digest`.
    state : mapping
        Of :meth:`vecq_hw.train.training.Training.state_dict`.
    """

    settings: Settings
    data: str
    data_digest: str
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
    content: dict[str, Any] = {
        "vecq_checkpoint": VERSION,
        "recipe": trees.encode(recipe, ModelRecipe, [], "recipe"),
        "state": model.state_dict(),
    }
    if training is not None:
        content["training"] = {
            "settings": trees.encode(training.settings, Settings, [], "settings"),
            "data": training.data,
            "data_digest": training.data_digest,
            "state": dict(training.state),
        }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    files.write_atomically(Path(path), _sealed(buffer.getvalue()))


def load_checkpoint(path: str | Path, model: str | None = None) -> tuple[nn.Module, ModelRecipe]:
    """The model that :func:`save_checkpoint` wrote, on the CPU in evaluation mode, and its recipe.

    Parameters
    ----------
    model : str, optional
        'FILE.py:FUNCTION' of a model of one's own.  That file is run, so a checkpoint alone cannot
        name it: it would run whatever its writer wanted.

    Raises
    ------
    VecqError
        The file is missing, damaged, no checkpoint, or of another model than its recipe builds now;
        its model is a Python file that was not named.
    """
    where = f"checkpoint '{path}'"
    return _rebuilt(where, _read(where, Path(path)), model)


def load_training(
    path: str | Path, model: str | None = None
) -> tuple[nn.Module, ModelRecipe, SavedTraining]:
    """As :func:`load_checkpoint`, and the training to go on with.

    Raises
    ------
    VecqError
        As there; the checkpoint holds no training.
    """
    where = f"checkpoint '{path}'"
    content = _read(where, Path(path))
    rebuilt, recipe = _rebuilt(where, content, model)
    if "training" not in content:
        raise VecqError(f"{where} holds a model, but no training to go on with; train again")
    try:
        saved = content["training"]
        training = SavedTraining(
            settings=trees.decode(saved["settings"], Settings, iter([]), "settings"),
            data=trees.decode(saved["data"], str, iter([]), "data"),
            data_digest=trees.decode(saved["data_digest"], str, iter([]), "data_digest"),
            state=dict(saved["state"]),
        )
    except VecqError as error:
        raise VecqError(f"{where}: {error}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise VecqError(f"{where} is malformed ({error!r}); train again") from None
    return rebuilt, recipe, training


def read_state(path: str | Path) -> tuple[ModelRecipe, Mapping[str, torch.Tensor]]:
    """Recipe and parameters of a checkpoint, without building its model.

    Each parameter has the shape of that of its model.

    Raises
    ------
    VecqError
        The file is missing, damaged, or no checkpoint.
    """
    where = f"checkpoint '{path}'"
    return _parts(where, _read(where, Path(path)))


def _parts(
    where: str, content: Mapping[str, Any]
) -> tuple[ModelRecipe, Mapping[str, torch.Tensor]]:
    try:
        recipe: ModelRecipe = trees.decode(content.get("recipe"), ModelRecipe, iter([]), "recipe")
        state = content.get("state")
        if not isinstance(state, Mapping) or not all(
            isinstance(value, torch.Tensor) for value in state.values()
        ):
            raise VecqError("its state is no mapping of tensors")
    except VecqError as error:
        raise VecqError(f"{where}: {error}") from None
    return recipe, state


def _rebuilt(
    where: str, content: Mapping[str, Any], model: str | None
) -> tuple[nn.Module, ModelRecipe]:
    """The model of a checkpoint; of a Python file only where ``model`` names it."""
    recipe, state = _parts(where, content)
    try:
        if recipe.model not in MODELS and model is None:
            raise VecqError(
                f"its model is '{recipe.model}', a Python file that would be run; to allow that,"
                " name the file with --model (model= in Python)"
            )
        if recipe.model in MODELS and model not in (None, recipe.model):
            raise VecqError(f"its model is '{recipe.model}', not '{model}'")
        recipe = replace(recipe, model=model or recipe.model)
        if recipe.model in MODELS:
            _check_size(recipe, state)
        rebuilt = recipe.build()
    except VecqError as error:
        raise VecqError(f"{where}: {error}") from None
    restore(rebuilt, state, where)
    return rebuilt.eval(), recipe


def _check_size(recipe: ModelRecipe, state: Mapping[str, torch.Tensor]) -> None:
    """Refuse a recipe of a larger model than the file holds, before memory is taken for it."""
    held = sum(value.numel() for value in state.values())
    try:
        with torch.device("meta"):
            model = build_model(recipe.model, recipe.shape, recipe.classes)
        wanted = sum(parameter.numel() for parameter in model.parameters())
    except (RuntimeError, TypeError, ValueError, OverflowError):
        wanted = held + 1  # beyond what torch can count
    if wanted > held:
        raise VecqError(
            f"it is of another model: a '{recipe.model}' of {recipe.classes} classes of samples of"
            f" {recipe.shape} has more parameters than it holds"
        )


def restore(model: nn.Module, state: Mapping[str, torch.Tensor], where: str) -> None:
    """Load ``state`` into ``model``; refuse, in one sentence, the state of another model.

    Raises
    ------
    VecqError
        Names, shapes or types of the state are not those of the model.
    """
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
        if value.is_floating_point() != own[name].is_floating_point():
            raise VecqError(
                f"{where} is of another model: '{name}' has the type {value.dtype} there and"
                f" {own[name].dtype} here"
            )
    try:
        model.load_state_dict(dict(state))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
        raise VecqError(f"{where} is of another model: {reason}") from None


def _sealed(archive: bytes) -> bytes:
    """A zip archive, to which a digest of all its bytes is added as its comment."""
    # The archive ends with the length of its comment, which is none so far.
    assert archive[-22:-18] == b"PK\x05\x06"
    size = len(_SEAL) + 2 * hashlib.sha256().digest_size
    body = archive[:-2] + size.to_bytes(2, "little")
    return body + _SEAL + hashlib.sha256(body).hexdigest().encode()


def _read(where: str, path: Path) -> dict[str, Any]:
    """What is in a file whose seal is right."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise VecqError(f"{where}: there is no such file") from None
    except IsADirectoryError:
        raise VecqError(f"{where} is a folder; a file that `vecq train` wrote is wanted") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise VecqError(f"{where} cannot be read: {reason}") from None
    body, _, claimed = content.rpartition(_SEAL)
    if claimed != hashlib.sha256(body).hexdigest().encode():
        raise VecqError(
            f"{where} is damaged, or no file that this version of `vecq train` wrote: its digest is"
            " not that of its contents"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            check_unpacked(sum(entry.file_size for entry in archive.infolist()), len(content))
        tree = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except VecqError as error:
        raise VecqError(f"{where}: {error}") from None
    except Exception as error:  # what is no archive of tensors raises a dozen kinds
        raise VecqError(
            f"{where} is no file that `vecq train` wrote ({type(error).__name__})"
        ) from None
    if not isinstance(tree, dict) or "vecq_checkpoint" not in tree:
        raise VecqError(f"{where} is no file that `vecq train` wrote")
    format_version(tree["vecq_checkpoint"], VERSION, where, oldest=VERSION)
    return tree
