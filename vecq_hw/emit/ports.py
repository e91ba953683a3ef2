"""What a project says of its two ends: for readers in README.md, for programs in manifest.json."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from importlib import resources

import jinja2

from vecq_hw import __version__
from vecq_hw.bench.ports import Port
from vecq_hw.bench.words import padded_bits
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


def ports_text(source: Port, target: Port, bench: str) -> str:
    """The section of a README: formats, steps, layout, and the helper in the folder ``bench``."""
    text = (resources.files("vecq_hw.emit") / "templates" / "ports.md.j2").read_text()
    template = jinja2.Template(
        text, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    rendered: str = template.render(source=source, target=target, bench=bench)
    return rendered


def manifest_text(
    network: Network,
    top: str,
    files: Iterable[str],
    source: Port,
    target: Port,
    cycles: Mapping[str, int] | None = None,
) -> str:
    """``manifest.json``: what made the project, its files, its two ends, and its pace if known."""
    tree = {
        "tool": "vecq-hw",
        "version": __version__,
        "network": digest(network),
        "top": top,
        "input": source.to_json(),
        "output": target.to_json(),
        **({"cycles": dict(cycles)} if cycles else {}),
        "files": sorted([*files, MANIFEST]),
    }
    return json.dumps(tree, indent=2) + "\n"
