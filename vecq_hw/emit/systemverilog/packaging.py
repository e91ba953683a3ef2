"""What other tools want beside the RTL: a plain-Verilog top, package manifests, vendor scripts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2

from vecq_hw import assets

_TEXTS: Mapping[str, str] = {
    "rtl/{top}_wrapper.v": "wrapper.v.j2",
    "{top}.core": "project.core.j2",
    "Bender.yml": "Bender.yml.j2",
    "vivado/synthesis.tcl": "vivado_synthesis.tcl.j2",
    "vivado/package_ip.tcl": "vivado_package.tcl.j2",
    "vivado/clock.xdc": "clock.xdc.j2",
    "quartus/{top}.qsf": "quartus.qsf.j2",
    "quartus/{top}.qpf": "quartus.qpf.j2",
    "quartus/clock.sdc": "clock.sdc.j2",
}


def packaging_files(
    templates: jinja2.Environment, variables: Mapping[str, Any], names: Iterable[str]
) -> dict[str, str]:
    """The files by name, for a project that holds ``names``."""
    top, names = variables["top"], list(names)
    lists = {
        "sources": _in_order([name for name in names if name.endswith(".sv")], f"rtl/{top}.sv"),
        "memories": sorted(name for name in names if name.endswith(".mem")),
    }
    return {
        name.format(top=top): templates.get_template(text).render({**variables, **lists})
        for name, text in _TEXTS.items()
    }


def _in_order(sources: Sequence[str], top: str) -> list[str]:
    """Cells as ``vecq.f`` has them, each behind those that it is made of; the top at the end."""
    order = [f"rtl/{line}" for line in (assets.rtl() / "vecq.f").read_text().split()]
    cells = sorted(set(sources) & set(order), key=order.index)
    return [*cells, *sorted(set(sources) - {*cells, top}), top]
