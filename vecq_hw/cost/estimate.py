"""The cost of a network under a schedule: closed forms, summed up by layer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, assert_never

from vecq_hw.accelerator.cells import (
    Cell,
    Comparison,
    Elementwise,
    Gathering,
    Join,
    MatrixVector,
    Plan,
    Pool,
    Ranking,
    Recurrence,
    Reordering,
    Rows,
    SerialRescale,
    Source,
    Unrolled,
    Upsampling,
    Windows,
)
from vecq_hw.accelerator.orders import Order
from vecq_hw.accelerator.plan import plan
from vecq_hw.accelerator.streams import Fork, Link, Reframe, Stream
from vecq_hw.accelerator.units import Unit
from vecq_hw.cost import clock, constants
from vecq_hw.cost.constants import Resources
from vecq_hw.cost.fabric import FABRICS, raw
from vecq_hw.cost.forms import Context, ends, structure
from vecq_hw.cost.pace import depths_of, pace
from vecq_hw.cost.structure import Structure
from vecq_hw.devices import Device, Family
from vecq_hw.errors import VecqError
from vecq_hw.layers import Layer, as_recurrent_layer
from vecq_hw.network import Network
from vecq_hw.schedule import Schedule, check

ENDS = "ends"
"""The layer of what guards frames at the ports, of what reframes them, and of the last links."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerCost:
    """What the cells of a layer take.

    Attributes
    ----------
    kind : str
        Of the layer.
    lanes : str
        PE × SIMD, where it has weights.
    cycles : int
        Of a frame that the busiest of its cells works.
    multiply_adds : int
        Of a frame.
    clock_mhz : float
        Estimated, from the longest stage of its cells alone.
    """

    name: str
    kind: str
    lanes: str
    resources: Resources
    cycles: int
    multiply_adds: int
    clock_mhz: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """What a network takes of a family of devices, and its pace.

    Attributes
    ----------
    device : Device or None
        Whose share it is told of.
    cycles : int
        From frame to frame.
    latency_cycles : int
        From the first word in to the first word out.
    exact_cycles : bool
        Whether the cycle model gave both; else they are those of the busiest cell and of words
        that come evenly.
    sized : bool
        Whether the depths of FIFOs are known; if not, branches are counted without theirs.
    clock_mhz : float
        Estimated, from the longest stage of any cell.
    slowest : str
        The layer with that stage.
    """

    network: str
    family: Family
    device: Device | None
    layers: Sequence[LayerCost]
    cycles: float
    latency_cycles: int
    exact_cycles: bool
    sized: bool
    clock_mhz: float
    slowest: str

    @property
    def total(self) -> Resources:
        """The resources of all layers."""
        return sum((layer.resources for layer in self.layers), Resources())

    @property
    def frames_per_second(self) -> float:
        """At the estimated clock."""
        return self.clock_mhz * 1e6 / self.cycles

    @property
    def gops(self) -> float:
        """A multiplication and an addition are two operations."""
        operations = 2 * sum(layer.multiply_adds for layer in self.layers)
        return operations * self.frames_per_second / 1e9

    @property
    def gops_per_1000_luts(self) -> float:
        """Giga-operations per second for each 1000 LUTs, of all that is made of look-up tables."""
        return 1000 * self.gops / max(self.total.luts, 1)

    @property
    def shares(self) -> dict[str, float]:
        """Shares of the device, where 1 is all of it; 0 where it has none and none are taken."""
        if self.device is None:
            return {}
        return device_shares(self.total, self.device)

    @property
    def errors(self) -> Mapping[str, Any]:
        """How far the model was from yosys on what it was not fitted to, in percent."""
        return constants.errors(self.family.name)

    @property
    def fits(self) -> bool | None:
        """Whether the device holds it, what the placer adds included; None without a device."""
        return None if self.device is None else fits(self.total, self.device)

    def tree(self) -> dict[str, Any]:
        """For a file in JSON."""
        return {
            "name": self.network,
            "family": self.family.name,
            "device": None if self.device is None else self.device.name,
            **self.total.tree(),
            "shares": self.shares,
            "fits": self.fits,
            "clock_mhz": round(self.clock_mhz, 1),
            "slowest": self.slowest,
            "cycles": self.cycles,
            "latency_cycles": self.latency_cycles,
            "exact_cycles": self.exact_cycles,
            "fifo_depths_known": self.sized,
            "frames_per_second": self.frames_per_second,
            "gops": self.gops,
            "gops_per_1000_luts": self.gops_per_1000_luts,
            "errors": dict(self.errors),
            "layers": [
                {
                    "name": layer.name,
                    "kind": layer.kind,
                    "lanes": layer.lanes,
                    **layer.resources.tree(),
                    "cycles": layer.cycles,
                    "multiply_adds": layer.multiply_adds,
                    "clock_mhz": round(layer.clock_mhz, 1),
                    "frames_per_second": self._rate(layer),
                    "gops_per_1000_luts": self._density(layer),
                }
                for layer in self.layers
            ],
        }

    def _rate(self, layer: LayerCost) -> float | None:
        """Frames a second of a layer alone, at the clock of all; None of the ends."""
        return self.clock_mhz * 1e6 / layer.cycles if layer.cycles else None

    def _density(self, layer: LayerCost) -> float:
        """Operations of a layer at the pace of the network, for its own tables."""
        operations = 2 * layer.multiply_adds * self.frames_per_second / 1e9
        return 1000 * operations / max(layer.resources.luts, 1)


