"""To which layer a cell of a flat netlist belongs, by the names that synthesis gives.

Yosys names a cell of a flat design after a net beside it.  Within an instance such names are right.
A register whose net leaves its instance may be named after the port of the one that reads it
(``fc1_rescale_unit.data_i_TRELLIS_FF_Q_3`` is the last register of ``fc1_unit``): what is named
after an input port belongs to the instance in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from vecq_hw.emit.systemverilog.top_module import TopModule

REST = ""
"""The owner of what is inside the top and of no layer: the guards of its ends."""
OUTSIDE = "pins"
"""The owner of what is around the top."""
_INPUT = re.compile(r"(?:data|valid)_i(?:_[A-Z]|\[|$)")
_READY = re.compile(r"ready_i(?:_[A-Z]|\[|$)")
_UNIT = "_unit"


@dataclass(frozen=True, slots=True, kw_only=True)
class Owners:
    """Layers by the instances of a top.

    Attributes
    ----------
    prefix : str
        Of the names of everything inside the top, with the dot at its end.
    layers : mapping
        The layer of each instance of the top.
    before, behind : mapping
        The layer of the instance that writes the stream which an instance reads, and of the one
        that reads the stream which it writes.
    """

    prefix: str
    layers: Mapping[str, str]
    before: Mapping[str, str]
    behind: Mapping[str, str]

    def of(self, cell: str) -> str:
        """The layer that a cell belongs to, by its name, :data:`REST` or :data:`OUTSIDE`."""
        if not cell.startswith(self.prefix):
            return OUTSIDE
        instance, _, inner = cell.removeprefix(self.prefix).partition(".")
        if instance not in self.layers:
            return self._of_stream(instance)
        if _INPUT.match(inner):
            return self.before[instance]
        if _READY.match(inner):
            return self.behind[instance]
        return self.layers[instance]

    def _of_stream(self, name: str) -> str:
        """The owner of a cell that is named after a wire of the top, such as ``fc1_data_…``."""
        writers = [unit for unit in self.layers if name.startswith(unit.removesuffix(_UNIT) + "_")]
        return self.layers[max(writers, key=len)] if writers else REST


def owners(made: TopModule, prefix: str) -> Owners:
    """The owners of the cells of a top module whose names begin with ``prefix``, dot included."""
    identifiers = {identifier: layer for layer, identifier in made.names.items()}
    layers: dict[str, str] = {}
    writers: dict[str, str] = {}
    for instance in made.instances:
        unit = f"{instance.targets[0].name}{_UNIT}"
        layers[unit] = _layer(instance.targets[0].name, identifiers)
        writers |= {stream.name: unit for stream in instance.targets}
    before, behind = {}, dict.fromkeys(layers, OUTSIDE)
    for instance in made.instances:
        unit = f"{instance.targets[0].name}{_UNIT}"
        front = [writers[s.name] for s in instance.sources if s.name in writers]
        before[unit] = layers[front[0]] if front else OUTSIDE
        for writer in front:
            behind[writer] = layers[unit]
    return Owners(prefix=prefix, layers=layers, before=before, behind=behind)


def _layer(stream: str, identifiers: Mapping[str, str]) -> str:
    """The layer whose cells write a stream: ``conv1_windows`` is of ``conv1``."""
    found = [name for name in identifiers if stream == name or stream.startswith(f"{name}_")]
    return identifiers[max(found, key=len)] if found else REST
