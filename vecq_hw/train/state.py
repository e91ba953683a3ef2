"""Whether the stored state of a training has the form that going on from it takes.

Optimizers of torch take states of any form and fail, or compute something else, at the next step.
"""

from __future__ import annotations

import math
from typing import Any

import torch

from vecq_hw.errors import VecqError

_MOVING = ("last_epoch", "_step_count", "_last_lr")
"""What a learning rate schedule changes as it goes; all else follows from the settings."""
_OF_A_PARAMETER = {
    torch.optim.Adam: {"step", "exp_avg", "exp_avg_sq"},
    torch.optim.SGD: {"momentum_buffer"},
}


def check_form(given: Any, like: Any, where: str) -> None:
    """Refuse what has other keys, lengths, types, shapes or infinite numbers than ``like``.

    Raises
    ------
    VecqError
        It names the place, such as ``optimizer.param_groups[0].lr``.
    """
    if type(given) is not type(like):
        raise VecqError(f"its {where} is a {type(given).__name__}, not a {type(like).__name__}")
    match given:
        case dict():
            if given.keys() != like.keys():
                raise VecqError(f"its {where} has other entries than {', '.join(map(str, like))}")
            for name in like:
                check_form(given[name], like[name], f"{where}.{name}")
        case list() | tuple():
            if len(given) != len(like):
                raise VecqError(f"its {where} has {len(given)} entries, not {len(like)}")
            for index, (item, other) in enumerate(zip(given, like, strict=True)):
                check_form(item, other, f"{where}[{index}]")
        case torch.Tensor():
            if (given.shape, given.dtype) != (like.shape, like.dtype):
                raise VecqError(
                    f"its {where} is {given.dtype} of the shape {tuple(given.shape)}, not"
                    f" {like.dtype} of {tuple(like.shape)}"
                )
            if not torch.isfinite(given).all():
                raise VecqError(f"its {where} holds what is no finite number")
        case float() if not math.isfinite(given):
            raise VecqError(f"its {where} is {given}; a finite number is wanted")


def check_optimizer(state: Any, optimizer: torch.optim.Optimizer) -> None:
    """Refuse a state that is not of this kind of optimizer over these parameters.

    Raises
    ------
    VecqError
        It is of other parameters or settings than the optimizer's, the learning rate aside.
    """
    fresh = optimizer.state_dict()
    moments = state.get("state") if isinstance(state, dict) else None
    check_form(state, {"state": moments, "param_groups": fresh["param_groups"]}, "optimizer")
    parameters = [value for group in optimizer.param_groups for value in group["params"]]
    names = _OF_A_PARAMETER[type(optimizer)]
    if not isinstance(moments, dict) or not moments.keys() <= set(range(len(parameters))):
        raise VecqError(f"its optimizer.state is not of {len(parameters)} parameters by number")
    for index, values in moments.items():
        parameter = parameters[index].detach()
        # Adam counts steps in a float32 of no axes; all else is as large as the parameter.
        like = {name: torch.zeros(()) if name == "step" else parameter for name in names}
        if isinstance(values, dict) and values.get("momentum_buffer", parameter) is None:
            like["momentum_buffer"] = None  # before the first step
        check_form(values, like, f"optimizer.state[{index}]")
    for group, other in zip(state["param_groups"], fresh["param_groups"], strict=True):
        for name, value in other.items():
            # The schedule sets the learning rate.
            if name != "lr" and group[name] != value:
                raise VecqError(f"its optimizer's {name} is {group[name]}, not {value}")


def check_schedule(state: Any, schedule: torch.optim.lr_scheduler.LRScheduler, steps: int) -> None:
    """Refuse a state of another schedule, or one that does not stand at ``steps`` steps.

    Raises
    ------
    VecqError
        It is of another schedule or stands at another step.
    """
    fresh = schedule.state_dict()
    check_form(state, fresh, "schedule")
    for name, value in fresh.items():
        if name not in _MOVING and state[name] != value:
            raise VecqError(f"its schedule's {name} is {state[name]}, not {value}")
    if (state["last_epoch"], state["_step_count"]) != (steps, steps + 1):
        raise VecqError(f"its schedule stands at step {state['last_epoch']}, not {steps}")


def check_random(states: Any) -> None:
    """Refuse what are no states of random generators: that of the CPU, and the device's if any.

    Raises
    ------
    VecqError
        They are no list of byte tensors, or it is empty.
    """
    if not isinstance(states, list) or not states:
        raise VecqError("its random numbers are no list of states")
    for state in states:
        if not isinstance(state, torch.Tensor) or state.dtype != torch.uint8:
            raise VecqError("its random numbers are no states of generators")
    torch.Generator().set_state(states[0])
