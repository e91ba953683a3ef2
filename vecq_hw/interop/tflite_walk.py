"""The nodes of a TFLite file as layers: codes less their zero points, in the order of the file."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.interop import tflite_file
from vecq_hw.interop.assembly import Imported
from vecq_hw.interop.fixed_point import Semantics
from vecq_hw.interop.graph import MISFITS, Graph, Node, Refusal, Unsupported, printable
from vecq_hw.interop.report import EndReport
from vecq_hw.interop.tflite_builder import (
    CODES,
    Builder,
    RefusedError,
    covering,
    image_or_vector,
    sample,
    short,
)
from vecq_hw.interop.tflite_operators import OPERATORS

_RESHAPES = ("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
_TAIL = ("SOFTMAX", "LOGISTIC", "LOG_SOFTMAX", "ARG_MAX", "DEQUANTIZE", "CAST", *_RESHAPES)
"""What may stand behind the codes that a network gives, and is left to the host."""


def import_tflite(data: bytes, semantics: str = "ruy", name: str = "network") -> Imported:
    """A TFLite file as a network of ours.

    Parameters
    ----------
    data : bytes
    semantics : {"ruy", "xnnpack", "reference"}
        Which of the three executors is meant: :class:`Semantics`.
    name : str
        Of the file, for messages and for the network.

    Raises
    ------
    VecqError
        The file is damaged, or (:class:`Unsupported`) nodes of it cannot be taken: all of them.
    """
    return _Walk(tflite_file.read(data, name), Semantics(semantics)).whole()


class _Walk:
    """Takes a graph node by node."""

    def __init__(self, graph: Graph, semantics: Semantics) -> None:
        self.graph = graph
        self.semantics = semantics
        self.builder = Builder(graph, semantics)
        self.assembly = self.builder.assembly
        self.held = self.builder.held
        self._refusals: list[Refusal] = []
        self._tail = self._find_tail()

    def whole(self) -> Imported:
        """The network and its report."""
        quantizers = {node.name for node in map(self._add_input, self.graph.inputs) if node}
        made = {*self.graph.inputs, *self.graph.constants}
        for node in self.graph.nodes:
            missing = [tensor for tensor in node.inputs if tensor and tensor not in made]
            if missing:
                raise VecqError(
                    f"node '{printable(node.name)}' reads '{printable(missing[0])}', which no"
                    " earlier node makes"
                )
            again = [tensor for tensor in node.outputs if tensor in made]
            if again:
                raise VecqError(f"the tensor '{printable(again[0])}' is made twice")
            made.update(node.outputs)
            if node.name in quantizers:
                continue
            if node.name in self._tail:
                self.assembly.drop(f"{node.operator} {node.name}")
                continue
            take = OPERATORS.get(node.operator)
            self._take(node, take)
        if self._refusals:
            raise Unsupported(tuple(self._refusals))
        return self.assembly.finish(self._ends(), "TFLite", self.semantics.value)

    def _take(self, node: Node, take: Callable[[Builder, Node], None] | None) -> None:
        """One node; what is wrong with it is kept, and those behind it are still looked at."""
        reason = None
        if take is None:
            reason = "the integer network has no layer for this operator"
        elif all(t in self.held or t in self.graph.constants for t in node.inputs if t):
            try:
                with np.errstate(over="raise", invalid="raise", divide="raise"):
                    take(self.builder, node)
            except FloatingPointError as error:
                reason = f"its scales or attributes leave the range of floats ({error})"
            except (RefusedError, VecqError) as error:
                reason = str(error)
            except MISFITS as error:
                reason = f"its inputs or attributes do not fit each other ({error})"
        elif not self._refusals:
            reason = "what it reads is no tensor of 8-bit codes"
        if reason is not None:
            self._refusals.append(Refusal(node.name, node.operator, reason))
        for tensor in node.outputs:
            if tensor not in self.held and self._refusals:
                self._stand_in(tensor)

    def _stand_in(self, tensor: str) -> None:
        """Something in the place of what a refused node makes, for those behind it."""
        try:
            held = self.builder.described(tensor)
            shape = image_or_vector(held.shape)
        except (RefusedError, VecqError):
            return
        lo, hi = CODES[self.graph.values[tensor].type]
        fmt = covering(lo - held.zero_point, hi - held.zero_point)
        end = EndReport(
            name="", source=tensor, shape=shape, source_shape=held.shape, format=repr(fmt),
            step=held.scale,
        )  # fmt: skip
        self.held[tensor] = replace(
            held, name=self.assembly.add_input(tensor, shape, fmt, held.scale, end)
        )

    def _find_tail(self) -> set[str]:
        """The nodes at the end that are left to the host."""
        tail: set[str] = set()
        for node in reversed(self.graph.nodes):
            readers = [reader for out in node.outputs for reader in self.builder.readers_of(out)]
            ends = any(out in self.graph.outputs for out in node.outputs)
            alone = all(reader.name in tail for reader in readers)
            if node.operator in _TAIL and alone and (ends or readers):
                tail.add(node.name)
        # A reshape that nothing dropped follows moves nothing, and the codes go through it.
        by_name = {node.name: node for node in self.graph.nodes}
        for name in list(tail):
            node = by_name[name]
            while node.operator in _RESHAPES:
                readers = [r for out in node.outputs for r in self.builder.readers_of(out)]
                if not readers:
                    tail.discard(name)
                    break
                node = readers[0]
        return tail

    def _ends(self) -> list[tuple[str, EndReport]]:
        """What the network gives for each output of the file."""
        makers = {out: node for node in self.graph.nodes for out in node.outputs}
        ends: list[tuple[str, EndReport]] = []
        for output in self.graph.outputs:
            tensor, kind = output, "codes"
            while (node := makers.get(tensor)) is not None and node.name in self._tail:
                kind = "reals" if node.operator == "DEQUANTIZE" else kind
                tensor = node.inputs[0]
            if tensor not in self.held:
                raise VecqError(
                    f"the output '{printable(output)}' is a constant or no tensor of codes"
                )
            held = self.builder.laid(self.held[tensor], output)
            ours = self.assembly.tensor(held.name)
            end = EndReport(
                name="",
                source=tensor,
                shape=ours.shape,
                source_shape=held.shape,
                format=repr(ours.format),
                step=held.scale,
                zero_point=held.zero_point,
                kind=kind,
            )
            if all(end.source != other.source for _, other in ends):
                ends.append((held.name, end))
        return ends

    def _add_input(self, tensor: str) -> Node | None:
        """An input of codes, or of what a quantizer makes of reals: that node."""
        value = self.graph.values[tensor]
        quantizer = None
        source = tensor
        readers = self.builder.readers_of(tensor)
        if value.type == "float32" and len(readers) == 1 and readers[0].operator == "QUANTIZE":
            quantizer = readers[0]
            source = quantizer.outputs[0]
        try:
            held = self.builder.described(source)
            shape = image_or_vector(self._reshaped(source))
        except RefusedError as error:
            raise VecqError(f"input '{printable(tensor)}': {error}") from None
        lo, hi = CODES[self.graph.values[source].type]
        fmt = covering(lo - held.zero_point, hi - held.zero_point)
        even = self.semantics is Semantics.XNNPACK
        end = EndReport(
            name="",
            source=tensor,
            shape=shape,
            source_shape=held.shape,
            format=repr(fmt),
            step=held.scale,
            zero_point=held.zero_point,
            kind="codes" if quantizer is None else "reals",
            rounding="ROUND" if even else "HALF_UP",
        )
        name = self.assembly.add_input(short(tensor), shape, fmt, held.scale, end)
        self.held[source] = replace(held, name=name)
        return quantizer

    def _reshaped(self, tensor: str) -> tuple[int, ...]:
        """The shape in which an input is read, where it is only reshaped."""
        shape = self.builder.described(tensor).shape
        while True:
            readers = self.builder.readers_of(tensor)
            if len(readers) != 1 or readers[0].operator not in _RESHAPES:
                return shape
            if tensor in self.graph.outputs:
                return shape
            tensor = readers[0].outputs[0]
            after = sample(self.graph.values[tensor].shape)
            if math.prod(after) != math.prod(shape) or len(after) > 3:
                return shape
            shape = after
