"""The executor of the file that a network was imported from, as a target of verification.

The integers of the simulator are turned into what the file takes, and what its executor gives into
the network's integers: by the steps and zero points of the import's report.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vecq_hw.emit.project import Project, Vectors, checked_vectors, read_vectors, vector_files
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray
from vecq_hw.interop.graph import LARGEST_FILE
from vecq_hw.interop.report import Comparison, EndReport, Report
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.ends import input_names, one_or_all
from vecq_hw.storage import digest
from vecq_hw.toolchain import LITERT, ONNX, ONNXRUNTIME, QONNX, Tool
from vecq_hw.verify.target import Target, TargetError

REPORT = "report.json"
TAPPED = 100
"""Samples at a time of which every tensor is kept."""
_QONNX_DOMAINS = (b"qonnx.custom_op", b"finn.custom_op", b"onnx.brevitas")
_Array = npt.NDArray[np.generic]
Executor = Callable[[Mapping[str, _Array]], Mapping[str, _Array]]
"""What a file computes: samples of its inputs by their names, to its outputs by their names."""


def source_target(file: Path, network: Network, beside: Path) -> Target:
    """The target ``source``.

    Parameters
    ----------
    file : Path
        A TFLite, ONNX or QONNX file.
    network : Network
        That was imported from it.
    beside : Path
        The network's file; the report lies beside it.

    Raises
    ------
    VecqError
        The file or the report cannot be read, or the report is of another network.
    """
    report = _report(network, beside.with_name(REPORT))
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise VecqError(f"'{file}' has more than {LARGEST_FILE:,} bytes")
        content = file.read_bytes()
    except OSError as error:
        raise VecqError(f"'{file}' cannot be read: {error.strerror or error}") from None
    tflite = content[4:8] == b"TFL3"
    if tflite != (report.format == "TFLite"):
        raise VecqError(
            f"'{file}' is {'a' if tflite else 'no'} TFLite file, but the network was imported from"
            f" one of the format {report.format}"
        )
    tools: tuple[Tool, ...] = (LITERT,) if tflite else (ONNX, ONNXRUNTIME)
    if not tflite and any(
        domain in content for domain in (b"qonnx.custom_op", b"finn.custom_op", b"onnx.brevitas")
    ):
        tools = (*tools, QONNX)

    def emit(network: Network, schedule: Schedule, vectors: Vectors) -> Project:
        checked = checked_vectors(network, vectors)
        alone = Vectors(inputs=one_or_all(checked.inputs), outputs=one_or_all(checked.outputs))
        return Project(alone.files())

    def run(folder: Path) -> IntArray | dict[str, IntArray]:
        files = vector_files("inputs", input_names(network))
        codes = {name: read_vectors(folder / "vectors" / text) for name, text in files.items()}
        try:
            compute = _executor(content, report)
            return one_or_all(_outputs(network, report, compute, codes))
        except (VecqError, TargetError):
            raise
        except Exception as error:  # of somebody else's executor
            raise _ended(f"'{file}'", error) from None

    return Target(
        name="source",
        unsupported=lambda network: None,
        emit=emit,
        run=run,
        takes_axis_bits=False,
        takes_fabric=False,
        tools=tools,
    )


def source_outputs(
    content: bytes, network: Network, report: Report, codes: Mapping[str, IntArray]
) -> dict[str, IntArray]:
    """What a file's own executor gives, as integers of the network imported from it.

    The arrays have the shape (N, ...).

    Parameters
    ----------
    content : bytes
        Of the file.
    codes : mapping
        Of each input of the network, by its name.

    Raises
    ------
    TargetError
        The executor does not finish.
    """
    try:
        return _outputs(network, report, _executor(content, report), codes)
    except (VecqError, TargetError):
        raise
    except Exception as error:  # of somebody else's executor
        raise _ended("the file", error) from None


def _report(network: Network, path: Path) -> Report:
    try:
        report = Report.from_json(path.read_bytes())
    except OSError as error:
        raise VecqError(
            f"'{path}' cannot be read ({error.strerror or error}); --source needs the report that"
            " vecq import wrote beside the network"
        ) from None
    except VecqError as error:
        raise VecqError(f"'{path}': {error}") from None
    if report.digest != digest(network):
        raise VecqError(f"'{path}' is the report of another network")
    return report


def tap_comparisons(
    content: bytes, network: Network, report: Report, codes: Mapping[str, IntArray]
) -> tuple[Comparison, ...]:
    """The codes of each tensor that a file has as well, beside those of its own executor.

    The codes have the shape (N, ...).

    Parameters
    ----------
    content : bytes
        Of the file.
    codes : mapping
        Of each input of the network, by its name.

    Raises
    ------
    TargetError
        The executor does not finish.
    """
    taps = report.taps
    compute = _executor(content, report, [tap.source for tap in taps])
    count = len(next(iter(codes.values())))
    differing, largest = [0] * len(taps), [0] * len(taps)
    for start in range(0, count, TAPPED):
        given = {name: array[start : start + TAPPED] for name, array in codes.items()}
        try:
            theirs = compute(_source_inputs(network, report, given))
        except Exception as error:  # of somebody else's executor
            raise _ended("the file", error) from None
        ours = simulate(network, given, taps=[tap.name for tap in taps])
        for index, tap in enumerate(taps):
            shape = network.tensors[tap.name].shape
            found = _integers(theirs[tap.source], len(ours[tap.name]), tap.zero_point, tap.step)
            if tap.order is not None:
                sizes = [shape[axis] for axis in tap.order]
                turned = found.reshape(-1, *sizes).transpose(0, *(np.argsort(tap.order) + 1))
                found = turned.reshape(len(found), -1)
            apart = np.abs(ours[tap.name].reshape(len(found), -1).astype(np.int64) - found)
            differing[index] += int(np.count_nonzero(apart))
            largest[index] = max(largest[index], int(apart.max(initial=0)))
    codes_of = [count * math.prod(network.tensors[tap.name].shape) for tap in taps]
    rows = zip(taps, codes_of, differing, largest, strict=True)
    return tuple(
        Comparison(output=tap.name, samples=count, codes=n, differing=wrong, largest=most)
        for tap, n, wrong, most in rows
    )


def _ended(what: str, error: Exception) -> TargetError:
    """Whatever an executor that is somebody else's raised."""
    said = " ".join(str(error).split())[:300]
    return TargetError(f"the executor of {what} does not finish: {type(error).__name__}: {said}")