def estimate(
    network: Network, schedule: Schedule, family: Family, device: Device | None = None
) -> Estimate:
    """What ``network`` takes under ``schedule``.

    Parameters
    ----------
    schedule : Schedule
        FIFO depths that it does not have are found if that takes a fraction of a second.
    device : Device, optional
        Of the family.

    Raises
    ------
    VecqError
        The schedule does not fit, or the family has no constants.
    """
    if family.name not in FABRICS:
        raise VecqError(
            f"there is no cost model of the family '{family.name}'; use a device of"
            f" {', '.join(FABRICS)}"
        )
    check(network, schedule)
    planned = plan(network, schedule)
    depths = depths_of(network, schedule, planned)
    resources, stages = sizes_by_layer(planned, replace(schedule, fifo_depths=depths or {}), family)
    slowest = max(stages, key=lambda name: stages[name])
    paced = pace(network, schedule, planned, depths)
    busy = planned.busy
    known = {layer.name: layer for layer in network.layers}
    layers = [
        LayerCost(
            name=name,
            kind=type(known[name]).__name__ if name in known else "",
            lanes=str(schedule.folds[name]) if name in schedule.folds else "",
            resources=taken,
            cycles=busy.get(name, 0),
            multiply_adds=multiply_adds(network, known[name]) if name in known else 0,
            clock_mhz=1000 / stages[name],
        )
        for name, taken in resources.items()
    ]
    return Estimate(
        network=network.name,
        family=family,
        device=device,
        layers=layers,
        cycles=paced.cycles,
        latency_cycles=paced.latency_cycles,
        exact_cycles=paced.exact,
        sized=depths is not None,
        clock_mhz=1000 / stages[slowest],
        slowest=slowest,
    )


Known = dict[Hashable, tuple[Resources, float]]
"""What cells of a network take of a family, and their longest stages, by what tells them apart."""


def resources_of(
    network: Network, schedule: Schedule, family: Family, known: Known | None = None
) -> Resources:
    """All that a network takes, with FIFOs as the schedule has them; a fraction of a second.

    Schedules are compared by it.

    Parameters
    ----------
    known : dict, optional
        Of the same network and family: cells are looked up there, and new ones are added.
    """
    planned = plan(network, schedule)
    return sum(sizes_by_layer(planned, schedule, family, known)[0].values(), Resources())


