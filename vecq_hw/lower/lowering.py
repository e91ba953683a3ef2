"""A trained quantized model to the integer network that computes the same.

Between two quantizers a model is a line per channel: a Linear or Conv2d sums integers, everything
after it (alpha, input step, bias, batch norms) multiplies and adds.  The walk over the graph
carries that line along, in float64, until a quantizer turns it into one Rescale.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, MidRise
from vecq_hw.lower.rescale import rescale_constants
from vecq_hw.network import (
    Conv2d,
    Dense,
    Flatten,
    Input,
    Layer,
    MaxPool2d,
    Network,
    Rescale,
    Tensor,
    Weights,
    layer_inputs,
)
from vecq_hw.quantize import ActivationQuantizer, InputQuantizer, vecq
from vecq_hw.simulate import network_inputs, predictions, simulate
from vecq_hw.train import predict
from vecq_hw.train.layers import QuantizedConv2d, QuantizedLinear, symmetric_padding

_INPUT = "input"
_PASSING = (nn.Dropout, nn.Dropout2d, nn.Identity)
Doubles = npt.NDArray[np.float64]


def lower(
    model: nn.Module,
    input_shape: tuple[int, ...] | None = None,
    name: str = "network",
    mantissa_bits: int = 18,
) -> Network:
    """The integer network of a trained quantized model.

    Codes and scales are those of the model's forward pass.  Layers keep the names of their modules;
    the Rescale behind ``fc1`` is ``fc1_rescale``.  Arrays are channels-last, so dense columns and
    batch norms behind a Flatten are permuted.  A Flatten of the input itself is left to
    :func:`vecq_hw.simulate.network_inputs`: such a network takes vectors.

    Parameters
    ----------
    model : nn.Module
        From :func:`vecq_hw.train.quantize_model`, trained or calibrated.
    input_shape : (C,) or (C, H, W), optional
        Of one sample as the model takes it; needed where no leading Linear or BatchNorm1d tells it.
    name : str
    mantissa_bits : int, 4..32
        Of the multipliers, sign included;
        :func:`vecq_hw.lower.shortened_mantissas` tells which had to be shorter.

    Raises
    ------
    VecqError
        The model is not from ``quantize_model``, a quantizer has no statistics, shapes do not fit.
    """
    if not isinstance(model, fx.GraphModule) or not any(
        isinstance(module, InputQuantizer) for module in model.modules()
    ):
        raise VecqError(
            f"a model from quantize_model is wanted, not {type(model).__name__};"
            " quantize and train it first"
        )
    if not 4 <= mantissa_bits <= 32:
        raise VecqError(f"mantissas have 4 to 32 bits, not {mantissa_bits}")
    with torch.no_grad():
        return _Lowering(model, input_shape, mantissa_bits).run(name)


def prediction_differences(model: nn.Module, network: Network, x: npt.NDArray[np.float32]) -> int:
    """How many samples the quantized model and its integer network put into different classes.

    Parameters
    ----------
    model : the module that ``network`` was lowered from
    x : float32 array of shape (N, C) or (N, C, H, W)
    """
    outputs = simulate(network, network_inputs(network, x))
    if outputs.ndim == 4:
        outputs = outputs.transpose(0, 3, 1, 2)
    return int((predict(model, x) != predictions(outputs)).sum())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Value:
    """A node of the model: ``integers of tensor * scale + offset``, per channel.

    ``order`` is the position that each element has in torch's own order, where an image was
    flattened channels-last; ``owner`` the layer that names the next Rescale.
    """

    tensor: str
    scale: Doubles
    offset: Doubles
    owner: str
    order: IntArray | None = None


class _Lowering:
    """One walk over one model."""

    def __init__(
        self, model: fx.GraphModule, input_shape: tuple[int, ...] | None, mantissa_bits: int
    ) -> None:
        self.model = model
        self.mantissa_bits = mantissa_bits
        self.input_shape = input_shape
        self.inputs: list[Input] = []
        self.layers: list[Layer] = []
        self.tensors: dict[str, Tensor] = {}

    def run(self, name: str) -> Network:
        values: dict[fx.Node, _Value] = {}
        for node in self.model.graph.nodes:
            if node.op == "placeholder":
                continue
            source = node.args[0]
            if node.op == "output":
                output = self._finished(values[source])
                return Network(
                    name=name,
                    inputs=tuple(self.inputs),
                    layers=tuple(self.layers),
                    outputs=(output,),
                )
            module = self.model.get_submodule(str(node.target))
            if isinstance(module, InputQuantizer):
                values[node] = self._input(node, str(node.target), module)
            else:
                values[node] = self._lowered(str(node.target), module, values[source])
        raise AssertionError("a graph without an output")

    def _lowered(self, name: str, module: nn.Module, value: _Value) -> _Value:
        match module:
            case ActivationQuantizer():
                return self._rescale(name, module, value)
            case QuantizedLinear() | QuantizedConv2d():
                return self._sum(name, module, value)
            case nn.BatchNorm1d() | nn.BatchNorm2d():
                return _normalized(name, module, value)
            case nn.MaxPool2d():
                layer = MaxPool2d(
                    name=self._free(name),
                    input=value.tensor,
                    kernel=_pair(module.kernel_size),
                    stride=_pair(module.stride),
                    padding=_pair(module.padding),
                )
                return replace(value, tensor=self._add(layer))
            case nn.Flatten():
                return self._flatten(name, value)
            case _ if isinstance(module, _PASSING):
                return value
            case _:
                raise VecqError(f"layer '{name}' ({type(module).__name__}) cannot be lowered")

    def _input(self, node: fx.Node, name: str, quantizer: InputQuantizer) -> _Value:
        shape, flat = self.input_shape, False
        for reader in self._readers(node):
            if isinstance(reader, nn.Flatten):
                flat = True
            elif shape is None and isinstance(reader, QuantizedLinear):
                shape = (reader.in_features,)
            elif shape is None and isinstance(reader, nn.BatchNorm1d):
                shape = (reader.num_features,)
        if shape is None:
            raise VecqError("the model does not tell its input's shape; give input_shape=(C, H, W)")
        if len(shape) not in (1, 3) or any(size < 1 for size in shape):
            raise VecqError(f"input_shape must be (C,) or (C, H, W), not {shape}")
        if len(shape) == 3:
            channels, height, width = shape
            shape = (math.prod(shape),) if flat else (height, width, channels)
        source = Input(
            name=_INPUT, shape=shape, format=quantizer.format, step=_step(name, quantizer)
        )
        self.inputs.append(source)
        self.tensors[_INPUT] = Tensor(shape=shape, format=source.format, step=source.step)
        return self._codes(_INPUT, _INPUT)

    def _readers(self, node: fx.Node) -> Iterator[nn.Module]:
        """The modules that read the node, down to the first that computes something."""
        while node.users:
            node = next(iter(node.users))
            if node.op != "call_module":
                return
            module = self.model.get_submodule(str(node.target))
            yield module
            if not isinstance(module, (nn.Flatten, *_PASSING)):
                return

    def _codes(self, tensor: str, owner: str, order: IntArray | None = None) -> _Value:
        """The value whose integers are the codes of a quantizer."""
        known = self.tensors[tensor]
        channels = known.shape[-1]
        return _Value(
            tensor=tensor,
            scale=np.full(channels, known.step),
            offset=np.zeros(channels),
            owner=owner,
            order=order,
        )

    def _sum(self, name: str, module: QuantizedLinear | QuantizedConv2d, value: _Value) -> _Value:
        try:
            result = vecq(module.weight, module.weight_bits)
        except VecqError as error:
            raise VecqError(f"layer '{name}': {error}") from None
        codes = result.codes.cpu().numpy()
        grid, step = MidRise(module.weight_bits), float(result.alpha) / 2
        layer: Dense | Conv2d
        if isinstance(module, QuantizedLinear):
            if value.order is not None and len(value.order) == codes.shape[1]:
                codes = codes[:, value.order]
            weights = Weights(codes=codes, grid=grid, step=step)
            layer = Dense(name=self._free(name), input=value.tensor, weights=weights)
        else:
            weights = Weights(codes=codes.transpose(0, 2, 3, 1), grid=grid, step=step)
            layer = Conv2d(
                name=self._free(name),
                input=value.tensor,
                weights=weights,
                stride=_pair(module.stride),
                padding=symmetric_padding(module),
            )
        tensor = self._add(layer)
        bias = np.zeros(len(codes)) if module.bias is None else _doubles(module.bias)
        _check_finite(name, "bias", bias)
        return replace(self._codes(tensor, tensor), offset=bias)

    def _rescale(self, name: str, quantizer: ActivationQuantizer, value: _Value) -> _Value:
        step, fmt = _step(name, quantizer), quantizer.format
        layer_name = self._free(f"{value.owner}_rescale")
        try:
            constants = rescale_constants(
                (value.scale / step).tolist(),
                (value.offset / step).tolist(),
                self.tensors[value.tensor].format,
                self.mantissa_bits,
            )
        except VecqError as error:
            raise VecqError(f"layer '{layer_name}': {error}") from None
        layer = Rescale(
            name=layer_name,
            input=value.tensor,
            mantissa=np.array(constants.mantissa, np.int64),
            offset=np.array(constants.offset, np.int64),
            shift=constants.shift,
            format=fmt,
            step=step,
        )
        return self._codes(self._add(layer), value.owner, value.order)

    def _flatten(self, name: str, value: _Value) -> _Value:
        shape = self.tensors[value.tensor].shape
        if len(shape) == 1:
            return value
        height, width, channels = shape
        order = np.arange(math.prod(shape)).reshape(channels, height, width)
        tensor = self._add(Flatten(name=self._free(name), input=value.tensor))
        return self._codes(tensor, value.owner, order.transpose(1, 2, 0).reshape(-1))

    def _finished(self, value: _Value) -> str:
        """The output's name; sums get their bias in accumulator units (rule 6)."""
        if value.order is not None and not np.array_equal(value.order, np.sort(value.order)):
            raise VecqError("the model ends in a flattened image; end it with a Linear")
        for index, layer in enumerate(self.layers):
            if (
                layer.name == value.tensor
                and isinstance(layer, Dense | Conv2d)
                and value.offset.any()
            ):
                units = [round(bias) for bias in (value.offset / value.scale).tolist()]
                self.layers[index] = replace(layer, bias=np.array(units, np.int64))
        return value.tensor

    def _add(self, layer: Layer) -> str:
        """Append a layer; what is wrong with it is said by the network's own check."""
        alone = Network(
            name=layer.name,
            inputs=tuple(
                Input(name=name, shape=tensor.shape, format=tensor.format, step=tensor.step)
                for name, tensor in self.tensors.items()
                if name in layer_inputs(layer)
            ),
            layers=(layer,),
            outputs=(layer.name,),
        )
        self.layers.append(layer)
        self.tensors[layer.name] = alone.tensors[layer.name]
        return layer.name

    def _free(self, wanted: str) -> str:
        name, count = wanted, 2
        while name in self.tensors:
            name, count = f"{wanted}_{count}", count + 1
        return name


