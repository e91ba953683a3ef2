"""Hypothesis strategies for formats, codes and small legal networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from vecq_hw.formats import CodeBook, Grid, IntFormat, MidRise, TwosComplement, bit_planes
from vecq_hw.network import (
    Add,
    ArgMax,
    Concat,
    Conv2d,
    Dense,
    Flatten,
    Input,
    Layer,
    MaxPool2d,
    Network,
    Rescale,
    SumPool2d,
    Upsample2d,
    Weights,
    output_tensor,
)
from vecq_hw.network import Tensor as NetworkTensor
from vecq_hw.schedule import Fold, FoldKind, Schedule, foldable, streaming_folds


def formats(min_bits: int = 1, max_bits: int = 16) -> st.SearchStrategy[IntFormat]:
    """Integer formats, some with a range tighter than their bits."""

    @st.composite
    def draw_format(draw):
        bits, signed = draw(st.integers(min_bits, max_bits)), draw(st.booleans())
        full = IntFormat(bits, signed)
        if draw(st.booleans()):
            return full
        lo = draw(st.integers(full.lo, full.hi))
        return IntFormat(bits, signed, lo, draw(st.integers(lo, full.hi)))

    return draw_format()


MID_RISE = (MidRise,)
"""The grids that every target takes."""
ANY_GRID = (MidRise, TwosComplement, CodeBook)


@st.composite
def grids(draw, kinds: tuple[type, ...] = ANY_GRID) -> Grid:
    """Code books hold small and very large values, in any order."""
    kind = draw(st.sampled_from(kinds))
    if kind is not CodeBook:
        return kind(draw(st.integers(1, 16)))
    size = 1 << draw(st.integers(1, 6))
    most = draw(st.sampled_from([1, 127, 2**31 - 1]))
    return CodeBook(draw(st.lists(st.integers(-most, most), min_size=size, max_size=size)))


def random_grid(rng: np.random.Generator, bits: Sequence[int] = (1, 2, 3, 4, 8)) -> Grid:
    """One of every kind, of one of these widths, for networks that a seed draws."""
    width = int(rng.choice(bits))
    match rng.integers(4):
        case 0:
            return TwosComplement(width)
        case 1:
            size = 1 << min(width, 4)
            return CodeBook(tuple(rng.integers(-200, 201, size).tolist()))
        case _:
            return MidRise(width)


@st.composite
def weights(
    draw,
    shape: tuple[int, ...],
    bits: int | None = None,
    kinds: tuple[type, ...] = ANY_GRID,
) -> Weights:
    """Codes on a random grid, the mid-rise one of ``bits`` where given; extremes are frequent."""
    grid = MidRise(bits) if bits is not None else draw(grids(kinds))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    fmt = grid.code_format
    kind = draw(st.sampled_from(["random", "lowest", "highest"]))
    if kind == "random":
        codes = rng.integers(fmt.lo, fmt.hi + 1, shape)
    else:
        codes = np.full(shape, fmt.lo if kind == "lowest" else fmt.hi)
    return Weights(codes=codes, grid=grid, step=draw(st.sampled_from([1.0, 0.5, 0.0371])))


@st.composite
def rescales(draw, name: str, source: str, tensor: NetworkTensor) -> Rescale:
    """A rescale that keeps most of the range, with mantissas of both signs and zero.

    Some have a shift for each channel: gains that differ, or equal gains more or less precise.
    """
    channels, fmt = tensor.shape[-1], draw(formats(1, 8))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    mantissa_bits = draw(st.integers(1, 18))
    limit = (1 << (mantissa_bits - 1)) - 1
    mantissa = rng.integers(-limit - 1, limit + 1, channels)
    reach = max(tensor.format.magnitude * (limit + 1), 1)
    shift = draw(st.integers(1, 62))
    if draw(st.integers(0, 3)):  # mostly a shift that lets something of the value through
        shift = min(max(reach.bit_length() - fmt.bits, 1), 62)
    room = min(reach, (1 << 61) - 1)
    offset = rng.integers(-room, room + 1, channels)
    layer = Rescale(
        name=name, input=source, mantissa=mantissa, offset=offset, shift=shift, format=fmt
    )
    return own_shifts(layer, tensor.format, rng) if draw(st.booleans()) else layer


def own_shifts(layer: Rescale, source: IntFormat, rng: np.random.Generator) -> Rescale:
    """The rescale with a longer shift for some channels, as far as rule 4 lets it.

    Their offsets keep their real values; their mantissas too, or their gains become smaller.
    """
    columns = layer.mantissa.tolist(), layer.offset.tolist(), layer.shifts.tolist()
    drawn = []
    for m, b, s in zip(*columns, strict=True):
        more, gain = int(rng.integers(0, 25)), int(rng.integers(2))
        ends = [abs(end * (m << more * gain) + (b << more)) for end in (source.lo, source.hi)]
        fits = s + more <= 62 and max(ends) < 1 << 62 and abs(m) << more * gain < 1 << 31
        fits = fits and abs(b) << more < 1 << 62
        drawn.append((m << more * gain, b << more, s + more) if fits else (m, b, s))
    mantissa, offset, shift = (np.array(column) for column in zip(*drawn, strict=True))
    return replace(layer, mantissa=mantissa, offset=offset, shift=shift)


@st.composite
def networks(
    draw,
    images: bool | None = None,
    max_layers: int = 3,
    kinds: tuple[type, ...] = ANY_GRID,
) -> Network:
    """A chain of random layers over a vector or a small image."""
    images = draw(st.booleans()) if images is None else images
    size = st.integers(1, 6)
    shape = (
        (draw(size), draw(size), draw(st.integers(1, 3))) if images else (draw(st.integers(1, 12)),)
    )
    source = Input(name="x", shape=shape, format=draw(formats(1, 8)))
    tensor = NetworkTensor(shape=shape, format=source.format, step=1.0)
    layers: list[Layer] = []

    def append(layer: Layer) -> None:
        nonlocal tensor
        tensor = output_tensor(layer, tensor)
        layers.append(layer)

    def last() -> str:
        return layers[-1].name if layers else "x"

    for index in range(draw(st.integers(1, max_layers))):
        if len(tensor.shape) == 3 and draw(st.integers(0, 2)) == 0:
            append(Flatten(name=f"flatten{index}", input=last()))
        wrap = draw(st.sampled_from([None, None, 6, 12]))
        outputs = draw(st.integers(1, 6))
        bias = None
        if draw(st.booleans()):
            rng = np.random.default_rng(draw(st.integers(0, 2**32)))
            bias = rng.integers(-1000, 1001, outputs)
        if len(tensor.shape) == 3:
            kernel = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
            padding = draw(st.tuples(st.integers(0, 2), st.integers(0, 2)))
            kernel = tuple(
                min(k, n + 2 * p) for k, n, p in zip(kernel, tensor.shape, padding, strict=False)
            )
            append(
                Conv2d(
                    name=f"conv{index}",
                    input=last(),
                    weights=draw(weights((outputs, *kernel, tensor.shape[-1]), kinds=kinds)),
                    bias=bias,
                    stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
                    padding=padding,
                    accumulator_bits=wrap,
                )
            )
        else:
            append(
                Dense(
                    name=f"dense{index}",
                    input=last(),
                    weights=draw(weights((outputs, tensor.shape[-1]), kinds=kinds)),
                    bias=bias,
                    accumulator_bits=wrap,
                )
            )
        append(draw(rescales(f"rescale{index}", last(), tensor)))
        if len(tensor.shape) == 3 and draw(st.booleans()):
            kernel = tuple(min(draw(st.integers(1, 3)), n) for n in tensor.shape[:2])
            append(
                MaxPool2d(
                    name=f"pool{index}",
                    input=last(),
                    kernel=kernel,
                    stride=draw(st.tuples(st.integers(1, 3), st.integers(1, 3))),
                    padding=tuple(draw(st.integers(0, k // 2)) for k in kernel),
                )
            )
    return Network(name="random", inputs=(source,), layers=tuple(layers), outputs=(last(),))


@st.composite
def graphs(draw, kinds: tuple[type, ...] = ANY_GRID) -> Network:
    """Images through every kind of layer, with branches that meet again."""
    shape = (draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.integers(1, 4)))
    source = Input(name="x", shape=shape, format=draw(formats(2, 6)))
    tensors = {"x": NetworkTensor(shape=shape, format=source.format, step=1.0)}
    layers: list[Layer] = []

    def append(layer: Layer) -> str:
        sources = [tensors[name] for name in layer.inputs]
        tensors[layer.name] = output_tensor(layer, *sources)
        layers.append(layer)
        return layer.name

    def name(kind: str) -> str:
        return f"{kind}{len(layers)}"

    def convolution(source: str, outputs: int, same: bool = False) -> str:
        height, width, channels = tensors[source].shape
        groups = draw(st.sampled_from([g for g in (1, 2, channels) if channels % g == 0]))
        outputs += -outputs % groups
        kernel = draw(st.sampled_from([(1, 1), (3, 3)])) if same else draw(_pairs(1, 3))
        dilation = (1, 1) if same else draw(_pairs(1, 2))
        padding = (kernel[0] // 2, kernel[1] // 2) if same else draw(_pairs(0, 2))
        kernel = tuple(
            k if d * (k - 1) < n + 2 * p else 1
            for k, d, n, p in zip(kernel, dilation, (height, width), padding, strict=True)
        )
        return append(
            Conv2d(
                name=name("conv"),
                input=source,
                weights=draw(weights((outputs, *kernel, channels // groups), kinds=kinds)),
                stride=(1, 1) if same else draw(_pairs(1, 2)),
                padding=padding,
                dilation=dilation,
                groups=groups,
                accumulator_bits=draw(st.sampled_from([None, None, 8])),
            )
        )

    def rescaled(source: str, like: NetworkTensor | None = None) -> str:
        layer = draw(rescales(name("rescale"), source, tensors[source]))
        if like is not None:
            layer = replace(layer, format=like.format, step=like.step)
        return append(layer)

    last = "x"
    for _ in range(draw(st.integers(1, 4))):
        tensor = tensors[last]
        kind = draw(st.sampled_from(["conv", "add", "concat", "pool", "sum", "upsample"]))
        if kind == "conv":
            last = rescaled(convolution(last, draw(st.integers(1, 5))))
        elif kind in ("add", "concat"):
            outputs = tensor.shape[-1] if kind == "add" else draw(st.integers(1, 4))
            branch = convolution(last, outputs, same=True)
            if tensors[branch].shape[-1] != tensor.shape[-1] and kind == "add":
                continue
            branch = rescaled(branch, like=tensor)
            join = Add if kind == "add" else Concat
            last = append(join(name=name(kind), inputs=(last, branch)))
        elif kind == "upsample":
            last = append(Upsample2d(name=name(kind), input=last, factor=draw(_pairs(1, 2))))
        else:
            kernel = tuple(
                min(k, n) for k, n in zip(draw(_pairs(1, 3)), tensor.shape, strict=False)
            )
            padding = tuple(draw(st.integers(0, k // 2)) for k in kernel)
            pool = MaxPool2d if kind == "pool" else SumPool2d
            last = append(
                pool(
                    name=name(kind),
                    input=last,
                    kernel=kernel,
                    stride=draw(_pairs(1, 2)),
                    padding=padding,
                )
            )
        if tensors[last].format.bits > 8:
            last = rescaled(last)
    if draw(st.booleans()):
        flat = append(Flatten(name="flatten", input=last))
        taken = weights((3, tensors[flat].shape[0]), kinds=kinds)
        last = append(Dense(name="dense", input=flat, weights=draw(taken)))
    if draw(st.integers(0, 3)) == 0:
        last = append(ArgMax(name="argmax", input=last))
    if not layers:
        last = rescaled(last)
    return Network(name="graph", inputs=(source,), layers=tuple(layers), outputs=(last,))


@st.composite
def schedules(draw, network: Network) -> Schedule:
    """Every kind of fold that the network's layers take; large ones are not unrolled.

    The search for shared additions would take most of a test's time.
    """
    folds = {}
    rescaled = {layer.input for layer in network.layers if isinstance(layer, Rescale)}
    for layer in network.layers:
        if isinstance(layer, Dense | Conv2d):
            folds[layer.name] = replace(
                draw(st.sampled_from(streaming_folds(layer))),
                kind=draw(st.sampled_from(_kinds(layer))),
                dsp=layer.name in rescaled and draw(st.booleans()),
            )
            outputs, inputs = foldable(layer)
            small = isinstance(layer, Dense) and outputs * inputs <= 128
            if small and layer.accumulator_bits is None and draw(st.booleans()):
                folds[layer.name] = Fold(pe=outputs, simd=inputs, kind=FoldKind.UNROLLED)
    return Schedule(folds=folds)


def _kinds(layer: Dense | Conv2d) -> list[FoldKind]:
    """Those that take any number of lanes."""
    signs = bit_planes(layer.weights.grid).signs
    return [FoldKind.STREAMING] + [FoldKind.BIT_SERIAL] * signs


def _pairs(least: int, most: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(least, most), st.integers(least, most))


def random_inputs(network: Network, count: int, seed: int) -> np.ndarray:
    """Seeded codes over the whole input format."""
    source = network.inputs[0]
    rng = np.random.default_rng(seed)
    return rng.integers(source.format.lo, source.format.hi + 1, (count, *source.shape))
