"""Layers in order under free names: what a walk builds a Network and its report with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vecq_hw import storage
from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.interop.graph import printable
from vecq_hw.interop.report import (
    EndReport,
    Report,
    RequantizationReport,
    Tap,
    tensor_reports,
)
from vecq_hw.interop.requantize import Requantizer, requantized
from vecq_hw.interop.shorten import Lines, channel_ranges
from vecq_hw.layers import (
    CodeLayer,
    Conv2d,
    Dense,
    Input,
    Layer,
    Lookup,
    Rescale,
    Tensor,
    Threshold,
)
from vecq_hw.layers.tensor import step_problems
from vecq_hw.network import Network

_LONGEST_NAME = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A file as a network of ours, and what became of it."""

    network: Network
    report: Report


class Assembly:
    """Collects inputs and layers; every tensor is known as soon as its layer is there.

    Parameters
    ----------
    name : str
        Of the network.
    """

    def __init__(self, name: str) -> None:
        self._name = _plain(name) or "network"
        self._inputs: list[Input] = []
        self._layers: list[Layer] = []
        self._tensors: dict[str, Tensor] = {}
        self._ends: list[EndReport] = []
        self._ranges: dict[str, IntArray] = {}
        self._requantizations: list[RequantizationReport] = []
        self._taps: list[Tap] = []
        self._dropped: list[str] = []
        self._notes: dict[str, None] = {}

    def free_name(self, wanted: str) -> str:
        """A name of letters, digits, '_', '.' and '-' that no tensor has: ``wanted`` or alike."""
        plain = _plain(wanted) or "tensor"
        name, number = plain, 2
        while name in self._tensors:
            name, number = f"{plain}_{number}", number + 1
        return name

    def tensor(self, name: str) -> Tensor:
        """What is known of an input's or a layer's integers."""
        return self._tensors[name]

    def ends(self, name: str) -> IntArray:
        """The least and the greatest integer of each channel, shape (C, 2)."""
        return channel_ranges(self._tensors[name], self._ranges.get(name))

    def bound(self, name: str, ranges: IntArray) -> None:
        """Tell the least and the greatest integer of each channel of a layer, shape (C, 2)."""
        self._ranges[name] = ranges

    def add_input(
        self, wanted: str, shape: tuple[int, ...], fmt: IntFormat, step: float, end: EndReport
    ) -> str:
        """An input of codes; its name.  ``end.name`` is filled in.

        Raises
        ------
        VecqError
            The step is not positive and finite.
        """
        name = self.free_name(wanted)
        given = Input(name=name, shape=shape, format=fmt, step=step)
        for problem in step_problems(step):
            raise VecqError(f"input '{printable(wanted)}': {problem}")
        self._inputs.append(given)
        self._tensors[name] = Tensor(shape=shape, format=fmt, step=step)
        self._ends.append(replace(end, name=name))
        return name

    def add(self, layer: Layer, node: str = "") -> str:
        """A layer, whose name is free and whose inputs are there; its name.

        Raises
        ------
        VecqError
            The layer is illegal; ``node`` says where in the file that comes from.
        """
        sources = [self._tensors[name] for name in layer.inputs]
        where = f"node '{printable(node)}'" if node else f"layer '{layer.name}'"
        for problem in layer.problems(*sources):
            raise VecqError(f"{where}: {problem}")
        try:
            self._tensors[layer.name] = layer.output(*sources)
        except VecqError as error:
            raise VecqError(f"{where}: {error}") from None
        self._layers.append(layer)
        if isinstance(layer, Conv2d | Dense):
            ranges = layer.accumulator_ranges(sources[0].format)
            self._ranges[layer.name] = np.array(ranges, np.int64)
        return layer.name

    def requantize(
        self,
        wanted: str,
        source: str,
        function: Requantizer,
        result: IntFormat,
        step: float,
        node: str = "",
    ) -> str:
        """A layer of the source's own arithmetic: :func:`requantized`; its name.

        Raises
        ------
        VecqError
            The step is not positive and finite, or :func:`requantized` refuses the function.
        """
        tensor = self._tensors[source]
        for problem in step_problems(step):
            raise VecqError(f"node '{printable(node or wanted)}': {problem}")
        name = self.free_name(wanted)
        ranges = self.ends(source)
        layer = requantized(name, source, tensor, function, result, step, node or wanted, ranges)
        self._requantizations.append(_requantization(layer, tensor, ranges, node or wanted))
        return self.add(layer, node)

    def tap(
        self, name: str, source: str, zero_point: int = 0, order: tuple[int, ...] | None = None
    ) -> None:
        """Tell that the file has this tensor of codes as well, as ``source``."""
        step = self._tensors[name].step
        order = None if order is not None and list(order) == sorted(order) else order
        tap = Tap(name=name, source=source, zero_point=zero_point, step=step, order=order)
        if tap not in self._taps:
            self._taps.append(tap)

    def drop(self, node: str) -> None:
        """Tell that a node at the end is left to the host."""
        self._dropped.append(printable(node))

    def note(self, sentence: str) -> None:
        """Tell something; once."""
        self._notes[sentence] = None

    def finish(
        self, outputs: Sequence[tuple[str, EndReport]], file_format: str, semantics: str
    ) -> Imported:
        """The network of all layers that an output needs, and the report."""
        names = tuple(dict.fromkeys(name for name, _ in outputs))
        needed = set(names)
        for layer in reversed(self._layers):
            if layer.name in needed:
                needed.update(layer.inputs)
        network = Network(
            name=self._name,
            inputs=tuple(self._inputs),
            layers=tuple(layer for layer in self._layers if layer.name in needed),
            outputs=names,
        )
        report = Report(
            name=network.name,
            format=file_format,
            semantics=semantics,
            digest=storage.digest(network),
            inputs=tuple(self._ends),
            outputs=tuple(replace(end, name=name) for name, end in outputs),
            tensors=tensor_reports(network),
            requantizations=tuple(r for r in self._requantizations if r.name in needed),
            taps=tuple(tap for tap in self._taps if tap.name in needed),
            dropped=tuple(self._dropped),
            notes=tuple(self._notes),
            weight_bits=sum(layer.weights.stored_bits for layer in network.mac_layers),
        )
        return Imported(network=network, report=report)


def _plain(name: str) -> str:
    """A name without anything that a generated file could take for more than a name."""
    plain = re.sub(r"[^A-Za-z0-9_.\-]+", "_", name).strip("_.-")
    return plain[-_LONGEST_NAME:].lstrip("_.-")


def _requantization(
    layer: CodeLayer, tensor: Tensor, ranges: IntArray, node: str
) -> RequantizationReport:
    levels = layer.format.hi - layer.format.lo
    without, mantissa_bits = 0, 0
    match layer:
        case Rescale():
            mantissa_bits = int(layer.mantissa_bits.max(initial=0))
            stored = layer.channels * (mantissa_bits + tensor.format.bits)
        case Threshold():
            without = int((~Lines.of(layer.by_channel(tensor.channels), ranges).found).sum())
            stored = layer.thresholds.size * tensor.format.bits
        case Lookup():
            without = tensor.channels
            stored = layer.table.size * layer.format.bits
    return RequantizationReport(
        name=layer.name,
        node=printable(node),
        channels=tensor.channels,
        levels=levels,
        held_as=type(layer).__name__,
        without_line=without,
        mantissa_bits=mantissa_bits,
        threshold_bits=tensor.channels * levels * tensor.format.bits,
        stored_bits=stored,
    )
