"""Whether a schedule fits a network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from vecq_hw.arguments import nearest
from vecq_hw.bench.words import slot_bits
from vecq_hw.errors import VecqError
from vecq_hw.layers import (
    BinaryBases,
    Conv2d,
    Dense,
    MacLayer,
    ProductWeights,
    Rescale,
    Weights,
    as_recurrent_layer,
)
from vecq_hw.network import Network
from vecq_hw.schedule.folds import Fold, FoldKind, Schedule, divisors, foldable, streaming_folds

AXIS_BITS = tuple(1 << power for power in range(3, 11))


def problems(network: Network, schedule: Schedule) -> Iterator[str]:
    """Each reason why ``schedule`` does not fit ``network``, as a sentence."""
    layers = {layer.name: layer for layer in network.products}
    recurrent = {layer.name for layer in network.layers if as_recurrent_layer(layer)}
    if schedule.axis_bits is not None:
        yield from _axis_problems(network, schedule.axis_bits)
    for name in schedule.folds.keys() - layers.keys():
        yield (
            f"the schedule folds '{name}', which multiplies by no weights in '{network.name}';"
            f" {nearest(name, layers)}"
        )
    for name, layer in layers.items():
        fold = schedule.folds.get(name)
        if fold is None:
            yield f"layer '{name}' has no fold in the schedule"
            continue
        outputs, inputs = foldable(layer)
        misfits = [
            f"layer '{name}': {size} {what} do not fold onto {lanes} lanes;"
            f" use {', '.join(map(str, divisors(size)))}"
            for what, size, lanes in (("outputs", outputs, fold.pe), ("inputs", inputs, fold.simd))
            if lanes < 1 or size % lanes
        ]
        yield from misfits or _group_problems(layer, fold)
        if name in recurrent:
            if fold.kind is not FoldKind.STREAMING or fold.dsp:
                yield (
                    f"layer '{name}': the product of a recurrent layer's state is streaming and has"
                    " no DSP; leave out kind and dsp"
                )
            continue
        yield from kind_problems(layer, fold)
        if fold.dsp:
            yield from _dsp_problems(network, layer, fold)


def kind_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    """Each reason why a layer cannot have a fold's kind of unit, as a sentence."""
    match fold.kind:
        case FoldKind.STREAMING:
            pass
        case FoldKind.UNROLLED:
            yield from _unrolled_problems(layer, fold)
        case FoldKind.BIT_SERIAL:
            yield from _bit_serial_problems(layer)
        case FoldKind.CODE_BOOK:
            yield from _code_book_problems(layer, fold)
        case FoldKind.BASE_SERIAL:
            yield from _base_serial_problems(layer, fold)
        case FoldKind.PARTIAL_SUMS:
            yield from _partial_sums_problems(layer, fold)
        case _:
            assert_never(fold.kind)


def _axis_problems(network: Network, axis_bits: int) -> Iterator[str]:
    if axis_bits not in AXIS_BITS:
        legal = ", ".join(map(str, AXIS_BITS))
        yield f"AXI4-Streams of {axis_bits} bits were asked for; use {legal}"
        return
    for name in (*(entry.name for entry in network.inputs), *network.outputs):
        bits = network.tensors[name].format.bits
        if slot_bits(bits) > axis_bits:
            yield (
                f"tensor '{name}': an element of {bits} bits does not fit AXI4-Streams of"
                f" {axis_bits} bits; use {slot_bits(bits)}"
            )


def _group_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    legal = streaming_folds(layer)
    if Fold(pe=fold.pe, simd=fold.simd) not in legal:
        yield (
            f"layer '{layer.name}': {layer.groups} groups do not fold onto {fold.pe} PE"
            f" × {fold.simd} SIMD lanes; use {', '.join(map(str, legal))}"
        )


