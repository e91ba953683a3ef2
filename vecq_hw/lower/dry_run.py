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
from vecq_hw.train.training import device_of, fails_on


def dry_run(model: nn.Module, x: npt.ArrayLike) -> Network:
    """The network that the quantized model, which is left as it is, would become as it stands.

    Training changes the integers of a network, but neither its layers nor their shapes: what is
    refused here would be refused after training, too.

    Parameters
    ----------
    model : nn.Module
        From :func:`vecq_hw.train.quantize_model`, perhaps without any statistics yet.
    x : float array of shape (N, ...)
        A few training samples, which give the quantizers steps.

    Raises
    ------
    VecqError
        The model does not take the samples, or cannot be lowered; as :func:`lower`.
    """
    checked_graph(model)
    given = np.asarray(x)
    if given.dtype.kind not in "iuf" or given.ndim < 2:
        raise VecqError("a few samples are wanted to try the model on, (N, ...)")
    samples = torch.as_tensor(given).to(device_of(model))
    twin = copy.deepcopy(model).eval()
    quantizers = [module for module in twin.modules() if isinstance(module, ActivationQuantizer)]
    for quantizer in quantizers:
        quantizer.train()
    try:
        with torch.no_grad():
            twin(samples)
    except RuntimeError as error:
        raise fails_on(tuple(samples.shape[1:]), error) from error
    for quantizer in quantizers:
        if not bool(quantizer.step > 0):  # these few samples left it nothing but zeros
            quantizer.spread.fill_(1.0)
            quantizer.peak.fill_(1.0)
    return lower(twin.eval(), tuple(samples.shape[1:]))
