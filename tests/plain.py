"""The meaning of a network once more, in plain Python integers: slow, obvious, independent."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise, product

from vecq_hw.formats import MidRise, MiniFloat, TwosComplement
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
    MaxPool2d,
    Multiply,
    Permute,
    ProductWeights,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Threshold,
    TopK,
    Upsample2d,
    Weights,
)
from vecq_hw.network import Network


def evaluate(network: Network, image: list | dict[str, list]) -> dict[str, list]:
    """Each tensor of one sample: nested lists [C] or [H][W][C]; several inputs by their names."""
    values = dict(image) if isinstance(image, dict) else {network.inputs[0].name: image}
    for layer in network.layers:
        sources = [values[name] for name in layer.inputs]
        shape = network.tensors[layer.name].shape
        values[layer.name] = _run(layer, sources, shape, network)
    return values


def _run(layer, sources, shape, network):
    x = sources[0] if sources else None
    if isinstance(layer, Dense):
        return [
            _wrap(_products(row, x) + _bias(layer, o), layer)
            for o, row in enumerate(values(layer.weights))
        ]
    if isinstance(layer, GatherSum):
        return [_gathered(layer, [cell for row in x for cell in row])]
    if isinstance(layer, Embedding):
        return [[values(layer.weights)[index] for index in x]]
    if isinstance(layer, Lstm | Gru):
        steps = _lstm(layer, x[0]) if isinstance(layer, Lstm) else _gru(layer, x[0])
        return [steps] if layer.sequence else steps[-1]
    if isinstance(layer, ArgMax):
        if isinstance(x[0], list):
            return [[[cell.index(max(cell))] for cell in row] for row in x]
        return [x.index(max(x))]
    if isinstance(layer, TopK):
        if isinstance(x[0], list):
            return [[_largest(cell, layer.count) for cell in row] for row in x]
        return _largest(x, layer.count)
    if isinstance(layer, Lookup):
        lo = network.tensors[layer.input].format.lo
        if isinstance(x[0], list):
            return [[_looked_up(layer, cell, lo) for cell in row] for row in x]
        return _looked_up(layer, x, lo)
    if isinstance(layer, Flatten):
        return [a for row in x for cell in row for a in cell] if isinstance(x[0], list) else list(x)
    if isinstance(layer, Permute):
        return _shaped(_permuted(layer, iter(_flat(x))), shape)
    if isinstance(layer, Take) and len(shape) == 1:
        return [_taken(layer, x, k) for k in layer.indices((len(x),))[0].tolist()]
    if isinstance(layer, Rescale | Threshold):
        rule = _rescale if isinstance(layer, Rescale) else _threshold
        if isinstance(x[0], list):
            width = len(x[0])
            return [
                [rule(layer, cell, i * width + j) for j, cell in enumerate(row)]
                for i, row in enumerate(x)
            ]
        return rule(layer, x, 0)
    if isinstance(layer, Constant):
        return layer.values.tolist()
    if isinstance(layer, Multiply):
        return _times(x, sources[1])
    if isinstance(layer, Add | Subtract | Concat) and len(shape) == 1:
        if isinstance(layer, Add):
            return [sum(a) for a in zip(*sources, strict=True)]
        if isinstance(layer, Subtract):
            return [a - b for a, b in zip(*sources, strict=True)]
        return [a for source in sources for a in source]
    height, width, channels = shape
    return [
        [[_cell(layer, sources, i, j, c) for c in range(channels)] for j in range(width)]
        for i in range(height)
    ]


def _cell(layer, sources, i, j, c):
    x = sources[0]
    if isinstance(layer, Upsample2d):
        return x[i // layer.factor[0]][j // layer.factor[1]][c]
    if isinstance(layer, Take):
        rows, columns, channels = layer.indices((len(x), len(x[0]), len(x[0][0])))
        return _taken(layer, x, rows[i], columns[j], channels[c])
    if isinstance(layer, Add):
        return sum(source[i][j][c] for source in sources)
    if isinstance(layer, Subtract):
        return sources[0][i][j][c] - sources[1][i][j][c]
    if isinstance(layer, Concat):
        return [a for source in sources for a in source[i][j]][c]
    dilation = layer.dilation
    taps = [
        (di, dj, r, s)
        for di, dj in product(range(layer.kernel[0]), range(layer.kernel[1]))
        for r in [i * layer.stride[0] + di * dilation[0] - layer.padding[0]]
        for s in [j * layer.stride[1] + dj * dilation[1] - layer.padding[1]]
    ]
    if isinstance(layer, MaxPool2d | SumPool2d):
        inside = [x[r][s][c] for _, _, r, s in taps if 0 <= r < len(x) and 0 <= s < len(x[0])]
        return max(inside) if isinstance(layer, MaxPool2d) else sum(inside)
    assert isinstance(layer, Conv2d)
    weights = values(layer.weights)
    taken = len(weights[0][0][0])
    first = c // (len(weights) // layer.groups) * taken
    total = _bias(layer, c)
    for di, dj, r, s in taps:
        read = [layer.pad_code] * taken
        if 0 <= r < len(x) and 0 <= s < len(x[0]):
            read = x[r][s][first : first + taken]
        total += _products(weights[c][di][dj], read)
    return _wrap(total, layer)


def _products(row, x):
    return sum(v * a for v, a in zip(row, x, strict=True))


@lru_cache(maxsize=64)
def values(weights):
    """The integers that a layer multiplies by: nested lists of its weights' shape."""
    if isinstance(weights, Weights):
        return _deep(weights.codes.tolist(), 0, lambda q: value(weights.grid, q))
    if isinstance(weights, ProductWeights):
        words = [[value(weights.grid, q) for q in word] for word in weights.book.tolist()]
        return _deep(
            weights.indices.tolist(), 1, lambda row: [v for index in row for v in words[index]]
        )
    sums = [
        sum(c * (2 * b - 1) for c, b in zip(coordinates, bits, strict=True))
        for coordinates, bases in zip(
            weights.coordinates.reshape(-1, weights.coordinates.shape[-1]).tolist(),
            weights.bases.reshape(-1, *weights.bases.shape[-2:]).tolist(),
            strict=True,
        )
        for bits in zip(*bases, strict=True)
    ]
    shape = weights.bases.shape
    return _nested(sums, (*shape[:-3], shape[-3] * shape[-1]))


