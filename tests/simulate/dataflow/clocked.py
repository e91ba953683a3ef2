"""The streaming accelerator as plain cells with registers, clocked one cycle after the other.

What the dataflow model is compared with where there is no RTL yet; written without it.
"""

from __future__ import annotations

import math
from itertools import pairwise, product

from tests.simulate.dataflow.clocked_cells import (
    Fork,
    KeptProduct,
    Link,
    Memory,
    Pipe,
    Ranking,
    Recurrence,
    Sink,
    Source,
    Table,
    Unit,
    Wire,
)
from tests.simulate.dataflow.clocked_numbers import (
    bits,
    kept,
    mantissa_bits,
    order_of,
    window_steps,
    without_unread,
)
from vecq_hw.accelerator.orders import word_order
from vecq_hw.formats import IntFormat
from vecq_hw.layers import (
    Add,
    ArgMax,
    Concat,
    Constant,
    Conv2d,
    Dense,
    Embedding,
    Flatten,
    GatherSum,
    Gru,
    Lookup,
    Lstm,
    Multiply,
    Permute,
    Rescale,
    Subtract,
    Take,
    Threshold,
    TopK,
    Upsample2d,
)
from vecq_hw.schedule import Fabric, FoldKind


def named(pauses):
    """Whether each end has pauses of its own."""
    return isinstance(pauses, dict)


