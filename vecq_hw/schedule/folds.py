"""What a schedule says: lanes and kinds of units, fabric, FIFOs, clock."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from vecq_hw.layers import MacLayer
from vecq_hw.network import Network
from vecq_hw.notebook import html_table


class FoldKind(Enum):
    """The kind of unit that computes a Dense or Conv2d.

    The first three are of RTL alone, where HLS C++ has one; hls4ml takes values whatever the kind.

    ``STREAMING``: as many multiplications per cycle as it has lanes.  ``BIT_SERIAL``: lanes as for
    weights of one bit, in as many passes as a weight has bits.  ``UNROLLED``: a Dense with all its
    lanes as a circuit of shared additions, made for its weights.  ``CODE_BOOK``: as streaming, with
    ProductWeights stored as indices and a book.  ``BASE_SERIAL``: lanes as for weights of one bit,
    a pass for each base of a group of BinaryBases, and a multiplier for each processing element.
    ``PARTIAL_SUMS``: of ProductWeights, the dot products of a block of inputs with all words of the
    book once; then a lookup and an addition for each output, no multiplication.
    """

    STREAMING = "streaming"
    BIT_SERIAL = "bit_serial"
    UNROLLED = "unrolled"
    CODE_BOOK = "code_book"
    BASE_SERIAL = "base_serial"
    PARTIAL_SUMS = "partial_sums"


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
        Whether a Rescale that reads the sums, perhaps through pools and joins, multiplies in DSP
        blocks, one word per cycle; without it no DSP is used there.  RTL only.
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
    of four, and carry cells that choose between operands (``rtl/vecq_carry_adder.sv``).  ``LUT4``:
    tables of four, and carry cells that take both operands as they are, as in iCE40 and Gowin.
    """

    LUT6 = "lut6"
    LUT4 = "lut4"
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

    def _repr_html_(self) -> str:
        rows = [(name, str(fold)) for name, fold in self.folds.items()]
        sized = "not sized" if self.fifo_depths is None else f"{len(self.fifo_depths)} sized"
        caption = f"{self.fabric.value}, {self.clock_mhz:g} MHz, FIFOs {sized}"
        return html_table(caption, ("layer", "PE × SIMD"), rows)

    @property
    def dsp(self) -> bool:
        """Whether any fold asks for DSP blocks; without one, synthesis uses none."""
        return any(fold.dsp for fold in self.folds.values())


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
    >>> from vecq_hw.layers import Conv2d, Weights
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
