"""A trained quantized model to the integer network that computes the same.

Between two quantizers a model is a line per channel: a Linear or Conv2d sums integers, everything
after it (alpha, input step, bias, batch norms) multiplies and adds.  The walk over the graph
carries that line along, in float64, until a quantizer turns it into one Rescale.
"""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import overload

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from vecq_hw import layers
from vecq_hw.arguments import whole_number
from vecq_hw.arithmetic import quantize
from vecq_hw.errors import HostWarning, VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.layers import (
    Add,
    AnyWeights,
    ArgMax,
    Concat,
    Constant,
    Conv2d,
    Flatten,
    Input,
    Layer,
    Permute,
    Rescale,
    Tensor,
    TopK,
    Upsample2d,
)
from vecq_hw.limits import MANTISSA_BITS
from vecq_hw.lower import sequences
from vecq_hw.lower.constants import QuantizedConstant, quantized_constant, through_constant
from vecq_hw.lower.ends import with_outputs
from vecq_hw.lower.orders import permute, take
from vecq_hw.lower.outputs import biased
from vecq_hw.lower.rescale import rescale_constants, with_one_shift
from vecq_hw.lower.sums import sums
from vecq_hw.lower.tables import left_to_host, lookup, through_curve
from vecq_hw.lower.values import Value, added_order, check_finite, doubles, joined_order, normalized
from vecq_hw.lower.windows import NO_SIDES, check_image, max_pool, pending, sum_pool
from vecq_hw.network import Network
from vecq_hw.passes.lookups import join_lookups
from vecq_hw.quantize import ActivationQuantizer, InputQuantizer
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.simulate.ends import one_or_all, output_arrays
from vecq_hw.simulate.reference import checked_inputs
from vecq_hw.train import choices as trained_choices
from vecq_hw.train import predict
from vecq_hw.train import quantized_layers as trained
from vecq_hw.train.arithmetic import ARITHMETIC, Multiply, Subtract, constant_tensor, is_constant
from vecq_hw.train.curves import HOST, Curve
from vecq_hw.train.fit import predict_all
from vecq_hw.train.place import input_gain
from vecq_hw.train.preconditions import (
    InputShape,
    check_statistics,
    check_values,
    checked_shapes,
)
from vecq_hw.train.quantized_layers import (
    Quantized,
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedLinear,
)
from vecq_hw.train.rearrange import Rearrange, channels_last
from vecq_hw.train.recurrent import QuantizedGRU, QuantizedLSTM, QuantizedRecurrent, directions
from vecq_hw.train.several import Samples, arguments, input_names, output_nodes
from vecq_hw.train.windows import AVERAGES, MAX_POOLS, Pad

_INPUT = "input"
_PASSING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)
_TAKES_PADDING = (
    ActivationQuantizer,
    QuantizedConv1d,
    QuantizedConv2d,
    *MAX_POOLS,
    *AVERAGES,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Identity,
)
"""What reads a tensor with its padding still beside it."""
_ROUNDING = 2.0**-40


def lower(
    model: nn.Module,
    input_shape: InputShape | None = None,
    name: str = "network",
    mantissa_bits: int = 18,
) -> Network:
    """The integer network of a trained quantized model.

    Codes and scales are those of the model's forward pass.  Layers keep the names of their modules;
    the Rescale behind ``fc1`` is ``fc1_rescale``.  Arrays are channels-last, so dense columns and
    batch norms behind a Flatten are permuted.  A Flatten of the input itself is left to
    :func:`vecq_hw.simulate.network_inputs`: such a network takes vectors.  A sequence (C, L)
    becomes an image of height 1, and a Conv1d a Conv2d.  A
    max-pool before a quantizer moves behind it, where it compares codes.

    Parameters
    ----------
    model : nn.Module
        From :func:`vecq_hw.train.quantize_model`, trained or calibrated.
    input_shape : (C,), (C, L) or (C, H, W), optional
        Of one sample as the model takes it; needed where no leading Linear or BatchNorm1d tells it.
        Of several inputs a sequence, or a mapping from forward()'s arguments, of one for each.
        These inputs have the names of the arguments; several outputs have those of their keys or
        fields, or are ``output_0``, ``output_1``, ...
    name : str
    mantissa_bits : int, 4..32
        Of the multipliers, sign included;
        :func:`vecq_hw.passes.precision.kept_mantissa_bits` tells how many each channel has.

    Raises
    ------
    VecqError
        The model is not from ``quantize_model`` or has float activations, a quantizer
        has no statistics, shapes do not fit.
    """
    graph = checked_graph(model)
    if not isinstance(name, str) or not name:
        raise VecqError(f"a network is named by text, not {name!r}")
    check_statistics(graph)
    least, most = MANTISSA_BITS
    bits = whole_number(mantissa_bits, f"mantissas have {least} to {most} bits", least, most)
    with torch.no_grad():
        return _Lowering(graph, _shapes_by_input(graph, input_shape), bits).run(name)


