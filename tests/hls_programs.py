"""Generated C++ compiled and run, many networks in one program, every layer tapped."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from tests.hls_networks import Case
from vecq_hw import assets
from vecq_hw.accelerator import plan
from vecq_hw.bench.ports import load_ends
from vecq_hw.emit import hls
from vecq_hw.emit.ports import MANIFEST
from vecq_hw.emit.project import read_outputs, read_vectors
from vecq_hw.layers import Constant, Flatten, Permute, Take
from vecq_hw.simulate import simulate
from vecq_hw.toolchain import AP_TYPES

QUICK = ("-O0", "-I", str(Path(__file__).parent / "hls/light"))
"""What compiles many networks in a fraction of the time: other streams, and no optimization."""


def bench_call(root: Path, top: str) -> str:
    """The call of a top's test bench: from ``root``/vectors to files in ``root``."""
    inputs, outputs = load_ends(root / MANIFEST)
    if len(inputs) == len(outputs) == 1:
        arguments = f'{top}, "{root}/vectors", "{root}/outputs.txt"'
        return f"vecq::testbench<{top}_input, {top}_output>({arguments})"
    made, ties = [], []
    for kind, ends, files in (
        ("Input", inputs, f'"{root}/vectors"'),
        ("Output", outputs, f'"{root}/vectors", "{root}/outputs.txt"'),
    ):
        names = [f"{kind.lower()}{place}" for place in range(len(ends))]
        for place, (name, end) in enumerate(zip(names, ends, strict=True)):
            suffix = end.port.stream[len("s_axis") :]
            frame = f"{top}_{kind.lower()}{place if suffix else ''}"
            made.append(f'vecq::{kind}End<{frame}> {name}({files}, "{suffix}");')
        ties.append(f"std::tie({', '.join(names)})")
    return f"[] {{ {' '.join(made)} return vecq::testbench({top}, {', '.join(ties)}); }}()"


def run_together(cases: list[Case], folder: Path, *flags: str) -> list[Any]:
    """What the C++ of each case computes, an array or several by name.

    It is one program, since the headers take a second to read.

    What each layer computed lies in files, see :func:`different_layers`.
    """
    lines = [f'#include "{Path(__file__).parent}/hls/tap.hpp"', '#include "vecq/testbench.hpp"']
    calls = []
    for index, case in enumerate(cases):
        project = hls.emit(case.network, case.schedule, case.vectors)
        root = project.write(folder / str(index))
        source = next(name for name in project.files if name.endswith(".cpp") and "src/" in name)
        top = Path(source).stem
        (root / source).write_text(with_taps(project.files[source], root))
        lines.append(f'#include "{index}/{source}"')
        calls.append(
            f"  result = {bench_call(root, top)}; worst = result > worst ? result : worst;"
            f' if (result != 0) std::fprintf(stderr, "case {index}\\n");'
        )
    lines += ["int main() { int result = 0, worst = 0;", *calls, "  return worst; }"]
    (folder / "all.cpp").write_text("\n".join(lines))
    subprocess.run(
        [
            # A fifth less to compile: the headers throw nothing, and memory is there.
            *("g++", "-std=c++17", "-O1", "-fno-exceptions", "--param=ggc-min-heapsize=1000000"),
            *("-Wno-unknown-pragmas", *flags),
            *("-I", "0/include", "-isystem", str(AP_TYPES.find()), "all.cpp", "-o", "all"),
        ],
        cwd=folder,
        check=True,
    )
    (folder / "suppressions").write_text("shift-base:ap_private.h\nshift-exponent:ap_private.h\n")
    environment = {**os.environ, "UBSAN_OPTIONS": "suppressions=suppressions"}
    result = subprocess.run(["./all"], cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode in (0, 1), result.stderr[-3000:]
    for word in ("runtime error", "Sanitizer"):  # its exit status is 1 too
        assert word not in result.stderr, result.stderr[-3000:]
    roots = [folder / str(index) for index in range(len(cases))]
    outputs = [read_outputs(root, root / MANIFEST) for root in roots]
    differ = any(
        not np.array_equal(found, read_vectors(root / "vectors" / end.vectors))
        for root in roots
        for end in load_ends(root / MANIFEST)[1]
        for found in [read_vectors(root / end.vectors)]
    )
    assert result.returncode == differ, result.stderr[-3000:]
    return outputs


def with_taps(top: str, root: Path) -> str:
    """The text of a top in which each stage also copies what it wrote to a file."""
    blocks = top.split("\n\n")
    for index, block in enumerate(blocks):
        stream = re.search(r"> (\w+_stream)\(", block)
        if stream is not None:
            call = f'  tap({stream[1]}, "{root}/{stream[1]}.bin");'
            blocks[index] = f"{block.removesuffix(chr(10))}\n{call}"
    return "\n\n".join(blocks)


def compared_layers(case: Case, root: Path, at_a_time: int = 100) -> dict[str, tuple[int, int]]:
    """For each layer that has a stage: integers compared with the simulator's, and different ones.

    Parameters
    ----------
    at_a_time : int
        Frames whose every layer is kept in memory at once.
    """
    constants = {la.name for la in case.network.layers if isinstance(la, Constant)}
    built = plan(case.network, case.schedule).busy
    names = [
        layer.name
        for layer in case.network.layers
        if layer.name in built or not isinstance(layer, Flatten | Take | Permute)
    ]
    written = {}
    for name in names:
        fmt = case.network.tensors[name].format  # vecq::IntFormat::Value
        kind = np.int32 if fmt.bits + (not fmt.signed) <= 32 else np.int64
        elements = np.fromfile(root / f"{name}_stream.bin", kind)
        written[name] = elements.reshape(len(case.vectors.inputs), -1)
    counts = dict.fromkeys(names, (0, 0))
    for start in range(0, len(case.vectors.inputs), at_a_time):
        frames = slice(start, start + at_a_time)
        taps = simulate(case.network, case.vectors.inputs[frames], taps=names)
        for name, tap in taps.items():
            found, wanted = written[name][frames], tap.reshape(len(tap), -1)
            if name in constants:  # repeated where its reader wants it at each position
                wanted = np.tile(wanted, found.shape[1] // wanted.shape[1])
            wrong = found != wanted
            compared, different = counts[name]
            counts[name] = (compared + wrong.size, different + int(wrong.sum()))
    return counts


def different_layers(case: Case, root: Path) -> list[str]:
    """The layers whose C++ wrote other integers than the simulator."""
    return [name for name, (_, wrong) in compared_layers(case, root).items() if wrong]


def compile_cxx(source: Path, program: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    include = ("-I", str(assets.hls_include()), "-isystem", str(AP_TYPES.find()))
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-label")
    return subprocess.run(
        ["g++", "-std=c++17", *warnings, *flags, *include, str(source), "-o", str(program)],
        capture_output=True,
        text=True,
    )
