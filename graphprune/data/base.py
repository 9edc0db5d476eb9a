"""Data sets: samples with stable ids, fetched in batches by row."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from graphprune.errors import InputError
from graphprune.files import array_digest
from graphprune.runtime.devices import fits_on, indexed

Placement = Literal["auto", "device", "host"]
# Any data set may have up to this many classes; more only if it has as many samples.
_MOST_CLASSES = 100_000


class Batch(NamedTuple):
    """Rows ``[B]`` int64 (positions in the data, CPU or device), inputs ``x [B, ...]`` and targets ``y [B, ...]``."""

    rows: Tensor
    x: Tensor
    y: Tensor


class Samples(ABC):
    """N samples. A row is a position 0..N-1; an id is a stable name, independent of the order of a loader.

    Attributes:
        ids: ``[N]`` int64, ascending and unique.
        labels: Class labels ``[N]`` int64, or None for forecasts.
    """

    ids: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @abstractmethod
    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        """One `Batch` on ``device`` for each tensor of rows in ``order``, in that order.

        The result does not depend on ``workers``, the number of processes that prepare batches in advance.
        """

    @abstractmethod
    def digest(self) -> bytes:
        """Hash of the content, for the fingerprint of the data set."""


@dataclass(frozen=True)
class TaskInfo:
    """What a model needs to know about the data.

    Args:
        kind: ``classification`` or ``forecasting``.
        input_shape: Shape of one ``x``: ``(C, H, W)`` or ``(D,)``; windows: ``(window, nodes, channels)``.
        num_classes: Number of classes, or None.
        class_names: Names of the classes, or empty.
        horizon: Time steps to forecast (forecasting only).
        steps_per_day: Time steps per day (forecasting only).
        target_std: Standard deviation of the target in original units; errors are in standardized units.
        target_mean: Mean of the target in original units.
        channels: Names of the last dimension of x (forecasting only): the channels of the data, followed by those of
            ``observed``, ``time_of_day``, ``day_of_week`` and ``sensor`` that were added.
        target: Index of the channel to forecast.
        n_sensors: Sensors of the series; a sample contains all of them, or one (then ``sensor`` is its index).
        links: Link strengths between sensors ``[n_sensors, n_sensors]`` float32, or None if unknown.
    """

    kind: Literal["classification", "forecasting"]
    input_shape: tuple[int, ...]
    num_classes: int | None = None
    class_names: tuple[str, ...] = ()
    horizon: int = 0
    steps_per_day: int = 0
    target_std: float = 1.0
    target_mean: float = 0.0
    channels: tuple[str, ...] = ()
    target: int = 0
    n_sensors: int = 0
    links: npt.NDArray[np.float32] | None = field(default=None, compare=False, repr=False)

    @property
    def shows_images(self) -> bool:
        """Whether each ``x`` is an image ``[C, H, W]``."""
        return self.kind == "classification" and len(self.input_shape) == 3


@dataclass(frozen=True)
class Data:
    """A data set: training samples, test samples, the task, and known issues to print with every result."""

    name: str
    train: Samples
    test: Samples
    info: TaskInfo
    faults: tuple[str, ...] = ()
    fingerprint: str = field(default="")

    def __post_init__(self) -> None:
        for part, samples in (("train", self.train), ("test", self.test)):
            if not len(samples):
                raise InputError(
                    f"data '{self.name}': the {part} part is empty; check the split and the limit"
                )
            if (np.diff(samples.ids) <= 0).any():
                raise InputError(
                    f"data '{self.name}': the {part} ids are not ascending and unique; sort them and remove duplicates"
                )
        if not self.fingerprint:
            task = (self.info.kind, self.info.input_shape, self.info.num_classes, self.info.class_names)
            digest = hashlib.blake2b(repr(task).encode(), digest_size=12)
            digest.update(self.train.digest() + self.test.digest())
            object.__setattr__(self, "fingerprint", digest.hexdigest())


class TensorSamples(Samples):
    """Samples that fit in memory; batches are gathered by index, on the device or on the host.

    With placement ``device``, all of ``x`` is copied to the device once. With ``host``, a DataLoader gathers each batch
    in pinned memory (in advance if there are workers), and it is copied while the device is still computing. In both
    cases bytes are converted and standardized on the device, so the batches are identical.

    Args:
        x: ``[N, ...]`` uint8 images or float32 features.
        labels: ``[N]`` int64.
        ids: ``[N]`` int64 ascending (default: ``0..N-1``).
        mean, std: Standardization of ``x`` per channel, after scaling uint8 to 0..1, or None to leave ``x`` unchanged.
        placement: ``device``, ``host`` or ``auto``, which uses the device if `fits_on` returns True (default: auto).

    >>> samples = TensorSamples(torch.tensor([[1.0], [2.0], [3.0]]), np.array([0, 1, 0]))
    >>> batch = next(samples.batches([torch.tensor([2, 0])], device=torch.device("cpu")))
    >>> batch.x.tolist(), batch.y.tolist()
    ([[3.0], [1.0]], [0, 0])
    """

    def __init__(
        self,
        x: Tensor,
        labels: npt.NDArray[np.int64],
        *,
        ids: npt.NDArray[np.int64] | None = None,
        mean: tuple[float, ...] | None = None,
        std: tuple[float, ...] | None = None,
        placement: Placement = "auto",
    ) -> None:
        if len(x) != len(labels):
            raise InputError(f"{len(x)} samples but {len(labels)} labels; give one label per sample")
        self.x = x
        self.labels = np.asarray(labels, dtype=np.int64)
        self.ids = np.arange(len(x), dtype=np.int64) if ids is None else np.asarray(ids, dtype=np.int64)
        self.mean, self.std, self.placement = mean, std, placement
        self._resident: tuple[torch.device, Tensor, Tensor] | None = None

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        device = indexed(device)
        scale = self._scale(device)
        if not self._stays_on(device):
            for parts in self._from_host(order, pin=device.type == "cuda", workers=workers):
                rows, x, y = (part.to(device, non_blocking=True) for part in parts)
                yield Batch(rows, self._standardize(x, scale), y)
            return
        x, y = self._on(device)
        for rows in order:
            rows = rows.to(device, non_blocking=True)
            yield Batch(rows, self._standardize(x[rows], scale), y[rows])

    def digest(self) -> bytes:
        return array_digest(
            ids=self.ids, labels=self.labels, mean=self.mean, std=self.std, x=self.x.cpu().numpy()
        )

    def _stays_on(self, device: torch.device) -> bool:
        if self.placement != "auto":
            return self.placement == "device"
        resident = self._resident is not None and self._resident[0] == device
        return resident or fits_on(device, self.x.numel() * self.x.element_size())

    def _from_host(self, order: Iterable[Tensor], *, pin: bool, workers: int) -> DataLoader[Any]:
        assert self.labels is not None
        batches = _ByRows(self.x, torch.from_numpy(self.labels))
        # A separate generator, because the loader would otherwise draw the seed of its workers from the global one.
        return DataLoader(
            batches,
            sampler=order,
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),
        )

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if self._resident is None or self._resident[0] != device:
            assert self.labels is not None
            self._resident = (device, self.x.to(device), torch.from_numpy(self.labels).to(device))
        return self._resident[1], self._resident[2]

    def _scale(self, device: torch.device) -> tuple[Tensor, Tensor] | None:
        if self.mean is None or self.std is None:
            return None
        shape = (1, -1, *(1,) * (self.x.dim() - 2))
        factor = 255.0 if self.x.dtype == torch.uint8 else 1.0
        std = torch.tensor(self.std, device=device).view(shape)
        mean = torch.tensor(self.mean, device=device).view(shape)
        return 1 / (factor * std), mean / std

    @staticmethod
    def _standardize(x: Tensor, scale: tuple[Tensor, Tensor] | None) -> Tensor:
        x = x.to(torch.float32)
        return x if scale is None else x * scale[0] - scale[1]


class _ByRows(Dataset[Any]):
    """A Dataset whose items are whole batches, indexed by their rows."""

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x, y

    def __getitem__(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return rows, self.x[rows], self.y[rows]


def class_info(
    input_shape: tuple[int, ...],
    train: npt.NDArray[np.int64],
    test: npt.NDArray[np.int64],
    names: tuple[str, ...] = (),
) -> TaskInfo:
    """The task of classifying inputs with labels ``[n]`` of both parts; by default the class names are the numbers.

    Raises:
        InputError: see `count_classes`; or there are fewer names than classes.

    >>> class_info((3,), np.array([0, 1]), np.array([1])).class_names
    ('0', '1')
    """
    classes = count_classes(train, test)
    if names and len(names) < classes:
        raise InputError(f"{len(names)} class names, but labels reach {classes - 1}; give one name per class")
    names = tuple(names) or tuple(str(label) for label in range(classes))
    return TaskInfo("classification", tuple(input_shape), num_classes=len(names), class_names=names)


def count_classes(*parts: npt.NDArray[np.int64]) -> int:
    """Number of classes in the labels ``[n]`` of all parts of a data set, counted from 0.

    Raises:
        InputError: labels are negative, or too large to be class numbers.

    >>> count_classes(np.array([0, 3, 1]), np.array([2]))
    4
    """
    parts = tuple(part for part in parts if len(part))
    if not parts:
        return 0
    least, largest = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    if least < 0 or largest >= max(_MOST_CLASSES, sum(len(part) for part in parts)):
        raise InputError(
            f"the labels range from {least} to {largest}; number the classes from 0, without gaps"
        )
    return largest + 1
