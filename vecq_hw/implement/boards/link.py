"""The host's side of ``rtl/vecq_uart_link.sv``: packets, and which frames were answered.

Nothing here reads or writes a line; :class:`Exchange` is told what came and says what is to go, so
that a serial port and a simulator use the same code.  It needs Python alone: a folder of ``vecq
board`` carries a copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

END, ESCAPE, ESCAPED_END, ESCAPED_ESCAPE = 0xC0, 0xDB, 0xDC, 0xDD
WINDOW = 2
"""Frames under way: as many as the link has room for in front of the accelerator."""


def checksum(data: bytes) -> int:
    """The CRC-16 of a packet: polynomial 0x1021, begun with all ones, the highest bit first.

    Examples
    --------
    >>> hex(checksum(b"123456789"))
    '0x29b1'
    """
    total = 0xFFFF
    for byte in data:
        total ^= byte << 8
        for _ in range(8):
            total = (total << 1 ^ 0x1021) & 0xFFFF if total & 0x8000 else total << 1
    return total


def packet(number: int, payload: bytes) -> bytes:
    r"""A packet as it goes over the line.

    Examples
    --------
    >>> packet(7, b"\xc0").hex()
    'c007dbdc5dd4c0'
    """
    plain = bytes([number]) + payload
    plain += checksum(plain).to_bytes(2, "big")
    escaped = bytearray()
    for byte in plain:
        if byte == END:
            escaped += bytes([ESCAPE, ESCAPED_END])
        elif byte == ESCAPE:
            escaped += bytes([ESCAPE, ESCAPED_ESCAPE])
        else:
            escaped.append(byte)
    return bytes([END, *escaped, END])


class Reader:
    """Finds whole packets in what comes from the line; what is damaged is passed over.

    Parameters
    ----------
    length : int
        Bytes of a payload.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._bytes = bytearray()
        self._escaped = self._broken = False

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Number and payload of each packet that ends in ``data``."""
        for byte in data:
            if byte == END:
                plain = bytes(self._bytes)
                good = len(plain) == self._length + 3 and not self._broken and not self._escaped
                if good and checksum(plain) == 0:
                    yield plain[0], plain[1:-2]
                self._bytes.clear()
                self._escaped = self._broken = False
            elif self._escaped:
                self._broken |= byte not in (ESCAPED_END, ESCAPED_ESCAPE)
                self._bytes.append(END if byte == ESCAPED_END else ESCAPE)
                self._escaped = False
            elif byte == ESCAPE:
                self._escaped = True
            elif len(self._bytes) < self._length + 4:
                self._bytes.append(byte)


class Exchange:
    """Frames to send, and what came back for each.

    Answers come in the order of their frames: an answer tells that those before it that are still
    open have failed.

    Parameters
    ----------
    frames : sequence of bytes
        Payloads.
    answer_length : int
        Bytes of an answer's payload.

    Attributes
    ----------
    answers : list of bytes or None
        For each frame, None where it failed or is still open.
    failed : list of int
        The numbers of frames, from 0, of which no answer will be taken any more.
    """

    def __init__(self, frames: Sequence[bytes], answer_length: int) -> None:
        self.answers: list[bytes | None] = [None] * len(frames)
        self.failed: list[int] = []
        self._frames, self._reader = frames, Reader(answer_length)
        self._next = 0
        self._open: list[int] = []

    @property
    def done(self) -> bool:
        """Whether every frame was answered or has failed."""
        return self._next == len(self._frames) and not self._open

    def to_send(self) -> bytes:
        """What may go now; empty while enough frames are under way."""
        going = b""
        while len(self._open) < WINDOW and self._next < len(self._frames):
            going += packet(self._next & 0xFF, self._frames[self._next])
            self._open.append(self._next)
            self._next += 1
        return going

    def take(self, data: bytes) -> None:
        """What came from the line."""
        for number, payload in self._reader.feed(data):
            found = [frame for frame in self._open if frame & 0xFF == number]
            if found:
                place = self._open.index(found[0])
                self.failed += self._open[:place]
                self.answers[found[0]] = payload
                del self._open[: place + 1]

    def give_up(self) -> None:
        """Nothing came for so long that the frames under way have failed."""
        self.failed += self._open
        self._open.clear()
