"""vecq_embedding, vecq_lstm, vecq_gru: every word, in the cycle that the model says."""

from dataclasses import dataclass
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, Memory, frames
from rtl_tests.images import Words, check
from tests.random_networks import Seeded, random_recurrent
from vecq_hw.accelerator.units import recurrent, rows
from vecq_hw.emit.systemverilog.recurrences import camel_case, recurrence
from vecq_hw.emit.words import pack_rows
from vecq_hw.formats import IntFormat, TwosComplement
from vecq_hw.layers import Embedding, Input, Tensor, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import Fold
from vecq_hw.simulate import simulate


@dataclass(frozen=True)
class Table:
    rows: int
    channels: int
    lanes: int

    @property
    def source(self) -> Input:
        fmt = IntFormat.covering(0, self.rows - 1, signed=False)
        return Input(name="x", shape=(3,), format=fmt)

    @property
    def network(self) -> Network:
        codes = np.random.default_rng(self.rows).integers(-8, 8, (self.rows, self.channels))
        weights = Weights(codes=codes, grid=TwosComplement(4))
        layer = Embedding(name="e", input="x", weights=weights)
        return Network(name="one", inputs=(self.source,), layers=(layer,), outputs=("e",))

    @property
    def case(self) -> Case:
        values = self.network.layers[0].weights.values
        index_bits = self.source.format.bits
        return Case(
            module="vecq_embedding",
            parameters={
                "Rows": self.rows,
                "Folds": self.channels // self.lanes,
                "IndexBits": index_bits,
                "WordBits": self.lanes * 4,
            },
            input_bits=index_bits,
            output_bits=self.lanes * 4,
            memories={"File": Memory(values=values, lanes=self.lanes, bits=4)},
        )

    def words(self, index: int) -> Words:
        x = frames(index, 3, 0, self.rows - 1, 3)
        return Words(
            given=[int(word) for word in x.ravel()],
            expected=pack_rows(simulate(self.network, x), self.lanes, 4),
            unit=rows(self.channels // self.lanes),
            periods=x.size,
        )


NINE = IntFormat(9, signed=True)


@dataclass(frozen=True)
class States:
    gru: bool
    length: int
    elements: int
    pe: int
    simd: int
    source: IntFormat = NINE
    seed: int = 0

    @property
    def network(self) -> Network:
        channels = (3 if self.gru else 4) * self.elements
        tensor = Tensor(shape=(1, self.length, channels), format=self.source, step=1.0)
        layer = random_recurrent(Seeded(self.seed), "s", "x", tensor, self.gru)
        source = Input(name="x", shape=tensor.shape, format=self.source)
        return Network(name="one", inputs=(source,), layers=(layer,), outputs=("s",))

    @property
    def fold(self) -> Fold:
        return Fold(pe=self.pe, simd=self.simd)

    @property
    def case(self) -> Case:
        layer = self.network.layers[0]
        parameters, memories = recurrence(layer, self.fold, self.source)
        return Case(
            module="vecq_gru" if self.gru else "vecq_lstm",
            parameters={
                **parameters,
                "Length": self.length,
                "InputBits": self.source.bits,
                "InputSigned": int(self.source.signed),
            },
            input_bits=self.source.bits,
            output_bits=8,
            memories={
                f"{camel_case(name)}File": Memory(
                    values=memory.values, lanes=memory.lanes, bits=memory.bits
                )
                for name, memory in memories.items()
            },
        )

    def words(self, index: int) -> Words:
        network = self.network
        layer = network.layers[0]
        shape = network.inputs[0].shape
        flat = frames(index, 2, self.source.lo, self.source.hi, int(np.prod(shape)))
        x = flat.reshape(-1, *shape)
        return Words(
            given=pack_rows(x, 1, self.source.bits),
            expected=pack_rows(simulate(network, x), 1, 8),
            unit=recurrent(layer, self.fold, self.length),
            periods=len(x) * (self.length if layer.sequence else 1),
        )


SHAPES: list[Table | States] = [
    Table(5, 6, 1),
    Table(8, 6, 3),
    Table(1, 2, 2),
    Table(100, 4, 2),
    *(
        States(gru, length, elements, pe, simd, seed=seed)
        for gru in (False, True)
        for seed, (length, elements, pe, simd) in enumerate(
            [
                (3, 6, 2, 3),
                (2, 6, 12 if not gru else 9, 2),  # the gates take longer than the product
                (1, 4, 1, 1),
                (4, 1, 1, 1),
                (3, 12, 3, 12),  # more lanes than a stage of the array adds
                (2, 5, 5, 1),
                (3, 2, 1, 2),
                (2, 3, 12 if not gru else 9, 3),  # all at once
            ]
        )
    ),
    States(True, 24, 4, 3, 2, seed=44),  # a unit of the wide state shows in two outputs
    States(False, 2, 3, 2, 1, source=IntFormat(5, signed=False), seed=20),
    States(True, 2, 3, 3, 1, source=IntFormat(21, signed=True), seed=21),
]
CASES = [shape.case for shape in SHAPES]


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def states_follow_in_time(dut: Any, index: int) -> None:
    await check(dut, index, CASES[index], SHAPES[index].words(index))
