"""Bits and methods of single layers from a JSON file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vecq_hw.arguments import format_version, read_json
from vecq_hw.errors import VecqError
from vecq_hw.train.by_layer import LayerQuantization

_FORM = '{"fc1": 8, "fc2": {"weight": 4, "activation": 6, "method": "lsq"}}'
VERSION = 1
"""The version of the format."""
_BITS, _METHOD = {"weight", "activation"}, {"method", "options"}


def read_bits(path: str | Path) -> dict[str, LayerQuantization]:
    """The overrides of :func:`quantize_model` that a file names.

    It holds one object: layer names, and of each the bits of its weights, or an object with some of
    ``weight``, ``activation``, ``method`` and ``options``, an object of settings of that method.
    The name 'input' means the network's input.  ``{"version": 1, "layers": {...}}`` says the
    version of the format as well; an object of layers alone is of the first.

    Raises
    ------
    VecqError
        The file cannot be read, or is of another form.  Names and ranges are checked where the
        model is quantized.
    """
    tree = read_json(path, "bits file", _FORM)
    if not isinstance(tree, dict):
        raise VecqError(f"bits file '{path}' holds no object; {_FORM} is the form")
    if tree.keys() == {"version", "layers"} and isinstance(tree["layers"], dict):
        format_version(tree["version"], VERSION, f"bits file '{path}'")
        tree = tree["layers"]
    return {name: _layer_bits(path, name, given) for name, given in tree.items()}


def _layer_bits(path: str | Path, name: str, given: Any) -> LayerQuantization:
    fields = given if isinstance(given, dict) else {"weight": given}
    known = bool(fields) and fields.keys() <= _BITS | _METHOD
    if not known or any(type(fields[name]) is not int for name in fields.keys() & _BITS):
        raise VecqError(
            f"bits file '{path}': '{name}' has {json.dumps(given)} where a number of bits or"
            ' {"weight": bits, "activation": bits, "method": name, "options": {...}} is wanted'
        )
    options = fields.get("options", {})
    if not isinstance(fields.get("method", ""), str) or not isinstance(options, dict):
        raise VecqError(
            f"bits file '{path}': '{name}' has {json.dumps(given)} where a method is a name, and"
            " options are an object of its settings"
        )
    lists = {key: tuple(one) for key, one in options.items() if isinstance(one, list)}
    return LayerQuantization(**{**fields, "options": {**options, **lists}})
