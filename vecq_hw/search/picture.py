"""The trials of a search as a picture and as a page."""

from __future__ import annotations

import html
import io

from vecq_hw.errors import matplotlib_wanted
from vecq_hw.search.front import is_uniform, table
from vecq_hw.search.result import Result
from vecq_hw.search.space import point_text


def svg(result: Result) -> bytes:
    """Accuracy over look-up tables: all trials, the uniform widths by name, the front as a line.

    All on the validation split, as the trials were judged.

    Raises
    ------
    MissingToolError
        matplotlib is not installed.
    """
    with matplotlib_wanted():
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    objective = result.request.objectives[0]
    front = {one.number for one in result.front}
    free = [name for name, choices in result.space.layers.items() if len(choices) > 1]
    with rc_context({"svg.hashsalt": "vecq"}):
        figure = Figure(figsize=(8, 5), layout="constrained")
        axes = figure.subplots()
        learned = {point_text(point): name for name, point in result.space.learned().items()}
        seen, line = [], []
        for record in result.trials:
            measured = record.measured
            if measured is None or measured.integer_accuracy is None:
                continue
            at = (measured.costs(result.request.objectives)[0], 100 * measured.integer_accuracy)
            seen.append(at)
            if record.number in front:
                line.append(at)
            bits = is_uniform(record.point, free) if free else None
            name = learned.get(point_text(record.point), "" if bits is None else f"W{bits}")
            if name:
                mark, colour = ("s", "C1") if name.startswith("W") else ("D", "C2")
                axes.plot(*at, mark, color=colour, markersize=7, zorder=3)
                axes.annotate(name, at, xytext=(4, -11), textcoords="offset points", color=colour)
        axes.plot(*_columns(seen), ".", color="0.6", label="trials")
        axes.plot([], [], "s", color="C1", label="one width for all layers")
        if learned:
            axes.plot([], [], "D", color="C2", label="learned widths")
        axes.plot(*_columns(sorted(line)), "o-", color="C0", label="front", zorder=4)
        axes.set_xlabel({"luts": "look-up tables (cost model)"}.get(objective, objective))
        axes.set_ylabel("integer accuracy on the validation split in %")
        axes.set_title(
            f"{result.request.recipe.model} on {result.request.recipe.data},"
            f" {result.request.device}, {result.request.target_fps:g} frames a second"
        )
        axes.legend(frameon=False)
        stream = io.BytesIO()
        figure.savefig(stream, format="svg", metadata={"Date": None})
    return stream.getvalue()


def page(result: Result, picture: bytes) -> bytes:
    """The picture, the front as a table and its commands, in one file of HTML."""
    titles, rows = table(result.front)
    heads = "".join(f"<th>{html.escape(title)}</th>" for title in titles)
    lines = "\n".join(
        f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    commands = "\n".join(
        html.escape(command) for one in result.front for command in one.commands(result.request)
    )
    drawing = picture.decode()
    drawing = drawing[drawing.index("<svg") :]
    text = f"""<!doctype html>
<meta charset="utf-8">
<title>vecq search</title>
<style>
body {{ font-family: sans-serif; max-width: 60em; margin: 2em auto; }}
td, th {{ padding: 0.2em 0.8em; text-align: right; }}
td:nth-child(2), th:nth-child(2) {{ text-align: left; }}
pre {{ overflow-x: auto; }}
</style>
<h1>{html.escape(result.request.recipe.model)} on {html.escape(result.request.recipe.data)}</h1>
<p>{len(result.trials)} trials have ended. Accuracies of the table are on the test split.</p>
{drawing}
<table>
<tr>{heads}</tr>
{lines}
</table>
<pre>
{commands}
</pre>
"""
    return text.encode()


def _columns(points: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    return [x for x, _ in points], [y for _, y in points]
