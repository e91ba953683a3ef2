"""The plan of a network as instances of the cells of ``rtl/``, with their parameters and memories.

Which cell stands where, and with how many lanes, says the plan that the cycle model times, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

from vecq_hw.accelerator.cells import (
    Cell,
    Comparison,
    Elementwise,
    Gathering,
    Join,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.streams import Fork, Link, Reframe, Stream
from vecq_hw.emit.systemverilog import elements, positions, products
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.emit.systemverilog.instances import Memory, Placed
from vecq_hw.emit.systemverilog.parameters import memory_text
from vecq_hw.emit.systemverilog.streams import NamedStream, named_streams
from vecq_hw.emit.unrolled.layer import unrolled_layer
from vecq_hw.layers import Tensor
from vecq_hw.schedule import Fabric

OneStreamCell = (
    Elementwise
    | SerialRescale
    | Comparison
    | Ranking
    | Windows
    | MatrixVector
    | Pool
    | Upsampling
    | Rows
    | Recurrence
    | Gathering
    | Reordering
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """A cell between streams; values of parameters are SystemVerilog text."""

    module: str
    sources: tuple[NamedStream, ...]
    targets: tuple[NamedStream, ...]
    parameters: tuple[tuple[str, object], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TopModule:
    """All that a top holds.

    Attributes
    ----------
    names : mapping
        The identifier of every input and layer.
    modules : sequence of str
        Those of unrolled layers.
    sources, targets : mapping
        The stream of each input and output, by its tensor.
    contents : mapping
        Of the memory files, and of the files of these modules, by name.
    """

    names: Mapping[str, str]
    streams: Sequence[NamedStream]
    sources: Mapping[str, NamedStream]
    targets: Mapping[str, NamedStream]
    instances: Sequence[Instance]
    modules: Sequence[str]
    contents: Mapping[str, str]

    @property
    def cells(self) -> list[str]:
        """The modules of rtl/ that it needs; unrolled layers are made of adders."""
        placed = {instance.module for instance in self.instances}.difference(self.modules)
        adders = ["vecq_adder"] if self.modules else []
        return with_inner(["vecq_frame_guard", "vecq_stream_rules", *placed, *adders])


def top_module(plan: Plan, depths: Mapping[str, int], fabric: Fabric = Fabric.LUT6) -> TopModule:
    """The instances that make up a plan.

    Parameters
    ----------
    plan : Plan
    depths : mapping
        Words of its producer that a link holds; one that is not named is as small as can be.
    """
    return _Builder(plan, depths, fabric).result()


class _Builder:
    """Goes over the cells of the plan; streams are named before."""

    def __init__(self, plan: Plan, depths: Mapping[str, int], fabric: Fabric) -> None:
        self._plan, self._depths, self._fabric = plan, depths, fabric
        self._names, self._streams = named_streams(plan)
        self._instances: list[Instance] = []
        self._modules: list[str] = []
        self._contents: dict[str, str] = {}

    def result(self) -> TopModule:
        for cell in self._plan.cells:
            self._add(cell)
        return TopModule(
            names=self._names,
            streams=tuple(self._streams.values()),
            sources={name: self._streams[end] for name, end in self._plan.inputs.items()},
            targets={end.tensor: self._streams[end] for end in self._plan.outputs.values()},
            instances=tuple(self._instances),
            modules=self._modules,
            contents=self._contents,
        )

    def _add(self, cell: Cell) -> None:
        match cell:
            case Link():
                self._put([cell.source], [cell.target], self._link(cell))
            case Reframe():
                self._put([cell.source], [cell.target], self._reframe(cell))
            case Fork():
                word = self._streams[cell.source].word
                placed = Placed("vecq_fork", {"Outputs": len(cell.targets), "WordBits": word})
                self._put([cell.source], cell.targets, placed)
            case Join():
                sources = [self._streams[stream] for stream in cell.sources]
                target = self._streams[cell.target]
                placed = elements.join(cell, sources, target, self._fabric)
                self._put(cell.sources, [cell.target], placed)
            case Source():
                placed = products.constant(cell, self._streams[cell.target])
                self._put([], [cell.target], self._stored(cell.layer.name, placed))
            case Unrolled():
                self._put([cell.source], [cell.target], self._unrolled(cell))
            case (
                Elementwise()
                | SerialRescale()
                | Comparison()
                | Ranking()
                | Windows()
                | MatrixVector()
                | Pool()
                | Upsampling()
                | Rows()
                | Recurrence()
                | Gathering()
                | Reordering()
            ):
                source, target = self._streams[cell.source], self._streams[cell.target]
                read = self._plan.network.tensors[cell.layer.input]
                placed = _of_one_stream(cell, source, target, read, self._fabric)
                self._put([cell.source], [cell.target], self._stored(cell.layer.name, placed))
            case _:
                assert_never(cell)

    def _put(self, sources: Iterable[Stream], targets: Iterable[Stream], placed: Placed) -> None:
        self._instances.append(
            Instance(
                module=placed.module,
                sources=tuple(self._streams[stream] for stream in sources),
                targets=tuple(self._streams[stream] for stream in targets),
                parameters=tuple(placed.parameters.items()),
            )
        )

    def _stored(self, layer: str, placed: Placed) -> Placed:
        """The same with the name of its file for each memory, which joins the contents."""
        parameters = dict(placed.parameters)
        for parameter, memory in placed.parameters.items():
            if isinstance(memory, Memory):
                name = f"{self._names[layer]}_{memory.what}.mem"
                text = memory_text(memory.values, memory.lanes, memory.bits)
                self._contents[f"rtl/{name}"] = text
                parameters[parameter] = f'{{MemoryFolder, "{name}"}}'
        return Placed(placed.module, parameters)

    def _link(self, cell: Link) -> Placed:
        """A register stage or width converter, a FIFO where that holds too little."""
        source, target = self._streams[cell.source], self._streams[cell.target]
        lanes = {"LanesIn": source.lanes, "LanesOut": target.lanes, "ElementBits": source.bits}
        capacity = cell.capacity(self._depths.get(cell.name, 0))
        if capacity > cell.base:
            held = capacity * source.lanes // cell.groups[0]
            return Placed("vecq_fifo", lanes | {"Capacity": held})
        if source.lanes != target.lanes:
            return Placed("vecq_stream_width", lanes)
        return Placed("vecq_stream_register", {"DataBits": source.word})

    def _reframe(self, cell: Reframe) -> Placed:
        source, target = self._streams[cell.source], self._streams[cell.target]
        parameters = {
            "Elements": source.elements,
            "LanesIn": source.lanes,
            "LanesOut": target.lanes,
            "ElementBits": source.bits,
        }
        return Placed("vecq_frame_width", parameters)

    def _unrolled(self, cell: Unrolled) -> Placed:
        layer, tensors = cell.layer, self._plan.network.tensors
        module = f"{self._names[layer.name]}_unrolled"
        accumulator = tensors[layer.name].format
        self._modules.append(module)
        self._contents[f"rtl/{module}.sv"] = unrolled_layer(
            module, layer, cell.circuit, accumulator, cell.rescale, latency=cell.depth
        )
        return Placed(module, {})


def _of_one_stream(
    cell: OneStreamCell, source: NamedStream, target: NamedStream, read: Tensor, fabric: Fabric
) -> Placed:
    """What a cell becomes whose layer reads the tensor ``read`` and no other."""
    match cell:
        case Elementwise():
            return elements.elementwise(cell, source, read, fabric)
        case SerialRescale():
            return elements.serial_rescale(cell, source, fabric)
        case Comparison():
            return elements.argmax(cell, source)
        case Ranking():
            return elements.topk(cell, source)
        case MatrixVector():
            return products.matrix_vector(cell, source, target, fabric)
        case Rows():
            return products.embedding(cell, source, target)
        case Recurrence():
            return products.recurrent(cell, source, read, fabric)
        case Windows():
            return positions.windows(cell, source, read, fabric)
        case Pool():
            return positions.pool(cell, source, target, read, fabric)
        case Upsampling():
            return positions.upsampling(cell, source, read)
        case Gathering():
            return positions.gathering(cell, source, target, read)
        case Reordering():
            return positions.reordering(cell, source)
        case _:
            assert_never(cell)
