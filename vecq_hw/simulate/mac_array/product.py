"""A Dense or Conv2d as the matrix product that an array computes, and what a run reports.

Letters: G groups, M positions (samples times places of the image), T taps (inputs of one output),
O outputs of a group.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw import arithmetic, exact_products
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Conv2d, Dense, Input, MacLayer, Tensor
from vecq_hw.network import Network
from vecq_hw.simulate.reference import checked_codes

Int64Array = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySize:
    """The grid of processing elements: ``rows`` down, ``columns`` across."""

    rows: int
    columns: int

    def __post_init__(self) -> None:
        if self.rows < 1 or self.columns < 1:
            raise VecqError(f"an array has at least 1 row and 1 column, not {self}")

    def __str__(self) -> str:
        return f"{self.rows}×{self.columns}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """What the cycles and the traffic of a layer depend on; the weights' values do not matter.

    Attributes
    ----------
    groups, positions, taps, outputs : int
        G independent products of (M, T) by (T, O).
    inputs : int
        Elements of the layer's input, all samples, without padding.
    weight_bits, input_bits, accumulator_bits : int
    bias : bool
    """

    groups: int
    positions: int
    taps: int
    outputs: int
    inputs: int
    weight_bits: int
    input_bits: int
    accumulator_bits: int
    bias: bool

    @property
    def macs(self) -> int:
        """Products of a weight and an activation; padding counts as activations."""
        return self.groups * self.positions * self.taps * self.outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Bytes:
    """Bytes moved, by what they hold; each kind rounded up to a whole byte."""

    activations: int
    weights: int
    sums: int

    @property
    def total(self) -> int:
        """All three."""
        return self.activations + self.weights + self.sums

    @classmethod
    def of_words(cls, product: Product, activations: int, weights: int, sums: int) -> Bytes:
        """The bytes of so many words, each as wide as ``product`` says."""
        return cls(
            activations=-(-int(activations) * product.input_bits // 8),
            weights=-(-int(weights) * product.weight_bits // 8),
            sums=-(-int(sums) * product.accumulator_bits // 8),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes moved at three levels.

    Attributes
    ----------
    register : Bytes
        Loaded into registers of processing elements.  Filling that pads a tile to the array is not
        counted, nor are the triangles of delay registers at the edges.
    buffer : Bytes
        Between the buffers and the edges of the array, both directions.
    external : Bytes
        Between the buffers and the outside: each input, weight, bias and output once, since the
        buffers hold one layer.
    """

    register: Bytes
    buffer: Bytes
    external: Bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayCost:
    """What a layer takes on an array.

    Attributes
    ----------
    cycles : int
        From the first word at the edge to the empty array.
    macs : int
        Products of the layer.  The bit-serial array takes a sign-add for each bit of a weight.
    utilisation : float
        Operations of the processing elements over cycles times elements, 0..1.
    traffic : Traffic
    """

    cycles: int
    macs: int
    utilisation: float
    traffic: Traffic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArrayRun:
    """What the register-level model of an array computed, and what it counted on the way.

    Attributes
    ----------
    outputs : int array of shape (N, O) or (N, H, W, O)
        The integers of ``simulate``.
    cost : ArrayCost
    """

    outputs: IntArray
    cost: ArrayCost

    @property
    def cycles(self) -> int:
        """From the first word at the edge to the empty array."""
        return self.cost.cycles

    @property
    def utilisation(self) -> float:
        """Operations of the processing elements over cycles times elements, 0..1."""
        return self.cost.utilisation

    @property
    def traffic(self) -> Traffic:
        """Bytes moved at register, buffer and external level."""
        return self.cost.traffic


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operands:
    """The integers that meet in an array.

    Attributes
    ----------
    x : int64 array of shape (G, M, T)
    weights : int64 array of shape (G, T, O), values and not codes
    bias : int64 array of shape (G, O)
    output : Tensor
        What the layer makes of one sample.
    """

    x: Int64Array
    weights: Int64Array
    bias: Int64Array
    output: Tensor


