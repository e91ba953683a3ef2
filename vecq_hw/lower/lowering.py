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
from vecq_hw.formats import IntFormat
from vecq_hw.layers import (
    Add,
    AnyWeights,
    ArgMax,
    Concat,
    Constant,
    Conv2d,
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
from vecq_hw.lower.builder import Builder
from vecq_hw.lower.constants import QuantizedConstant, quantized_constant, through_constant
from vecq_hw.lower.ends import with_outputs
from vecq_hw.lower.layout import Layout
from vecq_hw.lower.orders import padded
from vecq_hw.lower.outputs import biased
from vecq_hw.lower.rescale import rescale_constants, with_one_shift
from vecq_hw.lower.sums import sums
from vecq_hw.lower.tables import left_to_host, lookup, through_curve
from vecq_hw.lower.transposed import bilinear, transposed
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
from vecq_hw.train.picks import Pick
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
from vecq_hw.train.rearrange import Rearrange
from vecq_hw.train.recurrent import QuantizedGRU, QuantizedLSTM, QuantizedRecurrent, directions
from vecq_hw.train.several import Samples, arguments, input_names, output_nodes
from vecq_hw.train.transposed import (
    QuantizedConvTranspose1d,
    QuantizedConvTranspose2d,
    QuantizedTransposed,
)
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


class _Lowering(Builder):
    """One walk over one model."""

    def __init__(
        self,
        model: fx.GraphModule,
        input_shapes: dict[str, tuple[int, ...] | None],
        mantissa_bits: int,
    ) -> None:
        super().__init__()
        self.model = model
        self.mantissa_bits = mantissa_bits
        self.input_shapes = input_shapes
        self.finished: dict[int, str] = {}
        """The tensor of each value that got its bias, by identity; ``kept`` keeps these alive."""
        self.kept: list[Value] = []
        self.weights: dict[nn.Module, list[AnyWeights]] = {}
        """What was made of the weights of each module, which may be called several times."""
        self.constants: dict[fx.Node, QuantizedConstant] = {}
        self.begins_last: dict[str, bool] = {}
        """Whether an input has sequences (N, L, C)."""

    def run(self, name: str) -> Network:
        values: dict[fx.Node, Value] = {}
        for node in self.model.graph.nodes:
            if is_constant(node):
                continue
            if node.op == "placeholder":
                begins = sequences.begins_with_steps(node, self.model)
                shape = self.input_shapes[str(node.target)]
                sequence = shape is not None and len(shape) == 2
                self.begins_last[str(node.target)] = sequence and begins
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
                continue  # a product by which the step of the input is multiplied
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
                    rows = sequences.embedding(self.free(target), module, source)
                    values[node] = self.codes(self.add(rows), target, layout=Layout(2, last=True))
                case QuantizedLSTM() | QuantizedGRU():
                    values[node] = self._recurrent(node, target, module, sources[0])
                case Rearrange():
                    given, wants_last = self.moved(sources[0]), self._wants_last(node)
                    values[node] = self.rearranged(target, module, given, wants_last)
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
                    layer = lookup(self.free(f"{value.owner}_lookup"), value, module)
                    result = self._quantized(module, self.add(layer), value)
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
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return normalized(name, module, self.with_channels(name, value, last=False))
            case _ if isinstance(module, _PASSING):
                return value
            case _:
                return self._computed(name, module, self.moved(value))

    def _computed(self, name: str, module: nn.Module, value: Value) -> Value:
        """What reads the integers themselves, with the channels where it has them."""
        match module:
            case Pick():
                return self.picked(name, module, value)
            case nn.Flatten():
                return self.flattened(name, module, value)
            case trained.Transpose():
                return replace(value, layout=replace(value.layout, last=not value.layout.last))
            case trained.LastStep():
                return self.last_step(name, value)
            case QuantizedLinear():
                return self._sum(name, module, self.with_channels(name, value, last=True))
            case _:
                return self._of_images(name, module, self.with_channels(name, value, last=False))

    def _of_images(self, name: str, module: nn.Module, value: Value) -> Value:
        """What has the channels first: (N, C, H, W) or (N, C, L)."""
        match module:
            case QuantizedConv1d() | QuantizedConv2d():
                return self._sum(name, module, value)
            case QuantizedConvTranspose1d() | QuantizedConvTranspose2d():
                return self._transposed(name, module, value)
            case _ if isinstance(module, MAX_POOLS):
                return self._max_pool(name, module, value)
            case _ if isinstance(module, AVERAGES):
                return self._average(name, module, value)
            case Pad():
                return self._pad(name, module, value)
            case nn.Upsample():
                factor = trained.upsample_factors(module.scale_factor)
                assert factor is not None
                if value.layout.rank == 2:
                    factor = (1, factor[1])
                if trained.is_bilinear(module):
                    return self._bilinear(name, factor, value)
                layer = Upsample2d(name=self.free(name), input=value.tensor, factor=factor)
                return replace(value, tensor=self.add(layer))
            case _:
                raise VecqError(f"layer '{name}' ({type(module).__name__}) cannot be lowered")

    def _chosen(self, module: trained_choices.Choice, value: Value, source: fx.Node) -> Value:
        """The classes behind the scores, which have their biases before they are compared."""
        scores = self._finished(value, source)
        if module.count is None:
            choice = self.add(ArgMax(name=self.free("argmax"), input=scores))
        else:
            choice = self.add(TopK(name=self.free("topk"), input=scores, count=module.count))
        return self.codes(choice, choice)

    def _arithmetic(
        self, node: fx.Node, module: nn.Module, values: Mapping[fx.Node, Value]
    ) -> Value:
        name = str(node.target)
        given = [arg for arg in node.args if is_constant(arg)]
        if given:
            (value,) = (values[arg] for arg in node.all_input_nodes if arg in values)
            constant = constant_tensor(self.model, given[0])
            first = is_constant(node.args[0])
            value = self.moved(value)
            return through_constant(name, module, value, constant, constant_first=first)
        reads = [arg for arg in node.args if isinstance(arg, fx.Node)]
        known = [self.moved(values[read]) for read in reads if read in values]
        last = known[0].layout.last and not isinstance(module, trained.Concat)
        known = [self.with_channels(name, value, last) for value in known]
        alike = iter(known)
        operands = [
            next(alike) if read in values else self._constant(read, known[0]) for read in reads
        ]
        joined = self._joined(name, module, operands)
        return replace(joined, layout=max((v.layout for v in operands), key=lambda one: one.rank))

    def _constant(self, node: fx.Node, partner: Value) -> Value:
        """The tensor of a constant that a quantizer made codes of, for its partner."""
        found, layout = self.constants[node], partner.layout
        shape = self.tensors[partner.tensor].shape
        layer = Constant(
            name=self.free(found.name),
            values=found.codes_for(shape, layout.rank == 2, layout.last),
            format=found.format,
            step=found.step,
        )
        self.layers.append(layer)
        self.tensors[layer.name] = layer.output()
        return self.codes(layer.name, layer.name, layout=layout)

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
                    name=self.free(f"{value.tensor}_repeated"),
                    input=value.tensor,
                    rows=rows,
                    columns=columns,
                    channels=channels,
                )
                scale = np.broadcast_to(value.scale, largest[-1:])
                spread = self.codes(self.add(taken), value.owner, layout=value.layout)
                value = replace(spread, scale=scale)
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
                joined = self.add(Add(name=self.free(name), inputs=tensors))
            case Subtract():
                order = added_order(name, values)
                joined = self.add(layers.Subtract(name=self.free(name), inputs=tensors))
            case Multiply():
                return self._product(name, values)
            case _:
                order = joined_order(values)
                joined = self.add(Concat(name=self.free(name), inputs=tensors))
        return self.codes(joined, joined, order)

    def _product(self, name: str, values: Sequence[Value]) -> Value:
        """Codes of quantizers of their own; what is repeated over all pixels comes second."""
        left, right = sorted(
            values, key=lambda value: math.prod(self.tensors[value.tensor].shape), reverse=True
        )
        if self.tensors[right.tensor].positions > 1:  # one value a channel needs no repetition
            left, right = self._spread([left, right])
        alike = self.tensors[left.tensor].shape == self.tensors[right.tensor].shape
        order = added_order(name, values) if alike else left.order
        joined = self.add(layers.Multiply(name=self.free(name), inputs=(left.tensor, right.tensor)))
        line = self.codes(joined, joined, order)
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
        steps = self.begins_last[argument] and not flat
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
                name=self.free(f"{tensor}_steps"),
                input=tensor,
                split=shape[1:],
                order=(1, 0),
                shape=shape,
            )
            value = self.codes(self.add(turned), tensor, layout=Layout(2, last=True))
        else:
            value = self.codes(tensor, tensor, layout=Layout(2, last=True) if steps else None)
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
        value = self.with_channels(name, self.moved(value), last=True)
        layers, tensor = directions(module), value.tensor
        alone = len(layers) == 1 and not module.bidirectional
        last_alone = not module.bidirectional and sequences.reads_last_step(node, self.model)
        for number, endings in enumerate(layers):
            states = []
            for ending in endings:
                own = self.free(name if alone else f"{name}{ending}")
                source, length = tensor, self.tensors[tensor].shape[1]
                backwards = ending.endswith("_reverse")
                if backwards:
                    source = self.add(
                        sequences.reversed_steps(self.free(f"{own}_in"), source, length)
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
                self.add(sums)
                made = self.add(layer)
                if backwards:
                    made = self.add(sequences.reversed_steps(self.free(f"{own}_out"), made, length))
                states.append(made)
            tensor = states[0]
            if len(states) > 1:
                joined = Concat(name=self.free(f"{name}_both_l{number}"), inputs=tuple(states))
                tensor = self.add(joined)
        return self.codes(tensor, name, layout=Layout(2, last=True))

    def _wants_last(self, node: fx.Node) -> bool:
        """Whether the first that reads a node and computes takes the channels last."""
        while node.users:
            node = next(iter(node.users))
            if node.op != "call_module":
                return False
            module = self.model.get_submodule(str(node.target))
            if not isinstance(module, (ActivationQuantizer, Curve, *_PASSING)):
                last = (QuantizedLinear, QuantizedLSTM, QuantizedGRU, trained.LastStep)
                return isinstance(module, last)
        return False

    def _bilinear(self, name: str, factor: tuple[int, int], value: Value) -> Value:
        """Upsampling by weights that are whole parts of their sum."""
        tensor = value.tensor
        made = bilinear(self.tensors[tensor].shape, factor)
        for layer in made:
            tensor = self.add(replace(layer, name=self.free(name), input=tensor))
        total = made[-1].weights.values[0].sum()
        return replace(value, tensor=tensor, scale=value.scale / total)

    def _transposed(self, name: str, module: QuantizedTransposed, value: Value) -> Value:
        tensor = value.tensor
        if value.offset.any():
            raise VecqError(f"layer '{name}' puts zeros between signs, which are none of them")
        try:
            made = transposed(module, self.tensors[tensor].shape)
        except VecqError as error:
            raise VecqError(f"layer '{name}': {error}") from None
        for zeros in made.before:
            tensor = self.add(replace(zeros, name=self.free(f"{name}_zeros"), input=tensor))
        weights = self._shared(module, made.convolution.weights)
        convolution = replace(made.convolution, weights=weights)
        tensor = self.add(replace(convolution, name=self.free(name), input=tensor))
        added = trained.quantized_bias(module)
        bias = np.zeros(module.out_channels) if added is None else doubles(added)
        check_finite(name, "bias", bias)
        line = self.codes(tensor, tensor, layout=value.layout)
        copies = len(line.scale) // len(bias)
        gain = value.scale[0] / self.tensors[value.tensor].step
        return replace(
            line,
            scale=gain * line.scale * np.tile(np.broadcast_to(made.shares, bias.shape), copies),
            offset=np.tile(bias, copies),
            moves=tuple(made.after),
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

    def _sum(
        self,
        name: str,
        module: QuantizedLinear | QuantizedConv1d | QuantizedConv2d,
        value: Value,
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
            layer, shares = sums(self.free(name), module, value)
        except VecqError as error:
            raise VecqError(f"layer '{name}': {error}") from None
        layer = replace(layer, weights=self._shared(module, layer.weights))
        if isinstance(layer, Conv2d):
            padding = tuple(map(operator.add, layer.padding, around))
            layer = replace(layer, padding=padding, pad_code=code)
        tensor = self.add(layer)
        added = trained.quantized_bias(module)
        bias = np.zeros(layer.outputs) if added is None else doubles(added)
        if zero:
            sums_of_weights = layer.weights.values.reshape(layer.outputs, -1).sum(axis=1)
            bias = bias + zero * layer.weights.step * shares * sums_of_weights
        check_finite(name, "bias", bias)
        line = self.codes(tensor, tensor, layout=value.layout)
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
        check_image(name, module, shape, value.layout.rank == 2)
        if module.is_added:
            return replace(value, pad=pending(name, module))
        code = self._pad_code(name, module.value, value) if module.mode == "constant" else 0
        layer = padded(self.free(name), value.tensor, shape, module, code)
        return replace(value, tensor=self.add(layer))

    def _padded(self, value: Value) -> Value:
        """The value with its padding in the network."""
        pad = value.pad
        if pad is None:
            return value
        top, left, bottom, right = pad.sides
        layer = padded(
            self.free(pad.name),
            value.tensor,
            self.tensors[value.tensor].shape,
            Pad((left, right, top, bottom)),
            self._pad_code(pad.name, pad.value, value),
        )
        return replace(value, tensor=self.add(layer), pad=None)

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
            layer = max_pool(self.free(name), module, value.tensor, tensor.shape, pad.sides)
            if not any(layer.problems(tensor)):
                return replace(value, tensor=self.add(layer), pad=None)
        value = self._padded(value)
        shape = self.tensors[value.tensor].shape
        layer = max_pool(self.free(name), module, value.tensor, shape)
        return replace(value, tensor=self.add(layer))

    def _average(self, name: str, module: nn.Module, value: Value) -> Value:
        """The sums of windows; by what they are divided goes into the Rescale that follows."""
        added = NO_SIDES
        if value.pad is not None and value.pad.value == 0:
            added, value = value.pad.sides, replace(value, pad=None)
        value = self._padded(value)
        shape = self.tensors[value.tensor].shape
        layer, divisors = sum_pool(self.free(name), module, value.tensor, shape, added)
        tensor = self.add(layer)
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
        layer_name = self.free(f"{value.owner}_rescale")
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
        return self._quantized(quantizer, self.add(layer), value)

    def _quantized(self, quantizer: ActivationQuantizer, tensor: str, value: Value) -> Value:
        """The codes that a quantizer made of ``value``, behind the moves that waited for them."""
        codes = self.codes(tensor, value.owner, value.order, value.layout)
        offset = np.full_like(codes.offset, quantizer.zero)
        return self.moved(replace(codes, offset=offset, moves=value.moves))

    def _finished(self, value: Value, node: fx.Node) -> str:
        """The tensor of an output, the value of ``node``; sums get their bias (rule 6)."""
        if (known := self.finished.get(id(value))) is not None:
            return known
        self.kept.append(value)
        given, value = value, self.in_order(value.owner, value)
        if value.offset.any():
            last = next((layer for layer in self.layers if layer.name == value.tensor), None)
            if not self._alone(node):
                last = None  # others read the sums without the bias
            value = replace(value, tensor=self._with_bias(last, value))
        name = self.finished[id(given)] = self.moved(value).tensor
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
        layer_name = self.free(f"{value.owner}_rescale")
        layer = biased(layer_name, last, value, self.tensors[value.tensor])
        if layer.name == layer_name:
            return self.add(layer)
        self.layers = [layer if old is last else old for old in self.layers]
        return layer.name


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
