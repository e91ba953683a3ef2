"""vecq_uart_link: packets through serial lines, good, damaged, too many, in front of an echo."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import cocotb
from cocotb.triggers import ClockCycles, FallingEdge, First, Timer

from rtl_tests.harness import equal
from vecq_hw.bench.stream import CLOCK_NS, start_clock
from vecq_hw.implement.boards.link import END, Exchange, Reader, packet

CLOCKS_PER_BIT = 4
BYTES = 6
TOP = f"""module echo (
  input  logic clk_i, rst_ni, rx_i, wait_i,
  output logic tx_o, dropped_o
);
  logic valid, ready, last, back_valid, back_ready;
  logic [15:0] data, back;
  logic unused;
  assign unused = last;

  vecq_uart_link #(
    .ClocksPerBit({CLOCKS_PER_BIT}), .WordsIn(3), .BitsIn(16), .WordsOut(3), .BitsOut(16)
  ) link (
    .clk_i, .rst_ni, .rx_i, .tx_o, .dropped_o,
    .valid_o(valid), .ready_i(ready && !wait_i), .data_o(data), .last_o(last),
    .valid_i(back_valid), .ready_o(back_ready), .data_i(back)
  );
  vecq_fifo #(.LanesIn(1), .LanesOut(1), .ElementBits(16), .Capacity(12)) fifo (
    .clk_i, .rst_ni, .valid_i(valid && !wait_i), .ready_o(ready), .data_i(data),
    .valid_o(back_valid), .ready_i(back_ready), .data_o(back)
  );
