"""Elementwise operators that are steps of a chain: functions of one number, and constants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from vecq_hw.formats import FloatArray
from vecq_hw.interop.chain import Quantizer
from vecq_hw.interop.graph import Node
from vecq_hw.interop.onnx_values import (
    Elementwise,
    Fixed,
    Held,
    Outside,
    OutsideCodes,
    PairSum,
    Parts,
    Real,
    Refused,
    State,
    Waiting,
    by_channel,
    scalar,
)

if TYPE_CHECKING:
    from vecq_hw.interop.onnx_walk import Walk

_FLOATS = {1: "Single", 11: "Double"}
_INTEGERS: dict[int, type[np.integer[Any]]] = {
    2: np.uint8,
    3: np.int8,
    5: np.int16,
    6: np.int32,
    7: np.int64,
}
"""The types that a Cast names."""


def then(state: Elementwise, operator: str, *operands: np.ndarray) -> Elementwise:
    """One more step; operands are () or one number for each channel of a tensor of ours."""
    found: tuple[FloatArray, ...] = tuple(np.asarray(one, np.float64) for one in operands)
    if isinstance(state, Real):
        return state.then(operator, *found)
    if any(one.ndim for one in found):
        raise Refused("it has a number for each channel where tensors of different steps meet")
    if isinstance(state, Parts):
        return replace(state, steps=state.steps.then(operator, *found))
    return replace(state, chain=state.chain.then(operator, *found))


def elementwise(walk: Walk, node: Node, index: int) -> Elementwise:
    """What a node reads, if a step may follow on it."""
    state = walk.state(node, index)
    if isinstance(state, Real | PairSum | Parts | Outside):
        return state
    return walk.real(node, index)


def operand(state: Elementwise, fixed: Fixed) -> np.ndarray:
    """A constant as one number, or one for each channel of a tensor of ours."""
    if isinstance(state, Real):
        return by_channel(state, fixed.values)
    return np.asarray(scalar(fixed, "a constant"))


def unary(walk: Walk, node: Node) -> State:
    """A function of one number."""
    return then(elementwise(walk, node, 0), node.operator)


def with_attributes(defaults: dict[str, float]) -> Callable[[Walk, Node], State]:
    """A function whose parameters are attributes."""

    def handler(walk: Walk, node: Node) -> State:
        numbers = [np.float32(node.attributes.get(key, d)) for key, d in defaults.items()]
        return then(elementwise(walk, node, 0), node.operator, *map(np.asarray, numbers))

    return handler


def clip(walk: Walk, node: Node) -> State:
    """``Clip``: of reals a step, of codes fewer of them."""
    state = walk.state(node, 0)
    ends = []
    for index, (key, default) in enumerate((("min", -np.inf), ("max", np.inf)), start=1):
        given = walk.optional(node, index)
        attribute = node.attributes.get(key, default)
        ends.append(attribute if given is None else scalar(given, f"its {key}"))
    lo, hi = ends
    if lo > hi:
        raise Refused(f"it clips to {lo}..{hi}, which is empty")
    if isinstance(state, Waiting):
        q = state.quantizer
        narrow = replace(q, lo=int(max(q.lo, lo)), hi=int(min(q.hi, hi)))
        if narrow.lo > narrow.hi:
            raise Refused(f"it clips codes of {q.lo}..{q.hi} to {lo}..{hi}")
        return replace(state, quantizer=narrow, names=(*state.names, node.outputs[0]))
    return then(elementwise(walk, node, 0), "Clip", np.asarray(lo), np.asarray(hi))


def prelu(walk: Walk, node: Node) -> State:
    """``PRelu``: a slope below 0, for each channel."""
    x = walk.real(node, 0)
    slope = by_channel(x, walk.constant(node, 1, "its slope").values, has_batch=False)
    return x.then("LeakyRelu", slope)


def batch_norm(walk: Walk, node: Node) -> State:
    """``BatchNormalization``: a line for each channel, folded in float32."""
    x = walk.real(node, 0)
    if node.attributes.get("training_mode", 0):
        raise Refused("it takes its statistics from the batch (training_mode)")
    gamma, beta, mean, variance = (
        walk.constant(node, i, "a parameter").values.reshape(-1).astype(np.float32)
        for i in range(1, 5)
    )
    if x.axes and x.axes[0] != len(x.sizes) - 1:
        raise Refused("its channels are not the first axis behind the batch")
    if x.flat or {len(one) for one in (gamma, beta, mean, variance)} != {x.channels}:
        raise Refused(f"it has other than the {x.channels} channels of what it reads")
    epsilon = np.float32(node.attributes.get("epsilon", 1e-5))
    if (variance + epsilon <= 0).any():
        raise Refused("a variance is not positive")
    a = (gamma / np.sqrt(variance + epsilon)).astype(np.float32)
    b = (beta - mean * a).astype(np.float32)
    return x.then("Affine", a, b)


def cast(walk: Walk, node: Node) -> State:
    """``Cast``: between float32 and float64 a step; to integers that hold the codes, nothing."""
    state = walk.state(node, 0)
    target = int(node.attributes.get("to", 1))
    if isinstance(state, Waiting) and target in _INTEGERS:
        limits, quantizer = np.iinfo(_INTEGERS[target]), state.quantizer
        if limits.min <= quantizer.lo and quantizer.hi <= limits.max:
            return state
    if isinstance(state, Real | PairSum | Parts):
        if target in _FLOATS:
            return then(state, _FLOATS[target])
        if isinstance(state, Real) and target in _INTEGERS:
            return _whole(walk, state, target, node)
    elif isinstance(state, Outside) and target == 1:
        return state
    elif isinstance(state, Held | OutsideCodes):
        real = walk.held(state, 0, node).reals(1.0)
        whole = replace(real, chain=replace(real.chain, whole=True))
        return whole if target in _INTEGERS else then(whole, _FLOATS[target])
    raise Refused(f"a cast to the type {target} of what is not quantized")


def _whole(walk: Walk, real: Real, target: int, node: Node) -> State:
    """Reals as integers of a type; those that do not fit it are undefined in the standard."""
    if real.chain.is_plain and real.chain.scales == 1:
        return replace(real, chain=replace(real.chain, whole=True))
    limits = np.iinfo(_INTEGERS[target])
    ends = real.chain.values(walk.assembly.ends(real.tensor))
    lo, hi = (int(np.clip(np.fix(end), limits.min, limits.max)) for end in (ends.min(), ends.max()))
    quantizer = Quantizer(1.0, 0, lo, hi, "DOWN")
    found = walk.quantize(real, quantizer, node).reals(1.0)
    return replace(found, chain=replace(found.chain, whole=True))


def with_constant(x: Elementwise, operator: str, operand: np.ndarray) -> State:
    """A step of an operator on two numbers, of which a constant is one."""
    if not np.isfinite(operand).all() and operator not in ("Max", "Min"):
        raise Refused("a constant that is not finite")
    match operator:
        case "Max":
            return then(x, "Clip", operand, np.asarray(np.inf))
        case "Min":
            return then(x, "Clip", np.asarray(-np.inf), operand)
        case "Div" if (operand == 0).any():
            raise Refused("a division by 0")
        case _:
            return then(x, operator, operand)


STANDARD_HANDLERS: dict[str, Callable[[Any, Node], State]] = {
    **dict.fromkeys(
        ("Relu", "Floor", "Ceil", "Round", "Sign", "Neg", "Abs", "Sigmoid", "Tanh", "Exp",
         "Softsign", "Softplus", "HardSwish"), unary
    ),
    "Elu": with_attributes({"alpha": 1.0}),
    "LeakyRelu": with_attributes({"alpha": 0.01}),
    "HardSigmoid": with_attributes({"alpha": 0.2, "beta": 0.5}),
    "Clip": clip,
    "PRelu": prelu,
    "BatchNormalization": batch_norm,
    "Cast": cast,
}  # fmt: skip
