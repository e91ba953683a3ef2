"""Standard ONNX from a network: onnxruntime computes the simulator's integers.

onnx is imported where it is used; it belongs to the extra ``onnx``.
"""

from vecq_hw.emit.onnx.model import end_names, model, unsupported
from vecq_hw.emit.onnx.project import MODEL, project
from vecq_hw.emit.onnx.writer import carrier
from vecq_hw.emit.project import Project, Vectors
from vecq_hw.errors import VecqError
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule
from vecq_hw.toolchain import ONNX, require

__all__ = ["MODEL", "emit", "end_names", "model", "unsupported"]

_ABOUT = (
    "A low-bit integer network in standard ONNX operators, each in the form that is proven exact,"
    " and a test that compares it with the network's simulator, integer by integer."
)


def emit(network: Network, schedule: Schedule, vectors: Vectors) -> Project:
    """``model.onnx``, vectors, and a script that runs onnxruntime and compares.

    Parameters
    ----------
    network : Network
    schedule : Schedule
        Not used: the operators have no folds.
    vectors : Vectors that the project's own test runs and compares with

    Raises
    ------
    VecqError
        A layer cannot be expressed exactly, or the vectors have other shapes.
    MissingToolError
        onnx is not installed.
    """
    require(ONNX)
    reason = unsupported(network)
    if reason is not None:
        raise VecqError(f"network '{network.name}': standard ONNX cannot express {reason}")
    ends = [*(source.name for source in network.inputs), *network.outputs]
    return project(
        network,
        vectors,
        model(network),
        bits={name: carrier(network.tensors[name].format).itemsize * 8 for name in ends},
        executor="onnxruntime",
        package="onnxruntime",
        about=_ABOUT,
        qonnx=False,
        samples=256,
    )