def sizes_by_layer(
    planned: Plan, schedule: Schedule, family: Family, known: Known | None = None
) -> tuple[dict[str, Resources], dict[str, float]]:
    """What each layer takes, and the nanoseconds of its longest stage.

    What guards frames at the ports, reframes them, and the last links are under :data:`ENDS`.
    ``known`` is that of :func:`resources_of`.
    """
    context = Context(plan=planned, depths=schedule.fifo_depths or {}, fabric=schedule.fabric)
    fabric = FABRICS[family.name]
    resources = {
        layer.name: Resources() for layer in planned.network.layers if layer.name in planned.busy
    }
    stages: dict[str, float] = {}
    known = {} if known is None else known
    everywhere = schedule.fabric, schedule.dsp, context.unrolled

    def add(name: str, key: Hashable, made: Callable[[], Structure]) -> None:
        if key not in known:
            part = made()
            parts = raw(part, fabric, dsp=schedule.dsp)
            stage = clock.longest_stage(part, parts, family.name)
            known[key] = constants.size(parts, family.name), stage
        size, stage = known[key]
        resources[name] = resources.get(name, Resources()) + size
        stages[name] = max(stages.get(name, 0.0), stage)

    for cell in planned.cells:
        depth = context.depths.get(cell.name, 0) if isinstance(cell, Link) else 0
        own = tuple(_told_apart(getattr(cell, field.name)) for field in fields(cell))
        key = everywhere, type(cell), depth, own
        add(owner(cell, planned), key, partial(structure, cell, context))
    ports = _told_apart([*planned.inputs.values(), *planned.outputs.values()])
    guards = everywhere, schedule.axis_bits, ports
    add(ENDS, guards, partial(ends, context, schedule.axis_bits))
    return resources, stages


def _told_apart(part: object) -> Hashable:
    """What tells a cell's parts from another's in its network: layers are one and the same.

    Units and orders follow from the others.
    """
    match part:
        case Unit() | Order():
            return None
        case list() | tuple():
            return tuple(_told_apart(each) for each in part)
        case Stream():
            return part.tensor, part.elements, part.lanes
        case _:
            assert isinstance(part, Hashable), part
            return part


def owner(cell: Cell, planned: Plan) -> str:
    """The layer whose cell it is; a link is its reader's, a fork that of the layer before it."""
    match cell:
        case Link():
            return cell.reader if cell.reader in planned.network.tensors else ENDS
        case Reframe():
            return ENDS
        case Fork():
            layers = {layer.name for layer in planned.network.layers}
            return cell.source.tensor if cell.source.tensor in layers else ENDS
        case (
            Elementwise()
            | Comparison()
            | Ranking()
            | SerialRescale()
            | Join()
            | Source()
            | Windows()
            | MatrixVector()
            | Unrolled()
            | Pool()
            | Upsampling()
            | Rows()
            | Recurrence()
            | Gathering()
            | Reordering()
        ):
            return cell.layer.name
        case _:
            assert_never(cell)


def multiply_adds(network: Network, layer: Layer) -> int:
    """Multiplications by a layer's weights in a frame."""
    macs = {mac.name: mac for mac in network.products}
    mac = macs.get(layer.name)
    if mac is None:
        return 0
    recurrent = as_recurrent_layer(layer)
    if recurrent is not None:
        return network.tensors[recurrent.input].shape[1] * mac.weight_count
    return network.tensors[layer.name].positions * mac.weight_count


PACKED = {"ecp5": 1.18}
"""So many times the positions of the netlist are taken once carry chains are placed."""


def fits(taken: Resources, device: Device) -> bool:
    """Whether a device holds something, what the placer adds included."""
    shares = device_shares(taken, device)
    shares["luts"] *= PACKED.get(device.family.name, 1.0)
    return max(shares.values()) <= 1


def device_shares(taken: Resources, device: Device) -> dict[str, float]:
    """What something takes of a device; 1 is all of it."""
    offered = {
        "luts": device.luts,
        "ffs": device.flip_flops,
        "brams": device.block_rams,
        "dsps": device.dsps,
    }
    return {
        name: getattr(taken, name) / number if number else float(getattr(taken, name) > 0) * 9.99
        for name, number in offered.items()
    }
