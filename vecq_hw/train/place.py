"""Where the activation quantizers of a model stand: one walk over its graph.

What multiplies, pools, flattens or joins reads codes, that is values that a quantizer made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.layers import MOST_LOOKUP_BITS
from vecq_hw.quantize import (
    ActivationMethod,
    ActivationQuantizer,
    CurveInput,
    InputQuantizer,
    QuantizedHardtanh,
    QuantizedReLU,
    QuantizedSign,
    SignedQuantizer,
)
from vecq_hw.train.arithmetic import (
    ARITHMETIC,
    Divide,
    Multiply,
    Subtract,
    constant_tensor,
    is_by_channel,
    is_constant,
)
from vecq_hw.train.choices import Choice
from vecq_hw.train.curves import CURVES, HOST, Curve, ends
from vecq_hw.train.functional import free_name
from vecq_hw.train.picks import Pick
from vecq_hw.train.quantized_layers import (
    Add,
    Concat,
    Quantized,
    QuantizedEmbedding,
    Sums,
    is_bilinear,
)
from vecq_hw.train.rearrange import Rearrange
from vecq_hw.train.recurrent import QuantizedRecurrent
from vecq_hw.train.tracing import shape_of
from vecq_hw.train.windows import AVERAGES, MAX_POOLS, Pad

OUTPUT_BITS = 16
"""Output bits of a network that ends in steps that differ, or in an average: contract, rule 6."""
CURVE_BITS = 8
"""The fewest bits that address the table of a function."""
INPUT = "input"

_ACTIVATIONS = (nn.ReLU, nn.Hardtanh, QuantizedReLU, QuantizedHardtanh, QuantizedSign)
_CURVES = (*CURVES, Curve)
_READS_CODES = (*Quantized, *MAX_POOLS, *AVERAGES, Pad, nn.Flatten, nn.Upsample, Rearrange)


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What the values of a node are.

    ``maker`` is the call of the quantizer whose codes they are, None where they are no codes.
    ``one_step``: whether their integers have one step (sums) or one a channel (sums of weights
    with such steps, a batch norm), or a step that is a fraction of it (averages).
    """

    owner: str
    """The layer with weights that the values come from, or the input."""
    maker: fx.Node | None = None
    exact: bool = False
    """Whether they are integers of a fixed step without a quantizer: rows of a table, states."""
    one_step: bool = True
    nonnegative: bool = False


def place_quantizers(
    twin: fx.GraphModule, bits: Mapping[str, int | None], method: ActivationMethod
) -> None:
    """Put quantizers into the graph of ``twin``, whose layers have quantized weights already.

    Parameters
    ----------
    bits : mapping from the name of each layer with weights, and 'input', to activation bits
    method : ActivationMethod
    """
    _Placement(twin, bits, method).run()


