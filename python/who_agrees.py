"""Who computes the same integers: one digits CNN at each width on every executor there is.

    python python/who_agrees.py [--bits 1,2,...,8] [--only NAME,...] [--samples 95]

Each network is trained on the digits, lowered, and run on test images and corner vectors by the
targets of vecq verify, the netlist that yosys makes of the RTL among them, and by hls4ml's own
reading of the QONNX file.  What each gave is kept in ``--kept`` as soon as it is there; a run that
was stopped goes on where it was.  The record is docs/results/who_agrees.json, the table stands in
the README.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from benchmarks.hls4ml_front_end import outputs as front_end
from benchmarks.origin import command, commit, machine
from vecq_hw import data, storage
from vecq_hw.emit import qonnx
from vecq_hw.files import write_atomically
from vecq_hw.formats import IntArray
from vecq_hw.interrupts import interrupt_on_signals
from vecq_hw.network import Network
from vecq_hw.simulate import network_inputs, simulate
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import choose
from vecq_hw.verify.vectors import with_corners

ROOT = Path(__file__).resolve().parent.parent
WIDTHS = range(1, 9)
FRONT_END = "hls4ml-qonnx"
NAMES = {
    "onnx": "onnxruntime, standard ONNX",
    "qonnx": "qonnx, QONNX",
    FRONT_END: "hls4ml from the QONNX file, C simulation",
    "hls": "HLS C++, g++",
    "hls4ml": "hls4ml, C simulation",
    "rtl": "SystemVerilog, Verilator",
    "hls-dpi": "HLS C++ behind DPI-C, Verilator",
    "netlist": "netlist of ECP5 cells after synthesis, NumPy",
}
"""The names of the executors, the quickest first."""
BEGIN, END = "<!-- who agrees: begin -->", "<!-- who agrees: end -->"


def trained(bits: int, folder: Path) -> Network:
    """The digits CNN with weights of so many bits and activations of 8; trained once."""
    file = folder / f"digits_w{bits}.npz"
    if file.exists():
        return storage.load(file)
    import torch

    from vecq_hw.lower import lower
    from vecq_hw.train import build_model, fit, quantize_model

    digits = data.load("digits")
    torch.manual_seed(0)
    model = quantize_model(build_model("cnn", digits.shape, digits.classes), bits, 8)
    fit(model, digits, epochs=5, progress=False)
    network = lower(model, digits.shape, name=f"digits_w{bits}")
    storage.save(network, file)
    return network


def compared(name: str, network: Network, inputs: dict[str, IntArray]) -> dict[str, Any]:
    """What came of one executor: vectors, integers, mismatches, and how it ended."""
    if name == FRONT_END:
        operators = {node.op_type for node in qonnx.model(network).graph.node}
        if "MultiThreshold" in operators:
            said = "float32 has no line for a layer; hls4ml knows no MultiThreshold"
            return _row(0, 0, 0, Status.UNSUPPORTED.value, said)
        (x,) = inputs.values()
        expected = simulate(network, x).reshape(len(x), -1)
        found = front_end(network, x)
        wrong = int((found != expected).sum())
        return _row(len(x), expected.size, wrong, "failed" if wrong else "passed", "")
    (target,) = choose([name])
    with tempfile.TemporaryDirectory() as folder:
        (row,) = verify(network, inputs, targets=[target], folder=Path(folder)).rows
    return _row(row.vectors, row.outputs, row.mismatches, row.status.value, row.message)


def _row(vectors: int, integers: int, mismatches: int, status: str, said: str) -> dict[str, Any]:
    return {
        "vectors": vectors,
        "integers": integers,
        "mismatches": mismatches,
        "status": status,
        "message": said,
    }


def table(record: dict[str, dict[str, Any]]) -> str:
    """The Markdown: a row for each executor over all widths at which it ran."""
    lines = [
        "| computed by | weight bits | vectors | integers | mismatches |",
        "|---|---|---|---|---|",
    ]
    for name, title in NAMES.items():
        rows = {int(bits): row for bits, row in record.get(name, {}).items()}
        ran = {bits: row for bits, row in sorted(rows.items()) if row["vectors"]}
        others = {bits: row for bits, row in sorted(rows.items()) if not row["vectors"]}
        sums = [f"{sum(r[k] for r in ran.values()):,}" for k in _COUNTED]
        cells = [_ranges([*ran]), *sums] if ran else ["not run", "", "", ""]
        for status in sorted({row["status"] for row in others.values()}):
            left = [bits for bits, row in others.items() if row["status"] == status]
            cells[0] += f"; {_ranges(left)} {status}"
        lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


_COUNTED = ("vectors", "integers", "mismatches")


def _ranges(bits: list[int]) -> str:
    """W1..W8, or the widths one by one.

    Examples
    --------
    >>> _ranges([1, 2, 3]), _ranges([2, 4])
    ('W1..W3', 'W2, W4')
    """
    if len(bits) > 1 and bits == [*range(bits[0], bits[-1] + 1)]:
        return f"W{bits[0]}..W{bits[-1]}"
    return ", ".join(f"W{b}" for b in bits)


def in_readme(text: str, made: str) -> str:
    """The README with the table between its two marks."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def keep(file: Path, name: str, bits: int, row: dict[str, Any]) -> None:
    """Keep what one executor gave at one width, and the commit that it ran on."""
    tree = {"bits": bits, "name": name, **row, "commit": commit()}
    write_atomically(file, json.dumps(tree).encode())


