"""docs/how-to/extending.md and add_a_cell.md, carried out on a copy of the sources."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vecq_hw.toolchain import AP_TYPES, simulation_environment

ROOT = Path(__file__).resolve().parents[1]
HOW_TO = ROOT / "docs" / "how-to"
PAGE = (HOW_TO / "extending.md").read_text()
CELL_PAGE = (HOW_TO / "add_a_cell.md").read_text()


def example(title: str) -> tuple[str, str]:
    """The two blocks of a section of the page: what is added, and a program that uses it."""
    section = PAGE.split(f"\n## {title}\n")[1].split("\n## ")[0]
    added, used = re.findall(r"^```python\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    return added, used


LAYER, USE_LAYER = example("A layer")
GRID, USE_GRID = example("A grid of weights")
METHOD, USE_METHOD = example("A quantizer of weights")
TARGET, USE_TARGET = example("A target")

CASES = {
    "layers/__init__.py": ["return None", "return None"],
    "simulate/kernels.py": ["return lambda tensors: -tensors[0].astype(np.int64)"],
    "simulate/mac_array/folded.py": ["return -values[0].astype(np.int64)"],
    "accelerator/plan.py": ["raise VecqError(f\"layer '{layer.name}' has no cell yet\")"],
    "emit/hls4ml_reasons.py": ['return "Negate"', "return None"],
    "emit/hls4ml_nodes.py": ["raise AssertionError(layer)"],
    "emit/onnx/model.py": ["raise AssertionError(layer)"],
    "emit/qonnx.py": ['return "Negate"'],
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "vecq_hw", tmp_path / "vecq_hw")
    for folder in ("rtl", "hls"):
        shutil.copytree(ROOT / folder, tmp_path / folder)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert text.count(old) == 1, (path, old)
    path.write_text(text.replace(old, new))


def run(folder: Path, *arguments: str, **more: str) -> str:
    """What Python prints there, of the copy's package; ``more`` are environment variables."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder), **more},
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr


@pytest.mark.nightly
def test_mypy_names_every_consumer_that_a_new_layer_needs(copy: Path) -> None:
    layers = copy / "vecq_hw" / "layers"
    orders = layers / "orders.py"
    orders.write_text(orders.read_text() + LAYER)
    imported = "from vecq_hw.layers.tensor import LARGEST_SIZE"
    replaced(orders, imported, f"from vecq_hw.formats import IntFormat\n{imported}")
    imported = "from vecq_hw.layers.orders import "
    replaced(layers / "__init__.py", imported, f"{imported}Negate, ")
    replaced(
        layers / "__init__.py", "Layer = (\n    Dense\n", "Layer = (\n    Negate\n    | Dense\n"
    )
    output = run(copy, "-m", "mypy", "-p", "vecq_hw")
    named = re.findall(r'^vecq_hw/(\S+):(\d+): error: .*"assert_never".*"Negate"', output, re.M)
    assert output.count("error:") == len(named), output
    assert sorted({file for file, _ in named}) == sorted(re.findall(r"^- `(\S+)`:", PAGE, re.M))
    for file, cases in CASES.items():
        path = copy / "vecq_hw" / file
        lines = path.read_text().split("\n")
        places = [int(line) for name, line in named if name == file]
        assert len(places) == len(cases), file
        for place, statement in reversed(list(zip(places, cases, strict=True))):
            default = lines[place - 2]
            assert default.strip() == "case _:"
            indent = default[: -len("case _:")]
            lines[place - 2 : place - 2] = [f"{indent}case Negate():", f"{indent}    {statement}"]
        text = "\n".join(lines)
        imports = "from __future__ import annotations\n"
        added = "from vecq_hw.errors import VecqError\n" * ("import VecqError" not in text)
        if file != "layers/__init__.py":
            added = f"from vecq_hw.layers.orders import Negate\n{added}"
            text = text.replace(imports, imports + added)
        path.write_text(text)
    assert "Success" in run(copy, "-m", "mypy", "-p", "vecq_hw")
    assert not run(copy, "-c", USE_LAYER)


@pytest.mark.nightly
def test_a_grid_needs_its_class_and_the_union(copy: Path) -> None:
    replaced(copy / "vecq_hw" / "formats.py", "Grid = ", f"{GRID}\n\nGrid = Squares | ")
    assert not run(copy, "-c", USE_GRID)
    assert "Success" in run(copy, "-m", "mypy", "-p", "vecq_hw.formats", "-p", "vecq_hw.emit")


