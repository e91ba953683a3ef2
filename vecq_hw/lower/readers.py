"""What the graph of a model tells of a node: who reads it, and what it is made of."""

from __future__ import annotations

from collections.abc import Iterator

from torch import fx, nn

from vecq_hw.quantize import ActivationQuantizer
from vecq_hw.train.curves import Curve
from vecq_hw.train.place import input_gain
from vecq_hw.train.quantized_layers import LastStep, QuantizedLinear, Transpose
from vecq_hw.train.rearrange import Rearrange
from vecq_hw.train.recurrent import QuantizedGRU, QuantizedLSTM
from vecq_hw.train.windows import AVERAGES, MAX_POOLS, Pad

PASSING = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity)
"""What gives in evaluation what it reads."""


def placeholder(node: fx.Node) -> fx.Node:
    """The argument of forward() that the node's value is made of."""
    while node.op != "placeholder":
        node = node.all_input_nodes[0]
    return node


def gain_of_input(node: fx.Node, model: fx.GraphModule) -> float:
    """By what the model multiplies an input before it becomes the codes of the node."""
    gain = 1.0
    while (node := node.all_input_nodes[0]).op == "call_module":
        factor = input_gain(model, node)
        assert factor is not None
        gain *= factor
    return gain


def first_readers(node: fx.Node, model: nn.Module) -> Iterator[nn.Module]:
    """The modules that read the node, down to the first that computes something."""
    while node.users:
        node = next(iter(node.users))  # of several, the first tells the shape as well
        if node.op != "call_module":
            return
        module = model.get_submodule(str(node.target))
        yield module
        if not isinstance(module, (nn.Flatten, *PASSING)):
            return


def is_quantized_next(pool: fx.Node, model: nn.Module) -> bool:
    """Whether a quantizer alone reads the max-pool, perhaps behind further ones."""
    readers = list(pool.users)
    if len(readers) != 1 or readers[0].op != "call_module":
        return False
    module = model.get_submodule(str(readers[0].target))
    if isinstance(module, MAX_POOLS):
        return is_quantized_next(readers[0], model)
    return isinstance(module, ActivationQuantizer)


def wants_channels_last(node: fx.Node, model: nn.Module) -> bool:
    """Whether the first that reads a node and computes takes the channels last."""
    while node.users:
        node = next(iter(node.users))
        if node.op != "call_module":
            return False
        module = model.get_submodule(str(node.target))
        if not isinstance(module, (ActivationQuantizer, Curve, *PASSING)):
            last = (QuantizedLinear, QuantizedLSTM, QuantizedGRU, LastStep)
            return isinstance(module, last)
    return False


def is_read_once(node: fx.Node, model: nn.Module) -> bool:
    """Whether nothing else reads the sums whose value the node has."""
    while len(node.users) == 1:
        module = model.get_submodule(str(node.target))
        if not isinstance(module, PASSING):
            return True
        node = node.all_input_nodes[0]
    return False


def begins_with_steps(node: fx.Node, model: nn.Module) -> bool:
    """Whether a sequence that comes in is (N, L, C), by the first reader that minds."""
    turned = False
    while node.users:
        node = next(iter(node.users))
        if node.op != "call_module":
            break
        match model.get_submodule(str(node.target)):
            case Transpose():
                turned = not turned
            case QuantizedLSTM() | QuantizedGRU() | nn.Linear() | LastStep():
                return not turned
            case nn.Conv1d() | nn.BatchNorm1d() | Pad() | Rearrange():
                return turned
            case pool if isinstance(pool, MAX_POOLS + AVERAGES):
                return turned
            case _:
                pass
    return False


def reads_last_step(node: fx.Node, model: nn.Module) -> bool:
    """Whether nothing but the last step of a node is read."""

    def only(reader: fx.Node) -> bool:
        if reader.op != "call_module":
            return False
        module = model.get_submodule(str(reader.target))
        passing = isinstance(module, nn.Dropout | nn.Identity)
        return isinstance(module, LastStep) or (passing and reads_last_step(reader, model))

    return bool(node.users) and all(map(only, node.users))
