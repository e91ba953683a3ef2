"""Arithmetic of tensors with each other, and tensors put side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from vecq_hw import layers
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.constants import QuantizedConstant, through_constant
from vecq_hw.lower.values import Value, added_order, joined_order
from vecq_hw.train import quantized_layers as trained
from vecq_hw.train.arithmetic import Multiply, Subtract

Operand = Value | QuantizedConstant | torch.Tensor
"""A tensor of the model, a constant that a quantizer made codes of, or a plain constant."""


def arithmetic(
    builder: Builder, name: str, module: nn.Module, operands: Sequence[Operand]
) -> Value:
    """Sums, differences, products and concatenations.

    A constant among the operands has one element, or one for each channel, in any shape.
    """
    values = [operand for operand in operands if isinstance(operand, Value)]
    plain = [operand for operand in operands if isinstance(operand, torch.Tensor)]
    if plain:
        (value,) = values
        first = isinstance(operands[0], torch.Tensor)
        value = builder.moved(value)
        return through_constant(name, module, value, plain[0], constant_first=first)
    values = [builder.moved(value) for value in values]
    last = values[0].layout.last and not isinstance(module, trained.Concat)
    values = [builder.with_channels(name, value, last) for value in values]
    alike = iter(values)
    tensors = [
        _constant(builder, operand, values[0])
        if isinstance(operand, QuantizedConstant)
        else next(alike)
        for operand in operands
    ]
    joined = _joined(builder, name, module, tensors)
    return replace(joined, layout=max((one.layout for one in tensors), key=lambda one: one.rank))


def _constant(builder: Builder, found: QuantizedConstant, partner: Value) -> Value:
    """The tensor of a constant that a quantizer made codes of, for its partner."""
    layout = partner.layout
    shape = builder.tensors[partner.tensor].shape
    layer = layers.Constant(
        name=builder.free(found.name),
        values=found.codes_for(shape, layout.rank == 2, layout.last),
        format=found.format,
        step=found.step,
    )
    tensor = builder.add_constant(layer)
    return builder.codes(tensor, tensor, layout=layout)


def _spread(builder: Builder, values: Sequence[Value]) -> list[Value]:
    """Operands of one shape: images of one row, column or channel are repeated along it."""
    shapes = [builder.tensors[value.tensor].shape for value in values]
    if len(set(shapes)) == 1 or any(len(shape) != 3 for shape in shapes):
        return list(values)
    largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
    result = []
    for value, shape in zip(values, shapes, strict=True):
        axes = [
            np.zeros(most, np.int64) if size == 1 < most else None
            for size, most in zip(shape, largest, strict=True)
        ]
        if any(axis is not None for axis in axes):
            rows, columns, channels = axes
            taken = layers.Take(
                name=builder.free(f"{value.tensor}_repeated"),
                input=value.tensor,
                rows=rows,
                columns=columns,
                channels=channels,
            )
            scale = np.broadcast_to(value.scale, largest[-1:])
            spread = builder.codes(builder.add(taken), value.owner, layout=value.layout)
            value = replace(spread, scale=scale)
        result.append(value)
    return result


def _joined(builder: Builder, name: str, module: nn.Module, values: Sequence[Value]) -> Value:
    """Codes, of one quantizer where they are added or put side by side (rule 5)."""
    if isinstance(module, trained.Add | Subtract):
        values = _spread(builder, values)
    tensors = tuple(value.tensor for value in values)
    match module:
        case trained.Add():
            order = added_order(name, values)
            joined = builder.add(layers.Add(name=builder.free(name), inputs=tensors))
        case Subtract():
            order = added_order(name, values)
            joined = builder.add(layers.Subtract(name=builder.free(name), inputs=tensors))
        case Multiply():
            return _product(builder, name, values)
        case _:
            order = joined_order(values)
            joined = builder.add(layers.Concat(name=builder.free(name), inputs=tensors))
    return builder.codes(joined, joined, order)


def _product(builder: Builder, name: str, values: Sequence[Value]) -> Value:
    """Codes of quantizers of their own; what is repeated over all pixels comes second."""
    left, right = sorted(
        values, key=lambda value: math.prod(builder.tensors[value.tensor].shape), reverse=True
    )
    if builder.tensors[right.tensor].positions > 1:  # one value a channel needs no repetition
        left, right = _spread(builder, [left, right])
    alike = builder.tensors[left.tensor].shape == builder.tensors[right.tensor].shape
    order = added_order(name, values) if alike else left.order
    joined = builder.add(
        layers.Multiply(name=builder.free(name), inputs=(left.tensor, right.tensor))
    )
    line = builder.codes(joined, joined, order)
    return replace(line, scale=np.full_like(line.scale, left.scale[0] * right.scale[0]))