def _executor(content: bytes, report: Report, wanted: Sequence[str] | None = None) -> Executor:
    wanted = [end.source for end in report.outputs] if wanted is None else wanted
    if report.format == "TFLite":
        from vecq_hw.verify.source_tflite import executor as of_tflite

        return of_tflite(content, report.semantics, wanted)
    from vecq_hw.verify.source_onnx import executor as of_onnx

    return of_onnx(content, wanted, report.dropped)


def _outputs(
    network: Network, report: Report, compute: Executor, codes: Mapping[str, IntArray]
) -> dict[str, IntArray]:
    found = compute(_source_inputs(network, report, codes))
    ends = {end.name: end for end in report.outputs}
    count = len(next(iter(codes.values())))
    return {
        name: _codes(ends[name], network.tensors[name].shape, found[ends[name].source], count,
                     report.format)
        for name in network.outputs
    }  # fmt: skip


def _source_inputs(
    network: Network, report: Report, codes: Mapping[str, IntArray]
) -> dict[str, _Array]:
    return {
        end.source: _given(end, network.tensors[end.name].shape, codes[end.name], report.format)
        for end in report.inputs
    }


def _given(end: EndReport, shape: tuple[int, ...], codes: IntArray, kind: str) -> _Array:
    """What the file takes: its own codes, or reals that its first quantizer makes them of."""
    x = codes.reshape(-1, *shape)
    if kind != "TFLite" and len(shape) == 3:
        x = np.moveaxis(x, -1, 1)
    sizes = end.source_shape
    if kind != "TFLite" and sizes and all(sizes):
        x = x.reshape(len(x), *sizes)
    if end.kind == "codes":
        return x.astype(np.int64) + end.zero_point  # which a narrow type may not hold
    return (x * np.float64(end.step)).astype(np.float32)


def _codes(
    end: EndReport, shape: tuple[int, ...], found: _Array, count: int, kind: str
) -> IntArray:
    """The network's integers of what the file gave."""
    codes = _integers(found, count, end.zero_point, end.step)
    if kind != "TFLite" and len(shape) == 3:
        image = codes.reshape(count, shape[2], *shape[:2])
        codes = np.moveaxis(image, 1, -1).reshape(count, -1)
    return codes


def _integers(found: _Array, count: int, zero_point: int, step: float) -> IntArray:
    """Codes or reals of a file as ours, a row for each sample."""
    flat = np.asarray(found).reshape(count, -1)
    if flat.dtype.kind in "iu":
        return flat.astype(np.int64) - zero_point
    codes: IntArray = np.rint(flat.astype(np.float64) / step).astype(np.int64)
    return codes


def difference(
    network: Network, expected: Mapping[str, IntArray], found: Mapping[str, IntArray]
) -> list[str]:
    """For each output a sentence: codes that differ, by how much at most, and what that decides.

    The arrays have the shape (N, ...).
    """
    said = []
    for name in network.outputs:
        ours = expected[name].reshape(len(expected[name]), -1).astype(np.int64)
        theirs = found[name]
        apart = np.abs(ours - theirs)
        sentence = (
            f"source, output '{name}': {np.count_nonzero(apart):,} of {apart.size:,} codes differ"
        )
        if apart.any():
            rows = np.arange(len(ours))
            first, second = ours.argmax(axis=1), theirs.argmax(axis=1)
            other = first != second
            ties = other & (theirs[rows, first] == theirs[rows, second])
            ties |= other & (ours[rows, first] == ours[rows, second])
            sentence += (
                f", by at most {apart.max():,}; the largest is another one on {other.sum()} of"
                f" {len(ours)} samples, {ties.sum()} of them ties"
            )
        said.append(sentence)
    return said