class Machine:
    """All cells of a network, by the rules of docs/reference/cycle_rules.md.

    With ``one_stage`` every pipeline holds one word, as those do in which it stands at the end when
    the next one comes.
    """

    def __init__(
        self, network, schedule, depths, frames, input_pauses=(), output_pauses=(), one_stage=False
    ):
        self.one_stage, self.links = one_stage, set()
        network = without_unread(network)
        self.network, self.schedule, self.depths, self.cells = network, schedule, depths, []
        self.frames, self.patience, self.readers, self.sources, self.sinks = frames, 600, {}, [], []
        for entry in network.inputs:
            lanes = self.lanes_behind(entry.name, entry.shape)
            if any(isinstance(la, Embedding) for la in network.layers if entry.name in la.inputs):
                lanes = 1
            wire = Wire(lanes, raw=True)
            words = frames * math.prod(entry.shape) // lanes
            paused = input_pauses.get(entry.name, ()) if named(input_pauses) else input_pauses
            self.sources.append(Source(wire, words, paused))
            self.cells.append(self.sources[-1])
            self.publish(entry.name, wire)
        for layer in network.layers:
            if not isinstance(layer, Constant):  # each reader has one of its own
                self.publish(layer.name, self.layer(layer))
        self.expected = [cell.words for cell in self.sources]
        for place, name in enumerate(network.outputs):
            wire = self.readers[name].pop(0)
            end = f"output {place}" if len(network.outputs) > 1 else "output"
            if not wire.registered or wire.tensor != name or len(network.outputs) > 1:
                wire = self.link(name, end, wire, wire.lanes)
            paused = output_pauses.get(end, ()) if named(output_pauses) else output_pauses
            self.sinks.append(Sink(wire, paused))
            self.cells.append(self.sinks[-1])
            self.expected.append(frames * math.prod(network.tensors[name].shape) // wire.lanes)

    def lanes_behind(self, tensor, shape):
        """Those of the first layer with weights that depends on a tensor, as far as they divide."""
        behind = {tensor}
        for layer in self.network.layers:
            if behind & set(layer.inputs):
                if isinstance(layer, Dense | Conv2d):
                    return math.gcd(self.window_lanes(layer), shape[-1])
                behind.add(layer.name)
        return 1

    def run(self):
        """The cycles of all words in and out; None if nothing moves for longer than can be."""
        idle = 0
        while idle < self.patience:
            counts = [len(cell.cycles) for cell in (*self.sources, *self.sinks)]
            if counts == self.expected:
                return [c.cycles for c in self.sources], [c.cycles for c in self.sinks]
            for cell in self.cells:
                cell.drive()
            for cell in reversed(self.cells):
                cell.accept()
            for cell in self.cells:
                cell.edge()
            now = [len(cell.cycles) for cell in (*self.sources, *self.sinks)]
            idle = idle + 1 if counts == now else 0
        return None

    def publish(self, name, wire):
        wire.tensor = wire.tensor or name
        count = sum(layer.inputs.count(name) for layer in self.network.layers)
        count += self.network.outputs.count(name)
        if count == 1:
            self.readers[name] = [wire]
        else:
            self.readers[name] = [Wire(wire.lanes) for _ in range(count)]
            self.cells.append(Fork(wire, list(self.readers[name])))

    def link(self, name, reader, wire, lanes):
        out, link, count = Wire(lanes), f"{name}→{reader}", 1
        while (unique := link if count == 1 else f"{link} {count}") in self.links:
            count += 1
        self.links.add(unique)
        self.cells.append(Link(wire, out, self.depths.get(unique)))
        return out

    def entry(self, layer, lanes):
        wire = self.readers[layer.input].pop(0)
        if wire.raw and wire.lanes == lanes:
            return wire
        return self.link(layer.input, layer.name, wire, lanes)

    def window_lanes(self, layer):
        fold = self.schedule.folds[layer.name]
        group_outputs = layer.weights.shape[0] // getattr(layer, "groups", 1)
        return fold.simd * (fold.pe // group_outputs if fold.pe % group_outputs == 0 else 1)

    def layer(self, layer):
        shape = self.network.tensors[layer.inputs[0]].shape
        if isinstance(layer, Dense):
            wire = self.entry(layer, self.window_lanes(layer))
            unrolled = self.schedule.folds[layer.name].kind is FoldKind.UNROLLED
            return self.unrolled(layer, wire) if unrolled else self.matrix_vector(layer, wire)
        if isinstance(layer, Conv2d):
            lanes = self.window_lanes(layer)
            wire = self.entry(layer, lanes)
            plain = (layer.kernel, layer.stride, layer.padding) == ((1, 1), (1, 1), (0, 0, 0, 0))
            if not plain:
                wire = self.windows(layer, wire, shape, pool=False)
            return self.matrix_vector(layer, wire)
        if isinstance(layer, Flatten):
            return self.readers[layer.input].pop(0)
        if isinstance(layer, Rescale | Threshold):
            wire = self.readers[layer.input].pop(0)
            if layer is wire.rescaled_by:
                return wire
            if isinstance(layer, Rescale):
                layer = layer.of_used_classes()
            if isinstance(layer, Rescale) and (cycles := self.serial_cycles(layer, wire)):
                if wire.in_turns:  # one word behind the other, and then none for long
                    wire = self.link(layer.input, layer.name, wire, wire.lanes)
                # The word is kept until the last of its cycles.
                reads, gives = [0, *[None] * (cycles - 2), 0], [False] * (cycles - 1) + [True]
                words = math.prod(self.network.tensors[layer.name].shape) // wire.lanes
                return self.unit(words, wire, wire.lanes, reads, gives, 1, [1] * cycles, 4, 1)
            if isinstance(layer, Rescale):
                depth = 6 + (layer.classes > 1)
                # One register is enough behind a unit whose words are never next to each other.
                room = 1 if wire.spacing > 1 else 2
                return self.pipe([[wire]], wire.lanes, depth, room=room)
            depth = 2 + bits(layer.format.hi - layer.format.lo + 1)
            return self.pipe([[wire]], wire.lanes, depth)
        if isinstance(layer, ArgMax):
            wire = self.readers[layer.input].pop(0)
            return self.pipe([[wire]], 1, 1 + bits(wire.lanes), shape[-1] // wire.lanes)
        if isinstance(layer, Lookup):
            wire = self.readers[layer.input].pop(0)
            return self.pipe([[wire]], wire.lanes, 1)
        if isinstance(layer, TopK):
            wire, out = self.entry(layer, 1), Wire(1)
            self.cells.append(Ranking(wire, out, shape[-1], layer.count))
            return out
        if isinstance(layer, Add | Subtract | Multiply | Concat):
            return self.joined(layer)
        if isinstance(layer, Embedding):
            wire = self.entry(layer, 1)
            shape = self.network.tensors[layer.name].shape
            out = Wire(self.lanes_behind(layer.name, shape))
            self.cells.append(Table(wire, out, shape[-1] // out.lanes))
            return out
        if isinstance(layer, Lstm | Gru):
            return self.recurrence(layer, shape[1])
        if isinstance(layer, Take | Permute):
            return self.ordered(layer)
        wire = self.entry(layer, self.readers[layer.input][0].lanes)
        if isinstance(layer, Upsample2d):
            height, width, channels = shape
            lanes, folds = wire.lanes, channels // wire.lanes
            reads = [
                column * folds + fold
                for _, column, _, fold in product(
                    range(layer.factor[0]), range(width), range(layer.factor[1]), range(folds)
                )
            ]
            words = width * folds
            gives, room = [True] * len(reads), kept(reads, words, max(words, 2))
            return self.unit(height, wire, lanes, reads, gives, words, room, 1)
        if isinstance(layer, GatherSum):
            folds, reads, gives = shape[-1] // wire.lanes, [], []
            for start, stop in pairwise(layer.indptr.tolist()):
                row = layer.indices[start:stop].tolist() or [0]
                for fold in range(folds):
                    reads += [position * folds + fold for position in row]
                    gives += [False] * (len(row) - 1) + [True]
            words = math.prod(shape[:-1]) * folds
            reads[-1], room = words - 1, [2 * words] * len(reads)
            return self.unit(1, wire, wire.lanes, reads, gives, words, room, 2)
        return self.windows(layer, wire, shape, pool=True)

    def ordered(self, layer):
        """Words in the order in which plain Python finds them; kept is what is read again."""
        shape = self.network.tensors[layer.input].shape
        come = self.readers[layer.input][0].lanes
        order, lanes = word_order(layer, shape, come, self.network.tensors[layer.name].channels)
        places = [place // lanes for place in order_of(layer, shape)[::lanes]]
        if places == list(range(math.prod(shape) // lanes)):
            wire = self.readers[layer.input].pop(0)
            return wire if wire.lanes == lanes else self.link(layer.input, layer.name, wire, lanes)
        wire = self.entry(layer, lanes)
        kept = order.kept.tolist()
        reads, room, real = [], [], 0
        for place in places:
            room.append((kept[real] if real < len(kept) else order.words + kept[0]) + order.slots)
            reads.append(place if place >= 0 else None)
            real += place >= 0
        reads[0] = next(read for read in reads if read is not None)
        return self.unit(1, wire, lanes, reads, [True] * len(reads), order.words, room, 1)

    def joined(self, layer):
        """Operands behind links of equal lanes; constants come from memories, without links."""
        tensors = [self.network.tensors[name] for name in layer.inputs]
        wires = [self.readers[n].pop(0) if n in self.readers else None for n in layer.inputs]
        pixels = [math.prod(tensor.shape[:-1]) for tensor in tensors]
        keeps = isinstance(layer, Multiply) and pixels[1] < pixels[0]
        leading = [w for w in (wires[:1] if keeps else wires) if w] or [w for w in wires if w]
        lanes = max(wire.lanes for wire in leading)
        if isinstance(layer, Concat):
            common = math.gcd(*(tensor.shape[-1] for tensor in tensors))
            lanes = max(count for count in range(1, lanes + 1) if common % count == 0)
        streams = [
            self.link(name, layer.name, wire, lanes) if wire else self.memory(lanes)
            for name, wire in zip(layer.inputs, wires, strict=True)
        ]
        if isinstance(layer, Concat):
            words = [tensor.shape[-1] // lanes for tensor in tensors]
            turns = [[s] for s, count in zip(streams, words, strict=True) for _ in range(count)]
            first = next(s for s, wire in zip(streams, wires, strict=True) if wire)
            return self.pipe(turns, lanes, 1, lead=first)
        if keeps and wires[1]:
            words, depth = tensors[1].shape[-1] // lanes, 1 if self.one_stage else 2
            out = Wire(lanes)
            self.cells.append(KeptProduct(*streams, out, words, pixels[0], depth))
            return out
        depths = {Add: max(bits(len(streams)), 1), Subtract: 1, Multiply: 2}
        return self.pipe([streams], lanes, depths[type(layer)])

    def memory(self, lanes):
        out = Wire(lanes)
        self.cells.append(Memory(out))
        return out

    def recurrence(self, layer, length):
        fold, (outputs, elements) = self.schedule.folds[layer.name], layer.weights.shape
        wire, out, depth = self.entry(layer, 1), Wire(1), 8 if isinstance(layer, Lstm) else 11
        cell = Recurrence(
            wire,
            out,
            words=outputs // fold.pe,
            folds=elements // fold.simd,
            pe=fold.pe,
            latency=2 + -(-fold.simd // 8) + bits(layer.weights.planes.bits),
            gates=outputs // elements,
            depth=depth,
            length=None if layer.sequence else length,
            stages=1 if self.one_stage else depth,
        )
        self.cells.append(cell)
        step = cell.words * max(cell.folds, cell.pe) + 3 * depth + elements
        self.patience += self.frames * length * step
        return out

    def pipe(self, turns, lanes, depth, period=1, lead=None, room=0):
        out = Wire(lanes)
        self.cells.append(Pipe(turns, out, 1 if self.one_stage else depth, period, lead, room))
        return out

    def unit(self, periods, wire, lanes, reads, gives, words, room, depth, end=0):
        out = Wire(lanes)
        stages = 1 if self.one_stage else depth
        cell = Unit(self.frames * periods, wire, out, reads, gives, words, room, stages, end)
        self.patience += cell.periods * len(reads)
        self.cells.append(cell)
        return out

    def windows(self, layer, wire, shape, pool):
        reads, gives, room = window_steps(layer, shape, shape[-1] // wire.lanes, pool)
        words = math.prod(shape) // wire.lanes
        # A pool gives no two words one behind the other, unless its pixels have several.
        end = 1 if pool and words == math.prod(shape[:2]) and math.prod(layer.kernel) > 1 else 2
        return self.unit(1, wire, wire.lanes, reads, gives, words, room, 3 if pool else 2, end)

    def matrix_vector(self, layer, wire):
        fold, (outputs, *kernel, taken) = self.schedule.folds[layer.name], layer.weights.shape
        groups = getattr(layer, "groups", 1)
        taps = math.prod(kernel)
        span = wire.lanes // fold.simd
        words_of_tap = groups // span * (taken // fold.simd)
        reads, gives = [], []
        if fold.kind is FoldKind.BASE_SERIAL:
            return self.base_serial(layer, wire, fold)
        if fold.kind is FoldKind.PARTIAL_SUMS:
            return self.partial_sums(layer, wire, fold)
        planes = layer.weights.planes.bits
        if fold.kind is FoldKind.CODE_BOOK:
            values = layer.weights.book_values
            planes = IntFormat.covering(int(values.min()), int(values.max())).bits
        passes = planes if fold.kind is FoldKind.BIT_SERIAL else 1
        for start in range(0, outputs, fold.pe):
            block = (start + fold.pe - 1) // (outputs // groups) // span
            for _, tap, word in product(range(passes), range(taps), range(taken // fold.simd)):
                reads.append(tap * words_of_tap + block * (taken // fold.simd) + word)
                gives.append(False)
            gives[-1] = True
        words = taps * words_of_tap
        replayed = outputs > fold.pe or passes > 1
        lanes, registers = (4, 2) if self.schedule.fabric is Fabric.ECP5 else (8, 1)
        depth = 3 + registers + -(-fold.simd // lanes)
        depth += 0 if fold.kind is FoldKind.BIT_SERIAL else bits(planes)
        end = 2 if passes * taps * taken == fold.simd else 1
        room = kept(reads, words, 2 * words if replayed else 2)
        positions = math.prod(self.network.tensors[layer.name].shape[:-1])
        out = self.unit(positions, wire, fold.pe, reads, gives, words, room, depth, end)
        out.spacing = passes * taps * taken // fold.simd
        out.interval = 0 if fold.dsp else out.spacing
        return out

    def partial_sums(self, layer, wire, fold):
        groups, (outputs, *kernel, taken) = getattr(layer, "groups", 1), layer.weights.shape
        taps, inner, turns = math.prod(kernel), taken // fold.simd, outputs // groups // fold.pe
        book, block = layer.weights.book.shape
        lines, reads, gives = 1, [], []
        while lines < book and 2 * lines <= turns:
            lines *= 2
        for word in range(taps * groups * inner):
            tap, part = word // (groups * inner), word % inner
            reads += [word] * turns
            gives += [tap == taps - 1 and part == inner - 1] * turns
        values = layer.weights.book_values
        width = IntFormat.covering(int(values.min()), int(values.max())).bits
        depth = 4 + lines + -(-block // 8) + bits(width) + bits(fold.simd // block) + (lines < book)
        words = taps * groups * inner
        positions = math.prod(self.network.tensors[layer.name].shape[:-1])
        room = kept(reads, words, 2)
        out = self.unit(positions, wire, fold.pe, reads, gives, words, room, depth)
        out.interval, out.in_turns = 0 if fold.dsp else taps * inner, outputs > fold.pe
        out.spacing = 1 if out.in_turns else taps * inner
        return out

    def base_serial(self, layer, wire, fold):
        groups, (outputs, *kernel, taken) = getattr(layer, "groups", 1), layer.weights.shape
        taps, lanes = math.prod(kernel), fold.simd
        counts = layer.weights.counts.reshape(outputs, taps, -1).tolist()
        size = layer.weights.group // lanes
        reads, gives = [], []
        for start in range(0, outputs, fold.pe):
            side, group = counts[start : start + fold.pe], start // (outputs // groups)
            most = [[max(row[t][g] for row in side) for g in range(len(side[0][t]))]
                    for t in range(taps)]  # fmt: skip
            if not any(map(sum, most)):
                most[0][0] = 1
            for tap, part in product(range(taps), range(taken // layer.weights.group)):
                first = (tap * groups + group) * (taken // lanes) + part * size
                reads += [*range(first, first + size)] * most[tap][part]
            gives += [False] * (len(reads) - len(gives) - 1) + [True]
        words = taps * groups * taken // lanes
        reads[-1] = words - 1
        positions = math.prod(self.network.tensors[layer.name].shape[:-1])
        last = layer.weights.coordinates
        signed, most = last.min() < 0, max(last.max(), -last.min() - 1)
        width = max(int(most).bit_length() + signed, 1)
        room = [2 * words] * len(reads)
        depth = -(-lanes // 8) + (3 + width if size >= width else 5)
        out = self.unit(positions, wire, fold.pe, reads, gives, words, room, depth)
        out.spacing = len(reads) // (outputs // fold.pe)
        out.interval = 0 if fold.dsp else out.spacing
        return out

    def unrolled(self, layer, wire):
        outputs, inputs = layer.weights.shape
        adders = bits(inputs) + bits(layer.weights.planes.bits)
        adders = 2 * (adders // 2 + adders % 2 + 1)
        readers = [la for la in self.network.layers if layer.name in la.inputs]
        alone = len(readers) == 1 and layer.name not in self.network.outputs
        rescale = readers[0] if alone and isinstance(readers[0], Rescale) else None
        rescale = None if rescale is None or rescale.rows is not None else rescale
        if rescale and rescale.format.hi - rescale.format.lo > 31:
            adders += bits(max(mantissa_bits(rescale) - 1, 1))
        out = self.pipe([[wire]], outputs, 1 + (adders + 1) // 2)
        out.rescaled_by = rescale
        return out

    def serial_cycles(self, layer, wire):
        """Cycles of a word, a mantissa bit in each; 0 where the folds before leave no time."""
        if layer.rows is not None:
            return 0
        width = mantissa_bits(layer)
        source = self.network.tensors[layer.input].format.bits
        constant = int((abs(layer.offset) + 2 ** (layer.shifts - 1)).max()).bit_length()
        wide = max(source, constant) + max(width - layer.shifts.min(), 0) > 61
        for turns in range(wire.lanes, 0, -1):
            if not wide and turns * (width + 1) < wire.interval:
                units = -(-wire.lanes // turns)
                return -(-wire.lanes // units) * (width + 1)
        return 0