def _deep(tree, depth, function):
    """Apply a function to all lists of so many axes."""
    axes = 0
    inner = tree
    while isinstance(inner, list):
        inner, axes = inner[0], axes + 1
    return function(tree) if axes == depth else [_deep(part, depth, function) for part in tree]


def _nested(flat, shape):
    """A flat list as nested ones."""
    for size in shape[:0:-1]:
        flat = [flat[start : start + size] for start in range(0, len(flat), size)]
    return flat


def _taken(layer, x, *indices):
    if -1 in indices:
        return layer.code
    for index in indices:
        x = x[index]
    return x


def _flat(x):
    return [a for part in x for a in _flat(part)] if isinstance(x, list) else [x]


def _permuted(layer, values):
    """The integers of a tensor, row by row, in the order of the permuted axes."""
    places = {index: next(values) for index in product(*map(range, layer.split))}
    sizes = [layer.split[axis] for axis in layer.order]
    for index in product(*map(range, sizes)):
        split = dict(zip(layer.order, index, strict=True))
        yield places[tuple(split[axis] for axis in range(len(sizes)))]


def _shaped(values, shape):
    if not shape:
        return next(values)
    return [_shaped(values, shape[1:]) for _ in range(shape[0])]


def value(grid, code):
    """The integer that a code stands for."""
    if isinstance(grid, MidRise):
        return 2 * code + 1
    if isinstance(grid, MiniFloat):
        sign, rest = divmod(code, 2 ** (grid.bits - 1))
        exponent, fraction = divmod(rest, 2**grid.fraction)
        size = (2**grid.fraction + fraction) * 2 ** (exponent - 1) if exponent else fraction
        return -size if sign else size
    return code if isinstance(grid, TwosComplement) else grid.levels[code]


def _gathered(layer, cells):
    ends, indices = layer.indptr.tolist(), layer.indices.tolist()
    shifts = [0] * len(cells) if layer.shifts is None else layer.shifts.tolist()
    return [
        [sum(cells[j][c] * 2 ** shifts[j] for j in indices[a:b]) for c in range(len(cells[0]))]
        for a, b in pairwise(ends)
    ]


def _times(x, y):
    """Element by element; y is repeated over all pixels where it holds but one."""
    if not isinstance(x, list):
        return x * y
    if isinstance(x[0], list) and not isinstance(y[0], list):
        return [_times(part, y) for part in x]
    if len(y) == 1 < len(x):
        return [_times(part, y[0]) for part in x]
    return [_times(a, b) for a, b in zip(x, y, strict=True)]


