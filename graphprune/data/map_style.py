"""Any map-style torch Dataset as samples."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from graphprune.data.base import Batch, Data, Samples, TaskInfo, count_classes
from graphprune.errors import InputError


class MapSamples(Samples):
    """A map-style Dataset of ``(x, label)`` items, read through a DataLoader.

    Args:
        dataset: ``len`` and ``[i]`` -> ``(x, label)``; ``x`` tensors of one shape. The same item must come out every
            time: embeddings, scores and resumption need it, so augmentation belongs to ``augment:``.
        labels: ``[N]`` integers, those of the items (default: the dataset's ``targets``, else read item by item
            once).
        ids: ``[N]`` int64 ascending (default: ``0..N-1``).

    Raises:
        InputError: lengths differ; by `digest`: an item changes from one reading to the next, or has another label.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        labels: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
    ) -> None:
        self.dataset = dataset
        n = len(dataset)  # type: ignore[arg-type]
        if labels is None:
            labels = getattr(dataset, "targets", None)
        if labels is None:
            labels = [int(dataset[i][1]) for i in range(n)]
        self.labels = np.asarray(labels, dtype=np.int64)
        self.ids = np.arange(n, dtype=np.int64) if ids is None else np.asarray(ids, dtype=np.int64)
        for name, column in (("labels", self.labels), ("ids", self.ids)):
            if len(column) != n:
                raise InputError(f"the dataset has {n} items but {len(column)} {name}; give one each")

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        steps = list(order)
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=[rows.tolist() for rows in steps],
            num_workers=workers,
            pin_memory=device.type == "cuda",
            # Otherwise the loader's seed for its workers is drawn from the global generator.
            generator=torch.Generator(),
        )
        for rows, item in zip(steps, loader, strict=True):
            x, y = item[0], torch.as_tensor(item[1])
            yield Batch(rows.to(device), x.to(device, non_blocking=True), y.to(device, non_blocking=True))

    def digest(self) -> bytes:
        # Reading every item may take hours; ids, labels and 32 evenly spaced items tell data sets apart.
        digest = hashlib.blake2b(self.ids.tobytes())
        digest.update(self.labels.tobytes() if self.labels is not None else b"")
        for i in np.linspace(0, len(self) - 1, num=min(32, len(self)), dtype=int).tolist():
            digest.update(self._item(i))
        return digest.digest()

    def _item(self, i: int) -> bytes:
        """Content of one item, which must be the same twice and have the label that it is said to have."""
        (x, y), (again, _) = self.dataset[i], self.dataset[i]
        first, second = (np.ascontiguousarray(torch.as_tensor(each).cpu().numpy()) for each in (x, again))
        if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            raise InputError(
                f"item {i} of the dataset differs from one reading to the next; hand over the data without "
                "augmentation and set augment: [crop, flip] in the training instead"
            )
        if self.labels is not None and int(y) != int(self.labels[i]):
            raise InputError(
                f"item {i} of the dataset has label {int(y)}, but its labels say {int(self.labels[i])}; they "
                "must agree (wrap the data in graphprune.data.relabelled.Relabelled to train on other labels)"
            )
        return first.tobytes()


def data_from_datasets(
    name: str,
    train: Dataset[Any],
    test: Dataset[Any],
    *,
    class_names: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
) -> Data:
    """`Data` from two map-style Datasets of ``(x, integer label)``.

    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> part = TensorDataset(torch.zeros(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> data_from_datasets("mine", part, part).info.num_classes
    2
    """
    train_samples, test_samples = MapSamples(train), MapSamples(test)
    assert train_samples.labels is not None
    assert test_samples.labels is not None
    classes = count_classes(train_samples.labels, test_samples.labels)
    shape = tuple(torch.as_tensor(train[0][0]).shape)
    names = class_names or tuple(str(label) for label in range(classes))
    info = TaskInfo("classification", shape, num_classes=max(classes, len(names)), class_names=names)
    return Data(name, train_samples, test_samples, info, faults)