def write(record: dict[str, dict[str, Any]], samples: int, out: Path, readme: Path) -> None:
    """The record and the table; each row names its own commit, since rows are kept."""
    tree = {"command": command(), "machine": machine(), "samples": samples, "executors": record}
    write_atomically(out, f"{json.dumps(tree, indent=1)}\n".encode())
    write_atomically(readme, in_readme(readme.read_text(), table(record)).encode())


def main() -> None:
    """Run what is not kept, write; end with 1 where integers differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bits", default=",".join(map(str, WIDTHS)))
    parser.add_argument("--only", default=",".join(NAMES))
    parser.add_argument("--samples", type=int, default=95)
    parser.add_argument("--kept", type=Path, default=ROOT / "build/who_agrees")
    parser.add_argument("--out", type=Path, default=ROOT / "docs/results/who_agrees.json")
    parser.add_argument("--readme", type=Path, default=ROOT / "README.md")
    arguments = parser.parse_args()
    interrupt_on_signals()
    arguments.kept.mkdir(parents=True, exist_ok=True)
    widths = [int(bits) for bits in arguments.bits.split(",")]
    work = [(name, bits) for name in arguments.only.split(",") for bits in widths]
    digits = data.load("digits")
    with Progress() as progress:
        task = progress.add_task("who agrees", total=len(work))
        for name, bits in work:
            progress.update(task, description=f"{name}, W{bits}")
            network = trained(bits, arguments.kept)
            file = arguments.kept / f"{name}-{storage.digest(network)[:16]}.json"
            if not file.exists():
                codes = network_inputs(network, digits.x_test[: arguments.samples])
                inputs = with_corners(network, np.asarray(codes))
                row = compared(name, network, inputs)
                keep(file, name, bits, row)
            progress.advance(task)
    record: dict[str, dict[str, Any]] = {}
    for file in sorted(arguments.kept.glob("*.json")):
        row = json.loads(file.read_text())
        record.setdefault(row.pop("name"), {})[str(row.pop("bits"))] = row
    write(record, arguments.samples, arguments.out, arguments.readme)
    print(table(record))
    rows = [row for of in record.values() for row in of.values()]
    raise SystemExit(any(row["status"] in ("failed", "error") for row in rows))


if __name__ == "__main__":
    main()
