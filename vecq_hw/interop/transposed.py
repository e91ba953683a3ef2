"""A transposed convolution among the layers of an import."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.interop.assembly import Assembly
from vecq_hw.layers import Weights
from vecq_hw.passes.transposed import Along, transposed

MOST_PIXELS = 1 << 20
"""Pixels along an axis of the image with zeros between those that are read."""


def add_transposed(
    assembly: Assembly,
    wanted: str,
    source: str,
    weights: Weights,
    axes: Sequence[Along],
    bias: IntArray | None,
    groups: int,
    node: str,
) -> str:
    """The layers whose last gives the sums of a transposed convolution; its name.

    Parameters
    ----------
    wanted : str
        What the convolution is called, if nothing is called so yet.
    source : str
        An image of ours.
    weights : Weights
        Of shape (O, KH, KW, C / groups), each kernel turned by half a turn.

    Raises
    ------
    VecqError
        It makes no output, or more than any tensor has.
    """
    outputs, channels = len(weights.codes), weights.codes.shape[-1] * groups
    sizes = assembly.tensor(source).shape
    if groups < 1 or channels != sizes[-1] or outputs % groups:
        raise VecqError(
            f"its weights take {channels} channels in {groups} groups; {sizes[-1]} are read"
        )
    for along in axes:
        if along.outputs < 1:
            raise VecqError(f"it makes an image with {along.outputs} pixels along an axis")
        pixels = along.size * along.stride + along.kernel * along.dilation + along.more
        if pixels > MOST_PIXELS:
            raise VecqError(
                f"with zeros between them and around, {pixels} pixels would be read along an axis;"
                f" at most {MOST_PIXELS} are taken"
            )
    made = transposed(weights.codes, axes, lambda codes: replace(weights, codes=codes), groups)
    name = source
    for zeros in made.before:
        name = assembly.add(
            replace(zeros, name=assembly.free_name(f"{wanted}_zeros"), input=name), node
        )
    layer = replace(
        made.convolution,
        name=assembly.free_name(wanted),
        input=name,
        bias=None if bias is None else np.tile(bias, made.copies),
    )
    name = assembly.add(layer, node)
    ends = assembly.ends(name).reshape(made.copies, outputs, 2)
    for move in made.after:
        name = assembly.add(replace(move, name=assembly.free_name(f"{wanted}_moved"), input=name))
    assembly.bound(name, np.stack([ends[..., 0].min(axis=0), ends[..., 1].max(axis=0)], axis=1))
    return name
