"""What a page says of the accelerator: its cycles, its size, its clock."""

from __future__ import annotations

from vecq_hw.report import plots
from vecq_hw.report.figure import Figure, embedded
from vecq_hw.report.gather import FLOORPLAN, Found
from vecq_hw.report.measure import Pace
from vecq_hw.report.page import Part, Table


def cycles(paced: Pace) -> list[Part]:
    """Timeline, utilisation, folds and FIFO depths; or why there are none."""
    run = paced.run
    if run is None:
        return [Part(text=[f"This network is not streamed: {paced.reason}."])]
    folds = Table(
        caption="Lanes and busy cycles of each layer.",
        titles=("Layer", "PE", "SIMD", "Busy cycles per frame", "Utilisation"),
        rows=[
            (
                name,
                *(
                    (str(fold.pe), str(fold.simd))
                    if (fold := paced.schedule.folds.get(name)) is not None
                    else ("", "")
                ),
                f"{busy:,}",
                f"{100 * run.utilisation[name]:.1f} %",
            )
            for name, busy in run.busy.items()
        ],
    )
    depths = Table(
        caption="Depth of each FIFO, the smallest that never stops the network.",
        titles=("Stream", "Words"),
        rows=[(name, f"{depth:,}") for name, depth in paced.depths.items()],
    )
    text = (
        f"A frame every {run.interval:,.10g} cycles; "
        f"the first output word after {run.first_output:,}."
    )
    return [
        Part(
            text=[text],
            figures=[plots.timeline(run), plots.utilisation(run)],
            tables=[folds, *([depths] if paced.depths else [])],
        )
    ]


def size(found: Found, paced: Pace | None) -> list[Part]:
    """What was counted in the netlist; else what the cost model estimates."""
    parts = []
    record = found.implementation
    if record is not None:
        layers = {one.text("name") or "": one.needed("luts") for one in record.items("layers")}
        table = Table(
            caption="What each layer takes, counted in the netlist.",
            titles=("Layer", "LUTs", "Flip-flops", "Block RAMs", "DSPs"),
            rows=[
                (
                    one.text("name") or "",
                    *(f"{one.needed(what):,g}" for what in ("luts", "ffs", "brams", "dsps")),
                )
                for one in record.items("layers")
            ],
        )
        path = Table(
            caption="The longest path of the seed nearest to the median, in nanoseconds.",
            titles=("Cell", "Source", "Logic", "Wire"),
            rows=[
                (
                    one.text("cell") or "",
                    one.text("source") or "",
                    f"{one.needed('logic_ns'):.2f}",
                    f"{one.needed('wire_ns'):.2f}",
                )
                for one in record.items("critical_path")
            ],
            left=2,
        )
        title = f"Implementation on {record.text('part') or record.text('device')}"
        figures = [plots.areas(layers, "Look-up tables of each layer.")] if layers else []
        figures += _floorplan(found)
        text = [*record.texts("over"), *record.texts("advice")]
        parts.append(
            Part(
                title=title,
                text=text,
                figures=figures,
                tables=[table, *([path] if path.rows else [])],
            )
        )
    elif paced is not None and paced.estimate is not None:
        estimate = paced.estimate
        sizes = {layer.name: float(layer.resources.luts) for layer in estimate.layers}
        table = Table(
            caption=f"Estimated by the cost model for {paced.device.name}; no tool was run.",
            titles=("Layer", "LUTs", "Flip-flops", "Block RAMs", "DSPs", "MHz"),
            rows=[
                (
                    layer.name,
                    *(
                        f"{number:,.0f}"
                        for number in (
                            layer.resources.luts,
                            layer.resources.ffs,
                            layer.resources.brams,
                            layer.resources.dsps,
                            layer.clock_mhz,
                        )
                    ),
                )
                for layer in estimate.layers
            ],
        )
        caption = "Look-up tables of each layer, estimated."
        parts.append(Part(title="Estimate", figures=[plots.areas(sizes, caption)], tables=[table]))
    return parts


def _floorplan(found: Found) -> list[Figure]:
    """The drawing of the die, as a picture that can run nothing."""
    file = found.folder / FLOORPLAN
    if not file.exists():
        return []
    alt = f"Floorplan: where the cells of each layer of {found.name} lie on the die."
    caption = "Where the cells of each layer lie, of the fastest seed."
    return [Figure(svg=embedded(file.read_bytes(), alt), caption=caption, wide=True)]
