"""The cycles of the dataflow model are those of the RTL, word by word."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rtl_tests import bench_cycles, harness
from rtl_tests.bench_cycles import FRAMES
from rtl_tests.test_networks import wrapper
from vecq_hw.emit.project import Vectors
from vecq_hw.emit.systemverilog import emit
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import simulate_frames

TOP = "cycles"


@pytest.mark.needs_verilator
def test_every_word_moves_in_the_cycle_that_the_model_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The build takes a third of the time, and the few cycles are run in no time either way.
    monkeypatch.setenv("GNUMAKEFLAGS", "OPT_FAST=-O0")
    configurations = bench_cycles.configurations()
    assert len(configurations) >= 50
    for name, (network, schedule) in configurations.items():
        inputs = np.zeros((1, *network.inputs[0].shape), int)
        vectors = Vectors(inputs=inputs, outputs=simulate(network, inputs))
        emit(network, schedule, vectors).write(tmp_path / name)
        shutil.copytree(tmp_path / name / "rtl", tmp_path / "rtl", dirs_exist_ok=True)
    (tmp_path / "rtl" / f"{TOP}.sv").write_text(wrapper(tmp_path, TOP, list(configurations)))
    expected = {
        run: {
            name: simulate_frames(
                network,
                schedule,
                frames=FRAMES,
                input_pauses=bench_cycles.pauses(index)[run].input,
                output_pauses=bench_cycles.pauses(index)[run].output,
            )
            for index, (name, (network, schedule)) in enumerate(configurations.items())
        }
        for run in bench_cycles.pauses(0)
    }
    plan = {
        name: [
            sum(map(len, run.input_cycles.values())),
            sum(map(len, run.output_cycles.values())),
        ]
        for name, run in expected["free"].items()
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    harness.run_bench(tmp_path, TOP, "rtl_tests.bench_cycles")

    measured = json.loads((tmp_path / "results" / bench_cycles.RESULT).read_text())
    different = [
        f"{name}, {run}: {what} words move in the cycles {found}, but should in {wanted}"
        for run, results in expected.items()
        for name, result in results.items()
        for what, found, wanted in zip(
            ("input", "output"),
            measured[run][name],
            (*result.input_cycles.values(), *result.output_cycles.values()),
            strict=True,
        )
        if found != wanted
    ]
    assert not different, "\n".join([f"{len(different)} streams differ", *different[:3]])
    for name, result in expected["free"].items():
        _, outputs = measured["free"][name]
        words = len(outputs) // FRAMES
        assert result.first_output == outputs[0]
        assert result.interval == outputs[-1] - outputs[-1 - words]
        assert result.total_cycles == outputs[-1] + 1
