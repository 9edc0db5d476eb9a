"""The same samples with other labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.base import Batch, Samples
from graphprune.errors import InputError
from graphprune.files import array_digest


class Relabelled(Samples):
    """Samples with replaced labels, for example for training on cluster labels.

    Args:
        samples: Samples to wrap.
        labels: New labels ``[N]`` int64.

    >>> from graphprune.data.base import TensorSamples
    >>> part = Relabelled(TensorSamples(torch.zeros(2, 3), np.array([0, 0])), np.array([4, 5]))
    >>> next(part.batches([torch.tensor([1])], device=torch.device("cpu"))).y.tolist()
    [5]
    """

    def __init__(self, samples: Samples, labels: npt.NDArray[np.int64]) -> None:
        if len(labels) != len(samples):
            raise InputError(f"{len(samples)} samples but {len(labels)} labels; give one label per sample")
        self.samples, self.ids = samples, samples.ids
        self._found = self.labels = np.asarray(labels, dtype=np.int64)

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        labels = torch.from_numpy(self._found).to(device)
        for batch in self.samples.batches(order, device=device, workers=workers):
            yield Batch(batch.rows, batch.x, labels[batch.rows])

    def digest(self) -> bytes:
        return array_digest(samples=np.frombuffer(self.samples.digest(), np.uint8), labels=self._found)
