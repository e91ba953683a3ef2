"""What is under way while something takes its time: steps, bars, and the tools that run."""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

from vecq_hw.processes import Running, watching
from vecq_hw.terminal import Loudness, is_animated, loudness

WORTH_SAYING_SECONDS = 2.0
_AGAIN_SECONDS = 30.0
"""Until a log is told once more of what still runs."""

_suffix_of_step: list[Callable[[str], None]] = []
"""The step that is drawn on the terminal, if one is: it gets a text behind its own."""


def note(text: str) -> None:
    """Say on standard error what happens, unless the user wants it quiet."""
    if loudness() is not Loudness.QUIET:
        click.echo(text, err=True)


def slow_lines() -> Callable[[str], None]:
    """A function that prints a line for a log, where there is no bar to see, every two seconds."""
    said = time.monotonic()

    def tell(text: str) -> None:
        nonlocal said
        now = time.monotonic()
        if now - said > WORTH_SAYING_SECONDS and not is_animated():
            note(text)
            said = now

    return tell


@contextmanager
def activity(text: str) -> Iterator[Callable[[str], None]]:
    """Show that ``text`` is under way and for how long; the yielded function says what is next.

    On a terminal something moves; a log gets a line for each step, how long it took, and every half
    minute that it still runs and since when.
    """
    with _on_terminal(text) if is_animated() else _in_log(text) as go_on:
        yield go_on


@contextmanager
def _on_terminal(text: str) -> Iterator[Callable[[str], None]]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        begin, current = time.monotonic(), text
        task = progress.add_task(escape(text))

        def end() -> None:
            said = f"{current}: {time.monotonic() - begin:.1f} s"
            progress.console.print(said, markup=False, highlight=False)

        def go_on(text: str) -> None:
            nonlocal begin, current
            end()
            begin, current = time.monotonic(), text
            progress.reset(task, description=escape(text))

        def with_suffix(suffix: str) -> None:
            progress.update(task, description=escape(current + suffix))

        _suffix_of_step.append(with_suffix)
        try:
            yield go_on
            end()
        finally:
            _suffix_of_step.remove(with_suffix)


@contextmanager
def _in_log(text: str) -> Iterator[Callable[[str], None]]:
    # Without rich, which takes as long to import as a short command works.
    begin, current = time.monotonic(), text

    def end() -> None:
        seconds = time.monotonic() - begin
        if seconds >= WORTH_SAYING_SECONDS or loudness() is Loudness.VERBOSE:
            note(f"{current}: took {seconds:.1f} s")

    def go_on(text: str) -> None:
        nonlocal begin, current
        end()
        begin, current = time.monotonic(), text
        note(text)

    def remind() -> None:
        while not over.wait(_AGAIN_SECONDS):
            seconds = time.monotonic() - begin
            if seconds >= _AGAIN_SECONDS:
                note(f"{current}: runs since {_clock(time.time() - seconds)} ({seconds:.0f} s)")

    over = threading.Event()
    reminder = threading.Thread(target=remind, daemon=True)
    note(text)
    reminder.start()
    try:
        yield go_on
        end()
    finally:
        over.set()
        reminder.join()


@contextmanager
def progress_bar(total: int, text: str) -> Iterator[Callable[[int], None]]:
    """What the yielded function moves on, after two seconds: a bar, or lines in a log.

    Both say how much time remains.
    """
    from rich.console import Console
    from rich.progress import Progress

    animated = is_animated()
    begin = time.monotonic()
    due = begin + WORTH_SAYING_SECONDS
    with Progress(
        console=Console(stderr=True), auto_refresh=False, transient=True, disable=not animated
    ) as progress:
        task = progress.add_task(text, total=total, visible=False)

        def move(done: int) -> None:
            nonlocal due
            now = time.monotonic()
            shown = animated and now > due
            progress.update(task, completed=done, visible=shown, refresh=shown)
            if not animated and now > due and 0 < done < total:
                left = (now - begin) * (total - done) / done
                note(f"{text}: {done} of {total} after {now - begin:.0f} s, {left:.0f} s remain")
                due = now + max(WORTH_SAYING_SECONDS, min(left / 4, _AGAIN_SECONDS))

        yield move


class _Told:
    """What a log has been told of the tool that a program runs."""

    def __init__(self) -> None:
        self.since, self.due = 0.0, 0.0


@contextmanager
def tools_shown() -> Iterator[None]:
    """Say which compiler or other tool runs, and since when, once it has run for two seconds.

    On a terminal that stands behind the step; a log gets a line, and one more every half minute.
    A user who wants it verbose sees the commands and what the tools say.
    """
    running: dict[int, tuple[Running, _Told]] = {}
    lock = threading.Lock()  # programs run side by side, each in a thread

    def tell(now: Running) -> None:
        with lock:
            if now.ended:
                running.pop(now.number, None)
            else:
                told = running[now.number][1] if now.number in running else _Told()
                if now.number not in running and loudness() is Loudness.VERBOSE:
                    note(f"$ {shlex.join(now.command)}")
                running[now.number] = now, told
                if now.line is not None and loudness() is Loudness.VERBOSE:
                    note(f"  {now.line}")
                if not _suffix_of_step:
                    _log(now, told)
            for suffix in _suffix_of_step[-1:]:
                tools = dict.fromkeys(f", {_in_words(one)}" for one, _ in running.values())
                suffix("".join(tools))

    with watching(tell):
        yield


def _log(now: Running, told: _Told) -> None:
    """A line for a log, if the tool has run long enough since the last one."""
    if now.since != told.since:
        told.since, told.due = now.since, now.since + WORTH_SAYING_SECONDS
    elif time.time() >= told.due:
        note(f"{_in_words(now)} ({time.time() - now.since:.0f} s)")
        told.due = time.time() + _AGAIN_SECONDS


def _in_words(now: Running) -> str:
    return f"{now.tool} runs since {_clock(now.since)}"


def _clock(seconds: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(seconds))
