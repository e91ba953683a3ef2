"""Product quantization (Stock et al., *And the Bit Goes Down: Revisiting the Quantization of Neural
Networks*, ICLR 2020): blocks of weights, each of which is a word of a book.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import torch
from torch import nn

from vecq_hw import arithmetic
from vecq_hw.arguments import member, real_number, truth_value, whole_number
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat, MidRise, TwosComplement
from vecq_hw.quantize.clusters import clustered
from vecq_hw.quantize.codes import ProductCodes, ScalarCodes, WeightCodes
from vecq_hw.quantize.settings import Option
from vecq_hw.quantize.vecq import Vecq
from vecq_hw.quantize.weights import WeightQuantizer, check_weights

MOST_INDEX_BITS = 8
"""Index bits of a book whose words are not given: 256 words, as the paper has for convolutions."""
MOST_WORDS = 1 << 16
BOOK_SHARE = 0.5
"""The most bits that a book, where its sizes are not given, adds to each weight of its layer."""


class BlockOrder(enum.StrEnum):
    """Which weights of an output are a block."""

    CHANNELS = "channels"
    """Neighbouring input channels at one tap, which hardware reads side by side."""
    TAPS = "taps"
    """Neighbours in torch's order, as in the paper: of a 3 × 3 kernel, 9 are those of a channel."""


