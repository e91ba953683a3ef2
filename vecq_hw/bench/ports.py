"""The ends of an accelerator: from real values to codes, from codes to stream words, and back.

A project's ``manifest.json`` describes both:

    source, target = load_ports("manifest.json")
    words = source.pack(source.codes(reals))
    reals = target.reals(target.unpack(words))

Of an accelerator with several inputs or outputs, ``load_ends`` gives all of them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .words import pack_frame, unpack_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Port:
    """A stream of frames, each of them a tensor.

    Attributes
    ----------
    stream, tensor : str
        Names, of the port and in the network.
    shape : tuple of int
        (C,) or (H, W, C): row by row, pixel by pixel, the channels of a pixel one after the other.
    bits, signed, lo, hi
        The integers that an element may be.
    step : float
        The real value of code 1; a code c stands for ``c * step``.
    lanes : int
        Elements in a word, element 0 in the least significant bits.
    slot_bits : int
        From one element of a word to the next.
    word_bits : int
        Of a word; what no element takes is 0.
    extends : bool
        Whether the bits of a slot above its element continue it: a slot is then a whole integer.
    keep : bool
        Whether TKEEP marks the bytes that count, and the last word of a frame may be partial.

    Examples
    --------
    >>> port = Port(stream="s_axis", tensor="x", shape=(3,), bits=4, signed=True, lo=-8, hi=7,
    ...             step=0.5, lanes=2, slot_bits=8, word_bits=16, extends=True, keep=True)
    >>> port.codes([0.25, -9.0, 1.2]), port.reals([1, -8, 2])
    ([1, -8, 2], [0.5, -4.0, 1.0])
    >>> [hex(word) for word in port.pack([1, -8, 2])], port.unpack([0xF801, 0x0002])
    (['0xf801', '0x2'], [1, -8, 2])
    >>> port.to_bytes([0xF801, 0x0002]).hex(), port.from_bytes(bytes([1, 0xF8, 2]))
    ('01f802', [63489, 2])
    """

    stream: str
    tensor: str
    shape: tuple[int, ...]
    bits: int
    signed: bool
    lo: int
    hi: int
    step: float
    lanes: int
    slot_bits: int
    word_bits: int
    extends: bool = False
    keep: bool = False

    @property
    def elements(self) -> int:
        """Elements in a frame."""
        return math.prod(self.shape)

    @property
    def words(self) -> int:
        """Words in a frame."""
        return -(-self.elements // self.lanes)

    @property
    def frame_bytes(self) -> int:
        """The bytes of a frame that count."""
        bits = self.elements * self.slot_bits if self.keep else self.words * self.word_bits
        return bits // 8

    @property
    def keeps(self) -> tuple[int, int]:
        """TKEEP of each word of a frame but the last, and of the last."""
        rest = self.frame_bytes - (self.words - 1) * self.word_bits // 8
        return (1 << self.word_bits // 8) - 1, (1 << rest) - 1

    def codes(self, reals: Any) -> list[int]:
        """``clamp(floor(x / step + 1/2), lo, hi)`` of each real value of a frame, in order.

        Parameters
        ----------
        reals : array or (nested) sequence of :attr:`elements` numbers, channels last

        Raises
        ------
        ValueError
            There are more or fewer numbers, or one is NaN or infinite.
        """
        values = list(_flat(reals))
        if len(values) != self.elements:
            raise ValueError(
                f"stream {self.stream}: {self.elements} numbers are wanted, not {len(values)}"
            )
        if not all(map(math.isfinite, values)):
            raise ValueError(f"stream {self.stream}: a number is NaN or infinite")
        rounded = (math.floor(value / self.step + 0.5) for value in values)
        return [min(max(code, self.lo), self.hi) for code in rounded]

    def reals(self, codes: Iterable[int]) -> list[float]:
        """The real value of each code."""
        return [code * self.step for code in codes]

    def pack(self, codes: Sequence[int]) -> list[int]:
        """The words of a frame."""
        bits = self.slot_bits if self.extends else self.bits
        inner = [code & (1 << bits) - 1 for code in codes]
        return pack_frame(inner, self.lanes, self.slot_bits)

    def unpack(self, words: Iterable[int]) -> list[int]:
        """The codes of a frame."""
        slots = unpack_frame(words, self.lanes, self.slot_bits, signed=False)
        bits = self.slot_bits if self.extends else self.bits
        return unpack_frame(slots[: self.elements], 1, bits, self.signed)

    def to_bytes(self, words: Sequence[int]) -> bytes:
        """A frame's bytes that count, as a DMA reads them from memory: little-endian."""
        size = self.word_bits // 8
        return b"".join(word.to_bytes(size, "little") for word in words)[: self.frame_bytes]

    def from_bytes(self, content: bytes) -> list[int]:
        """The words of a frame from its bytes in memory."""
        size = self.word_bits // 8
        parts = (content[start : start + size] for start in range(0, self.frame_bytes, size))
        return [int.from_bytes(part, "little") for part in parts]

    def to_json(self) -> dict[str, Any]:
        """The fields, with what follows from them and is handy to read."""
        return asdict(self) | {"elements": self.elements, "words": self.words}


def port_from_json(tree: dict[str, Any]) -> Port:
    """The port that :meth:`Port.to_json` described."""
    fields = {name: tree[name] for name in Port.__dataclass_fields__}
    return Port(**{**fields, "shape": tuple(fields["shape"])})


def load_ports(manifest: str | Path) -> tuple[Port, Port]:
    """The input and the output of the project that ``manifest``, a ``manifest.json``, describes.

    Raises
    ------
    ValueError
        It has several inputs or outputs.
    """
    inputs, outputs = load_ends(manifest)
    if len(inputs) != 1 or len(outputs) != 1:
        raise ValueError(
            f"'{manifest}' has {len(inputs)} inputs and {len(outputs)} outputs; use load_ends"
        )
    return inputs[0].port, outputs[0].port


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """An input or output of a project.

    Attributes
    ----------
    port : Port
    vectors : str
        The file of its frames, in the folder of vectors and in that of results.
    """

    port: Port
    vectors: str


MANIFEST_FORMAT = 1
"""Version of the format of ``manifest.json``; one without is of the first."""


def load_ends(manifest: str | Path) -> tuple[tuple[End, ...], tuple[End, ...]]:
    """The inputs and the outputs of the project that ``manifest`` describes, in their order.

    Raises
    ------
    ValueError
        The manifest is of a later format than this reads; the message names both versions.
    """
    tree = json.loads(Path(manifest).read_text())
    version = tree.get("format", 1)
    if version not in range(1, MANIFEST_FORMAT + 1):
        raise ValueError(
            f"'{manifest}' has the format version {version!r}; this vecq reads up to"
            f" {MANIFEST_FORMAT}"
        )
    if "input" in tree:  # one of each
        source, target = (
            (End(port=port_from_json(tree[what]), vectors=f"{what}s.txt"),)
            for what in ("input", "output")
        )
        return source, target
    inputs, outputs = (
        tuple(End(port=port_from_json(end), vectors=end["vectors"]) for end in tree[what])
        for what in ("inputs", "outputs")
    )
    return inputs, outputs


def _flat(values: Any) -> Iterator[float]:
    """The numbers of an array or of nested sequences, in order."""
    for value in values.tolist() if hasattr(values, "tolist") else values:
        if hasattr(value, "__iter__"):
            yield from _flat(value)
        else:
            yield float(value)
