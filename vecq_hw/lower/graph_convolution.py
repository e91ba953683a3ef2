"""A trained graph convolutional network to the integer network that computes the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from vecq_hw.arguments import whole_number
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import Conv2d, GatherSum, Input, Layer, Rescale, Tensor, Weights
from vecq_hw.limits import MANTISSA_BITS
from vecq_hw.lower.rescale import rescale_constants, with_one_shift
from vecq_hw.lower.weights import places, steps_of, weights_at
from vecq_hw.network import Network
from vecq_hw.quantize import RowsReLU, RowsSigned, WeightQuantizer
from vecq_hw.train.graph_convolution import GraphConvolution, copied_in_double

Doubles = npt.NDArray[np.float64]


def lower_graph(model: GraphConvolution, name: str = "network", mantissa_bits: int = 32) -> Network:
    """The integer network of a trained quantized one, with its graph.

    Its input are the words of all nodes, (1, N, words) in one bit
    (:attr:`vecq_hw.data.Graph.codes`); its output the exact sums behind the states, (1, N,
    classes), of which the largest is the class of a node.

    Parameters
    ----------
    model : GraphConvolution
        With bits; trained.
    name : str
    mantissa_bits : int, 4..32
        Of the factors of nodes, sign included.  They reach from one node to another over two to
        three decades, which one shift serves, so that they need more bits than those of channels.
        Sums that lie nearer to a border between two codes than these bits tell may become the
        other code: of 189,560 scores of Cora, 8-bit messages, 63 differed by that with 24 bits, 35
        with 28 and none with 32.

    Raises
    ------
    VecqError
        The model is float, or was not trained.
    """
    least, most = MANTISSA_BITS
    bits = whole_number(mantissa_bits, f"mantissas have {least} to {most} bits", least, most)
    twin = copied_in_double(model)
    graph = model.graph
    first, messages = twin.word_quantizer, twin.messages
    second, states = twin.state_quantizer, twin.states
    if not (
        isinstance(first, WeightQuantizer)
        and isinstance(second, WeightQuantizer)
        and isinstance(messages, RowsSigned)
        and isinstance(states, RowsReLU)
    ):
        raise VecqError(
            "the network of a graph is float, so it has no integers; train it with bits"
        )
    if not (float(messages.step) > 0 and float(states.step) > 0):
        raise VecqError("the network of a graph has met no data; train it before it is lowered")
    word_weights, word_step = _weights(first, twin.word_weights)
    state_weights, _ = _weights(second, twin.state_weights)
    factor = (graph.degrees + 1.0) ** -0.5
    of_words = factor / np.maximum(graph.word_counts, 1)
    bias = twin.bias.detach().numpy()
    indptr, indices = graph.neighbours

    builder = _Layers(Tensor(shape=(1, graph.nodes, graph.words), format=_BIT, step=1.0), bits)
    builder.add(Conv2d(name="words", input="x", weights=word_weights))
    builder.codes(
        "messages", messages, (of_words * word_step)[:, np.newaxis] + np.zeros(bias.size), None
    )
    builder.add(_gather("gathered_messages", builder.last, indptr, indices, messages))
    builder.codes(
        "states",
        states,
        (factor**2 * float(messages.step))[:, np.newaxis] + np.zeros(bias.size),
        factor[:, np.newaxis] * bias,
    )
    builder.add(_gather("gathered_states", builder.last, indptr, indices, states))
    builder.add(Conv2d(name="scores", input=builder.last, weights=state_weights))
    source = Input(name="x", shape=(1, graph.nodes, graph.words), format=_BIT)
    return Network(name=name, inputs=(source,), layers=tuple(builder.layers), outputs=("scores",))


_BIT = IntFormat(1, signed=False)


class _Layers:
    """Layers one behind the other, with the tensor that the last of them makes."""

    def __init__(self, source: Tensor, mantissa_bits: int) -> None:
        self.layers: list[Layer] = []
        self._tensor, self._mantissa_bits = source, mantissa_bits

    @property
    def last(self) -> str:
        """The name of the last layer."""
        return self.layers[-1].name

    def add(self, layer: Conv2d | GatherSum | Rescale) -> None:
        """Let a layer read the last one."""
        self._tensor = layer.output(self._tensor)
        self.layers.append(layer)

    def codes(
        self, name: str, quantizer: RowsSigned | RowsReLU, factors: Doubles, offsets: Doubles | None
    ) -> None:
        """The codes of ``sum * factor + offset``; both of shape (N, C).

        All rows of a Rescale share one clamp.  So a row of fewer bits is made in the widest format
        with a step that is as many powers of two finer, and then its low bits are cut off.
        """
        widths, rows = np.array(quantizer.widths), quantizer.rows.numpy()
        shifts, spare = np.array(quantizer.shifts)[rows], (widths.max() - widths)[rows]
        steps = float(quantizer.step) * 2.0 ** (shifts - spare)
        given = np.zeros_like(factors) if offsets is None else offsets
        scale = factors / steps[:, np.newaxis]
        # floor(x / 2^k + 1/2) = floor(floor(x + 2^(k-1)) / 2^k), and a Rescale adds 1/2 itself.
        half = np.where(spare > 0, 2.0 ** (spare - 1) - 0.5, 0.0)
        zero = given / steps[:, np.newaxis] + half[:, np.newaxis]
        fmt, own = quantizer.format, float(quantizer.step)
        self.add(self._line(name, scale, zero, fmt, own))
        if spare.any():
            self.add(_cut(f"{name}_cut", self.last, spare, fmt, scale.shape[1], own))

    def _line(
        self, name: str, scale: Doubles, zero: Doubles, fmt: IntFormat, step: float
    ) -> Rescale:
        """The Rescale of one line for each distinct row."""
        channels = scale.shape[1]
        lines, rows = np.unique(np.hstack([scale, zero]), axis=0, return_inverse=True)
        constants = rescale_constants(
            lines[:, :channels].ravel().tolist(),
            lines[:, channels:].ravel().tolist(),
            self._tensor.format,
            self._mantissa_bits,
            fmt,
        )
        constants = with_one_shift(constants, len(lines))
        shape = len(lines), channels
        layer = Rescale(
            name=name,
            input=self.last,
            mantissa=np.array(constants.mantissa, np.int64).reshape(shape),
            offset=np.array(constants.offset, np.int64).reshape(shape),
            shift=np.array(constants.shift[:channels], np.int64),
            format=fmt,
            step=step,
            rows=rows.reshape(-1),
        )
        if len(lines) > 1:
            return layer
        return replace(layer, mantissa=layer.mantissa[0], offset=layer.offset[0], rows=None)


def _cut(
    name: str, source: str, spare: IntArray, fmt: IntFormat, channels: int, step: float
) -> Rescale:
    """``code >> spare`` of each row, exactly: without the half that a Rescale adds."""
    kinds, rows = np.unique(spare, return_inverse=True)
    shift = int(kinds.max()) + 1
    mantissa = np.left_shift(np.int64(1), shift - kinds)
    return Rescale(
        name=name,
        input=source,
        mantissa=np.repeat(mantissa[:, np.newaxis], channels, axis=1),
        offset=np.full((kinds.size, channels), -(1 << (shift - 1)), np.int64),
        shift=shift,
        format=fmt,
        step=step,
        rows=rows.reshape(-1),
    )


def _gather(
    name: str, source: str, indptr: IntArray, indices: IntArray, quantizer: RowsSigned | RowsReLU
) -> GatherSum:
    shifts = np.array(quantizer.shifts)[quantizer.rows.numpy()]
    own = shifts if shifts.any() else None
    return GatherSum(name=name, input=source, indptr=indptr, indices=indices, shifts=own)


def _weights(quantizer: WeightQuantizer, weights: torch.Tensor) -> tuple[Weights, float]:
    """Those of a product with each node, and their step."""
    codes = quantizer.codes(weights)
    step, _ = steps_of(codes)
    found = weights_at(codes, places(tuple(weights.shape))[:, np.newaxis, np.newaxis])
    if not isinstance(found, Weights):
        raise AssertionError(f"weights of a graph are codes of single weights, not {found!r}")
    return found, step
