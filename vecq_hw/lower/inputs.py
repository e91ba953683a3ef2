"""The inputs of a network, from the first quantizers of the model or its embeddings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Input, Permute
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.layout import Layout
from vecq_hw.lower.readers import begins_with_steps, first_readers, gain_of_input, placeholder
from vecq_hw.lower.values import Value
from vecq_hw.quantize import InputQuantizer
from vecq_hw.train.preconditions import InputShape, checked_shapes
from vecq_hw.train.quantized_layers import QuantizedEmbedding, QuantizedLinear

_INPUT = "input"

Shapes = Mapping[str, tuple[int, ...] | None]
"""The shape of a sample of each argument of forward(), where it is given."""


def shapes_by_input(model: fx.GraphModule, given: InputShape | None) -> Shapes:
    """The shape of a sample of each input of the graph, where it is given.

    Raises
    ------
    VecqError
        It is no shape of one to three positive sizes for each input, or names other inputs.
    """
    names = [str(node.target) for node in model.graph.nodes if node.op == "placeholder"]
    shapes = checked_shapes(given, names)
    if shapes is None:
        return dict.fromkeys(names)
    if len(shapes) != len(names) or not all(1 <= len(shape) <= 3 for shape in shapes):
        raise VecqError(
            f"input_shape must be (C,), (C, L) or (C, H, W){' for each input' * (len(names) > 1)},"
            f" not {given!r}"
        )
    return dict(zip(names, shapes, strict=True))


def quantized_input(
    builder: Builder,
    model: fx.GraphModule,
    shapes: Shapes,
    node: fx.Node,
    quantizer: InputQuantizer,
) -> Value:
    """The input whose codes the quantizer at a node makes, and what turns its axes.

    Raises
    ------
    VecqError
        Neither ``shapes`` nor the first readers tell the shape of the input.
    """
    origin = placeholder(node)
    argument = str(origin.target)
    shape, flat = shapes[argument], False
    sequence = shape is not None and len(shape) == 2
    if shape is not None and sequence:
        shape = (shape[0], 1, shape[1])
    for reader in first_readers(node, model):
        if isinstance(reader, nn.Flatten):
            flat = True
        elif shape is None and isinstance(reader, QuantizedLinear):
            shape = (reader.in_features,)
        elif shape is None and isinstance(reader, nn.BatchNorm1d):
            shape = (reader.num_features,)
    if shape is None:
        if len(shapes) > 1:
            raise VecqError(
                f"the model does not tell the shape of its input '{argument}'; give input_shape"
                " a shape for each"
            )
        raise VecqError("the model does not tell its input's shape; give input_shape=(C, H, W)")
    steps = sequence and not flat and begins_with_steps(origin, model)
    if steps:
        length, _, channels = shape
        shape = (1, length, channels)
    elif len(shape) == 3:
        channels, height, width = shape
        shape = (math.prod(shape),) if flat else (height, width, channels)
    step, gain = float(quantizer.step), gain_of_input(node, model)
    tensor = _input_name(shapes, argument)
    source = Input(name=tensor, shape=shape, format=quantizer.format, step=step / gain)
    builder.add_input(source)
    if sequence:
        builder.sequences.add(tensor)
    if steps and shape[1] == shape[2]:
        # Data of this shape is taken for (N, C, L).
        turned = Permute(
            name=builder.free(f"{tensor}_steps"),
            input=tensor,
            split=shape[1:],
            order=(1, 0),
            shape=shape,
        )
        value = builder.codes(builder.add(turned), tensor, layout=Layout(2, last=True))
    else:
        value = builder.codes(tensor, tensor, layout=Layout(2, last=True) if steps else None)
    return replace(value, scale=np.full_like(value.scale, step))


def indices(builder: Builder, shapes: Shapes, node: fx.Node, module: QuantizedEmbedding) -> str:
    """The input of a model that begins with an Embedding.

    Raises
    ------
    VecqError
        The number of indices is not given, or another Embedding with another number of entries
        reads the same ones.
    """
    argument = str(placeholder(node).target)
    shape, name = shapes[argument], _input_name(shapes, argument)
    if shape is None or len(shape) != 1:
        raise VecqError(
            "the model takes indices (N, L), but does not tell how many; give input_shape=(L,)"
        )
    fmt = IntFormat.covering(0, module.num_embeddings - 1, signed=False)
    if name in builder.tensors:  # another Embedding reads it too
        if builder.tensors[name].format != fmt:
            raise VecqError(
                f"layer '{node.target}' (Embedding) has {module.num_embeddings} entries, but"
                " another one reads the same indices; equal numbers of entries are wanted"
            )
        return name
    return builder.add_input(Input(name=name, shape=shape, format=fmt))


def _input_name(shapes: Shapes, argument: str) -> str:
    """The name of an input: where there are several, each has the name of its argument."""
    return _INPUT if len(shapes) == 1 else argument
