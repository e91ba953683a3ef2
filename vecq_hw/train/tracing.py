"""A model's forward() as a torch.fx graph that computes the same, or the reason why there is none.

A graph holds operations alone.  Whatever else a forward pass consists of, torch.fx leaves out
without a word: hooks, the branch of the other mode, attributes that it sets, values that it changes
in place, random decisions.  Each of these is either put right here or refused by name.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.train.duplicate import duplicate
from vecq_hw.train.effects import (
    CONSTANT,
    DROPOUT_FUNCTIONS,
    DROPOUTS,
    check_unread,
    random_states,
    read_changed_values,
    source_of,
    state,
)
from vecq_hw.train.tracer import BATCHES, VALUE, Shapes, Tracer, honest_python, reason

SHAPE = "shape"
"""Where a node keeps the shape of its tensor, or the shapes of its tensors, if they are known."""


class Batch(int):
    """The size of the batch, where an operation takes it or a shape has it."""


BATCH = Batch(-1)
"""As view() writes it."""
TRACES = 8
"""A forward() draws random numbers if it does so each time; once, another thread may have."""


def trace(
    model: nn.Module, input_shapes: tuple[tuple[int, ...], ...] | None = None
) -> fx.GraphModule:
    """A deep copy of a model that ``check_modules`` passed, as a graph of its operations.

    Dropout stands in it where training has it and evaluation has not.  What an operation changes in
    place is read from that operation by all that come later.

    Parameters
    ----------
    input_shapes : shapes of one sample for each input, in order, optional
        With them sizes are numbers, and the nodes know their shapes (:func:`shape_of`).  What is
        the size of the batch is then :data:`BATCH` wherever an operation takes it.

    Raises
    ------
    VecqError
        The model cannot be traced, or its graph would compute something else; the message says
        what.
    """
    copied = duplicate(model)
    shapes = Shapes(copied, input_shapes)
    training, evaluation = (_graph(copied, mode, shapes) for mode in (True, False))
    for name, module in shapes.made.items():
        setattr(copied, name, module)
    _join_modes(copied, training, evaluation)
    read_changed_values(copied, training)
    check_unread(copied, training)
    return fx.GraphModule(copied, training, type(model).__name__)


def shape_of(node: fx.Node) -> Any:
    """The shape of the tensor that a node gives, its batch being BATCH; None if unknown.

    Of a node that gives several, such as those of ``chunk``, a tuple of their shapes.
    """
    return node.meta.get(SHAPE)


def _graph(model: nn.Module, training: bool, shapes: Shapes) -> fx.Graph:
    """The graph in one mode, for a batch of any size."""
    first = _traced(model, training, shapes, BATCHES[0])
    if shapes.inputs is not None:
        _join_batches(first, _traced(model, training, shapes, BATCHES[1]))
    return first


def _traced(model: nn.Module, training: bool, shapes: Shapes, batch: int) -> fx.Graph:
    """The graph in one mode, with gradients in training and without in evaluation."""
    for module in model.modules():
        module.training = training
    before = state(model)
    for _ in range(TRACES):
        drawn = random_states()
        try:
            with torch.set_grad_enabled(training), honest_python(model):
                tracer = Tracer(shapes, batch)
                graph: fx.Graph = tracer.trace(model)
        except VecqError:
            raise
        except Exception as error:  # whatever the user's forward() raises on symbolic values
            remedy = "its forward() must take one tensor and not branch on values"
            if shapes.inputs is None:
                remedy += "; sizes are known where input_shape is given"
            raise VecqError(f"the model cannot be traced ({reason(error)}); {remedy}") from None
        if random_states() == drawn:
            break
    else:
        raise VecqError(
            "forward() draws random numbers, which its quantized twin would not do;"
            " dropout alone may be random"
        )
    after = state(model)
    for name, module in model.named_modules():
        if module.training != training:
            raise VecqError(
                f"forward() sets the mode of layer '{name}', which its quantized twin would not do;"
                " call train() and eval() outside of it"
            )
    for name in before | after:
        if before.get(name) != after.get(name):
            raise VecqError(
                f"forward() sets {name}, which its quantized twin would not do;"
                " keep what changes out of forward()"
            )
    for name, module in tracer.made.items():
        if isinstance(module, DROPOUTS):
            raise VecqError(
                f"the operation '{name}' drops values in evaluation, too; make it in __init__()"
            )
        same = shapes.made.setdefault(name, module)
        if repr(same) != repr(module):
            raise VecqError(
                f"forward() makes '{name}' once as {same} and once as {module}; make it in"
                " __init__()"
            )
    return graph


def _join_batches(first: fx.Graph, second: fx.Graph) -> None:
    """Let ``first`` serve batches of any size, ``second`` being that of another size.

    Whatever number differs follows the batch and becomes BATCH.
    """
    twins: dict[fx.Node, fx.Node] = {}
    others = iter(second.nodes)
    for node in first.nodes:
        other = next(others, None)
        if other is None or not _alike(node, other):
            raise VecqError(
                f"forward() computes something else for {BATCHES[0]} samples than for {BATCHES[1]}"
                f" (see '{node.name}'); let it not depend on the size of the batch"
            )
        twins[node] = other
        node.args = _joined(node, node.args, other.args, twins)
        node.kwargs = _joined(node, node.kwargs, other.kwargs, twins)
    for node, other in twins.items():
        shapes = [_shapes(one.meta.pop(VALUE, None)) for one in (node, other)]
        if None not in shapes and node.op != "get_attr":
            node.meta[SHAPE] = _joined(node, shapes[0], shapes[1], twins)


def _alike(node: fx.Node, other: fx.Node) -> bool:
    """Whether two nodes of different traces do the same, whatever they read."""
    same = (node.op, node.target) == (other.op, other.target)
    return same or (_is_constant(node) and _is_constant(other))


def _shapes(value: Any) -> Any:
    """The shape of each tensor in a value; None for what is no tensor."""
    match value:
        case torch.Tensor():
            return tuple(value.shape)
        case tuple() | list():
            return tuple(map(_shapes, value))
        case _:
            return None


def _joined(node: fx.Node, one: Any, other: Any, twins: dict[fx.Node, fx.Node]) -> Any:
    """An argument of two traces, with BATCH for the size of the batch."""
    if isinstance(one, fx.Node):
        if twins[one] is other:
            return one
    elif isinstance(one, tuple | list) and type(one) is type(other) and len(one) == len(other):
        return type(one)(_joined(node, *pair, twins) for pair in zip(one, other, strict=True))
    elif isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return {key: _joined(node, one[key], other[key], twins) for key in one}
    elif isinstance(one, slice) and isinstance(other, slice):
        ends = zip((one.start, one.stop, one.step), (other.start, other.stop, other.step),
                   strict=True)  # fmt: skip
        return slice(*(_joined(node, *pair, twins) for pair in ends))
    elif (one, other) == BATCHES:
        return BATCH
    elif type(one) is type(other) and (one is other or one == other):
        return one
    elif isinstance(one, int) and isinstance(other, int) and one * BATCHES[1] == other * BATCHES[0]:
        raise VecqError(
            f"the operation '{node.name}' joins the batch with another axis ({one // BATCHES[0]}"
            " times the number of samples); keep the samples of a batch apart, along axis 0"
        )
    raise VecqError(
        f"the operation '{node.name}' takes a number that depends on the size of the batch; let it"
        " not depend on that"
    )


def _join_modes(model: nn.Module, training: fx.Graph, evaluation: fx.Graph) -> None:
    """Check that both modes compute the same but for dropout, which only training has."""
    twins: dict[fx.Node, fx.Node] = {}
    idle: list[fx.Node] = []

    def there(args: Any) -> Any:
        return fx.node.map_arg(args, lambda node: twins[node])

    others = iter(evaluation.nodes)
    other = next(others)
    for node in training.nodes:
        alike = _alike(node, other)
        if _is_dropout(model, node):
            source = source_of(node)
            here = _drops(node)
            if not here:
                idle.append(node)
            if not (alike and there(source) is source_of(other)):
                twins[node] = there(source)  # `if self.training: x = dropout(x)`
                continue
            if node.op == "call_function" and _drops(other):
                raise VecqError(
                    f"the operation '{node.name}' drops values in evaluation, too;"
                    " give it training=self.training"
                )
        elif _is_batch_norm(node) and alike and _normalizes(other):
            raise VecqError(
                f"the operation '{node.name}' uses the statistics of the batch in evaluation, too;"
                " give it training=self.training"
            )
        elif not alike or there(_without_mode(node)) != _without_mode(other):
            raise VecqError(
                f"forward() does not compute the same in evaluation as in training (see"
                f" '{node.name}'); only dropout may depend on self.training"
            )
        twins[node] = other
        other = next(others, other)
    for node in idle:
        node.replace_all_uses_with(source_of(node))
        training.erase_node(node)


def _is_batch_norm(node: fx.Node) -> bool:
    return node.op == "call_function" and node.target is F.batch_norm


def _normalizes(node: fx.Node) -> bool:
    """Whether a batch norm, a function, takes the statistics of the batch."""
    given = dict(zip(range(len(node.args)), node.args, strict=True)) | dict(node.kwargs)
    return bool(given.get("training", given.get(5, False)))


def _without_mode(node: fx.Node) -> Any:
    """What a node reads; of a batch norm without its mode, in which it may differ."""
    if not _is_batch_norm(node):
        return node.args, dict(node.kwargs)
    kwargs = {name: value for name, value in node.kwargs.items() if name != "training"}
    return (*node.args[:5], *node.args[6:]), kwargs


def _is_constant(node: fx.Node) -> bool:
    """Whether forward() made the tensor, anew each time; such nodes are refused later."""
    return node.op == "get_attr" and str(node.target).startswith(CONSTANT)


def _is_dropout(model: nn.Module, node: fx.Node) -> bool:
    if node.op == "call_module":
        return isinstance(model.get_submodule(str(node.target)), DROPOUTS)
    return node.op == "call_function" and node.target in DROPOUT_FUNCTIONS


def _drops(node: fx.Node) -> bool:
    """Whether a dropout drops values in the mode in which it was traced; a module decides late."""
    names = ("input", "p", "train" if node.target is torch.dropout else "training")
    given = dict(zip(names, node.args, strict=False)) | dict(node.kwargs)
    return node.op == "call_module" or bool(given.get(names[2], True))
