"""How a network becomes hardware: lanes and kinds of units, fabric, FIFOs, clock.

Nothing here changes a result.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, assert_never

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

_Member = TypeVar("_Member", bound=Enum)

AXIS_BITS = tuple(1 << power for power in range(3, 11))


VERSION = 1
"""Of the files that hold a schedule."""


class FoldKind(Enum):
    """The kind of unit that computes a Dense or Conv2d.

    The first three are of RTL alone, where HLS C++ has one; hls4ml takes values whatever the kind.

    ``STREAMING``: as many multiplications per cycle as it has lanes.  ``BIT_SERIAL``: lanes as for
    weights of one bit, in as many passes as a weight has bits.  ``UNROLLED``: a Dense with all its
    lanes as a circuit of shared additions, made for its weights.  ``CODE_BOOK``: as streaming, with
    ProductWeights stored as indices and a book.  ``BASE_SERIAL``: lanes as for weights of one bit,
    a pass for each base of a group of BinaryBases, and a multiplier for each processing element.
    """

    STREAMING = "streaming"
    BIT_SERIAL = "bit_serial"
    UNROLLED = "unrolled"
    CODE_BOOK = "code_book"
    BASE_SERIAL = "base_serial"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Lanes of one Dense or Conv2d, or of the product of a recurrent layer's state.

    Attributes
    ----------
    pe : int
        Processing elements: outputs computed side by side; divides the outputs.
    simd : int
        Inputs that each of them takes a cycle; divides the inputs (the channels of a Conv2d).
    kind : FoldKind
    dsp : bool
        Whether the Rescale that reads the sums multiplies in DSP blocks, one word per cycle;
        without it no DSP is used.  RTL only.
    """

    pe: int = 1
    simd: int = 1
    kind: FoldKind = FoldKind.STREAMING
    dsp: bool = False

    def __str__(self) -> str:
        kind = "" if self.kind is FoldKind.STREAMING else f", {self.kind.value.replace('_', '-')}"
        return f"{self.pe} × {self.simd}{kind}{', DSP' * self.dsp}"


