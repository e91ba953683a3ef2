"""Several processes that train one model (``torchrun``): PyTorch's DistributedDataParallel.

What this adds is that the statistics of a batch are those of the whole batch, on every rank: of
batch norms here, of activation quantizers in :mod:`vecq_hw.quantize.activation`.  So the processes
compute what one process would with the whole batch, but for the rounding of sums.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from vecq_hw.errors import VecqError

_GROUPS: list[object] = []
"""Every group that was made.  Where DistributedDataParallel is the last to hold its group, torch
frees it while it holds the interpreter's lock, and waits for a thread that waits for that lock."""


def rank_and_size() -> tuple[int, int]:
    """Which of the processes this is, and how many there are; (0, 1) without a process group."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


@contextmanager
def process_group(device: torch.device) -> Iterator[None]:
    """The process group that torchrun started this process for; nothing where it did not.

    Where there is a group already, that one.

    Raises
    ------
    VecqError
        torchrun started the process, but torch was built without torch.distributed.
    """
    if "TORCHELASTIC_RUN_ID" not in os.environ or rank_and_size()[1] > 1:
        yield
        return
    if not distributed.is_available():
        raise VecqError("this torch was built without torch.distributed; train in one process")
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    _GROUPS.append(distributed.group.WORLD)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def parallel(model: nn.Module, some_unused: bool = False) -> nn.Module:
    """What to call in training: the model, or where there are several processes, it in DDP.

    Parameters
    ----------
    some_unused : bool
        Whether there are steps that give some parameters no gradient.
    """
    if rank_and_size()[1] == 1:
        return model
    # Kernels of one input channel lie in both memory layouts at once; what is said of them is that
    # the two are stepped through by other numbers.
    warnings.filterwarnings("ignore", "Grad strides do not match bucket view strides")
    return DistributedDataParallel(model, find_unused_parameters=some_unused)


def mean_over_ranks(value: torch.Tensor) -> torch.Tensor:
    """The mean of a tensor over the processes, on each of them.

    It has any shape, the same on all processes.
    """
    _, size = rank_and_size()
    if size > 1:
        value = value.clone()
        distributed.all_reduce(value)
        value /= size
    return value


def from_first_rank(value: torch.Tensor) -> None:
    """Make a tensor, in place, what it is on the first of the processes.

    It has any shape, the same on all processes.
    """
    if rank_and_size()[1] > 1:
        distributed.broadcast(value, 0)


@contextmanager
def shared_batch_norms(model: nn.Module) -> Iterator[None]:
    """Meanwhile the batch norms of ``model`` take the statistics of the batch over all ranks.

    torch's SyncBatchNorm computes the same, but has no CPU kernel, and is no BatchNorm2d to those
    who ask.
    """
    norms: list[nn.Module] = []
    if rank_and_size()[1] > 1:
        norms = [module for module in model.modules() if type(module) in _SHARED]
    try:
        for norm in norms:
            norm.__class__ = _SHARED[type(norm)]
        yield
    finally:
        for norm in norms:
            norm.__class__ = type(norm).__bases__[1]


class _SumOverRanks(torch.autograd.Function):
    """The sum over the processes; each gets the sum of their gradients."""

    @staticmethod
    def forward(_context: Any, value: torch.Tensor) -> torch.Tensor:
        total = value.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.contiguous().clone()
        distributed.all_reduce(total)
        return total


class _SharedBatchNorm(nn.modules.batchnorm._BatchNorm):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """The output of a batch norm whose batch lies on several processes."""
        if not self.training:
            return super().forward(input)
        axes = [axis for axis in range(input.ndim) if axis != 1]
        shape = [1, -1] + [1] * (input.ndim - 2)
        local = input.new_full((1,), input.numel() // input.shape[1])
        sums = _sum_over_ranks(torch.cat([input.sum(axes), local]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = input - mean.view(shape)
        variance = _sum_over_ranks(centred.square().sum(axes)) / count
        if self.track_running_stats:
            self._track(mean.detach(), variance.detach() * count / (count - 1))
        result = centred * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            result = result * self.weight.view(shape) + self.bias.view(shape)
        return result

    @torch.no_grad()
    def _track(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        part = self.momentum
        if part is None:
            part = 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, part)
        self.running_var.lerp_(variance, part)


class _SharedBatchNorm1d(_SharedBatchNorm, nn.BatchNorm1d):
    pass


class _SharedBatchNorm2d(_SharedBatchNorm, nn.BatchNorm2d):
    pass


_SHARED: dict[type[nn.Module], type[nn.Module]] = {
    nn.BatchNorm1d: _SharedBatchNorm1d,
    nn.BatchNorm2d: _SharedBatchNorm2d,
}


def _sum_over_ranks(value: torch.Tensor) -> torch.Tensor:
    total: torch.Tensor = _SumOverRanks.apply(value)  # type: ignore[no-untyped-call]
    return total
