"""QONNX from a network: Quant nodes around standard operators in float32, for qonnx and hls4ml.

Weights are integers in a Quant of scale 1 and zero point 0.  A Rescale is a Mul, an Add and a Quant
that rounds half to even, whose line is proven to give the same codes; where no line does, it is a
MultiThreshold.  onnx is imported where it is used; it belongs to the extra ``onnx``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import numpy as np

from vecq_hw.emit.identifiers import identifiers
from vecq_hw.emit.onnx import orders
from vecq_hw.emit.onnx.model import end_names, finish, layer_operations, proto
from vecq_hw.emit.onnx.products import Product, conv_attributes
from vecq_hw.emit.onnx.project import project
from vecq_hw.emit.onnx.writer import EXACT_FLOAT32, FLOAT32, Writer, by_channel, padded
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.emit.quant_lines import MOST_CODE_BITS, Line, line_of
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat, MidRise
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
    Layer,
    Lookup,
    Lstm,
    MaxPool2d,
    Multiply,
    Permute,
    Rescale,
    Subtract,
    SumPool2d,
    Take,
    Tensor,
    Threshold,
    TopK,
    Upsample2d,
    Weights,
)
from vecq_hw.network import Network, needed_layers
from vecq_hw.passes.thresholds import thresholds_of
from vecq_hw.schedule import Schedule
from vecq_hw.toolchain import ONNX, require

if TYPE_CHECKING:
    import onnx

DOMAIN = "qonnx.custom_op.general"
SAMPLES = 1000
"""Samples in one call of qonnx's executor, which costs far more per call than per image."""
LARGEST_CALL = 1 << 26
"""So many comparisons of a MultiThreshold are made at once, at most."""


def unsupported(network: Network) -> str | None:
    """Why QONNX cannot express ``network`` exactly, or None."""
    for source in network.inputs:
        if source.format.magnitude > EXACT_FLOAT32:
            return f"input '{source.name}' ({_beyond(source.format.magnitude)})"
    for layer in needed_layers(network):
        sources = [network.tensors[name] for name in layer.inputs]
        reason = _reason(layer, sources, network.tensors[layer.name])
        if reason is not None:
            return f"layer '{layer.name}' ({type(layer).__name__}, {reason})"
    return None


def _beyond(reach: int) -> str:
    return f"reaches {reach}, and float32 holds integers up to 2^24"


def _reason(layer: Layer, sources: list[Tensor], made: Tensor) -> str | None:
    """What of a layer float32 and the nodes of QONNX do not hold, or None."""
    reach = max([made.format.magnitude, *(tensor.format.magnitude for tensor in sources)])
    if reach > EXACT_FLOAT32:
        return _beyond(reach)
    match layer:
        case Dense() | Conv2d():
            return _product_reason(layer, sources[0])
        case SumPool2d():
            bound = Product.of_sums(layer, sources[0]).bound
            return None if bound <= EXACT_FLOAT32 else f"which {_beyond(bound)}"
        case Rescale() | Threshold():
            if isinstance(layer, Rescale) and layer.rows is not None:
                return "with rows, as a Quant has one line for each channel"
            bits = layer.format.bits
            if bits > MOST_CODE_BITS and line_of(layer, sources[0].format) is None:
                return (
                    f"to {bits} bits; thresholds give at most {MOST_CODE_BITS}, and a line more"
                    " only where its factors are integers and float32 holds every sum"
                )
            return None
        case Lstm() | Gru():
            return "whose products leave what float32 holds"
        case GatherSum():
            bound = orders.all_sums(layer, sources[0])
            return None if bound <= EXACT_FLOAT32 else f"which {_beyond(bound)}"
        case Add() | Subtract():
            bound = sum(tensor.format.magnitude for tensor in sources)
            return None if bound <= EXACT_FLOAT32 else f"which {_beyond(bound)}"
        case (
            Lookup()
            | MaxPool2d()
            | Flatten()
            | Upsample2d()
            | Take()
            | Permute()
            | Multiply()
            | Concat()
            | Constant()
            | ArgMax()
            | Embedding()
            | TopK()
        ):
            return None
        case _:
            assert_never(layer)


def _product_reason(layer: Dense | Conv2d, source: Tensor) -> str | None:
    bias = 0 if layer.bias is None else int(np.abs(layer.bias.astype(object)).max())
    bound = max(Product.of(layer, source).bound + bias, layer.weights.value_format.magnitude)
    if bound > EXACT_FLOAT32:
        return f"whose sums {_beyond(bound).replace('reaches', 'reach', 1)}"
    return None


