"""The elementwise arithmetic of ONNX between an accumulator and the next code, step by step.

Each step is computed as an executor computes it, in float32 and in the order of the source, so that
a code is the source's own but for the rounding noise of the executor's sums.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.errors import VecqError
from vecq_hw.formats import FloatArray, IntArray, IntFormat

Reals = npt.NDArray[np.floating[Any]]


def _sigmoid(x: Reals) -> Reals:
    return 1 / (1 + np.exp(-x))


_FUNCTIONS: dict[str, tuple[Callable[..., Reals], int]] = {
    "Relu": (lambda x: np.maximum(x, 0), 1),
    "Floor": (np.floor, 1),
    "Ceil": (np.ceil, 1),
    "Round": (np.rint, 1),
    "Sign": (np.sign, 1),
    "Neg": (np.negative, -1),
    "Abs": (np.abs, 0),
    "Sigmoid": (_sigmoid, 1),
    "Tanh": (np.tanh, 1),
    "Exp": (np.exp, 1),
    "Softsign": (lambda x: x / (1 + np.abs(x)), 1),
    "Softplus": (lambda x: np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0), 1),
    "HardSwish": (lambda x: x * np.clip(x * x.dtype.type(1 / 6) + x.dtype.type(0.5), 0, 1), 0),
    "Elu": (lambda x, a: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x), 0),
    "Add": (np.add, 1),
    "Sub": (np.subtract, 1),
    "SubFrom": (lambda x, a: a - x, -1),
    "Mul": (np.multiply, 0),
    "Div": (np.divide, 0),
    "LeakyRelu": (lambda x, a: np.where(x < 0, a * x, x), 0),
    "Clip": (lambda x, lo, hi: np.minimum(np.maximum(x, lo), hi), 1),
    "HardSigmoid": (lambda x, a, b: np.clip(a * x + b, 0, 1), 0),
    "Affine": (lambda x, a, b: x * a + b, 0),
    "Single": (lambda x: x.astype(np.float32), 1),
    "Double": (lambda x: x.astype(np.float64), 1),
}
"""The function of each step, and whether it rises (1), falls (-1), or as its first operand says."""

FUNCTIONS = frozenset(name for name, (_, _) in _FUNCTIONS.items())
_BY_OPERAND = frozenset(("Mul", "Div", "LeakyRelu", "HardSigmoid", "Affine", "Elu"))


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One operator on reals of shape (C, n); operands of shape () or (C,)."""

    operator: str
    operands: tuple[FloatArray, ...] = ()

    def apply(self, x: Reals) -> Reals:
        """The operator's result, in the type of ``x`` unless it changes that.

        ``x`` has the shape (C, n), as the result.
        """
        function, _ = _FUNCTIONS[self.operator]
        columns = (np.reshape(one.astype(x.dtype), (-1, 1)) for one in self.operands)
        with np.errstate(all="ignore"):
            result: Reals = function(x, *columns)
        return result

    @property
    def rises(self) -> bool:
        """Whether no channel ever falls."""
        if self.operator in _BY_OPERAND:
            return bool((self.operands[0] >= 0).all())
        return _FUNCTIONS[self.operator][1] > 0


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """``steps(float32(integer * scale + bias))``: what integers of a tensor stand for.

    Attributes
    ----------
    scales, bias : float64 arrays of shape () or (C,)
    whole : bool
        The file's own tensor is of integers, which float64 holds in place of float32.
    """

    scales: FloatArray
    bias: FloatArray
    steps: tuple[Step, ...] = ()
    whole: bool = False

    @classmethod
    def plain(cls, scale: object) -> Chain:
        """Integers that are multiples of one real number, or of one in each channel."""
        return cls(np.asarray(scale, np.float64), np.zeros((), np.float64))

    @property
    def is_plain(self) -> bool:
        """Whether the integers are multiples of one real number."""
        return not self.steps and self.scales.ndim == 0 and not self.bias.any()

    @property
    def is_line(self) -> bool:
        """Whether the integers are multiples of a real number for each channel."""
        return not self.steps and not self.bias.any()

    @property
    def step(self) -> float:
        """About how much one unit stands for."""
        return float(np.max(np.abs(self.scales)))

    def then(self, operator: str, *operands: FloatArray) -> Chain:
        """The chain with one more step."""
        return replace(self, steps=(*self.steps, Step(operator, operands)))

    def values(self, integers: IntArray) -> Reals:
        """The values of integers of shape (C, n), in float32 unless a step says otherwise."""
        scale, bias = np.reshape(self.scales, (-1, 1)), np.reshape(self.bias, (-1, 1))
        kind = np.float64 if self.whole else np.float32
        x: Reals = (integers.astype(np.float64) * scale + bias).astype(kind)
        for step in self.steps:
            x = step.apply(x)
        return x

    def rises_from(self, first: int) -> bool:
        """Whether all steps from one on rise."""
        return all(step.rises for step in self.steps[first:])

    def spread(self, change: Callable[[FloatArray], FloatArray]) -> Chain:
        """The chain of a tensor with other channels: what is one for all stays so.

        ``change`` gets operands of shape (C,).
        """

        def moved(array: FloatArray) -> FloatArray:
            return change(array) if array.ndim else array

        steps = tuple(Step(step.operator, tuple(map(moved, step.operands))) for step in self.steps)
        return Chain(moved(self.scales), moved(self.bias), steps, self.whole)