@pytest.mark.nightly
def test_a_method_needs_its_file_and_its_name(copy: Path) -> None:
    (copy / "vecq_hw" / "quantize" / "signs.py").write_text(METHOD)
    methods = copy / "vecq_hw" / "quantize" / "methods.py"
    replaced(methods, '    "vecq": Vecq,\n', '    "vecq": Vecq,\n    "signs": Signs,\n')
    imported = "from vecq_hw.quantize.tqt import Tqt\n"
    replaced(methods, imported, f"from vecq_hw.quantize.signs import Signs\n{imported}")
    assert not run(copy, "-c", USE_METHOD)
    refused = run(copy, "-m", "vecq_hw", "train", "--method", "sign")
    assert "did you mean 'signs'?" in refused


def test_a_target_needs_its_module_and_its_place_in_the_list(copy: Path) -> None:
    (copy / "vecq_hw" / "verify" / "plain_python.py").write_text(TARGET)
    targets = copy / "vecq_hw" / "verify" / "targets.py"
    replaced(targets, "TARGETS = (HLS, ", "TARGETS = (PLAIN_PYTHON, HLS, ")
    imported = "from vecq_hw.verify.qonnx import"
    named = "from vecq_hw.verify.plain_python import TARGET as PLAIN_PYTHON\n"
    replaced(targets, imported, named + imported)
    assert not run(copy, "-c", USE_TARGET)
    verify = ("-m", "vecq_hw", "verify", "n.npz", "--inputs", "x.npy", "--targets", "plain-python")
    said = run(copy, *verify)
    assert re.search(r"^plain-python +passed +\d+ +\d+ +0 ", said, re.MULTILINE), said
    # It compares: a script that is wrong is found.
    module = copy / "vecq_hw" / "verify" / "plain_python.py"
    replaced(module, "sum(w * x for", "1 + sum(w * x for")
    assert re.search(r"^plain-python +failed", run(copy, *verify), re.MULTILINE)


LISTS = {
    "vecq.f": "vecq_multiply.sv\n",
    "vecq.core": "      - vecq_multiply.sv\n",
    "Bender.yml": "  - vecq_multiply.sv\n",
}


@pytest.mark.nightly
@pytest.mark.needs_cxx
@pytest.mark.needs_verilator
def test_a_cell_needs_its_module_its_bench_and_its_header(copy: Path) -> None:
    module, bench, header, program = re.findall(
        r"^```(?:systemverilog|python|cpp)\n(.*?)^```$", CELL_PAGE, re.MULTILINE | re.DOTALL
    )
    for folder in ("rtl_tests", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("golden"))
    source = copy / "rtl" / "vecq_negate.sv"
    source.write_text(module)
    for name, line in LISTS.items():
        replaced(copy / "rtl" / name, line, f"{line}{line.replace('multiply', 'negate')}")
    (copy / "rtl_tests" / "bench_negate.py").write_text(bench)

    def simulated() -> str:
        code = (
            "import sys, tempfile; from pathlib import Path; from rtl_tests import harness;"
            " from rtl_tests.bench_negate import CASES;"
            " harness.run(Path(tempfile.mkdtemp()), 'bench_negate', CASES)"
        )
        return run(copy, "-c", code, **tools)

    tools = {"PATH": simulation_environment()["PATH"], "TMPDIR": str(copy)}
    assert simulated() == ""
    tests = ("rtl_tests/test_lint.py", "tests/emit/test_packaging.py")
    replaced(
        copy / "rtl_tests" / "test_lint.py",
        '    "vecq_pool": {\n',
        '    "vecq_negate": {"Lanes": 3, "Signed": 0},\n    "vecq_pool": {\n',
    )
    chosen = "negate or list_of_cells or names_every_cell"
    said = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests, "-k", chosen, **tools)
    assert "3 passed" in said, said
    # The bench compares, and the rule stops elaboration.
    replaced(source, "OutputBits'(0) - {", "~{")
    assert "item 0 is" in simulated()
    lint = ["verilator", "--lint-only", "-F", "vecq.f", "--top-module", "vecq_negate", "-GLanes=0"]
    environment = simulation_environment()
    done = subprocess.run(
        lint, cwd=copy / "rtl", env=environment, capture_output=True, text=True, check=False
    )
    assert "vecq_negate: Lanes (0) and InputBits (8) must be at least 1" in done.stderr

    (copy / "hls" / "include" / "vecq" / "negate.hpp").write_text(header)
    (copy / "program.cpp").write_text(program)
    warnings = ("-Wall", "-Wextra", "-Werror", "-Wno-unknown-pragmas", "-Wno-unused-label")
    include = ("-I", "hls/include", "-isystem", str(AP_TYPES.find()))
    build = ["g++", "-std=c++17", *warnings, *include, "program.cpp", "-o", "program"]
    subprocess.run(build, cwd=copy, check=True)
    subprocess.run([copy / "program"], check=True)