@overload
def prediction_differences(
    model: nn.Module, network: Network, x: npt.NDArray[np.float32]
) -> int: ...
@overload
def prediction_differences(
    model: nn.Module, network: Network, x: Samples
) -> int | dict[str, int]: ...
def prediction_differences(
    model: nn.Module, network: Network, x: npt.NDArray[np.float32] | Samples
) -> int | dict[str, int]:
    """How many samples the quantized model and its integer network put into different classes.

    Of a model with several outputs a dictionary from the name of each to its number.  An output of
    one number puts all samples into one class.

    Parameters
    ----------
    model : the module that ``network`` was lowered from
    x : float32 array of shape (N, C), (N, C, L) or (N, C, H, W)
        Of several inputs a tuple of them, or a mapping from the arguments of forward().
    """
    if not isinstance(network, Network):
        raise VecqError(f"a Network is wanted, not {type(network).__name__}")
    given = arguments(input_names(model), x)
    codes = network_inputs(
        network, dict(zip((i.name for i in network.inputs), map(np.asarray, given), strict=True))
    )
    outputs = simulate(network, checked_inputs(network, codes), taps=network.outputs)
    channels_first = {
        name: array.transpose(0, 3, 1, 2) if array.ndim == 4 else array
        for name, array in outputs.items()
    }
    found = output_arrays(network, predictions(network, channels_first))
    if len(found) == 1 and len(given) == 1:
        wanted = {network.outputs[0]: predict(model, np.asarray(given[0]))}
    else:
        wanted = dict(zip(network.outputs, predict_all(model, given).values(), strict=True))
    return one_or_all({name: int((wanted[name] != found[name]).sum()) for name in found})


