"""The integer network, and one function that says what a legal network is.

Shapes, formats and steps of the tensors between layers follow from the layers and are computed
once, in :attr:`Network.tensors`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType

from vecq_hw import trees
from vecq_hw.errors import VecqError
from vecq_hw.layers import (
    LARGEST_SIZE,
    Constant,
    Input,
    Layer,
    MacLayer,
    Tensor,
    as_mac_layer,
    as_recurrent_layer,
)
from vecq_hw.layers.tensor import step_problems
from vecq_hw.notebook import html_table


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Network:
    """Integer layers in execution order.

    Raises
    ------
    VecqError
        The first sentence of :func:`problems`.
    """

    name: str
    inputs: tuple[Input, ...]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]
    tensors: Mapping[str, Tensor] = field(init=False, repr=False)
    """The tensor of every input and layer, by name."""

    def __post_init__(self) -> None:
        for name in ("inputs", "layers", "outputs"):
            given = getattr(self, name)
            if not isinstance(given, Sequence) or isinstance(given, str):
                raise VecqError(f"a network has a tuple of {name}, not {given!r}")
            object.__setattr__(self, name, tuple(given))
        _check_kinds(self)
        tensors: dict[str, Tensor] = {}
        for problem in problems(self, tensors):
            raise VecqError(problem)
        object.__setattr__(self, "tensors", MappingProxyType(tensors))

    @property
    def mac_layers(self) -> tuple[MacLayer, ...]:
        """The layers that multiply by weights, in execution order."""
        found = (as_mac_layer(layer) for layer in self.layers)
        return tuple(layer for layer in found if layer is not None)

    @property
    def products(self) -> tuple[MacLayer, ...]:
        """What multiplies by weights, and so has lanes: ``mac_layers`` and products of states.

        In execution order; of a recurrent layer the Dense that its state goes through.
        """
        found: list[MacLayer] = []
        for layer in self.layers:
            recurrent = as_recurrent_layer(layer)
            mac = as_mac_layer(layer) if recurrent is None else recurrent.product
            found += [] if mac is None else [mac]
        return tuple(found)

    def mac_before(self, tensor: str) -> MacLayer | None:
        """The layer with weights whose sums a tensor is made of, followed along first inputs."""
        layers = {layer.name: layer for layer in self.layers}
        while (layer := layers.get(tensor)) is not None and layer.inputs:
            if (mac := as_mac_layer(layer)) is not None:
                return mac
            tensor = layer.inputs[0]
        return None

    def __reduce__(self) -> tuple[Callable[[], Network], tuple[()]]:
        # For worker processes: they derive the tensors again.
        fields = {name: getattr(self, name) for name in ("name", "inputs", "layers", "outputs")}
        return partial(Network, **fields), ()

    def __repr__(self) -> str:
        return "\n".join(
            [f"Network({self.name})"]
            + [f"  Input({i.name}: {i.shape}, {i.format!r})" for i in self.inputs]
            + [f"  {layer!r}" for layer in self.layers]
            + [f"  → {', '.join(self.outputs)}"]
        )

    def _repr_html_(self) -> str:
        weights = {layer.name: layer.weight_count for layer in self.products}
        kinds = {layer.name: type(layer).__name__ for layer in self.layers}
        rows = [
            (
                name,
                kinds.get(name, "Input"),
                "×".join(map(str, tensor.shape)),
                repr(tensor.format),
                f"{weights[name]:,}" if name in weights else "",
            )
            for name, tensor in self.tensors.items()
        ]
        titles = ("tensor", "layer", "shape", "format", "weights")
        caption = f"{self.name}: {len(self.layers)} layers, {sum(weights.values()):,} weights"
        return html_table(caption, titles, rows)


def _check_kinds(network: Network) -> None:
    """Refuse what is no layer, and fields of other kinds than the annotations of a layer say."""
    trees.encode(network.name, str, [], "the name of a network")
    for what, kind, parts in (("input", Input, network.inputs), ("layer", Layer, network.layers)):
        for index, part in enumerate(parts):
            trees.encode(part, kind, [], f"{what} {getattr(part, 'name', index)!r}")
    trees.encode(network.outputs, tuple[str, ...], [], "outputs")


def problems(network: Network, tensors: dict[str, Tensor] | None = None) -> Iterator[str]:
    """Each reason why ``network`` is not legal, as a sentence.

    ``tensors`` is filled on the way.  The layers after a faulty one cannot be judged and are left
    out.
    """
    tensors = {} if tensors is None else tensors
    if not network.inputs:
        yield "a network needs at least one input"
    for source in network.inputs:
        yield from _name_problems(source.name, tensors)
        yield from _tensor_problems(f"input '{source.name}'", source.shape, source.step)
        tensors[source.name] = Tensor(shape=source.shape, format=source.format, step=source.step)
    constants: set[str] = set()
    for layer in network.layers:
        yield from _name_problems(layer.name, tensors)
        unknown = [name for name in layer.inputs if name not in tensors]
        if unknown:
            yield f"layer '{layer.name}' reads '{unknown[0]}', which no earlier layer makes"
            return
        sources = [tensors[name] for name in layer.inputs]
        if sources and constants.issuperset(layer.inputs):
            yield f"layer '{layer.name}' reads constants alone; give what it makes as a constant"
            return
        if isinstance(layer, Constant):
            constants.add(layer.name)
        faulty = False
        for problem in _layer_problems(layer, sources):
            faulty = True
            yield f"layer '{layer.name}': {problem}"
        if faulty:
            return
        try:
            tensor = layer.output(*sources)
        except VecqError as error:
            yield str(error)
            return
        yield from _tensor_problems(f"layer '{layer.name}'", tensor.shape, tensor.step)
        tensors[layer.name] = tensor
    if not network.outputs:
        yield "a network needs at least one output"
    for name in dict.fromkeys(network.outputs):
        if name not in tensors:
            yield f"the output '{name}' is made by no layer"
        elif name in constants:
            yield f"the output '{name}' is a constant"
        if network.outputs.count(name) > 1:
            yield f"the output '{name}' is named twice; name each tensor once"
    read = {*network.outputs, *(name for layer in needed_layers(network) for name in layer.inputs)}
    for source in network.inputs:
        if source.name not in read:
            yield f"no output depends on the input '{source.name}'; leave it out"


def needed_layers(network: Network) -> list[Layer]:
    """The layers that an output depends on, in execution order."""
    needed = set(network.outputs)
    for layer in reversed(network.layers):
        if layer.name in needed:
            needed.update(layer.inputs)
    return [layer for layer in network.layers if layer.name in needed]


def _name_problems(name: str, tensors: Mapping[str, Tensor]) -> Iterator[str]:
    if not name:
        yield "a layer has an empty name"
    if name in tensors:
        yield f"two layers are called '{name}'; names must differ"


def _tensor_problems(where: str, shape: tuple[int, ...], step: float) -> Iterator[str]:
    if len(shape) not in (1, 3) or any(size < 1 for size in shape):
        yield f"{where}: the shape must be (C,) or (H, W, C) with sizes of at least 1, not {shape}"
    if math.prod(shape) > LARGEST_SIZE:
        yield f"{where}: a tensor of the shape {shape} holds more than 2^31 - 1 integers"
    for problem in step_problems(step):
        yield f"{where}: {problem}"


def _layer_problems(layer: Layer, sources: Sequence[Tensor]) -> Iterator[str]:
    if not sources and not isinstance(layer, Constant):
        yield "it reads nothing; at least one tensor is wanted"
        return
    yield from layer.problems(*sources)