endmodule
"""


class Line:
    """A serial line to and from a design under test."""

    def __init__(self, dut: Any, clocks_per_bit: int = CLOCKS_PER_BIT) -> None:
        self._dut, self._bit = dut, CLOCK_NS * clocks_per_bit
        self.received = bytearray()
        dut.rx_i.value = 1
        self._task = cocotb.start_soon(self._receive())

    async def send(self, data: bytes) -> None:
        for byte in data:
            for bit in (0, *((byte >> n) & 1 for n in range(8)), 1):
                self._dut.rx_i.value = bit
                await Timer(self._bit, "ns")

    async def _receive(self) -> None:
        while True:
            await FallingEdge(self._dut.tx_o)
            await Timer(self._bit // 2, "ns")
            byte = 0
            for bit in range(8):
                await Timer(self._bit, "ns")
                byte |= int(self._dut.tx_o.value) << bit
            await Timer(self._bit, "ns")
            assert int(self._dut.tx_o.value) == 1, "no stop bit"
            self.received.append(byte)

    def take(self) -> bytes:
        taken = bytes(self.received)
        self.received.clear()
        return taken

    async def silence(self, bytes_long: int) -> None:
        await Timer(10 * bytes_long * self._bit, "ns")


async def exchange(
    line: Line,
    frames: Sequence[bytes],
    answer_length: int,
    spoil: Callable[[bytes], bytes] = bytes,
    patience: int = 40,
) -> Exchange:
    """Send frames and take answers; what ``spoil`` makes of bytes is what arrives, either way."""
    whole = Exchange(frames, answer_length)
    while not whole.done:
        going = whole.to_send()
        sending = cocotb.start_soon(line.send(spoil(going)))
        waited = 0
        while waited < patience:
            came = line.take()
            if came:
                before = len(whole.answers) - whole.answers.count(None)
                whole.take(spoil(came))
                waited = 0
                if len(whole.answers) - whole.answers.count(None) > before:
                    break
            await First(
                sending, Timer(10 * CLOCK_NS, "ns")
            ) if not sending.done() else await line.silence(1)
            waited += sending.done()
        else:
            whole.give_up()
        await sending
    return whole


async def start(dut: Any) -> Line:
    start_clock(dut.clk_i)
    dut.rst_ni.value = 0
    dut.wait_i.value = 0
    line = Line(dut)
    await ClockCycles(dut.clk_i, 5)
    dut.rst_ni.value = 1
    await ClockCycles(dut.clk_i, 5)
    return line


def frames(seed: int, count: int) -> list[bytes]:
    """Random ones, every second of nothing but the bytes that are escaped."""
    draw = random.Random(seed)
    special = [END, 0xDB, 0xDC, 0xDD]
    return [
        bytes(draw.choice(special) if n % 2 else draw.randrange(256) for _ in range(BYTES))
        for n in range(count)
    ]


@cocotb.test()
async def frames_come_back(dut: Any) -> None:
    line = await start(dut)
    sent = frames(1, 40)
    whole = await exchange(line, sent, BYTES)
    assert whole.failed == []
    equal("answers", whole.answers, sent)


@cocotb.test()
async def every_single_loss_and_doubling_costs_one_frame(dut: Any) -> None:
    """Three packets: the middle one lacks a byte, or has it twice; the others are answered."""
    line = await start(dut)
    sent = frames(2, 4)
    middle = packet(1, sent[1])
    for place in range(len(middle)):
        for spoiled in (
            middle[:place] + middle[place + 1 :],
            middle[:place] + middle[place : place + 1] + middle[place:],
            middle[:place] + bytes([middle[place] ^ 0x21]) + middle[place + 1 :],
        ):
            await line.send(packet(0, sent[0]) + spoiled + packet(2, sent[2]))
            await line.silence(60)
            answers = list(Reader(BYTES).feed(line.take()))
            kept = [] if _differs(spoiled, middle) else [(1, sent[1])]
            assert answers == [(0, sent[0]), *kept, (2, sent[2])], (place, spoiled.hex(), answers)


def _differs(spoiled: bytes, whole: bytes) -> bool:
    """Whether a packet says something else; one End more or less between packets does not."""
    return spoiled.strip(bytes([END])) != whole.strip(bytes([END]))


@cocotb.test()
async def what_finds_no_room_is_dropped_whole(dut: Any) -> None:
    line = await start(dut)
    sent = frames(3, 4)
    dut.wait_i.value = 1
    for number, frame in enumerate(sent):
        await line.send(packet(number, frame))
    dut.wait_i.value = 0
    await line.silence(80)
    assert list(Reader(BYTES).feed(line.take())) == [(0, sent[0]), (1, sent[1])]
    await line.send(packet(9, sent[3]))
    await line.silence(40)
    assert list(Reader(BYTES).feed(line.take())) == [(9, sent[3])]


@cocotb.test()
async def the_host_says_which_frames_failed(dut: Any) -> None:
    """One byte in fifty is lost or doubled on both lines; every answer that comes is right."""
    line = await start(dut)
    draw = random.Random(4)
    sent = frames(5, 60)

    def spoil(data: bytes) -> bytes:
        return b"".join(
            bytes([byte]) * (1 if draw.random() > 0.02 else draw.choice((0, 2))) for byte in data
        )

    whole = await exchange(line, sent, BYTES, spoil)
    assert 5 < len(whole.failed) < 50, whole.failed
    for number, (answer, frame) in enumerate(zip(whole.answers, sent, strict=True)):
        assert answer == (None if number in whole.failed else frame)
    again = await exchange(line, sent[:3], BYTES)
    assert again.failed == []


@cocotb.test()
async def noise_and_breaks_pass(dut: Any) -> None:
    line = await start(dut)
    sent = frames(6, 1)
    dut.rx_i.value = 0  # a break: a byte without a stop bit
    await line.silence(2)
    dut.rx_i.value = 1
    await line.silence(2)
    dut.rx_i.value = 0  # shorter than half a bit: no start
    await Timer(CLOCK_NS, "ns")
    dut.rx_i.value = 1
    await line.silence(2)
    await line.send(bytes(range(256)))
    await line.send(packet(5, sent[0]))
    await line.silence(40)
    assert list(Reader(BYTES).feed(line.take())) == [(5, sent[0])]
