"""What a sampler is: it decides, epoch by epoch, which rows are trained on and in which order."""

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
    """A plain ``torch.utils.data`` sampler whose order depends on ``(seed, epoch, history)`` alone.

    **Rows, not ids.** A sampler yields rows: the positions 0..n-1 that ``dataset[row]`` takes. Every method
    speaks rows. Ids exist only at the border: `scores_by_row` turns a table of ids into scores by row, and
    ``StaticSampler.from_selection`` a selection into rows. A data set that shows its rows to the loop
    (``return row, x, y``) is all that ``update`` and ``weights`` need, with any number of workers.

    One step of a training loop, in full::

        sampler.set_epoch(epoch)
        for rows, x, y in loader:                      # DataLoader(data, candidate_batch_size, sampler=sampler)
            if sampler.selects_in_batch:                        # forward pass without gradient
                kept = sampler.choose(rows, losses, features)
                rows, x, y = rows[kept], x[kept], y[kept]
            weights = sampler.weights(rows)            # None means all ones
            ...                                        # mean of losses * weights, backward, optimizer
            sampler.update(rows, losses)               # detached inside; ignored if of no use

    Learned state lives on the device of the first rows that come in, so that a step never waits for the
    device; give all later ones on the same device. The order itself is drawn once an epoch on the CPU.

    Args:
        n: Number of samples in the data set.
        epochs: Planned epochs (samplers that anneal need it).
        seed: Of its own generators; the global one is never touched.

    Attributes:
        requires: Constructor arguments that must be given besides ``n`` (arrays over the n samples).
        needs_losses: Whether ``update`` must be fed losses.
        needs_errors: Whether ``update`` must also be fed forecast errors ``[B, T, S]``.
        needs_features: Whether ``choose`` reads the learner's features ``[B, H]``.
        needs_forward: Whether ``choose`` reads the learner's losses or features at all.
    """

    requires: ClassVar[tuple[str, ...]] = ()
    # Per-row state learned from training, ``[n]`` float32: saved, and exchanged between ranks.
    _learned: ClassVar[tuple[str, ...]] = ()
    # Those of them in which inf says that a row was not seen yet.
    _infinite_if_unseen: ClassVar[tuple[str, ...]] = ()
    # Whether an epoch may hold a row twice.
    _repeats: ClassVar[bool] = False
    # Whether ``choose`` also takes losses ``[B, B]`` of pairs.
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
        self._heard = False
        self._device: torch.device | None = None

    def shard(self, rank: int, world_size: int) -> Self:
        """Makes this process train every ``world_size``-th row of the common order; call on every rank.

        All ranks get the same number of rows, so at most ``world_size - 1`` rows sit an epoch out (other ones
        each epoch). What ranks learned is exchanged at the next ``set_epoch``, through torch.distributed.
        """
        if not 0 <= rank < world_size or world_size > self.n:
            raise InputError(
                f"rank {rank} of {world_size} does not fit {self.n} samples; use 0 <= rank < ranks"
            )
        self.rank, self.world_size = rank, world_size
        return self

    def set_epoch(self, epoch: int) -> None:
        """Fixes the order of an epoch; ``len`` is then its true length. The epoch under way is left alone."""
        check_epoch(epoch)
        if self._rows is not None and epoch == self.epoch:
            return
        self.synchronise()
        self.epoch, self.step, self._consumed = epoch, 0, 0
        self._loss_weights = None
        rows = self._epoch_order(epoch)
        if len(rows) < self.world_size:
            raise InputError(f"epoch {epoch} has {len(rows)} rows for {self.world_size} ranks; keep more")
        self._rows = rows

    @property
    def order(self) -> Tensor:
        """Rows of the whole current epoch on this rank, int64 on the CPU, in training order."""
        rows = self._common_order()
        even = len(rows) - len(rows) % self.world_size
        return rows[self.rank : even : self.world_size]

    @property
    def remaining(self) -> Tensor:
        """The part of ``order`` behind the rows that a loaded state calls consumed."""
        return self.order[self._consumed :]

    def __len__(self) -> int:
        return len(self.remaining)

    def __iter__(self) -> Iterator[int]:
        return iter(self.remaining.tolist())

    @property
    def batch_keep(self) -> float:
        """Fraction of each batch that ``choose`` keeps in this epoch; 1 when batches are plain."""
        return 1.0

    @property
    def selects_in_batch(self) -> bool:
        """Whether ``choose`` drops part of each batch in this epoch."""
        return self.batch_keep < 1

    def candidate_batch_size(self, batch_size: int) -> int:
        """Rows to take from the order so that ``choose`` leaves ``batch_size`` of them."""
        return max(1, round(batch_size / self.batch_keep))

    def kept_of(self, size: int) -> int:
        """How many of a batch of ``size`` rows are trained on in this epoch."""
        return count_kept(size, self.batch_keep)

    def steps(self, order: Tensor, batch_size: int, *, least: int = 1) -> tuple[Tensor, ...]:
        """The meta-batches of an order ``[L]``, each of which leaves ``batch_size`` rows to train on.

        A last one that would leave fewer than ``least`` is joined to the one before it: batch norm, for one,
        cannot standardise a single sample.
        """
        parts = torch.split(order, self.candidate_batch_size(batch_size))
        if len(parts) > 1 and self.kept_of(len(parts[-1])) < least:
            parts = (*parts[:-2], torch.cat(parts[-2:]))
        return parts

    def choose(self, rows: Tensor, losses: Tensor | None = None, features: Tensor | None = None) -> Tensor:
        """Positions of the batch to train on, ascending int64.

        Args:
            rows: ``[B]`` int64.
            losses: ``[B]`` floating point from a forward pass, or None if ``needs_forward`` is False.
            features: ``[B, H]`` penultimate features, or None unless ``needs_features``.

        Raises:
            InputError: rows, losses or features of another shape or type.
        """
        check_rows(rows)
        if losses is not None:
            check_losses(losses, len(rows), pairs=self._takes_pairs)
        if features is not None:
            check_features(features, len(rows))
        if not self.selects_in_batch:
            return torch.arange(len(rows), device=rows.device)
        if self.needs_forward and losses is None and features is None:
            raise InputError(f"{type(self).__name__}.choose needs losses or features of a forward pass")
        with torch.no_grad():
            rows = self._place(rows)
            losses = None if losses is None else losses.detach().to(rows.device, torch.float32)
            kept = self._choose(rows, losses, features, self.kept_of(len(rows)))
            self.step, self._heard = self.step + 1, True
            return kept.sort().values

    def update(self, rows: Tensor, losses: Tensor | None = None, errors: Tensor | None = None) -> None:
        """Takes what a step showed; a sampler that ``selects_in_batch`` in this epoch has already heard its losses.

        Args:
            rows: ``[B]`` int64 without repetition.
            losses: ``[B]`` floating point; NaN and infinite ones count as not seen.
            errors: Absolute forecast errors ``[B, T, S]``, NaN where missing, if ``needs_errors``.

        Raises:
            InputError: rows, losses or errors of another shape or type, or missing ones.
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
                raise InputError(f"{type(self).__name__}.update needs {name} of {len(rows)} rows, got none")
        with torch.no_grad():
            rows = self._place(rows)
            losses = None if losses is None else losses.detach().to(rows.device, torch.float32)
            self._learn(rows, losses, None if errors is None else errors.detach().to(rows.device))
            self._heard = True

    def weights(self, rows: Tensor) -> Tensor | None:
        """Loss weights ``[B]`` float32 of rows ``[B]``, or None for all ones."""
        check_rows(rows)
        self._common_order()
        rows = self._place(rows)
        return None if self._loss_weights is None else self._loss_weights.index_select(0, rows)

    def synchronise(self) -> None:
        """Makes common what the ranks learned in this epoch; all must call it (``set_epoch`` does)."""
        if self.world_size == 1 or not self._learned or not self._heard:
            return
        mine = self.order.to(self._device)
        columns = torch.stack([getattr(self, name)[mine] for name in self._learned], dim=1)
        rows, values = gather_rows(mine, columns)
        for name, column in zip(self._learned, values.unbind(1), strict=True):
            getattr(self, name)[rows] = column
        self._heard = False

    def state_dict(self, consumed: int = 0) -> dict[str, Any]:
        """Tensors and numbers that continue in the middle of an epoch.

        Args:
            consumed: Rows of this epoch's order that are trained on: after loading, iteration and ``len``
                go on behind them. 0 for loops that skip by themselves.

        With several ranks, call ``synchronise`` on all of them first; one rank's state then serves all.
        """
        if not 0 <= consumed <= len(self.order):
            raise InputError(f"consumed is {consumed}; the epoch has {len(self.order)} rows")
        state: dict[str, Any] = {name: getattr(self, name) for name in self._learned}
        state |= {"rows": self._common_order(), "loss_weights": self._loss_weights}
        state = {name: None if value is None else value.clone() for name, value in state.items()}
        state |= {"sampler": type(self).__name__, "n": self.n}
        return state | {"epoch": self.epoch, "step": self.step, "consumed": consumed}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict` of a sampler made with the same arguments.

        Raises:
            InputError: the state belongs to another sampler or data set, or is damaged; nothing has changed then.
        """
        saved = read_state(self, state)
        for name, values in saved.learned.items():
            setattr(self, name, values)
        self._rows, self._loss_weights = saved.rows, saved.loss_weights
        self.epoch, self.step, self._consumed = saved.epoch, saved.step, saved.consumed
        self._place_state()

    def check(self, job: JobFacts) -> None:
        """Refuses data that cannot tell the sampler what it goes by, before anything is trained."""
        if self.needs_errors and job.task == "classification":
            raise InputError(
                f"{type(self).__name__} goes by forecast errors, which only windows of sensor data have "
                "(data.kind: sensors); use another sampler"
            )

    @abstractmethod
    def _epoch_order(self, epoch: int) -> Tensor:
        """Rows of one epoch ``[L]`` int64 on the CPU, in training order, for all ranks together."""

    def _choose(self, rows: Tensor, losses: Tensor | None, features: Tensor | None, count: int) -> Tensor:
        """``count`` kept positions in any order, for samplers whose ``batch_keep`` is below 1."""
        raise NotImplementedError

    def _learn(self, rows: Tensor, losses: Tensor | None, errors: Tensor | None) -> None:
        """Learns from a step, for samplers that need losses or errors."""

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
        # A copy to the CPU that nobody waits for would be read before it has arrived.
        return rows.to(self._device, torch.int64, non_blocking=self._device.type != "cpu")

    def _place_state(self) -> None:
        device = self._device or torch.device("cpu")
        for name in (*self._learned, "_loss_weights"):
            value = getattr(self, name)
            setattr(self, name, None if value is None else value.to(device))


def scores_by_row(table: ScoreTable, ids: npt.NDArray[np.int64]) -> Tensor:
    """Scores ``[n]`` float32 in the order of the data's ``ids [n]``, each of which must have one.

    >>> scores_by_row(ScoreTable([7, 3], [0.5, 0.25], True), np.array([3, 7])).tolist()
    [0.25, 0.5]
    """
    return torch.from_numpy(table.values[table.rows_of(ids, "training samples")])
