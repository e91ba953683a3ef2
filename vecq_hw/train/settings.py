"""How a model is trained: the settings, each checked."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from vecq_hw.arguments import real_number, truth_value, whole_number
from vecq_hw.errors import VecqError

SEED_LIMIT = (1 << 63) - 1
"""What torch's generators take, with room for the number of a process."""


class Optimizer(enum.StrEnum):
    """What moves the parameters."""

    ADAM = "adam"
    SGD = "sgd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a model is trained.

    Attributes
    ----------
    epochs : int
    batch_size : int
        Of all processes together.
    optimizer : Optimizer
        SGD has momentum 0.9.
    learning_rate, weight_decay : float
    milestones : tuple of int, or None
        The learning rate is divided by ten after each of these numbers of epochs; None lets it fall
        to zero as a cosine.
    padding : int
        Images are padded with as many zeros at each side and cropped at a random place.
    flip : bool
        Whether half of the images, drawn anew each time, are mirrored.
    mixed_precision : bool
        bfloat16 where torch deems it safe: faster on a GPU, and on CPUs that multiply it (AVX-512
        BF16, AMX); slower on others.  Weights, gradients and statistics stay float32.
    seed : int
        Of the order of the samples, their views and of dropout; the parameters are those that the
        model comes with.
    """

    epochs: int = 40
    batch_size: int = 64
    optimizer: Optimizer = Optimizer.ADAM
    learning_rate: float = 4e-3
    weight_decay: float = 0.0
    milestones: tuple[int, ...] | None = None
    padding: int = 0
    flip: bool = False
    mixed_precision: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        batch = "a batch holds at least 2 samples (batch norm needs them)"
        # Beyond that, products with it leave float32 within the optimizer.
        wanted = "the learning rate must be positive and at most 1e30"
        rate = real_number(self.learning_rate, wanted)
        decay = real_number(self.weight_decay, "the weight decay is 0 to 1e30")
        if not 0 < rate <= 1e30:
            raise VecqError(f"{wanted}, not {rate}")
        if not 0 <= decay <= 1e30:
            raise VecqError(f"the weight decay is 0 to 1e30, not {decay}")
        try:
            optimizer = Optimizer(self.optimizer)
        except ValueError:
            raise VecqError(
                f"the optimizer is {' or '.join(Optimizer)}, not {self.optimizer!r}"
            ) from None
        checked = {
            "epochs": whole_number(self.epochs, "training takes at least one epoch", 1),
            "batch_size": whole_number(self.batch_size, batch, 2),
            "optimizer": optimizer,
            "learning_rate": rate,
            "weight_decay": decay,
            "milestones": self._checked_milestones(),
            "padding": whole_number(self.padding, "images are padded with 0 pixels or more", 0),
            "flip": truth_value(self.flip, "flip is True or False"),
            "mixed_precision": truth_value(
                self.mixed_precision, "mixed_precision is True or False"
            ),
            "seed": whole_number(self.seed, f"a seed is 0 to {SEED_LIMIT}", 0, SEED_LIMIT),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def _checked_milestones(self) -> tuple[int, ...] | None:
        if self.milestones is None:
            return None
        given = self.milestones
        wanted = f"milestones are rising numbers between 0 and the {self.epochs} epochs"
        if not isinstance(given, tuple | list):
            raise VecqError(f"{wanted}, not {given!r}")
        steps = tuple(whole_number(step, wanted) for step in given)
        if list(steps) != sorted(set(steps)) or any(not 0 < at < self.epochs for at in steps):
            raise VecqError(f"{wanted}, not {', '.join(map(str, steps))}")
        return steps