class ProductQuantization(WeightQuantizer):
    """Blocks of neighbouring weights as words of a book that their layer shares.

    At first the weights are float.  Then, layer by layer, each block gets the word that costs the
    outputs of its layer least (:func:`vecq_hw.quantize.clusters.clustered`), and keeps it.  From
    then on the words are trained, the gradient of each being the mean of those of its blocks
    (section 3.3 there).  They are integers times one step, the largest being the last code, while
    they train as afterwards.

    Layers with few input channels, such as the first convolution of a network, which the paper
    leaves float, have scalar weights, by VecQ.

    Parameters
    ----------
    w : float tensor, outputs along axis 0, inputs along axis 1
    bits : int, 1..8
        Of the index of a block for each of its weights, as near as a book allows.
    block : int, optional
        The most weights of a block; the largest divisor of the channels up to it is taken.  Without
        it, the largest block whose index has up to 8 bits, and whose book adds half a bit or less
        to each weight of the layer.
    words : int, optional
        2, 4, 8, ... 65536 of a book; without it by the bits and the block, at most 256.
    order : BlockOrder
        Whether the weights of a block are of neighbouring channels at one tap or of the taps of one
        channel.
    iterations : int, 0 or more
        Of the search for words.
    weighted : bool
        Whether the search minimizes the error of the outputs rather than that of the weights.
    book_bits : int, 2..16
        Of each weight in a word.
    least_blocks : int, 0 or more
        How many blocks a layer has at least for each word: it bounds the words; 0 does not.
    scalar_channels : int, 0 or more
        With fewer input channels than that, a layer has scalar weights.
    scalar_bits : int, 1..16
        Of a scalar weight.
    start, end : float, 0..1
        Which part of training is done when the first layer of a network gets its words, and the
        last; the others follow one another between them.
    distilled : bool
        Whether from ``start`` on the scores of the network as it was then are learned, in place of
        the labels: of use where that network was trained to its end.
    """

    BITS = range(1, 9)
    BLOCKS = True
    PRETRAINED: ClassVar[Mapping[str, Option]] = {"start": 0.0, "distilled": True}

    indices: torch.Tensor
    assigned: torch.Tensor

    def __init__(
        self,
        w: torch.Tensor,
        bits: int = 1,
        block: int | None = None,
        words: int | None = None,
        order: BlockOrder | str = BlockOrder.CHANNELS,
        iterations: int = 25,
        weighted: bool = True,
        book_bits: int = 8,
        least_blocks: int = 4,
        scalar_channels: int = 4,
        scalar_bits: int = 8,
        start: float = 0.25,
        end: float = 0.5,
        distilled: bool = False,
    ) -> None:
        super().__init__(w, bits)
        if block is not None:
            block = whole_number(block, "block is 1 or more weights", 1)
        if words is not None:
            wanted = f"words is 2, 4, 8, ... {MOST_WORDS}"
            words = whole_number(words, wanted, 2, MOST_WORDS)
            if words & (words - 1):
                raise VecqError(f"{wanted}, not {words}")
        self.order = member(BlockOrder, order, "order")
        self.iterations = whole_number(iterations, "iterations is 0 or more", 0)
        self.weighted = truth_value(weighted, "weighted is True or False")
        self.distilled = truth_value(distilled, "distilled is True or False")
        self.book_bits = whole_number(book_bits, "book_bits is 2 to 16", 2, 16)
        least = whole_number(least_blocks, "least_blocks is 0 or more", 0)
        few = whole_number(scalar_channels, "scalar_channels is 0 or more", 0)
        scalar_bits = whole_number(scalar_bits, "scalar_bits is 1 to 16", 1, 16)
        wanted = "start and end are parts of training, 0 <= start <= end <= 1"
        self.start, self.end = real_number(start, wanted), real_number(end, wanted)
        if not 0 <= self.start <= self.end <= 1:
            raise VecqError(f"{wanted}, not {start!r} and {end!r}")
        scalar = w.ndim < 2 or w.shape[1] < few
        self.scalar = Vecq(w, scalar_bits) if scalar else None
        if self.scalar is not None:
            return
        self._shape = w.shape
        inputs = w.shape[1] if self.order is BlockOrder.CHANNELS else w[0].numel()
        self.block, self.words = _sizes(
            w.numel(), inputs, self.bits, block, words, least, self.book_bits
        )
        self.book = nn.Parameter(w.detach().new_zeros(self.words, self.block))
        count = w.numel() // self.block
        self.register_buffer("indices", torch.zeros(count, dtype=torch.int32, device=w.device))
        self.register_buffer("assigned", torch.zeros((), dtype=torch.bool, device=w.device))

    @property
    def grid(self) -> TwosComplement | MidRise:
        """The grid of the weights in the words, of which the lowest code stays unused."""
        return TwosComplement(self.book_bits) if self.scalar is None else self.scalar.grid

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The integer value of each weight, and the step."""
        if self.scalar is not None:
            return self.scalar.integers(w)
        book, indices = self._words(w)
        codes, step = _book_integers(book, self.book_bits)
        return self._weights(codes[indices]), step

    def forward(self, w: torch.Tensor) -> torch.Tensor:
        """The weights as they are, later the words of their blocks: a gradient to these alone."""
        if self.scalar is not None:
            result: torch.Tensor = self.scalar(w)
            return result
        if not bool(self.assigned):
            return w
        return self._weights(_Blocks.apply(self.book, self.indices, self.book_bits))  # type: ignore[no-untyped-call]

    def calibrate(
        self,
        w: torch.Tensor,
        moments: torch.Tensor | None = None,
        tell: Callable[[int], object] = lambda iteration: None,
    ) -> None:
        """Give each block of the weights its word, for good.

        Parameters
        ----------
        moments : tensor of shape (block, block), optional
            Second moments of the inputs that meet a block.
        tell : callable
            Called before each iteration of the search with its number, from 0.

        Raises
        ------
        VecqError
            Weights that are NaN, infinite or all zero; moments that are not finite.
        """
        if self.scalar is not None:
            return
        check_weights(w)
        with torch.no_grad():
            moments = moments if self.weighted else None
            blocks = self._blocks(w.detach())
            book, indices = clustered(blocks, self.words, moments, self.iterations, tell)
            self.book.copy_(book)
            self.indices.copy_(indices)
            self.assigned.fill_(True)

    def advance(self, w: torch.Tensor, progress: float) -> None:
        """Give blocks their words by the weights alone, if they have none at the end."""
        if progress >= self.end and self.waits:
            self.calibrate(w)

    @property
    def waits(self) -> bool:
        """Whether blocks have yet to get their words."""
        return self.scalar is None and not bool(self.assigned)

    def codes(self, w: torch.Tensor) -> WeightCodes:
        """What the integer network stores; words as they are found first where there are none yet.

        Raises
        ------
        VecqError
            Words that training made unusable; without words, weights that are NaN, infinite or all
            zero.
        """
        if self.scalar is not None:
            return self.scalar.codes(w)
        with torch.no_grad():
            book, indices = self._words(w)
            codes, step = _book_integers(book, self.book_bits)
            if not bool(torch.isfinite(book).all()) or not bool(codes.any()):
                raise VecqError(
                    f"training made the words of its {type(self).__name__} weights 0 or infinite;"
                    " use a lower learning rate"
                )
            integers, step = codes.to(torch.int16), step.double()
            if self.order is BlockOrder.TAPS:
                return ScalarCodes(self._weights(integers[indices]), self.grid, step)
            outputs, inputs = self._shape[:2]
            indices = indices.reshape(outputs, *self._shape[2:], inputs // self.block)
            return ProductCodes(indices.movedim(-1, 1), integers, self.grid, step)

    def extra_repr(self) -> str:
        """What ``repr`` shows between the brackets."""
        return f"bits={self.bits}" + (
            "" if self.scalar else f", {self.words} words of {self.block}"
        )

    def _words(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Words and the index of each block; what a search begins with before there was one."""
        if bool(self.assigned):
            return self.book.detach(), self.indices
        check_weights(w)
        return clustered(self._blocks(w.detach()), self.words, iterations=0)

    def _blocks(self, w: torch.Tensor) -> torch.Tensor:
        """(outputs, inputs, ...) as blocks, (n, block): those of one tap side by side."""
        if self.order is BlockOrder.CHANNELS:
            w = w.movedim(1, -1)
        return w.reshape(-1, self.block)

    def _weights(self, blocks: torch.Tensor) -> torch.Tensor:
        """The weights that :meth:`_blocks` made ``blocks`` of; their channels lie side by side."""
        if self.order is BlockOrder.CHANNELS:
            outputs, channels, *taps = self._shape
            return blocks.reshape(outputs, *taps, channels).movedim(-1, 1)
        return blocks.reshape(self._shape)

    def _load_from_state_dict(self, state: Any, prefix: str, *rest: Any) -> None:
        """Refuse indices without a word, whatever wrote them."""
        super()._load_from_state_dict(state, prefix, *rest)
        if self.scalar is not None:
            return
        low, high = self.indices.min(), self.indices.max()
        if not 0 <= int(low) <= int(high) < self.words:
            rest[-1].append(f"{prefix}indices leave the book of {self.words} words")


