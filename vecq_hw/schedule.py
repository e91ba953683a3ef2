"""How a network is folded onto hardware: lanes of each layer.  Nothing here changes a result."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from vecq_hw.arguments import nearest
from vecq_hw.bench.words import slot_bits
from vecq_hw.errors import VecqError
from vecq_hw.formats import bit_planes
from vecq_hw.network import Conv2d, Dense, MacLayer, Network, Rescale

AXIS_BITS = tuple(1 << power for power in range(3, 11))


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Lanes of one Dense or Conv2d.

    Attributes
    ----------
    pe : int
        Processing elements: outputs computed side by side; divides the outputs.
    simd : int
        Inputs that each of them takes a cycle; divides the inputs (the channels of a Conv2d).
    unrolled : bool
        A Dense with all its lanes as a circuit of shared additions, made for its weights; RTL only,
        the other targets fold it onto as many lanes.
    bit_serial : bool
        Weights bit by bit: lanes as for weights of one bit, in as many passes as a weight has bits.
        RTL only, too.
    dsp : bool
        The Rescale that reads the sums multiplies in DSP blocks, a word a cycle; without it no DSP
        is used.  RTL only, too.
    """

    pe: int = 1
    simd: int = 1
    unrolled: bool = False
    bit_serial: bool = False
    dsp: bool = False

    def __str__(self) -> str:
        kind = ", unrolled" * self.unrolled + ", bit-serial" * self.bit_serial + ", DSP" * self.dsp
        return f"{self.pe} × {self.simd}{kind}"


