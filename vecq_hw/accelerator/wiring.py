"""The streams of a plan while it is made: who gives them, and who still has to read them."""

from __future__ import annotations

import math
from collections.abc import Sequence

from vecq_hw.accelerator.cells import (
    Cell,
    Elementwise,
    MatrixVector,
    Pool,
    SerialRescale,
    Source,
)
from vecq_hw.accelerator.streams import Fork, Link, Stream
from vecq_hw.layers import Constant, Layer
from vecq_hw.network import Network


class Wiring:
    """The cells so far, and the streams that are still to be read.

    Attributes
    ----------
    cells : list of Cell
        In the order of the layers.
    entries : list of Stream
        Those in which the network's inputs come.
    constants : dict of Constant
        By name; each reader of one has a memory of its own.
    """

    def __init__(self, network: Network, layers: Sequence[Layer]) -> None:
        self._network, self._layers = network, layers
        self.cells: list[Cell] = []
        self.entries: list[Stream] = []
        self.constants: dict[str, Constant] = {}
        self._branches: dict[str, list[Stream]] = {}

    def stream(self, tensor: str, lanes: int) -> Stream:
        """A new stream of all elements of a tensor."""
        elements = math.prod(self._network.tensors[tensor].shape)
        return Stream(tensor=tensor, elements=elements, lanes=lanes)

    def shape(self, tensor: str) -> tuple[int, ...]:
        """The shape of a tensor of the network."""
        return self._network.tensors[tensor].shape

    def publish(self, tensor: str, stream: Stream) -> None:
        """Hand the stream to those who read the tensor, through a fork if they are several."""
        readers = self.readers(tensor)
        if readers == 1:
            self._branches[tensor] = [stream]
        else:
            copies = [self.stream(tensor, stream.lanes) for _ in range(readers)]
            self.cells.append(Fork(source=stream, targets=tuple(copies)))
            self._branches[tensor] = copies

    def readers(self, tensor: str) -> int:
        """How many layers and outputs read a tensor."""
        readers = sum(layer.inputs.count(tensor) for layer in self._layers)
        return readers + self._network.outputs.count(tensor)

    def read(self, tensor: str) -> Stream:
        """The next stream of a tensor that has no reader yet."""
        return self._branches[tensor].pop(0)

    def read_constant(self, tensor: str, lanes: int, elements: int) -> Stream:
        """A frame of ``elements``, for which the constant is repeated where it has fewer."""
        target = Stream(tensor=tensor, elements=elements, lanes=lanes)
        self.cells.append(Source(layer=self.constants[tensor], target=target))
        return target

    def lanes(self, tensor: str) -> int:
        """Those of the stream that :meth:`read` gives next."""
        return self._branches[tensor][0].lanes

    def link(self, tensor: str, reader: str, source: Stream, lanes: int) -> Stream:
        """What stands behind a new link to a reader."""
        target = self.stream(tensor, lanes)
        name = f"{tensor}→{reader}"
        links = {cell.name for cell in self.cells if isinstance(cell, Link)}
        count = 1
        while (unique := name if count == 1 else f"{name} {count}") in links:
            count += 1
        self.cells.append(Link(name=unique, reader=reader, source=source, target=target))
        return target

    def entry(self, layer: Layer, tensor: str, lanes: int | None = None) -> Stream:
        """The stream that a buffered unit reads; an input of the network needs no link."""
        stream = self.read(tensor)
        lanes = stream.lanes if lanes is None else lanes
        if stream.lanes == lanes and any(stream is raw for raw in self.entries):
            return stream
        return self.link(tensor, layer.name, stream, lanes)

    def exit(self, tensor: str, end: str) -> Stream:
        """The stream that leaves by an output; what ends in a register of its own needs no link.

        Of several outputs each has one, whose buffer lets the others go on.  So has a layer that is
        no hardware, since a port has the name and the shape of the tensor of its stream.
        """
        stream = self.read(tensor)
        registered = any(_ends_in_register(cell, stream) for cell in self.cells[-1:])
        if registered and stream.tensor == tensor and len(self._network.outputs) == 1:
            return stream
        return self.link(tensor, end, stream, stream.lanes)


def _ends_in_register(cell: Cell, stream: Stream) -> bool:
    """Whether a cell gives a stream, and out of ``vecq_pipeline_end``."""
    match cell:
        case Elementwise():
            return cell.target is stream and cell.room > 0
        case MatrixVector() | SerialRescale() | Pool():
            return cell.target is stream and cell.unit.room > 0
        case _:
            return False
