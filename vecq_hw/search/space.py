"""What may be chosen for each layer of a network, and a point of that space."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from vecq_hw.arguments import nearest, whole_number
from vecq_hw.errors import VecqError
from vecq_hw.quantize.methods import METHODS, settings_of
from vecq_hw.train.by_layer import LayerQuantization


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Choice:
    """By what one layer is quantized.

    Attributes
    ----------
    weight_bits, activation_bits : int
        Of the layer's weights, and of the activation that follows it.
    method : str
        Of the weights, a name of :data:`vecq_hw.quantize.METHODS`.
    per_channel : bool
        Whether each output has a scale of its own.
    """

    weight_bits: int
    activation_bits: int = 8
    method: str = "vecq"
    per_channel: bool = False

    def override(self) -> LayerQuantization:
        """As :func:`vecq_hw.train.quantize_model` takes it."""
        return LayerQuantization(
            weight=self.weight_bits,
            activation=self.activation_bits,
            method=self.method,
            options={"per_channel": True} if self.per_channel else {},
        )

    def bits_entry(self) -> dict[str, Any]:
        """As a bits file of ``vecq train`` holds it."""
        options = {"options": {"per_channel": True}} if self.per_channel else {}
        return {
            "weight": self.weight_bits,
            "activation": self.activation_bits,
            "method": self.method,
            **options,
        }


LEARNED = ("dropbits", "alq")
"""Methods that learn how many bits layers need, from a width that they do not exceed."""
_FIELDS = tuple(field.name for field in dataclasses.fields(Choice))
Point = Mapping[str, Choice]
"""A choice for each layer with weights, in the order of the network."""


def point_text(point: Point) -> str:
    """The widths of the weights, with what is not usual behind them.

    Examples
    --------
    >>> point_text({"fc1": Choice(weight_bits=2), "fc2": Choice(weight_bits=4, method="lsq")})
    'W2 W4:lsq'
    """

    def text(choice: Choice) -> str:
        more = [
            choice.method if choice.method != "vecq" else "",
            f"A{choice.activation_bits}" if choice.activation_bits != 8 else "",
            "channel" if choice.per_channel else "",
        ]
        return ":".join([f"W{choice.weight_bits}", *filter(None, more)])

    return " ".join(map(text, point.values()))


@dataclass(frozen=True, slots=True)
class Space:
    """The choices of each layer, those of the fewest bits first."""

    layers: Mapping[str, tuple[Choice, ...]]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    @property
    def size(self) -> int:
        """How many points there are."""
        return math.prod(map(len, self.layers.values()))

    @property
    def axes(self) -> dict[str, int]:
        """What an optimizer varies on its own, and how many values each has.

        Of a layer that has every combination of its widths, methods and scales, those; of another
        one, its choices as a list.
        """
        found = {}
        for name, choices in self.layers.items():
            own = _fields(choices)
            if own is None:
                found[name] = len(choices)
                continue
            free = {field: len(values) for field, values in own.items() if len(values) > 1}
            found |= {
                f"{name}.{field}": count for field, count in (free or {_FIELDS[0]: 1}).items()
            }
        return found

    def point(self, places: Mapping[str, int]) -> Point:
        """The point of one place on each of the axes."""

        def choice(name: str, choices: tuple[Choice, ...]) -> Choice:
            own = _fields(choices)
            if own is None:
                return choices[places[name]]
            return Choice(
                **{field: of[places.get(f"{name}.{field}", 0)] for field, of in own.items()}
            )

        return {name: choice(name, choices) for name, choices in self.layers.items()}

    def places(self, point: Point) -> dict[str, int]:
        """The reverse of :meth:`point`."""
        axes, found = self.axes, {}
        for name, choices in self.layers.items():
            own = _fields(choices)
            if own is None:
                found[name] = choices.index(point[name])
                continue
            for field, values in own.items():
                if f"{name}.{field}" in axes:
                    found[f"{name}.{field}"] = values.index(getattr(point[name], field))
        return found

    def text(self, point: Point) -> str:
        """As :func:`point_text`."""
        return point_text(point)

    def smallest(self) -> Point:
        """The fewest bits of all layers."""
        return {name: choices[0] for name, choices in self.layers.items()}

    def grid(self) -> Iterator[Point]:
        """Every point, the last layer changing first."""
        for choices in itertools.product(*self.layers.values()):
            yield dict(zip(self.layers, choices, strict=True))

    def uniform(self) -> dict[int, Point]:
        """By its weight bits, each point with the same choice in all layers that are free.

        Layers whose weights have one width alone keep it; activations have the most bits there are.
        """
        widest = {
            name: [one for one in own if one.activation_bits == own[-1].activation_bits]
            for name, own in self.layers.items()
        }
        free = [name for name, own in widest.items() if len({one.weight_bits for one in own}) > 1]
        if not free:
            return {}
        method = widest[free[0]][0].method
        plain = {
            name: {
                one.weight_bits: one
                for one in widest[name]
                if one.method == method and not one.per_channel
            }
            for name in free
        }
        return {
            bits: {
                name: plain[name][bits] if name in plain else own[0] for name, own in widest.items()
            }
            for bits in sorted(set.intersection(*map(set, plain.values())))
        }

    def pairs(self) -> dict[tuple[int, int], Point]:
        """By their bits, points with one width for all weights and one for all activations.

        Those are the points of :meth:`uniform` with narrower activations, where layers have them.
        """
        given = sorted({one.activation_bits for own in self.layers.values() for one in own})
        found: dict[tuple[int, int], Point] = {}
        for weights, point in self.uniform().items():
            for activations in given[:-1]:
                narrow = {
                    name: replace(choice, activation_bits=activations)
                    for name, choice in point.items()
                }
                found[weights, activations] = {
                    name: choice if choice in self.layers[name] else point[name]
                    for name, choice in narrow.items()
                }
        return found

    def learned(self) -> dict[str, Point]:
        """By its method, each point whose layers learn their widths, from the most bits on.

        Activations have the most bits there are, and each layer one scale.  A layer that cannot
        have the method has its first choice.
        """
        found: dict[str, Point] = {}
        for method in LEARNED:
            own = {
                name: [one for one in choices if one.method == method and not one.per_channel]
                for name, choices in self.layers.items()
            }
            if any(own.values()):
                found[method] = {
                    name: max(own[name], default=choices[0])
                    for name, choices in self.layers.items()
                }
        return found


def make_space(
    layers: Sequence[str],
    *,
    activated: Sequence[str] | None = None,
    bits: Sequence[int],
    activation_bits: Sequence[int],
    methods: Sequence[str],
    scales: Sequence[str],
    keep: Mapping[str, int],
) -> Space:
    """The space that these wishes leave.

    Parameters
    ----------
    layers : sequence of str
        The layers with weights.
    activated : sequence of str, optional
        Those of them whose activation bits are to be chosen, all unless they are given; the others
        have the most.
    bits, activation_bits : sequence of int
        The widths that may be chosen.
    methods : sequence of str
        Those of weights that may be chosen; a method has the widths of the others that it takes.
    scales : sequence of str
        'tensor' and 'channel', one of them or both.
    keep : mapping from the name of a layer to the bits of its weights

    Raises
    ------
    VecqError
        An unknown layer or method, bits out of range, or wishes that leave a layer nothing: the
        message names those that contradict each other.
    """
    widths = _widths("--bits", bits)
    activations = _widths("--activation-bits", activation_bits)
    for option, given in (("--methods", methods), ("--scales", scales)):
        if not given:
            raise VecqError(f"{option} names nothing; at least one is wanted")
    for scale in scales:
        if scale not in ("tensor", "channel"):
            raise VecqError(f"--scales are tensor and channel, not '{scale}'")
    with_channels = {name: "per_channel" in settings_of(name) for name in methods}
    for name in keep:
        if name not in layers:
            raise VecqError(
                f"--keep: the model has no layer with weights '{name}'; {nearest(name, layers)}"
            )
    found = {}
    for layer in layers:
        kept, chosen = layer in keep, activated is None or layer in activated
        own = _widths("--keep", [keep[layer]]) if kept else widths
        choices = [
            Choice(
                weight_bits=width,
                activation_bits=activation,
                method=method,
                per_channel=scale == "channel",
            )
            for width in own
            for activation in (activations if chosen else activations[-1:])
            for method in dict.fromkeys(methods)
            for scale in dict.fromkeys(scales)
            if width in METHODS[method].BITS and (scale == "tensor" or with_channels[method])
        ]
        if not choices:
            asked = f"--keep {layer}={keep[layer]}" if kept else f"--bits {_listed(widths)}"
            takes = "; ".join(_takes(name, with_channels[name]) for name in methods)
            raise VecqError(
                f"{asked} contradicts --methods {','.join(methods)} with --scales"
                f" {','.join(scales)}: {takes}"
            )
        found[layer] = tuple(choices)
    return Space(found)


def _fields(choices: Sequence[Choice]) -> dict[str, list[Any]] | None:
    """The values of each field where the choices are all of their combinations; else None."""
    values = {field: list(dict.fromkeys(getattr(c, field) for c in choices)) for field in _FIELDS}
    return values if math.prod(map(len, values.values())) == len(choices) else None


def _widths(option: str, given: Sequence[int]) -> list[int]:
    wanted = f"{option}: widths are 1 to 16 bits"
    widths = sorted({whole_number(bits, wanted, 1, 16) for bits in given})
    if not widths:
        raise VecqError(f"{option} names no width; at least one is wanted")
    return widths


def _takes(method: str, has_channels: bool) -> str:
    first, last = METHODS[method].BITS[0], METHODS[method].BITS[-1]
    bits = f"{first} to {last} bits" if first < last else f"{first} bit{'s' * (first > 1)}"
    return f"{method} takes {bits}{'' if has_channels else ' and has one scale for all channels'}"


def _listed(values: Sequence[int]) -> str:
    return ",".join(map(str, values))