class Fabric(Enum):
    """What the target's logic is made of; it chooses between circuits that compute the same.

    ``LUT6``: tables of six inputs in front of a carry chain, as in UltraScale+.  ``ECP5``: tables
    of four, and carry cells that choose between operands (``rtl/vecq_carry_adder.sv``).
    """

    LUT6 = "lut6"
    ECP5 = "ecp5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """The fold of every Dense and Conv2d, by layer name, and the rest; a file holds the folds.

    Attributes
    ----------
    folds : mapping
    fabric : Fabric
    axis_bits : int or None
        Width of both AXI4-Streams: a power of two from 8 to 1024, with TKEEP, an element in each
        8, 16, 32, ... bits.  None: as wide as the lanes at either end, without TKEEP.
    """

    folds: Mapping[str, Fold] = field(default_factory=dict)
    fabric: Fabric = Fabric.LUT6
    axis_bits: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "folds", MappingProxyType(dict(self.folds)))


def foldable(layer: MacLayer) -> tuple[int, int]:
    """What ``pe`` and ``simd`` must divide: outputs, and inputs or channels."""
    return len(layer.weights.codes), layer.weights.codes.shape[-1]


def divisors(number: int) -> list[int]:
    """All divisors, ascending."""
    small = [d for d in range(1, math.isqrt(number) + 1) if number % d == 0]
    return small + [number // d for d in reversed(small) if d * d != number]


def streaming_folds(layer: MacLayer) -> list[Fold]:
    """The folds that ``rtl/vecq_matrix_vector.sv`` takes.

    With groups, the PEs divide the outputs of a group, or they span whole groups and take all
    channels of each of them a cycle: a word is then neighbouring channels.

    Examples
    --------
    >>> import numpy as np
    >>> from vecq_hw.formats import MidRise
    >>> from vecq_hw.layers import Weights
    >>> weights = Weights(codes=np.zeros((4, 1, 1, 2), int), grid=MidRise(1))
    >>> layer = Conv2d(name="c", input="x", weights=weights, groups=2)
    >>> [(fold.pe, fold.simd) for fold in streaming_folds(layer)]
    [(1, 1), (1, 2), (2, 1), (2, 2), (4, 2)]
    """
    outputs, inputs = foldable(layer)
    group = outputs // (layer.groups if isinstance(layer, Conv2d) else 1)
    return [
        Fold(pe=pe, simd=simd)
        for pe in divisors(outputs)
        for simd in divisors(inputs)
        if group % pe == 0 or (pe % group == 0 and simd == inputs)
    ]


def default_schedule(network: Network, lanes: int = 8) -> Schedule:
    """Up to ``lanes`` processing elements and inputs for each layer."""
    folds = {}
    for layer in network.layers:
        if isinstance(layer, Dense | Conv2d):
            fits = [f for f in streaming_folds(layer) if max(f.pe, f.simd) <= lanes]
            folds[layer.name] = max(fits, key=lambda fold: (fold.pe * fold.simd, fold.pe))
    return Schedule(folds=folds)


def problems(network: Network, schedule: Schedule) -> Iterator[str]:
    """Each reason why ``schedule`` does not fit ``network``, as a sentence."""
    layers = {la.name: la for la in network.layers if isinstance(la, Dense | Conv2d)}
    if schedule.axis_bits is not None:
        yield from _axis_problems(network, schedule.axis_bits)
    for name in schedule.folds.keys() - layers.keys():
        yield (
            f"the schedule folds '{name}', which is no Dense or Conv2d of '{network.name}';"
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
        if fold.unrolled:
            yield from _unrolled_problems(layer, fold)
        if fold.bit_serial:
            yield from _bit_serial_problems(layer, fold)
        if fold.dsp:
            yield from _dsp_problems(network, layer, fold)


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
        groups = layer.groups if isinstance(layer, Conv2d) else 1
        yield (
            f"layer '{layer.name}': {groups} groups do not fold onto {fold.pe} PE × {fold.simd}"
            f" SIMD lanes; use {', '.join(map(str, legal))}"
        )


def _unrolled_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    if isinstance(layer, Conv2d):
        yield f"layer '{layer.name}': a Conv2d cannot be unrolled, only a Dense; leave out unrolled"
        return
    outputs, inputs = foldable(layer)
    if (fold.pe, fold.simd) != (outputs, inputs):
        yield (
            f"layer '{layer.name}': an unrolled layer has all lanes, not {fold.pe} PE × {fold.simd}"
            f" SIMD; use {outputs} × {inputs}"
        )
    if layer.accumulator_bits is not None:
        yield (
            f"layer '{layer.name}': an unrolled layer has no accumulator that could wrap at"
            f" {layer.accumulator_bits} bits; leave out accumulator_bits or unrolled"
        )


def _bit_serial_problems(layer: MacLayer, fold: Fold) -> Iterator[str]:
    if fold.unrolled:
        yield f"layer '{layer.name}': an unrolled layer has no passes; leave out bit_serial"
    if not bit_planes(layer.weights.grid).signs:
        yield (
            f"layer '{layer.name}': a bit-serial layer takes odd weights, as on VecQ's mid-rise"
            f" grid, not {type(layer.weights.grid).__name__}; leave out bit_serial"
        )


def _dsp_problems(network: Network, layer: MacLayer, fold: Fold) -> Iterator[str]:
    if fold.unrolled:
        yield f"layer '{layer.name}': an unrolled layer multiplies by constants; leave out dsp"
    if not any(isinstance(la, Rescale) and la.input == layer.name for la in network.layers):
        yield f"layer '{layer.name}': no Rescale reads its sums; leave out dsp"


def check(network: Network, schedule: Schedule) -> None:
    """Raise :class:`VecqError` with the first problem, if there is one."""
    for problem in problems(network, schedule):
        raise VecqError(problem)


def to_json(schedule: Schedule) -> str:
    """``{"fc1": {"pe": 8, "simd": 16, "unrolled": false, "bit_serial": false, "dsp": false}}``."""
    return json.dumps({name: asdict(fold) for name, fold in schedule.folds.items()}, indent=2)


def load(path: str | Path) -> Schedule:
    """Read a schedule written by hand or by :func:`to_json`, in any Unicode encoding.

    Raises
    ------
    VecqError
        The file cannot be read, is no JSON, or has an entry that is unknown, twice there or of
        another type; the message names the entry.
    """
    try:
        tree = json.loads(Path(path).read_bytes(), object_pairs_hook=_without_doubles)
        if not isinstance(tree, dict):
            raise VecqError(f"{_FORM} is wanted, not {_shown(tree)}")
        return Schedule(folds={name: _fold(name, entry) for name, entry in tree.items()})
    except OSError as error:
        raise VecqError(f"'{path}' cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise VecqError(f"schedule '{path}' is no JSON such as {_FORM}: {error}") from None
    except VecqError as error:
        raise VecqError(f"schedule '{path}': {error}") from None


_FORM = '{"layer": {"pe": 8, "simd": 16}}'
_TYPES = {int: "a whole number", bool: "true or false"}


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise VecqError(f"'{key}' is there twice")
        found[key] = value
    return found


def _fold(layer: str, entry: Any) -> Fold:
    """The fold that a file describes; each field has the type of the class."""
    if not isinstance(entry, dict):
        raise VecqError(
            f'layer \'{layer}\': an entry such as {{"pe": 8, "simd": 16}} is wanted,'
            f" not {_shown(entry)}"
        )
    types = get_type_hints(Fold)
    for key, value in entry.items():
        if key not in types:
            raise VecqError(
                f"layer '{layer}': there is no '{key}' in a fold; {nearest(key, types)}"
            )
        if type(value) is not types[key]:
            raise VecqError(
                f"layer '{layer}': '{key}' is {_shown(value)}; {_TYPES[types[key]]} is wanted"
            )
    return Fold(**entry)


def _shown(value: Any) -> str:
    """A value as it stands in the file, cut to a length that can be read."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