class _Placement:
    def __init__(
        self, twin: fx.GraphModule, bits: Mapping[str, int | None], method: ActivationMethod
    ) -> None:
        self.twin = twin
        self.bits = bits
        self.method = method
        self.states: dict[fx.Node, _State] = {}
        self.coded: dict[fx.Node, fx.Node] = {}
        """The quantizer of each node that had no codes."""
        self.calls: dict[str, list[fx.Node]] = {}
        """Where each quantizer is called."""

    def run(self) -> None:
        for node in list(self.twin.graph.nodes):
            if node.op == "placeholder":
                self._input(node)
            elif node.op == "output":
                for source in node.all_input_nodes:
                    state = self.states[source]
                    if state.maker is None and not state.one_step:
                        signed = SignedQuantizer(OUTPUT_BITS)
                        made = self._insert(source, "output_quantizer", signed)
                        node.replace_input_with(source, made)
            elif not is_constant(node):
                self.states[node] = self._walked(node, self.twin.get_submodule(str(node.target)))
        for name, calls in self.calls.items():
            if len(calls) > 1:
                quantizer = self._quantizer(calls[0])
                quantizer.share(len(calls))
                for operand, node in enumerate(calls):
                    assert node.target == name
                    node.args = (node.args[0], operand)

    def _input(self, node: fx.Node) -> None:
        self.states[node] = _State(owner=INPUT, one_step=False)
        before = list(node.users)
        for reader in before:
            if reader.op == "call_module" and isinstance(
                self.twin.get_submodule(str(reader.target)), QuantizedEmbedding
            ):
                return  # it takes indices
        source = scaled_input(self.twin, node)
        self.states[source] = self.states[node]
        made = self._insert(source, "input_quantizer", InputQuantizer(self._bits(INPUT)))
        for reader in list(source.users):
            if reader is not made:
                reader.replace_input_with(source, made)

    def _walked(self, node: fx.Node, module: nn.Module) -> _State:
        if isinstance(module, ARITHMETIC) and any(map(is_constant, node.args)):
            return self._with_constant(node, module)
        if isinstance(module, Multiply):
            return self._product(node)
        if isinstance(module, Add | Subtract | Concat):
            return self._join(node, module)
        source = node.args[0]
        assert isinstance(source, fx.Node)
        state = self.states[source]
        if isinstance(module, _ACTIVATIONS):
            return self._activation(node, module, state)
        if isinstance(module, Choice) or (isinstance(module, HOST) and ends(node)):
            return self._scores(node, source)
        if isinstance(module, _CURVES):
            return self._curve(node, module, source)
        waits = isinstance(module, MAX_POOLS) and self._before_activation(node)
        signs = self._is_sign(state)
        coded = state.exact or state.maker is not None
        if isinstance(module, QuantizedRecurrent) and signs:
            coded = False  # it takes code 0 for 0
        fills = isinstance(module, Pick) and module.fills
        if (isinstance(module, _READS_CODES) or fills) and not coded and not waits:
            if not isinstance(module, QuantizedEmbedding):
                made = self._codes(source)
                node.replace_input_with(source, made)
                state = self.states[made]
        if isinstance(module, QuantizedEmbedding):
            module.integer_rows = True
            return _State(owner=str(node.target), exact=True, one_step=True)
        if isinstance(module, QuantizedRecurrent):
            module.integer_gates = True
            return _State(owner=str(node.target), exact=True, one_step=True)
        if isinstance(module, Quantized):
            one_step = isinstance(module, Sums) and not module.quantizer.per_channel
            return _State(owner=str(node.target), one_step=one_step)
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            return _State(owner=state.owner, one_step=False)
        bilinear = isinstance(module, nn.Upsample) and is_bilinear(module)
        if isinstance(module, AVERAGES) or bilinear:
            return replace(state, maker=None, exact=False, one_step=False)
        if isinstance(module, Pad) and module.value and not signs:
            # What is added is a code of the next quantizer.
            nonnegative = state.nonnegative and module.value > 0
            return replace(state, maker=None, exact=False, one_step=False, nonnegative=nonnegative)
        return state

    def _before_activation(self, pool: fx.Node) -> bool:
        """Whether the pool's values meet a quantizer next; they are pooled before it."""
        readers = list(pool.users)
        if len(readers) != 1 or readers[0].op != "call_module":
            return False
        module = self.twin.get_submodule(str(readers[0].target))
        if isinstance(module, MAX_POOLS):
            return self._before_activation(readers[0])
        return isinstance(module, _ACTIVATIONS + _CURVES)

    def _scores(self, node: fx.Node, source: fx.Node) -> _State:
        """What a choice compares, or a softmax on the host takes, are scores of one step."""
        if self.states[source].maker is None and not self.states[source].one_step:
            made = self._insert(source, "output_quantizer", SignedQuantizer(OUTPUT_BITS))
            node.replace_input_with(source, made)
        return replace(self.states[source], one_step=True)

    def _curve(self, node: fx.Node, module: nn.Module, source: fx.Node) -> _State:
        """A table is addressed by the codes that it reads, or those of a quantizer of its own."""
        name, state = str(node.target), self.states[source]
        curve = module if isinstance(module, Curve) else Curve(module)
        if not curve.is_finite(state.nonnegative):
            raise VecqError(
                f"layer '{name}' has no value for some of the numbers that it may read; clamp them"
                " before it, for example by torch.relu(x) + 0.1"
            )
        self.twin.add_submodule(name, curve)
        if state.maker is None or self._quantizer(state.maker).bits > MOST_LOOKUP_BITS:
            bits = min(max(self._bits(state.owner), CURVE_BITS), MOST_LOOKUP_BITS)
            made = self._insert(source, f"{name}_input", CurveInput(bits, curve.reach))
            node.replace_input_with(source, made)
        return _State(owner=state.owner, one_step=False, nonnegative=curve.is_nonnegative)

    def _activation(self, node: fx.Node, module: nn.Module, state: _State) -> _State:
        bits = self._bits(state.owner)
        quantizer: ActivationQuantizer
        if isinstance(module, nn.Hardtanh):
            quantizer = self.method.hardtanh(bits, module.min_val, module.max_val)
        elif isinstance(module, QuantizedHardtanh):
            quantizer = self.method.hardtanh(bits, module.lowest, module.highest)
        elif isinstance(module, QuantizedSign):
            quantizer = QuantizedSign()
        else:
            quantizer = self.method.relu(bits)
        name = str(node.target)
        # One module may serve many layers; each call gets statistics of its own.
        if name in self.calls:
            name = free_name(self.twin, name)
            node.target = name
        self.twin.add_submodule(name, quantizer)
        self.calls[name] = [node]
        nonnegative = not quantizer.signed and quantizer.zero == 0
        return _State(owner=state.owner, maker=node, nonnegative=nonnegative)

    def _with_constant(self, node: fx.Node, module: nn.Module) -> _State:
        """One number, or one a channel, joins the line; one a position becomes a tensor."""
        (other,) = (arg for arg in node.args if not is_constant(arg))
        (given,) = (arg for arg in node.args if is_constant(arg))
        assert isinstance(other, fx.Node)
        constant, state = constant_tensor(self.twin, given), self.states[other]
        nonnegative = bool((constant >= 0).all()) and not isinstance(given, fx.Node)
        shape = shape_of(other)
        if is_by_channel(constant, None if shape is None else tuple(shape[1:])):
            kept = state.nonnegative and nonnegative and not isinstance(module, Subtract)
            return _State(owner=state.owner, one_step=False, nonnegative=kept)
        assert isinstance(given, fx.Node)
        if isinstance(module, Divide):
            raise VecqError(
                f"layer '{node.target}' divides by a value for each position; multiply by the"
                " reciprocals"
            )
        # Of a parameter, training may change the sign.
        fixed = {name for name, _ in self.twin.named_buffers()}
        nonnegative = str(given.target) in fixed and bool((constant >= 0).all())
        self.states[given] = _State(owner=state.owner, one_step=False, nonnegative=nonnegative)
        return self._product(node) if isinstance(module, Multiply) else self._join(node, module)

    def _product(self, node: fx.Node) -> _State:
        """Each operand has a quantizer of its own; the products have one step."""
        operands = [operand for operand in node.args if isinstance(operand, fx.Node)]
        states = [self.states[operand] for operand in operands]
        node.args = tuple(
            operand
            if self.states[operand].maker and not self._is_sign(self.states[operand])
            else self._codes(operand)
            for operand in operands
        )
        latest = max((state.owner for state in states), key=list(self.bits).index)
        return _State(owner=latest, nonnegative=all(state.nonnegative for state in states))

    def _join(self, node: fx.Node, module: nn.Module) -> _State:
        """The operands of a join get one quantizer: theirs where they have such, else a new one."""
        operands = [operand for operand in node.args if isinstance(operand, fx.Node)]
        states = [self.states[operand] for operand in operands]
        makers = [state.maker for state in states]
        latest = max((state.owner for state in states), key=list(self.bits).index)
        nonnegative = all(state.nonnegative for state in states)
        if makers[0] is not None and all(maker is makers[0] for maker in makers):
            # Parts of one tensor have one step already.
            maker = makers[0] if isinstance(module, Concat) else None
            return replace(states[0], owner=latest, maker=maker)
        bits = max(self._bits(state.owner) for state in states)
        new = self.method.relu if nonnegative else self.method.signed
        wanted = _kind(new(bits))
        kinds = {None if maker is None else _kind(self._quantizer(maker)) for maker in makers}
        if len(kinds) == 1 and isinstance(self._quantizer_or_none(makers[0]), QuantizedHardtanh):
            wanted = kinds.pop() or wanted
        read: list[fx.Node] = []
        for operand in operands:
            coded = self.coded.get(operand, operand)
            maker = self.states[coded].maker
            if maker is not None and _kind(self._quantizer(maker)) == wanted:
                read.append(coded)
            elif maker is None:
                read.append(self._codes(operand, nonnegative, bits))
            else:
                read.append(self._insert(operand, f"{node.target}_quantizer", new(bits)))
        first = self.states[read[0]].maker
        assert first is not None
        for operand in read[1:]:
            maker = self.states[operand].maker
            assert maker is not None
            self._merge(str(first.target), str(maker.target))
        node.args = tuple(read)
        state = _State(owner=latest, nonnegative=nonnegative and not isinstance(module, Subtract))
        return replace(state, maker=first) if isinstance(module, Concat) else state

    def _merge(self, kept: str, other: str) -> None:
        """Let the calls of one quantizer go to another."""
        if other == kept:
            return
        for node in self.calls[other]:
            node.target = kept
        self.calls[kept] += self.calls.pop(other)
        self.twin.delete_submodule(other)

    def _codes(
        self, source: fx.Node, nonnegative: bool | None = None, bits: int | None = None
    ) -> fx.Node:
        """The quantizer behind a node that has no codes; one for all its readers."""
        if source not in self.coded:
            state = self.states[source]
            unsigned = state.nonnegative if nonnegative is None else nonnegative
            kind = self.method.relu if unsigned else self.method.signed
            quantizer = kind(self._bits(state.owner) if bits is None else bits)
            self.coded[source] = self._insert(source, f"{state.owner}_quantizer", quantizer)
        return self.coded[source]

    def _insert(self, after: fx.Node, wanted: str, quantizer: ActivationQuantizer) -> fx.Node:
        """A call of the quantizer on ``after``, which nothing reads yet."""
        name = free_name(self.twin, wanted)
        self.twin.add_submodule(name, quantizer)
        with self.twin.graph.inserting_after(after):
            node = self.twin.graph.call_module(name, (after,))
        self.calls[name] = [node]
        nonnegative = isinstance(quantizer, QuantizedReLU)
        self.states[node] = _State(
            owner=self.states[after].owner, maker=node, nonnegative=nonnegative
        )
        return node

    def _quantizer(self, call: fx.Node) -> ActivationQuantizer:
        module = self.twin.get_submodule(str(call.target))
        assert isinstance(module, ActivationQuantizer)
        return module

    def _quantizer_or_none(self, call: fx.Node | None) -> ActivationQuantizer | None:
        return None if call is None else self._quantizer(call)

    def _is_sign(self, state: _State) -> bool:
        """Whether code 0 is none of 0: sums with weights alone, and what keeps codes, know that."""
        return isinstance(self._quantizer_or_none(state.maker), QuantizedSign)

    def _bits(self, owner: str) -> int:
        bits = self.bits[owner]
        assert bits is not None
        return bits