class _Lowering:
    """One walk over one model."""

    def __init__(
        self,
        model: fx.GraphModule,
        input_shapes: dict[str, tuple[int, ...] | None],
        mantissa_bits: int,
    ) -> None:
        self.model = model
        self.mantissa_bits = mantissa_bits
        self.input_shapes = input_shapes
        self.sequences: set[str] = set()
        """The tensors that are images of height 1 for sequences."""
        self.inputs: list[Input] = []
        self.layers: list[Layer] = []
        self.tensors: dict[str, Tensor] = {}
        self.finished: dict[int, str] = {}
        """The tensor of each value that got its bias, by identity; ``kept`` keeps these alive."""
        self.kept: list[Value] = []
        self.weights: dict[nn.Module, list[AnyWeights]] = {}
        """What was made of the weights of each module, which may be called several times."""
        self.steps_first: dict[fx.Node, bool] = {}
        self.constants: dict[fx.Node, QuantizedConstant] = {}

    def run(self, name: str) -> Network:
        values: dict[fx.Node, Value] = {}
        for node in self.model.graph.nodes:
            if is_constant(node):
                continue
            if node.op == "placeholder":
                begins = sequences.begins_with_steps(node, self.model)
                shape = self.input_shapes[str(node.target)]
                self.steps_first[node] = shape is not None and len(shape) == 2 and begins
                continue
            sources = [
                values[arg] for arg in node.args if isinstance(arg, fx.Node) and arg in values
            ]
            if node.op == "output":
                nodes = output_nodes(self.model.graph)
                outputs = {
                    key: self._finished(self._padded(values[end]), end)
                    for key, end in nodes.items()
                }
                network = Network(
                    name=name,
                    inputs=tuple(self.inputs),
                    layers=tuple(self.layers),
                    outputs=tuple(dict.fromkeys(outputs.values())),
                )
                joined = join_lookups(network)
                return joined if len(outputs) == 1 else with_outputs(joined, outputs)
            target = str(node.target)
            module = self.model.get_submodule(target)
            if not isinstance(module, _TAKES_PADDING):
                sources = [self._padded(source) for source in sources]
            if not sources and not isinstance(module, InputQuantizer | trained.QuantizedEmbedding):
                if isinstance(module, ActivationQuantizer):
                    self.constants[node] = quantized_constant(self.model, node.args[0], module)
                self.steps_first[node] = any(
                    self.steps_first.get(read, False) for read in node.all_input_nodes
                )
                continue  # a product by which the step of the input is multiplied
            shape = self.tensors[sources[0].tensor].shape if sources else ()
            of_sequence = len(shape) == 3 and shape[0] == 1
            steps = sequences.steps_first(node, module, self.steps_first, of_sequence)
            self.steps_first[node] = steps
            match module:
                case InputQuantizer():
                    values[node] = self._input(node, target, module)
                case _ if isinstance(module, MAX_POOLS) and self._is_quantized_next(node):
                    waiting = (*sources[0].pools, (target, module))
                    values[node] = replace(sources[0], pools=waiting)
                case _ if isinstance(module, (*ARITHMETIC, trained.Concat)):
                    reads = [arg for arg in node.args if arg in values]
                    operands = dict(zip(reads, sources, strict=True))
                    values[node] = self._arithmetic(node, module, operands)
                case trained.QuantizedEmbedding():
                    source = sources[0].tensor if sources else self._indices(node, module)
                    rows = sequences.embedding(self._free(target), module, source)
                    values[node] = self._codes(self._add(rows), target)
                case QuantizedLSTM() | QuantizedGRU():
                    values[node] = self._recurrent(node, target, module, sources[0])
                case trained.Transpose():
                    values[node] = sources[0]
                case trained.LastStep():
                    values[node] = self._last_step(node, target, sources[0])
                case nn.Flatten() if self.steps_first[node.all_input_nodes[0]]:
                    values[node] = self._flat_steps(target, module, sources[0])
                case Rearrange() if self.steps_first[node.all_input_nodes[0]]:
                    turned = self._turned(target, sources[0])
                    values[node] = self._rearranged(target, module, turned)
                case _ if steps:
                    before = self.steps_first[node.all_input_nodes[0]]
                    given = sources[0] if before else self._turned(target, sources[0])
                    values[node] = self._of_steps(target, module, given)
                case trained_choices.Choice():
                    values[node] = self._chosen(module, sources[0], node.all_input_nodes[0])
                case _:
                    values[node] = self._lowered(target, module, sources[0])
        raise AssertionError("a graph without an output")

    def _is_quantized_next(self, pool: fx.Node) -> bool:
        """Whether a quantizer alone reads the max-pool, perhaps behind further ones."""
        readers = list(pool.users)
        if len(readers) != 1 or readers[0].op != "call_module":
            return False
        module = self.model.get_submodule(str(readers[0].target))
        if isinstance(module, MAX_POOLS):
            return self._is_quantized_next(readers[0])
        return isinstance(module, ActivationQuantizer)

    def _lowered(self, name: str, module: nn.Module, value: Value) -> Value:
        layer: Layer
        match module:
            case ActivationQuantizer():
                if value.entries is None:
                    result = self._rescale(module, value)
                else:
                    layer = lookup(self._free(f"{value.owner}_lookup"), value, module)
                    result = self._quantized(module, self._add(layer), value)
                if value.pad is not None:
                    real = np.array(value.pad.value)
                    code = quantize(real - module.zero, float(module.step), module.format)
                    pad = replace(value.pad, value=float(code) * float(module.step) + module.zero)
                    result = replace(result, pad=pad)
                for pool_name, pool in value.pools:
                    result = self._max_pool(pool_name, pool, result)
                return result
            case Curve():
                kind = next((p.dtype for p in self.model.parameters()), torch.get_default_dtype())
                return through_curve(name, module, value, self.tensors[value.tensor], kind)
            case _ if isinstance(module, HOST):
                warnings.warn(left_to_host(name, module), HostWarning, stacklevel=4)
                return value
            case QuantizedLinear() | QuantizedConv1d() | QuantizedConv2d():
                return self._sum(name, module, value)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return normalized(name, module, value)
            case _ if isinstance(module, MAX_POOLS):
                return self._max_pool(name, module, value)
            case _ if isinstance(module, AVERAGES):
                return self._average(name, module, value)
            case Pad():
                return self._pad(name, module, value)
            case nn.Upsample():
                factor = trained.upsample_factors(module.scale_factor)
                assert factor is not None
                if value.tensor in self.sequences:
                    factor = (1, factor[1])
                layer = Upsample2d(name=self._free(name), input=value.tensor, factor=factor)
                return replace(value, tensor=self._add(layer))
            case nn.Flatten():
                if isinstance(module, trained.FlattenTo):
                    module.check(self.tensors[value.tensor].shape)
                return self._flatten(name, value)
            case Rearrange():
                return self._rearranged(name, module, value)
            case _ if isinstance(module, _PASSING):
                return value
            case _:
                raise VecqError(f"layer '{name}' ({type(module).__name__}) cannot be lowered")

    def _chosen(self, module: trained_choices.Choice, value: Value, source: fx.Node) -> Value:
        """The classes behind the scores, which have their biases before they are compared."""
        scores = self._finished(value, source)
        if module.count is None:
            choice = self._add(ArgMax(name=self._free("argmax"), input=scores))
        else:
            choice = self._add(TopK(name=self._free("topk"), input=scores, count=module.count))
        return self._codes(choice, choice)

    def _arithmetic(
        self, node: fx.Node, module: nn.Module, values: Mapping[fx.Node, Value]
    ) -> Value:
        name = str(node.target)
        given = [arg for arg in node.args if is_constant(arg)]
        if given:
            (value,) = (values[arg] for arg in node.all_input_nodes if arg in values)
            constant = constant_tensor(self.model, given[0])
            first = is_constant(node.args[0])
            return through_constant(name, module, value, constant, constant_first=first)
        reads = [arg for arg in node.args if isinstance(arg, fx.Node)]
        known = [read for read in reads if read in values]
        alike = iter(self._alike(known, name, module, [values[read] for read in known]))
        steps, partner = self.steps_first[known[0]], values[known[0]].tensor
        operands = [
            next(alike) if read in values else self._constant(read, partner, steps)
            for read in reads
        ]
        return self._joined(name, module, operands)

    def _constant(self, node: fx.Node, partner: str, steps: bool) -> Value:
        """The tensor of a constant that a quantizer made codes of, as its partner is."""
        found, shape = self.constants[node], self.tensors[partner].shape
        layer = Constant(
            name=self._free(found.name),
            values=found.codes_for(shape, partner in self.sequences, steps),
            format=found.format,
            step=found.step,
        )
        self.layers.append(layer)
        self.tensors[layer.name] = layer.output()
        return self._codes(layer.name, layer.name)

    def _spread(self, values: Sequence[Value]) -> list[Value]:
        """Operands of one shape: images of one row, column or channel are repeated along it."""
        shapes = [self.tensors[value.tensor].shape for value in values]
        if len(set(shapes)) == 1 or any(len(shape) != 3 for shape in shapes):
            return list(values)
        largest = [max(sizes) for sizes in zip(*shapes, strict=True)]
        result = []
        for value, shape in zip(values, shapes, strict=True):
            axes = [
                np.zeros(most, np.int64) if size == 1 < most else None
                for size, most in zip(shape, largest, strict=True)
            ]
            if any(axis is not None for axis in axes):
                rows, columns, channels = axes
                taken = layers.Take(
                    name=self._free(f"{value.tensor}_repeated"),
                    input=value.tensor,
                    rows=rows,
                    columns=columns,
                    channels=channels,
                )
                scale = np.broadcast_to(value.scale, largest[-1:])
                value = replace(self._codes(self._add(taken), value.owner), scale=scale)
            result.append(value)
        return result

    def _joined(self, name: str, module: nn.Module, values: Sequence[Value]) -> Value:
        """Codes, of one quantizer where they are added or put side by side (rule 5)."""
        if isinstance(module, trained.Add | Subtract):
            values = self._spread(values)
        tensors = tuple(value.tensor for value in values)
        match module:
            case trained.Add():
                order = added_order(name, values)
                joined = self._add(Add(name=self._free(name), inputs=tensors))
            case Subtract():
                order = added_order(name, values)
                joined = self._add(layers.Subtract(name=self._free(name), inputs=tensors))
            case Multiply():
                return self._product(name, values)
            case _:
                order = joined_order(values)
                joined = self._add(Concat(name=self._free(name), inputs=tensors))
        return self._codes(joined, joined, order)

    def _product(self, name: str, values: Sequence[Value]) -> Value:
        """Codes of quantizers of their own; what is repeated over all pixels comes second."""
        left, right = sorted(
            values, key=lambda value: math.prod(self.tensors[value.tensor].shape), reverse=True
        )
        if self.tensors[right.tensor].positions > 1:  # one value a channel needs no repetition
            left, right = self._spread([left, right])
        alike = self.tensors[left.tensor].shape == self.tensors[right.tensor].shape
        order = added_order(name, values) if alike else left.order
        joined = self._add(
            layers.Multiply(name=self._free(name), inputs=(left.tensor, right.tensor))
        )
        line = self._codes(joined, joined, order)
        return replace(line, scale=np.full_like(line.scale, left.scale[0] * right.scale[0]))

    def _input(self, node: fx.Node, name: str, quantizer: InputQuantizer) -> Value:
        argument = _argument(node)
        shape, flat = self.input_shapes[argument], False
        sequence = shape is not None and len(shape) == 2
        if shape is not None and sequence:
            shape = (shape[0], 1, shape[1])
        for reader in self._readers(node):
            if isinstance(reader, nn.Flatten):
                flat = True
            elif shape is None and isinstance(reader, QuantizedLinear):
                shape = (reader.in_features,)
            elif shape is None and isinstance(reader, nn.BatchNorm1d):
                shape = (reader.num_features,)
        if shape is None:
            if len(self.input_shapes) > 1:
                raise VecqError(
                    f"the model does not tell the shape of its input '{argument}'; give input_shape"
                    " a shape for each"
                )
            raise VecqError("the model does not tell its input's shape; give input_shape=(C, H, W)")
        steps = self.steps_first[node.all_input_nodes[0]] and not flat
        if steps:
            length, _, channels = shape
            shape = (1, length, channels)
        elif len(shape) == 3:
            channels, height, width = shape
            shape = (math.prod(shape),) if flat else (height, width, channels)
        step, gain = float(quantizer.step), self._input_gain(node)
        tensor = self._input_name(argument)
        source = Input(name=tensor, shape=shape, format=quantizer.format, step=step / gain)
        self.inputs.append(source)
        self.tensors[tensor] = Tensor(shape=shape, format=source.format, step=source.step)
        if sequence:
            self.sequences.add(tensor)
        if steps and shape[1] == shape[2]:
            # Data of this shape is taken for (N, C, L).
            turned = Permute(
                name=self._free(f"{tensor}_steps"),
                input=tensor,
                split=shape[1:],
                order=(1, 0),
                shape=shape,
            )
            value = self._codes(self._add(turned), tensor)
        else:
            value = self._codes(tensor, tensor)
        return replace(value, scale=np.full_like(value.scale, step))

    def _input_gain(self, node: fx.Node) -> float:
        """By what the model multiplies an input before it becomes codes."""
        gain = 1.0
        while (node := node.all_input_nodes[0]).op == "call_module":
            factor = input_gain(self.model, node)
            assert factor is not None
            gain *= factor
        return gain

    def _input_name(self, argument: str) -> str:
        """Of several inputs each has the name of its argument."""
        return _INPUT if len(self.input_shapes) == 1 else argument

    def _indices(self, node: fx.Node, module: trained.QuantizedEmbedding) -> str:
        """The input of a model that begins with an Embedding."""
        argument = _argument(node)
        shape, name = self.input_shapes[argument], self._input_name(argument)
        if shape is None or len(shape) != 1:
            raise VecqError(
                "the model takes indices (N, L), but does not tell how many; give input_shape=(L,)"
            )
        fmt = IntFormat.covering(0, module.num_embeddings - 1, signed=False)
        if name in self.tensors:  # another Embedding reads it too
            if self.tensors[name].format != fmt:
                raise VecqError(
                    f"layer '{node.target}' (Embedding) has {module.num_embeddings} entries, but"
                    " another one reads the same indices; equal numbers of entries are wanted"
                )
            return name
        self.inputs.append(Input(name=name, shape=shape, format=fmt))
        self.tensors[name] = Tensor(shape=shape, format=fmt, step=1.0)
        return name

    def _recurrent(
        self, node: fx.Node, name: str, module: QuantizedRecurrent, value: Value
    ) -> Value:
        """A Conv2d of one pixel and an Lstm or Gru for each layer and direction."""
        if not self.steps_first[node.all_input_nodes[0]]:
            raise VecqError(f"layer '{name}' reads (N, C, L); sequences (N, L, C) are wanted")
        layers, tensor = directions(module), value.tensor
        alone = len(layers) == 1 and not module.bidirectional
        last_alone = not module.bidirectional and sequences.reads_last_step(node, self.model)
        for number, endings in enumerate(layers):
            states = []
            for ending in endings:
                own = self._free(name if alone else f"{name}{ending}")
                source, length = tensor, self.tensors[tensor].shape[1]
                backwards = ending.endswith("_reverse")
                if backwards:
                    source = self._add(
                        sequences.reversed_steps(self._free(f"{own}_in"), source, length)
                    )
                sums, layer = sequences.sums_and_states(
                    own,
                    module,
                    ending,
                    source,
                    self.tensors[source],
                    self.mantissa_bits,
                    sequence=not (last_alone and number == len(layers) - 1),
                )
                self._add(sums)
                made = self._add(layer)
                if backwards:
                    made = self._add(
                        sequences.reversed_steps(self._free(f"{own}_out"), made, length)
                    )
                states.append(made)
            tensor = states[0]
            if len(states) > 1:
                joined = Concat(name=self._free(f"{name}_both_l{number}"), inputs=tuple(states))
                tensor = self._add(joined)
        return self._codes(tensor, name)

    def _last_step(self, node: fx.Node, name: str, value: Value) -> Value:
        shape = self.tensors[value.tensor].shape
        if len(shape) == 1:  # the recurrent layer gives no other
            return value
        if not self.steps_first[node.all_input_nodes[0]]:
            raise VecqError(f"layer '{name}' takes the last channel of (N, C, L), not a step")
        taken = sequences.taken_steps(self._free(name), value.tensor, (shape[1] - 1,))
        flat = Flatten(name=self._free(f"{name}_flat"), input=self._add(taken))
        return replace(value, tensor=self._add(flat))

    def _turned(self, name: str, value: Value) -> Value:
        """The value with the steps of the network's sequence as channels."""
        _, length, channels = self.tensors[value.tensor].shape
        turned = Permute(
            name=self._free(f"{name}_turned"),
            input=value.tensor,
            split=(length, channels),
            order=(1, 0),
            shape=(1, channels, length),
        )
        return self._moved(value, self._add(turned))

    def _alike(
        self,
        reads: Sequence[fx.Node],
        name: str,
        module: nn.Module,
        values: Sequence[Value],
    ) -> list[Value]:
        """The operands of a join, all of them with their steps on one axis."""
        ways = [self.steps_first[read] for read in reads]
        sequential = [self.tensors[value.tensor].is_image for value in values]
        if isinstance(module, trained.Concat) and ways[0] and all(sequential):
            raise VecqError(f"layer '{name}' puts the steps of sequences (N, L, C) side by side")
        return [
            value if way == ways[0] else self._turned(name, value)
            for value, way in zip(values, ways, strict=True)
        ]

    def _flat_steps(self, name: str, module: nn.Flatten, value: Value) -> Value:
        """A sequence (N, L, C) as a vector: its integers lie in torch's own order."""
        if isinstance(module, trained.FlattenTo):
            module.check(self.tensors[value.tensor].shape)
        tensor = self._add(Flatten(name=self._free(name), input=value.tensor))
        return self._moved(value, tensor)

    def _of_steps(self, name: str, module: nn.Module, value: Value) -> Value:
        """A module that reads a sequence (N, L, C)."""
        match module:
            case QuantizedLinear():
                return self._sum(name, module, value, each_step=True)
            case Curve() if module.has_channels:
                raise VecqError(
                    f"layer '{name}' has a slope for each step of a sequence (N, L, C); use one for"
                    " all, or transpose it before"
                )
            case ActivationQuantizer() | Curve():
                return self._lowered(name, module, value)
            case _ if isinstance(module, (*_PASSING, *HOST)):
                return self._lowered(name, module, value)
            case _:
                raise VecqError(
                    f"layer '{name}' ({type(module).__name__}) reads a sequence (N, L, C), whose"
                    " channels are its last axis; transpose it before"
                )

    def _readers(self, node: fx.Node) -> Iterator[nn.Module]:
        """The modules that read the node, down to the first that computes something."""
        while node.users:
            node = next(iter(node.users))  # of several, the first tells the shape as well
            if node.op != "call_module":
                return
            module = self.model.get_submodule(str(node.target))
            yield module
            if not isinstance(module, (nn.Flatten, *_PASSING)):
                return

    def _codes(self, tensor: str, owner: str, order: IntArray | None = None) -> Value:
        """The value whose integers are the codes of a quantizer."""
        known = self.tensors[tensor]
        channels = known.shape[-1]
        return Value(
            tensor=tensor,
            scale=np.full(channels, known.step),
            offset=np.zeros(channels),
            owner=owner,
            order=order,
        )

    def _sum(
        self,
        name: str,
        module: QuantizedLinear | QuantizedConv1d | QuantizedConv2d,
        value: Value,
        each_step: bool = False,
    ) -> Value:
        around, code, zero = NO_SIDES, 0, float(value.offset.flat[0])
        images = not isinstance(module, QuantizedLinear)
        own = not isinstance(module, QuantizedLinear) and any(trained.numeric_padding(module))
        if zero and own:
            raise VecqError(
                f"layer '{name}' pads signs with 0, which is none of them; pad by"
                " torch.nn.functional.pad with the value -1 or 1, or not at all"
            )
        if (pad := value.pad) is not None and images:
            code = self._pad_code(pad.name, pad.value, value)
            if code and own:
                value, code = self._padded(value), 0
            else:
                around, value = pad.sides, replace(value, pad=None)
        try:
            layer, shares = sums(self._free(name), module, value)
        except VecqError as error:
            raise VecqError(f"layer '{name}': {error}") from None
        if each_step:
            layer = sequences.each_step(layer)
        layer = replace(layer, weights=self._shared(module, layer.weights))
        if isinstance(layer, Conv2d):
            padding = tuple(map(operator.add, layer.padding, around))
            layer = replace(layer, padding=padding, pad_code=code)
        tensor = self._add(layer)
        added = trained.quantized_bias(module)
        bias = np.zeros(layer.outputs) if added is None else doubles(added)
        if zero:
            sums_of_weights = layer.weights.values.reshape(layer.outputs, -1).sum(axis=1)
            bias = bias + zero * layer.weights.step * shares * sums_of_weights
        check_finite(name, "bias", bias)
        line = self._codes(tensor, tensor)
        # Of an input that the model multiplies first, codes have another step than the model's.
        shares = shares * (value.scale[0] / self.tensors[value.tensor].step)
        return replace(line, scale=line.scale * shares, offset=bias)

    def _shared(self, module: nn.Module, weights: AnyWeights) -> AnyWeights:
        """The weights that another call of the module has, where they are the same."""
        known = self.weights.setdefault(module, [])
        for others in known:
            if type(others) is type(weights) and np.array_equal(others.values, weights.values):
                return others
        known.append(weights)
        return weights

    def _pad(self, name: str, module: Pad, value: Value) -> Value:
        """Padding by a value waits for the layer that reads it; any other takes pixels."""
        shape = self.tensors[value.tensor].shape
        check_image(name, module, shape, value.tensor in self.sequences)
        if module.is_added:
            return replace(value, pad=pending(name, module))
        code = self._pad_code(name, module.value, value) if module.mode == "constant" else 0
        layer = take(self._free(name), value.tensor, shape, module, code)
        return replace(value, tensor=self._add(layer))

    def _padded(self, value: Value) -> Value:
        """The value with its padding in the network."""
        pad = value.pad
        if pad is None:
            return value
        top, left, bottom, right = pad.sides
        layer = take(
            self._free(pad.name),
            value.tensor,
            self.tensors[value.tensor].shape,
            Pad((left, right, top, bottom)),
            self._pad_code(pad.name, pad.value, value),
        )
        return replace(value, tensor=self._add(layer), pad=None)

    def _pad_code(self, name: str, real: float, value: Value) -> int:
        """The integer that a real value of padding is in the tensor."""
        scale, zero = float(value.scale.flat[0]), float(value.offset.flat[0])
        code, fmt = round((real - zero) / scale), self.tensors[value.tensor].format
        held = IntFormat(fmt.bits, fmt.signed)
        apart = abs(code * scale + zero - real) > abs(real - zero) * _ROUNDING
        if apart or (code and value.rows is not None):
            raise VecqError(
                f"layer '{name}' pads with {real:g}, which is no value of what it pads, {zero:g}"
                f" and steps of {scale:.3g}; pad with another value, or right before a layer with"
                " weights"
            )
        if not held.contains(code, code):
            raise VecqError(f"layer '{name}' pads with {real:g}, which {held!r} does not hold")
        return code

    def _max_pool(self, name: str, module: nn.Module, value: Value) -> Value:
        pad, tensor = value.pad, self.tensors[value.tensor]
        if pad is not None and self._pad_code(pad.name, pad.value, value) <= tensor.format.lo:
            # What pads is never larger than a pixel, and every window may hold one.
            layer = max_pool(self._free(name), module, value.tensor, tensor.shape, pad.sides)
            if not any(layer.problems(tensor)):
                return replace(value, tensor=self._add(layer), pad=None)
        value = self._padded(value)
        shape = self.tensors[value.tensor].shape
        layer = max_pool(self._free(name), module, value.tensor, shape)
        return replace(value, tensor=self._add(layer))

    def _average(self, name: str, module: nn.Module, value: Value) -> Value:
        """The sums of windows; by what they are divided goes into the Rescale that follows."""
        added = NO_SIDES
        if value.pad is not None and value.pad.value == 0:
            added, value = value.pad.sides, replace(value, pad=None)
        value = self._padded(value)
        shape = self.tensors[value.tensor].shape
        layer, divisors = sum_pool(self._free(name), module, value.tensor, shape, added)
        tensor = self._add(layer)
        classes, rows = np.unique(divisors, return_inverse=True)
        if value.offset.any() and any(layer.padding):
            raise VecqError(
                f"layer '{name}' averages signs and zeros around them, which are none; leave out"
                " its padding"
            )
        cells = math.prod(layer.kernel)
        if len(classes) == 1:
            scale, offset = value.scale / classes[0], value.offset * cells / classes[0]
            return replace(value, tensor=tensor, scale=scale, offset=offset)
        scale = value.scale / classes[:, np.newaxis]
        offset = value.offset * cells / classes[:, np.newaxis]
        return replace(value, tensor=tensor, scale=scale, offset=offset, rows=rows.reshape(-1))

    def _rescale(self, quantizer: ActivationQuantizer, value: Value) -> Value:
        step, fmt = float(quantizer.step), quantizer.format
        layer_name = self._free(f"{value.owner}_rescale")
        try:
            constants = rescale_constants(
                (value.scale / step).ravel().tolist(),
                ((value.offset - quantizer.zero) / step).ravel().tolist(),
                self.tensors[value.tensor].format,
                self.mantissa_bits,
                fmt,
            )
        except VecqError as error:
            raise VecqError(f"layer '{layer_name}': {error}") from None
        constants = with_one_shift(constants, 1 if value.rows is None else len(value.scale))
        layer = Rescale(
            name=layer_name,
            input=value.tensor,
            mantissa=np.array(constants.mantissa, np.int64).reshape(value.scale.shape),
            offset=np.array(constants.offset, np.int64).reshape(value.scale.shape),
            shift=np.array(constants.shift[: value.scale.shape[-1]], np.int64),
            format=fmt,
            step=step,
            rows=value.rows,
        )
        return self._quantized(quantizer, self._add(layer), value)

    def _quantized(self, quantizer: ActivationQuantizer, tensor: str, value: Value) -> Value:
        """The codes that a quantizer made of ``value``."""
        result = self._codes(tensor, value.owner, value.order)
        return replace(result, offset=np.full_like(result.offset, quantizer.zero))

    def _flatten(self, name: str, value: Value) -> Value:
        shape = self.tensors[value.tensor].shape
        if len(shape) == 1:
            return value
        height, width, channels = shape
        order = np.arange(math.prod(shape)).reshape(channels, height, width)
        tensor = self._add(Flatten(name=self._free(name), input=value.tensor))
        if channels == 1 or height * width == 1:
            return self._moved(value, tensor)  # in torch's order, as vectors are
        return self._moved(value, tensor, order.transpose(1, 2, 0).reshape(-1))

    def _moved(self, value: Value, tensor: str, order: IntArray | None = None) -> Value:
        """The codes of ``value`` in other places."""
        result = self._codes(tensor, value.owner, order)
        return replace(result, offset=np.full_like(result.offset, value.offset.flat[0]))

    def _rearranged(self, name: str, module: Rearrange, value: Value) -> Value:
        shape = self.tensors[value.tensor].shape
        if len(module.shape) > 3:
            raise VecqError(
                f"layer '{name}' gives samples of the shape {module.shape}; vectors (C,), sequences"
                " (C, L) or images (C, H, W) are wanted"
            )
        whole = channels_last(module, shape) if value.order is None else None
        if whole is None:
            raise VecqError(
                f"layer '{name}' reorders a sample of the shape {shape} in the network as no layer"
                " of it does; reorder whole axes"
            )
        if whole.keeps_order and whole.shape == shape:
            return value
        layer = permute(self._free(name), value.tensor, whole)
        return self._moved(value, self._add(layer))

    def _finished(self, value: Value, node: fx.Node) -> str:
        """The tensor of an output, the value of ``node``; sums get their bias (rule 6)."""
        if value.order is not None and not np.array_equal(value.order, np.sort(value.order)):
            raise VecqError("the model ends in a flattened image; end it with a Linear")
        if not value.offset.any():
            return value.tensor
        if (known := self.finished.get(id(value))) is not None:
            return known
        last = next((layer for layer in self.layers if layer.name == value.tensor), None)
        if not self._alone(node):
            last = None  # others read the sums without the bias
        name = self.finished[id(value)] = self._with_bias(last, value)
        self.kept.append(value)
        return name

    def _alone(self, node: fx.Node) -> bool:
        """Whether nothing else reads the sums whose value the node has."""
        while len(node.users) == 1:
            module = self.model.get_submodule(str(node.target))
            if not isinstance(module, _PASSING):
                return True
            node = node.all_input_nodes[0]
        return False

    def _with_bias(self, last: Layer | None, value: Value) -> str:
        layer_name = self._free(f"{value.owner}_rescale")
        layer = biased(layer_name, last, value, self.tensors[value.tensor])
        if layer.name == layer_name:
            return self._add(layer)
        self.layers = [layer if old is last else old for old in self.layers]
        return layer.name

    def _add(self, layer: Layer) -> str:
        """Append a layer; what is wrong with it is said by the network's own check."""
        alone = Network(
            name=layer.name,
            inputs=tuple(
                Input(name=name, shape=tensor.shape, format=tensor.format, step=tensor.step)
                for name, tensor in self.tensors.items()
                if name in layer.inputs
            ),
            layers=(layer,),
            outputs=(layer.name,),
        )
        self.layers.append(layer)
        self.tensors[layer.name] = alone.tensors[layer.name]
        if self.sequences.intersection(layer.inputs):
            self.sequences.add(layer.name)
        return layer.name

    def _free(self, wanted: str) -> str:
        name, count = wanted, 2
        while name in self.tensors:
            name, count = f"{wanted}_{count}", count + 1
        return name


