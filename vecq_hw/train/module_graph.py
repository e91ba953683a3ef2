"""A user's model as a torch.fx graph in which every operation is a module of a few known types.

What cannot be quantized is refused here, by name.
"""

from __future__ import annotations

from collections import OrderedDict

from torch import fx, nn

from vecq_hw.errors import VecqError
from vecq_hw.quantize import ActivationQuantizer, QuantizedSign, WeightQuantizer
from vecq_hw.train.arguments import Unsupported
from vecq_hw.train.arithmetic import ARITHMETIC, is_constant
from vecq_hw.train.calls import bind, drop_casts_of_words, largest_alone, unpack_sequence
from vecq_hw.train.choices import Choice, find_choices
from vecq_hw.train.curves import CURVES, HOST, Curve, ends, find_curves
from vecq_hw.train.duplicate import parent
from vecq_hw.train.effects import CONSTANT, DROPOUTS, is_shape
from vecq_hw.train.functional import (
    Own,
    drop_unread,
    fold_constants,
    free_name,
    layer_of,
    place_layer,
)
from vecq_hw.train.functions import modules_of
from vecq_hw.train.picks import Pick, gives_several
from vecq_hw.train.preconditions import InputShape, check_modules, checked_shapes
from vecq_hw.train.quantized_layers import (
    Concat,
    FlattenTo,
    LastStep,
    SquareAverage,
    Transpose,
    upsample_factors,
)
from vecq_hw.train.rearrange import Rearrange, join_rearranges
from vecq_hw.train.reshapes import reordering
from vecq_hw.train.several import input_names, open_named_tuples, output_nodes
from vecq_hw.train.tracing import SHAPE, shape_of, trace
from vecq_hw.train.windows import AVERAGES, MAX_POOLS, PADS, Pad, insert_pads

SUPPORTED = (
    "Linear, Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, BatchNorm1d, BatchNorm2d, ReLU,"
    " ReLU6, Hardtanh, pools of the largest or the average, padding, Upsample, Flatten, Dropout,"
    " Identity, Embedding, LSTM, GRU, functions of each value by itself (torch.nn.SiLU, tanh, ...),"
    " sums, differences and products (+, -, *) of tensors and constants, and torch.cat"
)
WITH_WEIGHTS = (
    *(nn.Linear, nn.Conv1d, nn.Conv2d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.Embedding),
    *(nn.LSTM, nn.GRU),
)
_ONCE = (*WITH_WEIGHTS, nn.BatchNorm1d, nn.BatchNorm2d)
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, nn.Hardtanh)
_PLAIN = (
    *_ACTIVATIONS,
    *MAX_POOLS,
    *AVERAGES,
    *PADS,
    Pad,
    QuantizedSign,
    nn.Upsample,
    nn.UpsamplingNearest2d,
    nn.Flatten,
    *DROPOUTS,
    *CURVES,
    Curve,
    Choice,
    nn.Identity,
    FlattenTo,
    SquareAverage,
    *ARITHMETIC,
    Concat,
    Transpose,
    LastStep,
    Pick,
    Rearrange,
)
_SOFTMAX = {"softmax", "log_softmax", "softmax2d", "logsoftmax", "softmin"}
_RECURRENT = {
    "rnn", "rnncell", "grucell", "lstmcell", "multiheadattention", "transformer",
    "transformerencoder", "transformerencoderlayer", "transformerdecoder",
    "transformerdecoderlayer", "scaled_dot_product_attention", "multi_head_attention_forward",
}  # fmt: skip
_LAYER_FUNCTIONS = {"linear", "conv1d", "conv2d", "batch_norm", "embedding", "lstm"}
_OF_SHAPES = {"dim", "ndimension", "numel", "nelement", "prod", "stride", "is_contiguous"}


