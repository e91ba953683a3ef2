"""A file with the parameters of a float model, as torch.save writes it, into that model."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.unpack import check_unpacked

_INSIDE = ("state_dict", "model_state_dict", "model_state", "model", "net", "state")
"""Under which name checkpoints keep the parameters beside an epoch, an optimizer and the like."""
_COUNTER = "num_batches_tracked"
"""What batch norms of old files have not; nothing is computed with it."""


def load_float_state(model: nn.Module, path: str | Path) -> None:
    """Load the parameters of a float model, which is then ready for :func:`quantize_model`.

    The file is a state_dict, or a checkpoint with one in it, as ``torch.save`` writes them.  What
    its names have in front of the model's, such as 'module.' or 'model.', is left out.

    Parameters
    ----------
    model : nn.Module
        Of the same architecture; filled in place, or left as it is where something does not fit.

    Raises
    ------
    VecqError
        The file is missing, no file of tensors, or of another architecture; the message names what
        is missing and what has no place.
    """
    where = f"float state '{path}'"
    state = _tensors(where, _read(where, Path(path)))
    own = model.state_dict()
    prefix = _prefix(own, state)
    outside = [name for name in state if not name.startswith(prefix)]
    state = {name.removeprefix(prefix): state[name] for name in state if name.startswith(prefix)}
    missing = [name for name in own if name not in state and not name.endswith(_COUNTER)]
    spare = outside + [name for name in state if name not in own]
    if missing or spare:
        problems = []
        if missing:
            problems.append(f"it has no {_listed(missing)}")
        if spare:
            problems.append(f"the model has no {_listed(spare)}")
        raise VecqError(f"{where} is of another architecture: {', and '.join(problems)}")
    for name, value in state.items():
        wanted = own[name]
        if value.shape != wanted.shape or value.is_complex():
            raise VecqError(
                f"{where} is of another architecture: '{name}' has the shape {tuple(value.shape)}"
                f" there and {tuple(wanted.shape)} in the model"
            )
        if wanted.is_floating_point() and not value.is_floating_point():
            raise VecqError(
                f"{where}: '{name}' is of the type {str(value.dtype).removeprefix('torch.')};"
                " floats are wanted"
            )
    model.load_state_dict(own | state)


def _read(where: str, path: Path) -> Any:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise VecqError(f"{where}: there is no such file") from None
    except IsADirectoryError:
        raise VecqError(f"{where} is a folder; a file that torch.save wrote is wanted") from None
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        reason = getattr(error, "strerror", None) or error
        raise VecqError(f"{where} cannot be read: {reason}") from None
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                check_unpacked(sum(entry.file_size for entry in archive.infolist()), len(content))
        return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except VecqError as error:
        raise VecqError(f"{where}: {error}") from None
    except Exception as error:  # what is no file of tensors raises a dozen kinds
        raise VecqError(
            f"{where} is no file of tensors alone ({type(error).__name__}); save the model's"
            " state_dict() by torch.save, since a whole model would be code to run"
        ) from None


def _tensors(where: str, content: Any) -> dict[str, torch.Tensor]:
    """The state_dict in what a file held."""
    inside = content
    for _ in range(2):  # a checkpoint may hold one of another trainer's
        if _is_state(inside):
            break
        if isinstance(inside, Mapping):
            inside = next((inside[name] for name in _INSIDE if name in inside), None)
    if not _is_state(inside):
        raise VecqError(
            f"{where} holds no state_dict, a mapping from names to tensors, neither as such nor"
            f" under one of the names {', '.join(_INSIDE)}"
        )
    if any(".quantizer." in name or name.endswith("quantizer.spread") for name in inside):
        raise VecqError(
            f"{where} is of a quantized model; go on with that by --resume or load_checkpoint"
        )
    return dict(inside)


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(name, str) for name in value)
        and all(isinstance(tensor, torch.Tensor) for tensor in value.values())
    )


def _prefix(own: Mapping[str, Any], state: Mapping[str, Any]) -> str:
    """What the names of the file have in front of the model's."""
    if any(name in own for name in state):
        return ""
    fits: dict[str, int] = {}
    for name in state:
        parts = name.split(".")
        for count in range(1, len(parts)):
            if ".".join(parts[count:]) in own:
                prefix = ".".join(parts[:count]) + "."
                fits[prefix] = fits.get(prefix, 0) + 1
    return max(fits, key=lambda prefix: fits[prefix]) if fits else ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return f"'{names[0]}'{more}"
