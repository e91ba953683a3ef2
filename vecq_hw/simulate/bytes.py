"""The engine int8: oneDNN's products of bytes, as torch brings them, and the rescale in their end.

The library multiplies unsigned bytes by signed ones into 32 bits, makes a line in float32 of each
sum, and rounds that to a byte while it is still in a register: no sum reaches the memory.

Without VNNI, x86 adds two products of bytes in 16 bits and saturates.  There a wide weight is the
sum of two narrow ones that read the same input twice, in one product of twice the inputs; layers
for which that is slower than floats are done in floats.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any, assert_never

import numpy as np
import numpy.typing as npt

from vecq_hw import exact_products
from vecq_hw.errors import MissingToolError, VecqError
from vecq_hw.formats import IntArray, IntFormat, MidRise
from vecq_hw.layers import Conv2d, Dense, MacLayer, Rescale, Weights
from vecq_hw.layers.windows import Sides
from vecq_hw.network import Network
from vecq_hw.simulate.convolution import pad
from vecq_hw.simulate.engines import Array
from vecq_hw.simulate.lines import proven_line
from vecq_hw.toolchain import TORCH

PAIR = (1 << 15) - 1
"""What two products of bytes may reach together where they are added in 16 bits."""

SPLIT_CHANNELS = 16
"""From so many input channels on, a convolution of split weights is faster than one in floats."""

Line = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
"""Factor and addend for each output."""


def byte_product(
    layer: MacLayer, source: IntFormat, rescale: Rescale | None = None
) -> ByteProduct | None:
    """The exact sums of ``layer``, or with ``rescale`` the codes that it makes of them.

    None where float32 does not hold every sum, where no line is proven to give the codes, or where
    :func:`in_parts` says that floats are faster.  ``source`` is the format of what the layer reads;
    :func:`check_bytes` has passed.
    """
    parts = in_parts(layer, source)
    if parts is None:
        return None
    values = layer.weights.values
    # The library's inputs are unsigned: signed ones move up by 128, and the sums move with them.
    up = 128 if source.signed else 0
    flat = values.reshape(len(values), -1).astype(np.int64)
    moved = up * flat.sum(axis=1)
    if layer.bias is not None:
        moved -= layer.bias
    least, most = layer.accumulator_range(source)
    inside = exact_products.product_bound(flat, layer.reads(source).hi + up)
    if max(inside, -least, most, int(np.abs(moved).max())) > 1 << 24:
        return None
    if rescale is None:
        line = np.ones(len(values), np.float32), (-moved).astype(np.float32)
        return ByteProduct(layer, parts, up, line, None)
    if not computes_lines():
        return None
    found = proven_line(rescale, IntFormat.covering(least, most), moved, rounded=True)
    return None if found is None else ByteProduct(layer, parts, up, found, rescale.format)


class ByteProduct:
    """A Dense or Conv2d on bytes: ``sums * factor + addend`` in float32, or rounded to codes.

    Parameters
    ----------
    parts : int
        How many weights add up to one, each reading the same input.
    up : int
        What is added to the inputs to make them unsigned: 0 or 128.
    line : pair of float32 arrays of shape (O,)
        Factor and addend.
    codes : IntFormat, optional
        Of the result, rounded half to even and clamped; without it the result is float32.
    """

    def __init__(
        self, layer: MacLayer, parts: int, up: int, line: Line, codes: IntFormat | None
    ) -> None:
        self._up, self._codes = up, codes
        self._padding: Sides = (0, 0, 0, 0)
        self._pad_code = 0
        self._parts, self._inputs = parts, layer.group_channels
        values = _split(layer.weights.values, parts)
        match layer:
            case Dense():
                self._product = _dense(values, line, codes)
            case Conv2d():
                self._padding, self._pad_code = layer.padding, layer.pad_code
                self._product = _convolution(layer, values, line, codes)
            case _:
                assert_never(layer)

    def __call__(self, x: Array) -> Array:
        """From (H, N, W, C) or (N, C) to the same with O channels; samples are outermost inside."""
        kind = np.dtype(np.int8 if self._up else np.uint8)
        if x.ndim == 4:
            x = pad(x, self._padding, kind, self._pad_code, samples_outermost=True)
            x = np.moveaxis(x, 0, 1)
        x = x.astype(kind, copy=not x.flags.writeable)  # torch warns of what it may not write
        if self._up:
            x = x.view(np.uint8) ^ np.uint8(self._up)
        if self._parts > 1:  # each group of channels as often as its weights
            groups = x.reshape(*x.shape[:-1], -1, 1, self._inputs)
            x = groups.repeat(self._parts, axis=-2).reshape(*x.shape[:-1], -1)
        out = self._product(x)
        if self._codes is not None:
            kept = np.iinfo(out.dtype)
            if (self._codes.lo, self._codes.hi) != (kept.min, kept.max):
                np.clip(out, self._codes.lo, self._codes.hi, out=out)
        return np.moveaxis(out, 0, 1) if out.ndim == 4 else out


def _convolution(
    layer: Conv2d, values: IntArray, line: Line, codes: IntFormat | None
) -> Callable[[Array], Array]:
    """From unsigned bytes (N, H, W, C), padded, to (N, OH, OW, O).

    ``values`` (O, KH, KW, inputs of an output) stand in for the layer's own.
    """
    torch = _torch()
    weights = np.moveaxis(values, -1, 1).astype(np.int8, order="C")
    factor, addend, zeros = _tensors(line)
    # The library's own padding goes wrong where images are small (2.13): they come padded.
    places = list(layer.stride), [0, 0], list(layer.dilation), layer.groups
    pack = torch.ops.onednn.qconv_prepack
    packed = pack(torch.from_numpy(weights), factor, 1.0, 0, *places, None)
    rest = packed, factor, zeros, addend, *places, *_result(codes)
    operator = torch.ops.onednn.qconv2d_pointwise.default

    def run(x: Array) -> Array:
        with _alone():
            result = operator(torch.from_numpy(x).permute(0, 3, 1, 2), 1.0, 0, *rest)
        out: Array = result.permute(0, 2, 3, 1).numpy()
        return out

    return run


def _dense(values: IntArray, line: Line, codes: IntFormat | None) -> Callable[[Array], Array]:
    """From unsigned bytes (N, inputs) to (N, O)."""
    torch = _torch()
    factor, addend, zeros = _tensors(line)
    packed = torch.ops.onednn.qlinear_prepack(torch.from_numpy(values.astype(np.int8)), None)
    rest = packed, factor, zeros, addend, *_result(codes)
    operator = torch.ops.onednn.qlinear_pointwise.default

    def run(x: Array) -> Array:
        with _alone():
            out: Array = operator(torch.from_numpy(x), 1.0, 0, *rest).numpy()
        return out

    return run


def _tensors(line: Line) -> tuple[Any, Any, Any]:
    """The factor, the addend, and the zero points of the weights."""
    torch = _torch()
    factor, addend = (torch.from_numpy(part) for part in line)
    return factor, addend, torch.zeros(len(factor), dtype=torch.int64)


def _result(codes: IntFormat | None) -> tuple[Any, ...]:
    """Scale, zero point and type of a result, with nothing behind it."""
    torch = _torch()
    kind = torch.float32
    if codes is not None:
        kind = torch.int8 if codes.signed else torch.uint8
    return 1.0, 0, kind, "none", [], ""


@contextmanager
def _alone() -> Iterator[None]:
    """Torch on the calling thread only, which is one of the simulator's, and without gradients."""
    torch = _torch()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