def module_graph(model: nn.Module, input_shape: InputShape | None = None) -> fx.GraphModule:
    """A deep copy of ``model`` as a graph of supported modules.

    An LSTM or GRU stands in it for its outputs alone, as
    :class:`vecq_hw.train.recurrent.QuantizedLSTM` has it, so a graph with one cannot run
    before that has taken its place.

    Parameters
    ----------
    input_shape : shape of one sample, or a sequence or mapping of one for each input, optional
        With it the sizes that forward() asks for are numbers.

    Raises
    ------
    VecqError
        The model cannot be traced, or holds something unsupported; the message names it.
    """
    if not isinstance(model, nn.Module):
        raise VecqError(f"a torch.nn.Module is wanted, not {type(model).__name__}")
    if any(isinstance(module, ActivationQuantizer | WeightQuantizer) for module in model.modules()):
        raise VecqError("the model is quantized already; quantize the float model instead")
    check_modules(model)
    if _is_layer(model):
        _check_kind("the model", model, last=True)
    shapes = checked_shapes(input_shape, input_names(named(model)))
    traced = trace(named(model), shapes)
    open_named_tuples(traced.graph)
    fold_constants(traced)
    if not any(node.op == "placeholder" for node in traced.graph.nodes):
        raise VecqError("the model's forward() takes no tensor; at least one is wanted")
    for node in list(traced.graph.nodes):
        if node.op == "call_module" and len(node.args) + len(node.kwargs) > 1:
            bind(traced, node)
    traced.graph.eliminate_dead_code()
    find_choices(traced, free_name)
    drop_casts_of_words(traced)
    largest_alone(traced)
    find_curves(traced, free_name)
    for node in list(traced.graph.nodes):
        if node.op == "call_module":
            bind(traced, node)
            module = _reordered(traced, node)
            _check_kind(f"layer '{node.target}'", module, ends(node))
            if type(module) in (nn.LSTM, nn.GRU):
                unpack_sequence(traced, node)
            _check_module(str(node.target), module)
        elif node.op in ("call_function", "call_method") and not is_shape(node) and node.users:
            if not is_constant(node) and not gives_several(node):
                _replace(traced, node)
    traced.graph.eliminate_dead_code()
    insert_pads(traced, free_name)
    drop_unread(traced)
    _check(traced)
    join_rearranges(traced)
    _pool_before_activation(traced)
    traced.graph.lint()
    traced.recompile()
    return traced


def named(model: nn.Module) -> nn.Module:
    """The model; a layer alone stands in a Sequential, under its kind, so that it has a name."""
    if not _is_layer(model):
        return model
    kind = parent(type(model)) or type(model)
    alone = nn.Sequential(OrderedDict([(kind.__name__.lower(), model)]))
    alone.training = model.training
    return alone


def _is_layer(model: nn.Module) -> bool:
    return fx.Tracer().is_leaf_module(model, "") or parent(type(model)) is not None


def _reordered(traced: fx.GraphModule, node: fx.Node) -> nn.Module:
    """The module of a node; one that only reorders is a Rearrange of known sizes."""
    name = str(node.target)
    module = traced.get_submodule(name)
    try:
        order = reordering(node, module)
    except Unsupported as error:
        raise VecqError(f"layer '{name}' ({type(module).__name__}) {error}") from None
    if order is None:
        return module
    if sum(one.target == name for one in traced.graph.nodes) > 1:
        node.target = name = free_name(traced, name)  # each call may have other sizes
    traced.add_submodule(name, order)
    return order


def _replace(traced: fx.GraphModule, node: fx.Node) -> None:
    what = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    try:
        layer = layer_of(node, Own(traced))
    except Unsupported as error:
        _check_subclass(node)
        raise VecqError(f"the operation '{node.name}' ({what}) {error}") from None
    if layer is not None:
        name = place_layer(traced, node, layer)
        _check_kind(f"layer '{name}'", layer, ends(node))
        _check_module(name, layer)
        with traced.graph.inserting_before(node):
            source = node.args[0] if node.args else node.kwargs["input"]
            called = traced.graph.call_module(name, (source,))
        called.meta = dict(node.meta)
        node.replace_all_uses_with(called)
        traced.graph.erase_node(node)
        return
    found = modules_of(node)
    if found is None:
        what = str(what)
        _check_subclass(node)
        raise VecqError(f"the operation '{node.name}' ({what}) {_remedy(what)}")
    modules, sources = found
    with traced.graph.inserting_before(node):
        for module in modules:
            name = free_name(traced, node.name)
            traced.add_submodule(name, module)
            _check_module(name, module)
            replacement = traced.graph.call_module(name, sources)
            sources = (replacement,)
    replacement.meta = dict(node.meta)
    node.replace_all_uses_with(replacement)
    traced.graph.erase_node(node)


def _check_subclass(node: fx.Node) -> None:
    """Refuse by its name a subclass of a layer with weights, whose functions the graph holds."""
    for name, kind in reversed((node.meta.get("nn_module_stack") or {}).values()):
        for base in _ONCE:
            if isinstance(kind, type) and issubclass(kind, base):
                raise VecqError(
                    f"layer '{name}' ({kind.__name__}) is a subclass of {base.__name__}, which may"
                    f" compute anything; use torch.nn.{base.__name__} itself"
                )


