"""What a user's loader yields, as samples that the model takes and the classes that they have."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.utils.data import Dataset, IterableDataset

from vecq_hw.errors import VecqError
from vecq_hw.train.scores import device_of
from vecq_hw.train.several import arguments, input_names

_WANTED = "a batch is a tensor (N, ...) or a pair of it and labels (N,)"


class Batch(NamedTuple):
    """Samples and what the loader gave with them.

    Attributes
    ----------
    name : str
        For messages: 'batch 1'.
    inputs : tensors of shape (N, ...), one for each argument of forward()
        On the model's device; of its type, or integers where it looks up embeddings.
    labels : tensor with N rows, or None
    """

    name: str
    inputs: tuple[torch.Tensor, ...]
    labels: torch.Tensor | None

    @property
    def size(self) -> int:
        """How many samples it holds."""
        return len(self.inputs[0])


def check_loader(loader: object) -> None:
    """Refuse what is no iterable of batches that can be read more than once.

    Raises
    ------
    VecqError
        It is an iterator, a tensor, an array, a Dataset without a loader, or nothing to iterate
        over.
    """
    hint = ""
    if isinstance(loader, Iterator):
        raise VecqError("the loader is read twice; give a DataLoader or a list of batches")
    if isinstance(loader, torch.Tensor | np.ndarray):
        hint = "; give a list with the one batch, [x]"
    elif isinstance(loader, Dataset) and not isinstance(loader, IterableDataset):
        hint = "; give DataLoader(dataset, batch_size=64)"
    elif isinstance(loader, Iterable) and not isinstance(loader, Mapping | str | bytes):
        return
    raise VecqError(f"a DataLoader or a list of batches is wanted, not {_kind(loader)}{hint}")


def batches(loader: Iterable[Any], model: nn.Module) -> Iterator[Batch]:
    """The batches of a loader for ``model``.

    Raises
    ------
    VecqError
        A batch is of another form, holds integers where the model takes real numbers, NaN, or
        labels that are not as many as its samples.
    """
    kind = next((p.dtype for p in model.parameters() if p.is_floating_point()), torch.float32)
    indices = any(isinstance(part, nn.Embedding | nn.EmbeddingBag) for part in model.modules())
    device, names = device_of(model), input_names(model)
    for number, given in enumerate(loader, 1):
        name = f"batch {number}"
        if len(names) == 1:
            x, labels = _pair(name, given)
            parts = [x]
        else:
            parts, labels = _several(name, given, names)
        inputs = tuple(_samples(name, part, kind, indices).to(device) for part in parts)
        count = len(inputs[0])
        if any(len(part) != count for part in inputs):
            raise VecqError(
                f"{name} has inputs of {', '.join(str(len(p)) for p in inputs)} samples"
            )
        if labels is not None:
            labels = _tensor(f"the labels of {name}", labels)
            if labels.shape[:1] != (count,):
                raise VecqError(
                    f"{name} has {count} samples, but labels of the shape {tuple(labels.shape)}"
                )
        yield Batch(name, inputs, labels)


def _samples(name: str, given: object, kind: torch.dtype, indices: bool) -> torch.Tensor:
    """One input of a batch, checked, of the model's type."""
    samples = _tensor(name, given)
    if samples.ndim < 2 or not samples.numel():
        raise VecqError(f"{name} has the shape {tuple(samples.shape)}; {_WANTED}")
    if samples.is_floating_point():
        samples = samples.to(kind)
        if not torch.isfinite(samples).all():
            raise VecqError(f"{name} holds NaN, infinite values or some beyond {kind}")
        return samples
    if indices and not samples.is_complex():
        return samples.long()
    raise VecqError(
        f"{name} holds {samples.dtype}; real numbers as the model takes them are wanted,"
        " such as x.float() / 255 of pixels in 0..1"
    )


def classes(batch: Batch, scores: torch.Tensor) -> torch.Tensor | None:
    """The class of each sample, (N,); None where the labels are no classes of these scores.

    Classes are numbers 0..K-1 of shape (N,) or (N, 1), or one-hot (N, K), for scores (N, K) with
    K of 2 or more.  Anything else, such as the targets of a regression, is none.

    Raises
    ------
    VecqError
        A label that no score belongs to.
    """
    labels = batch.labels
    count = scores.shape[1] if scores.ndim > 1 else 1
    one_score_each = scores[0].numel() == count
    scored = scores.is_floating_point() and one_score_each and count > 1
    if labels is None or not scored or labels.is_complex():
        return None
    labels = labels.to(scores.device)
    if labels.shape[1:] == (count,):
        one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
        return labels.float().argmax(1) if one_hot else None
    if labels.shape[1:] not in ((), (1,)) or labels.dtype == torch.bool:
        return None
    labels = labels.reshape(-1)
    if labels.is_floating_point() and (labels != labels.round()).any():
        return None
    for label in labels[(labels < 0) | (labels >= count)].tolist()[:1]:
        raise VecqError(
            f"{batch.name} has the label {label:g}, but the model scores the classes 0..{count - 1}"
        )
    return labels.long()


def _several(name: str, given: object, names: Sequence[str]) -> tuple[list[Any], Any]:
    """The inputs of a model that takes several, and the labels if they are one tensor.

    ``((a, b), y)``, ``(a, b, y)``, ``(a, b)`` or a mapping from the names.
    """
    labels = None
    if isinstance(given, tuple | list):
        nested = len(given) == 2 and isinstance(given[0], tuple | list | Mapping)
        if nested or len(given) == len(names) + 1:
            labels, given = given[-1], given[0] if nested else given[:-1]
    several = isinstance(labels, tuple | list | Mapping)  # as the user's own loss takes them
    try:
        return arguments(names, given), None if several else labels
    except VecqError as error:
        raise VecqError(f"{name}: {error}") from None


def _pair(name: str, given: object) -> tuple[Any, Any]:
    if isinstance(given, torch.Tensor | np.ndarray):
        return given, None
    if isinstance(given, tuple | list) and len(given) in (1, 2):
        return given[0], given[1] if len(given) == 2 else None
    hint = ""
    if isinstance(given, Mapping) and len(given) > 1:
        first, second = list(map(repr, given))[:2]
        hint = f", such as [(b[{first}], b[{second}]) for b in loader]"
    elif isinstance(given, tuple | list) and len(given) > 2:
        hint = ", such as [(x, y) for x, y, *_ in loader]"
    raise VecqError(f"{name} is {_kind(given)}; {_WANTED}{hint}")


def _tensor(name: str, given: object) -> torch.Tensor:
    """A tensor, or an array of numbers copied to one."""
    if isinstance(given, torch.Tensor):
        return given
    try:
        array = np.array(given)
        if array.dtype.kind in "biufc":
            return torch.from_numpy(array)
    except (TypeError, ValueError):
        pass
    raise VecqError(f"{name}: {_kind(given)} holds no numbers; {_WANTED}")


def _kind(given: object) -> str:
    """What it is, in a word or two."""
    name = type(given).__name__
    named = f"an {name}" if name[0] in "aeioun" else f"a {name}"
    if isinstance(given, tuple | list):
        return f"{named} of {len(given)}"
    if isinstance(given, Mapping):
        return f"{named} with the keys {', '.join(map(repr, given)) or 'of nothing'}"
    return named