def _unrolled_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    match layer:
        case Dense():
            pass
        case Conv2d():
            yield (
                f"layer '{layer.name}': a Conv2d cannot be unrolled, only a Dense; use another kind"
            )
            return
        case _:
            assert_never(layer)
    outputs, inputs = foldable(layer)
    if (fold.pe, fold.simd) != (outputs, inputs):
        yield (
            f"layer '{layer.name}': an unrolled layer has all lanes, not {fold.pe} PE × {fold.simd}"
            f" SIMD; use {outputs} × {inputs}"
        )
    if layer.accumulator_bits is not None:
        yield (
            f"layer '{layer.name}': an unrolled layer has no accumulator that could wrap at"
            f" {layer.accumulator_bits} bits; leave out accumulator_bits or use another kind"
        )


def _bit_serial_problems(layer: MacLayer) -> Iterator[str]:
    if not layer.weights.planes.signs:
        yield (
            f"layer '{layer.name}': a bit-serial layer takes odd weights, as on VecQ's mid-rise"
            f" grid, not {layer.weights.kind}; use another kind"
        )


def _code_book_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    match layer.weights:
        case ProductWeights(block=block):
            if fold.simd > 0 and max(block, fold.simd) % min(block, fold.simd):
                yield (
                    f"layer '{layer.name}': {fold.simd} SIMD lanes neither divide the {block}"
                    " weights of a word nor are a multiple of them; use another fold"
                )
        case Weights() | BinaryBases():
            yield (
                f"layer '{layer.name}': a fold with a code book takes ProductWeights, not"
                f" {layer.weights.kind}; use another kind"
            )
        case _:
            assert_never(layer.weights)


def _base_serial_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    match layer.weights:
        case BinaryBases(group=group):
            if fold.simd > 0 and group % fold.simd:
                yield (
                    f"layer '{layer.name}': {fold.simd} SIMD lanes do not divide the {group} inputs"
                    " of a group of bases; use another fold"
                )
            yield from _within_groups(layer, fold, "base-serial fold")
        case Weights() | ProductWeights():
            yield (
                f"layer '{layer.name}': a base-serial fold takes BinaryBases, not"
                f" {layer.weights.kind}; use another kind"
            )
        case _:
            assert_never(layer.weights)


def _partial_sums_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    match layer.weights:
        case ProductWeights(block=block):
            if fold.simd > 0 and fold.simd % block:
                yield (
                    f"layer '{layer.name}': the {fold.simd} SIMD lanes of a fold with partial sums"
                    f" are no multiple of the {block} weights of a word; use another fold"
                )
            yield from _within_groups(layer, fold, "fold with partial sums")
        case Weights() | BinaryBases():
            yield (
                f"layer '{layer.name}': a fold with partial sums takes ProductWeights, not"
                f" {layer.weights.kind}; use another kind"
            )
        case _:
            assert_never(layer.weights)


def _within_groups(layer: MacLayer, fold: Fold, what: str) -> Iterator[str]:
    """Where the kind has no PEs that span groups of a convolution."""
    outputs = layer.outputs // layer.groups
    if fold.pe > 0 and outputs % fold.pe:
        yield (
            f"layer '{layer.name}': the {fold.pe} PEs of a {what} lie within the {outputs}"
            " outputs of one group; use a divisor of these"
        )


def _dsp_problems(network: Network, layer: MacLayer, fold: Fold) -> Iterator[str]:
    if fold.kind is FoldKind.UNROLLED:
        yield f"layer '{layer.name}': an unrolled layer multiplies by constants; leave out dsp"
    rescales = [la for la in network.layers if isinstance(la, Rescale)]
    if not any(network.mac_before(rescale.input) is layer for rescale in rescales):
        yield f"layer '{layer.name}': no Rescale reads its sums; leave out dsp"


def check(network: Network, schedule: Schedule) -> None:
    """Raise :class:`VecqError` with the first problem, if there is one."""
    for problem in problems(network, schedule):
        raise VecqError(problem)