def _argument(node: fx.Node) -> str:
    """The argument of forward() that the node's value is made of."""
    while node.op != "placeholder":
        node = node.all_input_nodes[0]
    return str(node.target)


def _shapes_by_input(
    model: fx.GraphModule, given: InputShape | None
) -> dict[str, tuple[int, ...] | None]:
    """The shape of a sample of each input of the graph, where it is given."""
    names = [str(node.target) for node in model.graph.nodes if node.op == "placeholder"]
    shapes = checked_shapes(given, names)
    if shapes is None:
        return dict.fromkeys(names)
    if len(shapes) != len(names) or not all(1 <= len(shape) <= 3 for shape in shapes):
        raise VecqError(
            f"input_shape must be (C,), (C, L) or (C, H, W){' for each input' * (len(names) > 1)},"
            f" not {given!r}"
        )
    return dict(zip(names, shapes, strict=True))


def checked_graph(model: nn.Module) -> fx.GraphModule:
    """The model as a graph that can be walked; refuses what is no model to be lowered."""
    modules = list(model.named_modules()) if isinstance(model, fx.GraphModule) else []
    if modules:
        check_values(model)
    if isinstance(model, fx.GraphModule) and any(
        isinstance(module, InputQuantizer)
        or (isinstance(module, trained.QuantizedEmbedding) and module.integer_rows)
        for _, module in modules
    ):
        return model
    if any(isinstance(module, Quantized) for _, module in modules):
        raise VecqError(
            "the model's activations are float (activation_bits=None), so it has no integers;"
            " quantize them too to lower it"
        )
    raise VecqError(
        f"a model from quantize_model is wanted, not {type(model).__name__};"
        " quantize and train it first"
    )
