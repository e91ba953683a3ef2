"""Bits of single layers from a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vecq_hw.errors import VecqError
from vecq_hw.train.convert import LayerBits

_FORM = '{"fc1": 8, "fc2": {"weight": 4, "activation": 6}}'


def read_bits(path: str | Path) -> dict[str, LayerBits]:
    """The overrides of :func:`quantize_model` that a file names.

    It holds one object: layer names, and of each the bits of its weights, or an object with
    ``weight``, ``activation`` or both.  The name 'input' means the network's input.

    Raises
    ------
    VecqError
        The file cannot be read, or is of another form.  Names and ranges are checked where the
        model is quantized.
    """
    try:
        tree = json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise VecqError(f"bits file '{path}' cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise VecqError(f"bits file '{path}' is no JSON ({error}); {_FORM} is the form") from None
    if not isinstance(tree, dict):
        raise VecqError(f"bits file '{path}' holds no object; {_FORM} is the form")
    return {name: _layer_bits(path, name, given) for name, given in tree.items()}


def _layer_bits(path: str | Path, name: str, given: Any) -> LayerBits:
    fields = given if isinstance(given, dict) else {"weight": given}
    known = fields.keys() <= {"weight", "activation"} and fields
    if not known or any(type(bits) is not int for bits in fields.values()):
        raise VecqError(
            f"bits file '{path}': '{name}' has {json.dumps(given)} where a number of bits or"
            ' {"weight": bits, "activation": bits} is wanted'
        )
    return LayerBits(**fields)
