"""Modules of Brevitas in memory, through its own export to QONNX; no file lies between."""

from __future__ import annotations

import copy
import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

from vecq_hw.errors import VecqError
from vecq_hw.interop.assembly import Imported


def is_brevitas(model: object) -> bool:
    """Whether a module holds layers of Brevitas; asks without importing it."""
    modules = getattr(model, "modules", None)
    if not callable(modules):
        return False
    return any(type(one).__module__.partition(".")[0] == "brevitas" for one in modules())


def import_module(model: Any, input_shape: object, name: str = "network") -> Imported:
    """The integer network of a quantized module of Brevitas, and a report.

    Parameters
    ----------
    model : torch.nn.Module
        It is left as it is.
    input_shape : (C,), (C, L) or (C, H, W)
        Of one sample.

    Raises
    ------
    VecqError
        Brevitas cannot export it, or (:class:`~vecq_hw.interop.Unsupported`) nodes cannot be taken.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of packages that it looks for
        from brevitas.export import export_qonnx

    from vecq_hw.interop.onnx_walk import import_onnx

    sizes = tuple(input_shape) if isinstance(input_shape, Sequence) else ()
    if not sizes or any(not isinstance(size, int) or size < 1 for size in sizes):
        raise VecqError(
            "a model of Brevitas needs the shape of one sample, such as (1, 28, 28), not"
            f" {input_shape!r}"
        )
    said = io.StringIO()
    try:
        with redirect_stdout(said), redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            own = copy.deepcopy(model)
            _refuse_single_bits(own)
            exported = export_qonnx(own, input_shape=(1, *sizes), dynamo=False)
    except VecqError:
        raise
    except Exception as error:  # torch and Brevitas raise a dozen kinds
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VecqError(f"Brevitas cannot export the model: {reason}") from None
    return import_onnx(exported.SerializeToString(), name)


def _refuse_single_bits(model: Any) -> None:
    """Brevitas exports codes of 1 bit as signs, also those that are 0 and 1, or -1 and 0."""
    for name, proxy in model.named_modules():
        if not hasattr(proxy, "quant_injector") or not getattr(proxy, "is_quant_enabled", False):
            continue
        # A bias has the bits of its sums, which only they know.
        kinds = {type(part).__name__ for part in proxy.modules()}
        if any("Binary" in kind or "Bias" in kind for kind in kinds):
            continue
        if (bits := proxy.bit_width()) is not None and float(bits) == 1:
            raise VecqError(
                f"the quantizer '{name}' gives integers of 1 bit, which Brevitas exports as signs;"
                " a binary quantizer or 2 bits are wanted"
            )
