"""From the graph of an ONNX file to layers, node by node in the order of the file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import zip_longest

import numpy as np

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntFormat
from vecq_hw.interop import (
    onnx_joins,
    onnx_orders,
    onnx_pools,
    onnx_products,
    onnx_quantizers,
    onnx_shapes,
    onnx_steps,
)
from vecq_hw.interop.assembly import Assembly, Imported
from vecq_hw.interop.chain import Chain, Quantizer
from vecq_hw.interop.graph import MISFITS, Graph, Node, Refusal, Unsupported, printable
from vecq_hw.interop.onnx_constants import FOLDED, fold
from vecq_hw.interop.onnx_ends import finish
from vecq_hw.interop.onnx_file import MICROSOFT, QONNX, STANDARD, read_onnx
from vecq_hw.interop.onnx_values import (
    Fixed,
    Held,
    Hosted,
    MaxPooling,
    Outside,
    OutsideCodes,
    PairSum,
    Parts,
    Real,
    Refused,
    Several,
    State,
    Unknown,
    Waiting,
    first_axes,
)
from vecq_hw.interop.own import own_import, own_network
from vecq_hw.interop.report import EndReport
from vecq_hw.interop.requantize import Requantizer
from vecq_hw.layers import MaxPool2d

MOST_LEVELS = 1 << 24
"""Thresholds of a layer."""


def import_onnx(
    content: bytes, name: str = "network", pixels: tuple[IntFormat, float] | None = None
) -> Imported:
    """The network of the contents of a quantized ONNX or QONNX file.

    Parameters
    ----------
    pixels : (IntFormat, float), optional
        Codes and step of an input that meets arithmetic before its first quantizer.
    """
    graph = read_onnx(content)
    own = own_network(graph, len(content))
    return Walk(graph, name, pixels).run() if own is None else own_import(graph, own)


class Walk:
    """The state of each tensor, and the layers so far."""

    def __init__(
        self, graph: Graph, name: str, pixels: tuple[IntFormat, float] | None = None
    ) -> None:
        self.graph = graph
        self.assembly = Assembly(name)
        self.states: dict[str, State] = {
            key: Fixed(values) for key, values in graph.constants.items()
        }
        self.batch = 1
        self._held: dict[tuple[int, Quantizer], Held] = {}
        self._entered: dict[str, tuple[object, Held]] = {}
        self._keep: list[object] = []  # ids of states serve as keys while these live
        for source in graph.inputs:
            self.states[source] = self._input(source, pixels)

    def run(self) -> Imported:
        """All nodes, then the ends.

        Raises
        ------
        Unsupported
            Nodes cannot be taken; all of them are named.
        """
        with np.errstate(all="ignore"):  # overflows of a file are judged by what comes of them
            return self._run()

    def _run(self) -> Imported:
        refusals: list[Refusal] = []
        for node in self.graph.nodes:
            try:
                made = self._node(node)
            except MISFITS as error:
                reason = (str(error).splitlines() or [type(error).__name__])[0]
                what = f"its inputs or attributes do not fit each other ({reason})"
                refusals.append(Refusal(node.name, printable(node.operator), what))
                made = Unknown()
            except VecqError as error:
                refusals.append(Refusal(node.name, printable(node.operator), str(error)))
                made = Unknown()
            several = made.members if isinstance(made, Several) else (made,)
            others = made if isinstance(made, Unknown) else Hosted(made)
            for output, state in zip_longest(node.outputs, several, fillvalue=others):
                if isinstance(output, str) and output:
                    self.states[output] = state
        if refusals:
            raise Unsupported(tuple(refusals))
        return finish(self)

    def _node(self, node: Node) -> State:
        given = [self.states[name] for name in node.inputs if name]
        handler = HANDLERS.get((node.domain, node.operator))
        folds = node.domain == STANDARD and node.operator in FOLDED
        if handler is None and not folds:
            domain = f" of the domain '{printable(node.domain)}'" if node.domain else ""
            raise Refused(
                f"the operator {printable(node.operator)}{domain} is not known; it would need a"
                " rule in integers"
            )
        if any(isinstance(state, Unknown) for state in given):
            return Unknown()
        if folds and given and all(isinstance(state, Fixed) for state in given):
            return fold(node, [state for state in given if isinstance(state, Fixed)])
        if any(isinstance(state, Hosted) for state in given):
            return self._hosted(node, given)
        if handler is None:
            raise Refused("it is known between constants alone; put a quantizer around it")
        return handler(self, node)

    def _hosted(self, node: Node, given: list[State]) -> State:
        if node.operator not in onnx_shapes.HOSTED:
            raise Refused("it reads what is left to the host; only such operators may follow")
        self.assembly.drop(f"{node.operator} '{node.name}'")
        return next(state for state in given if isinstance(state, Hosted))

    def state(self, node: Node, index: int) -> State:
        """The state of an input of a node, which must be there."""
        name = node.inputs[index] if index < len(node.inputs) else ""
        if not name:
            raise Refused(f"its input {index} is left out")
        return self.states[name]

    constant_or_state = state

    def optional(self, node: Node, index: int) -> Fixed | None:
        """A constant input that may be left out."""
        if index >= len(node.inputs) or not node.inputs[index]:
            return None
        state = self.states[node.inputs[index]]
        if not isinstance(state, Fixed):
            raise Refused(f"its input {index} is no constant")
        return state

    def constant(self, node: Node, index: int, what: str) -> Fixed:
        """A constant input that must be there."""
        found = self.optional(node, index)
        if found is None:
            raise Refused(f"{what} is left out")
        return found

    def real(self, node: Node, index: int) -> Real:
        """An input that is integers of ours, whatever arithmetic lies on them."""
        state = self.state(node, index)
        if isinstance(state, Real):
            return state
        if isinstance(state, Outside):
            raise Refused(
                f"it reads the real input '{printable(state.name)}' before any quantizer; put one"
                " there, or give the format and step of its codes (--input-format, --input-step)"
            )
        if isinstance(state, PairSum | Parts):
            raise Refused("it reads tensors of different steps; put a quantizer before it")
        if isinstance(state, Fixed):
            raise Refused(f"its input {index} is a constant; a tensor of the network is wanted")
        raise Refused("it reads codes as if they were reals; put a DequantizeLinear before it")

    def codes(self, node: Node, index: int) -> Real:
        """An input that is integers with one step, as a layer reads it."""
        found = self.real(node, index)
        if not found.chain.is_plain or found.pools:
            raise Refused("what it reads is no codes of one step; put a quantizer before it")
        return found

    def _input(self, name: str, pixels: tuple[IntFormat, float] | None) -> State:
        value = self.graph.values[name]
        if not value.shape:
            raise VecqError(f"the input '{printable(name)}' has no axes; a batch is wanted")
        self.batch = max(value.shape[0], 1)
        shape = value.shape[1:]
        if any(size == 0 for size in shape):
            raise VecqError(
                f"the input '{printable(name)}' leaves sizes open ({value.shape}); all but the"
                " batch are wanted as numbers"
            )
        try:
            sizes, axes = first_axes(shape)
        except Refused as error:
            raise VecqError(f"the input '{printable(name)}': {error}") from None
        kind = np.dtype(value.type)
        if kind.kind == "b" or (kind.itemsize > 2 and kind.kind in "iu"):
            raise VecqError(
                f"the input '{printable(name)}' has the type {kind}; reals or integers of at most"
                " 16 bits are wanted"
            )
        if kind.kind in "iu" and pixels is None:
            limits = np.iinfo(kind)
            return OutsideCodes(name, shape, int(limits.min), int(limits.max))
        if pixels is None:
            return Outside(name, shape, Chain.plain(1.0))
        fmt, step = pixels
        end = EndReport(name="", source=name, shape=sizes, source_shape=shape, format=repr(fmt),
                        step=step)  # fmt: skip
        tensor = self.assembly.add_input(name, sizes, fmt, step, end)
        return Real(tensor, sizes, Chain.plain(step), axes)

    def enter(self, outside: Outside | OutsideCodes, quantizer: Quantizer) -> Held:
        """The codes of an input of the file, which become an input of the network."""
        steps = outside.chain.steps if isinstance(outside, Outside) else ()
        for step in steps:
            if step.operator in ("Relu", "Clip"):
                quantizer = quantizer.clipped(step)
                continue
            raise Refused(
                f"arithmetic lies between the input '{printable(outside.name)}' and its first"
                " quantizer; give the format and step of the input's codes (--input-format,"
                " --input-step)"
            )
        key = (quantizer.scale, quantizer.zero, quantizer.lo, quantizer.hi)
        if outside.name not in self._entered:
            sizes, axes = first_axes(outside.shape)
            fmt = quantizer.format
            end = EndReport(
                name="", source=outside.name, shape=sizes, source_shape=outside.shape,
                format=repr(fmt), step=quantizer.scale, zero_point=quantizer.zero,
                kind="reals" if isinstance(outside, Outside) else "codes",
                rounding="SIGN" if quantizer.signs else quantizer.rounding,
                clips_first=quantizer.clips_first,
            )  # fmt: skip
            tensor = self.assembly.add_input(outside.name, sizes, fmt, quantizer.scale, end)
            self._entered[outside.name] = (key, Held(tensor, sizes, axes, quantizer.zero))
        known, held = self._entered[outside.name]
        if known != key:
            raise Refused(
                f"the input '{printable(outside.name)}' has two quantizers that differ; one is"
                " wanted"
            )
        views = outside.views if isinstance(outside, Outside) else ()
        for operator, target in views:
            held = onnx_shapes.viewed(self, held, operator, target)
        return held

    def quantize(
        self, source: Real | Outside | Parts | PairSum, quantizer: Quantizer, node: Node
    ) -> Held:
        """Codes of a quantizer; no layer where they are the integers that are there already."""
        key = (id(source), quantizer)
        if key not in self._held:
            self._keep.append(source)
            self._held[key] = self._quantize(source, quantizer, node)
        return self._held[key]

    def _quantize(
        self, source: Real | Outside | Parts | PairSum, quantizer: Quantizer, node: Node
    ) -> Held:
        match source:
            case Outside():
                return self.enter(source, quantizer)
            case Parts():
                return onnx_joins.quantized_parts(self, source, quantizer, node)
            case PairSum():
                return onnx_joins.quantized_pair(self, source, quantizer, node)
        fmt = self.assembly.tensor(source.tensor).format
        same_step = np.float32(source.chain.scales.flat[0]) == np.float32(quantizer.scale)
        if (
            source.chain.is_plain
            and same_step
            and not source.pools
            and not quantizer.signs
            and fmt.magnitude < 1 << 20
            and quantizer.format.contains(fmt.lo, fmt.hi)
        ):
            return Held(source.tensor, source.sizes, source.axes, quantizer.zero, source.flat)
        chain = source.chain
        return self.requantize(
            source, lambda x: quantizer.codes(chain.values(x)), quantizer.format, quantizer.scale,
            quantizer.zero, node,
        )  # fmt: skip

    def requantize(
        self,
        source: Real,
        function: Requantizer,
        fmt: IntFormat,
        step: float,
        zero: int,
        node: Node,
    ) -> Held:
        """Codes of a function of integers, and the pools that waited for them."""
        if (fmt.hi - fmt.lo) * source.channels > MOST_LEVELS:
            raise Refused(
                f"it gives {fmt.hi - fmt.lo + 1} levels in {source.channels} channels; at most"
                f" {MOST_LEVELS} thresholds are taken"
            )
        for pool in source.pools:
            if not source.chain.rises_from(pool.after):
                raise Refused("behind a MaxPool it falls; a quantizer before the pool is wanted")
        name = self.assembly.requantize(
            self.layer_name(node, "quantized"), source.tensor, function, fmt, step, node.name
        )
        for pool in source.pools:
            name = self.pool(name, pool, node)
        return Held(name, source.sizes, source.axes, zero, source.flat)

    def pool(self, tensor: str, pool: MaxPooling, node: Node) -> str:
        """A MaxPool2d layer on a tensor of ours; its name."""
        layer = MaxPool2d(
            name=self.assembly.free_name("maxpool"), input=tensor, kernel=pool.kernel,
            stride=pool.stride, padding=pool.padding, dilation=pool.dilation,
        )  # fmt: skip
        return self.assembly.add(layer, node.name)

    def held(self, state: State, zero: int, node: Node) -> Held:
        """Codes as a tensor of ours, of which somebody says that ``zero`` is their zero."""
        match state:
            case Waiting():
                maker = replace(node, name=state.names[0])
                found = self.quantize(state.source, state.quantizer, maker)
                for name in state.names[1:]:
                    self.tap(found, name)
            case Held():
                found = state
            case Real() if state.chain.whole and state.chain.is_plain and not state.pools:
                if state.chain.scales != 1:
                    raise Refused("it reads integers that are multiples of another number than 1")
                found = Held(state.tensor, state.sizes, state.axes, 0, state.flat)
            case OutsideCodes():
                quantizer = Quantizer(1.0, zero, state.lo, state.hi)
                found = self.enter(state, quantizer)
            case _:
                raise Refused("it reads no codes; put a QuantizeLinear before it")
        if found.zero != zero:
            raise Refused(
                f"it reads codes whose zero point is {found.zero} as if it were {zero}; the same is"
                " wanted"
            )
        return found

    def tap(self, held: Held, source: str) -> None:
        """Tell that the file has these codes as well, as ``source``."""
        order = onnx_shapes.our_order(held)
        self.assembly.tap(held.tensor, source, held.zero, order)

    def layer_name(self, node: Node, fallback: str = "layer") -> str:
        """A free name after a node: the module's where the exporter put it into a path."""
        parts = [part for part in node.name.replace("\\", "/").split("/") if part]
        dull = {"act_quant", "export_handler", "weight_quant"}
        telling = [part for part in parts if part not in dull]
        if len(telling) > 1 and (telling != parts or telling[-1].startswith(node.operator)):
            telling = telling[:-1]  # the module whose operator it is
        name = "_".join(telling[-2:]) if telling else fallback
        for ending in ("_quant", "_QuantizeLinear"):  # of onnxruntime
            name = name.removesuffix(ending)
        return self.assembly.free_name(name or fallback)


