"""The walk over the graph of a trained quantized model, which lowers one module after the other.

Between two quantizers a model is a line per channel: a Linear or Conv2d sums integers, everything
after it (alpha, input step, bias, batch norms) multiplies and adds.  The walk carries that line
along, in float64, until a quantizer turns it into one Rescale.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import fx, nn

from vecq_hw.errors import HostWarning, VecqError
from vecq_hw.layers import ArgMax, Layer, TopK
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.constants import QuantizedConstant, quantized_constant
from vecq_hw.lower.ends import with_outputs
from vecq_hw.lower.inputs import Shapes, indices, quantized_input
from vecq_hw.lower.joins import Operand, arithmetic
from vecq_hw.lower.layout import Layout
from vecq_hw.lower.outputs import Outputs
from vecq_hw.lower.padding import through_pad, with_padding
from vecq_hw.lower.quantizers import coded
from vecq_hw.lower.readers import (
    PASSING,
    is_quantized_next,
    is_read_once,
    reads_last_step,
    wants_channels_last,
)
from vecq_hw.lower.sequences import embedding, recurrent
from vecq_hw.lower.sums import weighted
from vecq_hw.lower.tables import left_to_host, through_curve
from vecq_hw.lower.transposed import through_transposed, upsampled
from vecq_hw.lower.values import Value, normalized
from vecq_hw.lower.windows import average, max_pool
from vecq_hw.network import Network
from vecq_hw.passes.lookups import join_lookups
from vecq_hw.quantize import ActivationQuantizer, InputQuantizer
from vecq_hw.train import quantized_layers as trained
from vecq_hw.train.arithmetic import ARITHMETIC, constant_tensor, is_constant
from vecq_hw.train.choices import Choice
from vecq_hw.train.curves import HOST, Curve
from vecq_hw.train.picks import Pick
from vecq_hw.train.quantized_layers import QuantizedConv1d, QuantizedConv2d, QuantizedLinear
from vecq_hw.train.rearrange import Rearrange
from vecq_hw.train.recurrent import QuantizedGRU, QuantizedLSTM
from vecq_hw.train.several import output_nodes
from vecq_hw.train.transposed import QuantizedConvTranspose1d, QuantizedConvTranspose2d
from vecq_hw.train.windows import AVERAGES, MAX_POOLS, Pad

_TAKES_PADDING = (
    ActivationQuantizer,
    QuantizedConv1d,
    QuantizedConv2d,
    *MAX_POOLS,
    *AVERAGES,
    *PASSING,
)
"""What reads a tensor with its padding still beside it."""


def network_of(model: fx.GraphModule, shapes: Shapes, mantissa_bits: int, name: str) -> Network:
    """The network called ``name`` of a model whose quantizers have statistics."""
    builder = Builder(mantissa_bits)
    walk = _Walk(model, shapes, builder, Outputs(builder))
    for node in model.graph.nodes:
        if node.op not in ("placeholder", "output") and not is_constant(node):
            walk.visit(node)
    outputs = {
        key: walk.finished(with_padding(builder, walk.values[end]), end)
        for key, end in output_nodes(model.graph).items()
    }
    network = Network(
        name=name,
        inputs=tuple(builder.inputs),
        layers=tuple(builder.layers),
        outputs=tuple(dict.fromkeys(outputs.values())),
    )
    joined = join_lookups(network)
    return joined if len(outputs) == 1 else with_outputs(joined, outputs)


@dataclass(frozen=True, slots=True)
class _Walk:
    """How far the walk over a model has come."""

    model: fx.GraphModule
    shapes: Shapes
    builder: Builder
    outputs: Outputs
    values: dict[fx.Node, Value] = field(default_factory=dict)
    constants: dict[fx.Node, QuantizedConstant] = field(default_factory=dict)

    def visit(self, node: fx.Node) -> None:
        """Lower the module that a node calls."""
        module = self.model.get_submodule(str(node.target))
        builder, sources = self.builder, self._sources(node)
        if not isinstance(module, _TAKES_PADDING):
            sources = {read: with_padding(builder, value) for read, value in sources.items()}
        if sources or isinstance(module, InputQuantizer | trained.QuantizedEmbedding):
            self.values[node] = self._lowered(node, module, sources)
        elif isinstance(module, ActivationQuantizer):
            self.constants[node] = quantized_constant(self.model, node.args[0], module)
        # Anything else is a product by which the step of the input is multiplied.

    def finished(self, value: Value, node: fx.Node) -> str:
        """The tensor of the value of a node, with its bias."""
        return self.outputs.finished(value, alone=is_read_once(node, self.model))

    def _sources(self, node: fx.Node) -> dict[fx.Node, Value]:
        return {
            read: self.values[read]
            for read in node.args
            if isinstance(read, fx.Node) and read in self.values
        }

    def _lowered(self, node: fx.Node, module: nn.Module, sources: dict[fx.Node, Value]) -> Value:
        """What depends on the place in the graph: on who reads the node, and on what it reads."""
        builder, model, name = self.builder, self.model, str(node.target)
        first = next(iter(sources.values()), None)
        match module:
            case InputQuantizer():
                return quantized_input(builder, model, self.shapes, node, module)
            case trained.QuantizedEmbedding():
                if first is None:
                    source = indices(builder, self.shapes, node, module)
                else:
                    source = first.tensor
                rows = embedding(builder.free(name), module, source)
                return builder.codes(builder.add(rows), name, layout=Layout(2, last=True))
        assert first is not None
        match module:
            case _ if isinstance(module, MAX_POOLS) and is_quantized_next(node, model):
                return replace(first, pools=(*first.pools, (name, module)))
            case _ if isinstance(module, (*ARITHMETIC, trained.Concat)):
                return arithmetic(builder, name, module, self._operands(node, sources))
            case QuantizedLSTM() | QuantizedGRU():
                return recurrent(builder, name, module, first, reads_last_step(node, model))
            case Rearrange():
                wants_last = wants_channels_last(node, model)
                return builder.rearranged(name, module, builder.moved(first), wants_last)
            case Choice():
                return self._chosen(module, first, node.all_input_nodes[0])
            case Curve():
                if module.has_channels:  # along axis 1, as of a batch norm
                    first = builder.with_channels(name, first, last=False)
                kind = next((p.dtype for p in model.parameters()), torch.get_default_dtype())
                return through_curve(name, module, first, builder.tensors[first.tensor], kind)
            case _ if isinstance(module, HOST):
                warnings.warn(left_to_host(name, module), HostWarning, stacklevel=5)
                return first
            case _:
                return _through(builder, name, module, first)

    def _operands(self, node: fx.Node, sources: dict[fx.Node, Value]) -> Sequence[Operand]:
        """What an operation reads, in its order."""
        operands: list[Operand] = []
        for read in node.args:
            if is_constant(read):
                operands.append(constant_tensor(self.model, read))
            elif isinstance(read, fx.Node):
                operands.append(sources[read] if read in sources else self.constants[read])
        return operands

    def _chosen(self, module: Choice, value: Value, source: fx.Node) -> Value:
        """The classes behind the scores, which have their biases before they are compared."""
        scores, builder = self.finished(value, source), self.builder
        layer: Layer
        if module.count is None:
            layer = ArgMax(name=builder.free("argmax"), input=scores)
        else:
            layer = TopK(name=builder.free("topk"), input=scores, count=module.count)
        choice = builder.add(layer)
        return builder.codes(choice, choice)


def _through(builder: Builder, name: str, module: nn.Module, value: Value) -> Value:
    """A line through what changes it, or ends it."""
    match module:
        case ActivationQuantizer():
            return coded(builder, module, value)
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return normalized(name, module, builder.with_channels(name, value, last=False))
        case _ if isinstance(module, PASSING):
            return value
        case _:
            return _computed(builder, name, module, builder.moved(value))


def _computed(builder: Builder, name: str, module: nn.Module, value: Value) -> Value:
    """What reads the integers themselves, with the channels where it has them."""
    match module:
        case Pick():
            return builder.picked(name, module, value)
        case nn.Flatten():
            return builder.flattened(name, module, value)
        case trained.Transpose():
            return replace(value, layout=replace(value.layout, last=not value.layout.last))
        case trained.LastStep():
            return builder.last_step(name, value)
        case QuantizedLinear():
            return weighted(builder, name, module, builder.with_channels(name, value, last=True))
        case _:
            value = builder.with_channels(name, value, last=False)
            return _of_images(builder, name, module, value)


def _of_images(builder: Builder, name: str, module: nn.Module, value: Value) -> Value:
    """What has the channels first: (N, C, H, W) or (N, C, L)."""
    match module:
        case QuantizedConv1d() | QuantizedConv2d():
            return weighted(builder, name, module, value)
        case QuantizedConvTranspose1d() | QuantizedConvTranspose2d():
            return through_transposed(builder, name, module, value)
        case _ if isinstance(module, MAX_POOLS):
            return max_pool(builder, name, module, value)
        case _ if isinstance(module, AVERAGES):
            return average(builder, name, module, value)
        case Pad():
            return through_pad(builder, name, module, value)
        case nn.Upsample():
            return upsampled(builder, name, module, value)
        case _:
            raise VecqError(f"layer '{name}' ({type(module).__name__}) cannot be lowered")
