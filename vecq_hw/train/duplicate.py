"""A copy of a user's model to work on: plain parameters and plain layers that compute the same.

Weights that hooks or parametrizations make of others (weight norm, spectral norm, pruning masks)
become parameters with the values that they have, and a subclass that computes as its parent does
becomes its parent.
"""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.nn.utils import parametrize, prune, remove_spectral_norm, remove_weight_norm

from vecq_hw.errors import VecqError

NORMS = {"WeightNorm": remove_weight_norm, "SpectralNorm": remove_spectral_norm}
"""By the class of the hook, what makes plain parameters of its weights."""

_OF_A_CLASS = ("__dict__", "__weakref__")
_TELLS = {
    "__init__", "__module__", "__qualname__", "__doc__", "__annotations__", "__constants__",
    "__dict__", "__weakref__", "__parameters__", "__orig_bases__", "__firstlineno__",
    "__static_attributes__", "__annotate__", "__repr__", "__jit_unused_properties__",
    "extra_repr", "reset_parameters", "_reset_parameters", "_get_name",
}  # fmt: skip
"""What a class may define without computing otherwise."""


def duplicate(model: nn.Module) -> nn.Module:
    """A deep copy of the model, which is left as it is.

    Raises
    ------
    VecqError
        The model cannot be copied, or its weights cannot be computed.
    """
    # Tensors with a history cannot be copied; hooks and masks keep such beside the parameters.
    made = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, torch.Tensor) and not value.is_leaf
    }
    try:
        copied = copy.deepcopy(model, made)
        for module in copied.modules():
            _make_plain(module)
    except Exception as error:  # whatever an attribute or a parametrization of the user's raises
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise VecqError(f"the model cannot be copied ({said})") from None
    return copied


def is_plain_hook(hook: object) -> bool:
    """Whether a forward pre-hook computes weights alone, which :func:`duplicate` makes plain."""
    return isinstance(hook, prune.BasePruningMethod) or type(hook).__name__ in NORMS


def parent(kind: type[nn.Module]) -> type[nn.Module] | None:
    """The layer of torch.nn that ``kind`` is a subclass of without computing otherwise, or None.

    Examples
    --------
    >>> class Mine(nn.Conv2d):
    ...     def __init__(self, channels):
    ...         super().__init__(channels, channels, 3)
    >>> class Doubled(Mine):
    ...     def forward(self, x):
    ...         return 2 * super().forward(x)
    >>> parent(Mine).__name__, parent(Doubled)
    ('Conv2d', None)
    """
    own: list[type] = []
    for base in kind.__mro__:
        if base.__module__.startswith("torch.nn.modules."):
            break
        own.append(base)
    if not own or base.__module__ in ("torch.nn.modules.module", "torch.nn.modules.container"):
        return None
    declared = {name for one in base.__mro__ for name in getattr(one, "__annotations__", {})}
    for one in own:
        for name in vars(one).keys() - _TELLS:
            if hasattr(base, name) or name in declared:
                return None
    result: type[nn.Module] = base
    return result


def _make_plain(module: nn.Module) -> None:
    if parametrize.is_parametrized(module):
        assert isinstance(module.parametrizations, nn.ModuleDict)
        # The copy's class is that of the user's module, from which torch would delete the weight.
        kind = type(module)
        own = {name: value for name, value in vars(kind).items() if name not in _OF_A_CLASS}
        module.__class__ = type(kind.__name__, kind.__bases__, own)
        module.parametrizations.eval()  # a spectral norm iterates in training
        for name in list(module.parametrizations):
            parametrize.remove_parametrizations(module, name, leave_parametrized=True)
    for hook in list(module._forward_pre_hooks.values()):
        if isinstance(hook, prune.BasePruningMethod):
            prune.remove(module, hook._tensor_name)  # type: ignore[no-untyped-call]
        elif type(hook).__name__ in NORMS:
            NORMS[type(hook).__name__](module, vars(hook)["name"])
    plain = parent(type(module))
    if plain is not None:
        module.__class__ = plain
