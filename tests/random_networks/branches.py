"""A network that grows by branches: joins, gates, further inputs, heads."""

from __future__ import annotations

from dataclasses import replace

from tests.random_networks.draws import (
    chance,
    generator,
    random_format,
)
from tests.random_networks.growth import Growth
from vecq_hw.layers import (
    Add,
    Concat,
    Constant,
    Input,
    MaxPool2d,
    Multiply,
    Subtract,
    SumPool2d,
)

KINDS = (
    "conv",
    "conv",
    "conv",
    "add",
    "add",
    "concat",
    "pool",
    "sum",
    "upsample",
    "activation",
    "lookup",
    "subtract",
    "product",
    "gate",
    "constant",
    "gather",
    "take",
    "permute",
)


class Branches(Growth):
    """A network that grows by branches, too, which part and meet again."""

    def join(self, kind: type[Add] | type[Subtract] | type[Concat]) -> None:
        """One or two branches from the tensor so far, and the tensor itself, in any order."""
        fork, tensor = self.last, self.tensor
        ends = [fork]
        for _ in range(1 if kind is Subtract else self.draw.integer(1, 2)):
            self.last = fork
            self.same(self.draw.integer(1, 4) if kind is Concat else tensor.shape[-1])
            self.rescale(tensor.format if kind is Concat or chance(self.draw) else None)
            made = self.layers[-1]
            self.layers[-1] = replace(made, step=tensor.step)
            self.tensors[self.last] = replace(self.tensor, step=tensor.step)
            ends.insert(self.draw.integer(0, len(ends)), self.last)
        self.append(kind(name=self.label("join"), inputs=tuple(ends)))

    def meet(self) -> None:
        """A further input joins, as it is or behind a layer."""
        draw, trunk, tensor = self.draw, self.last, self.tensor
        name = f"{self.name}_x{len(self.inputs)}"
        kind = draw.choice([Add, Concat])
        if chance(draw):
            self.enter(Input(name=name, shape=tensor.shape, format=tensor.format, step=tensor.step))
        else:
            channels = draw.integer(1, 4)
            fmt = random_format(draw, 1, 6)
            self.enter(Input(name=name, shape=(*tensor.shape[:-1], channels), format=fmt))
            outputs = tensor.shape[-1] if kind is Add else draw.integer(1, 4)
            if len(tensor.shape) == 3:
                self.same(outputs)
            else:
                self.dense(outputs)
            if self.tensor.shape[-1] != outputs:
                outputs = self.tensor.shape[-1]
                kind = Concat
            self.rescale(tensor.format)
            self.layers[-1] = replace(self.layers[-1], step=tensor.step)
            self.tensors[self.last] = replace(self.tensor, step=tensor.step)
        ends = [trunk, self.last]
        self.append(
            kind(name=self.label("meet"), inputs=tuple(ends if chance(draw) else ends[::-1]))
        )
        if self.tensor.format.bits > 8:
            self.rescale()

    def head(self, source: str) -> str:
        """A branch to an output of its own; its last tensor."""
        trunk, self.last = self.last, source
        if len(self.tensor.shape) == 3 and chance(self.draw):
            self.flatten()
        if len(self.tensor.shape) == 1:
            self.dense(self.draw.integer(1, 4))
        else:
            self.same(self.draw.integer(1, 4))
        if chance(self.draw, 3):
            self.choice()
        found, self.last = self.last, trunk
        return found

    def product(self) -> None:
        """The tensor so far by a branch from it, in any order, or by itself."""
        ends = [self.last]
        if not chance(self.draw, 4):
            self.same(self.tensor.channels)
            self.rescale()
        ends.insert(self.draw.integer(0, 1), self.last)
        self.append(Multiply(name=self.label("product"), inputs=tuple(ends)))

    def gate(self) -> None:
        """The tensor so far by one value for each channel that comes from all of it."""
        whole, shape = self.last, self.tensor.shape
        self.append(
            SumPool2d(name=self.label("pool"), input=whole, kernel=shape[:2], stride=shape[:2])
        )
        self.rescale()
        if chance(self.draw):
            self.same(shape[-1])
            self.rescale()
        if chance(self.draw):
            self.flatten()
        self.append(Multiply(name=self.label("gate"), inputs=(whole, self.last)))

    def constant(self) -> None:
        """The tensor so far and a constant, in any order; a product may take one of channels."""
        last, tensor, draw = self.last, self.tensor, self.draw
        kind = draw.choice([Add, Subtract, Multiply, Concat])
        fmt = tensor.format if kind is Concat else random_format(draw, 1, 8)
        shape = tensor.shape[-1:] if kind is Multiply and chance(draw) else tensor.shape
        values = generator(draw).integers(fmt.lo, fmt.hi, shape, endpoint=True)
        name = self.label("constant")
        self.append(Constant(name=name, values=values, format=fmt, step=tensor.step))
        ends = [last, name]
        if shape == tensor.shape:
            ends = draw.choice([ends, ends[::-1]])
        if kind in (Add, Concat) and chance(draw, 3):
            ends.append(name)
        self.append(kind(name=self.label("join"), inputs=tuple(ends)))

    def grow(self) -> None:
        """One or several layers of a kind that is drawn."""
        match self.draw.choice(KINDS):
            case "conv":
                self.convolution(self.draw.integer(1, 5))
                self.rescale()
            case "activation":
                self.rescale()
            case "lookup":
                self.lookup()
            case "upsample":
                self.upsample()
            case "gather":
                self.gather()
            case "take":
                self.take()
            case "permute":
                self.permute()
            case "pool":
                self.pool(MaxPool2d)
            case "sum":
                self.pool(SumPool2d)
            case "add":
                self.join(Add)
            case "subtract":
                self.join(Subtract)
            case "product":
                self.product()
            case "gate":
                self.gate()
            case "constant":
                self.constant()
            case _:
                self.join(Concat)
        if self.tensor.format.bits > 8:
            self.rescale()
