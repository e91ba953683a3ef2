"""Arithmetic with constants: a part of the line, or a tensor of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.formats import IntArray, IntFormat
from vecq_hw.lower.tables import quantized
from vecq_hw.lower.values import Value, check_finite, doubles
from vecq_hw.quantize import ActivationQuantizer
from vecq_hw.train.arithmetic import Divide, Multiply, Subtract, constant_tensor
from vecq_hw.train.quantized_layers import Add


def through_constant(
    name: str, module: nn.Module, value: Value, constant: torch.Tensor, *, constant_first: bool
) -> Value:
    """The line behind a sum, difference or product with one number, or one for each channel.

    ``constant`` has one element, or one for each channel, in any shape.

    Raises
    ------
    VecqError
        The constant or a quotient by it is NaN or infinite, it has another number of channels than
        the value, or the module takes no constants.
    """
    numbers = doubles(constant).reshape(-1)
    check_finite(name, "constant", numbers)
    if len(numbers) > 1 and len(numbers) != len(value.scale):
        raise VecqError(
            f"layer '{name}' has a constant of {len(numbers)} channels, but reads"
            f" {len(value.scale)}"
        )
    if len(numbers) > 1 and value.order is not None:
        numbers = numbers[value.order]
    scale, offset = value.scale, value.offset
    match module:
        case Add():
            return replace(value, offset=offset + numbers)
        case Subtract() if constant_first:
            return replace(value, scale=-scale, offset=numbers - offset)
        case Subtract():
            return replace(value, offset=offset - numbers)
        case Divide():
            with np.errstate(divide="ignore"):
                numbers = 1 / numbers
            check_finite(name, "quotient", numbers)
            return replace(value, scale=scale * numbers, offset=offset * numbers)
        case Multiply():
            return replace(value, scale=scale * numbers, offset=offset * numbers)
        case _:
            raise VecqError(
                f"layer '{name}' ({type(module).__name__}) takes tensors of the model, no constants"
            )


@dataclass(frozen=True, slots=True, eq=False)
class QuantizedConstant:
    """A constant as the model has it and the codes that a quantizer makes of it."""

    name: str
    codes: torch.Tensor
    format: IntFormat
    step: float

    def codes_for(self, shape: tuple[int, ...], sequence: bool, steps_first: bool) -> IntArray:
        """The codes as they meet a tensor of the network, (C,) or (H, W, C).

        Parameters
        ----------
        sequence : bool
            Whether the model's images are sequences (N, C, L).
        steps_first : bool
            Or (N, L, C).

        Raises
        ------
        VecqError
            The constant does not broadcast to ``shape``.
        """
        axes = len(shape) - (sequence and len(shape) == 3)
        given = [*self.codes.shape]
        sizes = [1] * (axes - len(given)) + given[max(len(given) - axes, 0) :]
        codes = self.codes.reshape(sizes)
        if len(shape) == 3:
            if sequence:
                codes = codes.unsqueeze(0 if steps_first else 1)
            codes = codes if steps_first else codes.permute(1, 2, 0)
        try:
            values = codes.expand(*shape)
        except RuntimeError:
            raise VecqError(
                f"the constant '{self.name}' of shape {tuple(given)} does not fit a tensor of the"
                f" shape {shape}, channels last"
            ) from None
        return values.contiguous().numpy()


def quantized_constant(
    model: nn.Module, given: object, quantizer: ActivationQuantizer
) -> QuantizedConstant:
    """The codes of a constant, behind a quantizer of the model."""
    assert isinstance(given, fx.Node)
    real = constant_tensor(model, given)
    check_finite(given.name, "constant", doubles(real))
    step = float(quantizer.step)
    codes = torch.round(quantized(quantizer, real).double() / step).long()
    return QuantizedConstant(given.name, codes, quantizer.format, step)