class Fabric(Enum):
    """What the target's logic is made of; it chooses between circuits that compute the same.

    ``LUT6``: tables of six inputs in front of a carry chain, as in UltraScale+.  ``ECP5``: tables
    of four, and carry cells that choose between operands (``rtl/vecq_carry_adder.sv``).
    """

    LUT6 = "lut6"
    ECP5 = "ecp5"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All that makes one accelerator of a network among those that compute the same.

    Attributes
    ----------
    folds : mapping of str to Fold
        Of every Dense, Conv2d, Lstm and Gru, by the layer's name.
    fabric : Fabric
    axis_bits : int or None
        Width of both AXI4-Streams: a power of two from 8 to 1024, with TKEEP, an element in each
        8, 16, 32, ... bits.  None: as wide as the lanes at either end, without TKEEP.
    fifo_depths : mapping of str to int, or None
        Words of its producer that a link such as ``"conv1→add1"`` of the RTL holds; a link that is
        not named is as small as can be.  None: not sized yet
        (:func:`vecq_hw.simulate.dataflow.with_fifo_depths` does it).
    clock_mhz : float
        What synthesis is asked for.
    """

    folds: Mapping[str, Fold] = field(default_factory=dict)
    fabric: Fabric = Fabric.LUT6
    axis_bits: int | None = None
    fifo_depths: Mapping[str, int] | None = None
    clock_mhz: float = 100.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "folds", MappingProxyType(dict(self.folds)))
        if self.fifo_depths is not None:
            depths = MappingProxyType(dict(self.fifo_depths))
            object.__setattr__(self, "fifo_depths", depths)


def foldable(layer: MacLayer) -> tuple[int, int]:
    """What ``pe`` and ``simd`` must divide: outputs, and inputs or channels."""
    return layer.outputs, layer.group_channels


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
    group = outputs // layer.groups
    return [
        Fold(pe=pe, simd=simd)
        for pe in divisors(outputs)
        for simd in divisors(inputs)
        if group % pe == 0 or (pe % group == 0 and simd == inputs)
    ]


def default_schedule(network: Network, lanes: int = 8) -> Schedule:
    """Up to ``lanes`` processing elements and inputs for each layer."""
    folds = {}
    for layer in network.products:
        fits = [f for f in streaming_folds(layer) if max(f.pe, f.simd) <= lanes]
        folds[layer.name] = max(fits, key=lambda fold: (fold.pe * fold.simd, fold.pe))
    return Schedule(folds=folds)


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
            if fold.pe > 0 and layer.outputs // layer.groups % fold.pe:
                yield (
                    f"layer '{layer.name}': the {fold.pe} PEs of a base-serial fold lie within the"
                    f" {layer.outputs // layer.groups} outputs of one group; use a divisor of these"
                )
        case Weights() | ProductWeights():
            yield (
                f"layer '{layer.name}': a base-serial fold takes BinaryBases, not"
                f" {layer.weights.kind}; use another kind"
            )
        case _:
            assert_never(layer.weights)


def _dsp_problems(network: Network, layer: MacLayer, fold: Fold) -> Iterator[str]:
    if fold.kind is FoldKind.UNROLLED:
        yield f"layer '{layer.name}': an unrolled layer multiplies by constants; leave out dsp"
    if not any(isinstance(la, Rescale) and la.input == layer.name for la in network.layers):
        yield f"layer '{layer.name}': no Rescale reads its sums; leave out dsp"


def check(network: Network, schedule: Schedule) -> None:
    """Raise :class:`VecqError` with the first problem, if there is one."""
    for problem in problems(network, schedule):
        raise VecqError(problem)


def to_json(schedule: Schedule) -> str:
    """All of a schedule as the text of a file that :func:`load` reads."""
    tree = {
        "version": VERSION,
        "folds": {
            name: {"pe": fold.pe, "simd": fold.simd, "kind": fold.kind.value, "dsp": fold.dsp}
            for name, fold in schedule.folds.items()
        },
        "fabric": schedule.fabric.value,
        "axis_bits": schedule.axis_bits,
        "fifo_depths": None if schedule.fifo_depths is None else dict(schedule.fifo_depths),
        "clock_mhz": schedule.clock_mhz,
    }
    return json.dumps(tree, indent=2, ensure_ascii=False)


def load(path: str | Path) -> Schedule:
    """Read a schedule written by hand or by :func:`to_json`, in any Unicode encoding.

    A file without a version is the folds alone, ``{"fc1": {"pe": 8, "simd": 16}}``.

    Raises
    ------
    VecqError
        The file cannot be read, is no JSON, is of a later version, or has an entry that is unknown,
        twice there or of another type; the message names the entry.
    """
    try:
        tree = json.loads(Path(path).read_bytes(), object_pairs_hook=_without_doubles)
        return _schedule(tree)
    except OSError as error:
        raise VecqError(f"'{path}' cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise VecqError(f"schedule '{path}' is no JSON such as {_FORM}: {error}") from None
    except VecqError as error:
        raise VecqError(f"schedule '{path}': {error}") from None


_FORM = '{"layer": {"pe": 8, "simd": 16}}'
_TYPES: Mapping[type, str] = {
    int: "a whole number",
    bool: "true or false",
    str: "a name",
    dict: "an object",
    type(None): "null",
}
_FOLD_TYPES = {"pe": (int,), "simd": (int,), "kind": (str,), "dsp": (bool,)}
_FLAGS = {"unrolled": FoldKind.UNROLLED, "bit_serial": FoldKind.BIT_SERIAL}
"""Kinds as files without a version may say them: true or false for each."""
_SCHEDULE_TYPES: Mapping[str, tuple[type, ...]] = {
    "version": (int,),
    "folds": (dict,),
    "fabric": (str,),
    "axis_bits": (int, type(None)),
    "fifo_depths": (dict, type(None)),
    "clock_mhz": (float, int),
}


def _schedule(tree: Any) -> Schedule:
    """The schedule that a file describes."""
    if not isinstance(tree, dict):
        raise VecqError(f"{_FORM} is wanted, not {_shown(tree)}")
    if "version" not in tree or isinstance(tree["version"], dict):  # a layer may be called so
        return Schedule(folds={name: _fold(name, entry) for name, entry in tree.items()})
    for key, value in tree.items():
        _check_entry("the file", key, value, _SCHEDULE_TYPES)
    if tree["version"] != VERSION:
        raise VecqError(
            f"version {tree['version']} was given; this version of vecq-hw reads {VERSION}"
        )
    if "folds" not in tree:
        raise VecqError(f"'folds' is missing; {_FORM} is wanted")
    given = {key: tree[key] for key in ("axis_bits", "fifo_depths", "clock_mhz") if key in tree}
    for link, depth in (given.get("fifo_depths") or {}).items():
        if type(depth) is not int:
            raise VecqError(f"FIFO '{link}': {_shown(depth)}; a whole number of words is wanted")
    if not 0 < given.get("clock_mhz", 1) < math.inf:
        raise VecqError(f"'clock_mhz' is {given['clock_mhz']}; a positive number is wanted")
    if "fabric" in tree:
        given["fabric"] = _member(Fabric, "fabric", tree["fabric"])
    return Schedule(
        folds={name: _fold(name, entry) for name, entry in tree["folds"].items()}, **given
    )


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise VecqError(f"'{key}' is there twice")
        found[key] = value
    return found


def _fold(layer: str, entry: Any) -> Fold:
    """The fold that a file describes."""
    if not isinstance(entry, dict):
        raise VecqError(
            f'layer \'{layer}\': an entry such as {{"pe": 8, "simd": 16}} is wanted,'
            f" not {_shown(entry)}"
        )
    fields, kinds = dict(entry), []
    for flag, kind in _FLAGS.items():
        if flag in fields:
            value = fields.pop(flag)
            _check_entry(f"layer '{layer}'", flag, value, {flag: (bool,)})
            kinds += [kind] * value
    for key, value in fields.items():
        _check_entry(f"layer '{layer}'", key, value, _FOLD_TYPES)
    if "kind" in fields:
        kinds.append(_member(FoldKind, f"layer '{layer}': kind", fields.pop("kind")))
    if len(kinds) > 1:
        raise VecqError(f"layer '{layer}' has several kinds: {', '.join(k.value for k in kinds)}")
    return Fold(**fields, kind=kinds[0] if kinds else FoldKind.STREAMING)


def _check_entry(where: str, key: str, value: Any, types: Mapping[str, tuple[type, ...]]) -> None:
    """Raise :class:`VecqError` where ``types`` has no such key, or another type for it."""
    if key not in types:
        raise VecqError(f"{where}: there is no '{key}' in it; {nearest(key, types)}")
    if type(value) not in types[key]:
        wanted = " or ".join("a number" if t is float else _TYPES[t] for t in types[key])
        raise VecqError(f"{where}: '{key}' is {_shown(value)}; {wanted} is wanted")


def _member(kind: type[_Member], what: str, value: str) -> _Member:
    """The member of an enumeration by its value."""
    legal = {member.value: member for member in kind}
    if value not in legal:
        raise VecqError(f"{what} is '{value}'; {nearest(value, legal)}")
    return legal[value]


def _shown(value: Any) -> str:
    """A value as it stands in the file, cut to a length that can be read."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:60]}…"