def model(network: Network, *, zero_point_half: bool = False) -> onnx.ModelProto:
    """``network`` as a QONNX model: float32 codes in, codes out, images (N, C, H, W).

    Parameters
    ----------
    zero_point_half : bool
        Weights of VecQ's grid as Quant of scale 2 and zero point -1/2, k bits wide: the mapping of
        the grid to QONNX.  qonnx computes it; hls4ml reads it wrongly and FINN refuses it.
    """
    inputs, outputs = end_names(network)
    w = Writer(floats=True)
    values: dict[str, str] = {}
    for name in (*inputs.values(), *outputs.values()):
        w.reserve(name, FLOAT32)
    plain = identifiers([*inputs, *(layer.name for layer in network.layers)])
    for source in network.inputs:
        w.prefix = plain[source.name]
        values[source.name] = _quantized(w, inputs[source.name], source.format)
    layers = needed_layers(network)
    constants = {layer.name for layer in layers if isinstance(layer, Constant)}
    rearranged = _flattened_in_place(network, layers)
    for layer in layers:
        w.prefix = plain[layer.name]
        sources = [network.tensors[name] for name in layer.inputs]
        given = [values[name] for name in layer.inputs]
        among = {values[name] for name in layer.inputs if name in constants}
        if isinstance(layer, Dense | Conv2d):
            order = rearranged.get(layer.input)
            made = _sums(w, given[0], layer, sources[0], order, zero_point_half)
        elif isinstance(layer, SumPool2d):
            made = _product(w, given[0], Product.of_sums(layer, sources[0]), None, None)
        elif isinstance(layer, Rescale | Threshold):
            made = _codes(w, given[0], layer, sources[0])
        elif layer.name in rearranged:
            made = w("Flatten", given[0], axis=1)
        else:
            made = layer_operations(w, layer, given, sources, among)
        values[layer.name] = made
    finish(w, network, values, outputs)
    domains = {DOMAIN: 1}
    return proto(network, w.operations, w.constants, w.types, inputs, outputs, domains)


def _flattened_in_place(network: Network, layers: list[Layer]) -> dict[str, IntArray]:
    """Flattens whose readers are Dense layers: for each the place of (C, H, W) in (H, W, C).

    The columns of weights take that order, so that the graph needs no Transpose, which hls4ml would
    have to undo.
    """
    found: dict[str, IntArray] = {}
    for layer in layers:
        if not isinstance(layer, Flatten) or layer.name in network.outputs:
            continue
        source = network.tensors[layer.input]
        readers = [other for other in layers if layer.name in other.inputs]
        if source.is_image and all(isinstance(other, Dense) for other in readers):
            places = np.arange(np.prod(source.shape)).reshape(source.shape)
            found[layer.name] = np.moveaxis(places, -1, 0).reshape(-1)
    return found


def _quant(
    w: Writer,
    x: str,
    bits: int,
    *,
    signed: bool,
    narrow: bool = False,
    scale: float = 1.0,
    zero_point: float = 0.0,
) -> str:
    numbers = (np.array(number, np.float32) for number in (scale, zero_point, bits))
    return w(
        "Quant",
        x,
        *numbers,
        kind=FLOAT32,
        domain=DOMAIN,
        signed=int(signed),
        narrow=int(narrow),
        rounding_mode="ROUND",
    )


def _quantized(w: Writer, x: str, fmt: IntFormat) -> str:
    """Rounded half to even and saturated to a format."""
    # Signed with one bit means -1 and +1 there.
    bits = max(fmt.bits, 2) if fmt.signed else fmt.bits
    full = IntFormat(bits, fmt.signed)
    narrow = fmt.signed and (fmt.lo, fmt.hi) == (full.lo + 1, full.hi)
    if not narrow and (fmt.lo, fmt.hi) != (full.lo, full.hi):
        x = w("Clip", x, *(np.array(end, np.float32) for end in (fmt.lo, fmt.hi)))
    return _quant(w, x, bits, signed=fmt.signed, narrow=narrow)


def _sums(
    w: Writer,
    x: str,
    layer: Dense | Conv2d,
    source: Tensor,
    order: IntArray | None,
    zero_point_half: bool,
) -> str:
    weights = layer.weights
    halves = isinstance(weights, Weights) and isinstance(weights.grid, MidRise)
    half = weights.grid.bits if zero_point_half and halves else None  # type: ignore[union-attr]
    total = _product(w, x, Product.of(layer, source), order, half)
    if layer.bias is not None:
        total = w("Add", total, by_channel(layer.bias.astype(np.float32), source.is_image))
    fmt = layer.accumulator_format(source.format)
    if fmt.contains(*layer.accumulator_range(source.format)):
        return total
    # Wrapped: what leaves the bits is taken off, by powers of two alone.
    half, size = (np.array(2.0**n, np.float32) for n in (fmt.bits - 1, fmt.bits))
    turns = w("Floor", w("Mul", w("Add", total, half), 1 / size))
    return w("Sub", total, w("Mul", turns, size))


