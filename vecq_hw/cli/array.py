"""``vecq array``: what the layers of a network take on a MAC array."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from vecq_hw.cli.command import command
from vecq_hw.cli.names import Choice
from vecq_hw.cli.options import Whole
from vecq_hw.cli.output import echo, percent, print_table
from vecq_hw.cli.outputs import OutputFile, replacing, write_json

if TYPE_CHECKING:
    from vecq_hw.simulate.mac_array import ArrayCost

KINDS = ("weight-stationary", "output-stationary", "bit-serial")


@command()
@click.argument("network", type=click.Path(path_type=Path))
@click.option("--kind", type=Choice(KINDS), help="Which array; all if left out.")
@click.option(
    "--rows", type=Whole(), default=16, show_default=True, help="Rows of the array's elements."
)
@click.option(
    "--columns", type=Whole(), default=16, show_default=True, help="Columns of its elements."
)
@click.option(
    "--plot", type=OutputFile("plot", suffix=".png"), help="Draw the utilisation to this .png file."
)
def array(
    network: Path,
    kind: str | None,
    rows: int,
    columns: int,
    json_file: Path | None,
    plot: Path | None,
) -> None:
    """Print what each Dense and Conv2d of NETWORK takes on a systolic or bit-serial array.

    Cycles, utilisation and bytes moved for one sample, layer after layer on one array.

    Examples
    --------
    vecq array network.npz --kind bit-serial
    vecq array network.npz --rows 32 --columns 8 --plot utilisation.png
    """
    from vecq_hw import storage
    from vecq_hw.simulate.mac_array import ArrayKind, ArraySize, network_costs

    net = storage.load(network)
    size = ArraySize(rows=rows, columns=columns)
    kinds = KINDS if kind is None else (kind,)
    costs = {name: network_costs(net, ArrayKind(name), size) for name in kinds}
    if plot is not None:
        from vecq_hw.simulate.mac_array.plots import plot_utilisation

        with replacing(plot) as temporary:
            plot_utilisation(costs, temporary, f"{net.name}, {size} elements")
    tree = [
        {"array": name, "layer": layer, "rows": rows, "columns": columns, **asdict(cost)}
        for name, by_layer in costs.items()
        for layer, cost in by_layer.items()
    ]
    titles = ("array", "layer", "cycles", "MACs", "utilisation", "register", "buffer", "external")
    table = []
    for name, by_layer in costs.items():
        table += [(name, layer, *_cells([cost])) for layer, cost in by_layer.items()]
        table.append((name, "all", *_cells(list(by_layer.values()))))
    echo(f"{net.name} on {size} elements, one sample; traffic in bytes")
    print_table(titles, table, left=2)
    write_json(json_file, tree)


def _cells(costs: list[ArrayCost]) -> tuple[str, ...]:
    cycles = sum(cost.cycles for cost in costs)
    busy = sum(cost.utilisation * cost.cycles for cost in costs)
    traffic = [cost.traffic for cost in costs]
    return (
        str(cycles),
        str(sum(cost.macs for cost in costs)),
        percent(busy / max(cycles, 1)),
        str(sum(t.register.total for t in traffic)),
        str(sum(t.buffer.total for t in traffic)),
        str(sum(t.external.total for t in traffic)),
    )
