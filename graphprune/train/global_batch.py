"""The samples of one step in all processes, and this process's part of them."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.data.base import Batch
from graphprune.train.paradigms.base import Noise
from graphprune.train.process_group import ProcessGroup


class GlobalBatch:
    """GlobalBatch: the batch of one step, divided over the processes; a sampler may keep only some of its samples.

    With one process, the part is the whole batch, and nothing is copied or communicated.

    Args:
        rows: All rows of the step ``[T]`` int64, the same in every process.
        part: This process's samples, in the order of ``ProcessGroup.positions(T)``.
        group: The processes.

    Attributes:
        rows: All rows of the step, on the device of the samples.
        x, y: This process's samples ``[b, ...]``; after `keep`, only those that are trained on.
        own_rows: Rows of these samples ``[b]``.
        kept: Positions in the global batch that are trained on, ``[K]`` int64; None for all.
    """

    def __init__(self, rows: Tensor, part: Batch, group: ProcessGroup) -> None:
        self.group = group
        self.own_rows, self.x, self.y = part
        self.rows = self.own_rows if group.size == 1 else rows.to(self.own_rows.device, non_blocking=True)
        self.kept: Tensor | None = None
        self._held: Tensor | None = None
        self._real = group.real(len(rows))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def trained_rows(self) -> Tensor:
        """Rows that are trained on in all processes ``[K]``."""
        return self.rows if self.kept is None else self.rows[self.kept]

    @property
    def positions(self) -> Tensor:
        """Positions of ``x`` in the global batch ``[b]``, for draws that do not depend on the number of processes."""
        positions = self.group.positions(len(self))
        if self._held is None:
            return positions
        return positions.to(self._held.device, non_blocking=True)[self._held]

    def keep(self, kept: Tensor, *, least: int) -> None:
        """Keeps only the positions ``kept [K]``.

        A process with fewer than ``least`` samples adds copies of one sample, whose losses do not count.
        """
        self.kept = kept
        self._held, self._real = self.group.held(kept, least=least)
        self.own_rows, self.x, self.y = (value[self._held] for value in (self.own_rows, self.x, self.y))

    def mean(self, losses: Tensor, weights: Tensor | None) -> Tensor:
        """A loss whose gradient, averaged over processes, is that of the weighted mean over the global batch."""
        weighted = losses if weights is None else losses * weights
        return self.group.mean(weighted, self._real, len(self.trained_rows))

    def noise(self, draws: torch.Generator) -> Noise:
        """Random numbers for this process's samples."""
        return Noise(draws, self.positions, len(self))

    def gather(self, own: Tensor) -> Tensor:
        """Values ``[T, ...]`` (after `keep` ``[K, ...]``) of all processes, from ``own [b, ...]``. All must call it."""
        if self.group.size == 1:
            return own
        if self.kept is None or self._held is None:
            return self.group.gather(own, len(self))
        # Values return to their positions in this process's part; dropped samples leave gaps.
        part = own.new_zeros((-(-len(self) // self.group.size), *own.shape[1:]))
        part[self._held[: self._real]] = own[: self._real]
        return self.group.gather(part, len(self))[self.kept]

    def gather_all(self, signals: dict[str, Tensor]) -> dict[str, Tensor]:
        """Gathers each of the named values."""
        return {name: self.gather(value) for name, value in signals.items()}
