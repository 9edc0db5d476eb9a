"""Samples from any map-style torch Dataset."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from graphprune.data.base import Batch, Data, Samples, class_info
from graphprune.data.labels import class_labels, uncovered
from graphprune.errors import InputError
from graphprune.files import array_digest


class MapSamples(Samples):
    """Samples of a map-style Dataset with ``(x, label)`` items, read through a DataLoader.

    Args:
        dataset: Has a length, and ``dataset[i]`` is ``(x, label)``; all ``x`` are tensors of one shape. Every access
            must return the same item, because embeddings, scores and resumed runs depend on it; use ``augment:`` of
            the training for augmentation.
        labels: Labels of the items ``[N]``, integers or booleans of any width (default: the ``targets`` of the dataset,
            otherwise every item is read once).
        ids: ``[N]`` int64 ascending (default: ``0..N-1``).

    Raises:
        InputError: the dataset has no length, lengths differ, items are not ``(x, label)``, or labels are not class
            numbers; raised by `digest`: an item changes between two accesses, or has another shape or label.

    >>> from torch.utils.data import TensorDataset
    >>> len(MapSamples(TensorDataset(torch.zeros(4, 3), torch.tensor([0, 1, 1, 0]))))
    4
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        *,
        labels: npt.ArrayLike | None = None,
        ids: npt.ArrayLike | None = None,
    ) -> None:
        self.dataset = dataset
        try:
            n = len(dataset)  # type: ignore[arg-type]
        except (TypeError, NotImplementedError) as error:
            raise InputError(
                f"{type(dataset).__name__} has no length; give a map-style Dataset with __len__ and __getitem__"
            ) from error
        if n:
            self.shape = tuple(_pair(dataset, 0)[0].shape)
        if labels is None:
            labels = getattr(dataset, "targets", None)
        if labels is None:
            labels = [_scalar(_pair(dataset, i)[1]) for i in range(n)]
        self.labels = class_labels(labels, "the dataset's label array")
        self.ids = np.arange(n, dtype=np.int64) if ids is None else np.asarray(ids, dtype=np.int64)
        for name, column in (("labels", self.labels), ("ids", self.ids)):
            if len(column) != n:
                raise InputError(f"the dataset has {n} items but {len(column)} {name}; give one per item")

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        steps = list(order)
        loader: DataLoader[Any] = DataLoader(
            self.dataset,
            batch_sampler=[rows.tolist() for rows in steps],
            num_workers=workers,
            pin_memory=device.type == "cuda",
            # Otherwise the loader draws the seed of its workers from the global generator.
            generator=torch.Generator(),
        )
        for rows, item in zip(steps, loader, strict=True):
            # Losses require class numbers as int64.
            x, y = item[0], torch.as_tensor(item[1]).to(torch.int64)
            yield Batch(rows.to(device), x.to(device, non_blocking=True), y.to(device, non_blocking=True))

    def digest(self) -> bytes:
        # Reading every item may take hours; ids, labels and 32 evenly spaced items distinguish data sets.
        rows = np.linspace(0, len(self) - 1, num=min(32, len(self)), dtype=int).tolist()
        items = {f"x{i}": self._item(i) for i in rows}
        return array_digest(ids=self.ids, labels=self.labels, **items)

    def _item(self, i: int) -> npt.NDArray[Any]:
        """Content of one item; it must be the same on two accesses and have the expected label."""
        (x, y), (again, _) = _pair(self.dataset, i), _pair(self.dataset, i)
        first, second = (each.detach().cpu().numpy() for each in (x, again))
        if not np.array_equal(first, second, equal_nan=first.dtype.kind == "f"):
            raise InputError(
                f"item {i} of the dataset differs between two accesses; pass the data without augmentation and set "
                "augment: [crop, flip] in the training instead"
            )
        if first.shape != self.shape:
            raise InputError(
                f"item {i} of the dataset has shape {list(first.shape)} but item 0 {list(self.shape)}; use one shape"
            )
        label = int(class_labels([_scalar(y)], f"the label of item {i}")[0])
        if self.labels is not None and label != int(self.labels[i]):
            raise InputError(
                f"item {i} of the dataset has label {label} but the label array {int(self.labels[i])}; make them "
                "agree (wrap the data in graphprune.data.relabelled.Relabelled to train on other labels)"
            )
        return first


def _pair(dataset: Dataset[Any], i: int) -> tuple[Tensor, Any]:
    """Item ``i`` as ``(x, label)``; for other items an `InputError` describes what was found."""
    item = dataset[i]
    fix = "give (x, label), with x a tensor"
    if isinstance(item, dict):
        raise InputError(
            f"item {i} of the dataset is a mapping with {', '.join(map(str, item))}; {fix}, for example with a "
            "Dataset whose __getitem__ returns the two"
        )
    if not isinstance(item, tuple | list) or len(item) != 2:
        found = f"{len(item)} parts" if isinstance(item, tuple | list) else f"a {type(item).__name__}"
        raise InputError(f"item {i} of the dataset is {found}; {fix}")
    x, label = item
    if not isinstance(x, Tensor):
        try:
            x = torch.as_tensor(np.asarray(x) if isinstance(x, np.generic) else x)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(
                f"x of item {i} is a {type(x).__name__}, which is not a tensor; {fix} (a transform such as "
                "torchvision's ToTensor converts an image)"
            ) from error
    return x, label


def _scalar(label: Any) -> Any:
    """A label without the tensor or array that wraps it."""
    if isinstance(label, Tensor):
        label = label.detach().cpu().numpy()
    return label[()] if isinstance(label, np.ndarray) and label.ndim == 0 else label


def data_from_datasets(
    name: str,
    train: Dataset[Any],
    test: Dataset[Any],
    *,
    class_names: tuple[str, ...] = (),
    faults: tuple[str, ...] = (),
) -> Data:
    """Create `Data` from two map-style Datasets with ``(x, integer label)`` items.

    >>> import torch
    >>> from torch.utils.data import TensorDataset
    >>> part = TensorDataset(torch.zeros(6, 3), torch.tensor([0, 1, 0, 1, 0, 1]))
    >>> data_from_datasets("mine", part, part).info.num_classes
    2
    """
    parts = []
    for which, dataset in (("train", train), ("test", test)):
        try:
            parts.append(MapSamples(dataset))
        except InputError as error:
            raise InputError(f"{which}: {error}") from error
    one, two = parts
    assert one.labels is not None
    assert two.labels is not None
    if len(one) and len(two) and one.shape != two.shape:
        raise InputError(
            f"x is {list(one.shape)} in train but {list(two.shape)} in test; give both the same shape"
        )
    info = class_info(one.shape if len(one) else (), one.labels, two.labels, class_names)
    found = uncovered(one.labels, two.labels, info.class_names) if len(one) and len(two) else ()
    return Data(name, one, two, info, (*faults, *found))
