"""Every case of the zoo on every target, as a table: docs/results/layers.md.

python -m tests.zoo.table [--only TEXT] [--jobs 2] [--out docs/results/layers.md]

What a case gave is kept in ``--kept`` beside the state of the sources that gave it; a run that was
stopped goes on where it was, and a change of the sources runs all again.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import tempfile
import time
import traceback
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.progress import Progress
from torch import nn

from tests import plain
from tests.zoo import Case, cases
from vecq_hw.errors import VecqError
from vecq_hw.files import write_atomically
from vecq_hw.layers import Input
from vecq_hw.lower import lower
from vecq_hw.network import Network
from vecq_hw.simulate import simulate
from vecq_hw.train import quantize_model
from vecq_hw.verify.compare import Status, verify
from vecq_hw.verify.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
VECTORS = 3
PLAIN_WORK = 300_000
"""Multiplications of one sample up to which plain Python computes it, too."""
COLUMNS = ("plain Python", "int8", *(target.name for target in TARGETS))


def samples(case: Case, count: int, seed: int) -> tuple[torch.Tensor, ...]:
    """Real numbers or integers for each argument of the model."""
    generator = torch.Generator().manual_seed(seed)
    given = []
    for index, shape in enumerate(case.shapes):
        classes = case.classes[index] if case.classes else 0
        if classes:
            given.append(torch.randint(classes, (count, *shape), generator=generator))
        else:
            given.append(torch.randn(count, *shape, generator=generator))
    return tuple(given)


def network_of(case: Case) -> Network:
    """The network of a case; a model's after its quantizers have seen some samples."""
    torch.manual_seed(1)
    made = case.make()
    if isinstance(made, Network):
        return made
    for module in made.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    shape: Any = case.shapes[0] if len(case.shapes) == 1 else case.shapes
    settings = {"weight_bits": 4, "activation_bits": 8} | dict(case.settings)
    twin = quantize_model(made, input_shape=shape, **settings)
    with torch.no_grad():
        for seed in range(4):
            twin(*samples(case, 32, seed))
    return lower(twin.eval(), shape)


def codes(source: Input, count: int, seed: int) -> Any:
    """Random codes of an input, its ends among them."""
    generator = np.random.default_rng(seed)
    fmt = source.format
    x = generator.integers(fmt.lo, fmt.hi, (count, *source.shape), dtype=np.int64, endpoint=True)
    if count > 2:
        x[0], x[1] = fmt.lo, fmt.hi
    return x


def outcome(case: Case) -> dict[str, str]:
    """What each target said of a case, by column; ``network`` where there is none."""
    try:
        network = network_of(case)
    except VecqError as error:
        return {"refused": str(error)}
    except Exception as error:  # a fault of ours: the table names it
        return {"crashed": _located(error)}
    found: dict[str, str] = {}
    x: Any = {source.name: codes(source, VECTORS, 7) for source in network.inputs}
    x = x if len(network.inputs) > 1 else x[network.inputs[0].name]
    try:
        expected = _outputs(network, simulate(network, x))
        found["plain Python"] = _plain(network, x, expected)
        found["int8"] = _bytes(network, x, expected)
    except Exception as error:
        found["plain Python"] = f"crashed: {_located(error)}"
        return found
    with tempfile.TemporaryDirectory() as folder:
        try:
            report = verify(network, x, targets=TARGETS, folder=Path(folder))
        except Exception as error:
            return found | {TARGETS[0].name: f"crashed: {_located(error)}"}
    for row in report.rows:
        match row.status:
            case Status.PASSED:
                found[row.name] = f"{row.outputs} equal"
            case Status.UNSUPPORTED:
                found[row.name] = row.message.removeprefix("unsupported: ")
            case Status.FAILED | Status.ERROR:
                found[row.name] = f"FAILED: {row.mismatches} differ; {row.message}"
    return found