ROUNDINGS: dict[str, Callable[[Reals], Reals]] = {
    "ROUND": np.rint,
    "HALF_EVEN": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.sign(x) * np.ceil(np.abs(x)),
    "DOWN": np.fix,
    "ROUND_TO_ZERO": np.fix,
    "HALF_UP": lambda x: np.sign(x) * np.floor(np.abs(x) + x.dtype.type(0.5)),
    "HALF_DOWN": lambda x: np.sign(x) * np.ceil(np.abs(x) - x.dtype.type(0.5)),
}
"""The rounding modes of QONNX, whose HALF_UP rounds ties away from zero."""


def fused(a: object, b: object, c: object) -> npt.NDArray[np.float32]:
    """``a * b + c`` of float32 numbers, rounded once: float64 holds the product.

    The three have any shapes that broadcast.
    """
    numbers = (np.asarray(one, np.float64) for one in (a, b, c))
    first, second, third = numbers
    return (first * second + third).astype(np.float32)


def checked(x: Reals) -> Reals:
    """Reals, of which none is NaN.

    They have any shape.

    Raises
    ------
    VecqError
        One is NaN.
    """
    if np.isnan(x).any():
        raise VecqError("its arithmetic gives NaN, which has no code")
    return x


def rounded(x: Reals, lo: int, hi: int) -> IntArray:
    """Reals clipped, and rounded to the nearest integer, of two the even one.

    ``x`` has any shape, which the result has.
    """
    codes: IntArray = np.rint(np.clip(checked(x), lo, hi)).astype(np.int64)
    return codes


@dataclass(frozen=True, slots=True)
class Quantizer:
    """From a real to a code q, as the source says; our code is ``q - zero``.

    Attributes
    ----------
    lo, hi : int
        Of q.
    clips_first : bool
        Whether it clips before it rounds, as QONNX, or after, as ONNX.
    """

    scale: float
    zero: int
    lo: int
    hi: int
    rounding: str = "ROUND"
    clips_first: bool = False
    signs: bool = False
    """Whether it gives -1 and +1, of 0 +1; lo and hi are these then."""

    @property
    def format(self) -> IntFormat:
        """The format of the network's codes."""
        lo, hi = self.lo - self.zero, self.hi - self.zero
        return IntFormat.covering(lo, hi, signed=lo < 0)

    @property
    def step(self) -> float:
        """Real value of one unit."""
        return self.scale

    def clipped(self, step: Step) -> Quantizer:
        """The quantizer of what a Relu or Clip lets through; as it rises, its ends are clipped.

        Raises
        ------
        VecqError
            It gives signs, of which the Relu or Clip would leave one.
        """
        if self.signs:
            raise VecqError("a Relu or Clip before signs leaves one of them; leave it out")
        ends = step.apply(np.array([[-np.inf, np.inf]], np.float32))
        lo, hi = (self.codes(ends)[0] + self.zero).tolist()
        return replace(self, lo=lo, hi=hi)

    def codes(self, x: Reals) -> IntArray:
        """The codes of the network for reals of any shape, less the zero point."""
        kind = checked(x).dtype.type
        scale = kind(self.scale)
        with np.errstate(all="ignore"):
            if self.signs:
                return np.where(x / scale + kind(self.zero) >= 0, 1, -1) - self.zero
            q: Reals = x / scale
            if self.clips_first:
                q = ROUNDINGS[self.rounding](np.clip(q + kind(self.zero), self.lo, self.hi))
                return q.astype(np.int64) - self.zero
            q = np.clip(ROUNDINGS[self.rounding](q), self.lo - self.zero, self.hi - self.zero)
        return q.astype(np.int64)
