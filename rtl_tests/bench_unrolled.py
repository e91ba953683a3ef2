"""Unrolled layers: many matrices, with and without a rescale, one frame a cycle."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import cocotb
import numpy as np

from rtl_tests.harness import Case, equal, frames, interrupt, restart, transfer
from tests.random_networks import own_shifts
from vecq_hw.accelerator.unrolled.circuit import circuit
from vecq_hw.bench.scoreboard import difference
from vecq_hw.bench.stream import start_clock
from vecq_hw.emit.unrolled.layer import unrolled_layer
from vecq_hw.emit.words import pack_rows, unpack_rows
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.layers import Dense, Input, Rescale, Weights
from vecq_hw.network import Network
from vecq_hw.simulate import simulate


@dataclass(frozen=True)
class Shape:
    weight_bits: int
    source: IntFormat
    outputs: int
    inputs: int
    result: IntFormat | None = None
    latency: int = 5
    mantissa_bits: int = 12


def unsigned(bits: int) -> IntFormat:
    return IntFormat(bits, signed=False)


def signed(bits: int) -> IntFormat:
    return IntFormat(bits, signed=True)


SHAPES = [
    *(Shape(k, unsigned(8), 5, 9, latency=latency) for k in (1, 2, 3, 4) for latency in (2, 20)),
    *(Shape(k, signed(b), 4, 6) for k, b in ((1, 1), (2, 2), (3, 8), (8, 16))),
    *(Shape(k, unsigned(b), 4, 6) for k, b in ((1, 1), (2, 3), (4, 16))),
    Shape(2, IntFormat(6, signed=True, lo=-5, hi=-2), 4, 6),
    Shape(2, unsigned(8), 1, 1),
    Shape(3, unsigned(4), 1, 7),
    # Every kind of rescale: binary search up to 32 codes, product beyond.
    *(Shape(2, unsigned(8), 6, 8, unsigned(b)) for b in (1, 2, 4, 5, 6, 8)),
    *(Shape(2, signed(8), 6, 8, signed(b)) for b in (1, 2, 4, 5, 8, 16)),
    Shape(3, unsigned(4), 6, 8, IntFormat(8, signed=False, lo=0, hi=96)),
    Shape(3, unsigned(4), 6, 8, IntFormat(8, signed=True, lo=-100, hi=-3)),
    Shape(3, unsigned(4), 6, 8, IntFormat(6, signed=True, lo=-7, hi=12)),
    Shape(3, unsigned(4), 6, 8, IntFormat(6, signed=False, lo=9, hi=9)),
    Shape(4, unsigned(8), 6, 8, unsigned(8), latency=20, mantissa_bits=18),
    # Sums and products beyond 32 bits.
    Shape(2, signed(40), 4, 5),
    Shape(2, signed(38), 4, 5, signed(16)),
    # Narrow ranges that lie high, and a constant: complements whose upper bits are always zero.
    Shape(3, IntFormat(6, signed=False, lo=40, hi=43), 4, 6),
    Shape(3, IntFormat(6, signed=False, lo=5, hi=5), 4, 6),
    Shape(3, IntFormat(6, signed=True, lo=-1, hi=-1), 4, 6, unsigned(4)),
    Shape(4, IntFormat(4, signed=True, lo=7, hi=7), 4, 6, unsigned(8)),
    # The same module once more, which test_unrolled.py replaces by its netlist after synthesis.
    Shape(2, unsigned(8), 6, 8),
    Shape(2, signed(8), 4, 6, unsigned(8)),
]
SYNTHESIZED = range(len(SHAPES) - 2, len(SHAPES))


@cache
def network(index: int) -> Network:
    """A Dense with bias and, where wanted, a Rescale with mantissas of both signs and zero."""
    shape, generator = SHAPES[index], np.random.default_rng(index)
    fmt = MidRise(shape.weight_bits).code_format
    codes = generator.integers(fmt.lo, fmt.hi, (shape.outputs, shape.inputs), endpoint=True)
    bias = generator.integers(-1000, 1000, shape.outputs)
    weights = Weights(codes=codes, grid=MidRise(shape.weight_bits))
    dense = Dense(name="dense", input="x", weights=weights, bias=bias)
    source = Input(name="x", shape=(shape.inputs,), format=shape.source)
    if shape.result is None:
        return Network(name="n", inputs=(source,), layers=(dense,), outputs=("dense",))
    reach = 1 << (shape.mantissa_bits - 1)
    mantissa = generator.integers(-reach, reach, shape.outputs)
    mantissa[:4] = [reach - 1, -reach, 0, 64]
    sums = Network(name="n", inputs=(source,), layers=(dense,), outputs=("dense",))
    magnitude = sums.tensors["dense"].format.magnitude * reach
    shift = max(1, magnitude.bit_length() - shape.result.bits - 2)
    offset = generator.integers(-magnitude // 8, magnitude // 8, shape.outputs)
    rescale = Rescale(
        name="rescale",
        input="dense",
        mantissa=mantissa,
        offset=offset,
        shift=shift,
        format=shape.result,
    )
    if index % 2:
        rescale = own_shifts(rescale, sums.tensors["dense"].format, generator)
    return Network(name="n", inputs=(source,), layers=(dense, rescale), outputs=("rescale",))


def module(index: int) -> str:
    return f"case{index}_unrolled"


@cache
def layer(index: int) -> str:
    net = network(index)
    dense, rescale = net.layers[0], net.layers[-1]
    assert isinstance(dense, Dense)
    behind = rescale if isinstance(rescale, Rescale) else None
    return unrolled_layer(
        module(index),
        dense,
        circuit(dense, SHAPES[index].source, behind, attempts=3),
        net.tensors["dense"].format,
        behind,
        latency=SHAPES[index].latency,
    )


def case(index: int) -> Case:
    shape, net = SHAPES[index], network(index)
    return Case(
        module=module(index),
        parameters={},
        input_bits=shape.inputs * shape.source.bits,
        output_bits=shape.outputs * net.tensors[net.outputs[0]].format.bits,
        sources={f"{module(index)}.sv": layer(index)},
    )


CASES = [case(index) for index in range(len(SHAPES))]


def data(index: int) -> tuple[IntArray, IntArray]:
    """Inputs and the outputs that the simulator finds."""
    shape, net = SHAPES[index], network(index)
    inputs = frames(index, 60, shape.source.lo, shape.source.hi, shape.inputs)
    found = simulate(net, inputs)
    assert not isinstance(found, dict)
    return inputs, found


@cocotb.test()
@cocotb.parametrize(index=range(len(CASES)))
async def every_output_is_exact(dut: Any, index: int) -> None:
    shape, net = SHAPES[index], network(index)
    fmt = net.tensors[net.outputs[0]].format
    inputs, expected = data(index)
    words = pack_rows(inputs, shape.inputs, shape.source.bits)
    start_clock(dut.clk_i)
    await restart(dut, index)

    async def compare(seed: int | None) -> list[int]:
        sink = await transfer(dut, index, words, len(words), seed)
        outputs = unpack_rows(sink.words, shape.outputs, fmt.bits, signed=fmt.signed)
        found = difference(expected, outputs.reshape(expected.shape))
        assert found is None, f"{shape}: {found}, seed {seed}"
        return sink.cycles

    await compare(seed=index)
    first = 1 + shape.latency
    equal(f"{shape}: cycles", await compare(seed=None), range(first, first + len(words)))
    for ready in (0, 1):
        await interrupt(dut, index, words, shape.latency + 3, ready)
        await compare(seed=index + 1)