def _remedy(what: str) -> str:
    lowered = what.lower()
    if lowered in _SOFTMAX:
        return (
            "divides by a sum over channels, which integers do not; a softmax is supported as the"
            " last layer alone, along dim=1, where it is left to the host"
        )
    if lowered == "rrelu":
        return "draws its slopes at random; use torch.nn.LeakyReLU"
    if lowered in _RECURRENT:
        return "is not supported; of recurrent layers and attention, LSTM and GRU alone train"
    if lowered in _OF_SHAPES:
        return "asks for a shape that is not known; give quantize_model the input_shape"
    if lowered in _LAYER_FUNCTIONS:
        return "is not supported as a function; use the module of torch.nn"
    return f"is not supported; supported are {SUPPORTED}"


def _check(traced: fx.GraphModule) -> None:
    for node in traced.graph.nodes:
        if node.op == "output":
            output_nodes(traced.graph)
        if node.op == "placeholder" and not node.users:
            raise VecqError(
                f"the model's forward() takes '{node.target}', which its output does not depend on;"
                " leave it out"
            )
        if is_constant(node):
            _check_constant(traced, node)
            continue
        if node.op in ("call_function", "call_method"):
            raise VecqError(f"the operation '{node.name}' {_remedy('')}")
        if node.op == "call_module":
            name = str(node.target)
            module = traced.get_submodule(name)
            if isinstance(module, (Concat, *ARITHMETIC)):
                continue
            if len(node.args) != 1 or not isinstance(node.args[0], fx.Node) or node.kwargs:
                raise VecqError(f"layer '{name}' must be called with one tensor")


def _check_constant(traced: fx.GraphModule, node: fx.Node) -> None:
    """Whether it is a parameter or a buffer, or made of such, that arithmetic alone reads."""
    if node.op == "get_attr":
        known = {name for name, _ in (*traced.named_parameters(), *traced.named_buffers())}
        if str(node.target) not in known or str(node.target).startswith(CONSTANT):
            raise VecqError(
                f"the model uses the tensor '{node.target}', which forward() makes; give it to"
                " register_buffer() in the model's __init__"
            )
    for reader in node.users:
        module = traced.get_submodule(str(reader.target)) if reader.op == "call_module" else None
        if not is_constant(reader) and not isinstance(module, ARITHMETIC):
            raise VecqError(
                f"the model uses the tensor '{node.target}' in '{reader.name}'; outside of a module"
                " it may be added, subtracted or multiplied"
            )


def _check_kind(where: str, module: nn.Module, last: bool) -> None:
    kind = type(module)
    # Subclasses may compute anything, so types are compared exactly.
    if kind not in _ONCE + _PLAIN and not (last and kind in HOST):
        raise VecqError(f"{where} ({kind.__name__}) {_remedy(kind.__name__)}")


def _check_module(name: str, module: nn.Module) -> None:
    kind = type(module)
    problem = None
    match module:
        case _ if isinstance(module, MAX_POOLS):
            if module.return_indices:
                problem = "return_indices is not supported; leave it out"
        case nn.Upsample():
            factors = upsample_factors(module.scale_factor)
            modes = ("nearest", "linear", "bilinear")
            if module.mode not in modes or module.size is not None or module.align_corners:
                problem = (
                    "only nearest, linear and bilinear with a scale_factor and"
                    " align_corners=False are supported"
                )
            elif factors is None:
                problem = f"scale_factor={module.scale_factor} is not supported; use whole numbers"
        case nn.Flatten():
            if module.start_dim != 1 or module.end_dim != -1:
                problem = "only the batch axis can be kept; use start_dim=1 and end_dim=-1"
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            if module.running_var is None:
                problem = "it keeps no running statistics; use track_running_stats=True"
        case nn.Embedding():
            if module.max_norm is not None or module.sparse:
                problem = "max_norm and sparse are not supported; leave them out"
        case nn.LSTM() | nn.GRU():
            if not module.batch_first or module.proj_size:
                problem = "only batch_first=True without projections is supported"
    if problem:
        raise VecqError(f"layer '{name}' ({kind.__name__}): {problem}")


def _pool_before_activation(traced: fx.GraphModule) -> None:
    """``max_pool(relu(x))`` becomes ``relu(max_pool(x))``, the same, with fewer values to quantize.

    Every activation and every quantizer rises, so the largest of a window stays the largest.
    """
    for pool in list(traced.graph.nodes):
        activation = pool.args[0] if pool.op == "call_module" else None
        if not (
            isinstance(activation, fx.Node)
            and activation.op == "call_module"
            and isinstance(traced.get_submodule(str(activation.target)), _ACTIVATIONS)
            and isinstance(traced.get_submodule(str(pool.target)), MAX_POOLS)
            and len(activation.users) == 1
        ):
            continue
        source = activation.args[0]
        pool.replace_all_uses_with(activation)
        pool.args, activation.args = (source,), (pool,)
        activation.prepend(pool)
        activation.meta[SHAPE] = shape_of(pool)
