"""What a search is asked for, and the task that follows from it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from vecq_hw import trees
from vecq_hw.arguments import meant, nearest, whole_number
from vecq_hw.errors import VecqError
from vecq_hw.search.target import Target
from vecq_hw.train.presets import PRESETS, Preset
from vecq_hw.train.settings import Settings

OBJECTIVES = ("luts", "memory", "latency", "cycles", "size")
"""What may be small beside an accuracy that is large."""
OPTIMIZERS = ("nsga2", "tpe", "random", "grid")
TRIAL_SHARE = 10
"""A trial is trained for one part in so many of the whole recipe's epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a search is asked for; all that it takes to go on with it.

    Attributes
    ----------
    device, target_fps, clock_mhz, max_luts
        The hardware; the clock is the device's unless it is given.
    preset, data, model : str or None
        As ``vecq train`` takes them; the preset's unless they are given.
    data_dir, float_state : str or None
        Where data sets lie, and a file with the parameters of a trained float model.
    trials : int
        How many there are to be in all.
    bits, activation_bits, methods, scales, keep
        The space: :func:`vecq_hw.search.space.make_space`.
    objectives : tuple of str
        Of :data:`OBJECTIVES`.
    min_accuracy : float or None, 0..1
        On the validation split.
    optimizer : str
        Of :data:`OPTIMIZERS`.
    epochs, final_epochs : int or None
        Of a trial and of the networks of the front; None: a tenth of the recipe, and all of it.
    samples : int or None
        Training samples, drawn by the seed, that a trial is trained on; None: all of them.
    seed : int
    verify : str
        The generated target that runs each network of the front, or 'none'.
    """

    device: str
    target_fps: float
    clock_mhz: float | None = None
    max_luts: int | None = None
    preset: str | None = None
    data: str | None = None
    model: str | None = None
    data_dir: str | None = None
    float_state: str | None = None
    trials: int = 100
    bits: tuple[int, ...] = (1, 2, 3, 4, 5, 6, 7, 8)
    activation_bits: tuple[int, ...] = (8,)
    methods: tuple[str, ...] = ("vecq",)
    scales: tuple[str, ...] = ("tensor",)
    keep: Mapping[str, int] = field(default_factory=dict)
    objectives: tuple[str, ...] = ("luts",)
    min_accuracy: float | None = None
    optimizer: str = "nsga2"
    epochs: int | None = None
    final_epochs: int | None = None
    samples: int | None = None
    seed: int = 0
    verify: str = "rtl"

    def __post_init__(self) -> None:
        whole_number(self.trials, "--trials is at least 1", 1)
        whole_number(self.seed, "--seed is at least 0", 0, (1 << 32) - 1)
        if self.samples is not None:
            whole_number(self.samples, "--samples is at least 2", 2)
        for option, given, known in (
            ("--objectives", self.objectives, OBJECTIVES),
            ("--optimizer", (self.optimizer,), OPTIMIZERS),
            ("--verify", (self.verify,), ("rtl", "hls", "none")),
        ):
            for name in given:
                if name not in known:
                    raise VecqError(
                        f"{option}: there is no '{name}'; {', '.join(known)} are there"
                        f"{meant(name, known)}"
                    )
            if not given or len(set(given)) != len(given):
                raise VecqError(f"{option}: names are given once each, and at least one")
        if self.preset is not None and self.preset not in PRESETS:
            raise VecqError(f"there is no preset '{self.preset}'; {nearest(self.preset, PRESETS)}")
        accuracy = self.min_accuracy
        if accuracy is not None and not (math.isfinite(accuracy) and 0 <= accuracy <= 1):
            raise VecqError(f"--min-accuracy is a share of the samples, 0 to 1, not {accuracy:g}")
        _ = self.target, self.trial_settings, self.final_settings

    @property
    def recipe(self) -> Preset:
        """Data, model and settings, those that are given over those of the preset."""
        base = (
            Preset(data="digits", model="mlp", settings=Settings(), source="")
            if self.preset is None
            else PRESETS[self.preset]
        )
        return replace(
            base,
            data=self.data or base.data,
            model=self.model or base.model,
            settings=replace(base.settings, seed=self.seed),
        )

    @property
    def target(self) -> Target:
        """The hardware that is aimed at."""
        from vecq_hw.devices import device

        clock = self.clock_mhz
        return Target(
            device=self.device,
            frames_per_second=self.target_fps,
            clock_mhz=device(self.device).clock_mhz if clock is None else clock,
            max_luts=self.max_luts,
        )

    @property
    def trial_settings(self) -> Settings:
        """The settings of the fine-tuning of a trial."""
        whole = self.recipe.settings.epochs
        epochs = max(1, whole // TRIAL_SHARE) if self.epochs is None else self.epochs
        return self.recipe.settings_for(epochs)

    @property
    def final_settings(self) -> Settings:
        """The settings of the training of a network of the front."""
        return self.recipe.settings_for(self.final_epochs)

    @property
    def study_name(self) -> str:
        """The name of the study in the storage: searches that ask for the same share it."""
        asked = replace(self, trials=1, final_epochs=None, verify="none", data_dir=None)
        text = json.dumps(asked.tree(), sort_keys=True)
        return f"vecq-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def tree(self) -> dict[str, Any]:
        """For a file in JSON."""
        tree: dict[str, Any] = trees.encode(self, Request, [], "search")
        return tree

    @classmethod
    def of(cls, tree: Any) -> Request:
        """The reverse of :meth:`tree`."""
        found: Request = trees.decode(tree, Request, iter(()), "search")
        return found


def absolute(path: str | None) -> str | None:
    """A path that is good from any folder; the name of a data set stays as it is."""
    return str(Path(path).resolve()) if path is not None and Path(path).exists() else path
