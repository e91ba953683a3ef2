"""A complete unit that multiplies small floats as floats, to be measured and not used.

All but the array is what ``emit.systemverilog`` makes of a Dense and a Rescale: the array's place
is taken by ``significand_unit.sv``, the memories hold codes of floats, and the controls wait for
the cycles more that this array takes.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.rtl_area import ACTIVATIONS, INPUTS, LANES, unit_network
from vecq_hw.accelerator.memories import pair_rows
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.emit.systemverilog.parameters import memory_text
from vecq_hw.formats import IntArray, IntFormat, MiniFloat
from vecq_hw.layers import Weights
from vecq_hw.schedule import Fold, FoldKind
from vecq_hw.simulate import simulate
from vecq_hw.verify.rtl import emit

_FOLDER = Path(__file__).parent
_LATENCY = " + Stages + $clog2(ArrayBits);"
CYCLES_MORE = 2
"""Than the array of planes takes, for five to eight of them."""


@dataclass(frozen=True, slots=True)
class Activations:
    """Unsigned integers, or the positive half of a small float's levels."""

    name: str
    format: IntFormat
    grid: MiniFloat | None = None

    @property
    def levels(self) -> IntArray | None:
        """Ascending."""
        if self.grid is None:
            return None
        return self.grid.values(np.arange(1 << (self.grid.bits - 1))).astype(np.int64)

    @property
    def code(self) -> IntFormat:
        """The format of the codes that the array of significands reads."""
        bits = self.format.bits if self.grid is None else self.grid.bits - 1
        return IntFormat(bits, signed=False)

    def values(self, codes: IntArray) -> IntArray:
        """The integers of codes."""
        levels = self.levels
        return codes if levels is None else levels[codes]

    def codes(self, values: IntArray) -> IntArray:
        """The codes of integers."""
        levels = self.levels
        return values if levels is None else np.searchsorted(levels, values)


BYTES = Activations("8 bits", ACTIVATIONS)


def significand_unit(
    grid: MiniFloat, activations: Activations, outputs: int, samples: int = 1
) -> Project:
    """The unit with vectors that it must compute: codes in, codes out."""
    generator, limits = np.random.default_rng(grid.bits), grid.code_format
    codes = generator.integers(limits.lo, limits.hi + 1, (outputs, INPUTS))
    network, schedule = unit_network(
        Weights(codes=codes, grid=grid),
        FoldKind.STREAMING,
        generator,
        activations.format,
        activations.levels,
    )
    inputs = generator.integers(0, activations.code.hi + 1, (samples, INPUTS))
    given = activations.values(inputs)
    wanted = simulate(network, given)
    project = emit(network, schedule, Vectors(inputs=given, outputs=wanted))
    coded = Vectors(inputs=inputs, outputs=activations.codes(np.asarray(wanted)))
    files = {name: str(text) for name, text in project.files.items()} | coded.files()
    if activations.grid is not None:
        table = "rtl/levels_table.mem"
        lines = [line for line in files[table].splitlines() if not line.startswith("//")]
        levels = np.array([int(line, 16) for line in lines])
        files[table] = memory_text(activations.codes(levels)[:, None], 1, activations.format.bits)
    files |= _array(files, grid, activations)
    files |= _memories(files["rtl/unit.sv"], grid, codes, schedule.folds["dense"])
    files[MANIFEST] = _later(files[MANIFEST])
    return replace(project, files=files)


def _later(manifest: str) -> str:
    """The manifest of a unit whose words come so many cycles later."""
    tree = json.loads(manifest)
    cycles = tree["cycles"]
    cycles["latency"] += CYCLES_MORE
    cycles["frame_ends"] = [cycle + CYCLES_MORE for cycle in cycles["frame_ends"]]
    return json.dumps(tree)


def _array(files: dict[str, str], grid: MiniFloat, activations: Activations) -> dict[str, str]:
    """The cells that are other ones."""
    floats = activations.grid
    values = {
        "WEIGHT_BITS": grid.bits,
        "ACTIVATION_FRACTION": 0 if floats is None else floats.fraction,
        "ACTIVATION_BITS": activations.code.bits,
        "FRACTION": grid.fraction,
        "FLOATS": f"1'b{int(floats is not None)}",
    }
    text = (_FOLDER / "significand_unit.sv").read_text()
    head, _, body = text.partition("module ")
    for name, value in values.items():
        body = body.replace(name, str(value))
    around = "rtl/vecq_matrix_vector.sv"
    if files[around].count(_LATENCY) != 1:
        raise RuntimeError(f"{around} does not say its latency as '{_LATENCY}'")
    rows = (_FOLDER / "significand_rows.sv").read_text()
    return {
        around: files[around].replace(_LATENCY, f" + {CYCLES_MORE}{_LATENCY}"),
        # One file, so that the project's list of files stays.
        "rtl/vecq_pair_row_array.sv": f"{rows}\n{head}module {body}",
    }


def _memories(top: str, grid: MiniFloat, codes: IntArray, fold: Fold) -> dict[str, str]:
    """Codes of weights, and start values that take off what the array adds."""
    # The accumulators are as narrow as the sums of these weights allow.
    planes, of_input, accumulator = (
        int(re.findall(rf"\.{name}\((\d+)\)", top)[0])
        for name in ("WeightBits", "InputBits", "AccumulatorBits")
    )
    sum_bits = min(of_input + (LANES // 2).bit_length() + planes, accumulator)
    steps = pair_rows.in_steps(codes, fold)
    negative = (codes[:, LANES - 1 :: LANES] >> (grid.bits - 1)).sum(axis=1)
    starts = negative - (INPUTS // LANES << (sum_bits - 1))
    return {
        "rtl/dense_weights.mem": memory_text(steps, steps.shape[1], planes),
        "rtl/dense_bias.mem": memory_text(starts, LANES, accumulator),
    }
