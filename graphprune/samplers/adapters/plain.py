"""Samplers in a plain PyTorch loop: a loader that returns rows, and the loss of one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from graphprune.errors import InputError
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.checks import check_losses, check_rows


class Seen(NamedTuple):
    """Results of a forward pass: losses ``[B]``, and features or forecast errors if the sampler needs them."""

    losses: Tensor
    features: Tensor | None = None
    errors: Tensor | None = None


def step_loss(
    sampler: EpochSampler, rows: Tensor, forward: Callable[[Tensor | slice], Tensor | Seen]
) -> Tensor:
    """Computes the loss of one training step: selects within the batch, weights the losses and updates the sampler.

    A complete training loop::

        loader = EpochLoader(data, sampler, batch_size=128)
        for epoch in range(epochs):
            loader.set_epoch(epoch)
            for rows, (x, y) in loader:
                loss = step_loss(sampler, rows, lambda kept: cross_entropy(model(x[kept]), y[kept],
                                                                           reduction="none"))
                ...                                    # backward and optimizer step as usual

    Args:
        sampler: The sampler that yielded the rows.
        rows: ``[B]`` int64.
        forward: Function from positions in the batch (or ``slice(None)``) to their losses or to `Seen`. If the
            sampler selects within the batch, it is called twice, first without gradients; check
            ``torch.is_grad_enabled()`` if batch norm should be in evaluation mode in that call.

    Returns:
        Mean of losses times weights, a scalar with gradient.

    Raises:
        InputError: ``forward`` did not return one loss per sample, or the sampler needs features or errors that it
            did not return.

    >>> from graphprune.samplers.random import Random
    >>> losses = torch.tensor([1.0, 2.0, 6.0])
    >>> step_loss(Random(3), torch.arange(3), lambda kept: losses[kept])
    tensor(3.)
    """
    check_rows(rows)
    kept: Tensor | slice = slice(None)
    if sampler.selects_in_batch:
        seen = None
        if sampler.needs_forward:
            with torch.no_grad():
                seen = _seen(forward(kept))
        kept = sampler.choose(rows, *(seen[:2] if seen else ()))
    shown = _seen(forward(kept))
    check_losses(shown.losses, len(rows[kept]))
    weights = sampler.weights(rows[kept])
    sampler.update(rows[kept], shown.losses, shown.errors)
    # Rows may be on the CPU, where loaders put them, and losses on a GPU.
    return shown.losses.mean() if weights is None else (shown.losses * weights.to(shown.losses.device)).mean()


class WithRows(Dataset[tuple[int, Any]]):
    """A map-style data set that also returns its rows: item ``row`` is ``(row, data[row])``."""

    def __init__(self, data: Any) -> None:
        self.data = data

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, row: int) -> tuple[int, Any]:
        return row, self.data[row]


class _CandidateBatches(Sampler[list[int]]):
    """The sampler's order in batches of the size that the epoch requires."""

    def __init__(self, sampler: EpochSampler, batch_size: int, drop_last: bool) -> None:
        self.sampler, self.batch_size, self.drop_last = sampler, batch_size, drop_last

    def __len__(self) -> int:
        return len(self._parts())

    def __iter__(self) -> Iterator[list[int]]:
        return (part.tolist() for part in self._parts())

    def _parts(self) -> tuple[Tensor, ...]:
        rows, size = self.sampler.remaining, self.sampler.candidate_batch_size(self.batch_size)
        whole = len(rows) - len(rows) % size
        # An epoch shorter than one batch keeps that batch; the rest of a resumed epoch is dropped as before.
        if self.drop_last and (whole or len(rows) < len(self.sampler.order)):
            return torch.split(rows[:whole], size) if whole else ()
        # Batch norm cannot standardize a single sample.
        return self.sampler.steps(rows, self.batch_size, least=min(2, self.batch_size)) if len(rows) else ()


class EpochLoader(DataLoader[Any]):
    """EpochLoader: a DataLoader of ``(rows, batch)`` whose batches and length follow the sampler in every epoch.

    A last batch with a single sample to train on, which batch norm cannot process, is merged with the batch before
    it: 65 rows in batches of 32 give batches of 32 and 33.

    Args:
        data: Map-style data set.
        sampler: Its sampler; with several processes, call `EpochSampler.shard` first.
        batch_size: Samples to train on per step; samplers that select within the batch load more.
        drop_last: Whether an incomplete last batch is left out (default: False). An epoch that is shorter than
            one batch keeps it, so every epoch has at least one step.
        device: Device that tensors are moved to (default: they are not moved).
        options: Further options of `torch.utils.data.DataLoader` (``num_workers``, ``pin_memory``,
            ``collate_fn``, ...).

    Raises:
        InputError: the data has no length or another length than the sampler, or the batch size is below 1.

    >>> from graphprune.samplers.random import Random
    >>> loader = EpochLoader([10.0, 11.0, 12.0, 13.0], Random(4), batch_size=2)
    >>> loader.set_epoch(0)
    >>> all((values == rows + 10).all() for rows, values in loader), len(loader)
    (True, 2)
    """

    def __init__(
        self,
        data: Any,
        sampler: EpochSampler,
        batch_size: int,
        *,
        drop_last: bool = False,
        device: torch.device | str | None = None,
        **options: Any,
    ) -> None:
        if not hasattr(data, "__len__"):
            raise InputError(f"data is a {type(data).__name__} without a length; pass a map-style data set")
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise InputError(f"batch_size is {batch_size!r}; give a whole number of at least 1")
        if len(data) != sampler.n:
            raise InputError(
                f"data has {len(data)} samples but the sampler has n={sampler.n}; create the sampler for this data set"
            )
        self.device = device
        super().__init__(
            WithRows(data), batch_sampler=_CandidateBatches(sampler, batch_size, drop_last), **options
        )

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch of the sampler; call it before iterating."""
        assert isinstance(self.batch_sampler, _CandidateBatches)
        self.batch_sampler.sampler.set_epoch(epoch)

    def __iter__(self) -> Any:
        batches = super().__iter__()
        return batches if self.device is None else (_moved(batch, self.device) for batch in batches)


def _seen(shown: Tensor | Seen) -> Seen:
    if not isinstance(shown, Tensor | Seen):
        raise InputError(
            f"forward returned a {type(shown).__name__}; return losses [B] or Seen(losses, features, errors)"
        )
    return Seen(shown) if isinstance(shown, Tensor) else shown


def _moved(value: Any, device: torch.device | str) -> Any:
    if isinstance(value, Tensor):
        return value.to(device, non_blocking=True)
    if isinstance(value, dict):
        return {key: _moved(part, device) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_moved(part, device) for part in value]
    return value
