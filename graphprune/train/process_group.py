"""Several processes that train one model: the division of batches, and communication between processes."""

from __future__ import annotations

import atexit
import os
from datetime import timedelta

import torch
from torch import Tensor, nn

from graphprune.errors import InputError
from graphprune.samplers.base import EpochSampler


class ProcessGroup:
    """ProcessGroup: the processes of a training; the samples of each batch are assigned to ranks round-robin.

    Every process has the same sampler and recorder and receives the signals of the whole batch, so orders,
    choices and scores equal those of one process. Only the forward and backward passes are divided.

    Args:
        rank: Number of this process.
        size: Number of processes.
    """

    def __init__(self, rank: int = 0, size: int = 1) -> None:
        self.rank, self.size = rank, size

    @classmethod
    def current(cls) -> ProcessGroup:
        """The processes that torchrun or ``accelerate launch`` started; otherwise a single process."""
        from torch import distributed

        if not (distributed.is_available() and distributed.is_initialized()):
            return cls()
        return cls(distributed.get_rank(), distributed.get_world_size())

    @classmethod
    def join(cls, device: str = "auto") -> ProcessGroup:
        """Initializes communication if torchrun started several processes, until the program ends.

        Args:
            device: ``auto``, ``cpu`` (communication by gloo) or ``cuda``.
        """
        group = cls.current()
        if group.size > 1 or os.environ.get("WORLD_SIZE", "1") == "1":
            return group
        from accelerate import PartialState
        from torch import distributed

        cpu = device == "cpu" or not torch.cuda.is_available()
        # While the first process embeds and searches, the others wait, without a time limit in practice.
        PartialState(cpu=cpu, timeout=timedelta(days=30))
        # If a process ends while its group's threads still run, the launcher reports a crash.
        atexit.register(distributed.destroy_process_group)
        return cls.current()

    @property
    def writes(self) -> bool:
        """Whether this process writes files; only one does."""
        return self.rank == 0

    def positions(self, total: int) -> Tensor:
        """Positions ``[b]`` of this process in a batch of ``total`` samples: every ``size``-th, or 0 if there is none.

        >>> ProcessGroup(1, 2).positions(5).tolist(), ProcessGroup(1, 2).positions(1).tolist()
        ([1, 3], [0])
        """
        mine = torch.arange(self.rank, total, self.size)
        # A process without a sample must still take part in the step; its loss then does not count.
        return mine if len(mine) else torch.zeros(1, dtype=torch.int64)

    def held(self, kept: Tensor, *, least: int = 1) -> tuple[Tensor, int]:
        """Indices of this process's samples among the ``kept`` positions, and their number.

        If there are fewer than ``least``, the indices are padded with the process's first sample, whose additional
        losses must not count.
        """
        if self.size == 1:
            return kept, len(kept)
        mine = kept[kept % self.size == self.rank] // self.size
        return torch.cat([mine, mine.new_zeros(max(0, least - len(mine)))]), len(mine)

    def real(self, total: int) -> int:
        """How many of ``total`` samples this process has, without padding."""
        return len(range(self.rank, total, self.size))

    def gather(self, mine: Tensor, total: int) -> Tensor:
        """Values ``[total, ...]`` of the whole batch from the values of each process; all must call this.

        Args:
            mine: Values of this process ``[b, ...]``, in the order of `positions`.
            total: Size of the batch.
        """
        if self.size == 1:
            return mine
        from torch import distributed

        each = -(-total // self.size)
        padded = mine.new_zeros((each, *mine.shape[1:]))
        padded[: len(mine)] = mine
        parts = [torch.empty_like(padded) for _ in range(self.size)]
        distributed.all_gather(parts, padded)
        return torch.stack(parts, dim=1).flatten(0, 1)[:total]

    def mean(self, values: Tensor, real: int, total: int) -> Tensor:
        """A loss whose gradient, averaged over the processes, is the gradient of the mean over the whole batch."""
        if self.size == 1:
            return values.mean()
        return values[:real].sum() * (self.size / total)

    def average(self, value: Tensor) -> Tensor:
        """The mean of a tensor over the processes."""
        if self.size == 1:
            return value
        from torch import distributed

        value = value.clone()
        distributed.all_reduce(value)
        return value / self.size

    def add(self, value: Tensor) -> Tensor:
        """The sum of a tensor over the processes."""
        return self.average(value) * self.size

    def wrapped(self, model: nn.Module) -> nn.Module:
        """The model with gradients averaged over all processes; with one process, the model itself.

        Raises:
            InputError: the program created its own ``Accelerator`` with mixed precision.
        """
        if self.size == 1:
            return model
        from accelerate import Accelerator

        device = next(model.parameters()).device
        try:
            # The settings alone determine the precision, not the options of the launcher.
            accelerator = Accelerator(cpu=device.type == "cpu", device_placement=False, mixed_precision="no")
        except ValueError as error:
            raise InputError(
                f"this program has configured accelerate differently ({error}); create no Accelerator, "
                "or one with mixed_precision='no' on the same device, and set training.precision"
            ) from error
        prepared: nn.Module = accelerator.prepare_model(model)
        return prepared

    def broadcast_buffers(self, model: nn.Module) -> None:
        """Copies the buffers (batch norm's statistics) of the first process to all others."""
        if self.size == 1:
            return
        from torch import distributed

        for buffer in model.buffers():
            distributed.broadcast(buffer, 0)

    def as_first(self, value: bool) -> bool:
        """The value of the first process, returned in all processes."""
        if self.size == 1:
            return value
        from torch import distributed

        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        flag = torch.tensor(value, device=device)
        distributed.broadcast(flag, 0)
        return bool(flag)

    def wait(self) -> None:
        """Waits until all processes have called this."""
        if self.size > 1:
            from torch import distributed

            distributed.barrier()


def least_batch(model: nn.Module, group: ProcessGroup) -> int:
    """The smallest number of samples in a step: batch norm needs two, on CPUs two in every process.

    >>> least_batch(nn.Linear(2, 2), ProcessGroup(0, 2)), least_batch(nn.BatchNorm1d(2), ProcessGroup(0, 2))
    (1, 4)
    """
    layers = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    if not layers:
        return 1
    return 2 if all(isinstance(layer, nn.SyncBatchNorm) for layer in layers) else 2 * group.size


def least_rows(model: nn.Module, sampler: EpochSampler, order: Tensor, least: int) -> int:
    """The smallest number of rows of an epoch's order whose step has at least ``least`` samples after selection.

    A run that ends inside an epoch trains on at least this many rows.

    Raises:
        InputError: the whole order has too few rows.
    """
    rows = next((m for m in range(1, len(order) + 1) if sampler.kept_of(m) >= least), None)
    if rows is None:
        raise InputError(
            f"{type(model).__name__} has batch norm, which takes at least {least} samples in a step, "
            f"and epoch {sampler.epoch} has {len(order)} to choose from; train on more, or without batch norm"
        )
    return rows


def check_whole(sampler: EpochSampler) -> None:
    """Rejects a sharded sampler, whose order would be divided twice.

    Raises:
        InputError: the sampler is sharded.
    """
    if sampler.world_size > 1:
        raise InputError(
            "train_model divides each batch over the processes itself; pass a sampler without .shard(...)"
        )