def _normalized(name: str, module: nn.BatchNorm1d | nn.BatchNorm2d, value: _Value) -> _Value:
    """The line through a batch norm in evaluation mode."""
    assert module.running_mean is not None
    assert module.running_var is not None
    mean, variance = _doubles(module.running_mean), _doubles(module.running_var)
    with np.errstate(invalid="ignore"):
        gain = 1.0 / np.sqrt(variance + module.eps)
    if module.affine:
        gain = gain * _doubles(module.weight)
    shift = -mean * gain
    if module.affine:
        shift = shift + _doubles(module.bias)
    _check_finite(name, "scale", gain)
    _check_finite(name, "shift", shift)
    if len(gain) != len(value.scale):
        raise VecqError(
            f"layer '{name}' normalizes {len(gain)} channels, but reads {len(value.scale)}"
        )
    if value.order is not None:
        gain, shift = gain[value.order], shift[value.order]
    return replace(value, scale=value.scale * gain, offset=value.offset * gain + shift)


def _step(name: str, quantizer: ActivationQuantizer) -> float:
    step = float(quantizer.step)
    if not 0 < step < math.inf:
        raise VecqError(
            f"quantizer '{name}' has no statistics; train the model, or run some batches through it"
            " in training mode, before lowering"
        )
    return step


def _doubles(tensor: torch.Tensor) -> Doubles:
    return tensor.detach().cpu().double().numpy()


def _check_finite(name: str, what: str, values: Doubles) -> None:
    if not np.isfinite(values).all():
        raise VecqError(f"layer '{name}': its {what} holds NaN or infinite values; train it again")


def _pair(size: int | tuple[int, ...]) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
