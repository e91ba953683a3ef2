"""The cells of ``rtl/`` that instantiate others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

_ROWS = ("vecq_pair_sums", "vecq_plane_sum")
_INNER: Mapping[str, Sequence[str]] = {
    "vecq_add": ("vecq_adder_tree",),
    "vecq_rom": ("vecq_memory_file",),
    "vecq_threshold": ("vecq_memory_file",),
    "vecq_rescale": ("vecq_rom",),
    "vecq_rescale_serial": ("vecq_rom", "vecq_adder"),
    "vecq_pair_sums": ("vecq_adder",),
    "vecq_pair_row_array": (*_ROWS, "vecq_adder"),
    "vecq_quad_row_array": (*_ROWS, "vecq_carry_adder"),
    "vecq_matrix_vector": (
        "vecq_rom",
        "vecq_adder",
        "vecq_pair_row_array",
        "vecq_quad_row_array",
        "vecq_replay_buffer",
        "vecq_group_buffer",
    ),
    "vecq_frame_width": ("vecq_frame_end",),
    "vecq_frame_guard": ("vecq_frame_end",),
    "vecq_sliding_window": ("vecq_window_buffer",),
    "vecq_pool": ("vecq_window_buffer",),
}


def with_inner(cells: Iterable[str]) -> list[str]:
    """Cells and all that they are made of, sorted.

    Examples
    --------
    >>> with_inner(["vecq_quad_row_array"])[:3]
    ['vecq_adder', 'vecq_carry_adder', 'vecq_pair_sums']
    """
    found: set[str] = set()
    waiting = list(cells)
    while waiting:
        cell = waiting.pop()
        if cell not in found:
            found.add(cell)
            waiting += _INNER.get(cell, ())
    return sorted(found)
