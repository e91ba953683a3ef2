"""``vecq import``: somebody else's quantized model to an integer network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.data import Samples, samples_options
from vecq_hw.cli.names import Choice
from vecq_hw.cli.options import positive
from vecq_hw.cli.output import echo, percent, print_table
from vecq_hw.cli.outputs import OutputFolder, folder, write_json
from vecq_hw.cli.progress import activity
from vecq_hw.errors import VecqError

if TYPE_CHECKING:
    from vecq_hw.formats import IntFormat
    from vecq_hw.interop import Imported, Report


@command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=OutputFolder(), required=True, help="Folder to write into.")
@click.option(
    "--input-format",
    metavar="u8|s8|...",
    help="Codes of a real input with arithmetic before its first quantizer; with --input-step.",
)
@click.option(
    "--input-step", type=positive(), metavar="STEP", help="What one unit of such a code stands for."
)
@click.option(
    "--semantics",
    type=Choice(("ruy", "xnnpack", "reference")),
    help="The executor of a TFLite file, since they differ: the optimized built-in kernels, XNNPACK"
    " as Python runs it, or the reference kernels.  [default: ruy]",
)
@click.option(
    "--name",
    metavar="NAME",
    help="Name of the network, and so of its top module.  [default: that of FILE]",
)
@click.option(
    "--taps",
    is_flag=True,
    help="Count differing codes of every tensor that FILE has as well, too.",
)
@samples_options
def import_(
    file: Path,
    out: Path,
    input_format: str | None,
    input_step: float | None,
    semantics: str | None,
    name: str | None,
    taps: bool,
    samples: Samples,
    json_file: Path | None,
) -> None:
    """Turn a quantized ONNX, QONNX or TFLite FILE into an integer network.

    Writes DIR/network.npz and DIR/report.json.  The integers are the source's: its arithmetic
    between an accumulator and the next code becomes thresholds, or a Rescale that is the same on
    every accumulator that can occur.  With --data, --inputs or --reals the source's own executor
    runs as well, and codes that differ are counted.

    Examples
    --------
    vecq import model.onnx --out imported
    vecq import model.tflite --semantics xnnpack --reals samples.npy --out imported
    """
    from vecq_hw import storage
    from vecq_hw.interop import import_file

    if name is not None and not (name.strip() and name.isprintable()):
        raise click.UsageError(f"--name {name!r}: a name of printable characters is wanted")
    if (input_format is None) != (input_step is None):
        raise click.UsageError("--input-format and --input-step go together")
    sampled = any(one is not None for one in (samples.data, samples.codes, samples.reals))
    if taps and not sampled:
        raise click.UsageError("--taps compares samples; give --data, --inputs or --reals")
    pixels = None
    if input_format is not None and input_step is not None:
        pixels = _format(input_format), input_step
    with activity(f"importing {file}"):
        made = import_file(file, name, pixels, semantics)
    report = made.report
    if sampled:
        report = _compared(file, made, samples, taps)
    with folder(out) as place:
        contents = (
            ("network.npz", storage.to_bytes(made.network)),
            ("report.json", report.to_json()),
        )
        place.write_all(contents, "import")
    echo(f"{made.network!r}\n{out / 'network.npz'}: {report.digest}")
    _print(report)
    write_json(json_file, report.to_tree())


def _compared(file: Path, made: Imported, samples: Samples, taps: bool) -> Report:
    """The report with the network's integers beside those of the file's own executor."""
    import numpy as np

    from vecq_hw.interop.reals import source_rule
    from vecq_hw.interop.report import Comparison
    from vecq_hw.simulate import predictions, simulate
    from vecq_hw.simulate.ends import output_arrays
    from vecq_hw.verify.source import source_outputs, tap_comparisons
    from vecq_hw.verify.target import TargetError

    network, content = made.network, file.read_bytes()
    found = samples.read(network, source_rule(made.report))
    if found is None:
        return made.report
    codes, labels = found
    count = len(next(iter(codes.values())))
    with activity(f"comparing on {count} samples"):
        ours = output_arrays(network, simulate(network, codes))
        try:
            theirs = source_outputs(content, network, made.report, codes)
            tapped = tap_comparisons(content, network, made.report, codes) if taps else None
        except TargetError as error:
            raise VecqError(f"{file}: {error}") from None
    rows = []
    for name, array in ours.items():
        other = theirs[name].reshape(array.shape)
        apart = np.abs(array.astype(np.int64) - other)
        shares: list[float | None] = [None, None]
        if labels is not None:
            for index, given in enumerate((array, other)):
                classes = predictions(network, {**ours, name: given})
                chosen = output_arrays(network, classes)[name]
                shares[index] = float((chosen == labels).mean())
        rows.append(
            Comparison(
                output=name,
                samples=count,
                codes=apart.size,
                differing=int(np.count_nonzero(apart)),
                largest=int(apart.max(initial=0)),
                integer_accuracy=shares[0],
                source_accuracy=shares[1],
            )
        )
    return replace(made.report, comparisons=tuple(rows), tap_comparisons=tapped)


def _format(text: str) -> IntFormat:
    from vecq_hw.formats import IntFormat

    kind, bits = text[:1], text[1:]
    if kind not in ("u", "s") or not (bits.isascii() and bits.isdigit() and 1 <= int(bits) <= 16):
        raise click.UsageError(f"--input-format {text!r}: u1 to u16 or s1 to s16 is wanted")
    return IntFormat(int(bits), signed=kind == "s")


def _print(report: Report) -> None:
    """Ends, how requantizations are held, what is left to the host, notes."""
    rows = [
        (
            what,
            end.source,
            end.kind,
            end.format,
            f"{end.step:.9g}",
            str(end.zero_point),
            "×".join(map(str, end.shape)),
        )
        for what, ends in (("input", report.inputs), ("output", report.outputs))
        for end in ends
    ]
    print_table(("end", "in the file", "kind", "format", "step", "zero point", "shape"), rows, 4)
    found = report.requantizations
    lines = sum(one.held_as == "Rescale" for one in found)
    echo(
        f"semantics {report.semantics}; {lines} of {len(found)} requantizations are Rescales;"
        f" {report.weight_bits:,} bits of weights,"
        f" {sum(one.stored_bits for one in found):,} of rescales and thresholds"
        f" (as thresholds alone {sum(one.threshold_bits for one in found):,})"
    )
    for kept in report.kept_thresholds:
        echo(
            f"'{kept.name}' stays a {kept.held_as}: {kept.without_line} of {kept.channels} channels"
            " have no line with the same codes"
        )
    for row in report.comparisons:
        accuracy = ""
        if row.integer_accuracy is not None and row.source_accuracy is not None:
            accuracy = (
                f"; accuracy {percent(row.integer_accuracy)}, of the source"
                f" {percent(row.source_accuracy)}"
            )
        echo(
            f"'{row.output}' and the source's own executor: {row.differing:,} of {row.codes:,}"
            f" codes differ, by at most {row.largest}, on {row.samples} samples{accuracy}"
        )
    if report.tap_comparisons is not None:
        sources = {tap.name: tap.source for tap in report.taps}
        print_table(
            ("tensor", "in the file", "codes", "differing", "by at most"),
            [
                (one.output, sources[one.output], f"{one.codes:,}", f"{one.differing:,}",
                 f"{one.largest:,}")
                for one in report.tap_comparisons
            ],
            2,
        )  # fmt: skip
    for node in report.dropped:
        echo(f"left to the host: {node}")
    for sentence in report.notes:
        echo(sentence)
