import json
import shutil
from pathlib import Path

import pytest

from rtl_tests import harness
from vecq_hw.bench.ports import Port

TOP = "faulty_stream"


@pytest.mark.needs_verilator
def test_both_ends_name_every_broken_rule(tmp_path: Path) -> None:
    (tmp_path / "rtl").mkdir()
    shutil.copy(Path(__file__).parent / f"{TOP}.sv", tmp_path / "rtl")
    (tmp_path / "vectors").mkdir()
    for end in ("inputs", "outputs"):
        (tmp_path / f"vectors/{end}.txt").write_text("3\n250\n7\n")
    ports = [
        Port(
            **{"stream": name, "tensor": name, "shape": (1,), "bits": 8, "signed": False},
            **{"lo": 0, "hi": 255, "step": 1.0, "lanes": 1, "slot_bits": 8, "word_bits": 8},
        ).to_json()
        for name in ("x", "y")
    ]
    manifest = dict(zip(("input", "output"), ports, strict=True))
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    harness.run_bench(tmp_path, TOP, "rtl_tests.bench_stream", harness.QUICK_BUILD)
