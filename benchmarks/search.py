"""The search beside random search, and what its engine costs: trials per hour, time per trial.

``python -m benchmarks.search --trials N --out RECORD.json`` on the digits' MLP, in a few minutes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from vecq_hw.search import Request, Result, load, search

REQUEST = Request(
    preset="mlp-digits",
    device="ecp5-25k",
    target_fps=20_000.0,
    clock_mhz=100.0,
    final_epochs=1,
    verify="none",
)


def points(result: Result) -> list[tuple[float, float]]:
    """Look-up tables and accuracy of the trials that were trained to their end."""
    return sorted(
        (one.measured.luts, one.measured.integer_accuracy)
        for one in result.trials
        if one.measured is not None and one.measured.integer_accuracy is not None
    )


def hypervolume(found: Sequence[tuple[float, float]], most: float, least: float) -> float:
    """The area that points dominate, up to ``most`` tables and above the accuracy ``least``."""
    area, best, at = 0.0, least, 0.0
    for luts, accuracy in found:
        area += (best - least) * (luts - at)
        best, at = max(best, accuracy), luts
    return area + (best - least) * (most - at)


def searched(optimizer: str, trials: int, seed: int, workers: int | None) -> dict[str, Any]:
    """One search in a folder of its own."""
    request = replace(REQUEST, optimizer=optimizer, trials=trials, seed=seed)
    with tempfile.TemporaryDirectory(prefix="vecq-search-") as place:
        told: dict[int, float] = {}

        def tell(text: str) -> None:
            if text.startswith("trial "):
                told[int(text.split()[1].rstrip(":"))] = time.perf_counter()

        begin = time.perf_counter()
        search(request, Path(place) / "out", workers=workers, tell=tell)
        seconds = time.perf_counter() - begin
        result = load(Path(place) / "out")
    # From the end of the first trial to that of the last; equal points are not tried again.
    first, last = min(told, key=lambda n: told[n]), max(told.values())
    span, later = last - told[first], [number for number in told if number != first]
    ran = {one.number: one.measured.seconds for one in result.trials if one.measured is not None}
    work = sum(ran.get(number, 0.0) for number in later)
    return {
        "optimizer": optimizer,
        "seed": seed,
        "workers": workers or 1,
        "trials": trials,
        "seconds": round(seconds, 1),
        "trials_that_ran": len(told),
        "trials_per_hour": round(3600 * len(later) / span),
        "seconds_in_trials": round(work, 1),
        "overhead_seconds_per_trial": round((span - work) / len(later), 3)
        if workers is None
        else None,
        "result": result,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args(arguments)
    rows = [
        searched("nsga2", given.trials, given.seed, None),
        searched("random", given.trials, given.seed, None),
        searched("nsga2", given.trials, given.seed, 2),
    ]
    results = [row.pop("result") for row in rows]
    found = [points(result) for result in results]
    most = max(luts for one in found for luts, _ in one)
    least = min(accuracy for one in found for _, accuracy in one)
    volumes = [hypervolume(one, most, least) for one in found]
    ratio = volumes[0] / volumes[1]
    record = {
        "rows": rows,
        "hypervolumes": [round(volume, 1) for volume in volumes],
        "hypervolume_ratio": round(ratio, 4),
    }
    for row in rows:
        print(row)
    print(f"hypervolume by nsga2 / by random: {ratio:.4f}")
    if given.out is not None:
        given.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