Handler = Callable[[Walk, Node], State]

HANDLERS: dict[tuple[str, str], Handler] = {
    (QONNX, "Quant"): onnx_quantizers.quant,
    (QONNX, "IntQuant"): onnx_quantizers.quant,
    (QONNX, "BipolarQuant"): onnx_quantizers.bipolar_quant,
    (QONNX, "MultiThreshold"): onnx_quantizers.multi_threshold,
    (QONNX, "Trunc"): onnx_quantizers.trunc,
    (STANDARD, "QuantizeLinear"): onnx_quantizers.quantize_linear,
    (STANDARD, "DequantizeLinear"): onnx_quantizers.dequantize_linear,
    (MICROSOFT, "QuantizeLinear"): onnx_quantizers.quantize_linear,
    (MICROSOFT, "DequantizeLinear"): onnx_quantizers.dequantize_linear,
    **{(STANDARD, key): value for key, value in onnx_products.STANDARD_HANDLERS.items()},
    **{(MICROSOFT, key): value for key, value in onnx_products.MICROSOFT_HANDLERS.items()},
    **{(STANDARD, key): value for key, value in onnx_steps.STANDARD_HANDLERS.items()},
    **{(STANDARD, key): value for key, value in onnx_joins.STANDARD_HANDLERS.items()},
    **{(MICROSOFT, key): value for key, value in onnx_joins.MICROSOFT_HANDLERS.items()},
    **{(STANDARD, key): value for key, value in onnx_pools.STANDARD_HANDLERS.items()},
    **{(STANDARD, key): value for key, value in onnx_orders.STANDARD_HANDLERS.items()},
    **{(STANDARD, key): value for key, value in onnx_shapes.STANDARD_HANDLERS.items()},
}
"""For each operator, by its domain, what makes a state of it."""