@lru_cache(maxsize=1)
def _torch() -> ModuleType:
    try:
        import torch
    except ImportError:
        raise MissingToolError(f"the engine int8 needs torch; run: {TORCH.install}") from None
    if "onednn" not in torch.backends.quantized.supported_engines:
        raise MissingToolError("the engine int8 needs a torch that was built with oneDNN")
    return torch


def check_bytes(where: str, weights: IntArray, source: IntFormat) -> None:
    """Refuse what are no bytes.

    ``weights`` has any shape.

    Raises
    ------
    VecqError
        Inputs or weights wider than 8 bits.
    """
    if source.bits > 8:
        raise VecqError(
            f"{where}: the engine int8 takes inputs of up to 8 bits, not {source!r};"
            " the engine float takes any"
        )
    largest = int(np.abs(weights).max())
    if largest > 127:
        raise VecqError(
            f"{where}: the engine int8 takes weights of up to 7 bits (values up to 127), here"
            f" they reach {largest}; the engine float takes any"
        )


def in_parts(layer: MacLayer, source: IntFormat) -> int | None:
    """How many weights add up to one, so that this machine's products of bytes are exact.

    1 where pairs of products fit 16 bits or a probe at the extremes is exact; 2 where they do not;
    None where the product of so many inputs is slower than one in floats, or wrong.
    """
    if _reads_beyond(layer):
        return None
    highest = layer.reads(source).hi
    unsigned = highest + 128 if source.signed else highest
    pair = 2 * unsigned * int(np.abs(layer.weights.values).max())
    if pair <= PAIR or pairs_are_exact():
        return 1
    match layer:
        case Dense():
            return None
        case Conv2d():
            inputs = layer.group_channels
            if layer.groups > 1 and inputs == 1:
                return 1 if layer.outputs == layer.groups and depthwise_is_exact() else None
            if layer.kernel == (1, 1) or inputs * layer.groups < SPLIT_CHANNELS:
                return None
            return -(-pair // PAIR)
        case _:
            assert_never(layer)


def _reads_beyond(layer: MacLayer) -> bool:
    """Whether the library (2.13) may take what is no part of the image.

    It does where several outputs read one channel, at a stride across, of images so narrow that
    the result is one pixel wide.
    """
    match layer:
        case Dense():
            return False
        case Conv2d():
            alone = layer.group_channels == 1 and layer.outputs > layer.groups
            return alone and layer.stride[1] > 1
        case _:
            assert_never(layer)


def left_to_floats(network: Network) -> list[str]:
    """Names of the layers of bytes that the engine int8 computes in floats on this machine.

    They are those of :func:`in_parts`; without torch, and so without the engine, there are none.
    """
    names = []
    for layer in network.mac_layers:
        source = network.tensors[layer.input].format
        try:
            check_bytes("", layer.weights.values, source)
            if in_parts(layer, source) is None:
                names.append(layer.name)
        except VecqError:
            continue
    return names


def _split(values: IntArray, parts: int) -> IntArray:
    """Along the last axis, ``parts`` almost equal shares that add up to ``values``."""
    shares = []
    for left in range(parts, 0, -1):
        shares.append(values // left)
        values = values - shares[-1]
    return np.concatenate(shares, axis=-1)


@lru_cache
def pairs_are_exact() -> bool:
    """Whether 8-bit dot products on this machine are exact at the extremes of both operands."""
    x, weights = _extremes()
    dense = _dense(weights, _no_line(weights), None)(x)
    image = _convolved(x.reshape(-1, 2, 2, 16), weights.reshape(-1, 2, 2, 16), groups=1)
    want = _sums(x, weights)
    return np.array_equal(dense, want) and np.array_equal(image, want)


@lru_cache
def depthwise_is_exact() -> bool:
    """The same of one channel per output, where no two products make a pair."""
    x, weights = _extremes()
    images = x.reshape(-1, 8, 8, 1).repeat(len(weights), axis=-1)
    return np.array_equal(
        _convolved(images, weights.reshape(-1, 8, 8, 1), groups=len(weights)), _sums(x, weights)
    )


def _extremes() -> tuple[Array, IntArray]:
    """Inputs (samples, 64) and weights (outputs, 64)."""
    x = np.array([[0] * 64, [255] * 64, [0, 255] * 32], np.uint8)
    return x, np.array([[w] * 64 for w in (-127, 127)] * 8 + [[127, -127] * 32])


def _convolved(x: Array, weights: IntArray, groups: int) -> Array:
    """The sums of the one window that images (N, KH, KW, C) have: (N, O)."""
    codes = Weights(codes=(weights - 1) // 2, grid=MidRise(7))
    layer = Conv2d(name="probe", input="x", weights=codes, groups=groups)
    return _convolution(layer, weights, _no_line(weights), None)(x).reshape(len(x), -1)


def _no_line(weights: IntArray) -> Line:
    return np.ones(len(weights), np.float32), np.zeros(len(weights), np.float32)


@lru_cache
def computes_lines() -> bool:
    """Whether the library computes lines as they are proven: a product, then a sum, or both in one.

    Its release could as well divide the addend by the factor and add it first.
    """
    rng = np.random.default_rng(0)
    x, weights = rng.integers(0, 256, (64, 48), np.uint8), rng.integers(-3, 4, (48, 48))
    factor = rng.uniform(-0.01, 0.01, 48).astype(np.float32)
    addend = rng.uniform(-200, 200, 48).astype(np.float32)
    got, sums = _dense(weights, (factor, addend), None)(x), _sums(x, weights)
    apart = sums.astype(np.float32) * factor + addend
    # Float64 holds the products; its sum rounds once more, which shows nowhere here.
    fused = (sums * factor + addend).astype(np.float32)
    return bool(np.all((got == apart) | (got == fused)))


def _sums(x: Array, weights: IntArray) -> npt.NDArray[np.float64]:
    exact: npt.NDArray[np.float64] = x.astype(np.float64) @ weights.T.astype(np.float64)
    return exact
