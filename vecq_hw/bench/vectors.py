"""Frames as text: one frame on a line, decimal integers between blanks."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

Frames = list[list[int]]


def frames_text(frames: Iterable[Sequence[int]]) -> str:
    r"""One line for each frame.

    Examples
    --------
    >>> frames_text([[1, -2], [3, 4]])
    '1 -2\n3 4\n'
    """
    return "".join(" ".join(map(str, frame)) + "\n" for frame in frames)


def read_frames(path: Path) -> Frames:
    """Read what :func:`frames_text` wrote.

    Raises
    ------
    ValueError
        A line holds something that is no integer, or lines hold different numbers of integers.
    """
    lines = path.read_text().splitlines()
    try:
        frames = [[int(number) for number in line.split()] for line in lines]
    except ValueError:
        raise ValueError("a line holds something that is no integer") from None
    if len({len(frame) for frame in frames}) > 1:
        raise ValueError("its lines hold different numbers of integers")
    return frames


def write_whole(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
