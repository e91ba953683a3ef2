"""A graph of operators that grows: nodes, constants, free names; no library's types."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from vecq_hw.formats import IntArray, IntFormat

BYTES = (np.dtype(np.uint8), np.dtype(np.int8))
CARRIERS: tuple[np.dtype[Any], ...] = (*BYTES, np.dtype(np.int32), np.dtype(np.int64))
"""The types that integers between layers have: the first that holds the proven range."""
FLOAT32, FLOAT64, INT32, INT64, BOOL = map(
    np.dtype, (np.float32, np.float64, np.int32, np.int64, np.bool_)
)
EXACT_FLOAT32, EXACT_FLOAT64 = 1 << 24, 1 << 53
"""Up to these magnitudes a float holds every integer."""

DType = np.dtype[Any]


def carrier(fmt: IntFormat) -> DType:
    """The type of a tensor of this format."""
    limits = {kind: np.iinfo(kind) for kind in CARRIERS}
    return next(k for k, ends in limits.items() if ends.min <= fmt.lo and fmt.hi <= ends.max)


def integer(bound: int) -> DType:
    """The type to compute in where no intermediate exceeds ``bound`` in magnitude."""
    return INT32 if bound < 1 << 31 else INT64


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One node."""

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    domain: str = ""

    def renamed(self, before: str, after: str) -> Operation:
        """With another name of one tensor."""
        inputs, outputs = (
            tuple(after if name == before else name for name in names)
            for names in (self.inputs, self.outputs)
        )
        return replace(self, inputs=inputs, outputs=outputs)


@dataclass(slots=True)
class Writer:
    """Operations in order, each of which makes one tensor.

    Attributes
    ----------
    prefix : str
        That new names begin with: the layer at hand.
    types : dict
        Of every tensor by its name.
    floats : bool
        Whether integers are carried in float32 alone, as in QONNX, which then holds all of them.
    """

    prefix: str = ""
    floats: bool = False
    operations: list[Operation] = field(default_factory=list)
    constants: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    types: dict[str, DType] = field(default_factory=dict)
    _made: set[str] = field(default_factory=set)
    _taken: set[str] = field(default_factory=set)
    _known: dict[Any, str] = field(default_factory=dict)

    def carrier(self, fmt: IntFormat) -> DType:
        """The type of a tensor of this format."""
        return FLOAT32 if self.floats else carrier(fmt)

    def integer(self, bound: int) -> DType:
        """The type to compute in where no intermediate exceeds ``bound`` in magnitude."""
        return FLOAT32 if self.floats else integer(bound)

    def reserve(self, name: str, kind: DType) -> None:
        """A tensor from outside, or a name that an end will have."""
        self._taken.add(name)
        self.types[name] = kind

    def __call__(
        self,
        operator: str,
        *inputs: str | npt.NDArray[Any],
        kind: DType | None = None,
        domain: str = "",
        name: str | None = None,
        skipped: int = 0,
        **attributes: Any,
    ) -> str:
        """Add an operation; the name of its result.

        Parameters
        ----------
        inputs : names of tensors, or arrays that become constants
        kind : dtype, optional
            Of the result; that of the first input if left out.
        name : str, optional
            Of the result, which is reserved.
        skipped : int
            Outputs before the one that is wanted.
        """
        names = tuple(x if isinstance(x, str) else self.constant(x) for x in inputs)
        if self.floats:  # qonnx loses the second of two inputs that are one tensor
            names = tuple(
                self("Identity", x) if x in names[:place] and x in self._made else x
                for place, x in enumerate(names)
            )
        output = name or self._free(f"{self.prefix}_{operator.lower()}")
        unused = [self._free(f"{self.prefix}_unused") for _ in range(skipped)]
        self._made.add(output)
        self.types[output] = kind or self.types[names[0]]
        self.operations.append(
            Operation(
                operator=operator,
                inputs=names,
                outputs=(*unused, output),
                attributes=attributes,
                domain=domain,
            )
        )
        return output

    def constant(self, values: npt.NDArray[Any], name: str = "constant") -> str:
        """The name of an array among the initializers; equal arrays share one.

        ``values`` has any shape, which the initializer has.
        """
        values = np.ascontiguousarray(values).reshape(np.shape(values))
        key = (values.dtype.str, values.shape, hashlib.sha256(values.tobytes()).digest())
        if key not in self._known:
            self._known[key] = free = self._free(f"{self.prefix}_{name}")
            self.constants[free] = values
            self.types[free] = values.dtype
        return self._known[key]

    def end(self, x: str, name: str, own: bool) -> None:
        """Give a tensor the reserved name of an output; ``own``: it is no other end's, too."""
        if not own:
            self("Identity", x, name=name)
            return
        self.operations = [operation.renamed(x, name) for operation in self.operations]

    def cast(self, x: str, kind: DType) -> str:
        """``x`` in another type; asked for again, the same tensor."""
        if self.types[x] == kind:
            return x
        key = ("cast", x, kind.str)
        if key not in self._known:
            self._known[key] = self("Cast", x, kind=kind, to=kind)
        return self._known[key]

    def _free(self, wanted: str) -> str:
        plain = re.sub(r"[^A-Za-z0-9_]", "_", wanted)
        name, count = plain, 2
        while name in self._taken:
            name, count = f"{plain}{count}", count + 1
        self._taken.add(name)
        return name


def floored_shift(w: Writer, x: str, shift: int | IntArray) -> str:
    """``x >> shift`` of int64 integers; ``shift`` may be an array that fits their shape.

    Div truncates, so that what the floor leaves is taken off first; Mod has the divisor's sign.
    """
    power = np.left_shift(np.int64(1), np.asarray(shift, np.int64))
    return w("Div", w("Sub", x, w("Mod", x, power)), power)


def wrapped(w: Writer, x: str, bits: int) -> str:
    """The low bits of integers, read as two's complement: ``arithmetic.wrap``."""
    x = w.cast(x, INT64)
    half, size = (np.array(1 << n, np.int64) for n in (bits - 1, bits))
    return w("Sub", w("Mod", w("Add", x, half), size), half)


def by_channel(values: npt.NDArray[Any], image: bool) -> npt.NDArray[Any]:
    """An array (C,) or scalar so that it meets the channels of (N, C, H, W) or (N, C)."""
    return values.reshape(-1, 1, 1) if image and values.ndim else values


def padded(w: Writer, x: str, sides: Sequence[int], code: int) -> str:
    """Pixels of ``code`` around an image (top, left, bottom, right), if there are any."""
    if not any(sides):
        return x
    top, left, bottom, right = sides
    pads = np.array([0, 0, top, left, 0, 0, bottom, right], np.int64)
    return w("Pad", x, pads, np.array(code, w.types[x]), mode="constant")