def matrix_product(layer: MacLayer, source: Tensor, samples: int = 1) -> Product:
    """The product that ``layer`` is, where it reads ``samples`` tensors like ``source``."""
    output = layer.output(source)
    return Product(
        groups=layer.groups,
        positions=samples * math.prod(output.shape[:-1]),
        taps=layer.inputs_of_one_output,
        outputs=layer.outputs // layer.groups,
        inputs=samples * math.prod(source.shape),
        weight_bits=layer.weights.bits,
        input_bits=source.format.bits,
        accumulator_bits=output.format.bits,
        bias=layer.bias is not None,
    )


def layer_alone(
    layer: MacLayer, x: npt.ArrayLike, input_format: IntFormat | None
) -> tuple[Network, IntArray]:
    """``layer`` as a network of its own, which refuses what is illegal about it, and its inputs.

    Parameters
    ----------
    x : int array of shape (N, C) or (N, H, W, C), N at least 1
    input_format : IntFormat or None
        None: the narrowest that holds ``x``.

    Raises
    ------
    VecqError
        ``x`` is not an array of integers, is empty, leaves the format or does not fit the layer.
    """
    given = np.asarray(x)
    if given.dtype.kind not in "iu" or given.ndim not in (2, 4) or not given.size:
        raise VecqError(
            f"layer '{layer.name}': integers of the shape (N, C) or (N, H, W, C), N at least 1, are"
            f" wanted, not {given.dtype} of the shape {given.shape}"
        )
    if input_format is None:
        least, most = int(given.min()), int(given.max())
        if isinstance(layer, Conv2d) and any(layer.padding):
            least, most = min(least, layer.pad_code), max(most, layer.pad_code)
        input_format = IntFormat.covering(least, most, signed=least < 0)
    source = Input(name=layer.input, shape=given.shape[1:], format=input_format)
    network = Network(name=layer.name, inputs=(source,), layers=(layer,), outputs=(layer.name,))
    return network, checked_codes(source, given)


def operands(layer: MacLayer, network: Network, x: IntArray) -> Operands:
    """The integers of ``layer``; network and inputs as :func:`layer_alone` gives them.

    ``x`` has the shape (N, C) or (N, H, W, C).
    """
    rows: Int64Array = x.astype(np.int64)
    match layer:
        case Dense():
            rows = rows[:, np.newaxis]
        case Conv2d():
            window = layer.kernel, layer.stride, layer.padding, layer.dilation, layer.pad_code
            rows = exact_products.columns(rows, *window)
            rows = rows.reshape(-1, math.prod(layer.kernel), rows.shape[-1])
        case _:
            assert_never(layer)
    groups, values = layer.groups, layer.weights.values.astype(np.int64)
    split = rows.reshape(*rows.shape[:2], groups, -1).transpose(2, 0, 1, 3)
    bias = np.zeros(len(values), np.int64) if layer.bias is None else layer.bias
    return Operands(
        x=np.ascontiguousarray(split).reshape(groups, len(rows), -1),
        weights=values.reshape(groups, len(values) // groups, -1).transpose(0, 2, 1),
        bias=bias.astype(np.int64).reshape(groups, -1),
        output=network.tensors[layer.name],
    )


def array_operands(
    layer: MacLayer, x: npt.ArrayLike, input_format: IntFormat | None
) -> tuple[Product, Operands]:
    """Shape and integers of the product that an array computes; see :func:`layer_alone`."""
    network, codes = layer_alone(layer, x, input_format)
    product = matrix_product(layer, network.tensors[layer.input], len(codes))
    return product, operands(layer, network, codes)


def layer_outputs(layer: MacLayer, found: Operands, sums: Int64Array) -> IntArray:
    """Sums of shape (G, M, O), bias included, as ``simulate`` returns them.

    Registers of the models are 64 bits wide and wrap, so taking the low bits here is taking them
    after every addition.
    """
    if layer.accumulator_bits is not None:
        sums = arithmetic.wrap(sums, found.output.format.bits)
    whole = sums.transpose(1, 0, 2).reshape(-1, *found.output.shape)
    return whole.astype(found.output.format.dtype)


def external_bytes(product: Product) -> Bytes:
    """Each input, weight, bias and output once."""
    outputs = product.groups * product.outputs
    return Bytes.of_words(
        product,
        activations=product.inputs,
        weights=outputs * product.taps,
        sums=outputs * (product.positions + product.bias),
    )
