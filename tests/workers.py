"""Work that several processes share, which ends at once when it is stopped."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from vecq_hw.interrupts import interrupt_on_signals

Item = TypeVar("Item")
Result = TypeVar("Result")
PATIENCE = 5
"""Seconds in which a process ends its compilers and removes its folders."""


@contextlib.contextmanager
def workers(
    function: Callable[[Item], Result], jobs: int
) -> Iterator[Callable[[Iterable[Item]], Iterator[tuple[Item, Result]]]]:
    """Start ``jobs`` processes; what is yielded gives the result of each item as it is there.

    However the context ends, by Ctrl-C or by an error, none of the processes is left, and nothing
    that they started: each stops where it is.  (An executor of ``concurrent.futures`` would wait
    for all that it had begun.)  Begin the context before threads are started.
    """
    begun: list[tuple[BaseProcess, Connection]] = []
    try:
        for _ in range(jobs):
            begun.append(_started(function, [ours for _, ours in begun]))
        yield lambda items: _results(items, begun)
    finally:
        for process, connection in begun:
            process.terminate()
            connection.close()
        end = time.monotonic() + PATIENCE
        for process, _ in begun:
            process.join(max(end - time.monotonic(), 0))
            process.kill()
            process.join()


def _started(
    function: Callable[[Any], Any], others: list[Connection]
) -> tuple[BaseProcess, Connection]:
    context = get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(function, theirs, [*others, ours]), daemon=True)
    process.start()
    theirs.close()
    return process, ours


def _work(function: Callable[[Any], Any], connection: Connection, others: list[Connection]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process, which gets it too, ends us
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    interrupt_on_signals()
    for each in others:
        each.close()
    # The main process is gone, or stops us.
    with contextlib.suppress(EOFError, BrokenPipeError, KeyboardInterrupt):
        while True:
            connection.send(function(connection.recv()))


def _results(
    items: Iterable[Item], begun: list[tuple[BaseProcess, Connection]]
) -> Iterator[tuple[Item, Any]]:
    waiting = iter(items)
    free = [connection for _, connection in begun]
    processes = {connection: process for process, connection in begun}
    busy: dict[Any, Item] = {}
    while True:
        for item in waiting:
            connection = free.pop()
            connection.send(item)
            busy[connection] = item
            if not free:
                break
        if not busy:
            return
        for connection in wait(list(busy)):
            item = busy.pop(connection)
            try:
                result = connection.recv()
            except EOFError:
                processes[connection].join()
                code = processes[connection].exitcode
                raise RuntimeError(f"the process of '{item}' ended with status {code}") from None
            free.append(connection)
            yield item, result
