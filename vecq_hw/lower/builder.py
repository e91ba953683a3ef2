"""The layers that lowering has made so far, and values moved from place to place among them."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.layers import AnyWeights, Constant, Flatten, Input, Layer, Permute, Take, Tensor
from vecq_hw.lower.layout import VECTOR, Layout
from vecq_hw.lower.orders import Moved, picked, rearranged, with_channels
from vecq_hw.lower.values import Value
from vecq_hw.network import Network
from vecq_hw.train.picks import Pick
from vecq_hw.train.quantized_layers import FlattenTo
from vecq_hw.train.rearrange import Rearrange, reshape

_MOVES = {Permute: "shuffle", Take: "cut"}


class Builder:
    """Inputs and layers in order, and the tensors that they make."""

    def __init__(self, mantissa_bits: int) -> None:
        self.mantissa_bits = mantissa_bits
        self.sequences: set[str] = set()
        """The tensors that are images of height 1 for sequences."""
        self.inputs: list[Input] = []
        self.layers: list[Layer] = []
        self.tensors: dict[str, Tensor] = {}
        self._weights: dict[nn.Module, list[AnyWeights]] = {}
        """What was made of the weights of each module, which may be called several times."""

    def add_input(self, source: Input) -> str:
        """Append an input."""
        self.inputs.append(source)
        self.tensors[source.name] = Tensor(
            shape=source.shape, format=source.format, step=source.step
        )
        return source.name

    def add_constant(self, layer: Constant) -> str:
        """Append a constant, which reads nothing and is no network alone."""
        self.layers.append(layer)
        self.tensors[layer.name] = layer.output()
        return layer.name

    def add(self, layer: Layer) -> str:
        """Append a layer; what is wrong with it is said by the network's own check."""
        alone = Network(
            name=layer.name,
            inputs=tuple(
                Input(name=name, shape=tensor.shape, format=tensor.format, step=tensor.step)
                for name, tensor in self.tensors.items()
                if name in layer.inputs
            ),
            layers=(layer,),
            outputs=(layer.name,),
        )
        self.layers.append(layer)
        self.tensors[layer.name] = alone.tensors[layer.name]
        if self.sequences.intersection(layer.inputs):
            self.sequences.add(layer.name)
        return layer.name

    def free(self, wanted: str) -> str:
        """``wanted``, or with the first number that no tensor has yet."""
        name, count = wanted, 2
        while name in self.tensors:
            name, count = f"{wanted}_{count}", count + 1
        return name

    def shared(self, module: nn.Module, weights: AnyWeights) -> AnyWeights:
        """The weights that another call of the module has, where they are the same."""
        known = self._weights.setdefault(module, [])
        for others in known:
            if type(others) is type(weights) and np.array_equal(others.values, weights.values):
                return others
        known.append(weights)
        return weights

    def codes(
        self,
        tensor: str,
        owner: str,
        order: IntArray | None = None,
        layout: Layout | None = None,
    ) -> Value:
        """The value whose integers are the codes of a quantizer; of images as all are.

        ``order`` has the shape (elements,).
        """
        known = self.tensors[tensor]
        usual = Layout(2 if tensor in self.sequences else 3) if known.is_image else VECTOR
        return Value(
            tensor=tensor,
            scale=np.full(known.channels, known.step),
            offset=np.zeros(known.channels),
            owner=owner,
            order=order,
            layout=layout if layout is not None and known.is_image else usual,
        )

    def moved(self, value: Value) -> Value:
        """The value behind the moves that wait."""
        if not value.moves:
            return value
        tensor = value.tensor
        for move in value.moves:
            name = self.free(f"{value.owner}_{_MOVES[type(move)]}")
            tensor = self.add(replace(move, name=name, input=tensor))
        channels = self.tensors[tensor].channels
        return replace(
            value,
            tensor=tensor,
            scale=value.scale[..., :channels],
            offset=value.offset[..., :channels],
            moves=(),
        )

    def with_channels(self, name: str, value: Value, last: bool) -> Value:
        """The value with its channels first or last in torch's axes, for the layer ``name``."""
        shape = self.tensors[value.tensor].shape
        moved = with_channels(shape, value.layout, last)
        return self._take_place(name, value, moved, layer_name=f"{name}_turned")

    def rearranged(self, name: str, module: Rearrange, value: Value, wants_last: bool) -> Value:
        """A reshape or transpose.

        Raises
        ------
        VecqError
            The samples that it gives have more than three axes.
        """
        value = self.in_order(name, value)
        shape = self.tensors[value.tensor].shape
        try:
            moved = rearranged(module, shape, value.layout, wants_last)
        except VecqError as error:
            raise VecqError(f"layer '{name}': {error}") from None
        return self._take_place(name, value, moved)

    def flattened(self, name: str, module: nn.Flatten, value: Value) -> Value:
        """A vector, in the order in which the integers lie."""
        shape = self.tensors[value.tensor].shape
        if isinstance(module, FlattenTo):
            module.check(shape)
        if value.layout.rank == 1:
            return value
        sample = value.layout.sample(shape)
        flat = reshape(sample, (math.prod(sample),))
        return self._take_place(name, value, rearranged(flat, shape, value.layout, False))

    def in_order(self, name: str, value: Value) -> Value:
        """A vector in torch's order."""
        if value.order is None or np.array_equal(value.order, np.arange(len(value.order))):
            return replace(value, order=None)
        every = Pick([np.arange(len(value.order)).tolist()])
        return self.picked(f"{name}_ordered", every, value)

    def picked(self, name: str, module: Pick, value: Value) -> Value:
        """The values from some places of each axis.

        Raises
        ------
        VecqError
            It puts zeros beside signs, which are never 0.
        """
        take = picked(module, value.layout)
        if take.fills and value.offset.any():
            raise VecqError(f"layer '{name}' puts zeros beside signs, which are none of them")
        if value.order is not None and take.channels is not None:
            channels = take.channels
            taken = np.where(channels < 0, -1, np.argsort(value.order)[channels])
            take = replace(take, channels=taken)
            value = replace(value, order=None)
        if value.rows is not None:
            shape = self.tensors[value.tensor].shape
            places = np.ix_(*take.indices(shape)[:2])
            value = replace(value, rows=value.rows.reshape(shape[:2])[places].reshape(-1))
        tensor = self.add(replace(take, name=self.free(name), input=value.tensor))
        if take.channels is None:
            return replace(value, tensor=tensor)
        kept = np.maximum(take.channels, 0)
        entries = value.entries
        return replace(
            value,
            tensor=tensor,
            scale=value.scale[..., kept],
            offset=value.offset[..., kept],
            entries=None if entries is None else entries[:, torch.from_numpy(kept)],
        )

    def last_step(self, name: str, value: Value) -> Value:
        """The last step of a sequence (N, L, C) as a vector."""
        if value.layout.rank == 1:  # the recurrent layer gives no other
            return value
        value = self.with_channels(name, value, last=True)
        steps = self.tensors[value.tensor].shape[1]
        taken = self.picked(name, Pick([[steps - 1], None]), value)
        tensor = self.add(Flatten(name=self.free(f"{name}_flat"), input=taken.tensor))
        return replace(taken, tensor=tensor, layout=VECTOR)

    def _take_place(
        self, name: str, value: Value, moved: Moved, layer_name: str | None = None
    ) -> Value:
        """The value in another order; where channels move, all have one scale."""
        if not moved.layers:
            return replace(value, layout=moved.layout)
        scale, offset = value.scale.flat[0], value.offset.flat[0]
        if (value.scale != scale).any() or (value.offset != offset).any():
            raise VecqError(
                f"layer '{name}' computes along another axis than that of the channels, which have"
                " scales or biases of their own here; put an activation before it"
            )
        entries = value.entries
        if entries is not None and bool((entries != entries[:, :1]).any()):
            raise VecqError(
                f"layer '{name}' computes along another axis than that of the channels, which have"
                " functions of their own here; use one function for all"
            )
        tensor = value.tensor
        for layer in moved.layers:
            tensor = self.add(replace(layer, name=self.free(layer_name or name), input=tensor))
        codes = self.codes(tensor, value.owner, moved.order, moved.layout)
        return replace(
            codes,
            scale=np.full_like(codes.scale, scale),
            offset=np.full_like(codes.offset, offset),
            entries=None if entries is None else entries[:, :1].expand(-1, len(codes.scale)),
        )
