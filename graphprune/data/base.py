"""What data is: samples with stable ids that are fetched in batches by row."""

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
# Fewer are believed of any data set; more only where it has as many samples.
_MOST_CLASSES = 100_000


class Batch(NamedTuple):
    """Rows ``[B]`` int64 (positions in the data, CPU or device), inputs ``x [B, ...]`` and targets ``y [B, ...]``."""

    rows: Tensor
    x: Tensor
    y: Tensor


class Samples(ABC):
    """N samples. Rows are positions 0..N-1; ids are stable names, ascending, and never a loader position.

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

        The result does not depend on ``workers`` (processes that prepare batches ahead).
        """

    @abstractmethod
    def digest(self) -> bytes:
        """A hash of the content, for the data fingerprint."""


@dataclass(frozen=True)
class TaskInfo:
    """What a model must know of the data.

    Args:
        kind: ``classification`` or ``forecasting``.
        input_shape: Shape of one ``x``: ``(C, H, W)`` or ``(D,)``; windows: ``(window, nodes, channels)``.
        num_classes: Classes, or None.
        class_names: Their names, or empty.
        horizon: Steps to forecast (forecasting only).
        steps_per_day: Samples of the clock in a day (forecasting only).
        target_std: Standard deviation of the target in original units; errors are in standardised units.
        target_mean: Its mean in original units.
        channels: Names of x's last dimension (forecasting only); ``observed``, ``time_of_day``,
            ``day_of_week`` and ``sensor`` are added to the data's own.
        target: Index of the channel to forecast.
        n_sensors: Sensors of the series; a sample shows all of them, or one (then ``sensor`` says which).
        links: Strengths between sensors ``[n_sensors, n_sensors]`` float32, or None where none are known.
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
        """Whether an ``x`` is an image ``[C, H, W]``."""
        return self.kind == "classification" and len(self.input_shape) == 3


@dataclass(frozen=True)
class Data:
    """A data set: training samples, test samples, what the task is, and the faults to print beside every figure."""

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
                raise InputError(f"data '{self.name}': {part} ids must be ascending without repetition")
        if not self.fingerprint:
            task = (self.info.kind, self.info.input_shape, self.info.num_classes, self.info.class_names)
            digest = hashlib.blake2b(repr(task).encode(), digest_size=12)
            digest.update(self.train.digest() + self.test.digest())
            object.__setattr__(self, "fingerprint", digest.hexdigest())


class TensorSamples(Samples):
    """Samples that fit in memory: batches are gathered by index, on the device or on the host.

    On the device all of ``x`` is copied there once. On the host a DataLoader gathers each batch, ahead of time if
    there are workers, into pinned memory, from which it is copied while the device still computes. Bytes are
    converted and standardised on the device in either case, so the same batches come out.

    Args:
        x: ``[N, ...]`` uint8 images or float32 features.
        labels: ``[N]`` int64.
        ids: ``[N]`` int64 ascending (default: ``0..N-1``).
        mean, std: Per-channel normalisation of ``x`` after scaling uint8 to 0..1, or None to leave it as it is.
        placement: ``device``, ``host``, or ``auto``: the device where `fits_on` says so (default: auto).
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
            raise InputError(f"{len(x)} samples but {len(labels)} labels; give one label each")
        self.x = x
        self.labels = np.asarray(labels, dtype=np.int64)
        self.ids = np.arange(len(x), dtype=np.int64) if ids is None else np.asarray(ids, dtype=np.int64)
        self.mean, self.std, self.placement = mean, std, placement
        self._resident: tuple[torch.device, Tensor, Tensor] | None = None

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        device = indexed(device)
        scale = self._scale(device)
        if not self._lies_on(device):
            for parts in self._from_host(order, pin=device.type == "cuda", workers=workers):
                rows, x, y = (part.to(device, non_blocking=True) for part in parts)
                yield Batch(rows, self._normalise(x, scale), y)
            return
        x, y = self._on(device)
        for rows in order:
            rows = rows.to(device, non_blocking=True)
            yield Batch(rows, self._normalise(x[rows], scale), y[rows])

    def digest(self) -> bytes:
        return array_digest(
            ids=self.ids, labels=self.labels, mean=self.mean, std=self.std, x=self.x.cpu().numpy()
        )

    def _lies_on(self, device: torch.device) -> bool:
        if self.placement != "auto":
            return self.placement == "device"
        there = self._resident is not None and self._resident[0] == device
        return there or fits_on(device, self.x.numel() * self.x.element_size())

    def _from_host(self, order: Iterable[Tensor], *, pin: bool, workers: int) -> DataLoader[Any]:
        assert self.labels is not None
        batches = _ByRows(self.x, torch.from_numpy(self.labels))
        # An own generator: the loader's seed for its workers is otherwise drawn from the global one.
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
    def _normalise(x: Tensor, scale: tuple[Tensor, Tensor] | None) -> Tensor:
        x = x.to(torch.float32)
        return x if scale is None else x * scale[0] - scale[1]


class _ByRows(Dataset[Any]):
    """Whole batches by their rows."""

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
    """The task of classifying inputs with labels ``[n]`` of both parts; default names are the numbers.

    Raises:
        InputError: as `count_classes`; there are fewer names than classes.
    """
    classes = count_classes(train, test)
    if names and len(names) < classes:
        raise InputError(f"{len(names)} class names, but labels reach {classes - 1}; give one name per class")
    names = tuple(names) or tuple(str(label) for label in range(classes))
    return TaskInfo("classification", tuple(input_shape), num_classes=len(names), class_names=names)


def count_classes(*parts: npt.NDArray[np.int64]) -> int:
    """How many classes the labels ``[n]`` of all parts of a data set count, from 0 on.

    Raises:
        InputError: labels are negative, or so large that they are other numbers than classes.

    >>> count_classes(np.array([0, 3, 1]), np.array([2]))
    4
    """
    parts = tuple(part for part in parts if len(part))
    if not parts:
        return 0
    least, largest = min(int(part.min()) for part in parts), max(int(part.max()) for part in parts)
    if least < 0 or largest >= max(_MOST_CLASSES, sum(len(part) for part in parts)):
        raise InputError(
            f"the labels reach from {least} to {largest}; number the classes from 0 on, without gaps"
        )
    return largest + 1
