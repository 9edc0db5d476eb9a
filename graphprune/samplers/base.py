"""The interface of samplers: which rows each epoch trains on, and in which order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Sampler

from graphprune.errors import InputError
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.rng import generator
from graphprune.samplers.checks import (
    check_epoch,
    check_errors,
    check_features,
    check_losses,
    check_plan,
    check_rows,
)
from graphprune.samplers.exchange import gather_rows
from graphprune.samplers.state import read_state
from graphprune.select.base import count_kept
from graphprune.table import ScoreTable


class EpochSampler(Sampler[int]):
    """Base class of all samplers: a ``torch.utils.data.Sampler`` whose order depends only on
    ``(seed, epoch, history)``.

    **Rows, not ids.** A sampler yields rows: the positions 0..n-1 that ``dataset[row]`` accepts. All methods
    take rows. To convert ids, use `scores_by_row` for a score table and ``StaticSampler.from_selection`` for a
    selection. ``update`` and ``weights`` need the rows of each batch, so the data set returns them
    (``return row, x, y``); this works with any number of workers.

    A complete training step::

        sampler.set_epoch(epoch)
        for rows, x, y in loader:                      # DataLoader(data, candidate_batch_size, sampler=sampler)
            if sampler.selects_in_batch:               # losses of a forward pass without gradient
                kept = sampler.choose(rows, losses, features)
                rows, x, y = rows[kept], x[kept], y[kept]
            weights = sampler.weights(rows)            # None means all ones
            ...                                        # mean of losses * weights, backward, optimizer step
            sampler.update(rows, losses)               # detaches the losses; samplers that do not use them ignore them

    Learned state is stored on the device of the first rows that the sampler receives, so that a step never waits
    for the device; pass all later rows on the same device. The order is drawn once per epoch on the CPU.

    Args:
        n: Number of samples in the data set.
        epochs: Planned number of epochs (used by samplers that anneal).
        seed: Seed of all random draws; the global generators are never used.

    Attributes:
        requires: Required constructor arguments besides ``n`` (arrays over the n samples).
        needs_losses: Whether ``update`` requires losses.
        needs_errors: Whether ``update`` requires forecast errors ``[B, T, S]``.
        needs_features: Whether ``choose`` reads the model's features ``[B, H]``.
        needs_forward: Whether ``choose`` reads the losses or features of a forward pass.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    # Per-row state learned from training, ``[n]`` float32: saved and exchanged between ranks.
    _learned: ClassVar[tuple[str, ...]] = ()
    # The learned states in which inf marks rows that were not seen yet.
    _infinite_if_unseen: ClassVar[tuple[str, ...]] = ()
    # Whether an epoch may contain a row twice.
    _repeats: ClassVar[bool] = False
    # Whether ``choose`` also accepts losses of pairs ``[B, B]``.
    _takes_pairs: bool = False

    needs_losses: bool = False
    needs_errors: bool = False
    needs_features: bool = False
    needs_forward: bool = True

    def __init__(self, n: int, *, epochs: float, seed: int = 0) -> None:
        check_plan(n, epochs)
        self.n, self.epochs, self.seed = n, epochs, seed
        self.epoch, self.step = 0, 0
        self.rank, self.world_size = 0, 1
        self._rows: Tensor | None = None
        self._loss_weights: Tensor | None = None
        self._consumed = 0
        self._has_news = False
        self._device: torch.device | None = None

    def shard(self, rank: int, world_size: int) -> Self:
        """Restricts this process to every ``world_size``-th row of the common order; call it on every rank.

        All ranks receive the same number of rows, so up to ``world_size - 1`` rows are skipped in an epoch
        (different ones in each epoch). The next ``set_epoch`` exchanges what the ranks learned through
        torch.distributed.
        """
        if not 0 <= rank < world_size or world_size > self.n:
            raise InputError(
                f"rank is {rank} and world_size is {world_size} for {self.n} samples; "
                "use 0 <= rank < world_size <= samples"
            )
        self.rank, self.world_size = rank, world_size
        return self

    def set_epoch(self, epoch: int) -> None:
        """Draws the order of an epoch; ``len`` is then its length. Setting the current epoch again changes nothing."""
        check_epoch(epoch)
        if self._rows is not None and epoch == self.epoch:
            return
        self.synchronize()
        self.epoch, self.step, self._consumed = epoch, 0, 0
        self._loss_weights = None
        rows = self._epoch_order(epoch)
        if len(rows) < self.world_size:
            raise InputError(
                f"epoch {epoch} has {len(rows)} rows for {self.world_size} ranks; keep more samples or use fewer ranks"
            )
        self._rows = rows

    @property
    def order(self) -> Tensor:
        """All rows of the current epoch on this rank, in training order (int64 on the CPU)."""
        rows = self._common_order()
        even = len(rows) - len(rows) % self.world_size
        return rows[self.rank : even : self.world_size]

    @property
    def remaining(self) -> Tensor:
        """The part of ``order`` after the rows that a loaded state marks as consumed."""
        return self.order[self._consumed :]

    def __len__(self) -> int:
        return len(self.remaining)

    def __iter__(self) -> Iterator[int]:
        return iter(self.remaining.tolist())

    @property
    def batch_keep(self) -> float:
        """Fraction of each batch that ``choose`` keeps in this epoch; 1 if it keeps whole batches."""
        return 1.0

    @property
    def selects_in_batch(self) -> bool:
        """Whether ``choose`` drops part of each batch in this epoch."""
        return self.batch_keep < 1

    def candidate_batch_size(self, batch_size: int) -> int:
        """Number of rows to load so that ``choose`` keeps ``batch_size`` of them."""
        return max(1, round(batch_size / self.batch_keep))

    def kept_of(self, size: int) -> int:
        """Number of rows of a batch of ``size`` rows that are trained on in this epoch."""
        return count_kept(size, self.batch_keep)

    def steps(self, order: Tensor, batch_size: int, *, least: int = 1) -> tuple[Tensor, ...]:
        """Splits an order ``[L]`` into candidate batches, of each of which ``batch_size`` rows are trained on.

        A last batch that would keep fewer than ``least`` rows is merged with the one before it, because batch norm,
        for example, cannot standardize a single sample.
        """
        parts = torch.split(order, self.candidate_batch_size(batch_size))
        if len(parts) > 1 and self.kept_of(len(parts[-1])) < least:
            parts = (*parts[:-2], torch.cat(parts[-2:]))
        return parts

    def choose(self, rows: Tensor, losses: Tensor | None = None, features: Tensor | None = None) -> Tensor:
        """Returns the positions of the batch to train on, ascending int64.

        Args:
            rows: ``[B]`` int64.
            losses: ``[B]`` floating point from a forward pass; not needed if ``needs_forward`` is False.
            features: ``[B, H]`` penultimate features; only needed if ``needs_features`` is True.

        Raises:
            InputError: rows, losses or features have the wrong shape or type.
        """
        check_rows(rows)
        if losses is not None:
            check_losses(losses, len(rows), pairs=self._takes_pairs)
        if features is not None:
            check_features(features, len(rows))
        if not self.selects_in_batch:
            return torch.arange(len(rows), device=rows.device)
        if self.needs_forward and losses is None and features is None:
            raise InputError(
                f"{type(self).__name__}.choose received neither losses nor features; pass those of a forward pass"
            )
        with torch.no_grad():
            rows = self._place(rows)
            losses = None if losses is None else losses.detach().to(rows.device, torch.float32)
            kept = self._choose(rows, losses, features, self.kept_of(len(rows)))
            self.step, self._has_news = self.step + 1, True
            return kept.sort().values

    def update(self, rows: Tensor, losses: Tensor | None = None, errors: Tensor | None = None) -> None:
        """Learns from a training step; call it after every step.

        A sampler that ``selects_in_batch`` in this epoch already received the losses in ``choose`` and ignores this
        call.

        Args:
            rows: ``[B]`` int64 without duplicates.
            losses: ``[B]`` floating point; NaN and infinite losses count as not seen.
            errors: Absolute forecast errors ``[B, T, S]``, NaN where missing; needed if ``needs_errors``.

        Raises:
            InputError: rows, losses or errors have the wrong shape or type, or required ones are missing.
        """
        check_rows(rows)
        if losses is not None:
            check_losses(losses, len(rows))
        if errors is not None:
            check_errors(errors, len(rows))
        if self.selects_in_batch or not (self.needs_losses or self.needs_errors):
            return
        for needed, name, value in (
            (self.needs_losses, "losses", losses),
            (self.needs_errors, "errors", errors),
        ):
            if needed and value is None:
                raise InputError(
                    f"{type(self).__name__}.update needs {name} of {len(rows)} rows, got none; pass {name}="
                )
        with torch.no_grad():
            rows = self._place(rows)
            losses = None if losses is None else losses.detach().to(rows.device, torch.float32)
            self._learn(rows, losses, None if errors is None else errors.detach().to(rows.device))
            self._has_news = True

    def weights(self, rows: Tensor) -> Tensor | None:
        """Returns the loss weights ``[B]`` float32 of rows ``[B]``, or None if all are 1."""
        check_rows(rows)
        self._common_order()
        rows = self._place(rows)
        return None if self._loss_weights is None else self._loss_weights.index_select(0, rows)

    def synchronize(self) -> None:
        """Exchanges what the ranks learned in this epoch; all ranks must call it (``set_epoch`` does)."""
        if self.world_size == 1 or not self._learned or not self._has_news:
            return
        mine = self.order.to(self._device)
        columns = torch.stack([getattr(self, name)[mine] for name in self._learned], dim=1)
        rows, values = gather_rows(mine, columns)
        for name, column in zip(self._learned, values.unbind(1), strict=True):
            getattr(self, name)[rows] = column
        self._has_news = False

    def state_dict(self, consumed: int = 0) -> dict[str, Any]:
        """Returns the state as tensors and numbers; training can resume from it in the middle of an epoch.

        Args:
            consumed: Number of rows of this epoch's order that were already trained on; after loading, iteration
                and ``len`` continue after them. Pass 0 if the loop skips them itself.

        With several ranks, call ``synchronize`` on all of them first; the state of one rank then works for all.
        """
        if not 0 <= consumed <= len(self.order):
            raise InputError(
                f"consumed is {consumed}; give a number of rows from 0 to {len(self.order)}, the length of the epoch"
            )
        state: dict[str, Any] = {name: getattr(self, name) for name in self._learned}
        state |= {"rows": self._common_order(), "loss_weights": self._loss_weights}
        state = {name: None if value is None else value.clone() for name, value in state.items()}
        state |= {"sampler": type(self).__name__, "n": self.n}
        return state | {"epoch": self.epoch, "step": self.step, "consumed": consumed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Loads the `state_dict` of a sampler that was created with the same arguments.

        Raises:
            InputError: the state belongs to another sampler or data set, or is damaged; the sampler is then
                unchanged.
        """
        saved = read_state(self, state)
        for name, values in saved.learned.items():
            setattr(self, name, values)
        self._rows, self._loss_weights = saved.rows, saved.loss_weights
        self.epoch, self.step, self._consumed = saved.epoch, saved.step, saved.consumed
        self._place_state()

    def check(self, job: JobFacts) -> None:
        """Raises `InputError` before training if the data cannot provide what the sampler needs."""
        if self.needs_errors and job.task == "classification":
            raise InputError(
                f"{type(self).__name__} needs forecast errors, which only sensor data provide (data.kind: sensors); "
                "use another sampler"
            )

    @abstractmethod
    def _epoch_order(self, epoch: int) -> Tensor:
        """Rows of one epoch ``[L]`` int64 on the CPU, in training order, for all ranks together."""

    def _choose(self, rows: Tensor, losses: Tensor | None, features: Tensor | None, count: int) -> Tensor:
        """Returns ``count`` kept positions in any order; for samplers whose ``batch_keep`` is below 1."""
        raise NotImplementedError

    def _learn(self, rows: Tensor, losses: Tensor | None, errors: Tensor | None) -> None:
        """Learns from a step; for samplers that need losses or errors."""

    def _common_order(self) -> Tensor:
        if self._rows is None:
            self.set_epoch(self.epoch)
        assert self._rows is not None
        return self._rows

    def _shuffle(self, rows: Tensor) -> Tensor:
        draws = generator(self.seed, "epoch", self.epoch)
        return rows[torch.randperm(len(rows), generator=draws)]

    def _step_generator(self) -> torch.Generator:
        return generator(self.seed, "choose", self.epoch, self.step, self.rank)

    def _place(self, rows: Tensor) -> Tensor:
        if self._device is None:
            self._device = rows.device
            self._place_state()
        if rows.device == self._device and rows.dtype == torch.int64:
            return rows
        # A non-blocking copy to the CPU could be read before it has arrived.
        return rows.to(self._device, torch.int64, non_blocking=self._device.type != "cpu")

    def _place_state(self) -> None:
        device = self._device or torch.device("cpu")
        for name in (*self._learned, "_loss_weights"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else value.to(device))


def scores_by_row(table: ScoreTable, ids: npt.NDArray[np.int64]) -> Tensor:
    """Scores ``[n]`` in the order of the data's ``ids [n]``; every id must have a score.

    >>> scores_by_row(ScoreTable([7, 3], [0.5, 0.25], True), np.array([3, 7])).tolist()
    [0.25, 0.5]
    """
    return torch.from_numpy(table.values[table.rows_of(ids, "training samples")])
