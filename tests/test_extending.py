"""docs/how-to/extending.md, carried out on a copy of the package."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

LAYER = '''

@dataclass(frozen=True, slots=True, kw_only=True)
class Negate(OfOneTensor):
    """The negative of each code."""

    name: str
    input: str

    def output(self, source: Tensor) -> Tensor:
        """The tensor of the negatives."""
        fmt = source.format
        return replace(source, format=IntFormat.covering(-fmt.hi, -fmt.lo))

    def problems(self, source: Tensor) -> Iterator[str]:
        """Nothing can be."""
        yield from ()
'''

CASES = {
    "layers/__init__.py": ["return None", "return None"],
    "simulate/kernels.py": ["return lambda tensors: -tensors[0].astype(np.int64)"],
    "simulate/mac_array/folded.py": ["return -values[0].astype(np.int64)"],
    "accelerator/plan.py": ["raise VecqError(f\"layer '{layer.name}' has no cell yet\")"],
    "emit/hls4ml_reasons.py": ['return "Negate"', "return None"],
    "emit/hls4ml_nodes.py": ["raise AssertionError(layer)"],
}

GRID = '''@dataclass(frozen=True, slots=True)
class Squares:
    """The two's complement code q stands for ``q * abs(q)``."""

    bits: int

    @property
    def code_format(self) -> IntFormat:
        """The format of the stored codes."""
        return IntFormat(self.bits, signed=True)

    @property
    def value_format(self) -> IntFormat:
        """The format of the values."""
        least, most = self.code_format.lo, self.code_format.hi
        return IntFormat.covering(-least * least, most * most)

    def values(self, codes: IntArray) -> npt.NDArray[np.int32]:
        """The value that each code stands for; same shape."""
        wide = codes.astype(np.int32)
        return wide * np.abs(wide)


Grid = Squares | '''

METHOD = '''"""Signs alone."""

import torch

from vecq_hw.formats import MidRise
from vecq_hw.quantize.weights import WeightQuantizer


class Signs(WeightQuantizer):
    """+1 and -1, times the largest magnitude."""

    BITS = range(1, 2)

    @property
    def grid(self) -> MidRise:
        """-1 and 1."""
        return MidRise(1)

    def integers(self, w: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Signs and the largest magnitude."""
        return torch.where(w >= 0, 1.0, -1.0).to(w.dtype), w.detach().abs().amax()
'''

USE_LAYER = """
import numpy as np
from vecq_hw import storage
from vecq_hw.formats import IntFormat
from vecq_hw.layers import Input, Negate
from vecq_hw.network import Network
from vecq_hw.simulate import simulate

source = Input(name="x", shape=(3,), format=IntFormat(4, signed=True))
network = Network(name="n", inputs=(source,), layers=(Negate(name="y", input="x"),), outputs=("y",))
storage.save(network, "n.npz")
x = np.array([[-8, 0, 7]])
assert np.array_equal(simulate(storage.load("n.npz"), x), -x)
assert repr(network.tensors["y"].format) == "s5[-7..8]"
"""

USE_GRID = """
import numpy as np
from vecq_hw import storage
from vecq_hw.emit import hls, systemverilog
from vecq_hw.emit.project import Vectors
from vecq_hw.formats import IntFormat, Squares, bit_planes
from vecq_hw.layers import Dense, Input, Weights
from vecq_hw.network import Network
from vecq_hw.schedule import default_schedule
from vecq_hw.simulate import simulate
from vecq_hw.simulate.dataflow import with_fifo_depths

codes = np.array([[-4, 3, 1], [2, -1, 0]])
dense = Dense(name="d", input="x", weights=Weights(codes=codes, grid=Squares(3)))
source = Input(name="x", shape=(3,), format=IntFormat(4, signed=True))
network = Network(name="n", inputs=(source,), layers=(dense,), outputs=("d",))
storage.save(network, "n.npz")
x = np.array([[-8, 0, 7], [1, 2, 3]])
wanted = x @ (codes * np.abs(codes)).T
assert np.array_equal(simulate(storage.load("n.npz"), x), wanted)
assert bit_planes(Squares(3)).bits == 5
schedule = with_fifo_depths(network, default_schedule(network))
for target in (hls, systemverilog):
    target.emit(network, schedule, Vectors(inputs=x, outputs=wanted))
"""

USE_METHOD = """
import torch
from torch import nn
from vecq_hw.lower import lower
from vecq_hw.quantize.methods import weight_method
from vecq_hw.train import quantize_model

twin = quantize_model(nn.Sequential(nn.Linear(4, 3)), 1, 8, method=weight_method("signs"))
twin(torch.rand(9, 4))
largest = float(twin.get_submodule("0").weight.detach().abs().max())
assert lower(twin.eval()).layers[0].weights.step == largest
"""


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


def run(folder: Path, *arguments: str) -> str:
    """What Python prints there, of the copy's package."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)},
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
    page = (ROOT / "docs" / "how-to" / "extending.md").read_text()
    assert sorted({file for file, _ in named}) == sorted(re.findall(r"^- `(\S+)`:", page, re.M))
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
    replaced(copy / "vecq_hw" / "formats.py", "Grid = ", GRID)
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
