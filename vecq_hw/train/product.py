"""Product quantization in training: layers get their words on the activations that reach them.

Stock et al., *And the Bit Goes Down*, ICLR 2020, section 3.3: from then on the network may learn to
give the scores of the one that it was, which is kept as its teacher.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer
from vecq_hw.quantize.product import BlockOrder, ProductQuantization
from vecq_hw.train.distributed import from_first_rank
from vecq_hw.train.quantized_layers import (
    QuantizedConv1d,
    QuantizedConv2d,
    QuantizedEmbedding,
    QuantizedLinear,
    numeric_padding,
)
from vecq_hw.train.quantized_parameters import QuantizedParameter, quantized_parameters
from vecq_hw.train.scores import evaluation_mode, of_two_classes
from vecq_hw.train.transposed import QuantizedConvTranspose1d, QuantizedConvTranspose2d

SAMPLES = 1024
"""On which activations are looked at."""
_BATCH = 64
_ROUNDING = 1e-9
"""What progress may be off by rounding: a layer's time may be that of a step."""
Tell = Callable[[str], object]


class ProductStage:
    """When the layers of a model get their words, and what it learns from then on.

    Parameters
    ----------
    model : nn.Module
    samples : tensor of shape (N, ...)
        All that it is trained on; up to 1,024 of them, drawn by ``seed``, give the activations.
    seed : int
    tell : callable
        Called with what is under way.
    """

    def __init__(self, model: nn.Module, samples: torch.Tensor, seed: int, tell: Tell) -> None:
        self._model, self._samples, self._seed, self._tell = model, samples, seed, tell
        self._teacher: nn.Module | None = None
        self._waiting = _without_words(model)
        layers = list(dict.fromkeys(one.layer for one in _products(model)))
        self._shares = {layer: at / max(len(layers) - 1, 1) for at, layer in enumerate(layers)}

    @property
    def has_layers(self) -> bool:
        """Whether there are layers of words: first these have no gradient, then their weights."""
        return bool(self._shares)

    def advance(self, progress: float) -> None:
        """Give words to the layers whose time has come, so much of training being done."""
        due = [one for one in self._waiting if progress + _ROUNDING >= self._time(one)]
        if not due:
            return
        generator = torch.Generator().manual_seed(self._seed)
        chosen = torch.randperm(len(self._samples), generator=generator)[:SAMPLES]
        samples = self._samples[chosen.to(self._samples.device)]
        with torch.no_grad(), evaluation_mode(self._model):
            _give_steps(self._model, samples)
            if self._teacher is None and any(_product(one).distilled for one in due):
                self._teacher = _still(copy.deepcopy(self._model))
            assign_words(self._model, due, samples, self._tell)
        self._waiting = _without_words(self._model)

    def _time(self, one: QuantizedParameter) -> float:
        """The progress at which a layer gets its words."""
        share, product = self._shares[one.layer], _product(one)
        return product.start * (1 - share) + product.end * share

    def loss(self, scores: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Cross-entropy with the labels, or with the scores of the teacher where there is one.

        ``scores`` has the shape (N, classes), ``y`` (N,), ``x`` (N, ...); the loss is a scalar.
        """
        if self._teacher is None:
            return F.cross_entropy(scores, y)
        with torch.no_grad():
            given = self._teacher(x).to(scores.dtype)
            given = of_two_classes(given) if given.shape[1] < scores.shape[1] else given
            wanted = F.log_softmax(given, 1)
        found = F.log_softmax(scores, 1)
        return F.kl_div(found, wanted, reduction="sum", log_target=True) / y.numel()

    def state_dict(self) -> dict[str, Any] | None:
        """The teacher's state, if there is a teacher."""
        return None if self._teacher is None else self._teacher.state_dict()

    def check(self, state: object) -> None:
        """Refuse what is no state of a teacher of this model.

        Raises
        ------
        VecqError
            Its parameters have other names, shapes or types than the model's.
        """
        own = self._model.state_dict()
        if state is None:
            return
        if not isinstance(state, Mapping) or state.keys() != own.keys():
            raise VecqError("its teacher has other parameters than the model")
        for name, value in state.items():
            like = own[name]
            if not isinstance(value, torch.Tensor) or (value.shape, value.dtype) != (
                like.shape,
                like.dtype,
            ):
                raise VecqError(f"its teacher's {name} is not {like.dtype} of {tuple(like.shape)}")

    def load_state_dict(self, state: Mapping[str, Any] | None) -> None:
        """Go on with the teacher of that state; the model's own state is loaded before."""
        self._waiting = _without_words(self._model)
        self._teacher = None
        if state is not None:
            self._teacher = copy.deepcopy(self._model)
            self._teacher.load_state_dict(state)
            _still(self._teacher)


def assign_words(
    model: nn.Module,
    layers: Sequence[QuantizedParameter],
    samples: torch.Tensor,
    tell: Tell = lambda text: None,
) -> None:
    """Give words to layers of a model in evaluation mode, one after the other.

    Each layer sees the activations that those before it give, with their words if they have them.

    ``samples`` has the shape (N, ...).
    """
    for one in layers:
        product, what = _product(one), f"words of '{_name(model, one)}'"
        tell(what)
        moments = _moments(model, one, samples) if product.weighted else None
        product.calibrate(one.rows(), moments, partial(_tell_iteration, tell, what, product))
        for tensor in (product.book, *product.buffers()):
            from_first_rank(tensor.data)


def _tell_iteration(tell: Tell, what: str, product: ProductQuantization, done: int) -> None:
    tell(f"{what}: {done} of {product.iterations}")


def _products(model: nn.Module) -> list[QuantizedParameter]:
    """All that have words, or will have, as the model calls their layers."""
    called = _calls(model)
    found = [one for one in quantized_parameters(model) if _has_words(one.quantizer)]
    return sorted(found, key=lambda one: called.get(one.layer, 0))


def _has_words(quantizer: nn.Module) -> bool:
    return isinstance(quantizer, ProductQuantization) and quantizer.scalar is None


def _without_words(model: nn.Module) -> list[QuantizedParameter]:
    return [one for one in _products(model) if _product(one).waits]


def _product(one: QuantizedParameter) -> ProductQuantization:
    assert isinstance(one.quantizer, ProductQuantization)
    return one.quantizer


def _still(model: nn.Module) -> nn.Module:
    return model.eval().requires_grad_(False)


def _give_steps(model: nn.Module, samples: torch.Tensor) -> None:
    """Let the activation quantizers see the samples, if none has seen anything yet."""
    quantizers = [module for module in model.modules() if isinstance(module, ActivationQuantizer)]
    if any(bool(quantizer.step > 0) for quantizer in quantizers):
        return
    for quantizer in quantizers:
        quantizer.train()
    for batch in _batches(samples):
        model(batch)
    for quantizer in quantizers:
        quantizer.eval()


def _batches(samples: torch.Tensor) -> Iterator[torch.Tensor]:
    for start in range(0, len(samples), _BATCH):
        yield samples[start : start + _BATCH]


def _calls(model: nn.Module) -> dict[nn.Module, int]:
    """When each module is called first."""
    nodes = model.graph.nodes if isinstance(model, fx.GraphModule) else ()
    calls = [node for node in nodes if node.op == "call_module"]
    last_first = enumerate(reversed(calls), 1 - len(calls))
    return {model.get_submodule(str(node.target)): -at for at, node in last_first}


def _name(model: nn.Module, one: QuantizedParameter) -> str:
    name = next(name for name, module in model.named_modules() if module is one.layer)
    return name if one.name == "weight" else f"{name}.{one.name}"


def _moments(
    model: nn.Module, one: QuantizedParameter, samples: torch.Tensor
) -> torch.Tensor | None:
    """Second moments of the inputs that meet a block of the layer's weights; None of unseen ones.

    Unseen are the states of recurrent layers, all but the first of stacked ones, the words of an
    embedding, and the taps of a transposed convolution.
    """
    quantizer = _product(one)
    turned = isinstance(one.layer, QuantizedConvTranspose1d | QuantizedConvTranspose2d)
    if (
        isinstance(one.layer, QuantizedEmbedding)
        or (turned and quantizer.order is BlockOrder.TAPS)
        or not (one.name == "weight" or one.name.startswith("weight_ih_l0"))
    ):
        return None
    size = quantizer.block
    total = torch.zeros(size, size, dtype=torch.float64, device=samples.device)
    count = 0

    def look(layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        nonlocal count
        x = given[0] if given else named["input"]
        rows = _inputs(layer, x, quantizer)
        rows = rows.reshape(len(rows), -1, size, rows.shape[-1]).movedim(2, -1).reshape(-1, size)
        total.add_((rows.T @ rows).double())
        count += len(rows)

    hook = one.layer.register_forward_pre_hook(look, with_kwargs=True)
    try:
        for batch in _batches(samples):
            model(batch)
    finally:
        hook.remove()
    return total / count if count else None


def _inputs(layer: nn.Module, x: torch.Tensor, quantizer: ProductQuantization) -> torch.Tensor:
    """What an output's weights meet: (..., inputs in the order that is cut into blocks, places)."""
    if isinstance(layer, QuantizedConv1d | QuantizedConv2d):
        if quantizer.order is BlockOrder.CHANNELS:
            return x.flatten(2)
        x = x if x.ndim == 4 else x.unsqueeze(2)
        kernel, dilation, stride = (
            (1, *sizes)[-2:] for sizes in (layer.kernel_size, layer.dilation, layer.stride)
        )
        around = (0, *numeric_padding(layer))[-2:]
        return F.unfold(x, kernel, dilation, around, stride)
    if isinstance(layer, QuantizedConvTranspose1d | QuantizedConvTranspose2d):
        return x.flatten(2)
    pixels = 1
    if isinstance(layer, QuantizedLinear) and quantizer.order is BlockOrder.CHANNELS:
        pixels = layer.pixels
    return x.reshape(-1, x.shape[-1] // pixels, pixels)