class _Blocks(torch.autograd.Function):
    """Words by index, as integers times a step; a word's gradient is the mean of its blocks'."""

    @staticmethod
    def forward(context: Any, book: torch.Tensor, indices: torch.Tensor, bits: int) -> torch.Tensor:
        codes, step = _book_integers(book, bits)
        context.save_for_backward(indices)
        context.words = len(book)
        return (codes * step).index_select(0, indices)

    @staticmethod
    def backward(context: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        (indices,), (gradient,) = context.saved_tensors, gradients
        counts = torch.bincount(indices, minlength=context.words).clamp(min=1)
        sums = gradient.new_zeros(context.words, gradient.shape[1])
        return sums.index_add_(0, indices, gradient) / counts[:, None], None, None


def _book_integers(book: torch.Tensor, bits: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Integers of a book of which the largest is the last code, and their step."""
    most = (1 << (bits - 1)) - 1
    step = book.abs().amax().clamp(min=torch.finfo(book.dtype).tiny) / most
    fmt = IntFormat(bits, True, -most, most)
    return arithmetic.quantize(book, step, fmt, floor=torch.floor), step


def _sizes(
    count: int,
    inputs: int,
    bits: int,
    block: int | None,
    words: int | None,
    least: int,
    book_bits: int,
) -> tuple[int, int]:
    """The weights of a block and the words of a book.

    Examples
    --------
    >>> _sizes(512 * 3136, 3136, 1, None, None, 4, 8), _sizes(64 * 64, 64, 1, None, None, 4, 8)
    ((8, 256), (4, 16))
    >>> _sizes(64 * 64, 64, 2, None, None, 4, 8), _sizes(50 * 20, 20, 2, 8, 64, 4, 8)
    ((2, 16), (5, 32))
    """
    if block is not None:
        block = _divisor(inputs, block)
    elif words is not None:
        block = _divisor(inputs, max(round((words.bit_length() - 1) / bits), 1))
    else:
        block = next(
            (
                size
                for size in range(min(MOST_INDEX_BITS // bits, inputs), 1, -1)
                if not inputs % size
                and (size << (size * bits)) * book_bits <= BOOK_SHARE * count
                and (size << (size * bits)) * least <= count
            ),
            1,
        )
    if words is None:
        words = 1 << min(bits * block, MOST_INDEX_BITS)
    blocks = count // block
    words = min(words, 1 << max((blocks - 1).bit_length(), 1))
    if least:
        words = min(words, 1 << (max(blocks // least, 2).bit_length() - 1))
    return block, words


def _divisor(number: int, most: int) -> int:
    """The largest divisor of ``number`` up to ``most``."""
    return next(size for size in range(min(most, number), 0, -1) if not number % size)
