"""The streams of a top, and an identifier for each of them and for each layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import assert_never

from vecq_hw.accelerator.cells import (
    Comparison,
    Elementwise,
    Gathering,
    Join,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.streams import Fork, Link, Reframe, Stream
from vecq_hw.emit.identifiers import identifiers
from vecq_hw.emit.words import padded_bits
from vecq_hw.network import Network


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStream:
    """A stream of the top: frames of ``elements``, ``lanes`` of them in a word."""

    name: str
    elements: int
    lanes: int
    bits: int
    signed: bool

    @property
    def words(self) -> int:
        """Words in a frame; at the ports the last one may be partial."""
        return -(-self.elements // self.lanes)

    @property
    def word(self) -> int:
        """Bits of a word."""
        return self.lanes * self.bits

    @property
    def padded(self) -> int:
        """Bits of a word at the ports of the top."""
        return padded_bits(self.lanes, self.bits)


def named_streams(plan: Plan) -> tuple[dict[str, str], dict[Stream, NamedStream]]:
    """The identifier of each input and layer, and the streams of the plan with theirs."""
    network = plan.network
    names = identifiers([*plan.inputs, *(layer.name for layer in network.layers)])
    planned, words = _words(plan, names)
    # The names of tensors come first, so that they stay as they are.
    unique = identifiers(dict.fromkeys([*names.values(), *words]))
    streams = {
        stream: _stream(unique[word], stream, network)
        for stream, word in zip(planned, words, strict=True)
    }
    return {name: unique[plain] for name, plain in names.items()}, streams


def _stream(name: str, stream: Stream, network: Network) -> NamedStream:
    fmt = network.tensors[stream.tensor].format
    return NamedStream(
        name=name,
        elements=stream.elements,
        lanes=stream.lanes,
        bits=fmt.bits,
        signed=fmt.signed,
    )


def _words(plan: Plan, names: Mapping[str, str]) -> tuple[list[Stream], list[str]]:
    """All streams in the order of their cells, each with words that are its alone.

    Identifiers hold no blank, so that no layer has the name of what lies between two.
    """
    found: dict[Stream, str] = {}

    def name(stream: Stream, words: str) -> None:
        count, unique = 1, words
        while unique in found.values():
            count, unique = count + 1, f"{words} {count + 1}"
        found[stream] = unique

    for tensor, stream in plan.inputs.items():
        name(stream, names[tensor])
    for cell in plan.cells:
        match cell:
            case Link():
                reader = names.get(cell.reader, cell.reader)
                name(cell.target, f"{names[cell.target.tensor]} to {reader}")
            case Reframe():
                outside = cell.target in plan.outputs.values()
                name(cell.target, f"{names[cell.target.tensor]} {'out' if outside else 'in'}")
            case Fork():
                for stream in cell.targets:
                    name(stream, f"{names[stream.tensor]} copy")
            case Windows():
                name(cell.target, f"{names[cell.layer.name]} windows")
            case Unrolled():
                name(cell.target, names[cell.target.tensor])
            case Comparison() | Ranking() | Source():
                name(cell.target, names[cell.layer.name])
            case (
                Elementwise()
                | SerialRescale()
                | Join()
                | MatrixVector()
                | Pool()
                | Upsampling()
                | Rows()
                | Recurrence()
                | Gathering()
                | Reordering()
            ):
                name(cell.target, names[cell.layer.name])
            case _:
                assert_never(cell)
    return list(found), list(found.values())