def _rescale(layer, cell, position):
    mantissa, offset = layer.mantissa.tolist(), layer.offset.tolist()
    if layer.rows is not None:
        kind = int(layer.rows[position])
        mantissa, offset = mantissa[kind], offset[kind]
    one = isinstance(layer.shift, int)
    shifts = [layer.shift] * len(cell) if one else layer.shift.tolist()
    lines = zip(cell, mantissa, offset, shifts, strict=True)
    return [
        min(max((a * m + b + 2 ** (s - 1)) // 2**s, layer.format.lo), layer.format.hi)
        for a, m, b, s in lines
    ]


def _threshold(layer, cell, position):
    rows, falling = layer.thresholds.tolist(), layer.falling.tolist()
    if len(rows) == 1:  # of all channels
        rows, falling = rows * len(cell), falling * len(cell)
    return [
        layer.format.lo + sum(a <= t if falls else a >= t for t in row)
        for a, row, falls in zip(cell, rows, falling, strict=True)
    ]


def _looked_up(layer, cell, lo):
    tables = layer.table.tolist()
    # What saturating accumulators leave outside of the proven range has the nearest entry.
    last = len(tables[0]) - 1
    return [
        tables[c if len(tables) > 1 else 0][min(max(a - lo, 0), last)] for c, a in enumerate(cell)
    ]


def _largest(cell, count):
    return sorted(range(len(cell)), key=lambda place: (-cell[place], place))[:count]


def _bias(layer, output):
    return 0 if layer.bias is None else int(layer.bias[output])


def _wrap(total, layer):
    if layer.accumulator_bits is None:
        return total
    size = 2**layer.accumulator_bits
    return (total + size // 2) % size - size // 2


def _clamp(x, bits):
    return min(max(x, -(2 ** (bits - 1))), 2 ** (bits - 1) - 1)


@lru_cache
def _sigmoid(p):
    return min(math.floor(256 / (1 + math.exp(-p / 16)) + 0.5), 255)


@lru_cache
def _tanh(p):
    return min(max(math.floor(128 * math.tanh(p / 16) + 0.5), -127), 127)


def _rounded(total, shift, bits):
    return _clamp((total + 2 ** (shift - 1)) // 2**shift, bits)


def _state_sums(layer, state):
    return [_products(row, state) for row in values(layer.weights)]


def _lstm(layer, steps):
    elements = len(layer.offset) // 4
    cell, state, found = [0] * elements, [0] * elements, []
    for x in steps:
        lines = zip(
            x,
            layer.mantissa_x.tolist(),
            _state_sums(layer, state),
            layer.mantissa_h.tolist(),
            layer.offset.tolist(),
            strict=True,
        )
        p = [_rounded(a * m + r * n + b, layer.shift, 8) for a, m, r, n, b in lines]
        state = []
        for j in range(elements):
            cell[j], output = lstm_element(p[4 * j : 4 * j + 4], cell[j])
            state.append(output)
        found.append(state)
    return found


def lstm_element(gates, cell):
    """The next cell and the state of one element, by the codes of its gates i, f, g, o."""
    i, f, g, o = _sigmoid(gates[0]), _sigmoid(gates[1]), _tanh(gates[2]), _sigmoid(gates[3])
    cell = _rounded(f * cell + 16 * i * g, 8, 16)
    return cell, (o * _tanh(_rounded(cell, 7, 8)) + 128) // 256


def _gru(layer, steps):
    elements = len(layer.offset) // 3
    wide, state, found = [0] * elements, [0] * elements, []
    m, n, b = (v.tolist() for v in (layer.mantissa_x, layer.mantissa_h, layer.offset))
    for x in steps:
        sums, state = _state_sums(layer, state), []
        for j in range(elements):
            reset, update, new = (3 * j + k for k in range(3))
            r, z = (
                _sigmoid(_rounded(x[k] * m[k] + sums[k] * n[k] + b[k], layer.shift, 8))
                for k in (reset, update)
            )
            part = sums[new] * n[new] + int(layer.state_offset[j])
            t = _rounded(part, layer.shift - 7, 16)
            total = x[new] * m[new] + b[new] + r * t * 2 ** (layer.shift - 15)
            u = _tanh(_rounded(total, layer.shift, 8))
            wide[j] = ((256 - z) * u * 256 + z * wide[j] + 128) // 256
            state.append((wide[j] + 128) // 256)
        found.append(state)
    return found
