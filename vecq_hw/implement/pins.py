"""Tops around a project, whose own streams have more bits than a device has pins."""

from __future__ import annotations

from collections.abc import Sequence

import jinja2

from vecq_hw.bench.ports import Port

NAME, LINK, BOARD = TOPS = ("vecq_pins", "vecq_link", "vecq_board")
"""The modules around an accelerator: a few pins; a serial link; and a board's clock around that."""


def pins_text(top: str, inputs: Sequence[Port], outputs: Sequence[Port]) -> str:
    """SystemVerilog of the module :data:`NAME` around the module ``top`` of a project."""
    return rendered("pins.sv.j2", name=NAME, top=top, inputs=inputs, outputs=outputs)


def rendered(template: str, **values: object) -> str:
    """A file of this package's templates."""
    templates = jinja2.Environment(
        loader=jinja2.PackageLoader("vecq_hw.implement"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    return templates.get_template(template).render(**values)
