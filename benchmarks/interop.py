"""Imports of TFLite files: differing codes, time, memory, and the simulator beside LiteRT.

Each file is imported by the rules of each executor and run on images or random codes; the executor
itself judges.  The speeds are measured in turns in one process, one thread for each side.

    python -m benchmarks.interop --models FOLDER [--images FOLDER_OR_ZIP] [--out FILE.json]

``FOLDER`` holds the files of MLPerf Tiny and tflite-micro; without ``--images`` ResNet-8 sees
random codes.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.origin import origin
from benchmarks.simulator import interleaved, keep_freed_memory
from tests.interop.tflite_models import Judge, mobilenet, without_end
from vecq_hw.data.images import read_images
from vecq_hw.files import write_atomically
from vecq_hw.interop import SEMANTICS, Imported, import_bytes
from vecq_hw.simulate import simulate

RESNET = "mlperf_tiny_resnet8_int8"
FILES = (
    RESNET, "mlperf_tiny_kws_dscnn_int8", "mlperf_tiny_ad_autoencoder_int8",
    "tflm_hello_world_int8", "tflm_micro_speech_int8", "mobilenet_v1_025_96",
)  # fmt: skip
RANDOM = 200
"""Samples of random codes."""
BLOCK = 64
"""Samples of a measurement of speed."""


def contents(models: Path, name: str) -> bytes:
    """A file of the folder, or the one that is made here."""
    return mobilenet() if name.startswith("mobilenet") else (models / f"{name}.tflite").read_bytes()


def import_cost(path: Path, semantics: str) -> tuple[float, float]:
    """Processor seconds and MiB that importing a file takes, in a process of its own (Linux)."""
    program = (
        "import re, sys, time\n"
        "from pathlib import Path\n"
        "from vecq_hw.interop import import_file\n"
        "import vecq_hw.interop.tflite_walk\n"
        "status = Path('/proc/self/status')\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', status.read_text())[1]) / 1024\n"
        "before, start = peak(), time.process_time()\n"
        f"import_file(Path(sys.argv[1]), semantics={semantics!r})\n"
        "print(time.process_time() - start, peak() - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )
    seconds, mebibytes = map(float, done.stdout.split())
    return round(seconds, 2), round(mebibytes, 1)


def memories(made: Imported) -> dict[str, Any]:
    """Bits of weights, of thresholds alone, and of what is stored for them."""
    found = made.report.requantizations
    weights = made.report.weight_bits
    alone = sum(one.threshold_bits for one in found)
    stored = sum(one.stored_bits for one in found)
    held = [one.held_as for one in found]
    return {
        "weight_bits": weights,
        "threshold_bits": alone,
        "stored_bits": stored,
        "thresholds_over_weights": round(alone / weights, 3),
        "stored_over_weights": round(stored / weights, 3),
        "held_as": {kind: held.count(kind) for kind in sorted(set(held))},
        "channels_without_line": sum(one.without_line for one in found),
        "mantissa_bits": max((one.mantissa_bits for one in found), default=0),
    }


def compare(made: Imported, data: bytes, semantics: str, codes: np.ndarray, labels: Any) -> Any:
    """Codes that differ from the executor's, and the accuracy of both where there are labels."""
    (first,), (last,) = made.report.inputs, made.report.outputs
    judge = Judge(without_end(data) if made.report.dropped else data, semantics)
    wanted = np.stack([judge.run(sample)[0] for sample in codes]).reshape(len(codes), -1)
    given = (codes.astype(np.int64) - first.zero_point).reshape(-1, *first.shape)
    found = simulate(made.network, given).astype(np.int64).reshape(len(codes), -1)
    found = found + last.zero_point
    result = {"differing": int((found != wanted).sum()), "compared": int(wanted.size)}
    if labels is not None:
        for who, scores in (("source", wanted), ("integers", found)):
            result[f"correct_{who}"] = int((scores.argmax(1) == labels).sum())
    return result


def speeds(made: Imported, data: bytes, codes: np.ndarray) -> dict[str, Any]:
    """Processor seconds an image of the simulator and of two executors, in turns."""
    (first,) = made.report.inputs
    block = np.resize(codes, (BLOCK, *codes.shape[1:]))
    given = (block.astype(np.int64) - first.zero_point).reshape(-1, *first.shape)
    judges = {name: Judge(data, name) for name in ("reference", "xnnpack")}

    def run(judge: Judge) -> None:
        for sample in block:
            judge.run(sample)

    sides: dict[str, Any] = {"simulator": lambda: simulate(made.network, given)}
    for name, judge in judges.items():
        sides[name] = lambda judge=judge: run(judge)
    with threadpool_limits(1):
        seconds = interleaved(sides, 5, time.process_time)
    each = {name: value / BLOCK for name, value in seconds.items()}
    return {
        "milliseconds_an_image": {name: round(1e3 * value, 4) for name, value in each.items()},
        "faster_than_reference": round(each["reference"] / each["simulator"], 2),
        "faster_than_xnnpack": round(each["xnnpack"] / each["simulator"], 3),
    }


@click.command()
@click.option("--models", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--images", type=click.Path(path_type=Path, exists=True))
@click.option("--only", multiple=True, type=click.Choice(FILES))
@click.option("--semantics", "kinds", multiple=True, type=click.Choice(SEMANTICS))
@click.option("--most", type=int, default=10_000, help="Images.")
@click.option("--out", type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), default=Path("/var/tmp"))
def main(
    models: Path, images: Path | None, only: tuple[str, ...], kinds: tuple[str, ...], most: int,
    out: Path | None, work: Path,
) -> None:  # fmt: skip
    """Measure; print and write what was found."""
    keep_freed_memory()
    results: dict[str, Any] = dict(origin())
    for place in (models, images):
        if place is not None:
            results["command"] = results["command"].replace(str(place), place.name)
    rng = np.random.default_rng(0)
    for name in only or FILES:
        data = contents(models, name)
        path = work / f"{name}.tflite"
        write_atomically(path, data)
        rows: dict[str, Any] = {}
        for semantics in kinds or SEMANTICS:
            made = import_bytes(data, name, semantics=semantics)
            (first,) = made.report.inputs
            codes = rng.integers(-128, 128, (RANDOM, *first.source_shape)).astype(np.int8)
            labels = None
            if name == RESNET and images is not None:
                dataset = read_images(images, "cifar10")
                pixels = np.rint(dataset.x_test[:most] * 255).astype(np.int64) - 128
                codes = pixels.transpose(0, 2, 3, 1).astype(np.int8)
                labels = np.asarray(dataset.y_test[:most])
            row = compare(made, data, semantics, codes, labels)
            row["import_cpu_seconds"], row["import_mebibytes"] = import_cost(path, semantics)
            row |= memories(made)
            row |= speeds(made, data, codes) if semantics == "ruy" else {}
            rows[semantics] = row
            click.echo(f"{name} {semantics}: {json.dumps(row)}")
        path.unlink()
        results[name] = rows
    results["peak_mebibytes"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    if out is not None:
        write_atomically(out, f"{json.dumps(results, indent=1)}\n".encode())


if __name__ == "__main__":
    main()
