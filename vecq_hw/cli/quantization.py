"""``vecq lambda`` and ``vecq methods``: the best intervals; what quantizes weights."""

from __future__ import annotations

from pathlib import Path

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.names import Choice
from vecq_hw.cli.options import Whole
from vecq_hw.cli.output import echo, print_table
from vecq_hw.cli.outputs import write_json


@command("lambda")
@click.option(
    "--bits",
    type=Whole(1, 16),
    multiple=True,
    help="Bits of the weights; may be given several times.  [default: all]",
)
@click.option(
    "--distribution",
    type=Choice(["gaussian", "laplace", "uniform"]),
    default="gaussian",
    show_default=True,
    help="Distribution of the weights.",
)
def lambda_(bits: tuple[int, ...], distribution: str, json_file: Path | None) -> None:
    """The steering interval of VecQ, in units of the spread.

    Beside it the orientation loss 1 - cos(angle between the weights and their codes), and the
    relative error 1 - cos^2: the square error that is left, as part of the weights' squares.  The
    paper's lambda follows, and the relative error that it leaves.

    Examples
    --------
    vecq lambda
    vecq lambda --bits 2 --bits 4 --distribution laplace
    """
    from vecq_hw.quantize import (
        Distribution,
        best_lambda,
        expected_orientation_loss,
        paper_lambda,
    )

    of = Distribution(distribution)
    rows = []
    for width in bits or range(1, 17):
        best, paper = best_lambda(width, of), paper_lambda(width)
        losses = [expected_orientation_loss(value, width, of) for value in (best, paper)]
        # 1 - cos^2 = J (2 - J), which keeps the digits of a small loss.
        errors = [loss * (2 - loss) for loss in losses]
        rows.append(
            {
                "bits": width,
                "lambda": best,
                "orientation_loss": losses[0],
                "relative_error": errors[0],
                "paper_lambda": paper,
                "paper_relative_error": errors[1],
            }
        )
    head = ("bits", "lambda", "orientation loss", "relative error", "paper's lambda", "its error")
    cells = [
        (str(row["bits"]), *(f"{value:.6g}" for name, value in row.items() if name != "bits"))
        for row in rows
    ]
    print_table(head, cells)
    write_json(json_file, {"distribution": distribution, "rows": rows})


@command()
def methods(json_file: Path | None) -> None:
    """The methods of quantizing weights, and every setting of each.

    'vecq train --method NAME --method-options SETTING=VALUE,...' trains with one of them.

    Examples
    --------
    vecq methods
    vecq methods --json methods.json
    """
    from vecq_hw.quantize.descriptions import description
    from vecq_hw.quantize.methods import METHODS

    found = [description(name) for name in METHODS]
    cells = [(one.name, _range(one.bits), one.grid, one.source or "-") for one in found]
    print_table(("method", "bits", "stored as", "source"), cells, left=4)
    for one in found:
        echo()
        echo(f"{one.name}: {one.summary}")
        for setting in one.settings:
            echo(f"  {setting.name}={setting.shown()}  ({setting.wanted})")
            echo(f"    {setting.meaning}")
    rows = [
        {
            "name": one.name,
            "bits": [one.bits[0], one.bits[-1]],
            "grid": one.grid,
            "summary": one.summary,
            "source": one.source,
            "settings": [
                {
                    "name": setting.name,
                    "values": setting.wanted,
                    "default": setting.plain(setting.default),
                    "meaning": setting.meaning,
                }
                for setting in one.settings
            ],
        }
        for one in found
    ]
    write_json(json_file, {"methods": rows})


def _range(bits: range) -> str:
    return str(bits[0]) if len(bits) == 1 else f"{bits[0]}..{bits[-1]}"
