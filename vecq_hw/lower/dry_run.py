"""Whether a model that is yet to be trained can be lowered afterwards."""

from __future__ import annotations

import copy

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from vecq_hw.errors import VecqError
from vecq_hw.lower.lowering import checked_graph, lower
from vecq_hw.network import Network
from vecq_hw.quantize import ActivationQuantizer
from vecq_hw.train.scores import device_of, fails_on
from vecq_hw.train.several import Samples, arguments, input_names


def dry_run(model: nn.Module, x: npt.ArrayLike | Samples) -> Network:
    """The network that the quantized model, which is left as it is, would become as it stands.

    Training changes the integers of a network, but neither its layers nor their shapes: what is
    refused here would be refused after training, too.

    Parameters
    ----------
    model : nn.Module
        From :func:`vecq_hw.train.quantize_model`, perhaps without any statistics yet.
    x : float array of shape (N, ...)
        A few training samples, which give the quantizers steps; of several inputs a tuple of
        arrays, or a mapping from the arguments of forward().

    Raises
    ------
    VecqError
        The model does not take the samples, or cannot be lowered; as :func:`lower`.
    """
    checked_graph(model)
    given = [np.asarray(part) for part in arguments(input_names(model), x)]
    if any(part.dtype.kind not in "iuf" or part.ndim < 2 for part in given):
        raise VecqError("a few samples are wanted to try the model on, (N, ...)")
    samples = [torch.as_tensor(part).to(device_of(model)) for part in given]
    shapes = tuple(tuple(part.shape[1:]) for part in samples)
    twin = copy.deepcopy(model).eval()
    quantizers = [module for module in twin.modules() if isinstance(module, ActivationQuantizer)]
    for quantizer in quantizers:
        quantizer.train()
    try:
        with torch.no_grad():
            twin(*samples)
    except (RuntimeError, IndexError) as error:
        raise fails_on(shapes[0], error) from error
    for quantizer in quantizers:
        if not bool(quantizer.step > 0):  # these few samples left it nothing but zeros
            quantizer.spread.fill_(1.0)
            quantizer.peak.fill_(1.0)
    return lower(twin.eval(), shapes)
