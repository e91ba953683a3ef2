"""What a project says of its ends: for readers in README.md, for programs in manifest.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import jinja2

from vecq_hw import __version__
from vecq_hw.bench.ports import MANIFEST_FORMAT, Port
from vecq_hw.bench.words import padded_bits
from vecq_hw.emit.project import vector_files
from vecq_hw.network import Network
from vecq_hw.storage import digest

MANIFEST = "manifest.json"


def port(
    network: Network,
    tensor: str,
    stream: str,
    *,
    lanes: int,
    slot_bits: int | None = None,
    word_bits: int | None = None,
    keep: bool = False,
) -> Port:
    """The end of ``network`` that carries ``tensor``, as :class:`~vecq_hw.bench.ports.Port`.

    Parameters
    ----------
    slot_bits, word_bits : int, optional
        An element's own bits, and as few whole bytes as hold the lanes, if left out.
    keep : bool
        TKEEP, and slots whose bits above the element continue it.
    """
    described = network.tensors[tensor]
    fmt = described.format
    slot = fmt.bits if slot_bits is None else slot_bits
    return Port(
        stream=stream,
        tensor=tensor,
        shape=described.shape,
        bits=fmt.bits,
        signed=fmt.signed,
        lo=fmt.lo,
        hi=fmt.hi,
        step=described.step,
        lanes=lanes,
        slot_bits=slot,
        word_bits=padded_bits(lanes, slot) if word_bits is None else word_bits,
        extends=keep,
        keep=keep,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """The ends of a project, in the network's order."""

    inputs: Sequence[Port]
    outputs: Sequence[Port]

    @property
    def alone(self) -> bool:
        """Whether there is one of each."""
        return len(self.inputs) == len(self.outputs) == 1


def ports_text(ports: Ports, bench: str) -> str:
    """The section of a README: formats, steps, layout, and the helper in the folder ``bench``."""
    text = (resources.files("vecq_hw.emit") / "templates" / "ports.md.j2").read_text()
    template = jinja2.Template(
        text, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    ends = [(what, port) for what in ("in", "out") for port in getattr(ports, f"{what}puts")]
    rendered: str = template.render(
        ends=ends,
        alone=ports.alone,
        source=ports.inputs[0],
        target=ports.outputs[0],
        bench=bench,
    )
    return rendered


def manifest_text(
    network: Network,
    top: str,
    files: Iterable[str],
    ports: Ports,
    cycles: Mapping[str, Any] | None = None,
) -> str:
    """``manifest.json``: what made the project, its files, its ends, and its pace if known."""
    tree = {
        "tool": "vecq-hw",
        "version": __version__,
        "format": MANIFEST_FORMAT,
        "network": digest(network),
        "top": top,
        **_ends(ports),
        **({"cycles": dict(cycles)} if cycles else {}),
        "files": sorted([*files, MANIFEST]),
    }
    return json.dumps(tree, indent=2) + "\n"


def _ends(ports: Ports) -> dict[str, Any]:
    """As :func:`vecq_hw.bench.ports.load_ends` reads them."""
    if ports.alone:
        return {"input": ports.inputs[0].to_json(), "output": ports.outputs[0].to_json()}
    tree = {}
    for what, some in (("inputs", ports.inputs), ("outputs", ports.outputs)):
        files = vector_files(what, [port.tensor for port in some])
        tree[what] = [port.to_json() | {"vectors": files[port.tensor]} for port in some]
    return tree
