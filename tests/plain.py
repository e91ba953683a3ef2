"""The meaning of a network once more, in plain Python integers: slow, obvious, independent."""

from __future__ import annotations

from itertools import product

from vecq_hw.network import Conv2d, Dense, Flatten, MaxPool2d, Network, Rescale, window_outputs


def evaluate(network: Network, image: list) -> dict[str, list]:
    """Each tensor of one sample: nested lists [C] or [H][W][C]."""
    values = {network.inputs[0].name: image}
    for layer in network.layers:
        values[layer.name] = _run(layer, values[layer.input], network)
    return values


def _run(layer, x, network):
    if isinstance(layer, Dense):
        return [
            _wrap(
                sum((2 * q + 1) * a for q, a in zip(row, x, strict=True)) + _bias(layer, o), layer
            )
            for o, row in enumerate(layer.weights.codes.tolist())
        ]
    if isinstance(layer, Conv2d):
        codes, (kh, kw) = layer.weights.codes.tolist(), layer.kernel

        def cell(i, j, o):
            total = _bias(layer, o)
            for di, dj in product(range(kh), range(kw)):
                r = i * layer.stride[0] + di - layer.padding[0]
                s = j * layer.stride[1] + dj - layer.padding[1]
                if 0 <= r < len(x) and 0 <= s < len(x[0]):
                    total += sum(
                        (2 * q + 1) * a for q, a in zip(codes[o][di][dj], x[r][s], strict=True)
                    )
            return _wrap(total, layer)

        height, width = _grid(x, layer)
        return [
            [[cell(i, j, o) for o in range(len(codes))] for j in range(width)]
            for i in range(height)
        ]
    if isinstance(layer, MaxPool2d):
        height, width = _grid(x, layer)

        def largest(i, j, c):
            rows = [i * layer.stride[0] + d - layer.padding[0] for d in range(layer.kernel[0])]
            cols = [j * layer.stride[1] + d - layer.padding[1] for d in range(layer.kernel[1])]
            return max(
                x[r][s][c] for r, s in product(rows, cols) if 0 <= r < len(x) and 0 <= s < len(x[0])
            )

        channels = range(len(x[0][0]))
        return [[[largest(i, j, c) for c in channels] for j in range(width)] for i in range(height)]
    if isinstance(layer, Flatten):
        return [a for row in x for cell in row for a in cell] if isinstance(x[0], list) else list(x)
    assert isinstance(layer, Rescale)
    if isinstance(x[0], list):
        return [[_rescale(layer, cell) for cell in row] for row in x]
    return _rescale(layer, x)


def _rescale(layer, cell):
    half = 2 ** (layer.shift - 1)
    return [
        min(max((a * m + b + half) // 2**layer.shift, layer.format.lo), layer.format.hi)
        for a, m, b in zip(cell, layer.mantissa.tolist(), layer.offset.tolist(), strict=True)
    ]


def _bias(layer, output):
    return 0 if layer.bias is None else int(layer.bias[output])


def _wrap(total, layer):
    if layer.accumulator_bits is None:
        return total
    size = 2**layer.accumulator_bits
    return (total + size // 2) % size - size // 2


def _grid(x, layer):
    return (
        window_outputs(len(x), layer.kernel[0], layer.stride[0], layer.padding[0]),
        window_outputs(len(x[0]), layer.kernel[1], layer.stride[1], layer.padding[1]),
    )