def scaled_input(twin: fx.GraphModule, entry: fx.Node) -> fx.Node:
    """The last of the products by positive numbers that begin with an input; else that itself.

    Such a product is nothing but another step of the input's codes.
    """
    node = entry
    while len(node.users) == 1:
        (reader,) = node.users
        if reader.op != "call_module":
            return node
        module = twin.get_submodule(str(reader.target))
        if not isinstance(module, Multiply | Divide) or input_gain(twin, reader) is None:
            return node
        node = reader
    return node


def input_gain(twin: fx.GraphModule, product: fx.Node) -> float | None:
    """By which positive number a product or quotient multiplies; None if by another constant."""
    constants = [arg for arg in product.args if is_constant(arg)]
    if len(constants) != 1 or isinstance(constants[0], fx.Node):
        return None
    gain = float(constant_tensor(twin, constants[0]))
    if isinstance(twin.get_submodule(str(product.target)), Divide):
        gain = 1 / gain
    return gain if gain > 0 else None


def _kind(quantizer: ActivationQuantizer) -> tuple[object, ...]:
    """Quantizers of one kind differ in their statistics alone."""
    clamp = quantizer if isinstance(quantizer, QuantizedHardtanh) else None
    return type(quantizer), quantizer.bits, clamp and (clamp.lowest, clamp.highest)
