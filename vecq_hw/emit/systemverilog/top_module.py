"""The plan of a network as instances of the cells of ``rtl/``, with their parameters and memories.

Which cell stands where, and with how many lanes, says the plan that the cycle model times, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import assert_never

import numpy as np

from vecq_hw.accelerator import units
from vecq_hw.accelerator.cells import (
    Cell,
    Comparison,
    Elementwise,
    Fork,
    Gathering,
    Join,
    Link,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reframe,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Stream,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.bench.words import pack
from vecq_hw.emit.compact import base_memories, book_memory, index_memory
from vecq_hw.emit.serial_rescale import serial_memories
from vecq_hw.emit.systemverilog.cells import with_inner
from vecq_hw.emit.systemverilog.orders import order_parameters
from vecq_hw.emit.systemverilog.parameters import (
    bit,
    gather_lines,
    lookup_lines,
    memory_text,
    signed_bits,
    signed_literal,
    threshold_lines,
    unit_memories,
)
from vecq_hw.emit.systemverilog.recurrences import camel_case, recurrence
from vecq_hw.emit.systemverilog.streams import NamedStream, named_streams
from vecq_hw.emit.unrolled.layer import unrolled_layer
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import (
    Add,
    BinaryBases,
    Concat,
    Gru,
    Layer,
    Lookup,
    Lstm,
    MacLayer,
    MaxPool2d,
    Multiply,
    ProductWeights,
    Rescale,
    Subtract,
    SumPool2d,
    Threshold,
    Weights,
    WindowLayer,
)
from vecq_hw.schedule import Fabric, Fold, FoldKind


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
                self._link(cell)
            case Reframe():
                self._reframe(cell)
            case Fork():
                source = self._streams[cell.source]
                count, ends = len(cell.targets), ([cell.source], cell.targets)
                self._put("vecq_fork", *ends, Outputs=count, WordBits=source.word)
            case Elementwise():
                match cell.layer:
                    case Rescale():
                        self._rescale(cell, cell.layer)
                    case Threshold():
                        self._threshold(cell, cell.layer)
                    case Lookup():
                        self._lookup(cell, cell.layer)
                    case _:
                        assert_never(cell.layer)
            case Comparison():
                source = self._streams[cell.source]
                self._put(
                    "vecq_argmax",
                    [cell.source],
                    [cell.target],
                    Elements=cell.period * source.lanes,
                    Lanes=source.lanes,
                    ElementBits=source.bits,
                    Signed=bit(source.signed),
                )
            case Ranking():
                source = self._streams[cell.source]
                self._put(
                    "vecq_topk",
                    [cell.source],
                    [cell.target],
                    Channels=cell.period,
                    Count=cell.layer.count,
                    ElementBits=source.bits,
                    Signed=bit(source.signed),
                )
            case SerialRescale():
                self._serial_rescale(cell)
            case Join():
                self._join(cell)
            case Source():
                self._constant(cell)
            case Windows():
                source = self._streams[cell.source]
                geometry = self._geometry(cell.layer, source)
                ends = [cell.source], [cell.target]
                word: dict[str, object] = {"WordBits": source.word}
                if any(cell.layer.padding) and cell.layer.pad_code:
                    code = cell.layer.pad_code & ((1 << source.bits) - 1)
                    word["PadWord"] = f"{{{source.lanes}{{{source.bits}'d{code}}}}}"
                self._put("vecq_sliding_window", *ends, **geometry, **word)
            case MatrixVector():
                self._matrix_vector(cell)
            case Unrolled():
                self._unrolled(cell)
            case Pool():
                self._pool(cell)
            case Upsampling():
                self._upsampling(cell)
            case Rows():
                self._rows(cell)
            case Recurrence():
                self._recurrence(cell)
            case Gathering():
                self._gathering(cell)
            case Reordering():
                self._reordering(cell)
            case _:
                assert_never(cell)

    def _put(
        self,
        module: str,
        sources: Iterable[Stream],
        targets: Iterable[Stream],
        /,
        **parameters: object,
    ) -> None:
        self._instances.append(
            Instance(
                module=module,
                sources=tuple(self._streams[stream] for stream in sources),
                targets=tuple(self._streams[stream] for stream in targets),
                parameters=tuple(parameters.items()),
            )
        )

    def _memory(self, layer: Layer, what: str, values: IntArray, lanes: int, bits: int) -> str:
        """Add a memory of ``lanes`` values per word; its file name as SystemVerilog text."""
        name = f"{self._names[layer.name]}_{what}.mem"
        self._contents[f"rtl/{name}"] = memory_text(values, lanes, bits)
        return f'{{MemoryFolder, "{name}"}}'

    def _link(self, cell: Link) -> None:
        """A register stage or width converter, a FIFO where that holds too little."""
        source, target = self._streams[cell.source], self._streams[cell.target]
        ends = [cell.source], [cell.target]
        lanes = {"LanesIn": source.lanes, "LanesOut": target.lanes, "ElementBits": source.bits}
        capacity = cell.capacity(self._depths.get(cell.name, 0))
        if capacity > cell.base:
            elements = capacity * source.lanes // cell.groups[0]
            self._put("vecq_fifo", *ends, **lanes, Capacity=elements)
        elif source.lanes != target.lanes:
            self._put("vecq_stream_width", *ends, **lanes)
        else:
            self._put("vecq_stream_register", *ends, DataBits=source.word)

    def _reframe(self, cell: Reframe) -> None:
        source, target = self._streams[cell.source], self._streams[cell.target]
        self._put(
            "vecq_frame_width",
            [cell.source],
            [cell.target],
            Elements=source.elements,
            LanesIn=source.lanes,
            LanesOut=target.lanes,
            ElementBits=source.bits,
        )

    def _matrix_vector(self, cell: MatrixVector) -> None:
        layer, fold = cell.layer, cell.fold
        if isinstance(layer.weights, BinaryBases) and fold.kind is FoldKind.BASE_SERIAL:
            self._base_serial(cell, layer.weights)
            return
        source, target = self._streams[cell.source], self._streams[cell.target]
        activations = IntFormat(source.bits, source.signed)
        memories = unit_memories(layer, fold, activations, self._fabric)
        lanes, more = fold.pe * fold.simd, dict[str, object]()
        match layer.weights:
            case ProductWeights() if fold.kind is FoldKind.CODE_BOOK:
                weights, more = self._book(layer, layer.weights, fold)
            case Weights() | ProductWeights() | BinaryBases():
                weights = self._memory(layer, "weights", memories.steps, lanes, memories.step_bits)
            case _:
                assert_never(layer.weights)
        self._put(
            "vecq_matrix_vector",
            [cell.source],
            [cell.target],
            Inputs=layer.inputs_of_one_output,
            Outputs=layer.outputs,
            Pe=fold.pe,
            Simd=fold.simd,
            Groups=layer.groups,
            Taps=layer.inputs_of_one_output // layer.group_channels,
            WeightBits=memories.planes.bits,
            TwosComplement=bit(not memories.planes.signs),
            InputBits=source.bits,
            InputSigned=bit(source.signed),
            AccumulatorBits=target.bits,
            WeightsFile=weights,
            BiasFile=self._memory(layer, "bias", memories.starts, fold.pe, target.bits),
            BitSerial=bit(fold.kind is FoldKind.BIT_SERIAL),
            QuadRows=bit(memories.quad_rows),
            **more,
        )

    def _base_serial(self, cell: MatrixVector, weights: BinaryBases) -> None:
        layer, fold, words = cell.layer, cell.fold, cell.unit.words
        source, target = self._streams[cell.source], self._streams[cell.target]
        activations, fmt = IntFormat(source.bits, source.signed), weights.coordinate_format
        memories = base_memories(layer, weights, fold, activations, words)
        lanes, line_bits = fold.pe * fold.simd, memories.address_bits + 1
        self._put(
            "vecq_base_serial",
            [cell.source],
            [cell.target],
            Words=words,
            Outputs=layer.outputs,
            Pe=fold.pe,
            Simd=fold.simd,
            GroupWords=weights.group // fold.simd,
            Passes=memories.passes.size,
            InputBits=source.bits,
            InputSigned=bit(source.signed),
            CoordinateBits=fmt.bits,
            CoordinateSigned=bit(fmt.signed),
            AccumulatorBits=target.bits,
            BasesFile=self._memory(layer, "bases", memories.steps, lanes, 1),
            CoordinatesFile=self._memory(
                layer, "coordinates", memories.coordinates, fold.pe, fmt.bits
            ),
            PassesFile=self._memory(layer, "passes", memories.passes, 1, line_bits),
            BiasFile=self._memory(layer, "bias", memories.starts, fold.pe, target.bits),
        )

    def _book(
        self, layer: MacLayer, weights: ProductWeights, fold: Fold
    ) -> tuple[str, dict[str, object]]:
        """The file of a layer's indices, and the parameters of the book that they lead to."""
        indices, book = index_memory(weights, fold), book_memory(weights, fold)
        lanes = book.shape[1]
        parameters: dict[str, object] = {
            "BookWords": len(weights.book),
            "BookLanes": weights.block,
            "BookFile": self._memory(layer, "book", book, lanes, weights.book_planes.bits),
        }
        words = indices.shape[1]
        return self._memory(layer, "indices", indices, words, weights.index_bits), parameters

    def _rows(self, cell: Rows) -> None:
        source, target = self._streams[cell.source], self._streams[cell.target]
        values = cell.layer.weights.values
        rows, channels = values.shape
        self._put(
            "vecq_embedding",
            [cell.source],
            [cell.target],
            Rows=rows,
            Folds=channels // target.lanes,
            IndexBits=source.bits,
            WordBits=target.word,
            File=self._memory(cell.layer, "table", values, target.lanes, target.bits),
        )

    def _recurrence(self, cell: Recurrence) -> None:
        source = self._streams[cell.source]
        tensor = self._plan.network.tensors[cell.layer.input]
        parameters, memories = recurrence(cell.layer, cell.fold, tensor.format)
        match cell.layer:
            case Lstm():
                module = "vecq_lstm"
            case Gru():
                module = "vecq_gru"
            case _:
                assert_never(cell.layer)
        files = {
            f"{camel_case(name)}File": self._memory(
                cell.layer, name, memory.values, memory.lanes, memory.bits
            )
            for name, memory in memories.items()
        }
        self._put(
            module,
            [cell.source],
            [cell.target],
            Length=tensor.shape[1],
            InputBits=source.bits,
            InputSigned=bit(source.signed),
            **parameters,
            **files,
        )

    def _unrolled(self, cell: Unrolled) -> None:
        layer, tensors = cell.layer, self._plan.network.tensors
        module = f"{self._names[layer.name]}_unrolled"
        accumulator = tensors[layer.name].format
        self._modules.append(module)
        self._contents[f"rtl/{module}.sv"] = unrolled_layer(
            module, layer, cell.circuit, accumulator, cell.rescale, latency=cell.depth
        )
        self._put(module, [cell.source], [cell.target])

    def _rescale(self, cell: Elementwise, layer: Rescale) -> None:
        source = self._streams[cell.source]
        lanes = source.lanes
        mantissa_bits, offset_bits = signed_bits(layer.mantissa), signed_bits(layer.offset)
        self._put(
            "vecq_rescale",
            [cell.source],
            [cell.target],
            Channels=layer.channels,
            Lanes=lanes,
            AccumulatorBits=source.bits,
            InputSigned=bit(source.signed),
            MantissaBits=mantissa_bits,
            OffsetBits=offset_bits,
            Shift=layer.shifts.min(),
            OutputBits=layer.format.bits,
            Lo=signed_literal(layer.format.lo),
            Hi=signed_literal(layer.format.hi),
            UseDsp=bit(cell.dsp),
            MantissaFile=self._memory(layer, "mantissa", layer.mantissa, lanes, mantissa_bits),
            OffsetFile=self._memory(layer, "offset", layer.offset, lanes, offset_bits),
            **self._shifter(layer, layer.shifts - layer.shifts.min(), lanes),
            **self._classes(layer, lanes),
        )

    def _classes(self, layer: Rescale, lanes: int) -> dict[str, object]:
        """The parameters of a cell whose positions have classes; or none."""
        if layer.rows is None or layer.classes == 1:
            return {}
        words = layer.channels // lanes
        bits = (layer.classes * words - 1).bit_length()
        return {
            "Classes": layer.classes,
            "Positions": layer.rows.size,
            "RowsFile": self._memory(layer, "rows", layer.rows * words, 1, bits),
        }

    def _shifter(self, layer: Rescale, further: IntArray, lanes: int) -> dict[str, object]:
        """The parameters of a cell whose channels shift ``further`` than the least; or none."""
        if isinstance(layer.shift, int):
            return {}
        bits = int(layer.shifts.max() - layer.shifts.min()).bit_length()
        further = (
            np.broadcast_to(further, layer.mantissa.shape) if layer.rows is not None else further
        )
        return {
            "ShiftBits": bits,
            "ShiftFile": self._memory(layer, "shifts", further, lanes, bits),
        }

    def _serial_rescale(self, cell: SerialRescale) -> None:
        layer, source = cell.layer, self._streams[cell.source]
        bits = units.mantissa_bits(layer)
        memories = serial_memories(
            layer.mantissa, layer.offset, layer.shift, bits, source.lanes, cell.turns
        )
        pairs, constants = memories.bits.shape[1], memories.rests.shape[1]
        self._put(
            "vecq_rescale_serial",
            [cell.source],
            [cell.target],
            Channels=layer.mantissa.size,
            Lanes=source.lanes,
            Turns=cell.turns,
            AccumulatorBits=source.bits,
            InputSigned=bit(source.signed),
            MantissaBits=bits,
            RestBits=memories.rest_bits,
            Shift=layer.shifts.min(),
            OutputBits=layer.format.bits,
            Lo=signed_literal(layer.format.lo),
            Hi=signed_literal(layer.format.hi),
            BitsFile=self._memory(layer, "bits", memories.bits, pairs, 1),
            RestsFile=self._memory(layer, "rests", memories.rests, constants, memories.rest_bits),
            **self._shifter(layer, memories.further, constants),
        )

    def _threshold(self, cell: Elementwise, layer: Threshold) -> None:
        source = self._streams[cell.source]
        fmt = self._plan.network.tensors[layer.input].format
        lines, bits, count_bits = threshold_lines(layer, fmt, source.lanes)
        self._put(
            "vecq_threshold",
            [cell.source],
            [cell.target],
            Channels=len(layer.falling),
            Lanes=source.lanes,
            InputBits=source.bits,
            InputSigned=bit(source.signed),
            ThresholdBits=bits,
            CountBits=count_bits,
            OutputBits=layer.format.bits,
            Lo=signed_literal(layer.format.lo),
            Hi=signed_literal(layer.format.hi),
            File=self._memory(layer, "thresholds", lines, source.lanes, bits),
        )

    def _lookup(self, cell: Elementwise, layer: Lookup) -> None:
        source, tensor = self._streams[cell.source], self._plan.network.tensors[layer.input]
        lines = lookup_lines(layer, tensor.format, source.lanes)
        bits, own = layer.format.bits, len(layer.table) > 1
        self._put(
            "vecq_lookup",
            [cell.source],
            [cell.target],
            Channels=tensor.channels,
            Lanes=source.lanes,
            InputBits=source.bits,
            OutputBits=bits,
            OwnTables=bit(own),
            File=self._memory(layer, "table", lines, lines.shape[1], bits),
        )

    def _join(self, cell: Join) -> None:
        source, target = self._streams[cell.sources[0]], self._streams[cell.target]
        match cell.layer:
            case Add():
                self._put(
                    "vecq_add",
                    cell.sources,
                    [cell.target],
                    Operands=len(cell.sources),
                    Lanes=source.lanes,
                    **self._sum(cell),
                )
            case Subtract():
                self._put(
                    "vecq_add",
                    cell.sources,
                    [cell.target],
                    Lanes=source.lanes,
                    **self._sum(cell),
                    Subtract=bit(True),
                )
            case Multiply():
                right = self._streams[cell.sources[1]]
                more: dict[str, object] = {"UseDsp": bit(True)} if cell.dsp else {}
                if cell.kept is not None:
                    more |= {"Words": cell.kept.words, "Positions": cell.positions}
                self._put(
                    "vecq_multiply",
                    cell.sources,
                    [cell.target],
                    Lanes=source.lanes,
                    LeftBits=source.bits,
                    LeftSigned=bit(source.signed),
                    RightBits=right.bits,
                    RightSigned=bit(right.signed),
                    ProductBits=target.bits,
                    **more,
                )
            case Concat():
                turns = [sum(turn[0] is stream for turn in cell.turns) for stream in cell.sources]
                literal = ", ".join(f"32'd{count}" for count in reversed(turns))
                self._put(
                    "vecq_concat",
                    cell.sources,
                    [cell.target],
                    Operands=len(cell.sources),
                    WordBits=source.word,
                    Turns=f"{{{literal}}}",
                )
            case _:
                assert_never(cell.layer)

    def _sum(self, cell: Join) -> dict[str, object]:
        """The widths of a sum, and of each operand where they differ."""
        operands = [self._streams[stream] for stream in cell.sources]
        signed = any(operand.signed for operand in operands)
        bits = max(operand.bits + (signed and not operand.signed) for operand in operands)
        result: dict[str, object] = {
            "ElementBits": bits,
            "Signed": bit(signed),
            "SumBits": self._streams[cell.target].bits,
        }
        if len({(operand.bits, operand.signed) for operand in operands}) > 1:
            widths = ", ".join(f"32'd{operand.bits}" for operand in reversed(operands))
            signs = "".join(str(int(operand.signed)) for operand in reversed(operands))
            result |= {
                "OperandBits": f"{{{widths}}}",
                "OperandSigned": f"{len(operands)}'b{signs}",
                "AllBits": sum(operand.bits for operand in operands),
            }
        return result

    def _constant(self, cell: Source) -> None:
        layer, stream = cell.layer, self._streams[cell.target]
        self._put(
            "vecq_constant",
            [],
            [cell.target],
            Words=layer.values.size // stream.lanes,
            WordBits=stream.word,
            ValuesFile=self._memory(
                layer, f"values_{stream.lanes}", layer.values, stream.lanes, stream.bits
            ),
        )

    def _geometry(self, layer: WindowLayer, source: NamedStream) -> dict[str, object]:
        """The parameters of a sliding window."""
        height, width, channels = self._plan.network.tensors[layer.input].shape
        axes, sides = ("Rows", "Columns"), ("Top", "Left", "Bottom", "Right")
        parts: list[tuple[str, tuple[str, ...], tuple[int, ...]]] = [
            ("Kernel", axes, layer.kernel),
            ("Stride", axes, layer.stride),
            ("Padding", sides, layer.padding),
            ("Dilation", axes, layer.dilation),
        ]
        result: dict[str, object] = {
            f"{name}{end}": number
            for name, ends, numbers in parts
            for end, number in zip(ends, numbers, strict=True)
        }
        return {"Height": height, "Width": width, "Folds": channels // source.lanes} | result

    def _pool(self, cell: Pool) -> None:
        source, target = self._streams[cell.source], self._streams[cell.target]
        match cell.layer:
            case MaxPool2d():
                maximum = True
            case SumPool2d():
                maximum = False
            case _:
                assert_never(cell.layer)
        self._put(
            "vecq_pool",
            [cell.source],
            [cell.target],
            **self._geometry(cell.layer, source),
            Lanes=source.lanes,
            ElementBits=source.bits,
            Signed=bit(source.signed),
            Max=bit(maximum),
            OutputBits=target.bits,
        )

    def _reordering(self, cell: Reordering) -> None:
        source = self._streams[cell.source]
        element = cell.code & ((1 << source.bits) - 1)
        code = pack([element] * source.lanes, source.bits)
        parameters, tables = order_parameters(cell.order, source.word, code)
        for number, (lines, bits) in enumerate(tables):
            file = self._memory(cell.layer, f"order{number}", lines, 1, bits)
            parameters[f"Table{number}File"] = file
        self._put("vecq_reorder", [cell.source], [cell.target], **parameters)

    def _upsampling(self, cell: Upsampling) -> None:
        source = self._streams[cell.source]
        _, width, channels = self._plan.network.tensors[cell.layer.input].shape
        rows, columns = cell.layer.factor
        self._put(
            "vecq_upsample",
            [cell.source],
            [cell.target],
            Width=width,
            Folds=channels // source.lanes,
            FactorRows=rows,
            FactorColumns=columns,
            WordBits=source.word,
        )

    def _gathering(self, cell: Gathering) -> None:
        layer, source = cell.layer, self._streams[cell.source]
        tensor = self._plan.network.tensors[layer.input]
        lines, bits, shift_bits = gather_lines(layer, tensor.positions)
        self._put(
            "vecq_gather_sum",
            [cell.source],
            [cell.target],
            Positions=tensor.positions,
            Folds=tensor.channels // source.lanes,
            Entries=lines.size,
            Lanes=source.lanes,
            ElementBits=source.bits,
            Signed=bit(source.signed),
            ShiftBits=shift_bits,
            SumBits=self._streams[cell.target].bits,
            File=self._memory(layer, "list", lines, 1, bits),
        )
