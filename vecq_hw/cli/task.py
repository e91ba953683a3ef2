"""What ``vecq train`` is asked for: the task that options describe, or that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vecq_hw.cli.data import loaded
from vecq_hw.cli.training import check_lowering, seeded_model
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from torch import nn

    from vecq_hw.data import Dataset
    from vecq_hw.quantize import Option
    from vecq_hw.train import ModelRecipe, Settings

CHECKPOINT = "checkpoint.pt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be trained.

    Attributes
    ----------
    model : torch.nn.Module
        The quantized twin.
    recipe : ModelRecipe
        What that was made from.
    data, data_digest : str
        Name or path of the data set, and the digest of what it holds.
    state : mapping or None
        Of the training that goes on.
    float_model : torch.nn.Module or None
        What the twin was made from, where that was trained already.
    """

    model: nn.Module
    recipe: ModelRecipe
    dataset: Dataset
    data: str
    data_digest: str
    settings: Settings
    state: Mapping[str, Any] | None
    float_model: nn.Module | None = None


def task_of(options: Mapping[str, Any], data_dir: Path | None, out: Path, resume: bool) -> Task:
    """The task of ``vecq train``, refused where the trained model could not be lowered.

    Parameters
    ----------
    options : mapping
        The values of the command's options by their names.
    data_dir : Path or None
        Where data sets lie.
    out : Path
        The folder whose checkpoint is gone on with, if ``resume`` is true.
    """
    model = options["model"]
    task = _resumed(out, data_dir, model) if resume else _begun(options, data_dir)
    check_lowering(task.model, task.recipe, task.dataset)
    return task


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What options of ``vecq train`` say, before any data are read.

    Attributes
    ----------
    data : str
        Name or path of the data set.
    settings : Settings
    quantized : mapping
        The arguments of :class:`vecq_hw.train.ModelRecipe` but ``shape`` and ``classes``, which the
        data say.
    """

    data: str
    settings: Settings
    quantized: Mapping[str, Any]

    def recipe(self, shape: tuple[int, ...], classes: int) -> ModelRecipe:
        """What the model for samples of ``shape`` in so many classes is made from."""
        from vecq_hw.train import ModelRecipe

        return ModelRecipe(shape=shape, classes=classes, **self.quantized)


def asked(options: Mapping[str, Any]) -> Asked:
    """The preset, if one is named, with what the other options change of it.

    Parameters
    ----------
    options : mapping
        The values of the command's options by their names.

    Raises
    ------
    VecqError
        There is no such preset, or options contradict each other.
    """
    from vecq_hw.arguments import nearest
    from vecq_hw.train import PRESETS, Preset, Settings, read_bits

    preset = Preset(data="digits", model="mlp", settings=Settings(), source="")
    if options["preset"] is not None:
        if options["preset"] not in PRESETS:
            raise VecqError(
                f"there is no preset '{options['preset']}'; {nearest(options['preset'], PRESETS)}"
            )
        preset = PRESETS[options["preset"]]
    for name, option, method in (
        ("interval", "--lambda", "vecq"),
        ("fraction", "--esb-fraction", "esb"),
    ):
        if options[name] is not None and options["method"] != method:
            raise VecqError(
                f"{option} is a setting of {method}, which '{options['method']}' has not"
            )
    return Asked(
        data=options["data"] or preset.data,
        settings=_settings(preset.settings_for(options["epochs"]), options),
        quantized={
            "model": options["model"] or preset.model,
            "weight_bits": _bits(options["weight_bits"]),
            "activation_bits": _bits(options["activation_bits"]),
            "overrides": read_bits(options["bits_file"]) if options["bits_file"] else {},
            "method": options["method"],
            "options": _method_options(options),
            "bias_bits": options["bias_bits"],
            "activation_method": options["activation_method"],
        },
    )


def _begun(options: Mapping[str, Any], data_dir: Path | None) -> Task:
    """The task that the options describe, over those of the preset."""
    from vecq_hw.train import load_float_state

    wanted = asked(options)
    dataset = loaded(wanted.data, data_dir)
    recipe = wanted.recipe(dataset.shape, dataset.classes)
    model = seeded_model(recipe, wanted.settings.seed)
    trained = options["float_state"] is not None
    if trained:
        load_float_state(model, options["float_state"])
    path = Path(wanted.data)
    return Task(
        model=recipe.quantize(model),
        recipe=recipe,
        dataset=dataset,
        data=str(path.resolve()) if path.exists() else wanted.data,
        data_digest=dataset.digest,
        settings=wanted.settings,
        state=None,
        float_model=model if trained and recipe.weight_bits is not None else None,
    )


def _method_options(options: Mapping[str, Any]) -> dict[str, Option]:
    """What is said of the method beside its name."""
    from vecq_hw.quantize import METHODS, method_options

    method, text = options["method"], options["method_options"]
    chosen = {} if text is None else method_options(method, text)
    for name, option, value in (
        ("interval", "--lambda", options["interval"]),
        ("fraction", "--esb-fraction", options["fraction"]),
        ("per_channel", "--per-channel", True if options["per_channel"] else None),
    ):
        if value is not None and name in chosen:
            raise VecqError(f"--method-options and {option} both say {name}; give one of them")
        if value is not None:
            chosen[name] = value
    if options["float_state"] is not None and method in METHODS:
        chosen = {**METHODS[method].PRETRAINED, **chosen}
    return chosen


def _settings(settings: Settings, options: Mapping[str, Any]) -> Settings:
    from vecq_hw.train import Optimizer

    names = {"crop_padding": "padding"}
    given = {
        names.get(name, name): options[name]
        for name in (
            "batch_size",
            "learning_rate",
            "weight_decay",
            "milestones",
            "crop_padding",
            "flip",
            "mixed_precision",
            "seed",
        )
        if options[name] is not None
    }
    if options["optimizer"] is not None:
        given["optimizer"] = Optimizer(options["optimizer"])
    return replace(settings, **given)


def _resumed(out: Path, data_dir: Path | None, model_file: str | None) -> Task:
    from vecq_hw.train import load_training

    model, recipe, saved = load_training(out / CHECKPOINT, model_file)
    dataset = loaded(saved.data, data_dir)
    if dataset.shape != recipe.shape or dataset.classes != recipe.classes:
        raise VecqError(
            f"checkpoint '{out / CHECKPOINT}' is of {recipe.classes} classes of samples of"
            f" {recipe.shape}, but {dataset!r} is what is there now"
        )
    if dataset.digest != saved.data_digest:
        raise VecqError(
            f"checkpoint '{out / CHECKPOINT}' was trained on other samples or labels than"
            f" '{saved.data}' holds now; train anew in another folder"
        )
    return Task(
        model=model,
        recipe=recipe,
        dataset=dataset,
        data=saved.data,
        data_digest=saved.data_digest,
        settings=saved.settings,
        state=saved.state,
    )


def _bits(given: int | str) -> int | None:
    return given if isinstance(given, int) else None