def _product(w: Writer, x: str, given: Product, order: IntArray | None, half: int | None) -> str:
    """MatMul or Conv with a Quant of integers; ``half``: the bits of a zero point of -1/2."""
    values = given.values.astype(np.float32)
    if given.window is None:
        values = (values if order is None else values[:, order]).T
    else:
        values = np.moveaxis(values, 3, 1)
    name = w.constant(np.ascontiguousarray(values), "weights")
    if half is None:
        fmt = IntFormat.covering(int(values.min()), int(values.max()))
        weights = _quant(w, name, max(fmt.bits, 2), signed=True)
    elif half == 1:  # signed with one bit is the sign
        weights = _quant(w, name, 1, signed=True)
    else:
        weights = _quant(w, name, half, signed=True, scale=2.0, zero_point=-0.5)
    if given.window is None:
        return w("MatMul", x, weights)
    pads = given.window.padding
    if given.pad_code and any(pads):
        x = padded(w, x, pads, given.pad_code)
        pads = (0, 0, 0, 0)
    return w("Conv", x, weights, **conv_attributes(given, pads))


def _codes(w: Writer, x: str, layer: Rescale | Threshold, source: Tensor) -> str:
    image = source.is_image
    match line_of(layer, source.format):
        case Line(factor=factor, addend=addend):
            x = w("Mul", x, by_channel(factor, image))
            x = w("Add", x, by_channel(addend, image))
            return _quantized(w, x, layer.format)
        case None:
            rule = layer if isinstance(layer, Threshold) else thresholds_of(layer, source.format)
            return _multi_threshold(w, x, rule, source)


def _multi_threshold(w: Writer, x: str, rule: Threshold, source: Tensor) -> str:
    """Counts of rising thresholds; a falling channel is negated first."""
    fmt, lo, hi = rule.format, source.format.lo, source.format.hi
    rule = rule.by_channel(source.channels)
    falling = rule.falling[:, np.newaxis].astype(bool)
    rows = np.clip(rule.thresholds, lo - 1, hi + 1)
    rows = np.where(falling, -rows[:, ::-1], rows).astype(np.float32)
    if falling.any():
        signs = 1 - 2 * rule.falling.astype(np.float32)
        x = w("Mul", x, by_channel(signs, source.is_image))
    if not rows.shape[1]:
        zero = w("Mul", x, np.array(0, np.float32))
        return w("Add", zero, np.array(fmt.lo, np.float32))
    return w(
        "MultiThreshold",
        x,
        w.constant(rows, "thresholds"),
        domain=DOMAIN,
        out_dtype=f"{'INT' if fmt.signed else 'UINT'}{max(fmt.bits, 2 if fmt.signed else 1)}",
        out_scale=1.0,
        out_bias=float(fmt.lo),
        data_layout="NCHW" if source.is_image else "NC",
    )


_ABOUT = (
    "A low-bit integer network as QONNX, codes in float32, and a test that compares what qonnx's"
    "\nexecutor computes with the network's simulator, integer by integer."
)


def emit(
    network: Network, schedule: Schedule, vectors: Vectors, *, zero_point_half: bool = False
) -> Project:
    """``model.onnx``, vectors, and a script that runs qonnx's executor and compares.

    Parameters
    ----------
    network : Network
    schedule : Schedule
        Not used: the operators have no folds.
    vectors : Vectors that the project's own test runs and compares with
    zero_point_half : bool
        As in :func:`model`.

    Raises
    ------
    VecqError
        A layer cannot be expressed exactly, or the vectors have other shapes.
    MissingToolError
        onnx is not installed.
    """
    require(ONNX)
    reason = unsupported(network)
    if reason is not None:
        raise VecqError(f"network '{network.name}': QONNX cannot express {reason}")
    made = model(network, zero_point_half=zero_point_half)
    described: dict[str, Any] = {"executor": "qonnx", "package": "qonnx", "about": _ABOUT}
    return project(
        network,
        vectors,
        made,
        bits=dict.fromkeys(network.tensors, 32),
        qonnx=True,
        samples=_samples(network),
        **described,
    )


def _samples(network: Network) -> int:
    """The samples of one call, so that the comparisons of a MultiThreshold fit in memory."""
    compared = [
        int(np.prod(network.tensors[layer.name].shape)) * (layer.format.hi - layer.format.lo)
        for layer in network.layers
        if isinstance(layer, Rescale | Threshold)
    ]
    return max(1, min(SAMPLES, LARGEST_CALL // max(compared, default=1)))
