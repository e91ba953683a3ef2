"""What an array takes, without running it: the closed forms that the models are held to.

All three arrays keep a stationary tile while ``stream`` words pass, and hide the loading of the
next tile, or the draining of the last, behind them where ``stream >= rows``.  So

    cycles = (tiles - 1) * max(stream, rows) + stream + 2 * rows + columns - 1

with, of G groups, M positions, T taps and O outputs per group,

==================  =====================================  ========
array               tiles                                  stream
==================  =====================================  ========
weight stationary   G * ceil(T / rows) * ceil(O / columns)  M
output stationary   G * ceil(M / rows) * ceil(O / columns)  T
bit-serial          G * ceil(M / rows) * ceil(O / columns)  k * T
==================  =====================================  ========
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from vecq_hw.network import Network
from vecq_hw.simulate.mac_array.product import (
    ArrayCost,
    ArraySize,
    Bytes,
    Product,
    Traffic,
    external_bytes,
    matrix_product,
)


class ArrayKind(Enum):
    """The arrays."""

    WEIGHT_STATIONARY = "weight-stationary"
    OUTPUT_STATIONARY = "output-stationary"
    BIT_SERIAL = "bit-serial"


def cycles_weight_stationary(product: Product, array: ArraySize) -> int:
    """Cycles of :func:`weight_stationary`."""
    tiles = product.groups * _tiles(product.taps, array.rows)
    tiles *= _tiles(product.outputs, array.columns)
    return _cycles(tiles, product.positions, array)


def cycles_output_stationary(product: Product, array: ArraySize) -> int:
    """Cycles of :func:`output_stationary`."""
    return _cycles_by_position(product, product.taps, array)


def cycles_bit_serial(product: Product, array: ArraySize) -> int:
    """Cycles of :func:`bit_serial`."""
    return _cycles_by_position(product, product.taps * product.weight_bits, array)


_CYCLES: dict[ArrayKind, Callable[[Product, ArraySize], int]] = {
    ArrayKind.WEIGHT_STATIONARY: cycles_weight_stationary,
    ArrayKind.OUTPUT_STATIONARY: cycles_output_stationary,
    ArrayKind.BIT_SERIAL: cycles_bit_serial,
}


def array_cost(kind: ArrayKind, product: Product, array: ArraySize) -> ArrayCost:
    """Cycles, MACs, utilisation and traffic of a product on an array.

    Examples
    --------
    >>> product = Product(
    ...     groups=1, positions=64, taps=32, outputs=16, inputs=64 * 32,
    ...     weight_bits=2, input_bits=8, accumulator_bits=15, bias=False,
    ... )
    >>> cost = array_cost(ArrayKind.WEIGHT_STATIONARY, product, ArraySize(rows=16, columns=16))
    >>> cost.cycles, round(cost.utilisation, 3)
    (175, 0.731)
    """
    cycles = _CYCLES[kind](product, array)
    passes = product.weight_bits if kind is ArrayKind.BIT_SERIAL else 1
    traffic = (
        _traffic_weight_stationary(product, array)
        if kind is ArrayKind.WEIGHT_STATIONARY
        else _traffic_output_stationary(product, passes, array)
    )
    return ArrayCost(
        cycles=cycles,
        macs=product.macs,
        utilisation=product.macs * passes / (cycles * (array.rows * array.columns)),
        traffic=traffic,
    )


def network_costs(
    network: Network, kind: ArrayKind, array: ArraySize, samples: int = 1
) -> dict[str, ArrayCost]:
    """The cost of each Dense and Conv2d of a network, layer after layer on one array, by name."""
    return {
        layer.name: array_cost(
            kind, matrix_product(layer, network.tensors[layer.input], samples), array
        )
        for layer in network.mac_layers
    }


def _tiles(size: int, lanes: int) -> int:
    return -(-size // lanes)


def _cycles_by_position(product: Product, stream: int, array: ArraySize) -> int:
    tiles = product.groups * _tiles(product.positions, array.rows)
    tiles *= _tiles(product.outputs, array.columns)
    return _cycles(tiles, stream, array)


def _cycles(tiles: int, stream: int, array: ArraySize) -> int:
    return (tiles - 1) * max(stream, array.rows) + stream + 2 * array.rows + array.columns - 1


def _sum_below(size: int, lanes: int) -> int:
    """``sum of i % lanes over i < size``."""
    whole, rest = divmod(size, lanes)
    return whole * (lanes * (lanes - 1) // 2) + rest * (rest - 1) // 2


def _traffic_weight_stationary(product: Product, array: ArraySize) -> Traffic:
    groups, positions, taps, outputs = _sizes(product)
    tap_tiles, output_tiles = _tiles(taps, array.rows), _tiles(outputs, array.columns)
    reads = groups * positions * taps * output_tiles
    return Traffic(
        register=Bytes.of_words(
            product,
            activations=reads * array.columns,
            # In row r: r hops on the way, one load where it is kept, one where it is swapped in.
            weights=groups * outputs * (_sum_below(taps, array.rows) + 2 * taps),
            sums=groups * positions * outputs * tap_tiles * array.rows,
        ),
        buffer=Bytes.of_words(
            product,
            activations=reads,
            weights=groups * taps * outputs,
            sums=groups * outputs * (positions * (2 * tap_tiles - 1) + product.bias),
        ),
        external=external_bytes(product),
    )


def _traffic_output_stationary(product: Product, passes: int, array: ArraySize) -> Traffic:
    groups, positions, taps, outputs = _sizes(product)
    position_tiles = _tiles(positions, array.rows)
    activations = groups * positions * taps * passes * _tiles(outputs, array.columns)
    weights = groups * outputs * taps * passes * position_tiles
    # From row r: one load of the result register, then all the rows from its own down.
    results = positions * (array.rows + 1) - _sum_below(positions, array.rows)
    words = replace(product, weight_bits=product.weight_bits // passes)
    return Traffic(
        register=Bytes.of_words(
            words,
            activations=activations * array.columns,
            weights=weights * array.rows,
            sums=product.macs * passes + groups * outputs * results,
        ),
        buffer=Bytes.of_words(
            words,
            activations=activations,
            weights=weights,
            sums=groups * outputs * (positions + product.bias * position_tiles),
        ),
        external=external_bytes(product),
    )


def _sizes(product: Product) -> tuple[int, int, int, int]:
    return product.groups, product.positions, product.taps, product.outputs
