"""What became of a file: what a reader of its integers has to know."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from vecq_hw import trees
from vecq_hw.arguments import format_version
from vecq_hw.errors import VecqError
from vecq_hw.layers.tensor import UNSTORED_DEFAULT
from vecq_hw.network import Network

VERSION = 1
"""The version of the format of report.json; a file without one is of the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EndReport:
    """An input or output: ``real = step * code``; the source's own code is ``code + zero_point``.

    Attributes
    ----------
    name : str
        Of the tensor in the network.
    source : str
        Of the tensor in the file.
    shape : tuple of int
        In the network: (C,) or (H, W, C).
    source_shape : tuple of int
        In the file, without the batch axis; 0 where a size is left open.
    kind : str
        What the file takes or gives there: 'codes', or 'reals' that the step turns into codes.
    rounding : str
        Of reals that become codes, as QONNX names it; SIGN gives -1 and 1.
    clips_first : bool
        Whether reals are clipped before they are rounded.
    """

    name: str
    source: str
    shape: tuple[int, ...]
    source_shape: tuple[int, ...]
    format: str
    step: float
    zero_point: int = 0
    kind: str = "codes"
    rounding: str = "ROUND"
    clips_first: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Tap:
    """A tensor of codes that the file has as well: its code is ``code + zero_point``.

    Attributes
    ----------
    order : tuple of int, optional
        The network's axes as they follow each other in the file, where the order is another one.
    """

    name: str
    source: str
    zero_point: int = 0
    step: float = 1.0
    order: tuple[int, ...] | None = field(default=None, metadata=UNSTORED_DEFAULT)


@dataclass(frozen=True, slots=True, kw_only=True)
class RequantizationReport:
    """How the arithmetic between an accumulator and a code is held."""

    name: str
    node: str
    channels: int
    levels: int
    held_as: str
    """'Rescale', 'Threshold' or 'Lookup'."""
    without_line: int
    """Channels whose thresholds no Rescale has; one of them makes the layer a Threshold."""
    mantissa_bits: int
    """The bits of the widest mantissa of a Rescale."""
    threshold_bits: int
    """The bits that the thresholds of all channels take, or would take."""
    stored_bits: int
    """The bits that it takes as it is held."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorReport:
    """A tensor of the network."""

    name: str
    layer: str
    shape: tuple[int, ...]
    format: str
    step: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A tensor of the network beside what the source's own executor gives, on some samples."""

    output: str
    """Its name; that of an output, or of a tap."""
    samples: int
    codes: int
    differing: int
    largest: int
    """The largest difference."""
    integer_accuracy: float | None = None
    source_accuracy: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What became of a file.

    Attributes
    ----------
    format : str
        'ONNX' or 'TFLite'.
    semantics : str
        Whose arithmetic the integers are: 'ruy', 'xnnpack', 'reference', 'onnx', or
        'vecq' of a file that vecq wrote.
    digest : str
        Of the network.
    dropped : tuple of str
        Nodes at the end that are left to the host.
    notes : tuple of str
        Sentences: what is modelled, what was changed on the way.
    comparisons : tuple of Comparison
        Where samples were given.
    tap_comparisons : tuple of Comparison, optional
        Of each tap, where that was asked for.
    """

    name: str
    format: str
    semantics: str
    digest: str
    inputs: tuple[EndReport, ...]
    outputs: tuple[EndReport, ...]
    tensors: tuple[TensorReport, ...]
    requantizations: tuple[RequantizationReport, ...]
    taps: tuple[Tap, ...]
    dropped: tuple[str, ...]
    notes: tuple[str, ...]
    weight_bits: int
    comparisons: tuple[Comparison, ...] = ()
    tap_comparisons: tuple[Comparison, ...] | None = field(default=None, metadata=UNSTORED_DEFAULT)

    @property
    def kept_thresholds(self) -> tuple[RequantizationReport, ...]:
        """Those that no Rescale is."""
        return tuple(one for one in self.requantizations if one.held_as != "Rescale")

    def to_tree(self) -> Any:
        """The report as JSON has it, with the version of its format."""
        return {"version": VERSION, **trees.encode(self, Report, [])}

    def to_json(self) -> bytes:
        """The text of report.json."""
        return f"{json.dumps(self.to_tree(), indent=2)}\n".encode()

    @classmethod
    def from_json(cls, text: bytes) -> Report:
        """What :meth:`to_json` wrote.

        Raises
        ------
        VecqError
            It is no report, or of another version.
        """
        try:
            tree = json.loads(text)
        except (ValueError, RecursionError):
            raise VecqError("it is no JSON; the report of an import is wanted") from None
        if isinstance(tree, dict):
            format_version(tree.pop("version", 1), VERSION, "it")
        report: Report = trees.decode(tree, cls, iter(()), "the report")
        return report


def tensor_reports(network: Network) -> tuple[TensorReport, ...]:
    """Every tensor of a network."""
    layers = {one.name: type(one).__name__ for one in (*network.inputs, *network.layers)}
    return tuple(
        TensorReport(
            name=name,
            layer=layers[name],
            shape=tensor.shape,
            format=repr(tensor.format),
            step=tensor.step,
        )
        for name, tensor in network.tensors.items()
    )