def _located(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"


def _outputs(network: Network, simulated: Any) -> dict[str, Any]:
    return simulated if isinstance(simulated, dict) else {network.outputs[0]: simulated}


def _plain(network: Network, x: Any, expected: dict[str, Any]) -> str:
    work = sum(
        layer.weight_count * network.tensors[layer.name].positions for layer in network.mac_layers
    )
    if work > PLAIN_WORK:
        return "not run: too large"
    count = compared = 0
    for index in range(2):
        if len(network.inputs) > 1:
            values = plain.evaluate(network, {n: a[index].tolist() for n, a in x.items()})
        else:
            values = plain.evaluate(network, x[index].tolist())
        for name, outputs in expected.items():
            differing = np.asarray(values[name], np.int64) != outputs[index]
            count, compared = count + int(differing.sum()), compared + differing.size
    return f"FAILED: {count} differ" if count else f"{compared} equal"


def _bytes(network: Network, x: Any, expected: dict[str, Any]) -> str:
    try:
        got = _outputs(network, simulate(network, x, engine="int8"))
    except VecqError as error:
        return str(error)
    count = sum(int((got[name] != expected[name]).sum()) for name in expected)
    return f"FAILED: {count} differ" if count else f"{sum(e.size for e in expected.values())} equal"


def state() -> str:
    """A digest of all sources that a result depends on."""
    folders = ("vecq_hw", "rtl", "hls", "tests/plain.py", "tests/zoo")
    files = subprocess.check_output(["git", "ls-files", "-s", *folders], cwd=ROOT)
    changed = subprocess.check_output(["git", "diff", "HEAD", "--", *folders], cwd=ROOT)
    return hashlib.sha256(files + changed).hexdigest()


def run(chosen: list[Case], kept: Path, jobs: int) -> dict[str, dict[str, str]]:
    """The outcomes, by the names of the cases; those at hand are not made again."""
    kept.mkdir(parents=True, exist_ok=True)
    here, found, left = state(), {}, []
    for case in chosen:
        file = _file(kept, case)
        stored = json.loads(file.read_text()) if file.exists() else {}
        if stored.get("state") == here:
            found[case.name] = stored["outcome"]
        else:
            left.append(case)
    with Progress() as progress, ProcessPoolExecutor(jobs) as pool:
        task = progress.add_task(f"{len(chosen)} cases", total=len(chosen), completed=len(found))
        begun = {pool.submit(_named_outcome, case.name): case for case in left}
        try:
            for future in as_completed(begun):
                case = begun[future]
                found[case.name] = future.result()
                record = {"state": here, "outcome": found[case.name]}
                write_atomically(_file(kept, case), json.dumps(record).encode())
                progress.update(task, advance=1, description=case.name)
        except KeyboardInterrupt:
            pool.shutdown(cancel_futures=True)
            raise
    return found


def _named_outcome(name: str) -> dict[str, str]:
    # Functions that make models cannot be sent to a process; their names can.
    return outcome(next(case for case in cases() if case.name == name))


def _file(kept: Path, case: Case) -> Path:
    return kept / f"{hashlib.sha256(case.name.encode()).hexdigest()[:16]}.json"


def table(chosen: list[Case], found: dict[str, dict[str, str]]) -> str:
    """The Markdown: a section for each kind, a row for each case, notes for sentences."""
    text = [
        "# Layers and ways of writing them, on every target",
        "",
        "Made by `python -m tests.zoo.table`. Each model gets 4-bit weights and 8-bit activations,"
        f" is lowered, and computes {VECTORS} inputs, the ends of the input's range among them, on"
        ' every target. "n equal" means that n integers were compared with the simulator\'s and'
        " none differed.",
        "",
    ]
    wrong = [name for name, row in found.items() if is_wrong(row)]
    whole = sum(any("equal" in cell for cell in row.values()) for row in found.values())
    refused = sum("refused" in row for row in found.values())
    text += [
        f"{len(found)} cases: {whole} computed, {refused} refused by a sentence, {len(wrong)} wrong"
        f"{': ' + ', '.join(wrong) if wrong else ''}.",
    ]
    for kind in dict.fromkeys(case.kind for case in chosen):
        text += ["", f"## {kind}", "", "| | " + " | ".join(COLUMNS) + " |"]
        text.append("|---" * (len(COLUMNS) + 1) + "|")
        notes: list[str] = []
        for case in chosen:
            if case.kind != kind or case.name not in found:
                continue
            row = found[case.name]
            if (said := row.get("refused") or row.get("crashed")) is not None:
                cells = [_note(notes, said)] + [""] * (len(COLUMNS) - 1)
            else:
                cells = [_cell(notes, row.get(column, "")) for column in COLUMNS]
            text.append(f"| {case.name} | " + " | ".join(cells) + " |")
        text += [""] * bool(notes) + [f"{n}. {said}" for n, said in enumerate(notes, 1)]
    return "\n".join(text) + "\n"


def is_wrong(row: dict[str, str]) -> bool:
    """Whether integers differ or something crashed."""
    return "crashed" in row or any(c.startswith(("FAILED", "crashed")) for c in row.values())


def _cell(notes: list[str], said: str) -> str:
    return said if not said or said.endswith(" equal") else _note(notes, said)


def _note(notes: list[str], said: str) -> str:
    said = " ".join(said.split()).replace("|", "\\|")
    if said not in notes:
        notes.append(said)
    mark = "WRONG" if said.startswith(("FAILED", "crashed")) else "no"
    return f"{mark} ({notes.index(said) + 1})"


def main() -> None:
    """Run, write, and end with 1 where something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="Cases whose name or kind holds this text.")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--kept", type=Path, default=Path("build/layers"))
    parser.add_argument("--out", type=Path, default=Path("docs/results/layers.md"))
    arguments = parser.parse_args()
    chosen = [case for case in cases() if arguments.only in f"{case.kind}: {case.name}"]
    begun = time.perf_counter()
    found = run(chosen, arguments.kept, arguments.jobs)
    text = table(chosen, found)
    write_atomically(arguments.out, text.encode())
    print(f"{len(found)} cases in {time.perf_counter() - begun:.0f} s, {arguments.out}")
    raise SystemExit(any(is_wrong(row) for row in found.values()))


if __name__ == "__main__":
    main()
